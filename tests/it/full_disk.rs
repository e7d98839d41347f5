//! A server whose disk fills up: what is acknowledged stays, what is not waits, and it goes on by itself.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Server, clean, takt_path, wait_for};
use crate::mqtt::Publisher;

const PATIENCE: Duration = Duration::from_secs(30);
const SETTINGS: &str = "[storage]\nflush_interval_s = 1\nwal_file_bytes = 1048576\n";

/// A small file system at `folder/data`, seen by what runs inside its mount namespace.
struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(folder: &Path, megabytes: u32) -> Self {
        fs::create_dir_all(folder.join("data")).unwrap();
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = format!("mount -t tmpfs -o size={megabytes}m takt \"$0\" && echo mounted && exec cat");
        command.args(["--mount", "sh", "-c", &script]).arg(folder.join("data"));
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "this test needs the right to mount a tmpfs in a namespace of its own");
        Self { holder, folder: folder.to_owned() }
    }

    /// The data folder, as this process sees it.
    fn data(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.join("data").strip_prefix("/").unwrap())
    }

    /// The takt binary, inside.
    fn takt(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string());
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--mount").arg("--").arg(takt_path());
        clean(&mut command);
        command
    }

    fn serve(&self) -> Server {
        let settings = self.folder.join("takt.toml");
        Server::launch(self.takt(), &self.folder, &self.data(), &["--config", settings.to_str().unwrap()])
    }

    fn fill(&self) {
        let mut file = File::create(self.data().join("filler")).unwrap();
        let block = vec![0; 1 << 16];
        let error = loop {
            if let Err(error) = file.write_all(&block) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    fn free(&self) {
        fs::remove_file(self.data().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}

fn is_root() -> bool {
    // The owner of a process's folder in /proc is who runs it.
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0
}

/// About a kilobyte, with a time of its own.
fn payload(number: u64) -> Vec<u8> {
    let time_ms = 1_735_689_600_000 + number;
    format!("{{\"ts\":{time_ms},\"number\":{number},\"note\":\"{number:01000}\"}}").into_bytes()
}

fn stored(server: &Server) -> u64 {
    server.number("SELECT count(*) FROM samples WHERE signal = 'number'") as u64
}

fn says_that_it_is_full(server: &Server) {
    wait_for("/ready to tell of the full disk", PATIENCE, || {
        let (status, body) = server.get("/ready");
        (status == 503 && body.contains("free some space")).then_some(())
    });
}

#[test]
fn a_full_disk_holds_equipment_back_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("takt.toml"), SETTINGS).unwrap();
    let disk = SmallDisk::mount(folder.path(), 64);
    let mut server = disk.serve();
    let mut publisher = Publisher::connect(server.mqtt, "press").unwrap();
    publisher.publish("flat/press", &payload(0), 0).unwrap();
    assert!(publisher.drain(0));

    disk.fill();
    // More than what is left of the log's file, less than one connection may have under way.
    let sent = 4_000;
    for number in 1..sent {
        publisher.publish("flat/press", &payload(number), number).unwrap();
    }
    says_that_it_is_full(&server);
    let held = stored(&server);
    assert!(held < sent, "all {held} messages went to a full disk");
    let (status, body) = server
        .post("/api/v2/write?precision=ms", "samples,equipment=cologne/line-1/press,signal=x value=1 1735689600000");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("disk is full"), "{body}");
    // Nothing is copied to a full disk, and nobody waits for it.
    let backup = disk.takt().args(["backup", "--url", &server.url("")]).arg(folder.path().join("data/copy")).output();
    let backup = backup.unwrap();
    let said = String::from_utf8_lossy(&backup.stderr).into_owned();
    assert!(!backup.status.success() && said.contains("disk is full"), "{said}");
    assert!(!disk.data().join("copy").exists(), "the beginning of a backup is left behind");

    disk.free();
    assert!(publisher.drain(0), "the connection was lost");
    assert_eq!(publisher.acknowledged.len() as u64, sent);
    assert_eq!(stored(&server), sent);
    wait_for("/ready", PATIENCE, || (server.get("/ready").0 == 200).then_some(()));

    // It starts on a full disk too, and answers.
    disk.fill();
    server.kill();
    let mut server = disk.serve();
    assert_eq!(stored(&server), sent);
    disk.free();
    let mut publisher = Publisher::connect(server.mqtt, "press").unwrap();
    publisher.publish("flat/press", &payload(sent), sent).unwrap();
    assert!(publisher.drain(0));
    assert_eq!(stored(&server), sent + 1);
    server.stop();
}
