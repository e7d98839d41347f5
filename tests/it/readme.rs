//! The README is true: its blocks are run as they stand, on real processes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use takt::config::{HTTP_LISTEN, POSTGRES_LISTEN};

use crate::equipment::{Equipment, Version};
use crate::harness::{output, python, root, takt, wait_for};

const FREE: [&str; 6] = ["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"];
const PATIENCE: Duration = Duration::from_secs(60);

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn section<'a>(readme: &'a str, title: &str) -> &'a str {
    let (_, rest) = readme.split_once(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no section {title}"));
    rest.split("\n## ").next().unwrap()
}

/// Language and text of the fenced blocks.
pub fn blocks(text: &str) -> Vec<(&str, &str)> {
    let blocks: Vec<_> = text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect();
    assert!(!blocks.is_empty(), "no block in\n{text}");
    blocks
}

/// Code spans of a text without blocks.
fn spans(text: &str) -> Vec<String> {
    assert!(text.matches('`').count().is_multiple_of(2), "a code span does not end in\n{text}");
    text.split('`').skip(1).step_by(2).map(|span| span.replace("\\|", "|")).collect()
}

/// Code spans outside the blocks, with the binary for the cargo that builds it.
fn spans_of_prose(readme: &str) -> Vec<String> {
    let spans = spans(&readme.split("```").step_by(2).collect::<String>());
    spans.iter().map(|span| span.replace("cargo run --release --", "takt")).collect()
}

/// A command line's words as the shell parts them, with the binary under test for the cargo that builds it.
fn words(line: &str) -> Vec<String> {
    let line = line.replace("cargo run --release --", "takt");
    let text = output(Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]));
    text.lines().map(str::to_owned).collect()
}

fn command(line: &str, folder: &Path) -> Command {
    let words = words(line);
    assert_eq!(words[0], "takt", "{line}");
    let mut command = takt();
    command.args(&words[1..]).current_dir(folder);
    command
}

/// A server that the README starts, on free ports; killed when dropped.
struct Running {
    child: Child,
    log: PathBuf,
    addresses: Value,
}

