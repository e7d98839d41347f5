#![allow(clippy::unwrap_used, reason = "a test may panic")]

use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use super::*;

pub(super) fn parse(sql: &str) -> Statement {
    DFParser::parse_sql(sql).unwrap().pop_front().unwrap()
}

#[test]
fn reading_is_allowed_and_everything_else_is_refused() {
    for sql in [
        "SELECT 1",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES (1)",
        "SHOW TABLES",
        "EXPLAIN ANALYZE SELECT 1",
        "SET TIME ZONE 'Europe/Berlin'",
        "BEGIN",
    ] {
        assert!(check_reads(&parse(sql)).is_ok(), "{sql}");
    }
    for (sql, named) in [
        ("CREATE TABLE a (b INT)", "CREATE TABLE"),
        ("EXPLAIN ANALYZE INSERT INTO a VALUES (1)", "INSERT"),
        ("EXPLAIN COPY a TO '/tmp/a.csv'", "COPY"),
        ("CREATE EXTERNAL TABLE a STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
        ("DELETE FROM a", "DELETE"),
        ("UPDATE a SET b = 1", "UPDATE"),
        ("DROP TABLE a", "DROP TABLE"),
    ] {
        let refused = check_reads(&parse(sql));
        assert!(matches!(&refused, Err(QueryError::ReadOnly(what)) if what == named), "{sql}: {refused:?}");
    }
}

#[test]
fn parameters_are_counted_by_their_highest_number() {
    assert_eq!(parameter_count(&parse("SELECT $2 FROM oee($3) WHERE a = $1")), 3);
    assert_eq!(parameter_count(&parse("SELECT 1")), 0);
}

#[test]
fn arguments_of_table_functions_are_bound_and_other_parameters_stay() {
    let mut statement = parse("SELECT * FROM oee($1, $2) WHERE equipment = $3");
    let from = ScalarValue::TimestampMicrosecond(Some(0), Some("UTC".into()));
    let parameters = [ScalarValue::from("1 hour"), from, ScalarValue::from("press")];
    bind_function_arguments(&mut statement, &parameters).unwrap();
    assert_eq!(statement.to_string(), "SELECT * FROM oee('1 hour', '1970-01-01T00:00:00Z') WHERE equipment = $3");
}

#[test]
fn a_missing_argument_is_named() {
    let bound = bind_function_arguments(&mut parse("SELECT * FROM oee($2)"), &[ScalarValue::from("1 hour")]);
    assert!(matches!(bound, Err(QueryError::Statement { message, .. }) if message.contains("$2")));
}

#[test]
fn clauses_that_would_be_left_out_are_refused() {
    let refusal = |sql: &str| check_clauses(&parse(sql)).unwrap_err().to_string();
    assert!(check_clauses(&parse("SELECT * FROM a JOIN (SELECT 1) b ON true")).is_ok());
    for sql in [
        "SELECT * FROM a TABLESAMPLE SYSTEM (1)",
        "SELECT * FROM a AS b TABLESAMPLE BERNOULLI (1)",
        "SELECT (SELECT count(*) FROM a TABLESAMPLE SYSTEM (1))",
        "EXPLAIN WITH b AS (SELECT * FROM a TABLESAMPLE SYSTEM (1)) SELECT * FROM b",
    ] {
        assert!(refusal(sql).starts_with("TABLESAMPLE is not possible here"), "{sql}");
    }
    for sql in [
        "SELECT 1 INTERSECT ALL SELECT 1",
        "SELECT 1 UNION ALL SELECT 2 EXCEPT ALL SELECT 3",
        "SELECT (SELECT 1 EXCEPT ALL SELECT 2)",
    ] {
        assert!(refusal(sql).starts_with("INTERSECT ALL and EXCEPT ALL are not possible"), "{sql}");
    }
    assert!(check_clauses(&parse("SELECT 1 UNION ALL SELECT 1 EXCEPT SELECT 2")).is_ok());
}

#[test]
fn an_earlier_time_in_from_is_refused_with_what_to_write() {
    let sql = "SELECT * FROM a FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-26 10:00:00'";
    let error = DFParser::parse_sql_with_dialect(sql, &PostgreSqlDialect {}).unwrap_err();
    let refusal = versioned(sql, error.into());
    assert!(refusal.to_string().contains("SET as_of = "), "{refusal}");
    let other = DFParser::parse_sql("SELECT 1 +").unwrap_err();
    assert!(!versioned("SELECT 1 +", other.into()).to_string().contains("as_of"));
}
