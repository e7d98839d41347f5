//! Influx line protocol on `POST /api/v2/write`, as Telegraf sends it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::Server;

const PRESS: &str = "cologne/line-1/press";

fn write(server: &Server, query: &str, lines: &str) -> (u16, String) {
    server.post(&format!("/api/v2/write{query}"), lines)
}

fn accepted(server: &Server, query: &str, lines: &str) {
    let (status, body) = write(server, query, lines);
    assert_eq!((status, body.as_str()), (204, ""), "{lines}");
}

/// Value and text of every sample of a signal of the press.
fn stored(server: &Server, signal: &str) -> Value {
    let of = format!("equipment = '{PRESS}' AND signal = '{}'", signal.replace('\'', "''"));
    json!(server.sql(&format!("SELECT value, text FROM samples WHERE {of} ORDER BY time")))
}

#[test]
fn every_kind_of_field() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let line = r#"machine,machine=press state="RUN",good=10482i,pieces=17u,speed=118.5,small=-1.5e-3,running=true,open=F 1741000000123000000"#;
    accepted(&server, "", line);
    let expected = [
        ("state", json!([[null, "RUN"]])),
        ("good", json!([[10482.0, null]])),
        ("pieces", json!([[17.0, null]])),
        ("speed", json!([[118.5, null]])),
        ("small", json!([[-0.0015, null]])),
        ("running", json!([[1.0, null]])),
        ("open", json!([[0.0, null]])),
    ];
    for (signal, rows) in expected {
        assert_eq!(stored(&server, signal), rows, "{signal}");
    }
    accepted(&server, "", "machine,machine=press big=9007199254740993i,most=18446744073709551615u 1741000000123000000");
    assert_eq!(stored(&server, "big")[0][1], "9007199254740993");
    assert_eq!(stored(&server, "most")[0][1], "18446744073709551615");
    // A type that changes between lines drops no row.
    accepted(&server, "", "machine,machine=press t=1i 1\n".replace(" 1\n", " 1741000000000000000\n").as_str());
    accepted(&server, "", "machine,machine=press t=\"one\" 1741000001000000000");
    assert_eq!(stored(&server, "t"), json!([[1.0, null], [null, "one"]]));
}

#[test]
fn times_in_every_precision() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for (query, signal, time, micros) in [
        ("", "default", "1741000000123456789", "123456"),
        ("?precision=ns", "ns", "1741000000123456789", "123456"),
        ("?precision=us&bucket=plant&org=acme", "us", "1741000000123456", "123456"),
        ("?precision=ms", "ms", "1741000000123", "123000"),
        ("?precision=s", "s", "1741000000", "000000"),
    ] {
        accepted(&server, query, &format!("machine,machine=press {signal}=1 {time}"));
        let rows = server.sql(&format!("SELECT time FROM samples WHERE signal = '{signal}'"));
        assert_eq!(json!(rows), json!([[format!("2025-03-03T11:06:40.{micros}Z")]]), "{query}");
    }

    // Without a time it is the time of arrival.
    accepted(&server, "?precision=s", "machine,machine=press now=1");
    let young =
        "SELECT count(*) FROM samples WHERE signal = 'now' AND now() - time < interval '1 minute' AND time <= now()";
    assert_eq!(server.number(young), 1.0);

    let (status, body) = write(&server, "?precision=h", "machine,machine=press x=1 1");
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("`h` is no precision; use ns, us, ms or s"), "{body}");
}

#[test]
fn escapes_comments_and_line_breaks_in_strings() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let body = concat!(
        "# a comment\n",
        "machine,machine=press,note=a\\ b\\,c\\=d odd\\ field\\,with\\=all=\"a \\\"quoted\\\" back\\\\slash\" 1741000000000000000\n",
        "\n",
        "machine,machine=press lines=\"one\ntwo\" 1741000000000000000\r\n",
        "machine,machine=press comma=\"a,b c=d # e\" 1741000000000000000\n",
        "machine,machine=press grad=\"°C ü\" 1741000000000000000",
    );
    accepted(&server, "", body);
    assert_eq!(stored(&server, "odd field,with=all"), json!([[null, "a \"quoted\" back\\slash"]]));
    assert_eq!(stored(&server, "lines"), json!([[null, "one\ntwo"]]));
    assert_eq!(stored(&server, "comma"), json!([[null, "a,b c=d # e"]]));
    assert_eq!(stored(&server, "grad"), json!([[null, "°C ü"]]));
    assert_eq!(server.number("SELECT count(*) FROM samples"), 4.0);
    assert_eq!(server.number("SELECT count(*) FROM quarantine"), 0.0);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packing = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = packing.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(text.as_bytes()).unwrap());
        packing.wait_with_output().unwrap().stdout
    })
}

