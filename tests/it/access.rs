//! Who may: users and roles over MQTT, HTTP and PostgreSQL, and TLS for all three.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::equipment::{Equipment, Manner, VERSIONS, Version};
use crate::harness::{PLANT, Server, output, takt, wait_for};

const LINE: &str = "machine,machine=press a=1 1741000000000000000";

/// `takt user …` on the data folder of `folder`.
fn user(folder: &Path, arguments: &[&str], password: &str) -> Output {
    let mut command = takt();
    command.arg("user").args(arguments).arg("--data").arg(folder.join("data"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn add(folder: &Path, name: &str, role: &str) {
    let done = user(folder, &["add", name, "--role", role], &format!("password-{name}\n"));
    assert!(done.status.success(), "{done:?}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The `Authorization` header of a password.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// Status of one POST.
fn post(server: &Server, path: &str, authorization: &str, body: &str) -> u16 {
    let mut request = ureq::post(server.url(path)).config().http_status_as_error(false).build();
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    request.send(body.as_bytes()).unwrap().status().as_u16()
}

fn get(server: &Server, path: &str, authorization: &str) -> u16 {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let call = ureq::Agent::new_with_config(config).get(server.url(path)).header("Authorization", authorization);
    call.call().unwrap().status().as_u16()
}

fn psql(server: &Server, user: &str, password: &str, settings: &str) -> Output {
    let address = format!("host=127.0.0.1 port={} user={user} dbname=takt {settings}", server.pg.port());
    let mut command = Command::new("psql");
    command.args(["-X", "-w", "-Atc", "SELECT 'in'", &address]).env("PGPASSWORD", password).stdin(Stdio::null());
    command.env_remove("PGSSLMODE").env_remove("PGSERVICE").output().unwrap()
}

fn is_in(done: &Output) -> bool {
    done.status.success() && text(&done.stdout) == "in\n"
}

/// Tries to start on these addresses, and gives what was said when it did not.
fn refused_start(folder: &Path, arguments: &[&str]) -> String {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    let mut command = takt();
    command.arg("serve").arg("--data").arg(folder.join("data")).arg("--plant").arg(folder.join("plant.toml"));
    let done = command.args(arguments).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(!folder.join("data/listening.json").exists());
    text(&done.stderr)
}

#[test]
fn off_loopback_nothing_listens_until_a_user_exists() {
    let folder = tempfile::tempdir().unwrap();
    let faces = ["--mqtt", "--http", "--pg"];
    for open in faces {
        let mut arguments = Vec::new();
        for face in faces {
            arguments.extend([face, if face == open { "0.0.0.0:0" } else { "127.0.0.1:0" }]);
        }
        let told = refused_start(folder.path(), &arguments);
        assert!(told.contains("0.0.0.0:0") && told.contains("takt user add"), "{open}: {told}");
        assert_eq!(told.lines().count(), 1, "{open}: {told}");
    }
    add(folder.path(), "anna", "admin");
    let server = Server::start_with(folder.path(), &["--config", "/dev/null"]);
    drop(server);
    let mut command = takt();
    command
        .arg("serve")
        .arg("--data")
        .arg(folder.path().join("data"))
        .arg("--plant")
        .arg(folder.path().join("plant.toml"));
    command.args(["--mqtt", "0.0.0.0:0", "--http", "0.0.0.0:0", "--pg", "0.0.0.0:0"]);
    let listening = folder.path().join("data/listening.json");
    fs::remove_file(&listening).unwrap();
    let mut open = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let addresses =
        wait_for("the open server to listen", Duration::from_secs(30), || fs::read_to_string(&listening).ok());
    open.kill().unwrap();
    open.wait().unwrap();
    assert_eq!(addresses.matches("0.0.0.0:").count(), 3, "{addresses}");
}

#[test]
fn roles_hold_on_every_face() {
    let folder = tempfile::tempdir().unwrap();
    for role in ["read", "write", "admin"] {
        add(folder.path(), role, role);
    }
    let server = Server::start(folder.path());
    // Who may: query, publish, run the server.
    for (name, query, write, admin) in [
        ("read", true, false, false),
        ("write", true, true, false),
        ("admin", true, true, true),
        ("nobody", false, false, false),
    ] {
        let password = format!("password-{name}");
        let login = basic(name, &password);
        let refused = if name == "nobody" { 401 } else { 403 };
        let status = |allowed: bool, status: u16| if allowed { status } else { refused };
        assert_eq!(post(&server, "/api/v1/sql", &login, "SELECT 1"), status(query, 200), "{name}");
        assert_eq!(get(&server, "/report/spc?characteristic=none", &login), status(query, 404), "{name}");
        assert_eq!(post(&server, "/api/v2/write", &login, LINE), status(write, 204), "{name}");
        assert_eq!(post(&server, "/api/v1/units", &login, r#"{"unit": "U-1"}"#), status(write, 200), "{name}");
        for settle in ["/api/v1/quarantine/replay", "/api/v1/quarantine/discard?topic=nothing"] {
            assert_eq!(post(&server, settle, &login, ""), status(admin, 200), "{name}: {settle}");
        }
        let kept = folder.path().join(format!("backup-{name}"));
        let backup = format!("/api/v1/backup?to={}", kept.display());
        assert_eq!(post(&server, &backup, &login, ""), status(admin, 200), "{name}");
        assert_eq!(kept.exists(), admin, "{name}");
        assert_eq!(is_in(&psql(&server, name, &password, "")), query, "{name}");

        for version in VERSIONS {
            let topic = format!("plant/press/{name}{version:?}");
            let manner = || Manner { login: Some((name, &password)), tls: None };
            let connected = Equipment::connect(version, server.mqtt, manner());
            assert_eq!(connected.is_ok(), query, "{name} {version:?}");
            let published = connected.and_then(|mut machine| machine.publish(&topic, 1, false, b"1"));
            assert_eq!(published.is_ok(), write, "{name} {version:?}");
            if query {
                Equipment::connect(version, server.mqtt, manner()).unwrap().subscribe("plant/#").unwrap();
            }
            let count = format!(r#"{{"sql": "SELECT count(*) FROM samples WHERE signal = '{name}{version:?}'"}}"#);
            let request =
                ureq::post(server.url("/api/v1/sql")).header("authorization", basic("admin", "password-admin"));
            let mut answer = request.header("content-type", "application/json").send(count.as_bytes()).unwrap();
            let answer: serde_json::Value = answer.body_mut().read_json().unwrap();
            assert_eq!(answer["rows"][0][0], u64::from(write), "{name} {version:?}");
        }
    }
    // Wrong passwords and none at all.
    for login in ["", &basic("admin", "password-read"), &basic("admin", ""), "Bearer takt_nonsense", "Nonsense"] {
        assert_eq!(post(&server, "/api/v1/sql", login, "SELECT 1"), 401, "{login}");
    }
    assert!(!is_in(&psql(&server, "admin", "password-read", "")));
    assert!(!is_in(&psql(&server, "admin", "", "")));
    for version in VERSIONS {
        for login in [None, Some(("admin", "password-read")), Some(("admin", ""))] {
            let refused = Equipment::connect(version, server.mqtt, Manner { login, tls: None });
            assert!(refused.is_err(), "{version:?} {login:?}");
        }
    }
    // The page itself holds nothing; what it shows asks who is looking. Health is for load balancers.
    for (path, status) in [("/", 200), ("/health", 200), ("/ready", 200), ("/metrics", 401), ("/api/v1/live", 401)] {
        assert_eq!(server.get(path).0, status, "{path}");
    }
}

#[test]
fn users_come_and_go_on_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert_eq!(post(&server, "/api/v1/sql", "", "SELECT 1"), 200);
    add(folder.path(), "anna", "admin");
    wait_for("the login to be asked for", Duration::from_secs(10), || {
        (post(&server, "/api/v1/sql", "", "SELECT 1") == 401).then_some(())
    });
    add(folder.path(), "gateway", "write");
    let listed = user(folder.path(), &["list"], "");
    assert_eq!(text(&listed.stdout), "anna     admin\ngateway  write\n");

    // A token stands for its user, as InfluxDB clients and as everybody else sends it; in MQTT it is the password.
    let made = user(folder.path(), &["token", "gateway"], "");
    let token = text(&made.stdout).trim().to_owned();
    assert!(made.status.success() && token.len() > 30 && !token.contains(char::is_whitespace), "{made:?}");
    for scheme in ["Bearer", "Token"] {
        assert_eq!(post(&server, "/api/v2/write", &format!("{scheme} {token}"), LINE), 204, "{scheme}");
    }
    assert_eq!(post(&server, "/api/v1/quarantine/replay", &format!("Bearer {token}"), ""), 403);
    let manner = || Manner { login: Some(("gateway", &token)), tls: None };
    Equipment::connect(Version::V4, server.mqtt, manner()).unwrap().publish("plant/press/t", 1, false, b"1").unwrap();
    let mut sql = takt();
    sql.args(["sql", "--format", "csv", "--url", &server.url(""), "SELECT count(*) AS n FROM samples"]);
    assert_eq!(output(sql.env("TAKT_TOKEN", &token)), "n\n2\n");
    let told = sql.env_remove("TAKT_TOKEN").output().unwrap();
    assert!(!told.status.success() && text(&told.stderr).contains("--token"), "{told:?}");

    // Neither password nor token can be read from the file, and nobody else may open it.
    let file = folder.path().join("data/users.toml");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(!kept.contains(&token) && !kept.contains("password-gateway"), "{kept}");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    assert!(user(folder.path(), &["remove", "gateway"], "").status.success());
    wait_for("the user to be gone", Duration::from_secs(10), || {
        (post(&server, "/api/v2/write", &format!("Bearer {token}"), LINE) == 401).then_some(())
    });
    assert_eq!(post(&server, "/api/v2/write", &basic("gateway", "password-gateway"), LINE), 401);
    assert!(Equipment::connect(Version::V5, server.mqtt, manner()).is_err());
    assert_eq!(post(&server, "/api/v1/sql", &basic("anna", "password-anna"), "SELECT 1"), 200);

    for (arguments, part) in [
        (&["add", "anna", "--role", "read"][..], "exists"),
        (&["remove", "nobody"], "no user `nobody`"),
        (&["token", "nobody"], "no user `nobody`"),
        (&["add", "berta", "--role", "boss"], "read, write or admin"),
    ] {
        let done = user(folder.path(), arguments, "x\n");
        assert!(!done.status.success() && text(&done.stderr).contains(part), "{arguments:?}: {done:?}");
    }
    // Without its last user a running server does not open up.
    assert!(user(folder.path(), &["remove", "anna"], "").status.success());
    wait_for("the last user to be gone", Duration::from_secs(10), || {
        (post(&server, "/api/v1/sql", &basic("anna", "password-anna"), "SELECT 1") == 401).then_some(())
    });
    assert_eq!(post(&server, "/api/v1/sql", "", "SELECT 1"), 401);
}

/// A psql that is asked one statement after the other.
struct Psql {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Psql {
    fn open(server: &Server, user: &str, password: &str) -> Self {
        let address = format!("host=127.0.0.1 port={} user={user} dbname=takt", server.pg.port());
        let mut command = Command::new("psql");
        command.args(["-X", "-w", "-At", &address]).env("PGPASSWORD", password);
        command.env_remove("PGSSLMODE").env_remove("PGSERVICE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn say(&mut self, statement: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{statement};").unwrap();
    }

    /// The one line that a statement gives.
    fn ask(&mut self, statement: &str) -> String {
        self.say(statement);
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Says a last statement, and gives what psql answers and what it complains about until it ends.
    fn last(mut self, statement: &str) -> (String, String) {
        self.say(statement);
        drop(self.child.stdin.take());
        let mut answer = String::new();
        self.answers.read_to_string(&mut answer).unwrap();
        (answer, text(&self.child.wait_with_output().unwrap().stderr))
    }
}

/// Writes a request whose connection ends with its answer.
fn request(server: &Server, head: &str, authorization: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let authorization =
        if authorization.is_empty() { String::new() } else { format!("Authorization: {authorization}\r\n") };
    let request = format!("{head} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{authorization}");
    stream.write_all(format!("{request}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    stream
}

/// Reads until `part` has come.
fn read_until(stream: &mut TcpStream, part: &str) {
    let mut came = Vec::new();
    while !text(&came).contains(part) {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "it ended without {part}: {}", text(&came));
        came.extend_from_slice(&piece[..length]);
    }
}

/// The proper end of a chunked answer.
const COMPLETE: &[u8] = b"0\r\n\r\n";

/// What one client has open on every face.
struct Open {
    machines: [Equipment; 2],
    psql: Psql,
    page: TcpStream,
}

impl Open {
    fn of(server: &Server, login: Option<&str>) -> Self {
        let password = login.map_or_else(String::new, |name| format!("password-{name}"));
        let login = login.map(|name| (name, password.as_str()));
        let machine = |version| Equipment::connect(version, server.mqtt, Manner { login, tls: None }).unwrap();
        let authorization = login.map_or_else(String::new, |(name, password)| basic(name, password));
        let (user, password) = login.unwrap_or(("takt", ""));
        Self {
            machines: VERSIONS.map(machine),
            psql: Psql::open(server, user, password),
            page: request(server, "GET /api/v1/live", &authorization, ""),
        }
    }

    fn works(&mut self) {
        for machine in &mut self.machines {
            machine.publish("plant/press/a", 1, false, b"1").unwrap();
        }
        assert_eq!(self.psql.ask("SELECT 'in'"), "in");
        read_until(&mut self.page, "event: plant");
    }

    /// All of it ends, without a word from the client, but for psql: that hears of it with its next statement.
    fn ends(mut self) {
        let [old, new] = self.machines.each_mut().map(|machine| machine.hear().unwrap_err());
        assert!(new.contains("ServerDisconnect") && new.contains("NotAuthorized"), "{new}");
        assert!(!old.contains("Timeout"), "{old}");
        assert!(until_hung_up(self.page).ends_with(COMPLETE));
        let (answer, told) = self.psql.last("SELECT 'in'");
        assert_eq!(answer, "");
        assert!(told.contains("FATAL") && told.contains("its login is no longer valid"), "{told}");
    }
}

#[test]
fn what_a_user_has_open_ends_when_it_is_removed_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let users = [("anna", "admin"), ("gateway", "write"), ("robot", "write")];
    for (name, role) in users {
        add(folder.path(), name, role);
    }
    let server = Server::start(folder.path());
    let [mut anna, mut gateway, mut robot] = users.map(|(name, _)| Open::of(&server, Some(name)));
    for open in [&mut anna, &mut gateway, &mut robot] {
        open.works();
    }
    assert!(user(folder.path(), &["remove", "gateway"], "").status.success());
    gateway.ends();
    // The same name and password, and less that it may.
    assert!(user(folder.path(), &["remove", "robot"], "").status.success());
    add(folder.path(), "robot", "read");
    robot.ends();
    // A token more, and what happens to others, leaves alone what is open.
    let token = text(&user(folder.path(), &["token", "anna"], "").stdout);
    assert_eq!(post(&server, "/api/v1/sql", &format!("Bearer {}", token.trim()), "SELECT 1"), 200);
    anna.works();
}

#[test]
fn what_is_open_without_a_login_ends_with_the_first_user() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut open = Open::of(&server, None);
    open.works();
    add(folder.path(), "anna", "admin");
    open.ends();
}

#[test]
fn what_runs_and_what_is_not_complete_stops_with_its_login() {
    const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000) AS a(x), generate_series(1, 100000) AS b(y) \
                           WHERE (x * y) % 7 = 3";
    let folder = tempfile::tempdir().unwrap();
    add(folder.path(), "anna", "admin");
    add(folder.path(), "gateway", "write");
    let server = Server::start(folder.path());
    let login = basic("gateway", "password-gateway");

    let mut psql = Psql::open(&server, "gateway", "password-gateway");
    assert_eq!(psql.ask("SELECT 'in'"), "in");
    let running = std::thread::spawn(move || psql.last(ENDLESS));
    // More rows than sockets and the server hold.
    let mut rows = request(&server, "POST /api/v1/sql?format=csv", &login, "SELECT * FROM generate_series(1, 9000000)");
    read_until(&mut rows, "\n1\n");
    // The server asks for a body once it knows who sends it.
    let mut body = TcpStream::connect(server.http).unwrap();
    body.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let unit = r#"{"unit": "U-1"}"#;
    let head = format!(
        "POST /api/v1/units HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: {login}\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        unit.len()
    );
    body.write_all(head.as_bytes()).unwrap();
    read_until(&mut body, "100 Continue");

    assert!(user(folder.path(), &["remove", "gateway"], "").status.success());
    let (answer, told) = running.join().unwrap();
    assert_eq!(answer, "");
    assert!(told.contains("FATAL") && told.contains("its login is no longer valid"), "{told}");
    assert!(!until_hung_up(rows).ends_with(COMPLETE), "a part of the rows looks like all of them");
    body.write_all(unit.as_bytes()).unwrap();
    read_until(&mut body, "HTTP/1.1 401");
    let anna = basic("anna", "password-anna");
    let mut stored = request(&server, "POST /api/v1/sql?format=csv", &anna, "SELECT count(*) AS n FROM units");
    read_until(&mut stored, "n\n0\n");
}

// Two self-signed pairs for `localhost` and 127.0.0.1, for tests only.
const CERTIFICATE: &str = include_str!("../../src/tls/one.crt");
const KEY: &str = include_str!("../../src/tls/one.key");
const OTHER_CERTIFICATE: &str = include_str!("../../src/tls/two.crt");
const OTHER_KEY: &str = include_str!("../../src/tls/two.key");

/// Writes `takt.toml` with a [tls] section, and the two files.
fn tls(folder: &Path, certificate: &str, key: &str) -> String {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("server.crt"), certificate).unwrap();
    fs::write(folder.join("server.key"), key).unwrap();
    let config = folder.join("takt.toml");
    fs::write(&config, "[tls]\ncertificate = \"server.crt\"\nkey = \"server.key\"\n").unwrap();
    config.to_str().unwrap().to_owned()
}

/// A client that trusts `certificate` only.
fn trusting(certificate: &str) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What comes back for bytes sent in the clear, until the server hangs up.
fn in_the_clear(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    until_hung_up(stream)
}

/// What comes until the server hangs up.
fn until_hung_up(mut stream: TcpStream) -> Vec<u8> {
    let (start, mut answer, mut piece) = (Instant::now(), Vec::new(), [0; 4096]);
    loop {
        assert!(start.elapsed() < Duration::from_secs(20), "it goes on and on");
        match stream.read(&mut piece) {
            Ok(0) => return answer,
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            // A reset is a way to hang up as well; a timeout is not.
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                return answer;
            }
        }
    }
}

#[test]
fn tls_on_every_face_and_nothing_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let config = tls(folder.path(), CERTIFICATE, KEY);
    let server = Server::start_with(folder.path(), &["--config", &config]);
    let certificate = folder.path().join("server.crt");
    let other = folder.path().join("other.crt");
    fs::write(&other, OTHER_CERTIFICATE).unwrap();

    for version in VERSIONS {
        let manner = |certificate: &str| Manner { login: None, tls: Some(trusting(certificate)) };
        let mut machine = Equipment::connect(version, server.mqtt, manner(CERTIFICATE)).unwrap();
        machine.publish("plant/press/secret", 1, false, b"1").unwrap();
        assert!(Equipment::connect(version, server.mqtt, manner(OTHER_CERTIFICATE)).is_err(), "{version:?}");
    }
    let sql = |authority: &Path| {
        let mut command = takt();
        command.args(["sql", "--format", "csv", "--url", &format!("https://{}", server.http), "--ca"]).arg(authority);
        command.arg("SELECT count(*) AS n FROM samples").output().unwrap()
    };
    assert_eq!(text(&sql(&certificate).stdout), "n\n2\n");
    assert!(!sql(&other).status.success());
    for strict in ["sslmode=require".to_owned(), format!("sslmode=verify-full sslrootcert={}", certificate.display())] {
        let done = psql(&server, "takt", "", &strict);
        assert!(is_in(&done), "{strict}: {done:?}");
    }
    assert!(!is_in(&psql(&server, "takt", "", &format!("sslmode=verify-full sslrootcert={}", other.display()))));

    let plain = psql(&server, "takt", "", "sslmode=disable");
    assert!(!is_in(&plain) && text(&plain.stderr).contains("sslmode=require"), "{plain:?}");
    let http = in_the_clear(server.http, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(!http.starts_with(b"HTTP/"), "{}", text(&http));
    let mqtt = in_the_clear(server.mqtt, b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc");
    assert!(!mqtt.starts_with(&[0x20]), "{mqtt:?}");
}

#[test]
fn a_wrong_pair_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let free = ["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"];
    for (certificate, key, part) in [
        (CERTIFICATE, OTHER_KEY, "does not belong to the certificate"),
        ("", KEY, "holds no certificate"),
        (KEY, KEY, "holds no certificate"),
        (CERTIFICATE, CERTIFICATE, "holds no private key"),
    ] {
        let config = tls(folder.path(), certificate, key);
        let told = refused_start(folder.path(), &[&["--config", config.as_str()], &free[..]].concat());
        assert!(told.contains(part), "{told}");
    }
    let config = tls(folder.path(), CERTIFICATE, KEY);
    fs::remove_file(folder.path().join("server.key")).unwrap();
    let told = refused_start(folder.path(), &[&["--config", config.as_str()], &free[..]].concat());
    assert!(told.contains("cannot read the private key"), "{told}");
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
    fs::write(folder.path().join("takt.toml"), "[tls]\ncertificate = \"server.crt\"\n").unwrap();
    let told = refused_start(folder.path(), &[&["--config", config.as_str()], &free[..]].concat());
    assert!(told.contains("needs both `certificate` and `key`"), "{told}");
}

/// Every page asks who is looking, says when that was wrong, and shows what it has to whoever may see it.
#[test]
fn pages_ask_who_is_looking() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder.path());
    add(folder.path(), "anna", "read");
    let browser = Browser::open(&folder.path().join("browser"), 1280, 800);
    let until = |what: &str, script: &str| {
        let is_so = || (browser.script(&format!("return Boolean({script})")) == serde_json::json!(true)).then_some(());
        wait_for(what, Duration::from_secs(15), is_so);
    };
    let log_in = |password: &str| {
        browser.script(&format!(
            "document.querySelector('#login-user').value = 'anna'; \
             document.querySelector('#login-secret').value = '{password}'; document.querySelector('#login button').click()"
        ));
    };
    let asked = "document.querySelector('#login:not([hidden])')";
    let pages = [
        ("/", ".machine"),
        ("/oee?equipment=cologne%2Fline-1%2Fpress&period=today", ".tile[data-ratio=oee]"),
        ("/stops?equipment=cologne%2Fline-1%2Fpress", "#summary:not(:empty)"),
        ("/spc", "#choice-trouble:not([hidden])"),
    ];
    for (path, shown) in pages {
        browser.go(&server.url(path));
        until("the question who is looking", asked);
        log_in("wrong");
        let refused = format!("{asked} && document.querySelector('#login-reason').textContent.includes('password')");
        until("what was wrong", &refused);
        log_in("password-anna");
        until(shown, &format!("!{asked} && document.querySelector('{shown}')"));
        browser.script("sessionStorage.clear()");
    }
}
