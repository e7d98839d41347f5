use super::*;

fn headers(kind: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, kind.parse().expect("a header value"));
    headers
}

#[test]
fn a_statement_comes_as_text_or_json() {
    let read =
        |kind: &str, body: &str| asking(&headers(kind), body.as_bytes()).map(|asking| (asking.sql, asking.params));
    let plain = ("SELECT 1".to_owned(), Vec::new());
    assert_eq!(read("text/plain; charset=utf-8", "SELECT 1").expect("text"), plain);
    assert_eq!(read("application/json", r#"{"sql": "SELECT 1"}"#).expect("JSON"), plain);
    let (_, params) = read("application/json", r#"{"sql": "SELECT $1", "params": [1, "a"]}"#).expect("JSON");
    assert_eq!(params.len(), 2);
    assert_eq!(read("application/json", "SELECT 1").expect_err("no JSON").status().as_u16(), 400);
    assert_eq!(read("application/json", r#"{"query": "SELECT 1"}"#).expect_err("no sql").status().as_u16(), 400);
    assert_eq!(read("application/xml", "<sql/>").expect_err("no SQL").status().as_u16(), 415);
    assert_eq!(asking(&HeaderMap::new(), b"\xff").expect_err("no UTF-8").status().as_u16(), 400);
}

#[test]
fn parameters_keep_their_types() {
    let value = |json: Value| parameter((0, &json)).map_err(|refusal| refusal.message().to_owned());
    assert_eq!(value(7.into()), Ok(ScalarValue::Int64(Some(7))));
    assert_eq!(value(7.5.into()), Ok(ScalarValue::Float64(Some(7.5))));
    assert_eq!(value("a".into()), Ok(ScalarValue::Utf8(Some("a".into()))));
    assert_eq!(value(true.into()), Ok(ScalarValue::Boolean(Some(true))));
    assert_eq!(value(Value::Null), Ok(ScalarValue::Null));
    assert!(value(serde_json::json!([1])).expect_err("a list").contains("$1"));
}
