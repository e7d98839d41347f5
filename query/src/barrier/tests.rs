#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use crate::fixture::*;

/// Samples in three files: of two machines one a second and half as many, and few that lie beside them too.
fn bench() -> Bench {
    let bench = Bench::new();
    for part in 0..3 {
        let of = |signal, step: i64| {
            let seconds = (0..6_000).map(move |second| 3 * second + part).filter(move |second| second % step == 0);
            seconds.map(move |second| ("site/a", signal, NEW_YEAR + second * SECOND, Some(second as f64), Some(0)))
        };
        let few = of("few", 1_000).map(|row| (row.0, row.1, row.2 + i64::from(row.3 < Some(9_000.0)), row.3, row.4));
        let beside = of("many", 2).map(|row| ("site/b", row.1, row.2, row.3, row.4));
        bench.put(&of("many", 1).chain(few).chain(beside).collect::<Vec<_>>());
        bench.store.flush().unwrap();
    }
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_join_has_not_found_is_asked_of_its_own_side() {
    let bench = bench();
    let few = "(SELECT time FROM samples WHERE signal = 'few')";
    let many = "(SELECT time FROM samples WHERE signal = 'many')";
    let missed = bench.ask(&format!("SELECT count(*) FROM {few} WHERE time NOT IN {many}")).await;
    for sides in [format!("{many} AS m RIGHT JOIN {few} AS f"), format!("{few} AS f LEFT JOIN {many} AS m")] {
        let sql = format!("SELECT count(*) FROM {sides} ON m.time = f.time WHERE m.time IS NULL");
        assert_eq!(bench.ask(&sql).await, missed, "{sql}");
    }
    assert!(missed != ["0"] && missed != ["18"], "{missed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_group_of_a_grouping_set_comes_once() {
    let bench = bench();
    let groups = async |by: &str| -> usize {
        let found = bench
            .ask(&format!("SELECT count(*) FROM (SELECT count(*) FROM samples WHERE signal = 'many' GROUP BY {by})"))
            .await;
        found[0].parse().unwrap()
    };
    let second = "date_trunc('second', time)";
    let expected = groups(&format!("{second}, equipment")).await + groups(second).await + 1;
    assert_eq!(groups(&format!("ROLLUP ({second}, equipment)")).await, expected);
    assert_eq!(expected, 27_000 + 18_000 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_sees_all_rows_however_few_are_asked_for() {
    let bench = bench();
    let sql = "SELECT value, count(*) OVER () FROM samples WHERE signal = 'many' AND equipment = 'site/a' ORDER BY time LIMIT 2";
    assert_eq!(bench.ask(sql).await, ["0.0 18000", "1.0 18000"]);
}
