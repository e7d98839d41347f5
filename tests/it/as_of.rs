//! Views as of an earlier recorded time, through every face.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Server, takt};

/// What psql answers to statements of one session, and what it complains about.
fn psql(server: &Server, statements: &[&str]) -> (Vec<String>, String) {
    let address = format!("host=127.0.0.1 port={} user=takt dbname=takt", server.pg.port());
    let mut command = Command::new("psql");
    command.args(["-X", "-w", "-Atq", &address]).env_remove("PGSSLMODE").env_remove("PGSERVICE");
    for statement in statements {
        command.args(["-c", statement]);
    }
    let done = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect();
    (told, String::from_utf8(done.stderr).unwrap())
}

/// What `takt sql` says of the quantity as of a time.
fn quantity(arguments: &[&str], as_of: &str) -> String {
    let query = "SELECT quantity FROM units";
    let mut command = takt();
    command.args(["sql", "--format", "csv", "--as-of", as_of]).args(arguments).arg(query);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().replace("\r\n", "\n")
}

#[test]
fn what_was_known_earlier_is_shown_and_what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let post = |quantity: f64| {
        let row = json!({"unit": "L1", "quantity": quantity}).to_string();
        assert_eq!(server.post("/api/v1/units", row).0, 200);
        server.sql("SELECT recorded FROM units")[0][0].as_str().unwrap().to_owned()
    };
    let (first, second) = (post(5.0), post(4.0));
    assert!(first < second, "{first} {second}");

    let ask = |as_of: &str| -> Value {
        let path = format!("/api/v1/sql?format=json&as_of={as_of}");
        serde_json::from_str(&server.post(&path, "SELECT quantity FROM units").1).unwrap()
    };
    assert_eq!(ask(&first)["rows"], json!([[5.0]]));
    assert_eq!(ask(&second)["rows"], json!([[4.0]]));
    assert_eq!(ask("2025-01-01")["rows"], json!([]));
    // A plus sign in an address is a space.
    for nonsense in ["yesterday", "2025-01-01T10:00:00+01"] {
        let error = &ask(nonsense)["error"];
        assert!(error["message"].as_str().unwrap().contains("as_of takes a time"), "{error}");
    }
    // Each request is a session of its own.
    let (status, told) = server.post("/api/v1/sql", "SET as_of = '2025-01-01'");
    assert!(status == 400 && told.contains("give HTTP the parameter as_of"), "{status} {told}");

    let set = format!("SET as_of = '{first}'");
    let count = "SELECT quantity, (SELECT count(*) FROM units_history) FROM units";
    let (told, complaint) = psql(&server, &["SET TIME ZONE 'Europe/Berlin'", &set, count, "RESET as_of", count]);
    assert_eq!((told, complaint.as_str()), (vec!["5.0|0".to_owned(), "4.0|1".to_owned()], ""));
    let (told, _) = psql(&server, &["SET TIME ZONE 'Europe/Berlin'", "SET as_of = '2025-07-01 12:00'", "SHOW as_of"]);
    assert_eq!(told, ["2025-07-01 12:00:00+02:00"]);
    // A cursor sees what was asked for when it was declared.
    let declared = "DECLARE c CURSOR WITH HOLD FOR SELECT quantity FROM units";
    let local = format!("SET LOCAL as_of = '{first}'");
    let (told, complaint) = psql(&server, &["BEGIN", &local, declared, "COMMIT", "FETCH ALL FROM c"]);
    assert_eq!((told, complaint.as_str()), (vec!["5.0".to_owned()], ""));
    for (statement, complaint) in [
        ("SET as_of = '-000100-01-01T00:00:00Z'", "invalid value for parameter \"as_of\""),
        ("SELECT system_time FORM units", "FORM"),
        ("SET as_of = 'yesterday'", "as_of takes a time, such as '2026-11-26 10:00:00+01', and not 'yesterday'"),
        ("SELECT * FROM units FOR SYSTEM_TIME AS OF TIMESTAMP '2025-07-01 12:00:00'", "SET as_of = "),
        ("SELECT * FROM units TABLESAMPLE SYSTEM (10)", "TABLESAMPLE is not possible here"),
    ] {
        let (told, complaints) = psql(&server, &[statement]);
        assert!(told.is_empty() && complaints.contains(complaint), "{statement}: {complaints}");
    }

    let url = server.url("");
    assert_eq!(quantity(&["--url", &url], &first), "quantity\n5.0");
    server.stop();
    let data = folder.path().join("data");
    assert_eq!(quantity(&["--data", data.to_str().unwrap()], &first), "quantity\n5.0");
    assert_eq!(quantity(&["--data", data.to_str().unwrap()], &second), "quantity\n4.0");
}

