#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use datafusion::sql::parser::DFParser;

use crate::fixture::{Bench, good};
use crate::statement::name_apart;

fn apart(sql: &str) -> String {
    let mut statement = DFParser::parse_sql(sql).unwrap().pop_front().unwrap();
    name_apart(&mut statement);
    statement.to_string()
}

#[test]
fn only_what_is_called_the_same_gets_a_name() {
    for (written, named) in [
        ("SELECT a, a::INT, b", r#"SELECT a, cast_to(a::INT, 'INT') AS "a::INT", b"#),
        ("SELECT a, a, t.a", r#"SELECT a, a AS "a_2", t.a AS "a_3""#),
        ("SELECT t.a, u.a, T.A", r#"SELECT t.a, u.a, T.A AS "A_2""#),
        ("SELECT t.*, a FROM t", r#"SELECT t.*, a AS "a_2" FROM t"#),
        ("SELECT *, a, f(a)", r#"SELECT *, a AS "a_2", f(a)"#),
        ("SELECT f(a), F(t.a), f(b)", r#"SELECT f(a) AS "f(a)", F(t.a) AS "F(t.a)", f(b)"#),
        ("SELECT 1, 1, 1", r#"SELECT 1 AS "1", 1 AS "1_2", 1 AS "1_3""#),
        ("SELECT a AS b, '1'::INT, -(1)::INT, $1::INT", "SELECT a AS b, '1'::INT, -(1)::INT, $1::INT"),
        (
            "SELECT f(CAST(a AS INT)::TEXT) FROM t GROUP BY a::INT HAVING f(a::INT) > 0 ORDER BY a::INT",
            r#"SELECT f(cast_to(cast_to(CAST(a AS INT), 'INT')::TEXT, 'TEXT')) AS "f(CAST(a AS INT)::TEXT)" FROM t GROUP BY cast_to(a::INT, 'INT') HAVING f(cast_to(a::INT, 'INT')) > 0 ORDER BY cast_to(a::INT, 'INT')"#,
        ),
    ] {
        assert_eq!(apart(written), named);
    }
}

#[tokio::test]
async fn what_is_called_the_same_is_answered_side_by_side() {
    let bench = Bench::holding(&good("press", "force", &[(1, 1.25), (2, 2.5), (3, 2.75)]));
    for (sql, rows) in [
        ("SELECT value, value::int FROM samples WHERE value > 2 ORDER BY value::int, 1", vec!["2.5 2", "2.75 2"]),
        ("SELECT sum(value), sum(value::int), sum(value::bigint), sum(value) FROM samples", vec!["6.5 5 5 6.5"]),
        ("SELECT sum(value) FROM samples HAVING sum(value::int) < 6", vec!["6.5"]),
        (
            "SELECT value::int, count(*) FROM samples GROUP BY value::int, value::text ORDER BY 1",
            vec!["1 1", "2 1", "2 1"],
        ),
        ("SELECT count(DISTINCT value), count(DISTINCT value::int) FROM samples", vec!["3 2"]),
        ("SELECT x.value, x.value::int FROM (SELECT *, value FROM samples) AS x WHERE value < 2", vec!["1.25 1"]),
        ("SELECT value, samples.value, Value FROM samples WHERE value < 2", vec!["1.25 1.25 1.25"]),
        ("SELECT max(x) FROM (SELECT s.*, value AS x, value FROM samples AS s)", vec!["2.75"]),
        ("SELECT (SELECT count(*) FROM samples WHERE value > 2), count(*) FROM samples", vec!["2 3"]),
        ("SELECT CAST(value AS varchar) FROM samples ORDER BY value DESC LIMIT 1", vec!["2.75"]),
        ("SELECT 1, 1 UNION ALL SELECT 2, 2 ORDER BY 1", vec!["1 1", "2 2"]),
        (
            "SELECT value, sum(value) OVER (ORDER BY time), sum(value::int) OVER (ORDER BY time) FROM samples WHERE value > 2",
            vec!["2.5 2.5 2", "2.75 5.25 4"],
        ),
        ("SELECT DISTINCT signal, signal::text, signal FROM samples", vec!["force force force"]),
    ] {
        assert_eq!(bench.ask(sql).await, rows, "{sql}");
    }
    let columns =
        bench.batches("SELECT time, time::date, max(value), max(value)::int FROM samples GROUP BY 1, 2").await;
    let names: Vec<_> = columns[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["time", "time::DATE", "max(value)", "max(value)::INT"]);
}

#[tokio::test]
async fn names_that_were_given_twice_are_still_refused() {
    let bench = Bench::holding(&good("press", "force", &[(1, 1.25)]));
    let refusal = bench.refusal("SELECT value AS a, value::int AS a FROM samples").await;
    assert!(refusal.to_string().contains("same name"), "{refusal}");
}
