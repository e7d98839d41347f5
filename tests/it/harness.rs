//! A takt server as a process of its own, in a folder of its own, on ports it picked itself.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The takt binary under test.
pub fn takt() -> Command {
    let mut command = Command::new(takt_path());
    clean(&mut command);
    command
}

pub fn takt_path() -> &'static str {
    env!("CARGO_BIN_EXE_takt")
}

/// Keeps what surrounds the tests away from a takt that they run.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TAKT_")) {
        command.env_remove(name);
    }
    // Not the checkout: its takt.toml is the example, not the test's.
    command.current_dir(std::env::temp_dir());
    command.stdin(Stdio::null());
}

/// The Python of the test environment.
pub fn python() -> Command {
    let path = root().join(".venv/bin/python");
    assert!(path.exists(), "no .venv: run the tests with tests/run, it prepares the environment");
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// Waits until `condition` gives a value; panics after `limit` with what was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub folder: PathBuf,
    pub mqtt: SocketAddr,
    pub http: SocketAddr,
    pub pg: SocketAddr,
}

/// The plant of most tests: two machines in two shifts.
pub const PLANT: &str = include_str!("plant.toml");

impl Server {
    /// Starts `takt serve` on `folder`, with `PLANT` unless the folder has a plant already.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// As [`Server::start`], with more arguments.
    pub fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        Self::launch(takt(), folder, &folder.join("data"), arguments)
    }

    /// As [`Server::start_with`]; `command` is takt or what runs it, `seen` is where this process sees the data folder.
    pub fn launch(mut command: Command, folder: &Path, seen: &Path, arguments: &[&str]) -> Self {
        let plant = folder.join("plant.toml");
        if !plant.exists() {
            fs::create_dir_all(folder).unwrap();
            fs::write(&plant, PLANT).unwrap();
        }
        let data = folder.join("data");
        let listening = seen.join("listening.json");
        if listening.exists() {
            fs::remove_file(&listening).unwrap();
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("server.log")).unwrap();
        command.arg("serve").arg("--data").arg(&data).arg("--plant").arg(&plant).args(["--mqtt", "127.0.0.1:0"]);
        command.args(["--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"]).args(arguments).current_dir(folder);
        let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let addresses = wait_for("the server to listen", Duration::from_secs(60), || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", fs::read_to_string(folder.join("server.log")).unwrap());
            }
            serde_json::from_slice::<serde_json::Value>(&fs::read(&listening).ok()?).ok()
        });
        let address =
            |name: &str| addresses[name].as_str().unwrap_or_else(|| panic!("{name} in {addresses}")).parse().unwrap();
        Self { child, folder: folder.to_owned(), mqtt: address("mqtt"), http: address("http"), pg: address("pg") }
    }

    /// SIGKILL, as a power cut would but for the page cache.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the clean end.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = wait_for("a clean end", Duration::from_secs(60), || self.child.try_wait().unwrap());
        assert!(status.success(), "ended with {status}:\n{}", self.log());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// One HTTP exchange: status and body.
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> (u16, String) {
        let mut response = agent().post(self.url(path)).send(body.as_ref()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Stores rows of a table, all of them.
    pub fn send(&self, table: &str, rows: &[serde_json::Value]) {
        for rows in rows.chunks(5_000) {
            let (status, body) = self.post(&format!("/api/v1/{table}"), serde_json::to_vec(rows).unwrap());
            assert_eq!((status, body), (200, format!("{{\"accepted\":{}}}", rows.len())), "{table}");
        }
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let mut response = agent().get(self.url(path)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// The rows that a statement gives, as JSON values.
    pub fn sql(&self, sql: &str) -> Vec<Vec<serde_json::Value>> {
        let (status, body) = self.post("/api/v1/sql?format=json", sql);
        assert_eq!(status, 200, "{sql}: {body}");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        serde_json::from_value(answer["rows"].clone()).unwrap()
    }

    /// A statement with parameters: status and body.
    pub fn bound(&self, sql: &str, params: &serde_json::Value) -> (u16, String) {
        let body = serde_json::json!({"sql": sql, "params": params}).to_string();
        let request = agent().post(self.url("/api/v1/sql")).header("content-type", "application/json");
        let mut response = request.send(body.as_bytes()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// The one number that a statement gives.
    pub fn number(&self, sql: &str) -> f64 {
        let rows = self.sql(sql);
        rows[0][0].as_f64().unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }
}

/// Whether everything acknowledged is in files.
pub fn flushed(server: &Server) -> Option<()> {
    let (_, metrics) = server.get("/metrics");
    metrics.lines().any(|line| line == "takt_store_hot_rows 0").then_some(())
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            eprintln!("what the server said:\n{log}");
        }
        if self.child.try_wait().ok().flatten().is_none() {
            self.kill();
        }
    }
}

fn agent() -> ureq::Agent {
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(120)));
    ureq::Agent::new_with_config(config.build())
}

/// Runs a command to its end and gives back what it printed; panics where it fails.
pub fn output(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{command:?} failed:\n{text}\n{}", String::from_utf8_lossy(&done.stderr));
    text
}
