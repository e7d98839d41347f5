#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use crate::fixture::*;

/// A day of samples every ten minutes, in files and in no order of time between them.
fn bench() -> Bench {
    let bench = Bench::new();
    for part in [2, 0, 1] {
        let rows = (0..48).map(|place| (3 * place + part, NEW_YEAR + (3 * place + part) * HOUR / 6));
        let rows: Vec<Row> = rows.map(|(place, at)| ("site/a", "level", at, Some(place as f64), Some(0))).collect();
        bench.put(&rows);
        bench.store.flush().unwrap();
    }
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_asked_for_is_sorted_by_its_times() {
    let bench = bench();
    let day = "(SELECT min(time)::date FROM samples)";
    let day = bench.ask(&format!("SELECT {day}")).await.concat();
    for (condition, order, expected) in [
        (format!("time::date = date '{day}'"), "time", ["0.0", "1.0", "2.0"]),
        (format!("time::date >= '{day}' AND time::date <= '{day}'"), "time", ["0.0", "1.0", "2.0"]),
        (format!("'{day}' = time::date"), "time DESC", ["143.0", "142.0", "141.0"]),
        ("value::bigint / 100 = 1".to_owned(), "value", ["100.0", "101.0", "102.0"]),
    ] {
        let sql = format!("SELECT value FROM samples WHERE {condition} ORDER BY {order} LIMIT 3");
        assert_eq!(bench.ask(&sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_say_the_same_twice_hold() {
    let bench = bench();
    for (condition, expected) in [
        ("signal = 'level' AND 'level' = signal", 144),
        ("value >= 7 AND value <= 7 AND 7 = value", 1),
        ("7 < value AND value > 7", 136),
        ("quality::text = '0' AND quality = 0", 144),
        ("value::bigint = 7 AND value = 7.0", 1),
        ("time::date = '2025-01-01' AND time = '2025-01-01 10:00:00+00'", 1),
    ] {
        let sql = format!("SELECT count(*) FROM samples WHERE {condition}");
        assert_eq!(bench.ask(&sql).await, [expected.to_string()], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn and_and_or_begin_behind_is_distinct_from() {
    let bench = bench();
    let values = "(VALUES (1, true), (2, false), (3, NULL)) AS v(i, b)";
    for (condition, expected) in [
        ("b IS DISTINCT FROM true AND i > 1", "2 3"),
        ("b IS NOT DISTINCT FROM true OR i = 3", "1 3"),
        ("i = 3 OR b IS DISTINCT FROM true AND i = 2 OR i = 1", "1 2 3"),
        ("NOT b IS DISTINCT FROM true AND i = 1", "1"),
        ("b IS DISTINCT FROM true AND i IS DISTINCT FROM 2 OR i = 1", "1 3"),
        ("b IS DISTINCT FROM (true AND i > 1)", "1 2 3"),
    ] {
        let sql = format!("SELECT i FROM {values} WHERE {condition} ORDER BY i");
        assert_eq!(bench.ask(&sql).await.join(" "), expected, "{sql}");
    }
}
