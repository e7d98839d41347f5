//! SQL over HTTP: it only reads, says where a mistake is, sees what was acknowledged, and stays within its limits.

use std::fs;
use std::io::{Cursor, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, TimeUnit};
use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};

use crate::harness::{Server, output, takt, wait_for};
use crate::mqtt::Publisher;

const PRESS: &str = "cologne/line-1/press";
/// Ten thousand million pairs: far more work than any limit allows.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000) AS a(x), generate_series(1, 100000) AS b(y) \
                       WHERE (x * y) % 7 = 3";

fn post(server: &Server, table: &str, rows: &Value) {
    let (status, body) = server.post(&format!("/api/v1/{table}"), rows.to_string());
    assert_eq!(status, 200, "{table}: {body}");
}

/// A server with one temperature a minute, ten in all: 0.5, 1.5, …
fn start(folder: &std::path::Path) -> Server {
    let server = Server::start(folder);
    let sample = |m: u32| {
        let time = format!("2025-03-03T10:{m:02}:00Z");
        json!({"equipment": PRESS, "signal": "temperature", "time": time, "value": f64::from(m) + 0.5})
    };
    post(&server, "samples", &(0..10).map(sample).collect());
    server
}

/// What a statement is refused with: HTTP status and the error object.
fn refusal(server: &Server, sql: &str) -> Value {
    let (status, body) = server.post("/api/v1/sql?format=json", sql);
    assert_eq!(status, 400, "{sql}: {body}");
    serde_json::from_str::<Value>(&body).unwrap()["error"].clone()
}

#[test]
fn sql_only_reads() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let leak = folder.path().join("leak");
    let writes = [
        "CREATE TABLE x (a int)".to_owned(),
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "CREATE SCHEMA x".to_owned(),
        "CREATE DATABASE x".to_owned(),
        "CREATE FUNCTION f() RETURNS int RETURN 1".to_owned(),
        "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        "DROP TABLE samples".to_owned(),
        "DROP VIEW v".to_owned(),
        "ALTER TABLE samples ADD COLUMN x int".to_owned(),
        "TRUNCATE TABLE samples".to_owned(),
        "INSERT INTO units (unit) VALUES ('x')".to_owned(),
        "INSERT INTO samples SELECT * FROM samples".to_owned(),
        "UPDATE units SET item = 'a'".to_owned(),
        "DELETE FROM samples".to_owned(),
        "SELECT * INTO x FROM samples".to_owned(),
        format!("COPY samples TO '{}.csv'", leak.display()),
        format!("COPY (SELECT * FROM samples) TO '{}.parquet' STORED AS PARQUET", leak.display()),
        "SET datafusion.catalog.default_schema = 'x'".to_owned(),
        "GRANT ALL ON samples TO x".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
    ];
    for write in &writes {
        for before in ["", "EXPLAIN ", "EXPLAIN ANALYZE ", "EXPLAIN ANALYZE VERBOSE ", "EXPLAIN EXPLAIN ANALYZE "] {
            let error = refusal(&server, &format!("{before}{write}"));
            let code = error["code"].as_str().unwrap();
            assert!(["read_only", "bad_sql"].contains(&code), "{before}{write}: {error}");
            assert_ne!(error["message"], "", "{before}{write}");
        }
    }
    let plain =
        ["INSERT INTO samples SELECT * FROM samples", "EXPLAIN ANALYZE DELETE FROM samples", "DROP TABLE samples"];
    for write in plain {
        let error = refusal(&server, write);
        assert_eq!(error["code"], "read_only", "{write}");
        assert!(error["message"].as_str().unwrap().contains("SQL reads only"), "{write}: {error}");
    }
    for file in fs::read_dir(folder.path()).unwrap() {
        let name = file.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with("leak"), "{name:?} was written");
    }
    // A file is no table, and all rows are still there.
    refusal(&server, "SELECT * FROM '/etc/passwd'");
    refusal(&server, "SELECT * FROM read_csv('/etc/passwd')");
    assert_eq!(server.number("SELECT count(*) FROM samples"), 10.0);
    assert_eq!(server.number("SELECT count(*) FROM units"), 0.0);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for (sql, line, column, words) in [
        ("SELECT valu FROM samples", 1, 8, "did you mean \"value\""),
        ("SELECT *\nFROM sampels", 2, 6, "sampels"),
        ("SELEC 1", 1, 1, "SELEC"),
        ("SELECT count(* FROM samples", 1, 16, "found: FROM"),
        ("SELECT\n  foo(1)", 2, 3, "foo"),
        ("SELECT value + equipment FROM samples", 1, 8, "Float64"),
    ] {
        let error = refusal(&server, sql);
        assert_eq!(error["position"], json!({"line": line, "column": column}), "{sql}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{sql}: {error}");
    }
    for (sql, words) in [
        ("SELECT 1 +", "the end of the statement"),
        ("", "No SQL"),
        ("SELECT 1; SELECT 2", "single"),
        ("SELECT 1 / 0", "division by zero"),
        ("SELECT CAST('a' AS int)", "'a'"),
        ("SELECT * FROM oee('1 hour')", "WHERE time >="),
        ("SELECT * FROM oee('1 hour') WHERE time IN (now(), now())", "oee('1 hour', from, to)"),
        ("SELECT * FROM oee('1 fortnight', '2025-01-01', '2025-01-02')", "'shift', 'day', 'work_order' and 'product'"),
        ("SELECT time_bucket('x', time) FROM samples", "'15 minutes'"),
        ("SELECT time_bucket('1 hour', time, 'Nowhere/X') FROM samples", "Europe/Berlin"),
    ] {
        let error = refusal(&server, sql);
        assert!(error["message"].as_str().unwrap().contains(words), "{sql}: {error}");
    }
}

