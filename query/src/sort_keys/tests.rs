#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use crate::fixture::*;

/// Rows in two files and in memory, so that ordered streams are merged.
#[tokio::test(flavor = "multi_thread")]
async fn computed_keys_sort_as_columns_do() {
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
    for key in [
        "abs(value) > 2",
        "NOT abs(value) > 2",
        "-abs(value)",
        "CASE WHEN abs(value) > 2 THEN 'far' ELSE 'near' END",
        "coalesce(value, 0) BETWEEN -1 AND 1",
        "abs(value) > 2 AND value < 4",
    ] {
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
