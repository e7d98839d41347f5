use super::*;
use crate::postgres::copy::CopyFormat;

fn command(sql: &str) -> Command {
    let mut statements = split(sql).expect("the statement is understood");
    assert_eq!(statements.len(), 1, "{sql}");
    statements.remove(0).command
}

fn set(name: &str, value: Option<&str>) -> Command {
    Command::Set { name: name.to_owned(), value: value.map(str::to_owned), local: false }
}

const SELECT: Command = Command::Query { tag: "SELECT" };

#[test]
fn comments_and_semicolons_are_no_statement() {
    for sql in ["", ";", " ;; ", "-- ping", "/* nothing */ ;", "\n-- a\n-- b\n"] {
        assert_eq!(split(sql), Ok(Vec::new()), "{sql:?}");
    }
}

#[test]
fn a_query_string_is_cut_at_its_own_semicolons_only() {
    let statements = split("SELECT ';' AS \"a;b\"; /* ; */ SELECT $$;$$ -- ;\n;").expect("two statements");
    let texts: Vec<_> = statements.iter().map(|statement| statement.text.as_str()).collect();
    assert_eq!(texts, ["SELECT ';' AS \"a;b\"", "SELECT $$;$$"]);
}

#[test]
fn a_statement_knows_where_it_begins_in_characters() {
    let statements = split("SELECT 'ü';\n  SELECT 2").expect("two statements");
    assert_eq!(statements[0].start, 0);
    assert_eq!(statements[1].start, 14);
}

#[test]
fn an_unfinished_string_is_a_syntax_error() {
    let failure = split("SELECT 'abc").expect_err("no end of the string");
    assert_eq!(failure.sqlstate, sqlstate::SYNTAX_ERROR);
    assert!(failure.position.is_some());
}

#[test]
fn what_reads_is_a_query() {
    for sql in [
        "SELECT 1",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
        "VALUES (1)",
        "TABLE samples",
        "select \"insert\" from \"update\"",
        "SELECT insert FROM (SELECT update FROM delete) AS s",
    ] {
        assert_eq!(command(sql), SELECT, "{sql}");
    }
    assert_eq!(command("EXPLAIN ANALYZE SELECT 1"), Command::Query { tag: "EXPLAIN" });
    assert_eq!(command("EXPLAIN (ANALYZE, VERBOSE) SELECT 1"), Command::Query { tag: "EXPLAIN" });
}

#[test]
fn what_changes_anything_is_a_write_wherever_it_hides() {
    for sql in [
        "INSERT INTO samples VALUES (1)",
        "update samples set value = 1",
        "DELETE FROM samples",
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE samples",
        "TRUNCATE samples",
        "EXPLAIN ANALYZE INSERT INTO samples VALUES (1)",
        "EXPLAIN (ANALYZE) DELETE FROM samples",
        "EXPLAIN ANALYZE COPY samples TO '/tmp/x'",
        "EXPLAIN ANALYZE VERBOSE CREATE TABLE t AS SELECT 1",
        "WITH x AS (SELECT 1) INSERT INTO samples SELECT * FROM x",
        "WITH x AS (DELETE FROM samples RETURNING *) SELECT * FROM x",
        "WITH x AS (SELECT 1) UPDATE samples SET value = 2",
        "EXPLAIN WITH x AS (SELECT 1) DELETE FROM samples",
        "COPY samples FROM STDIN",
        "COPY samples TO '/tmp/samples.csv'",
        "COPY samples TO PROGRAM 'cat'",
        "DECLARE c CURSOR FOR INSERT INTO samples VALUES (1)",
    ] {
        assert_eq!(command(sql), Command::Write, "{sql}");
    }
}

#[test]
fn transactions_come_in_many_spellings() {
    for sql in
        ["BEGIN", "begin work", "START TRANSACTION", "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    {
        assert_eq!(command(sql), Command::Begin, "{sql}");
    }
    assert_eq!(command("END"), Command::Commit);
    assert_eq!(command("COMMIT WORK"), Command::Commit);
    assert_eq!(command("ABORT"), Command::Rollback);
    assert_eq!(command("ROLLBACK TO SAVEPOINT \"_pg3_1\""), Command::RollbackTo("_pg3_1".to_owned()));
    assert_eq!(command("ROLLBACK WORK TO Sp"), Command::RollbackTo("sp".to_owned()));
    assert_eq!(command("SAVEPOINT \"Sp\""), Command::Savepoint("Sp".to_owned()));
    assert_eq!(command("RELEASE SAVEPOINT sp"), Command::Release("sp".to_owned()));
}