const PRESS: &str = r#"
[plant]
name = "one press"
zone = "UTC"

[[equipment]]
path = "press"
calendar = "day"
default_product = "A"

[[signals]]
equipment = "press"
signal = "made"
role = "total_count"

[[calendars.day.shifts]]
name = "day"
days = ["tue"]
start = "06:00"
end = "14:00"

[[products]]
product = "A"
ideal_cycle_s = 10
"#;

/// The plant file is one more thing that was known then: ideal cycle times and shifts of an answer are those of its time.
#[test]
fn an_answer_of_then_goes_by_the_plant_file_of_then() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), PRESS).unwrap();
    let mut server = Server::start(folder.path());
    server.send(
        "states",
        &[json!({"equipment": "press", "source": "mes", "start": "2025-01-14T06:00:00Z", "state": "run"})],
    );
    // 06:00 and 07:00.
    let made = "press,equipment=press made=0 1736834400\npress,equipment=press made=1440 1736838000";
    assert_eq!(server.post("/api/v2/write?precision=s", made).0, 204);
    let figures = "SELECT round(performance, 9), planned_production_s FROM oee('day', '2025-01-14T00:00:00Z', '2025-01-15T00:00:00Z') \
                   WHERE shift IS NULL AND equipment = 'press' AND total > 0";
    let then = json!([["0.5", "28800.0"]]);
    let ask = |server: &Server, as_of: Option<&str>| {
        let set: Vec<String> = as_of.iter().map(|as_of| format!("SET as_of = '{as_of}'")).collect();
        let statements: Vec<&str> = set.iter().map(String::as_str).chain([figures]).collect();
        let (told, complaint) = psql(server, &statements);
        assert_eq!(complaint, "");
        json!(told.iter().map(|row| row.split('|').collect::<Vec<_>>()).collect::<Vec<_>>())
    };
    assert_eq!(ask(&server, None), then);
    let first = server.sql("SELECT now()")[0][0].as_str().unwrap().to_owned();
    server.stop();
    let changed = PRESS.replace("ideal_cycle_s = 10", "ideal_cycle_s = 5").replace("14:00", "10:00");
    fs::write(folder.path().join("plant.toml"), &changed).unwrap();
    let server = Server::start(folder.path());
    assert_eq!(ask(&server, None), json!([["0.5", "14400.0"]]), "half the cycle time, and half the time");
    assert_eq!(ask(&server, Some(&first)), then, "what was said then");
    // Before the first file no state was recorded; of samples nobody knows when they were. It goes by that file.
    assert_eq!(ask(&server, Some("2025-06-01")), json!([["", "28800.0"]]));
    let files = server.sql("SELECT f.text, h.text FROM plant_files f JOIN plant_files_history h ON f.name = h.name");
    assert_eq!(json!(files), json!([[changed, PRESS]]));
    let (status, answer) =
        server.post("/api/v1/plant_files", json!([{"name": "plant.toml", "text": "mine"}]).to_string());
    assert!(status == 400 && answer.contains("change plant.toml and start takt again"), "{status} {answer}");
}
