//! The command line as people type it: what it prints, what it says where something is wrong, and its exit codes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::harness::{PLANT, Server, output, python, takt};

const FREE: [&str; 6] = ["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command that must fail says on stderr.
fn complaint(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{command:?}: {done:?}");
    text(&done.stderr)
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_taken_port_is_one_line_that_names_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let plant = folder.path().join("plant.toml");
    for (flag, key, taken) in [
        ("--mqtt", "mqtt.listen", server.mqtt),
        ("--http", "http.listen", server.http),
        ("--pg", "postgres.listen", server.pg),
    ] {
        let mut command = takt();
        command.arg("serve").arg("--data").arg(folder.path().join("second")).arg("--plant").arg(&plant);
        for pair in FREE.chunks(2) {
            let address = if pair[0] == flag { taken.to_string() } else { pair[1].to_owned() };
            command.args([pair[0], &address]);
        }
        let told = complaint(&mut command);
        assert_eq!(told.lines().count(), 1, "{told}");
        for part in [taken.to_string().as_str(), "is taken", flag, key] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
}

#[test]
fn a_data_folder_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut second = takt();
    second
        .arg("serve")
        .arg("--data")
        .arg(folder.path().join("data"))
        .arg("--plant")
        .arg(folder.path().join("plant.toml"));
    let told = complaint(second.args(FREE));
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("in use by another takt") && told.contains(&server.pid().to_string()), "{told}");
    // The first one is none the worse for it.
    assert_eq!(server.number("SELECT 1"), 1.0);
}

#[test]
fn mistakes_of_brokers_stop_the_start_and_are_all_told() {
    let folder = tempfile::tempdir().unwrap();
    let brokers = "[[brokers]]\nname = \"a\"\nurl = \"host\"\ntopics = [\"x/#/y\"]\n\
                   [[brokers]]\nname = \"b\"\nurl = \"http://host\"\ntopics = [\"#\"]\n";
    let config = write(folder.path(), "takt.toml", brokers);
    let told = complaint(takt().args(["serve", "--config"]).arg(&config).args(FREE));
    for part in ["takt.toml:3:7: `host`", "takt.toml:4:10: `x/#/y`", "takt.toml:7:7: `http://host`"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(!folder.path().join("takt-data").exists());
}

/// `takt user …`, with a password where one is asked for.
fn user(arguments: &[&str], data: &Path, password: &str) -> Output {
    let mut command = takt();
    command.arg("user").args(arguments).arg("--data").arg(data);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn users_are_told_with_the_folder_that_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = data.join("users.toml");
    let said = |done: Output| {
        assert!(done.status.success(), "{done:?}");
        (text(&done.stdout), text(&done.stderr))
    };
    let short = user(&["add", "anna", "--role", "admin"], &data, "seven c\n");
    assert_eq!(short.status.code(), Some(1), "{short:?}");
    let told = text(&short.stderr);
    assert!(told.contains("a password needs at least 8 characters, this one has 7; nothing was added"), "{told}");
    assert!(!file.exists());

    let (out, told) = said(user(&["add", "anna", "--role", "admin"], &data, "grün wie Gras\n"));
    assert_eq!(out, format!("added anna (admin) to {}\n", file.display()));
    assert!(told.contains("The folder is new.") && told.contains("--data"), "{told}");
    let (out, told) = said(user(&["add", "berta", "--role", "read"], &data, "äöüäöüäö\n"));
    assert_eq!((out, told), (format!("added berta (read) to {}\n", file.display()), String::new()));
    let (token, told) = said(user(&["token", "anna"], &data, ""));
    assert!(token.starts_with("takt_") && told.contains(&file.display().to_string()), "{token} {told}");
    let (out, _) = said(user(&["remove", "berta"], &data, ""));
    assert_eq!(out, format!("removed berta from {}\n", file.display()));
    let (_, told) = said(user(&["list"], &folder.path().join("other"), ""));
    assert!(told.contains(&folder.path().join("other/users.toml").display().to_string()), "{told}");
}

#[test]
fn unknown_settings_name_the_nearest_known_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "takt.toml", "[storage]\nflush_intervall_s = 5\n\n[quary]\ntimeout_s = 1\n");
    let mut command = takt();
    let told = complaint(command.args(["serve", "--config"]).arg(&config).args(FREE));
    let file = config.display();
    for part in [
        format!("{file}:2:1: unknown key `storage.flush_intervall_s`; did you mean `flush_interval_s`?"),
        format!("{file}:4:2: unknown key `quary`; did you mean `query`?"),
    ] {
        assert!(told.contains(&part), "{part} is not in\n{told}");
    }
    assert!(!folder.path().join("takt-data").exists());
}

