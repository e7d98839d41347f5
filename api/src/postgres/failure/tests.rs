use datafusion::prelude::SessionContext;

use super::*;

async fn failure_of(sql: &str) -> Failure {
    let ctx = SessionContext::new();
    ctx.sql("CREATE VIEW machine AS SELECT 1 AS id, 'press' AS name").await.expect("a view");
    let result = match ctx.sql(sql).await {
        Ok(frame) => frame.collect().await.map(|_| ()),
        Err(error) => Err(error),
    };
    Failure::from(result.expect_err("the statement fails")).positioned(sql, Some)
}

#[tokio::test]
async fn an_unreadable_statement_is_a_syntax_error_with_its_place() {
    let failure = failure_of("SELECT *\nFORM machine").await;
    assert_eq!(failure.sqlstate, sqlstate::SYNTAX_ERROR);
    assert!(failure.position.is_some_and(|position| position > 9), "{failure:?}");
    assert!(!failure.message.contains("Line:"), "{failure:?}");
}

#[tokio::test]
async fn an_unknown_table_is_undefined() {
    assert_eq!(failure_of("SELECT 1 FROM nothing_here").await.sqlstate, sqlstate::UNDEFINED_TABLE);
}

#[tokio::test]
async fn an_unknown_column_is_undefined() {
    let failure = failure_of("SELECT speed FROM machine").await;
    assert_eq!(failure.sqlstate, sqlstate::UNDEFINED_COLUMN);
    assert!(failure.message.contains("speed"), "{failure:?}");
}

#[tokio::test]
async fn an_unknown_function_is_undefined() {
    assert_eq!(failure_of("SELECT no_such_function(1)").await.sqlstate, sqlstate::UNDEFINED_FUNCTION);
}

#[tokio::test]
async fn a_division_by_zero_says_so() {
    assert_eq!(failure_of("SELECT 1 / (id - id) FROM machine").await.sqlstate, "22012");
}

#[tokio::test]
async fn text_that_is_no_number_is_invalid() {
    let failure = failure_of("SELECT CAST(name AS INT) FROM machine").await;
    assert_eq!(failure.sqlstate, sqlstate::INVALID_TEXT_REPRESENTATION);
}

#[test]
fn exhausted_memory_is_out_of_memory_however_deeply_wrapped() {
    let error = DataFusionError::ResourcesExhausted("pool".to_owned()).context("sort").context("query");
    assert_eq!(Failure::from(error).sqlstate, "53200");
}

#[test]
fn a_place_counts_characters_not_bytes() {
    let text = "SELECT 'Köln',\n  x";
    assert_eq!(character_at(text, Place { line: 2, column: 3 }), Some(17));
    assert_eq!(character_at(text, Place { line: 1, column: 13 }), Some(12));
    assert_eq!(character_at(text, Place { line: 9, column: 1 }), None);
}

#[test]
fn a_fatal_failure_is_marked_on_the_wire() {
    let response = Failure::shutting_down().into_response();
    assert!(response.fields.contains(&(b'S', "FATAL".to_owned())));
    assert!(response.fields.contains(&(b'C', "57P01".to_owned())));
}
