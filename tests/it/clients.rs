//! PostgreSQL clients as people use them: psql and psycopg.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::harness::{Server, output, python, root, takt};

const PRESS: &str = "cologne/line-1/press";

/// A server with one temperature a minute, ten in all: 0.5, 1.5, …
fn start(folder: &std::path::Path) -> Server {
    let server = Server::start(folder);
    let sample = |m: u32| {
        let time = format!("2025-03-03T10:{m:02}:00Z");
        json!({"equipment": PRESS, "signal": "temperature", "time": time, "value": f64::from(m) + 0.5})
    };
    let rows: serde_json::Value = (0..10).map(sample).collect();
    assert_eq!(server.post("/api/v1/samples", rows.to_string()).0, 200);
    server
}

fn psql(server: &Server, user: &str, password: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["-X", "-w", "-h", "127.0.0.1", "-U", user, "-p", &server.pg.port().to_string()]);
    command.env("PGPASSWORD", password).env("PGTZ", "UTC").stdin(Stdio::null());
    for name in ["PGSSLMODE", "PGOPTIONS", "PGSERVICE", "PGDATABASE"] {
        command.env_remove(name);
    }
    command.arg("takt");
    command
}

fn ask(server: &Server, arguments: &[&str]) -> String {
    output(psql(server, "takt", "").args(arguments))
}

fn script(name: &str, arguments: &[&str]) -> Command {
    let mut command = python();
    command.arg(root().join("tests/it").join(name)).args(arguments);
    command
}

fn errors(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn psql_fills_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let sql = "SELECT time_bucket_gapfill('4 minutes', time) AS bucket, signal, count(*), locf(max(value)), \
               interpolate(avg(value)) FROM samples WHERE time >= '2025-03-03 09:56' AND time < '2025-03-03 10:13' \
               AND equipment = 'cologne/line-1/press' GROUP BY 1, 2 ORDER BY 1";
    let rows = "2025-03-03 09:56:00+00|temperature|||\n\
                2025-03-03 10:00:00+00|temperature|4|3.5|2.0\n\
                2025-03-03 10:04:00+00|temperature|4|7.5|6.0\n\
                2025-03-03 10:08:00+00|temperature|2|9.5|9.0\n\
                2025-03-03 10:12:00+00|temperature||9.5|\n";
    assert_eq!(ask(&server, &["-Atc", sql]), rows);
}

#[test]
fn psql_asks_and_looks_around() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let rows = ask(&server, &["-Atc", "SELECT time, value, unit FROM samples ORDER BY time LIMIT 2"]);
    assert_eq!(rows, "2025-03-03 10:00:00+00|0.5|\n2025-03-03 10:01:00+00|1.5|\n");
    assert_eq!(ask(&server, &["-Atc", "SELECT 1; SELECT 'two'"]), "1\ntwo\n");
    assert_eq!(ask(&server, &["-Atc", "-- only a comment"]), "");
    let berlin = ["-At", "-c", "SET TIME ZONE 'Europe/Berlin'", "-c", "SELECT min(time) FROM samples"];
    assert_eq!(ask(&server, &berlin), "SET\n2025-03-03 11:00:00+01\n");
    assert_eq!(ask(&server, &["-At", "-c", "BEGIN", "-c", "SELECT 1", "-c", "COMMIT"]), "BEGIN\n1\nCOMMIT\n");
    let copied = ask(&server, &["-c", "\\copy (SELECT value FROM samples ORDER BY time LIMIT 2) TO STDOUT CSV HEADER"]);
    assert_eq!(copied, "value\n0.5\n1.5\n");

    let tables = ask(&server, &["-At", "-c", "\\dt"]);
    for table in ["samples", "samples_history", "operations", "work_orders", "units", "states", "counts", "quarantine"]
    {
        assert!(tables.contains(&format!("public|{table}|table|")), "{table} is not in\n{tables}");
    }
    let columns = ask(&server, &["-At", "-c", "\\d samples"]);
    for column in ["time|timestamp with time zone|", "value|double precision|", "equipment|text|", "quality|bigint|"] {
        assert!(columns.contains(column), "{column} is not in\n{columns}");
    }
    for look in ["\\d", "\\l", "\\dn", "\\dv", "\\df", "\\conninfo"] {
        ask(&server, &["-v", "ON_ERROR_STOP=1", "-c", look]);
    }
}

