//! What cannot be is refused with words that say what to write.

use super::*;

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_remedy() {
    let bench = two_signals();
    let window = six_minutes();
    let gapfill = "time_bucket_gapfill('1 minute', time)";
    for (sql, words) in [
        (format!("SELECT {gapfill} FROM samples WHERE {window}"), "stands in GROUP BY, once"),
        (format!("SELECT max({gapfill}) FROM samples WHERE {window}"), "stands in GROUP BY, once"),
        (format!("SELECT 1 FROM samples WHERE {gapfill} > now()"), "elsewhere write time_bucket"),
        (
            format!("SELECT {gapfill}::date FROM samples WHERE {window} GROUP BY {gapfill}::date"),
            "stands alone in GROUP BY",
        ),
        (
            format!("SELECT {gapfill}, time_bucket_gapfill('1 hour', time) FROM samples WHERE {window} GROUP BY 1, 2"),
            "one time_bucket_gapfill in GROUP BY",
        ),
        (
            format!("SELECT {gapfill}, count(*) FROM samples WHERE {window} GROUP BY ROLLUP ({gapfill})"),
            "without ROLLUP",
        ),
        (format!("SELECT {gapfill}, count(*) FROM samples GROUP BY 1"), "needs to know from when: add WHERE"),
        (format!("SELECT {gapfill}, count(*) FROM samples WHERE time < now() GROUP BY 1"), "needs to know from when"),
        (format!("SELECT {gapfill}, count(*) FROM samples WHERE time = '2025-01-01' GROUP BY 1"), "from when"),
        (
            format!("SELECT {gapfill}, count(*) FROM samples WHERE {window} OR value > 1 GROUP BY 1"),
            "needs to know from when",
        ),
        (
            format!("SELECT {gapfill}, count(*) FROM samples WHERE time >= (SELECT min(time) FROM samples) GROUP BY 1"),
            "ask for it first and write what it says",
        ),
        (
            format!(
                "SELECT time_bucket_gapfill('1 minute', s.time) FROM samples s, samples r WHERE r.{} AND s.time = r.time GROUP BY 1",
                window.replace("AND time", "AND r.time")
            ),
            "add WHERE s.time >=",
        ),
        (
            format!(
                "SELECT time_bucket_gapfill('1 minute', time + interval '1 hour') FROM samples WHERE {window} GROUP BY 1"
            ),
            "is a column of times that WHERE bounds",
        ),
        (
            format!("SELECT time_bucket_gapfill(signal, time), count(*) FROM samples WHERE {window} GROUP BY 1"),
            "same width and zone",
        ),
        (
            format!("SELECT time_bucket_gapfill('1 us', time), count(*) FROM samples WHERE {window} GROUP BY 1"),
            "at most 1000000 are made; write a wider bucket or a shorter window",
        ),
        (
            "SELECT time_bucket_gapfill('1 second', time), count(*) FROM samples WHERE time > '2000-01-01' GROUP BY 1"
                .to_owned(),
            "at most 1000000 are made",
        ),
        (
            format!("SELECT time_bucket_gapfill('1 parsec', time), count(*) FROM samples WHERE {window} GROUP BY 1"),
            "is not a bucket width",
        ),
        (
            format!(
                "SELECT time_bucket_gapfill('1 hour', time, 'Mars'), count(*) FROM samples WHERE {window} GROUP BY 1"
            ),
            "is not an IANA time zone",
        ),
        (
            format!("SELECT time_bucket_gapfill('1 hour'), count(*) FROM samples WHERE {window} GROUP BY 1"),
            "time_bucket_gapfill takes a width, a time",
        ),
        (
            format!(
                "SELECT signal, (SELECT count(*) FROM (SELECT {gapfill} FROM samples s WHERE {window} AND s.signal = o.signal \
                 GROUP BY 1)) FROM samples o"
            ),
            "takes columns from the query around it",
        ),
        (
            format!("SELECT locf(avg(value)) FROM samples WHERE {window}"),
            "a query with time_bucket_gapfill in GROUP BY",
        ),
        (
            format!(
                "SELECT * FROM (SELECT {gapfill}, signal FROM samples WHERE {window} GROUP BY 1, 2) WHERE random() < 0.5"
            ),
            "without naming one of their columns",
        ),
        ("SELECT locf(1)".to_owned(), "a query with time_bucket_gapfill in GROUP BY"),
        (format!("SELECT locf(value) FROM samples WHERE {window}"), "around the aggregate"),
        (format!("SELECT {gapfill}, avg(locf(value)) FROM samples WHERE {window} GROUP BY 1"), "locf(avg(value))"),
        (
            format!("SELECT {gapfill}, locf(sum(avg(value)) OVER ()) FROM samples WHERE {window} GROUP BY 1"),
            "locf(avg(value))",
        ),
        (
            format!("SELECT locf(a) FROM (SELECT {gapfill}, avg(value) AS a FROM samples WHERE {window} GROUP BY 1)"),
            "in SELECT or HAVING of that query",
        ),
        (
            format!("SELECT interpolate(avg(value)) FROM samples WHERE {window}"),
            "as a table function it stands in FROM: interpolate('1 minute')",
        ),
        (
            format!("SELECT {gapfill}, interpolate(max(signal)) FROM samples WHERE {window} GROUP BY 1"),
            "interpolate takes numbers",
        ),
        (format!("SELECT {gapfill}, locf(1, 2) FROM samples WHERE {window} GROUP BY 1"), "locf takes one value"),
        (
            format!("SELECT {gapfill}, interpolate() FROM samples WHERE {window} GROUP BY 1"),
            "interpolate takes one value",
        ),
    ] {
        let refused = bench.refusal(&sql).await;
        assert!(refused.is_callers(), "{sql}: {refused}");
        assert!(refused.to_string().contains(words), "{sql}: {refused}");
    }
    // The table function is where it was.
    let sql = format!("SELECT count(*) FROM interpolate('1 minute') WHERE {window} AND signal = 'speed'");
    assert_eq!(bench.ask(&sql).await, ["6"]);
}
