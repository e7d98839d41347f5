//! Data folders that earlier versions of takt wrote: this one must open each and show the same rows.
//!
//! A fixture is a folder below `tests/it/fixtures`, named by the version that wrote it, and by a day where that version has
//! written otherwise since: the data folder as a crash left it, and `rows.jsonl`, what SQL said of every table just before.
//! To write the one of the present version anew, rename its folder or remove it, and run this test with
//! `TAKT_WRITE_FIXTURE=1`; those of other versions are never touched.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Server, output, root, takt};
use crate::mqtt::Publisher;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Size of the write-ahead log's files in fixtures: the zeros at their ends are left out of the checkout.
const WAL_FILE_BYTES: u64 = 1 << 20;
const PRESS: &str = "cologne/press";
/// No calendar: what the table of shifts holds depends on the day.
const PLANT: &str = r#"
[plant]
name = "Fixture"
zone = "Europe/Berlin"

[[equipment]]
path = "cologne"
level = "site"

[[equipment]]
path = "cologne/press"
level = "work_unit"
name = "Press, größte"

[[topics]]
pattern = "plant/{machine}/{signal...}"
equipment = "cologne/{machine}"
signal = "{signal}"

[[signals]]
equipment = "cologne"
signal = "pressure"
uom = "bar"
compression = { method = "swinging_door", deviation = 0.5 }

[[signals]]
equipment = "cologne"
signal = "total"
role = "total_count"

[[products]]
product = "P-1"
ideal_cycle_s = 10.0

[[characteristics]]
characteristic = "width"
product = "P-1"
upper_limit = 3.5

[[reasons]]
reason = "JAM"
category = "unplanned"
"#;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn wal_files(data: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(data.join("wal")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
    assert!(!files.is_empty(), "no log in {}", data.display());
    files
}