/// What PostgreSQL 15 answers to the same statements, line by line.
#[test]
fn times_are_read_and_shown_in_the_session_zone() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let count = |condition: &str| format!("SELECT count(*) FROM samples WHERE {condition}");
    let from_five = [
        count("time >= '2025-03-03 11:05'"),
        count("time >= '2025-03-03 11:05:00'"),
        count("time >= timestamptz '2025-03-03 11:05'"),
        count("time >= '2025-03-03 10:05Z'"),
        count("time BETWEEN '2025-03-03 11:05' AND '2025-03-03 12:00+01'"),
        count("time AT TIME ZONE 'Europe/Berlin' >= timestamp '2025-03-03 11:05'"),
        count("time >= timestamp '2025-03-03 11:05' AT TIME ZONE 'Europe/Berlin'"),
    ];
    for statement in &from_five {
        let told = ask(&server, &["-At", "-c", "SET TIME ZONE 'Europe/Berlin'", "-c", statement]);
        assert_eq!(told, "SET\n5\n", "{statement}");
    }
    assert_eq!(ask(&server, &["-Atc", &count("time >= '2025-03-03 10:05'")]), "5\n");
    for (expression, expected) in [
        ("timestamptz '2025-07-01 12:00Z' AT TIME ZONE 'Europe/Berlin'", "2025-07-01 14:00:00"),
        ("timestamp '2025-07-01 12:00' AT TIME ZONE 'Europe/Berlin'", "2025-07-01 10:00:00+00"),
        (
            "timestamptz '2025-07-01 12:00Z' AT TIME ZONE 'America/New_York' AT TIME ZONE 'UTC'",
            "2025-07-01 08:00:00+00",
        ),
        ("timezone('Asia/Kolkata', timestamptz '2025-07-01 12:00Z')", "2025-07-01 17:30:00"),
        ("NULL::timestamptz AT TIME ZONE 'UTC' IS NULL", "t"),
        ("timestamp '2025-07-01 12:00'", "2025-07-01 12:00:00"),
    ] {
        assert_eq!(ask(&server, &["-Atc", &format!("SELECT {expression}")]), format!("{expected}\n"), "{expression}");
    }
    let local = ask(&server, &["-Atc", "SELECT max(time AT TIME ZONE 'Europe/Berlin') FROM samples"]);
    assert_eq!(local, "2025-03-03 11:09:00\n");
    // A table function reads its window in the session's zone as well.
    for (from, to) in [
        ("'2025-03-03 11:00'", "'2025-03-03 11:05'"),
        ("timestamptz '2025-03-03 11:00'", "'2025-03-03 11:05'::timestamptz"),
        ("'2025-03-03 10:00Z'", "'2025-03-03 11:05:00+01'"),
        ("timestamp '2025-03-03 11:00'", "'2025-03-03 11:05'::timestamp"),
    ] {
        let window = format!("SELECT min(time), max(\"end\") FROM state_timeline({from}, {to})");
        let told = ask(&server, &["-At", "-c", "SET TIME ZONE 'Europe/Berlin'", "-c", &window]);
        assert_eq!(told, "SET\n2025-03-03 11:00:00+01|2025-03-03 11:05:00+01\n", "{from}");
    }
    let done = psql(&server, "takt", "").args(["-c", "SELECT now() AT TIME ZONE 'Mars/Base'"]).output().unwrap();
    assert!(errors(&done).contains("Mars/Base"), "{}", errors(&done));
}

/// What psql shows of an expression in a session with a time zone.
fn in_zone(server: &Server, zone: &str, expression: &str) -> String {
    let told = ask(server, &["-At", "-c", &format!("SET TIME ZONE '{zone}'"), "-c", &format!("SELECT {expression}")]);
    told.strip_prefix("SET\n").unwrap_or(&told).trim_end().to_owned()
}

