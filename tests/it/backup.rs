//! A backup taken while messages pour in is a consistent copy; restored, it answers as the server did.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::harness::{PLANT, Server, output, takt};
use crate::mqtt::Publisher;

fn backup(server: &Server, to: &Path) -> Command {
    let mut command = takt();
    command.args(["backup", "--url", &server.url("")]).arg(to);
    command
}

fn restore(from: &Path, to: &Path) -> Command {
    let mut command = takt();
    command.arg("restore").arg(from).arg("--data").arg(to);
    command
}

/// Numbers stored under a signal: how many, the least, the greatest, their sum.
fn run_of(server: &Server) -> Vec<Value> {
    server.sql("SELECT count(*), min(value), max(value), sum(value) FROM samples WHERE signal = 'number'").remove(0)
}

#[test]
fn a_backup_under_load_restores_to_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let mut server = Server::start(folder.path());
    for row in [json!({"work_order": "WO-1", "status": "released"}), json!({"work_order": "WO-1", "status": "started"})]
    {
        assert_eq!(server.post("/api/v1/work_orders", row.to_string()).0, 200);
    }
    let operation = json!({"run": "r1", "equipment": "cologne/line-1/press", "work_order": "WO-1", "unit": "U-1",
                           "started": "2025-03-03T11:06:40Z"});
    assert_eq!(server.post("/api/v1/operations", operation.to_string()).0, 200);

    let (end, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let (before, after) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut machine = Publisher::connect(server.mqtt, "load").unwrap();
            // Ends by itself as well: a failing test must not wait for ever.
            for number in 0..500_000_u64 {
                let payload = format!(r#"{{"number": {number}, "ts": {}}}"#, 1_741_000_000_000 + number);
                machine.publish("flat/press", payload.as_bytes(), number).unwrap();
                assert!(machine.drain(100));
                sent.store(machine.acknowledged.len() as u64, Ordering::Release);
                if end.load(Ordering::Acquire) {
                    break;
                }
            }
            assert!(machine.drain(0));
        });
        while sent.load(Ordering::Acquire) < 2_000 {
            std::thread::yield_now();
        }
        let before = sent.load(Ordering::Acquire);
        let said = output(&mut backup(&server, &copy));
        let after = sent.load(Ordering::Acquire);
        end.store(true, Ordering::Release);
        assert!(said.contains("copy: ") && said.contains(" files"), "{said}");
        (before, after)
    });
    assert!(after > before, "no message was acknowledged while the backup ran");

    // The original is complete and runs on; the folder of a backup is used once.
    let again = backup(&server, &copy).output().unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is not empty"), "{again:?}");
    let context = "SELECT work_order, status FROM work_orders";
    let history = "SELECT status FROM work_orders_history ORDER BY recorded";
    let (orders, versions) = (server.sql(context), server.sql(history));
    let all = run_of(&server);
    server.stop();

    let second = tempfile::tempdir().unwrap();
    fs::write(second.path().join("plant.toml"), PLANT).unwrap();
    output(&mut restore(&copy, &second.path().join("data")));
    let restored = Server::start(second.path());
    let found = run_of(&restored);
    let count = found[0].as_u64().unwrap();
    assert!(count >= before, "{before} were acknowledged before the backup, {count} are in it");
    assert!(count <= all[0].as_u64().unwrap(), "{count} in the backup, {} at the source", all[0]);
    // One moment: the first so many numbers, without a gap and without a double.
    let sum = (count * (count - 1) / 2) as f64;
    assert_eq!(json!(found), json!([count, 0.0, (count - 1) as f64, sum]));
    let keyed = "SELECT count(*) FROM samples WHERE unit = 'U-1' AND work_order = 'WO-1'";
    assert_eq!(restored.number(keyed) as u64, count);
    assert_eq!(json!([restored.sql(context), restored.sql(history)]), json!([orders, versions]));
}