fn settings(folder: &Path) -> String {
    let path = folder.join("takt.toml");
    fs::write(&path, format!("[storage]\nflush_interval_s = 100000\nwal_file_bytes = {WAL_FILE_BYTES}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn start(folder: &Path) -> Server {
    Server::start_with(folder, &["--config", &settings(folder)])
}

fn post(server: &Server, table: &str, rows: Value) {
    let (status, body) = server.post(&format!("/api/v1/{table}"), rows.to_string());
    assert_eq!(status, 200, "{table}: {body}");
}

fn time(minute: u32) -> String {
    format!("2025-03-{:02}T{:02}:{:02}:00.000001Z", 3 + minute / 1440, minute / 60 % 24, minute % 60)
}

fn samples(signal: &str, minutes: std::ops::Range<u32>) -> Value {
    let value = |minute: u32| f64::from(minute * 7919 % 1000) / 3.0;
    minutes.map(|m| json!({"equipment": PRESS, "signal": signal, "time": time(m), "value": value(m)})).collect()
}

fn operation(run: &str, from: u32, to: Option<u32>) -> Value {
    json!({"run": run, "equipment": PRESS, "operation": "press", "unit": format!("U{run}"), "work_order": "WO-1",
           "started": time(from), "completed": to.map(time), "quantity": 2.5})
}

fn stop_reason(reason: &str, to: Option<u32>) -> Value {
    json!({"equipment": PRESS, "start": time(20), "end": to.map(time), "reason": reason, "comment": "belt"})
}

fn limits(from: u32, centre: f64) -> Value {
    json!({"characteristic": "width", "equipment": PRESS, "chart": "i_mr", "valid_from": time(from), "centre": centre,
           "sigma": 0.125, "companion": "MR", "subgroup": "1", "subgroups": 25, "rules": "nelson", "approved_by": "quality",
           "reason": "25 pieces"})
}

/// Rows of every kind: in several segments, merged and not, corrected, retracted, in histories, and in the log alone.
fn write(folder: &Path) {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    let mut server = start(folder);
    post(&server, "work_orders", json!([{"work_order": "WO-1", "product": "P-1", "planned_quantity": 100.0}]));
    post(&server, "operations", json!([operation("1", 10, Some(40)), operation("2", 50, None)]));
    post(&server, "samples", samples("force", 0..120));
    post(&server, "samples", samples("pressure", 0..60));
    post(
        &server,
        "samples",
        json!([
            {"equipment": PRESS, "signal": "mode", "time": time(1), "text": "RUN ▶"},
            {"equipment": PRESS, "signal": "big", "time": time(2), "value": 9_007_199_254_740_993_i64},
            {"equipment": PRESS, "signal": "tiny", "time": time(2), "value": 5e-324},
            {"equipment": PRESS, "signal": "force", "time": time(200), "value": null, "quality": 2_147_483_648_i64},
            {"equipment": PRESS, "signal": "keyed", "time": time(20), "value": 1.0, "unit": "X", "work_order": "WO-9"},
            {"equipment": PRESS, "signal": "total", "time": time(3), "value": 65_535.0},
        ]),
    );
    post(
        &server,
        "units",
        json!([{"unit": "U1", "item": "P-1", "quantity": 1.0}, {"unit": "U2", "item": "P-1"}, {"unit": "L7", "kind": "lot"}]),
    );
    post(
        &server,
        "materials",
        json!([{"event_id": "m1", "parent": "L7", "child": "U1", "quantity": 0.25, "time": time(12)}]),
    );
    post(
        &server,
        "measurements",
        json!([{"time": time(15), "unit": "U1", "operation": "press", "equipment": PRESS,
        "characteristic": "width", "value": 3.25, "result": "pass", "run": "1", "piece": 1}]),
    );
    post(
        &server,
        "states",
        json!([{"equipment": PRESS, "source": "mes", "start": time(5), "kind": "change", "state": "HELD"}]),
    );
    post(
        &server,
        "counts",
        json!([{"time": time(6), "equipment": PRESS, "source": "mes", "total": 5.0, "scrap": 1.0}]),
    );
    post(
        &server,
        "events",
        json!([{"event_id": "e1", "time": time(7), "kind": "alarm", "message": "hot, \"very\"", "data": "{\"t\":81}"}]),
    );
    post(&server, "routes", json!([{"route": "R", "step": 1, "operation": "press", "equipment": PRESS}]));
    post(&server, "stop_reasons", json!([stop_reason("JAM", Some(25)), stop_reason("JAM", None)]));
    post(&server, "control_limits", json!([limits(10, 3.25), limits(20, 3.5)]));
    post(
        &server,
        "exclusions",
        json!([{"characteristic": "width", "unit": "U1", "run": "1", "time": time(15), "piece": 1, "reason": "burr"}]),
    );
    let mut publisher = Publisher::connect(server.mqtt, "fixture").unwrap();
    publisher.publish("plant/press/temperature", br#"{"ts":1741000000000,"value":71.4}"#, 0).unwrap();
    publisher.publish("plant/lathe/temperature", b"\xff\xfe", 1).unwrap();
    assert!(publisher.drain(0));
    drop(publisher);
    // A clean end flushes.
    server.stop();

    let mut server = start(folder);
    post(&server, "samples", json!([{"equipment": PRESS, "signal": "force", "time": time(3), "value": -3.0}]));
    post(&server, "samples", samples("night", 1380..1500));
    post(&server, "units", json!([{"unit": "U1", "quantity": 2.0, "change_reason": "counted again"}]));
    post(&server, "units", json!([{"unit": "L7", "deleted": true, "change_reason": "wrong number"}]));
    post(&server, "operations", json!([operation("1", 12, Some(45))]));
    // Enough commits for a checkpoint of a table log.
    for minute in 0..28 {
        post(&server, "samples", samples("slow", minute..minute + 1));
        assert_eq!(server.post("/api/v1/compact", "").0, 200);
    }
    server.stop();

    // The start removes what merges have left behind; a backup flushes and merges nothing.
    let mut server = start(folder);
    let flush = |server: &Server, name: &str| {
        let (status, body) = server.post(&format!("/api/v1/backup?to={}", folder.join(name).display()), "");
        assert_eq!(status, 200, "{body}");
    };
    post(&server, "samples", samples("force", 100..130));
    flush(&server, "first");
    post(&server, "units", json!([{"unit": "U2", "item": null, "status": "hold"}]));
    post(&server, "samples", json!([{"equipment": PRESS, "signal": "force", "time": time(5), "value": -5.0}]));
    flush(&server, "second");

    // From here on in the log alone.
    post(&server, "samples", samples("force", 130..140));
    post(&server, "samples", json!([{"equipment": PRESS, "signal": "force", "time": time(4), "value": -4.0}]));
    post(&server, "operations", json!([operation("2", 55, Some(90)), operation("3", 91, None)]));
    post(&server, "units", json!([{"unit": "U1", "deleted": true}]));
    post(&server, "control_limits", json!([limits(20, 3.375)]));
    let fixture = folder_of(VERSION);
    fs::create_dir_all(&fixture).unwrap();
    fs::write(fixture.join("rows.jsonl"), shown(&server, &tables(&server))).unwrap();
    server.kill();
    let data = fixture.join("data");
    copy(&folder.join("data"), &data);
    // What is of the process that wrote it, and the zeros.
    for gone in ["listening.json", "lock", "spill"] {
        let path = data.join(gone);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else if path.exists() {
            fs::remove_file(&path).unwrap()
        }
    }
    for table in fs::read_dir(data.join("tables")).unwrap() {
        let log = table.unwrap().path().join("_delta_log");
        forget_before_checkpoint(&log);
        forget_place(&log, folder);
    }
    let log = fs::read_dir(data.join("wal")).unwrap().map(|file| file.unwrap().path());
    // Files that were prepared for later hold nothing.
    for spare in log.filter(|path| path.extension().is_none()) {
        fs::remove_file(spare).unwrap();
    }
    for path in wal_files(&data) {
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, WAL_FILE_BYTES, "{}", path.display());
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        fs::write(&path, &bytes[..used]).unwrap();
    }
}

/// Removes the commits that a checkpoint has taken in, as Delta does an hour later.
fn forget_before_checkpoint(log: &Path) {
    let Ok(last) = fs::read(log.join("_last_checkpoint")) else { return };
    let last: Value = serde_json::from_slice(&last).unwrap();
    for version in 0..last["version"].as_u64().unwrap() {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
}

/// The first commit of a table says where it was made.
fn forget_place(log: &Path, folder: &Path) {
    for path in fs::read_dir(log).unwrap().map(|file| file.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let said = fs::read_to_string(&path).unwrap();
            fs::write(&path, said.replace(folder.to_str().unwrap(), "/srv/takt")).unwrap();
        }
    }
}

fn fixtures() -> PathBuf {
    root().join("tests/it/fixtures")
}

fn folder_of(version: &str) -> PathBuf {
    fixtures().join(version)
}

/// Every table, and its columns.
fn tables(server: &Server) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names = server.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1");
    let columns_of = |table: &str| {
        let sql = format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}' \
             ORDER BY ordinal_position"
        );
        server.sql(&sql).iter().map(|row| text(&row[0])).collect()
    };
    names.iter().map(|row| text(&row[0])).map(|table| (table.clone(), columns_of(&table))).collect()
}

