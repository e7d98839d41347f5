#![allow(clippy::unwrap_used, reason = "a test may panic")]

use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use jiff::tz::TimeZone;

use super::super::series::tests::{Bench, DAY, HOUR, NEW_YEAR, Random, Row, SECOND, good, within};
use crate::engine::Limits;
use crate::error::QueryError;

mod model;
mod refusals;

const MINUTE: i64 = 60 * SECOND;

/// Values of some minutes of the new year.
fn minutes(equipment: &'static str, signal: &'static str, values: &[(i64, f64)]) -> Vec<Row> {
    let values: Vec<(i64, f64)> = values.iter().map(|(minute, value)| (NEW_YEAR + minute * MINUTE, *value)).collect();
    good(equipment, signal, &values)
}

/// Two signals, of which one begins late and both have gaps.
fn two_signals() -> Bench {
    let mut rows = minutes("site/a", "force", &[(1, 10.0), (4, 40.0)]);
    rows.extend(minutes("site/a", "speed", &[(0, 1.0), (1, 3.0), (3, 7.0)]));
    Bench::holding(&rows)
}

/// `time >= … AND time < …`, six minutes of the new year.
fn six_minutes() -> String {
    within(NEW_YEAR, NEW_YEAR + 6 * MINUTE)
}

#[tokio::test]
async fn every_bucket_of_the_window_is_there_for_each_series() {
    let bench = two_signals();
    let sql = format!(
        "SELECT signal, extract(minute FROM time_bucket_gapfill('1 minute', time))::int AS minute, count(*), avg(value), \
         locf(avg(value)), interpolate(avg(value)) FROM samples WHERE {} GROUP BY signal, \
         time_bucket_gapfill('1 minute', time) ORDER BY 1, 2",
        six_minutes()
    );
    let expected = [
        "force 0    ",
        "force 1 1 10.0 10.0 10.0",
        "force 2   10.0 20.0",
        "force 3   10.0 30.0",
        "force 4 1 40.0 40.0 40.0",
        "force 5   40.0 ",
        "speed 0 1 1.0 1.0 1.0",
        "speed 1 1 3.0 3.0 3.0",
        "speed 2   3.0 5.0",
        "speed 3 1 7.0 7.0 7.0",
        "speed 4   7.0 ",
        "speed 5   7.0 ",
    ];
    assert_eq!(bench.ask(&sql).await, expected);
    bench.store.flush().unwrap();
    assert_eq!(bench.ask(&sql).await, expected);
    assert_eq!(bench.engine.memory_used(), 0);
}

/// As people write it: names, positions, other conditions, subqueries, HAVING, LIMIT.
#[tokio::test]
async fn it_may_stand_wherever_a_grouping_may() {
    let bench = two_signals();
    let inner = format!(
        "SELECT time_bucket_gapfill(interval '1 minute', time) AS bucket, signal, count(value) AS n, avg(value) AS mean, \
         locf(avg(value)) AS held, interpolate(sum(value) / 2) AS line FROM samples s WHERE {} AND equipment = 'site/a' \
         GROUP BY bucket, signal",
        six_minutes()
    );
    let positions = inner.replace("GROUP BY bucket, signal", "GROUP BY 1, 2");
    for (sql, expected) in [
        (format!("SELECT count(*), count(n), count(mean), count(held), count(line) FROM ({inner})"), "12 5 5 11 8"),
        (format!("SELECT count(*), count(n), count(mean), count(held), count(line) FROM ({positions})"), "12 5 5 11 8"),
        (
            format!("WITH g AS ({inner}) SELECT signal, held FROM g WHERE bucket >= '2025-01-01 00:05' AND held > 7"),
            "force 40.0",
        ),
        (format!("WITH g AS ({inner}) SELECT count(*) FROM g WHERE signal = 'speed' AND n IS NULL"), "3"),
        (format!("SELECT count(*) FROM ({inner}) AS g JOIN ({inner}) AS h USING (bucket, signal)"), "12"),
        (format!("SELECT signal, line FROM ({inner}) ORDER BY line DESC NULLS LAST, held LIMIT 1"), "force 20.0"),
        (format!("SELECT count(*) FROM ({inner} HAVING count(value) IS NULL)"), "7"),
        (format!("SELECT count(*) FROM ({inner} HAVING locf(avg(value)) > 5)"), "8"),
        (format!("SELECT count(*) FROM ({inner} ORDER BY signal, bucket DESC LIMIT 7)"), "7"),
        (format!("SELECT min(count) FROM (SELECT count(*) AS count FROM ({inner}) GROUP BY bucket)"), "2"),
        (
            "SELECT round(sum(held), 1) FROM (SELECT locf(avg(value)) AS held FROM (SELECT time AS t, value FROM samples \
             WHERE signal = 'speed') AS r WHERE r.t >= '2025-01-01' AND '2025-01-01 00:06' > r.t \
             GROUP BY time_bucket_gapfill('1 minute', r.t))"
                .to_owned(),
            "28.0",
        ),
        (
            "SELECT count(*) FROM (SELECT time_bucket_gapfill('1 minute', time) FROM samples WHERE NOT (time < \
             '2025-01-01') AND time BETWEEN '2024-01-01' AND '2025-01-01 00:03' AND EXISTS (SELECT 1 FROM samples o \
             WHERE o.signal = samples.signal AND o.value > 30) GROUP BY 1)"
                .to_owned(),
            "3",
        ),
    ] {
        assert_eq!(bench.ask(&sql).await, [expected], "{sql}");
    }
}