fn write_packed(server: &Server, body: &[u8]) -> (u16, String) {
    let request = ureq::post(server.url("/api/v2/write")).config().http_status_as_error(false).build();
    let mut response = request.header("content-encoding", "gzip").send(body).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn packed_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let lines: String = (0..5_000_u64)
        .map(|number| {
            format!("machine,machine=press packed={number} {}\n", 1_741_000_000_000_000_000 + number * 1_000_000)
        })
        .collect();
    assert_eq!(write_packed(&server, &gzip(&lines)), (204, String::new()));
    assert_eq!(server.number("SELECT sum(value) FROM samples WHERE signal = 'packed'"), 12_497_500.0);
    let (status, body) = write_packed(&server, b"machine,machine=press packed=1");
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("gzip"), "{body}");
    // A small body that unpacks to more than any server would hold is refused, and the server runs on.
    let bomb = gzip(&" ".repeat(300 << 20));
    let (status, body) = write_packed(&server, &bomb);
    assert!(status == 413 || status == 400, "{status} {body}");
    assert_eq!(server.number("SELECT count(*) FROM samples"), 5_000.0);
}

#[test]
fn a_partial_write_keeps_the_good_lines() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let time = "1741000000000000000";
    let lines = [
        format!("machine,machine=press first=1 {time}"),
        format!("machine,machine=press bad=NaN {time}"),
        "nonsense".to_owned(),
        format!("machine,machine=drill x=1 {time}"),
        format!("machine,machine=press ahead=1 {}", u64::MAX / 2),
        format!("machine,machine=press last=2 {time}"),
    ];
    let (status, body) = write(&server, "", &lines.join("\n"));
    assert_eq!(status, 400, "{body}");
    // Telegraf and the InfluxDB clients read `code` and `message`.
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["code"], "invalid");
    let message = answer["message"].as_str().unwrap();
    for part in
        ["partial write: 4 of 6 lines", "line 2: ", "`bad`", "line 3: ", "line 4: ", "cologne/line-1/drill", "line 5: "]
    {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert!(!message.contains("line 1: ") && !message.contains("line 6: "), "{message}");
    assert_eq!((stored(&server, "first"), stored(&server, "last")), (json!([[1.0, null]]), json!([[2.0, null]])));
    assert_eq!(server.number("SELECT count(*) FROM samples"), 2.0);
    // The refused lines, and only these, are kept.
    let kept = server.sql("SELECT payload FROM quarantine");
    let kept: Vec<&str> = kept.iter().flat_map(|row| row[0].as_str().unwrap().lines()).collect();
    assert_eq!(kept, lines[1..5].iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn measurements_find_their_equipment() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let lines = [
        "machine,site=cologne,machine=weld mapped=1 1741000000000000000",
        "opcua,equipment=cologne/line-1/weld,signal=current value=2 1741000000000000000",
        "opcua,equipment=cologne/line-1/weld volts=3 1741000000000000000",
        "samples,equipment=cologne/line-1/weld,signal=direct value=4,unit=\"U-1\",work_order=\"WO-1\" 1741000000000000000",
    ];
    accepted(&server, "", &lines.join("\n"));
    let rows = server.sql(
        "SELECT value, signal, work_order, unit FROM samples WHERE equipment = 'cologne/line-1/weld' ORDER BY value",
    );
    let values: Vec<&Value> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(json!(values), json!([1.0, 2.0, 3.0, 4.0]));
    assert_eq!((&rows[0][1], &rows[2][1]), (&json!("mapped"), &json!("volts")));
    assert_eq!(json!(rows[3]), json!([4.0, "direct", "WO-1", "U-1"]));
}

/// The answer to `head` with a body of five bytes, which is sent after it, or never.
fn answer(stream: &mut TcpStream, head: &str, body: &str) -> String {
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut came = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "{head}: it ended with {}", String::from_utf8_lossy(&came));
        came.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&came).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest.split('\r').next().unwrap());
            if body.len() >= length.parse().unwrap() {
                return text;
            }
        }
    }
}

#[test]
fn a_connection_that_ends_says_so_and_no_other_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let connect = || {
        let stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    // Read and refused: the next request follows on the same connection.
    let mut stream = connect();
    for _ in 0..3 {
        let text = answer(&mut stream, "POST /api/v2/write", "a b c");
        assert!(text.starts_with("http/1.1 400") && !text.contains("connection: close"), "{text}");
    }
    // Refused unread.
    for head in ["POST /api/v2/write?precision=xx", "POST /nosuch", "POST /health"] {
        let text = answer(&mut connect(), head, "");
        assert!(text.starts_with("http/1.1 4") && text.contains("connection: close"), "{head}: {text}");
    }
}
