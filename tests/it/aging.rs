//! Old rows leave and old files move, and every reader sees the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{PLANT, Server, output, python, root, takt, wait_for};

const PRESS: &str = "cologne/line-1/press";
const DAY_US: i64 = 86_400_000_000;

fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

fn sample(days_ago: i64) -> Value {
    json!({"equipment": PRESS, "signal": "temperature", "time": now_us() - days_ago * DAY_US, "value": days_ago as f64})
}

fn post(server: &Server, rows: &Value) -> (u16, String) {
    server.post("/api/v1/samples", rows.to_string())
}

fn metric(server: &Server, name: &str) -> f64 {
    let (_, text) = server.get("/metrics");
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// The values of `samples` as each reader finds them, in the order of time.
fn values(server: &Server) -> Vec<f64> {
    let sql = "SELECT value FROM samples ORDER BY time";
    let values: Vec<f64> = server.sql(sql).iter().map(|row| row[0].as_f64().unwrap()).collect();
    let folder = server.folder.join("data/tables/samples");
    let text =
        output(python().arg(root().join("tests/it/read_tables.py")).arg(folder).args(["equipment", "signal", "time"]));
    let read: Value = serde_json::from_str(&text).unwrap();
    for reader in ["deltalake", "duckdb"] {
        let found: Vec<f64> =
            read[reader]["rows"].as_array().unwrap().iter().map(|row| row["value"].as_f64().unwrap()).collect();
        assert_eq!(found, values, "{reader}");
    }
    values
}

fn cold_files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder.join("tables/samples")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn settings(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("takt.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn old_rows_leave_and_old_files_move_and_every_reader_sees_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let cold = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    assert_eq!(post(&server, &json!([sample(400), sample(399), sample(100), sample(1)])).0, 200);
    server.stop();

    let config = settings(
        folder.path(),
        &format!("[retention]\nsamples = \"200 days\"\n[tiering]\nfolder = {:?}\nsamples = \"30 days\"\n", cold.path()),
    );
    let config = config.to_str().unwrap().to_owned();
    let mut server = Server::start_with(folder.path(), &["--config", &config]);
    let limit = Duration::from_secs(60);
    wait_for("old rows to leave", limit, || (metric(&server, "takt_store_expired_rows") == 2.0).then_some(()));
    wait_for("an old file to move", limit, || (metric(&server, "takt_store_cold_segments") == 1.0).then_some(()));
    assert_eq!(values(&server), [100.0, 1.0]);
    let [file] = cold_files(cold.path()).try_into().unwrap();
    let link = folder.path().join("data/tables/samples").join(file.file_name().unwrap());
    assert!(link.symlink_metadata().unwrap().is_symlink());

    // What would be removed at once is not let in, and leaves a trace.
    let (status, body) = post(&server, &json!([sample(300), sample(2)]));
    assert!(status == 400 && body.contains("`retention.samples`"), "{body}");
    let refused = server.sql("SELECT error FROM quarantine");
    assert!(refused[0][0].as_str().unwrap().contains("`retention.samples`"), "{refused:?}");
    server.stop();

    let verified = output(takt().arg("verify").arg("--data").arg(folder.path().join("data")));
    assert!(verified.contains("nothing is wrong"), "{verified}");
    assert!(verified.contains("not named by any table"), "what was removed is still there for readers: {verified}");

    // A backup holds the rows of the cold folder, not the links.
    let mut server = Server::start_with(folder.path(), &["--config", &config]);
    assert_eq!(values(&server), [100.0, 2.0, 1.0]);
    let backup = folder.path().join("backup");
    output(takt().args(["backup", "--url", &server.url("")]).arg(&backup));
    server.stop();
    let restored = folder.path().join("restored");
    output(takt().arg("restore").arg(&backup).arg("--data").arg(&restored));
    let count = ["sql", "--format", "csv", "SELECT count(*) FROM samples"];
    let rows = output(takt().args(count).arg("--data").arg(&restored));
    assert_eq!(rows.lines().last(), Some("3"), "{rows}");

    // Without its disk takt does not start, and says which one it wants.
    fs::remove_file(cold.path().join("takt-data-folder")).unwrap();
    let refused =
        takt().args(["serve", "--config", &config, "--data"]).arg(folder.path().join("data")).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("mount the disk"), "{said}");
    assert!(said.contains(cold.path().canonicalize().unwrap().to_str().unwrap()), "{said}");
}

#[test]
fn ages_that_cannot_be_meant_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), PLANT).unwrap();
    for (text, expected) in [
        (
            "[retention]\nsamples = \"3 months\"\n",
            "takt.toml:2:11: `retention.samples` is \"3 months\"; write days, weeks or years",
        ),
        ("[retention]\nunits = \"3 days\"\n", "takt.toml:2:1: `retention.units` cannot be set"),
        ("[retention]\nsampels = \"3 days\"\n", "did you mean `samples`?"),
    ] {
        let config = settings(folder.path(), text);
        let refused = takt().arg("serve").arg("--config").arg(config).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(expected), "{text}: {said}");
    }
}