#[tokio::test]
async fn calls_may_be_parts_of_more() {
    let bench = two_signals();
    let ask = async |columns: &str| {
        let sql = format!(
            "SELECT {columns} FROM samples WHERE {} AND signal = 'speed' GROUP BY time_bucket_gapfill('1 minute', time) \
             ORDER BY time_bucket_gapfill('1 minute', time)",
            six_minutes()
        );
        bench.ask(&sql).await
    };
    assert_eq!(ask("coalesce(interpolate(max(value)), -1)").await, ["1.0", "3.0", "5.0", "7.0", "-1.0", "-1.0"]);
    assert_eq!(ask("locf(interpolate(avg(value)))").await, ["1.0", "3.0", "5.0", "7.0", "7.0", "7.0"]);
    // An empty bucket has no count, so the value itself is what is made of NULL.
    assert_eq!(ask("locf(coalesce(count(*), 0))").await, ["1", "1", "0", "1", "0", "0"]);
    assert_eq!(ask("count(*) IS NULL").await, ["false", "false", "true", "false", "true", "true"]);
    assert_eq!(
        ask("locf(last_value('at ' || value ORDER BY time))").await,
        ["at 1.0", "at 3.0", "at 3.0", "at 7.0", "at 7.0", "at 7.0"]
    );
    assert_eq!(ask("interpolate(count(*) * 2)").await, ["2.0", "2.0", "2.0", "2.0", "", ""]);
    assert_eq!(
        ask("sum(locf(avg(value))) OVER (ORDER BY time_bucket_gapfill('1 minute', time))").await,
        ["1.0", "4.0", "7.0", "14.0", "21.0", "28.0"]
    );
}

#[tokio::test]
async fn parameters_and_now_bound_the_window() {
    let bench = two_signals();
    let session = bench.engine.session("test");
    let sql = "SELECT count(*) FROM (SELECT time_bucket_gapfill($1, time, $4), locf(avg(value)) FROM samples \
               WHERE time >= $2 AND time < $3 AND signal = 'speed' GROUP BY 1)";
    let parameters = ["2 minutes", "2025-01-01 00:00", "2025-01-01 00:10", "Europe/Berlin"].map(ScalarValue::from);
    let statement = session.plan_with(sql, &parameters).await.unwrap();
    let rows: Vec<_> = session.execute(statement).await.unwrap().try_collect().await.unwrap();
    assert_eq!(format!("{:?}", rows[0].column(0)), "PrimitiveArray<Int64>\n[\n  5,\n]");

    // Buckets end with now(), also where WHERE allows for later ones.
    let now = jiff::Timestamp::now().as_microsecond();
    bench.put(&good("site/b", "late", &[(now - 90 * MINUTE, 1.0)]));
    for upper in ["", "AND time < now() + interval '1 day'"] {
        let sql = format!(
            "SELECT count(*), max(b) <= now() FROM (SELECT time_bucket_gapfill('1 minute', time) AS b, equipment FROM \
             samples WHERE time > now() - interval '2 hours' {upper} GROUP BY 1, 2)"
        );
        let answer = bench.ask(&sql).await;
        assert!(["120 true", "121 true"].contains(&answer[0].as_str()), "{answer:?}");
    }
}