/// What PostgreSQL 15 answers to the same statements; only `to_char` has formats of its own.
#[test]
fn days_and_hours_are_counted_in_the_session_zone() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let in_zone = |zone: &str, expression: &str| in_zone(&server, zone, expression);
    let late = "timestamptz '2025-07-01 22:30Z'";
    for (expression, expected) in [
        (format!("date_part('hour', {late})"), "0"),
        (format!("extract(day FROM {late})"), "2"),
        (format!("extract(epoch FROM {late})::bigint"), "1751409000"),
        (format!("date_trunc('day', {late})"), "2025-07-02 00:00:00+02"),
        ("date_trunc('month', timestamptz '2025-10-31 23:30Z')".to_owned(), "2025-11-01 00:00:00+01"),
        // The hour that the clocks repeat is two hours.
        ("date_trunc('hour', timestamptz '2025-10-26 00:30Z')".to_owned(), "2025-10-26 02:00:00+02"),
        ("date_trunc('hour', timestamptz '2025-10-26 01:30Z')".to_owned(), "2025-10-26 02:00:00+01"),
        ("date_trunc('minute', timestamptz '2025-10-26 01:30:40Z')".to_owned(), "2025-10-26 02:30:00+01"),
        // A day of 25 hours, a month that ends in winter time; hours count as they are.
        ("timestamptz '2025-10-26' + interval '1 day'".to_owned(), "2025-10-27 00:00:00+01"),
        ("interval '1 day 2 hours' + timestamptz '2025-10-25 12:00'".to_owned(), "2025-10-26 14:00:00+01"),
        ("timestamptz '2025-10-27' - interval '24 hours'".to_owned(), "2025-10-26 01:00:00+02"),
        ("max(time) - interval '1 month' FROM samples".to_owned(), "2025-02-03 11:09:00+01"),
        (format!("({late})::date"), "2025-07-02"),
        (format!("({late})::timestamp"), "2025-07-02 00:30:00"),
        (format!("to_char({late}, '%d. %H:%M %z')"), "02. 00:30 +0200"),
        ("date '2025-07-01' = timestamptz '2025-06-30 22:00Z'".to_owned(), "t"),
        ("(date '2025-07-01')::timestamptz".to_owned(), "2025-07-01 00:00:00+02"),
        ("current_date = now()::date".to_owned(), "t"),
        (
            "date_trunc('hour', time) AS hour, count(*) FROM samples WHERE time::date = '2025-03-03' GROUP BY 1"
                .to_owned(),
            "2025-03-03 11:00:00+01|10",
        ),
        ("count(*) FROM samples WHERE time < date '2025-03-04' AND time >= date '2025-03-03'".to_owned(), "10"),
        ("count(*) FROM time_weighted_avg('1 day') WHERE time < date '2025-03-05' AND time >= date '2025-03-03'".to_owned(), "2"),
        ("count(*) > 0 FROM OEE('shift') WHERE time >= current_date".to_owned(), "t"),
        (
            "date_trunc('day', time) AS day, count(*) FROM samples GROUP BY ROLLUP (date_trunc('day', time)) ORDER BY 1"
                .to_owned(),
            "2025-03-03 00:00:00+01|10\n|10",
        ),
    ] {
        assert_eq!(in_zone("Europe/Berlin", &expression), expected, "{expression}");
    }
    assert_eq!(in_zone("+05:45", "date_part('minute', timestamptz '2025-07-01 00:00Z')"), "45");
    assert_eq!(in_zone("+05:45", "date_trunc('hour', timestamptz '2025-07-01 00:00Z')"), "2025-07-01 05:00:00+05:45");
    assert_eq!(in_zone("-03:30", "to_char(timestamptz '2025-07-01 00:00Z', '%H:%M %:z')"), "20:30 -03:30");
    assert_eq!(in_zone("UTC", &format!("date_part('hour', {late})")), "22");
}

