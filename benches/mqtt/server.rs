//! The server under measurement.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A release server on a folder of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) mqtt: SocketAddr,
    http: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(plant: &str, broker: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plant.toml"), plant).unwrap();
        let settings = broker.map_or_else(String::new, |port| {
            format!("[[brokers]]\nname = \"bench\"\nurl = \"mqtt://127.0.0.1:{port}\"\ntopics = [\"bench/#\"]\n")
        });
        fs::write(folder.path().join("takt.toml"), settings).unwrap();
        let any = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_takt"))
            .args([
                "serve",
                "--config",
                "takt.toml",
                "--data",
                "data",
                "--plant",
                "plant.toml",
                "--mqtt",
                any,
                "--http",
                any,
                "--pg",
                any,
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let path = folder.path().join("data/listening.json");
        let found = wait(Duration::from_secs(60), || {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the server ended: {}",
                fs::read_to_string(folder.path().join("log")).unwrap()
            );
            serde_json::from_slice::<serde_json::Value>(&fs::read(&path).ok()?).ok()
        });
        let address = |name: &str| found[name].as_str().unwrap().parse().unwrap();
        Self { child, mqtt: address("mqtt"), http: address("http"), _folder: folder }
    }

    pub(crate) fn sql(&self, sql: &str) -> f64 {
        let mut stream = TcpStream::connect(self.http).unwrap();
        let head = format!(
            "POST /api/v1/sql?format=csv HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{sql}",
            self.http,
            sql.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let number = body.lines().find_map(|line| line.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no number in {answer}"))
    }

    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s(self.child.id())
    }

    pub(crate) fn peak_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

pub(crate) fn end(child: &mut Child) {
    let ended = child.kill().and_then(|()| child.wait());
    if let Err(error) = ended {
        println!("process {} did not end: {error}", child.id());
    }
}

/// User and system time of a process; the kernel counts in hundredths of a second.
fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

pub(crate) fn wait<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