#[test]
fn time_buckets() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let one = |sql: &str| server.sql(&format!("SELECT {sql}"))[0][0].clone();
    for (call, expected) in [
        ("time_bucket('15 minutes', timestamptz '2025-03-03T10:20:00Z')", "2025-03-03T10:15:00.000000Z"),
        ("time_bucket('900.000s', timestamptz '2025-03-03T10:20:00Z')", "2025-03-03T10:15:00.000000Z"),
        ("time_bucket(interval '15 minutes', timestamptz '2025-03-03T10:20:00Z')", "2025-03-03T10:15:00.000000Z"),
        (
            "time_bucket('1 hour', timestamptz '2025-03-03T10:20:00Z', timestamptz '2025-03-03T00:30:00Z')",
            "2025-03-03T09:30:00.000000Z",
        ),
        // Local days: the clocks of Berlin go forward on 30 March 2025.
        ("time_bucket('1 day', timestamptz '2025-03-30T12:00:00Z', 'Europe/Berlin')", "2025-03-29T23:00:00.000000Z"),
        ("time_bucket('1 day', timestamptz '2025-03-31T12:00:00Z', 'Europe/Berlin')", "2025-03-30T22:00:00.000000Z"),
        ("time_bucket('1 week', timestamptz '2025-03-06T10:20:00Z', 'Europe/Berlin')", "2025-03-02T23:00:00.000000Z"),
        ("time_bucket('1 month', timestamptz '2025-03-06T10:20:00Z')", "2025-03-01T00:00:00.000000Z"),
    ] {
        assert_eq!(one(call), expected, "{call}");
    }
    assert_eq!(one("time_bucket('1 hour', NULL::timestamptz)"), Value::Null);
    assert_eq!(
        server
            .sql("SELECT time_bucket('5 minutes', time) AS t, avg(value), count(*) FROM samples GROUP BY t ORDER BY t"),
        [
            vec![json!("2025-03-03T10:00:00.000000Z"), json!(2.5), json!(5)],
            vec![json!("2025-03-03T10:05:00.000000Z"), json!(7.5), json!(5)],
        ]
    );
}

