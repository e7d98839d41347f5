#![allow(clippy::unwrap_used, reason = "a test may panic")]

use arrow::util::display::array_value_to_string;
use datafusion::logical_expr::{Volatility, create_udf};
use datafusion::prelude::SessionContext;

use super::*;

/// Two rows, so that nothing of it is a constant.
const TEXTS: &str = "(VALUES ('ab'), ('cd')) AS t(x)";
const NUMBERS: &str = "(VALUES (30000), (1)) AS t(x)";

fn state() -> SessionState {
    build(SessionStateBuilder::new().with_default_features(), 1 << 20)
}

async fn ask_of(state: SessionState, sql: &str) -> Result<String> {
    let batches = SessionContext::new_with_state(state).sql(sql).await?.collect().await?;
    Ok(array_value_to_string(batches[0].column(0), 0)?)
}

async fn ask(sql: &str) -> Result<String> {
    ask_of(state(), sql).await
}

async fn assert_refused(sql: &str, words: &str) {
    let refused = ask(sql).await.map(|answer| answer.len()).map_err(|error| error.to_string());
    assert!(refused.as_ref().is_err_and(|error| error.contains(words)), "{sql}: {refused:?}");
}

#[tokio::test]
async fn what_fits_is_made() {
    for (call, made) in [
        ("repeat('ab', 3)", "ababab"),
        ("lpad('7', 3, '0')", "007"),
        ("replace('abc', 'b', 'xyz')", "axyzc"),
        ("regexp_replace('abc', '[bc]', 'x', 'g')", "axx"),
        ("range(3)", "[0, 1, 2]"),
        ("generate_series(1, 7, 3)", "[1, 4, 7]"),
        ("array_repeat('a', 2)", "[a, a]"),
        ("array_resize([1], 2, 7)", "[1, 7]"),
        ("concat('a', NULL, 1)", "a1"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("concat_ws('', 'a', 'b')", "ab"),
        ("array_to_string([1, NULL, 3], '-', '?')", "1-?-3"),
        ("string_to_array('a b', ' ')", "[a, b]"),
        ("array_append([1], 2)", "[1, 2]"),
        ("array_push_back([1], 2)", "[1, 2]"),
        ("array_concat([1], [2], [3])", "[1, 2, 3]"),
        ("array_replace_all([1, 1], 1, 2)", "[2, 2]"),
        ("array_union([1], [2])", "[1, 2]"),
        ("arrays_zip([1], [2])", "[{1: 1, 2: 2}]"),
        ("map(['a'], [1])", "{a: 1}"),
        ("make_map('a', 1, 'b', 2)", "{a: 1, b: 2}"),
        ("overlay('abcd' PLACING 'x' FROM 2 FOR 2)", "axd"),
        ("regexp_match('ab12', '([a-z]+)([0-9]+)')", "[ab, 12]"),
        ("to_char(TIMESTAMP '2025-01-14 06:30:00', '%H:%M')", "06:30"),
    ] {
        assert_eq!(ask(&format!("SELECT {call}")).await.unwrap(), made, "{call}");
    }
    assert_eq!(ask(&format!("SELECT length(repeat(x, 100)) FROM {TEXTS}")).await.unwrap(), "200");
}

#[tokio::test]
async fn texts_and_lists_are_joined_as_before() {
    let rows = "(VALUES ('a', 1, 2.5, TIMESTAMP '2025-01-14 06:30:00', [1], NULL), ('b', 2, 0.5, NULL, [2], 'z')) \
                AS t(a, n, f, at, l, z)";
    for (joined, answer) in [
        ("a || 'x'", "ax"),
        ("'x' || a || 'y' || a", "xaya"),
        ("'x' || (a || 'y')", "xay"),
        ("a || n", "a1"),
        ("n || a", "1a"),
        ("f || '%'", "2.5%"),
        ("'at ' || at", "at 2025-01-14T06:30:00"),
        ("'is ' || (n = 1)", "is true"),
        ("a::varchar || arrow_cast(a, 'LargeUtf8') || a", "aaa"),
        ("arrow_cast(a, 'Binary') || arrow_cast(a, 'Binary')", "6161"),
        ("arrow_cast(a, 'Utf8View') || a", "aa"),
        ("arrow_cast(a, 'Dictionary(Int32, Utf8)') || arrow_cast(a, 'Dictionary(Int32, Utf8)')", "aa"),
        ("(a || z) IS NULL", "true"),
        ("(z || a) IS NULL", "true"),
        ("(a || NULL) IS NULL", "true"),
        ("(NULL || a || 'x') IS NULL", "true"),
        ("(NULL || NULL) IS NULL", "true"),
        ("('x' || z) = 'xz' OR z IS NULL", "true"),
        ("l || [2]", "[1, 2]"),
        ("l || 2", "[1, 2]"),
        ("0 || l", "[0, 1]"),
        ("l || l || l", "[1, 1, 1]"),
        ("max(a || z)", "bz"),
        ("count(a || z)", "1"),
        ("'x' || 'y' || 1", "xy1"),
        ("('x' || NULL) IS NULL", "true"),
        ("ARRAY['x' || a, a]", "[xa, a]"),
    ] {
        let sql = format!("SELECT {joined} FROM {rows}");
        assert_eq!(ask(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")), answer, "{sql}");
    }
    let grouped = format!("SELECT a || 'x', count(*) FROM {rows} WHERE a || 'x' = 'bx' GROUP BY a || 'x'");
    assert_eq!(ask(&grouped).await.unwrap(), "bx");
    let sorted = format!("SELECT a || 'x' AS y FROM {rows} ORDER BY a || 'x' DESC");
    assert_eq!(ask(&sorted).await.unwrap(), "bx");
    let outer = format!("SELECT count(*) FROM {rows} LEFT JOIN {TEXTS} ON a = x WHERE x || 'y' IS NULL");
    assert_eq!(ask(&outer).await.unwrap(), "2");
}

#[tokio::test]
async fn a_column_is_named_after_what_was_joined() {
    let plan =
        SessionContext::new_with_state(state()).sql(&format!("SELECT x || 'y' || x FROM {TEXTS}")).await.unwrap();
    assert_eq!(plan.schema().field(0).name(), "t.x || Utf8(\"y\") || t.x");
}

#[tokio::test]
async fn a_parameter_is_a_text() {
    let context = SessionContext::new_with_state(state());
    let asked = context.sql(&format!("SELECT x || $1 || $2 FROM {TEXTS}")).await.unwrap();
    let known = asked.logical_plan().get_parameter_types().unwrap();
    assert_eq!(known.get("$1"), Some(&Some(DataType::Utf8)));
    assert_eq!(known.get("$2"), Some(&Some(DataType::Utf8)));
    let answer = asked
        .with_param_values(vec![ScalarValue::from("-"), ScalarValue::from(1_i64)])
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert_eq!(array_value_to_string(answer[0].column(0), 0).unwrap(), "ab-1");
}

#[tokio::test]
async fn what_is_no_text_is_refused_with_a_remedy() {
    assert_refused("SELECT 1 || 2", "|| joins texts, not Int64 and Int64; write for example value::text || ' bar'")
        .await;
}

#[tokio::test]
async fn a_long_chain_is_joined_at_once() {
    let sql = format!("SELECT length({}x) FROM {TEXTS}", "x||".repeat(20_000));
    assert_eq!(ask(&sql).await.unwrap(), "40002");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_is_made() {
    let groups = format!("{}.*{}", "(".repeat(200), ")".repeat(200));
    for call in [
        "repeat(x, 1000000)",
        "rpad(x, 2000000000, 'y')",
        "array_repeat(x, 100000000000)",
        "array_resize([x], 100000000000)",
        "array_resize([x], 1000, repeat(x, 100000))",
        "replace(x, 'a', repeat(x, 150000))",
        "array_repeat(repeat(x, 100000), 1000)",
        "replace(repeat(x, 100000), 'a', repeat(x, 1000))",
        "regexp_replace(repeat(x, 100000), '', repeat(x, 1000), 'g')",
        "repeat(x, 100000) || repeat(x, 100000) || repeat(x, 100000)",
        "concat(repeat(x, 100000), 'y', repeat(x, 100000), repeat(x, 100000))",
        "concat_ws(repeat(x, 100000), x, x, x, x)",
        "concat_ws('', repeat(x, 100000), repeat(x, 100000), repeat(x, 100000))",
        "array_to_string(array_repeat(x, 10000), repeat(x, 100))",
        "array_to_string(array_repeat(NULL, 10000), ',', repeat(x, 100))",
        "string_to_array(repeat(x, 100000), NULL)",
        "array_replace_all(array_repeat(x, 1000), x, repeat(x, 10000))",
        "array_replace_n(array_repeat(x, 1000), x, repeat(x, 10000), 1000)",
        "[repeat(x, 100000), repeat(x, 100000), repeat(x, 100000)]",
        "overlay(repeat(x, 150000) PLACING x FROM 1)",
        &format!("regexp_match(repeat(x, 2000), '{groups}')"),
        "to_char(TIMESTAMP '2025-01-14 06:30:00', repeat(x, 20000))",
    ] {
        assert_refused(&format!("SELECT {call} FROM {TEXTS}"), "more than the 1 MiB that it may have").await;
    }
    for call in [
        "range(0, x * 100)",
        "generate_series(1, x * 100, 2)",
        "arrays_zip(range(0, x), [x], [x], [x], [x])",
        "array_to_string(range(0, x), ',')",
        "array_union(range(0, 3 * x), range(x, 4 * x))",
    ] {
        assert_refused(&format!("SELECT {call} FROM {NUMBERS}"), "more than the 1 MiB that it may have").await;
    }
    for call in [
        "range(0, 1000000000000)",
        "range(TIMESTAMP '2000-01-01', TIMESTAMP '2026-01-01', INTERVAL '1 millisecond')",
        "array_resize([1], 100000000000)",
        "array_repeat('x', 100000000000)",
    ] {
        assert_refused(&format!("SELECT {call}"), "more than the 1 MiB that it may have").await;
    }
}

#[tokio::test]
async fn a_large_row_counts_whatever_the_others_are() {
    let sql = "SELECT array_repeat(repeat('x', n), m) FROM (VALUES (100000, 1000), (1, 1), (1, 1)) AS t(n, m)";
    assert_refused(sql, "array_repeat would make an answer of 96 MiB").await;
}

#[tokio::test]
async fn a_constant_may_be_smaller_only() {
    assert_refused(
        "SELECT repeat('x', 2000)",
        "repeat would make a constant of 2 KiB, more than the 1 KiB that it may have; ask for less of it, or raise \
         `memory_bytes` in [query]",
    )
    .await;
    for call in [
        "repeat('x', 2000000000)",
        "concat(repeat('x', 600), repeat('y', 600))",
        "repeat('x', 600) || repeat('y', 600)",
    ] {
        assert_refused(&format!("SELECT {call}"), "more than the 1 KiB that it may have").await;
        assert_refused(&format!("SELECT length({call}) FROM {TEXTS}"), "more than the 1 KiB that it may have").await;
    }
    for call in ["concat(repeat('x', 600), repeat('y', 600), x)", "concat_ws(repeat('-', 600), 'a', 'b', x)"] {
        assert_refused(&format!("SELECT {call} FROM {TEXTS}"), "more than the 1 KiB that it may have").await;
    }
}

/// A statement that takes a step 40 times, from a column `x`.
fn repeated(from: &str, step: &str, answer: &str) -> String {
    let steps = (1..=40).map(|place| format!(", t{place} AS (SELECT {step} AS x FROM t{})", place - 1));
    format!("WITH t0 AS (SELECT x FROM {from}){} SELECT {answer} FROM t40", steps.collect::<String>())
}

#[tokio::test]
async fn doubling_ends() {
    let texts = TEXTS;
    let lists = "(SELECT make_array(n) AS x FROM (VALUES (1), (2)) AS t(n))";
    for (from, step, size) in [
        (texts, "x || x", "length(x)"),
        (texts, "concat(x, x)", "length(x)"),
        (texts, "concat_ws('', x, x)", "length(x)"),
        (texts, "concat_ws('-', x, x)", "length(x)"),
        (texts, "array_to_string([x, x], '')", "length(x)"),
        (texts, "overlay(x, x, 1, 0)", "length(x)"),
        (texts, "make_map('a', x, 'b', x)", "x"),
        (texts, "replace(x, 'a', 'aa')", "length(x)"),
        ("(SELECT 'ab' AS x)", "x || x", "length(x)"),
        ("(SELECT 'ab' AS x)", "concat(x, x)", "length(x)"),
        (lists, "x || x", "cardinality(x)"),
        (lists, "array_concat(x, x)", "cardinality(x)"),
        (lists, "flatten([x, x])", "cardinality(x)"),
        ("(SELECT [1] AS x)", "x || x", "cardinality(x)"),
    ] {
        assert_refused(&repeated(from, step, size), "that it may have").await;
    }
}

#[tokio::test]
async fn a_type_does_not_grow_without_end() {
    for step in ["named_struct('a', x, 'b', x)", "struct(x, x)", "(x, x)", "arrays_zip([x], [x])"] {
        assert_refused(&repeated(TEXTS, step, "x"), "more than the 10000 that it may have").await;
    }
    for kind in ["FixedSizeBinary(2000000000)", "FixedSizeList(1000000000 x Int64)"] {
        assert_refused(&format!("SELECT arrow_cast(NULL, '{kind}')"), "in one column, more than the 10000").await;
    }
    for (call, made) in [
        ("named_struct('a', 1, 'b', 'x')", "{a: 1, b: x}"),
        ("struct(1, 2)", "{c0: 1, c1: 2}"),
        ("named_struct('a', 1)['a']", "1"),
        ("arrow_cast(1, 'Utf8')", "1"),
        ("arrow_cast([1, 2], 'FixedSizeList(2 x Int64)')", "[1, 2]"),
    ] {
        assert_eq!(ask(&format!("SELECT {call}")).await.unwrap(), made, "{call}");
    }
}

#[tokio::test]
async fn only_the_rows_that_are_there_count() {
    // One row of many: its column is a part of a large one.
    let many = "(SELECT repeat('x', 10) AS x, n FROM (SELECT unnest(range(0, 60000)) AS n))";
    let sql = format!("SELECT count(x || x || x) FROM (SELECT x FROM {many} ORDER BY n)");
    assert_eq!(ask(&sql).await.unwrap(), "60000");
}

#[tokio::test]
async fn a_function_that_came_later_is_bounded_too() {
    let mut state = state();
    let twice = |args: &[ColumnarValue]| Ok(args[0].clone());
    let quote = create_udf("quote_ident", vec![DataType::Utf8], DataType::Utf8, Volatility::Immutable, Arc::new(twice));
    state.register_udf(Arc::new(quote)).unwrap();
    bound(&mut state, 1 << 20);
    let refused = ask_of(state, &format!("SELECT quote_ident(repeat(x, 200000)) FROM {TEXTS}")).await.unwrap_err();
    assert!(refused.to_string().contains("quote_ident would make an answer of 2 MiB"), "{refused}");
}