impl Running {
    /// `data`: the folder that the command takes without being told.
    fn start(mut command: Command, folder: &Path, data: &str) -> Self {
        let log = folder.join("takt.log");
        let file = File::create(&log).unwrap();
        command.args(FREE).stdout(file.try_clone().unwrap()).stderr(file);
        let mut running = Self { child: command.spawn().unwrap(), log, addresses: Value::Null };
        let listening = folder.join(data).join("listening.json");
        running.addresses = wait_for(&format!("{command:?} to listen on {data}"), PATIENCE, || {
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("{command:?} ended with {status}:\n{}", fs::read_to_string(&running.log).unwrap());
            }
            serde_json::from_slice::<Value>(&fs::read(&listening).ok()?).ok()
        });
        running
    }

    fn address(&self, face: &str) -> SocketAddr {
        self.addresses[face].as_str().unwrap_or_else(|| panic!("{face} in {}", self.addresses)).parse().unwrap()
    }

    fn url(&self) -> String {
        format!("http://{}", self.address("http"))
    }

    /// SIGTERM, and waits for the clean end.
    fn stop(&mut self) {
        output(Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        let status = wait_for("a clean end", PATIENCE, || self.child.try_wait().unwrap());
        assert!(status.success(), "ended with {status}:\n{}", fs::read_to_string(&self.log).unwrap());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn psql(line: &str, sql: &str) -> String {
    let words = words(line);
    let mut command = Command::new(&words[0]);
    // No file of the user's, no prompt for a password, English counts of rows.
    command.args(["-X", "-w", "-c", sql]).args(&words[1..]).env("LC_ALL", "C").stdin(Stdio::null());
    for name in ["PGSSLMODE", "PGOPTIONS", "PGSERVICE", "PGDATABASE", "PGPASSWORD"] {
        command.env_remove(name);
    }
    output(&mut command)
}

fn header(table: &str) -> Vec<&str> {
    table.lines().next().unwrap_or_default().split_whitespace().collect()
}

/// The number in the last line, `(3 rows)`.
fn row_count(table: &str) -> u64 {
    let last = table.trim_end().lines().last().unwrap_or_default();
    let count = last.strip_prefix('(').and_then(|last| last.split(' ').next()?.parse().ok());
    count.unwrap_or_else(|| panic!("no count of rows in\n{table}"))
}

#[test]
fn the_demo_answers_what_the_readme_asks() {
    let readme = readme();
    let blocks = blocks(&readme);
    let folder = tempfile::tempdir().unwrap();
    let start = blocks[0].1.lines().find(|line| line.contains("demo")).expect("a command that starts the demo");
    let mut demo = command(start, folder.path());
    demo.args(["--history-hours", "1"]);
    let mut demo = Running::start(demo, folder.path(), "takt-demo");
    let url = demo.url();
    let takt_sql = |sql: &str| output(takt().args(["sql", "--url", &url, sql]));
    wait_for("the history to reach the present", PATIENCE, || {
        let newest = takt_sql("SELECT time FROM samples WHERE time > now() - interval '1 minute' LIMIT 1");
        (row_count(&newest) > 0).then_some(())
    });

    let spans = spans_of_prose(&readme);
    let line = spans.iter().find(|span| span.starts_with("psql ")).expect("a psql command");
    let (host, port) = POSTGRES_LISTEN.split_once(':').unwrap();
    assert!(line.contains(&format!("-h {host} -p {port} ")), "{line}: the default is {POSTGRES_LISTEN}");
    let line = line.replace(port, &demo.address("pg").port().to_string());
    assert_eq!(row_count(&psql(&line, "SELECT 1")), 1);
    assert!(readme.contains(&format!("http://{HTTP_LISTEN} ")), "the page is at {HTTP_LISTEN}");

    let asked: Vec<_> = blocks.windows(2).filter(|pair| pair[0].0 == "sql").collect();
    assert_eq!(asked.len(), readme.matches("```sql\n").count(), "a query without an answer");
    assert!(!asked.is_empty());
    for pair in asked {
        let [(_, sql), (language, shown)] = *pair else { unreachable!("windows of two") };
        assert_eq!(language, "", "no answer follows\n{sql}");
        // Where bars part the columns, psql has printed them.
        let by_psql = header(shown).contains(&"|");
        let table = wait_for(&format!("rows of\n{sql}"), PATIENCE, || {
            let table = if by_psql { psql(&line, sql) } else { takt_sql(sql) };
            (row_count(&table) > 0).then_some(table)
        });
        assert_eq!(header(&table), header(shown), "{sql}");
    }

    // The last flush makes files of everything.
    demo.stop();
    let (_, script) = *blocks.iter().find(|(language, _)| *language == "python").expect("a Python block");
    let seen = output(python().args(["-c", script]).current_dir(folder.path()));
    assert!(seen.contains("cologne/line-1/press"), "{seen}");
    let requirements = fs::read_to_string(root().join("tests/requirements.txt")).unwrap();
    let (_, packages) = script.split_once("pip install ").expect("what to install");
    for package in packages.lines().next().unwrap().split_whitespace() {
        let tested = requirements.lines().any(|line| line.split("==").next() == Some(package));
        assert!(tested, "{package} is not what the tests read with");
    }
}

/// Words of a printed table but for its times and its rule, rows sorted: the statement asks for no order.
fn content(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().filter(|line| !line.starts_with("--"));
    let is_time = |word: &str| word.parse::<Timestamp>().is_ok();
    let mut lines: Vec<Vec<&str>> = lines
        .map(|line| line.split_whitespace().map(|word| if is_time(word) { "TIME" } else { word }).collect())
        .collect();
    lines[1..].sort();
    lines
}

#[test]
fn own_equipment_is_four_commands_away() {
    let readme = readme();
    let found = blocks(section(&readme, "Your own equipment"));
    let [("toml", plant), ("sh", commands), ("", shown)] = found[..] else { panic!("other blocks: {found:?}") };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), plant).unwrap();
    let mut server: Option<Running> = None;
    let mut answer = None;
    for line in commands.lines() {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let running = || server.as_ref().unwrap_or_else(|| panic!("no server yet for {line}"));
        match words[..] {
            ["takt", "serve", ..] => {
                let (_, data) = line.rsplit_once("# data go to the folder ").expect("where the data go");
                server = Some(Running::start(command(line, folder.path()), folder.path(), data));
            }
            ["takt", "sql", ..] => {
                answer = Some(output(command(line, folder.path()).args(["--url", &running().url()])));
            }
            ["takt", ..] => {
                output(&mut command(line, folder.path()));
            }
            ["mosquitto_pub", "-q", qos, "-t", topic, "-m", payload] => {
                let mut press = Equipment::of(Version::V4, running().address("mqtt"));
                press.publish(topic, qos.parse().unwrap(), false, payload.as_bytes()).unwrap();
            }
            _ => panic!("the test cannot run {line}"),
        }
    }
    assert_eq!(content(&answer.expect("a query")), content(shown));
}