/// An interval is as long as it is, however it is written: as in PostgreSQL, a day is 24 hours.
#[test]
fn intervals_compare_by_their_length() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for (condition, expected) in [
        ("interval '36 hours' > interval '1 day'", true),
        ("interval '24 hours' = interval '1 day'", true),
        ("interval '1 month' > interval '29 days'", true),
        ("timestamptz '2025-03-03T10:00:00Z' - timestamptz '2025-03-01T10:00:00Z' > interval '1 day'", true),
        ("timestamptz '2025-03-03T10:00:00Z' - timestamptz '2025-03-01T10:00:00Z' < interval '1 day'", false),
    ] {
        assert_eq!(server.sql(&format!("SELECT {condition}")), [vec![json!(expected)]], "{condition}");
    }
    assert_eq!(server.number("SELECT count(*) FROM samples WHERE now() - time > interval '1 day'"), 10.0);
    assert_eq!(server.number("SELECT count(*) FROM samples WHERE now() - time < interval '1 day'"), 0.0);
}

/// Each message is in the next query's answer once it was acknowledged, whichever way it came.
#[test]
fn what_was_acknowledged_is_in_the_next_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut publisher = Publisher::connect(server.mqtt, "reader").unwrap();
    let (start_ms, rounds) = (1_735_689_600_000_u64, 60);
    for n in 0..rounds {
        let message = format!("{{\"ts\":{},\"n\":{n}}}", start_ms + n);
        publisher.publish("flat/press", message.as_bytes(), n).unwrap();
        assert!(publisher.drain(0));
        let seen = server.sql("SELECT count(*), max(value) FROM samples WHERE signal = 'n'");
        assert_eq!(seen, [vec![json!(n + 1), json!(n as f64)]], "PUBACK");

        let line = format!("samples,equipment={PRESS},signal=line value={n} {}\n", start_ms + n);
        let (status, body) = server.post("/api/v2/write?precision=ms", line);
        assert_eq!((status, body.as_str()), (204, ""));
        let seen = server.sql("SELECT count(*), max(value) FROM samples WHERE signal = 'line'");
        assert_eq!(seen, [vec![json!(n + 1), json!(n as f64)]], "line protocol");

        post(&server, "units", &json!({"unit": format!("U{n}")}));
        assert_eq!(server.number("SELECT count(*) FROM units"), (n + 1) as f64, "record");
    }
}

/// One writer makes a unit, then a sample, and so on: in one snapshot there is at most one unit more than samples.
#[test]
fn a_statement_sees_one_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let end = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0_u64;
            // Ends by itself as well: a failing reader must not wait for ever.
            while !end.load(Ordering::Relaxed) && n < 10_000 {
                post(&server, "units", &json!({"unit": format!("U{n}")}));
                let time = 1_735_689_600_000 + n;
                post(&server, "samples", &json!({"equipment": PRESS, "signal": "n", "time": time, "value": n}));
                n += 1;
            }
            n
        });
        for _ in 0..80 {
            let ahead = server.number(
                "SELECT u.n - s.n FROM (SELECT count(*) AS n FROM units) AS u \
                 CROSS JOIN (SELECT count(*) AS n FROM samples) AS s",
            );
            let behind = server.number(
                "SELECT s.n - u.n FROM (SELECT count(*) AS n FROM samples) AS s \
                 CROSS JOIN (SELECT count(*) AS n FROM units) AS u",
            );
            assert!([0.0, 1.0].contains(&ahead) && [0.0, -1.0].contains(&behind), "{ahead} {behind}");
        }
        end.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(written > 10, "only {written} rounds were written meanwhile");
}