/// All rows of tables: a line that names a table and its columns, then one for each row.
fn shown(server: &Server, tables: &[(String, Vec<String>)]) -> String {
    let mut lines = Vec::new();
    for (table, columns) in tables {
        let quoted = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
        let order = (1..=columns.len()).map(|place| place.to_string()).collect::<Vec<_>>().join(", ");
        lines.push(json!({ table: columns }).to_string());
        let rows = server.sql(&format!("SELECT {quoted} FROM {table} ORDER BY {order}"));
        lines.extend(rows.iter().map(|row| json!(row).to_string()));
    }
    lines.join("\n") + "\n"
}

/// The tables that `rows` begins sections with.
fn named(rows: &str) -> Vec<(String, Vec<String>)> {
    let headings = rows.lines().filter_map(|line| match serde_json::from_str(line).unwrap() {
        Value::Object(heading) => heading.into_iter().next(),
        _ => None,
    });
    headings.map(|(table, columns)| (table, serde_json::from_value(columns).unwrap())).collect()
}

/// Rows of the plant that the start has written again: until a flush finds them to be nothing new, they are shown as
/// recorded at the start.
fn unstamped(line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    if let Some(cells) = line.as_array_mut() {
        // The file's own row is called so too.
        for by in (1..cells.len()).filter(|&place| cells[place] == "plant.toml").collect::<Vec<_>>() {
            cells[by - 1] = Value::Null;
        }
    }
    line.to_string()
}

fn same(server: &Server, expected: &str, is_flushed: bool, what: &str) {
    let found = shown(server, &named(expected));
    for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        let at = format!("{what}: line {} of rows.jsonl", number + 1);
        if is_flushed {
            assert_eq!(found, expected, "{at}");
        } else {
            assert_eq!(unstamped(found), unstamped(expected), "{at}");
        }
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{what}");
}

fn sound(data: &Path, what: &str) {
    let said = output(takt().arg("verify").arg("--data").arg(data));
    assert!(said.contains("nothing is wrong"), "{what}: {said}");
}

fn opens(fixture: &Path) {
    let version = fixture.file_name().unwrap().to_str().unwrap();
    let expected = fs::read_to_string(fixture.join("rows.jsonl")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    copy(&fixture.join("data"), &data);
    fs::copy(data.join("plant.toml"), folder.path().join("plant.toml")).unwrap();
    for path in wal_files(&data) {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(WAL_FILE_BYTES).unwrap();
    }
    sound(&data, &format!("{version} as it is"));
    let mut server = start(folder.path());
    same(&server, &expected, false, &format!("{version} opened"));
    output(takt().arg("compact").args(["--url", &server.url("")]));
    same(&server, &expected, true, &format!("{version} merged"));
    sound(&data, &format!("{version} merged"));
    server.stop();
    let server = start(folder.path());
    same(&server, &expected, false, &format!("{version} opened again"));
}

#[test]
fn data_folders_of_all_versions_open_and_show_the_same_rows() {
    if std::env::var_os("TAKT_WRITE_FIXTURE").is_some() {
        assert!(!folder_of(VERSION).exists(), "remove {} first", folder_of(VERSION).display());
        write(tempfile::tempdir().unwrap().path());
    }
    let mut versions: Vec<PathBuf> = fs::read_dir(fixtures()).unwrap().map(|folder| folder.unwrap().path()).collect();
    versions.retain(|path| path.is_dir());
    versions.sort();
    assert!(!versions.is_empty(), "no fixtures in {}", fixtures().display());
    versions.iter().for_each(|fixture| opens(fixture));
}