/// What PostgreSQL 15 answers to the same statements.
#[test]
fn lists_differences_and_days_with_hours_are_those_of_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let of_difference = |part: &str| {
        format!(
            "{part} FROM (VALUES (timestamptz '2025-03-01 10:00Z'), (timestamptz '2025-03-03 11:02:03.25Z')) AS v(t)"
        )
    };
    for (expression, expected) in [
        (r#"'{a,"b c",NULL,"d,e"}'::text[]"#, r#"{a,"b c",NULL,"d,e"}"#),
        (r#"'b c' = ANY('{a,"b c"}')"#, "t"),
        ("('x' = ANY('{a,NULL}')) IS NULL", "t"),
        ("(NOT ('x' = ANY('{a,NULL}'))) IS NULL", "t"),
        ("('x' <> ALL('{a,NULL}')) IS NULL", "t"),
        (r#"'x' <> ALL('{a,"b c"}'::text[])"#, "t"),
        ("2 = ANY('{1,2}')", "t"),
        ("2.5 = ANY('{1,2.50}')", "t"),
        ("timestamptz '2025-03-03' = ANY('{2025-03-02,2025-03-03}'::timestamptz[])", "t"),
        ("'{}'::int[]", "{}"),
        ("'{1,NULL,3}'::int[]", "{1,NULL,3}"),
        ("3 < ALL('{4,5}'::int[])", "t"),
        (
            "extract(epoch FROM timestamptz '2025-03-03 10:00:01.5Z' - timestamptz '2025-03-01 10:00Z')::float8",
            "172801.5",
        ),
        (&of_difference("date_part('epoch', max(t) - min(t))"), "176523.25"),
        (&of_difference("date_part('day', max(t) - min(t))"), "2"),
        (&of_difference("date_part('hour', max(t) - min(t))"), "1"),
        (&of_difference("date_part('minute', min(t) - max(t))"), "-2"),
        (&of_difference("date_part('month', max(t) - min(t))"), "0"),
        ("date '2025-03-03' + interval '12 hours'", "2025-03-03 12:00:00"),
        ("date '2025-03-03' - interval '90 minutes'", "2025-03-02 22:30:00"),
        ("interval '25 hours' + date '2025-03-03'", "2025-03-04 01:00:00"),
        (
            "unnest(generate_series(date '2025-03-02' - interval '1 day', date '2025-03-02', interval '1 day')) LIMIT 1",
            "2025-03-01",
        ),
        ("'x' = ANY('{}')", "f"),
        ("'x' <> ALL('{}'::text[])", "t"),
        ("('x' = ANY((ARRAY['a', NULL]))) IS NULL", "t"),
        ("('x' = ANY(ARRAY['a', NULL]::text[])) IS NULL", "t"),
        ("date '2025-03-03' + 1", "2025-03-04"),
        ("date '2025-03-03' - date '2025-03-01'", "2"),
        ("timestamptz '2025-03-03 11:00Z' >= date '2025-03-03' + interval '12 hours'", "t"),
        ("count(*) FROM samples WHERE time >= time::date + interval '665 minutes'", "5"),
    ] {
        assert_eq!(in_zone(&server, "Europe/Berlin", expression), expected, "{expression}");
    }
    for (expression, complaint) in [
        ("'{a'::text[]", "malformed array literal"),
        ("2 = ANY('1,2')", "malformed array literal"),
        ("'{{1,2},{3,4}}'::int[]", "more than one dimension"),
    ] {
        let done = psql(&server, "takt", "").args(["-c", &format!("SELECT {expression}")]).output().unwrap();
        assert!(errors(&done).contains(complaint), "{expression}: {}", errors(&done));
    }
}

/// What PostgreSQL 15 answers to the same statements.
#[test]
fn numbers_of_intervals_branches_and_words_are_those_of_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let two_hours = "timestamptz '2025-03-03 12:00Z' - timestamptz '2025-03-03 10:00Z'";
    let days = "timestamptz '2025-03-03 22:00Z' - timestamptz '2025-03-02 10:00Z'";
    for (expression, expected) in [
        ("interval '1 hour' * 3", "03:00:00"),
        ("2.5 * interval '1 day 2 hours'", "2 days 17:00:00"),
        ("interval '1 month' * 1.5", "1 mon 15 days"),
        ("(interval '1 hour' * NULL) IS NULL", "t"),
        ("- interval '2 days 3 hours' = interval '-51 hours'", "t"),
        ("interval '25 hours' BETWEEN interval '1 day' AND interval '2 days'", "t"),
        ("interval '25 hours' NOT IN (interval '1 day 1 hour', NULL)", "f"),
        ("interval '25 hours' IS DISTINCT FROM interval '1 day 1 hour'", "f"),
        ("CASE interval '25 hours' WHEN interval '1 day 1 hour' THEN 'same' ELSE 'other' END", "same"),
        (&format!("({days}) BETWEEN interval '35 hours' AND interval '1 day 12 hours'"), "t"),
        ("interval '1 day' AS x UNION ALL SELECT interval '25 hours' ORDER BY x LIMIT 1", "1 day"),
        ("interval '1 year 2 months 3 days 4 hours 5 minutes 6.789 seconds' / 7", "2 mons 10:52:09.541286"),
        ("interval '3 days' / 2", "1 day 12:00:00"),
        ("interval '1 day -04:05:06' + '00:30'::interval", "1 day -03:35:06"),
        (
            "rank() OVER (ORDER BY d DESC), d FROM (VALUES (interval '1 day'), (interval '36 hours')) AS t(d) ORDER BY d",
            "2|1 day\n1|36:00:00",
        ),
        (
            "d FROM (VALUES (interval '1 month'), (interval '31 days'), (NULL)) AS t(d) ORDER BY d DESC NULLS LAST LIMIT 1",
            "31 days",
        ),
        ("interval '-1 month -3 days 2 hours' * 0.3", "-9 days -21:00:00"),
        (&format!("({days}) * 2"), "2 days 24:00:00"),
        (&format!("({days}) / 2 = interval '18 hours'"), "t"),
        ("timestamptz '2025-03-03 12:00+01' - 3 * interval '1 hour'", "2025-03-03 09:00:00+01"),
        ("extract(epoch FROM interval '90 minutes' / 3)::int", "1800"),
        ("count(*) FROM samples WHERE time >= timestamptz '2025-03-03 10:09Z' - interval '1 minute' * 4", "5"),
        ("mod(-7, 3)", "-1"),
        ("mod(7, -3)", "1"),
        ("sign(-2.5)::int", "-1"),
        ("round(variance(v) * 3)::int FROM (VALUES (1.0::float8), (2.0), (4.0)) AS t(v)", "7"),
        ("v FROM (VALUES (1), (2), (3)) AS t(v) ORDER BY v FETCH FIRST ROW ONLY", "1"),
        ("v FROM (VALUES (1), (2), (3)) AS t(v) ORDER BY v OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY", "2"),
        ("length('abc') UNION ALL SELECT 2147483648 ORDER BY 1", "3\n2147483648"),
        (&format!("CASE WHEN 1 < 2 THEN {two_hours} ELSE interval '1 hour' END"), "02:00:00"),
        (&format!("CASE WHEN 1 > 2 THEN {two_hours} ELSE interval '1 hour' END"), "01:00:00"),
        ("DISTINCT (v IS TRUE) FROM (VALUES (true), (true)) AS t(v)", "t"),
        ("count(*), v IS TRUE FROM (VALUES (true), (true)) AS t(v) GROUP BY v IS TRUE", "2|t"),
        ("interval '25 hours' BETWEEN '1 day' AND '2 days'", "t"),
        ("interval '25 hours' > '1 day' AND '2 days' > interval '25 hours'", "t"),
        ("interval '25 hours' IN ('1 day 1 hour', '2 days')", "t"),
        (&format!("({two_hours}) > '90 minutes'"), "t"),
        ("interval '5 hours' > '04:05:06' AND interval '5 hours' BETWEEN '04:00' AND '1 day -02:00'", "t"),
        (
            "CASE interval '25 hours' WHEN NULL THEN 'null' WHEN interval '1 day 1 hour' THEN 'same' ELSE 'other' END",
            "same",
        ),
        (
            "d FROM (VALUES (interval '1 day'), (interval '36 hours')) AS t(d) WHERE d NOT BETWEEN NULL AND interval '30 hours'",
            "36:00:00",
        ),
        (
            "array_agg(x ORDER BY d) FROM (VALUES (1, interval '36 hours'), (2, interval '1 day'), (3, interval '2 days')) AS t(x, d)",
            "{2,1,3}",
        ),
        (
            "DISTINCT ON (k) k, x FROM (VALUES (1, 1, interval '36 hours'), (1, 2, interval '1 day')) AS t(k, x, d) ORDER BY k, d",
            "1|2",
        ),
        ("rank() OVER (ORDER BY timestamptz '2025-03-03 00:00Z' - time) FROM samples ORDER BY 1 LIMIT 2", "1\n2"),
        (
            "sum(x) OVER w FROM (VALUES (1, timestamp '2025-01-01 00:00'), (2, timestamp '2025-01-01 22:00'), \
             (4, timestamp '2025-01-02 21:00')) AS t(x, at) \
             WINDOW w AS (ORDER BY at RANGE BETWEEN interval '1 day -02:00' PRECEDING AND CURRENT ROW) ORDER BY at",
            "1\n3\n4",
        ),
        (
            "value FROM samples ORDER BY (time + interval '230 years') - (time - interval '340 years'), value LIMIT 1",
            "0.5",
        ),
        (
            "array_length(array_agg(DISTINCT d ORDER BY d), 1) FROM (VALUES (interval '1 day'), (interval '2 days'), (interval '1 day')) AS t(d)",
            "2",
        ),
        (
            "string_agg(value::text, ' ' ORDER BY abs(value) > 3, -value) FROM samples WHERE value < 5",
            "2.5 1.5 0.5 4.5 3.5",
        ),
    ] {
        assert_eq!(in_zone(&server, "Europe/Berlin", expression), expected, "{expression}");
    }
    let mistakes = [
        ("interval '1 hour' / 0", "22012: division by zero"),
        ("interval '1 year' * 1e9", "22008: the interval is out of range"),
        ("timestamptz '2025-01-01 00:00Z' + interval '300000 years'", "22008: "),
        ("'update'::int", "22P02: "),
        ("'x'::time", "22007: "),
        ("3000000000::int", "22003: "),
        ("regexp_count(signal, '(') FROM samples", "2201B: "),
        ("count(*) FROM samples WHERE signal ~ (signal || '(')", "2201B: "),
        ("count(*) FROM samples WHERE (signal || 'DivideByZero')::int = 3", "22P02: "),
        ("count(*) FROM samples WHERE (signal || '\"q')::int = 3", "22P02: Cannot cast string 'temperature\"q' to"),
        ("count(*) FROM samples WHERE lpad(signal, 1000000000) = 'x'", "42601: "),
        ("count(*) FROM samples WHERE time AT TIME ZONE signal > timestamp '2025-01-01'", "42601: "),
        (
            "sum(value) OVER w FROM samples WINDOW w AS (ORDER BY time ROWS BETWEEN CURRENT ROW AND 18446744073709551615 FOLLOWING)",
            "no distance",
        ),
        (
            "sum(value) OVER w FROM samples WINDOW w AS (ORDER BY time RANGE BETWEEN interval '-1 hour' PRECEDING AND CURRENT ROW)",
            "no distance",
        ),
        (
            "sum(value) OVER (ORDER BY time RANGE BETWEEN interval '-1 hour' PRECEDING AND CURRENT ROW) FROM samples",
            "no distance",
        ),
        ("sum(value) OVER (ORDER BY time ROWS 18446744073709551615 PRECEDING) FROM samples", "no distance"),
        ("'a' ~ '('", "2201B: invalid regular expression: unclosed group"),
        ("count(*) FROM samples WHERE signal ~ '['", "2201B: "),
        ("count(*) FROM samples WHERE signal::int > 3", "22P02: Cannot cast string 'temperature'"),
        (
            "count(*) FROM samples WHERE equipment = 'cologne/line-1/press' AND CASE WHEN value > 3 THEN signal::int ELSE 1 END = 1",
            "22P02: ",
        ),
        ("count(*) FROM samples WHERE 1 / (value - value)::int > 0", "22012: division by zero"),
        ("max(1 / (value - value)::int) FROM samples", "22012: division by zero"),
        ("count(*) FROM samples WHERE extract(millennium FROM time) = 3", "22000: "),
        ("v FROM (VALUES (1)) AS t(v) ORDER BY v FETCH FIRST 1 ROW WITH TIES", "FETCH clause is not supported"),
    ];
    // Of rows in memory, then in files.
    for _ in 0..2 {
        for (expression, complaint) in mistakes {
            let done = psql(&server, "takt", "")
                .args(["-c", "\\set VERBOSITY verbose", "-c", &format!("SELECT {expression}")])
                .output()
                .unwrap();
            assert!(errors(&done).contains(complaint), "{expression}: {}", errors(&done));
            let (status, told) = server.post("/api/v1/sql", format!("SELECT {expression}"));
            assert_eq!(status, 400, "{expression}: {told}");
        }
        output(takt().args(["compact", "--url", &server.url("")]));
    }
}

#[test]
fn psql_only_reads_and_is_told_where_a_mistake_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for write in [
        "INSERT INTO units (unit) VALUES ('x')",
        "UPDATE units SET item = 'x'",
        "DELETE FROM samples",
        "DROP TABLE samples",
        "CREATE TABLE x (a int)",
        "TRUNCATE samples",
        "EXPLAIN ANALYZE DELETE FROM samples",
        "COPY samples TO '/tmp/leak.csv'",
        "COPY units FROM STDIN",
    ] {
        let done = psql(&server, "takt", "").args(["-c", write]).output().unwrap();
        assert!(!done.status.success(), "{write} was done");
        assert!(errors(&done).contains("ERROR"), "{write}: {}", errors(&done));
    }
    let done = psql(&server, "takt", "").args(["-c", "SELECT valu\nFROM samples"]).output().unwrap();
    let told = errors(&done);
    assert!(told.contains("did you mean \"value\"?") && told.contains("LINE 1: SELECT valu"), "{told}");
    assert_eq!(ask(&server, &["-Atc", "SELECT count(*) FROM samples"]), "10\n");
}