/// What WHERE keeps is not left out, and what is not bounded is not filled.
#[tokio::test]
async fn rows_beyond_the_window_stay() {
    let bench = Bench::holding(&minutes("site/a", "speed", &[(0, 1.0), (3, 2.0)]));
    let sql = "SELECT extract(minute FROM b)::int, n FROM (SELECT time_bucket_gapfill('1 minute', time) AS b, \
               count(*) AS n FROM samples WHERE time BETWEEN '2025-01-01' AND '2025-01-01 00:03' GROUP BY 1) ORDER BY b";
    assert_eq!(bench.ask(sql).await, ["0 1", "1 ", "2 ", "3 1"]);
    let ahead = jiff::Timestamp::now().as_microsecond() + 3 * HOUR;
    bench.put(&good("site/a", "speed", &[(ahead, 3.0)]));
    let sql = "SELECT count(*), count(n) FROM (SELECT time_bucket_gapfill('1 hour', time) AS b, count(*) AS n FROM samples \
               WHERE time >= now() - interval '1 minute' GROUP BY 1)";
    let answer = bench.ask(sql).await;
    assert!(["2 1", "3 1"].contains(&answer[0].as_str()), "{answer:?}");
}

#[tokio::test]
async fn keys_may_be_null_and_a_series_without_rows_is_none() {
    let rows: Vec<Row> = (0..3).map(|n| ("site/a", "speed", NEW_YEAR + n * 2 * MINUTE, Some(1.0), None)).collect();
    let bench = Bench::holding(&rows);
    let of = |keys: &str, condition: &str| {
        format!(
            "SELECT count(*), count(n) FROM (SELECT time_bucket_gapfill('1 minute', time), count(*) AS n FROM samples \
             WHERE {} AND {condition} GROUP BY 1 {keys})",
            six_minutes()
        )
    };
    assert_eq!(bench.ask(&of(", quality, text", "true")).await, ["6 3"]);
    assert_eq!(bench.ask(&of(", signal", "signal = 'none'")).await, ["0 0"]);
    assert_eq!(bench.ask(&of("", "signal = 'none'")).await, ["0 0"]);
    assert_eq!(bench.ask(&of("", "false")).await, ["0 0"]);
    assert_eq!(bench.ask(&of("", "time < '2025-01-01'")).await, ["0 0"]);
}

/// In Berlin the clocks go forward on 30 March 2025, and back on 26 October.
#[tokio::test]
async fn days_have_the_hours_of_their_clocks() {
    for (from, to, hours) in
        [("2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z", "23"), ("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", "25")]
    {
        let at = from.parse::<jiff::Timestamp>().unwrap().as_microsecond() + 3 * HOUR;
        let bench = Bench::holding(&good("site/a", "speed", &[(at, 1.0)]));
        for (width, rows) in [("1 hour", hours), ("1 day", "1")] {
            let sql = format!(
                "SELECT count(*), min(b) = '{from}' FROM (SELECT time_bucket_gapfill('{width}', time, 'Europe/Berlin') AS b \
                 FROM samples WHERE time >= '{from}' AND time < '{to}' GROUP BY 1)"
            );
            assert_eq!(bench.ask(&sql).await, [format!("{rows} true")], "{sql}");
        }
    }
}