#[test]
fn answers_come_as_json_csv_and_arrow() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let sql = "SELECT time, equipment, value, unit, quality FROM samples ORDER BY time LIMIT 2";
    let json: Value = serde_json::from_str(&server.post("/api/v1/sql?format=json", sql).1).unwrap();
    let kinds: Vec<&str> =
        json["columns"].as_array().unwrap().iter().map(|column| column["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["timestamptz", "text", "double precision", "text", "bigint"]);
    assert_eq!(json["rows"][1], json!(["2025-03-03T10:01:00.000000Z", PRESS, 1.5, null, 0]));

    let (status, csv) = server.post("/api/v1/sql?format=csv", sql);
    assert_eq!(status, 200);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "time,equipment,value,unit,quality");
    assert_eq!(lines[2], format!("2025-03-03T10:01:00.000000Z,{PRESS},1.5,,0"));
    assert_eq!(server.post("/api/v1/sql?format=csv", "SELECT unit FROM units"), (200, "unit\n".to_owned()));

    let accepted = ureq::post(server.url("/api/v1/sql")).header("accept", "application/vnd.apache.arrow.stream");
    let bytes = accepted.send(sql.as_bytes()).unwrap().body_mut().read_to_vec().unwrap();
    let reader = StreamReader::try_new(Cursor::new(bytes), None).unwrap();
    let schema = reader.schema();
    let kinds: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(kinds, [&time, &DataType::Utf8, &DataType::Float64, &DataType::Utf8, &DataType::Int64]);
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);

    let (status, body) = server.post("/api/v1/sql?format=xml", sql);
    assert_eq!(status, 400);
    assert!(body.contains("json, csv or arrow"), "{body}");
}

#[test]
fn parameters() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let rows = |sql: &str, params: Value| -> Value {
        let (status, body) = server.bound(sql, &params);
        assert_eq!(status, 200, "{sql}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()["rows"].clone()
    };
    assert_eq!(
        rows("SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d", json!([1, "x", 2.5, null])),
        json!([[1, "x", 2.5, null]])
    );
    let after = json!(["2025-03-03T10:03:00Z", 4.0]);
    assert_eq!(rows("SELECT count(*) FROM samples WHERE time >= $1 AND value > $2", after), json!([[6]]));
    let page = json!([PRESS, 2]);
    assert_eq!(
        rows("SELECT value FROM samples WHERE equipment = $1 ORDER BY time LIMIT $2", page),
        json!([[0.5], [1.5]])
    );
    // What would end the string is just a character of it.
    assert_eq!(rows("SELECT count(*) FROM samples WHERE signal = $1", json!(["' OR 'a' = 'a"])), json!([[0]]));
    let window = json!(["1 hour", "2025-03-03T10:00:00Z", "2025-03-03T13:00:00Z", PRESS]);
    assert_eq!(rows("SELECT count(*) FROM oee($1, $2, $3) WHERE equipment = $4", window), json!([[3]]));

    let (status, body) = server.bound("SELECT $1", &json!([]));
    assert_eq!(status, 400);
    assert!(body.contains("$1 has no value"), "{body}");
    let (status, body) = server.bound("SELECT $1", &json!([[1]]));
    assert_eq!(status, 400);
    assert!(body.contains("parameter $1"), "{body}");
}

#[test]
fn a_session_knows_its_user() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    assert_eq!(json!(server.sql("SELECT current_user, session_user, user")), json!([["local", "local", "local"]]));
    let (data, password) = (folder.path().join("data"), folder.path().join("password"));
    fs::write(&password, "correct horse\n").unwrap();
    let flags = ["user", "add", "anna", "--role", "read", "--password-file"];
    output(takt().args(flags).arg(&password).arg("--data").arg(&data));
    let token = output(takt().args(["user", "token", "anna", "--data"]).arg(&data));
    let asked = || {
        let request = ureq::post(server.url("/api/v1/sql?format=csv")).config().http_status_as_error(false).build();
        let request = request.header("authorization", format!("Bearer {}", token.trim()));
        let mut response = request.send("SELECT current_user").unwrap();
        let body = response.body_mut().read_to_string().unwrap();
        (response.status() == 200).then_some(body)
    };
    assert_eq!(wait_for("the user to be known", Duration::from_secs(10), asked), "current_user\nanna\n");
}

