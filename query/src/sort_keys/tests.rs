#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use crate::fixture::*;

#[tokio::test(flavor = "multi_thread")]
async fn computed_keys_sort_as_columns_do() {
    let bench = in_files_and_in_memory();
    for key in KEYS {
        for (direction, limit) in [("", ""), (" DESC", ""), (" DESC NULLS LAST", " LIMIT 7")] {
            let sorted = bench.ask(&format!("SELECT time FROM samples ORDER BY {key}{direction}, time{limit}")).await;
            let shown = bench
                .ask(&format!(
                    "SELECT time FROM (SELECT time, {key} AS k FROM samples) AS x ORDER BY k{direction}, time{limit}"
                ))
                .await;
            assert_eq!(sorted, shown, "{key}{direction}{limit}");
            assert_eq!(sorted.len(), if limit.is_empty() { 150 } else { 7 });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_by_computed_keys_are_as_by_columns() {
    let bench = in_files_and_in_memory();
    for key in KEYS {
        for over in [
            "rank() OVER (PARTITION BY # ORDER BY time)",
            "rank() OVER (ORDER BY # DESC)",
            "sum(value) OVER (PARTITION BY equipment, # ORDER BY #, time ROWS 3 PRECEDING)",
            "count(*) FILTER (WHERE value > 0) OVER (PARTITION BY #), row_number() OVER (ORDER BY time)",
            "1 + lag(value) OVER (PARTITION BY # ORDER BY -value, time), rank() OVER (ORDER BY value)",
        ] {
            let computed = over.replace('#', key);
            let computed = bench.ask(&format!("SELECT time, {computed} FROM samples ORDER BY time")).await;
            let columns = over.replace('#', "k");
            let columns = bench
                .ask(&format!("SELECT time, {columns} FROM (SELECT *, {key} AS k FROM samples) ORDER BY time"))
                .await;
            assert_eq!(computed.len(), 150);
            assert_eq!(computed, columns, "{over} of {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_by_computed_keys_are_as_by_columns() {
    let bench = in_files_and_in_memory();
    for key in KEYS {
        for aggregate in [
            "array_agg(value ORDER BY #, time)",
            "string_agg(signal, ',' ORDER BY # DESC, time), count(*)",
            "quality, first_value(time ORDER BY #, time DESC)",
            "array_agg(DISTINCT # ORDER BY #)",
        ] {
            let computed = format!("SELECT {} FROM samples", aggregate.replace('#', key));
            let columns = format!("SELECT {} FROM (SELECT *, {key} AS k FROM samples)", aggregate.replace('#', "k"));
            let group = if aggregate.starts_with("quality") { " GROUP BY quality" } else { "" };
            let computed = bench.ask(&format!("{computed}{group}")).await;
            assert_eq!(computed.len(), 1);
            assert_eq!(computed, bench.ask(&format!("{columns}{group}")).await, "{aggregate} of {key}");
        }
    }
}

const KEYS: [&str; 6] = [
    "abs(value) > 2",
    "NOT abs(value) > 2",
    "-abs(value)",
    "CASE WHEN abs(value) > 2 THEN 'far' ELSE 'near' END",
    "coalesce(value, 0) BETWEEN -1 AND 1",
    "abs(value) > 2 AND value < 4",
];

/// Rows in two files and in memory, so that ordered streams are merged.
fn in_files_and_in_memory() -> Bench {
    let bench = Bench::new();
    for part in 0..3_i64 {
        let rows: Vec<_> = (0..50)
            .map(|n| ("site/a", "force", NEW_YEAR + (3 * n + part) * SECOND, Some((n * 7 % 11 - 5) as f64), Some(0)))
            .collect();
        bench.put(&rows);
        if part < 2 {
            bench.store.flush().unwrap();
        }
    }
    bench
}