#[tokio::test]
async fn one_series_is_not_sorted_again() {
    let bench = two_signals();
    let plan = async |condition: &str| {
        let sql = format!(
            "EXPLAIN SELECT time_bucket_gapfill('1 minute', time), signal, locf(avg(value)) FROM samples WHERE {} \
             {condition} GROUP BY 1, 2 ORDER BY 1",
            six_minutes()
        );
        bench.ask(&sql).await.concat()
    };
    let sorts = |plan: &str| plan.matches("SortExec").count();
    let (one, many) = (plan("AND signal = 'speed'").await, plan("").await);
    assert!(sorts(&one) < sorts(&many), "{one}\n{many}");
    assert!(one.contains("GapFillExec") && one.contains("CarryExec"), "{one}");
}

/// A gap that a line goes through waits for its end, in the memory of queries; others do not.
#[tokio::test]
async fn a_long_gap_needs_memory_only_for_a_line() {
    let ends = good("site/a", "speed", &[(NEW_YEAR, 1.0), (NEW_YEAR + 5 * DAY - 1, 5.0)]);
    let sql = |call: &str| {
        format!(
            "SELECT count(*), count(v) FROM (SELECT time_bucket_gapfill('1 second', time), {call}(avg(value)) AS v FROM \
             samples WHERE {} GROUP BY 1)",
            within(NEW_YEAR, NEW_YEAR + 5 * DAY)
        )
    };
    let bench = Bench::holding(&ends);
    assert_eq!(bench.ask(&sql("interpolate")).await, ["432000 432000"]);
    assert_eq!(bench.engine.memory_used(), 0);
    let bench = Bench::with(Limits { memory_bytes: 8 << 20, ..Limits::default() });
    bench.put(&ends);
    assert_eq!(bench.ask(&sql("locf")).await, ["432000 432000"]);
    let refused = bench.refusal(&sql("interpolate")).await;
    assert!(matches!(refused, QueryError::Memory(_)), "{refused}");
    assert_eq!(bench.engine.memory_used(), 0);
}

/// A query that goes through very many buckets ends with its time.
#[tokio::test]
async fn filling_stops_with_the_time_allowed() {
    let timeout = std::time::Duration::from_secs(1);
    let bench = Bench::with(Limits { timeout, ..Limits::default() });
    let rows: Vec<Row> = (0..200)
        .map(|n| ("site/a", &*Box::leak(format!("s{n}").into_boxed_str()), NEW_YEAR, Some(1.0), Some(0)))
        .collect();
    bench.put(&rows);
    let sql = format!(
        "SELECT count(v) FROM (SELECT time_bucket_gapfill('1 second', time), signal, locf(avg(value)) AS v FROM samples \
         WHERE {} GROUP BY 1, 2)",
        within(NEW_YEAR, NEW_YEAR + 11 * DAY)
    );
    let begun = std::time::Instant::now();
    let refused = bench.refusal(&sql).await;
    assert!(matches!(refused, QueryError::Timeout(_)), "{refused}");
    assert!(begun.elapsed() < 20 * timeout, "{:?}", begun.elapsed());
}

/// The example of the document, with its samples, gives the table beside it.
#[tokio::test]
async fn the_document_shows_what_is_answered() {
    const DOCUMENT: &str = include_str!("../../../../docs/sql.md");
    let (_, section) = DOCUMENT.split_once("### time_bucket_gapfill(").unwrap();
    let (_, example) = section.split_once("```sql\n").unwrap();
    let (example, rest) = example.split_once("```").unwrap();
    let at = |clock: &str| format!("2025-11-21T{clock}Z").parse::<jiff::Timestamp>().unwrap().as_microsecond();
    let samples = [(at("14:01:00"), 7.1), (at("14:01:30"), 7.3), (at("14:04:00"), 7.8)];
    let bench = Bench::holding(&good("cologne/utilities/compressor", "air.pressure", &samples));
    let sql = format!(
        "SELECT to_char(bucket, '%H:%M') || '|' || coalesce(samples::text, '') || '|' || coalesce(round(mean, 3)::text, '') \
         || '|' || coalesce(round(held, 3)::text, '') || '|' || coalesce(round(line, 3)::text, '') FROM ({example}) AS e \
         ORDER BY bucket"
    );
    let cells = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|");
    let shown: Vec<String> = rest.lines().filter(|line| line.starts_with("| 14:")).map(cells).collect();
    assert_eq!(bench.ask(&sql).await, shown);
    assert_eq!(shown.len(), 5);
}