#[test]
fn psycopg_speaks_the_extended_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    output(&mut script("psycopg_session.py", &[&server.pg.port().to_string()]));
}

/// By a cancel request and by `statement_timeout`, early and late in a join, a sort and an aggregate.
#[test]
fn heavy_statements_stop_within_a_fifth_of_a_second() {
    const LONGEST_MS: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let told = output(&mut script("psycopg_stop.py", &[&server.pg.port().to_string()]));
    let delays: std::collections::BTreeMap<String, u64> = serde_json::from_str(&told).unwrap();
    assert_eq!(delays.len(), 10, "{told}");
    assert!(delays.values().all(|&delay_ms| delay_ms <= LONGEST_MS), "{told}");
}

#[test]
fn a_user_turns_the_password_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let port = server.pg.port().to_string();
    let login = |user: &str, password: &str| output(&mut script("psycopg_login.py", &[&port, user, password]));
    assert_eq!(login("takt", ""), "takt without a password\n");

    let mut adding = takt();
    adding.args(["user", "add", "anna", "--role", "read", "--data"]).arg(folder.path().join("data"));
    let mut adding = adding.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    adding.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    assert!(adding.wait().unwrap().success());

    assert_eq!(login("anna", "correct horse"), "anna with a password\n");
    for (user, password) in [("anna", "battery staple"), ("anna", ""), ("nobody", "correct horse"), ("takt", "")] {
        let told = login(user, password);
        assert!(told.starts_with("refused"), "{user} {password}: {told}");
    }
    assert_eq!(output(psql(&server, "anna", "correct horse").args(["-Atc", "SELECT 42"])), "42\n");
    let done = psql(&server, "anna", "wrong").args(["-Atc", "SELECT 42"]).output().unwrap();
    assert!(!done.status.success());
    assert!(errors(&done).contains("password authentication failed for user \"anna\""), "{}", errors(&done));
    // The same over HTTP, where nobody is let in without a password any more.
    assert_eq!(server.post("/api/v1/sql", "SELECT 1").0, 401);
}