#[test]
fn settings_are_read_in_every_form() {
    assert_eq!(command("SET DateStyle = 'ISO'"), set("datestyle", Some("ISO")));
    assert_eq!(command("SET SESSION datestyle TO ISO, MDY"), set("datestyle", Some("ISO, MDY")));
    assert_eq!(command("SET extra_float_digits = 3"), set("extra_float_digits", Some("3")));
    assert_eq!(command("SET statement_timeout TO DEFAULT"), set("statement_timeout", None));
    assert_eq!(command("SET TIME ZONE 'Europe/Berlin'"), set("timezone", Some("Europe/Berlin")));
    assert_eq!(command("SET TIME ZONE -5"), set("timezone", Some("-5")));
    assert_eq!(command("SET TIME ZONE LOCAL"), set("timezone", None));
    assert_eq!(command("SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE"), set("timezone", Some("+02:00")));
    assert_eq!(command("SET NAMES 'utf8'"), set("client_encoding", Some("utf8")));
    assert_eq!(
        command("SET LOCAL my.setting = 'x'"),
        Command::Set { name: "my.setting".to_owned(), value: Some("x".to_owned()), local: true }
    );
    assert_eq!(command("SET TRANSACTION READ ONLY"), Command::Accepted("SET"));
    assert_eq!(command("RESET ALL"), Command::Reset(None));
    assert_eq!(command("show transaction isolation level"), Command::Show("transaction_isolation".to_owned()));
    assert_eq!(command("SHOW TIME ZONE"), Command::Show("timezone".to_owned()));
}

#[test]
fn cursors_fetch_forward_only() {
    let Command::Declare { cursor, query, hold } = command("DECLARE \"srv\" NO SCROLL CURSOR WITH HOLD FOR select 1")
    else {
        panic!("a declaration");
    };
    assert_eq!((cursor.as_str(), query.text.as_str()), ("srv", "select 1"));
    assert_eq!(query.command, SELECT);
    assert!(hold);
    let fetch = |rows| Command::Fetch { cursor: "srv".to_owned(), rows, moves: false };
    assert_eq!(command("FETCH FORWARD 10 FROM \"srv\""), fetch(10));
    assert_eq!(command("FETCH ALL IN srv"), fetch(0));
    assert_eq!(command("FETCH srv"), fetch(1));
    assert!(split("FETCH BACKWARD 1 FROM srv").is_err());
    assert_eq!(command("CLOSE ALL"), Command::Close(None));
}

#[test]
fn sessions_are_tidied() {
    assert_eq!(command("DISCARD ALL"), Command::Discard { what: "all".to_owned() });
    assert_eq!(command("DEALLOCATE PREPARE \"_P\""), Command::Deallocate(Some("_P".to_owned())));
    assert_eq!(command("DEALLOCATE ALL"), Command::Deallocate(None));
}

#[test]
fn copy_reads_a_query_or_a_table_in_both_option_syntaxes() {
    let copy = |sql: &str| match command(sql) {
        Command::Copy(copy) => *copy,
        other => panic!("{sql}: {other:?}"),
    };
    let binary = copy("COPY (SELECT \"time\" FROM \"public\".\"samples\" ) TO STDOUT (FORMAT \"binary\");");
    assert_eq!(
        (binary.query.as_str(), binary.format),
        ("SELECT \"time\" FROM \"public\".\"samples\"", CopyFormat::Binary)
    );
    assert_eq!(binary.start, 6);
    assert_eq!(copy("COPY (select 1) TO STDOUT WITH BINARY").format, CopyFormat::Binary);
    let csv = copy("COPY samples (time, value) TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'n/a')");
    assert_eq!(csv.query, "SELECT time, value FROM samples");
    assert_eq!((csv.format, csv.header, csv.delimiter, csv.null.as_str()), (CopyFormat::Csv, true, b';', "n/a"));
    assert_eq!(copy("COPY public.samples TO STDOUT").null, "\\N");
    assert_eq!(copy("COPY samples TO STDOUT CSV HEADER").null, "");
}