#[test]
fn a_window_that_ends_before_it_begins_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for call in
        ["oee('1 hour', '2025-03-04', '2025-03-03')", "state_timeline('2025-03-04 06:00', '2025-03-04T05:00+00:00')"]
    {
        let error = refusal(&server, &format!("SELECT * FROM {call}"));
        assert!(error["message"].as_str().unwrap().contains("ends before it begins: from 2025-03-04T0"), "{error}");
    }
    let nothing = "SELECT count(*) FROM oee('1 hour') WHERE time >= '2025-03-04' AND time < '2025-03-03'";
    assert_eq!(server.number(nothing), 0.0);
}

fn limited(folder: &std::path::Path, limits: &str) -> Server {
    fs::write(folder.join("takt.toml"), format!("[query]\n{limits}\n")).unwrap();
    Server::start_with(folder, &["--config", "takt.toml"])
}

#[test]
fn a_query_ends_at_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let server = limited(folder.path(), "timeout_s = 1\nmax_rows = 1000\nmemory_bytes = 20000000");
    let start = Instant::now();
    let (status, body) = server.post("/api/v1/sql", ENDLESS);
    assert_eq!(status, 504, "{body}");
    assert!(body.contains("timeout_s"), "{body}");
    assert!(start.elapsed() < Duration::from_secs(8), "ended after {:?}", start.elapsed());
    // It holds no thread any more.
    let start = Instant::now();
    assert_eq!(server.number("SELECT 1"), 1.0);
    assert!(start.elapsed() < Duration::from_secs(5), "the next query took {:?}", start.elapsed());

    let rows = server.post("/api/v1/sql?format=csv", "SELECT * FROM generate_series(1, 1000)");
    assert_eq!((rows.0, rows.1.lines().count()), (200, 1001));
    let (status, body) = server.post("/api/v1/sql", "SELECT * FROM generate_series(1, 1001) ORDER BY 1");
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("max_rows"), "{body}");
    let (status, body) =
        server.post("/api/v1/sql", "SELECT cardinality(array_agg(value)) FROM generate_series(1, 10000000)");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("memory_bytes"), "{body}");
    let doublings = (1..=40).map(|step| format!(", t{step} AS (SELECT text || text AS text FROM t{})", step - 1));
    let doublings = doublings.collect::<String>();
    let sample = json!([{"equipment": PRESS, "signal": "state", "time": "2025-03-03T10:00:00Z", "text": "run"}]);
    post(&server, "samples", &sample);
    for (sql, limit) in [
        ("SELECT length(repeat('x', 2000000000))".to_owned(), "more than the 4 KiB"),
        ("SELECT length(repeat(text, 2000000000)) FROM samples".to_owned(), "more than the 4 MiB"),
        (
            format!("WITH t0 AS (SELECT text FROM samples){doublings} SELECT length(text) FROM t40"),
            "more than the 4 MiB",
        ),
        ("SELECT CAST(NULL AS INT[1000000000])".to_owned(), "more than the 10000"),
        ("SELECT count(*) FROM samples WHERE (SELECT NULL::INT[1000000000]) IS NULL".to_owned(), "more than the 10000"),
    ] {
        let (status, body) = server.post("/api/v1/sql", sql);
        assert_eq!(status, 400, "{body}");
        assert!(body.contains(limit), "{body}");
    }
    assert_eq!(server.number("SELECT 1"), 1.0);
}

