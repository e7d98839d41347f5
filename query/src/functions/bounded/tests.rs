#![allow(clippy::unwrap_used, reason = "a test may panic")]

use arrow::util::display::array_value_to_string;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;

use super::*;

async fn ask(sql: &str) -> Result<String> {
    let mut state = SessionStateBuilder::new().with_default_features().build();
    bound(&mut state, 1 << 20);
    let batches = SessionContext::new_with_state(state).sql(sql).await?.collect().await?;
    Ok(array_value_to_string(batches[0].column(0), 0)?)
}

#[tokio::test]
async fn what_fits_is_made() {
    assert_eq!(ask("SELECT repeat('ab', 3)").await.unwrap(), "ababab");
    assert_eq!(ask("SELECT lpad('7', 3, '0')").await.unwrap(), "007");
    assert_eq!(ask("SELECT replace('abc', 'b', 'xyz')").await.unwrap(), "axyzc");
    assert_eq!(ask("SELECT regexp_replace('abc', '[bc]', 'x', 'g')").await.unwrap(), "axx");
    assert_eq!(ask("SELECT range(3)").await.unwrap(), "[0, 1, 2]");
    assert_eq!(ask("SELECT generate_series(1, 7, 3)").await.unwrap(), "[1, 4, 7]");
    assert_eq!(ask("SELECT array_repeat('a', 2)").await.unwrap(), "[a, a]");
    assert_eq!(ask("SELECT length(repeat(x, 100)) FROM (VALUES ('a'), ('b')) AS t(x)").await.unwrap(), "100");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_is_made() {
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT length(repeat(x, 1000000)) FROM (VALUES ('a'), ('b')) AS t(x)",
        "SELECT rpad('x', 2000000000, 'y')",
        "SELECT range(0, 1000000000000)",
        "SELECT generate_series(1, 1000000000000, 2)",
        "SELECT range(TIMESTAMP '2000-01-01', TIMESTAMP '2026-01-01', INTERVAL '1 millisecond')",
        "SELECT array_repeat('x', 100000000000)",
        "SELECT array_resize([1], 100000000000)",
        "SELECT array_resize([repeat('x', 600000)], 1000, repeat('x', 600000))",
        "SELECT replace(x, 'a', repeat('b', 600000)) FROM (VALUES ('aa'), ('b')) AS t(x)",
        "SELECT array_repeat(repeat('x', 600000), 1000)",
        "SELECT replace(repeat('a', 600000), 'a', repeat('b', 1000))",
        "SELECT regexp_replace(repeat('a', 600000), '', repeat('b', 1000), 'g')",
    ] {
        let refused = ask(sql).await.map_err(|error| error.to_string());
        assert!(refused.as_ref().is_err_and(|error| error.contains("more than the 1 MiB")), "{sql}: {refused:?}");
    }
}