/// Holds a command to its `--help`: subcommands, flags, arguments in capitals, choices. Gives the subcommand.
fn checked(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let is_name = |word: &str| word.chars().all(|letter| letter.is_ascii_lowercase());
    let path: Vec<&str> = words.iter().copied().take_while(|word| is_name(word)).collect();
    let help = output(takt().args(&path).arg("--help"));
    let known: BTreeSet<&str> = help.split(|letter: char| !letter.is_alphanumeric() && letter != '-').collect();
    for word in &words[path.len()..] {
        let names_something = word.starts_with("--") || word.starts_with(char::is_uppercase) || word.contains('|');
        for part in word.trim_end_matches('…').split('|').filter(|_| names_something) {
            assert!(known.contains(part), "`{line}`: {part} is not in\n{help}");
        }
    }
    path.first().copied().unwrap_or_default().to_owned()
}

#[test]
fn the_table_of_commands_is_what_help_lists() {
    let readme = readme();
    let help = output(takt().arg("--help"));
    let commands = help.lines().take_while(|line| *line != "Options").filter_map(|line| line.strip_prefix("  "));
    let listed: BTreeSet<String> = commands.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(listed.contains("demo"), "no list of commands in\n{help}");

    let mut tabled = BTreeSet::new();
    for row in section(&readme, "Commands").lines().filter(|line| line.starts_with("| `")) {
        let (commands, does) = row.split_once(" | ").unwrap();
        let names: Vec<String> = spans(commands).iter().map(|line| checked(line)).collect();
        // What it does names flags and subcommands, and files.
        for span in spans(does).iter().filter(|span| !span.contains('.')) {
            checked(&format!("takt {} {span}", names[0]));
        }
        tabled.extend(names);
    }
    assert_eq!(tabled, listed);

    for span in spans_of_prose(&readme).iter().filter(|span| span.starts_with("takt ")) {
        checked(span);
    }
}

#[test]
fn two_commands_are_enough() {
    let readme = readme();
    let (language, text) = blocks(section(&readme, "Two commands"))[0];
    let commands: Vec<&str> = text.lines().map(|line| line.split('#').next().unwrap().trim()).collect();
    assert_eq!((language, &commands[..]), ("sh", &["cargo run --release -- demo", "tests/run"][..]));
    for script in ["tests/run", ".ci/run"] {
        let mode = fs::metadata(root().join(script)).unwrap().permissions().mode();
        assert!(mode & 0o111 == 0o111, "{script} is not executable");
    }
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let does: Vec<&str> = ci.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(does, ["exec \"$(dirname \"$0\")/../tests/run\""]);

    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let run = fs::read_to_string(root().join("tests/run")).unwrap();
    for text in [&readme, &run] {
        assert!(text.contains(&format!("Rust {version} or newer")), "Cargo.toml asks for Rust {version}");
    }
}

#[test]
fn the_readme_leads_to_every_document() {
    let readme = readme();
    let more = section(&readme, "More");
    let documents: Vec<_> = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(!documents.is_empty());
    for document in documents {
        let row = format!("| `docs/{}` | ", document.file_name().to_string_lossy());
        assert!(more.contains(&row), "no row {row}");
    }
}