/// Whether a statement wrote to disk what it could not hold in memory, as its plan tells.
fn spills(server: &Server, sql: &str) -> bool {
    let plan = server.sql(&format!("EXPLAIN ANALYZE {sql}"));
    let plan = plan[0].iter().filter_map(Value::as_str).collect::<String>();
    let counts = plan.split("spill_count=").skip(1).map(|rest| rest.split([',', ']']).next().unwrap());
    let counts: Vec<u64> = counts.map(|count| count.trim().parse().unwrap()).collect();
    assert!(!counts.is_empty(), "{plan}");
    counts.iter().any(|count| *count > 0)
}

/// A sort, and groups: they go to disk, are read back whole, and leave nothing there.
#[test]
fn what_memory_cannot_hold_goes_to_disk_and_comes_back() {
    const COUNT: u64 = 200_000;
    let folder = tempfile::tempdir().unwrap();
    // Each number once, in no order.
    let line = |row: u64| {
        format!("press,equipment={PRESS} temperature={}.0 {}\n", row * 7_919 % COUNT, 1_741_000_000_000 + row)
    };
    let lines = (0..COUNT).map(line).collect::<String>();
    let sorted = "SELECT sum(place * value) FROM \
                  (SELECT value, row_number() OVER (ORDER BY value DESC, time, signal, equipment) AS place FROM samples)";
    let grouped = "SELECT sum(rows * value) FROM \
                   (SELECT value, time, signal, equipment, count(*) AS rows FROM samples GROUP BY 1, 2, 3, 4)";
    let numbers = (0..COUNT).sum::<u64>() as f64;
    let expected = [(sorted, (0..COUNT).map(|value| (COUNT - value) * value).sum::<u64>() as f64), (grouped, numbers)];
    for (memory_bytes, has_room) in [(24_000_000, false), (256_000_000, true)] {
        let server = limited(folder.path(), &format!("memory_bytes = {memory_bytes}"));
        let (status, body) = server.post("/api/v2/write?precision=ms", &lines);
        assert_eq!(status, 204, "{body}");
        for (sql, expected) in expected {
            assert_eq!(server.number(sql), expected, "{memory_bytes}: {sql}");
            assert_eq!(spills(&server, sql), !has_room, "{memory_bytes}: {sql}");
        }
        // Folders may stay as long as the server; what was in them goes with its statement.
        let folders = fs::read_dir(folder.path().join("data/spill")).unwrap();
        let left: Vec<_> = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A client that leaves takes its query with it.
#[test]
fn a_query_ends_when_its_client_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = TcpStream::connect(server.http).unwrap();
    let length = ENDLESS.len();
    write!(client, "POST /api/v1/sql HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{ENDLESS}")
        .unwrap();
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    // Half a second without an answer: it is being worked on.
    let waiting = std::io::Read::read(&mut client, &mut [0; 1]).unwrap_err();
    assert!(matches!(waiting.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{waiting}");
    drop(client);
    wait_for("the abandoned query to end", Duration::from_secs(10), || {
        server
            .get("/metrics")
            .1
            .contains("takt_query_seconds_count{face=\"http\",outcome=\"abandoned\"} 1")
            .then_some(())
    });
    assert_eq!(server.number("SELECT 1"), 1.0);
}

/// A statement that is one deep tree is answered or refused; it never takes the server with it.
#[test]
fn a_very_long_statement_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    // Twice the depth that overflows a thread's usual stack.
    assert_eq!(server.number(&format!("SELECT {}1", "1+".repeat(2_000))), 2_001.0);
    let (status, body) = server.post("/api/v1/sql", format!("SELECT {}1", "1+".repeat(100_000)));
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("bytes long"), "{body}");
    assert_eq!(server.number("SELECT 1"), 1.0);
}

/// The physical plan of a statement.
fn plan_of(server: &Server, sql: &str) -> String {
    let (status, body) = server.post("/api/v1/sql?format=json", format!("EXPLAIN {sql}"));
    assert_eq!(status, 200, "{sql}: {body}");
    body
}

#[test]
fn the_newest_value_of_every_signal_is_known_and_the_same_as_one_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let send = |equipment: &str, signal: &str, minute: u32, value: f64| {
        let time = format!("2025-03-03T10:{minute:02}:00Z");
        post(&server, "samples", &json!([{"equipment": equipment, "signal": signal, "time": time, "value": value}]));
    };
    // Any aggregate of all rows, so that all are read.
    let asked = |columns: &str, filter: &str, group: &str| {
        (
            format!("SELECT {columns} FROM samples s {filter} GROUP BY {group} ORDER BY equipment, signal"),
            format!("SELECT {columns}, count(*) FROM samples s {filter} GROUP BY {group} ORDER BY equipment, signal"),
        )
    };
    let known = [
        ("equipment, signal, max(time), last_value(value ORDER BY time)", "", "equipment, signal"),
        (
            "signal, equipment, first_value(value ORDER BY time DESC)",
            "WHERE signal = 'temperature'",
            "signal, equipment",
        ),
        (
            "equipment, signal, max(time) AS at",
            "WHERE equipment LIKE 'cologne/%' AND signal <> 'x'",
            "equipment, signal",
        ),
        (
            "equipment, signal, last_value(text ORDER BY time), last_value(quality ORDER BY time)",
            "WHERE time >= '2025-03-03T10:05:00Z'",
            "1, 2",
        ),
    ];
    let other = [
        ("equipment, signal, min(time)", "", "equipment, signal"),
        ("equipment, signal, last_value(value ORDER BY value)", "", "equipment, signal"),
        ("equipment, signal, max(time)", "WHERE time < '2025-03-03T10:05:00Z'", "equipment, signal"),
        ("equipment, signal, max(time)", "WHERE value < 5", "equipment, signal"),
        ("equipment, signal, last_value(unit ORDER BY time)", "", "equipment, signal"),
        ("'x' AS equipment, signal, max(time)", "", "signal"),
    ];
    let check = |moment: &str| {
        for (place, (columns, filter, group)) in known.iter().chain(&other).enumerate() {
            let (sql, all) = asked(columns, filter, group);
            let aggregates = plan_of(&server, &sql).contains("AggregateExec");
            assert_eq!(aggregates, place >= known.len(), "{moment}: {sql}");
            let mut looked_for = server.sql(&all);
            looked_for.iter_mut().for_each(|row| drop(row.pop()));
            assert!(!looked_for.is_empty(), "{moment}: {all}");
            assert_eq!(server.sql(&sql), looked_for, "{moment}: {sql}");
        }
    };
    check("in memory");
    let flush = || assert_eq!(server.post("/api/v1/compact", "").0, 200);
    flush();
    check("in files");
    send(PRESS, "temperature", 8, 100.0);
    send(PRESS, "pressure", 1, 1.0);
    check("late, and a signal more");
    send(PRESS, "temperature", 9, 7.0);
    check("the newest corrected");
    flush();
    check("in files again");
    send(PRESS, "temperature", 12, 8.0);
    send(PRESS, "speed", 1, 8.0);
    check("in both");
}

#[test]
fn texts_reach_every_client_as_plain_texts() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let sql = "SELECT equipment, array_agg(DISTINCT signal) AS all, named_struct('s', signal) AS one, \
               coalesce(text, signal || '!') AS either FROM samples GROUP BY equipment, signal, text";
    let accepted = ureq::post(server.url("/api/v1/sql")).header("accept", "application/vnd.apache.arrow.stream");
    let bytes = accepted.send(sql.as_bytes()).unwrap().body_mut().read_to_vec().unwrap();
    let reader = StreamReader::try_new(Cursor::new(bytes), None).unwrap();
    let kinds: Vec<String> = reader.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    assert!(kinds.iter().all(|kind| kind.contains("Utf8") && !kind.contains("View")), "{kinds:?}");
    let (status, answer) = server.post("/api/v1/sql?format=json", sql);
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["rows"], json!([[PRESS, ["temperature"], ["temperature"], "temperature!"]]));
}