#[test]
fn environment_and_file_say_the_same_as_flags() {
    let folder = tempfile::tempdir().unwrap();
    let plant = write(folder.path(), "plant.toml", PLANT);
    let config = "data = \"of the file\"\n[http]\nlisten = \"127.0.0.1:0\"\n[postgres]\nlisten = \"nowhere:at-all\"\n";
    let config = write(folder.path(), "takt.toml", config);
    let mut command = takt();
    command.args(["serve", "--config"]).arg(&config).env("TAKT_PLANT", &plant).env("TAKT_MQTT", "127.0.0.1:0");
    // The file's address is used until the environment says another one, and a flag wins over both.
    assert!(complaint(&mut command).contains("`nowhere:at-all` is no address for PostgreSQL"));
    command.env("TAKT_PG", "neither:at-all");
    assert!(complaint(&mut command).contains("`neither:at-all` is no address for PostgreSQL"));
    assert!(complaint(command.args(["--pg", "flag:at-all"])).contains("`flag:at-all` is no address"));
}

#[test]
fn check_prints_every_mistake_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mistaken = concat!(
        "[plant]\n",
        "name = \"x\"\n",
        "zone = \"Europe/Berlim\"\n",
        "[[equipment]]\n",
        "path = \"a/b\"\n",
        "levle = \"site\"\n",
        "[[topics]]\n",
        "pattern = \"x/{m}\"\n",
        "equipment = \"a/{n}\"\n",
        "[[signals]]\n",
        "equipment = \"zz\"\n",
        "signal = \"s\"\n",
        "role = \"totl_count\"\n",
    );
    let plant = write(folder.path(), "plant.toml", mistaken);
    let done = takt().arg("check").arg(&plant).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let told = text(&done.stdout);
    for (line, part) in [
        (3, "did you mean `Europe/Berlin`?"),
        (5, "`a/b` stands below `a`, which is not declared"),
        (6, "did you mean `level`?"),
        (9, "nothing captures `{n}`"),
        (11, "unknown equipment `zz`"),
        (13, "did you mean `total_count`?"),
    ] {
        let place = format!("{}:{line}:", plant.display());
        let found =
            told.lines().find(|found| found.starts_with(&place)).unwrap_or_else(|| panic!("{place} in\n{told}"));
        assert!(found.contains(part) && found.contains(" / "), "{part} is not in {found}");
    }
    assert_eq!(told.lines().count(), 6, "{told}");
    assert!(text(&done.stderr).contains("6 mistakes"), "{}", text(&done.stderr));

    let good = write(folder.path(), "good.toml", PLANT);
    assert!(output(takt().arg("check").arg(&good)).contains("OK, 5 equipment"));
    let absent = folder.path().join("absent.toml");
    assert!(complaint(takt().arg("check").arg(&absent)).contains("absent.toml"));
    // What `check` refuses, `serve` refuses, with the same places.
    let told =
        complaint(takt().args(["serve", "--plant"]).arg(&plant).arg("--data").arg(folder.path().join("d")).args(FREE));
    assert!(told.contains(&format!("{}:3:", plant.display())), "{told}");
}

/// A server with three rows of every kind of column.
fn with_samples(folder: &Path) -> Server {
    let server = Server::start(folder);
    let rows = json!([
        {"equipment": "cologne/line-1/press", "signal": "s", "time": "2025-03-03T10:00:00Z", "value": 1.5},
        {"equipment": "cologne/line-1/press", "signal": "s", "time": "2025-03-03T10:00:01Z", "text": "a,\"b\""},
        {"equipment": "cologne/line-1/press", "signal": "s", "time": "2025-03-03T10:00:02.25Z", "value": -3},
    ]);
    let (status, body) = server.post("/api/v1/samples", rows.to_string());
    assert_eq!(status, 200, "{body}");
    server
}

const ASKED: &str = "SELECT time, value, text FROM samples WHERE signal = 's' ORDER BY time";
const AS_CSV: &str = "time,value,text\n2025-03-03T10:00:00Z,1.5,\n2025-03-03T10:00:01Z,,\"a,\"\"b\"\"\"\n2025-03-03T10:00:02.25Z,-3.0,\n";

fn sql(server: &Server, arguments: &[&str]) -> Command {
    let mut command = takt();
    command.args(["sql", "--url", &server.url("")]).args(arguments);
    command
}