#[test]
fn users_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let server = Server::start(folder.path());
    let password = folder.path().join("password");
    fs::write(&password, "correct horse\n").unwrap();
    let data = folder.path().join("data");
    output(
        takt()
            .args(["user", "add", "anna", "--role", "admin", "--password-file"])
            .arg(&password)
            .arg("--data")
            .arg(&data),
    );
    let token = output(takt().args(["user", "token", "anna", "--data"]).arg(&data)).trim().to_owned();
    output(backup(&server, &copy).env("TAKT_TOKEN", &token));
    let restored = folder.path().join("restored");
    output(&mut restore(&copy, &restored));
    assert_eq!(output(takt().args(["user", "list", "--data"]).arg(&restored)), "anna  admin  1 token\n");
}

/// Turns one bit of a page of a table's first Parquet file around: its footer is read at the start.
fn damage(table: &Path) -> PathBuf {
    let segment = fs::read_dir(table).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|end| end == "parquet")).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[30] ^= 1;
    fs::write(&segment, bytes).unwrap();
    segment
}

#[test]
fn a_file_that_was_damaged_before_is_named_and_the_rest_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let server = Server::start(folder.path());
    assert_eq!(server.post("/api/v1/units", r#"{"unit": "U-1"}"#).0, 200);
    assert_eq!(server.post("/api/v1/work_orders", r#"{"work_order": "WO-1"}"#).0, 200);
    output(&mut backup(&server, &first));
    let segment = damage(&folder.path().join("data/tables/units"));
    let name = segment.file_name().unwrap().to_str().unwrap();
    let taken = backup(&server, &second).output().unwrap();
    let told = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert_eq!(taken.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("tables/units/{name}: its bytes are not those")), "{told}");

    let restored = folder.path().join("restored");
    fs::create_dir(&restored).unwrap();
    fs::write(restored.join("plant.toml"), PLANT).unwrap();
    let done = restore(&second, &restored.join("data")).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("tables/units/{name}: it was damaged when the backup was taken")), "{told}");
    assert!(!String::from_utf8_lossy(&done.stdout).contains("verified"), "{done:?}");
    let second = Server::start(&restored);
    assert_eq!(json!(second.sql("SELECT work_order FROM work_orders")), json!([["WO-1"]]));
    // A file that was cut short has no checksum to compare; its length says so.
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
    let taken = backup(&server, &folder.path().join("third")).output().unwrap();
    let told = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(taken.status.code() == Some(1) && told.contains(&format!("tables/units/{name}")), "{told}");
    // So is a table log whose newest file was cut short.
    fs::write(&segment, &whole).unwrap();
    let log = folder.path().join("data/tables/units/_delta_log");
    let newest = fs::read_dir(&log).unwrap().map(|file| file.unwrap().path()).max().unwrap();
    let actions = fs::read(&newest).unwrap();
    fs::write(&newest, &actions[..20]).unwrap();
    let taken = backup(&server, &folder.path().join("fourth")).output().unwrap();
    let told = String::from_utf8_lossy(&taken.stderr).into_owned();
    let cut = format!("tables/units/_delta_log/{}", newest.file_name().unwrap().display());
    assert!(taken.status.code() == Some(1) && told.contains(&cut), "{told}");
    fs::write(&newest, &actions).unwrap();
    // The one from before is sound.
    let said = output(&mut restore(&first, &folder.path().join("sound")));
    assert!(said.contains("verified"), "{said}");
}

#[test]
fn a_damaged_backup_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let server = Server::start(folder.path());
    assert_eq!(server.post("/api/v1/units", r#"{"unit": "U-1"}"#).0, 200);
    output(&mut backup(&server, &copy));
    let segment = damage(&copy.join("tables/units"));

    let restored = folder.path().join("restored");
    let done = restore(&copy, &restored).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && told.contains(segment.to_str().unwrap()) && told.contains("checksum"), "{told}");
    // Nothing of it may look like a data folder.
    let left = fs::read_dir(&restored).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a half-restored folder was left behind");
    // No backup at all, and a folder in use.
    let done = restore(folder.path(), &restored).output().unwrap();
    assert!(String::from_utf8_lossy(&done.stderr).contains("is no takt backup"), "{done:?}");
    let done = restore(&copy, &folder.path().join("data")).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && told.contains("in use by another takt"), "{told}");
}
