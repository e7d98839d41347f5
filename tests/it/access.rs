//! Who may: users and roles over MQTT, HTTP and PostgreSQL, and TLS for all three.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

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
    let done = user(folder, &["add", name, "--role", role], &format!("pw-{name}\n"));
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
        let password = format!("pw-{name}");
        let login = basic(name, &password);
        let refused = if name == "nobody" { 401 } else { 403 };
        let status = |allowed: bool, status: u16| if allowed { status } else { refused };
        assert_eq!(post(&server, "/api/v1/sql", &login, "SELECT 1"), status(query, 200), "{name}");
        assert_eq!(post(&server, "/api/v2/write", &login, LINE), status(write, 204), "{name}");
        assert_eq!(post(&server, "/api/v1/units", &login, r#"{"unit": "U-1"}"#), status(write, 200), "{name}");
        assert_eq!(post(&server, "/api/v1/quarantine/replay", &login, ""), status(admin, 200), "{name}");
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
            let request = ureq::post(server.url("/api/v1/sql")).header("authorization", basic("admin", "pw-admin"));
            let mut answer = request.header("content-type", "application/json").send(count.as_bytes()).unwrap();
            let answer: serde_json::Value = answer.body_mut().read_json().unwrap();
            assert_eq!(answer["rows"][0][0], u64::from(write), "{name} {version:?}");
        }
    }
    // Wrong passwords and none at all.
    for login in ["", &basic("admin", "pw-read"), &basic("admin", ""), "Bearer takt_nonsense", "Nonsense"] {
        assert_eq!(post(&server, "/api/v1/sql", login, "SELECT 1"), 401, "{login}");
    }
    assert!(!is_in(&psql(&server, "admin", "pw-read", "")));
    assert!(!is_in(&psql(&server, "admin", "", "")));
    for version in VERSIONS {
        for login in [None, Some(("admin", "pw-read")), Some(("admin", ""))] {
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
    assert!(!kept.contains(&token) && !kept.contains("pw-gateway"), "{kept}");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    assert!(user(folder.path(), &["remove", "gateway"], "").status.success());
    wait_for("the user to be gone", Duration::from_secs(10), || {
        (post(&server, "/api/v2/write", &format!("Bearer {token}"), LINE) == 401).then_some(())
    });
    assert_eq!(post(&server, "/api/v2/write", &basic("gateway", "pw-gateway"), LINE), 401);
    assert!(Equipment::connect(Version::V5, server.mqtt, manner()).is_err());
    assert_eq!(post(&server, "/api/v1/sql", &basic("anna", "pw-anna"), "SELECT 1"), 200);

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
        (post(&server, "/api/v1/sql", &basic("anna", "pw-anna"), "SELECT 1") == 401).then_some(())
    });
    assert_eq!(post(&server, "/api/v1/sql", "", "SELECT 1"), 401);
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
    let mut answer = Vec::new();
    // A reset is a way to hang up as well; a timeout is not.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    answer
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