#[test]
fn sql_as_table_csv_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_samples(folder.path());
    assert_eq!(output(&mut sql(&server, &["--format", "csv", ASKED])), AS_CSV);
    let answer: serde_json::Value =
        serde_json::from_str(&output(&mut sql(&server, &["--format", "json", ASKED]))).unwrap();
    let expected = json!([
        {"time": "2025-03-03T10:00:00Z", "value": 1.5, "text": null},
        {"time": "2025-03-03T10:00:01Z", "value": null, "text": "a,\"b\""},
        {"time": "2025-03-03T10:00:02.25Z", "value": -3.0, "text": null},
    ]);
    assert_eq!(answer, expected);
    let table = output(&mut sql(&server, &[ASKED]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 6, "{table}");
    assert!(lines[0].starts_with("time ") && lines[1].starts_with("----"), "{table}");
    assert!(lines[2].contains("1.5") && lines[2].contains("NULL"), "{table}");
    assert_eq!(lines[5], "(3 rows)");
    // Columns stand under each other.
    assert!(lines[2..5].iter().all(|line| line.find("2025").unwrap() == 0), "{table}");

    let none = "SELECT time, value FROM samples WHERE signal = 'none'";
    assert_eq!(output(&mut sql(&server, &["--format", "csv", none])), "time,value\n");
    assert_eq!(output(&mut sql(&server, &["--format", "json", none])).trim(), "[]");
    assert!(output(&mut sql(&server, &[none])).ends_with("(0 rows)\n"));

    let mut piped =
        sql(&server, &["--format", "csv", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(b"SELECT 42 AS answer").unwrap();
    assert_eq!(text(&piped.wait_with_output().unwrap().stdout), "answer\n42\n");
}

#[test]
fn sql_says_where_a_mistake_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_samples(folder.path());
    let told = complaint(&mut sql(&server, &["SELECT time\nFROM sampels"]));
    assert!(told.contains("line 2, column 6") && told.contains("  FROM sampels\n       ^"), "{told}");
    assert!(complaint(&mut sql(&server, &["DROP TABLE samples"])).contains("SQL reads only"));
    let told = complaint(takt().args(["sql", "--url", "http://127.0.0.1:1", "SELECT 1"]));
    assert!(told.contains("no takt server answers at http://127.0.0.1:1"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// Name, size and time of every file below a folder.
fn state_of(folder: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(state_of(&path));
        } else {
            let about = fs::metadata(&path).unwrap();
            found.insert(path, (about.len(), about.modified().unwrap()));
        }
    }
    found
}

#[test]
fn sql_reads_a_folder_without_changing_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = with_samples(folder.path());
    let from_folder = |asked: &str| output(takt().args(["sql", "--format", "csv", "--data"]).arg(&data).arg(asked));
    server.stop();
    let before = state_of(&data);
    assert_eq!(from_folder(ASKED), AS_CSV);
    assert_eq!(state_of(&data), before);

    // What was acknowledged but not yet flushed is read from the log, after a crash as well.
    let mut server = Server::start(folder.path());
    let late =
        json!({"equipment": "cologne/line-1/press", "signal": "late", "time": "2025-03-03T10:00:00Z", "value": 7});
    assert_eq!(server.post("/api/v1/samples", late.to_string()).0, 200);
    server.kill();
    let before = state_of(&data);
    assert_eq!(from_folder("SELECT value FROM samples WHERE signal = 'late'"), "value\n7.0\n");
    assert_eq!(state_of(&data), before);

    let absent = folder.path().join("absent");
    let told = complaint(takt().args(["sql", "--data"]).arg(&absent).arg("SELECT 1"));
    assert!(told.contains("absent is no data folder of takt"), "{told}");
    assert!(!absent.exists());
}

fn import(server: &Server, arguments: &[&str], file: &Path) -> Output {
    let mut command = takt();
    command.args(["import", "--url", &server.url("")]).args(arguments).arg(file).output().unwrap()
}

#[test]
fn files_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let csv = concat!(
        "time,equipment,signal,value,text\n",
        "2025-03-03T11:06:40Z,cologne/line-1/press,csv,1.5,\n",
        "2025-03-03T12:06:41+01:00,cologne/line-1/press,csv,,\"two, three\"\n",
        "1741000002,cologne/line-1/press,csv,2.5,\n",
    );
    let csv = write(folder.path(), "history.csv", csv);
    let lines = "machine,machine=press lp=1 1741000000000\nmachine,machine=press lp=2 1741000001000\n";
    let lines = write(folder.path(), "history.lp", lines);
    let parquet = folder.path().join("history.parquet");
    let script = concat!(
        "import sys, datetime as d, pyarrow as pa, pyarrow.parquet as pq\n",
        "t = [d.datetime(2025, 3, 3, 11, 6, 40 + i, tzinfo=d.timezone.utc) for i in range(3)]\n",
        "pq.write_table(pa.table({'time': pa.array(t, pa.timestamp('ms', 'UTC')), 'equipment': ['cologne/line-1/press'] * 3,\n",
        "    'signal': ['pq'] * 3, 'value': pa.array([1, 2, 4], pa.int32())}), sys.argv[1])\n",
    );
    output(python().args(["-c", script]).arg(&parquet));
    let units = write(folder.path(), "units.csv", "unit,item,quantity\nU-1,P-1,1\nU-2,P-1,2\n");

    // Twice: the same file is stored once.
    for _ in 0..2 {
        for (arguments, file, count) in [
            (&[][..], &csv, 3),
            (&["--precision", "ms"], &lines, 2),
            (&[], &parquet, 3),
            (&["--table", "units"], &units, 2),
        ] {
            let done = import(&server, arguments, file);
            assert!(done.status.success(), "{done:?}");
            let said = text(&done.stdout) + &text(&done.stderr);
            assert!(said.contains(&format!("{count} rows stored")) && said.contains("rows/s"), "{said}");
        }
        let rows =
            server.sql("SELECT signal, count(*), sum(value), max(time) FROM samples GROUP BY signal ORDER BY signal");
        let expected = json!([
            ["csv", 3, 4.0, "2025-03-03T11:06:42.000000Z"],
            ["lp", 2, 3.0, "2025-03-03T11:06:41.000000Z"],
            ["pq", 3, 7.0, "2025-03-03T11:06:42.000000Z"],
        ]);
        assert_eq!(json!(rows), expected);
        let text = server.sql("SELECT text FROM samples WHERE signal = 'csv' AND value IS NULL");
        assert_eq!(json!(text), json!([["two, three"]]));
        assert_eq!(server.number("SELECT sum(quantity) FROM units"), 3.0);
    }

    let mixed = concat!(
        "time,equipment,signal,value\n",
        "2025-03-03T11:06:40Z,cologne/line-1/press,mixed,1\n",
        "yesterday,cologne/line-1/press,mixed,2\n",
        "2025-03-03T11:06:41Z,cologne/line-9,mixed,3\n",
        "2025-03-03T11:06:42Z,cologne/line-1/press,mixed,4\n",
    );
    let mixed = write(folder.path(), "mixed.csv", mixed);
    let done = import(&server, &[], &mixed);
    let said = text(&done.stdout) + &text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    for part in ["mixed.csv:3: `time` is `yesterday`", "mixed.csv:4: ", "cologne/line-9", "2 rows stored, 2 refused"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(server.number("SELECT sum(value) FROM samples WHERE signal = 'mixed'"), 5.0);
    let german = "time;equipment;signal;value\n2025-03-03T11:06:40Z;cologne/line-1/press;german;1,5\n";
    let german = import(&server, &[], &write(folder.path(), "german.csv", german));
    assert!(german.status.success(), "{german:?}");
    assert_eq!(server.number("SELECT value FROM samples WHERE signal = 'german'"), 1.5);
    let absent = import(&server, &[], &folder.path().join("absent.csv"));
    assert!(!absent.status.success() && text(&absent.stderr).contains("absent.csv"), "{absent:?}");
    let unknown = import(&server, &[], &folder.path().join("plant.toml"));
    assert!(text(&unknown.stderr).contains(".csv, .parquet or .lp"), "{unknown:?}");
}

#[test]
fn a_data_folder_is_the_same_by_whatever_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("aside")).unwrap();
    let round_about = folder.path().join("aside/..");
    let mut server = Server::start(&round_about);
    let row = "samples,equipment=cologne/line-1/press,signal=force value=44.9 1735689600000";
    assert_eq!(server.post("/api/v2/write?precision=ms", row).0, 204);
    server.stop();
    let server = Server::start(&round_about);
    assert_eq!(server.number("SELECT value FROM samples"), 44.9);
}

#[test]
fn completions_are_shell_code() {
    for shell in ["bash", "zsh", "fish"] {
        let script = output(takt().args(["completions", shell]));
        for command in ["serve", "demo", "quarantine", "restore"] {
            assert!(script.contains(command), "{shell}: no {command}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let bash = write(folder.path(), "takt.bash", &output(takt().args(["completions", "bash"])));
    output(Command::new("bash").arg("-n").arg(bash));
}

#[test]
fn help_teaches() {
    let help = output(takt().arg("--help"));
    for part in ["takt demo", "takt serve", "takt check plant.toml", "psql -h 127.0.0.1", "takt user add"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    let serve = output(takt().args(["serve", "--help"]));
    for part in ["TAKT_DATA", "TAKT_MQTT", "TAKT_HTTP", "TAKT_PG", "127.0.0.1:1883", "127.0.0.1:8080", "127.0.0.1:5433"]
    {
        assert!(serve.contains(part), "{part} is not in\n{serve}");
    }
}
