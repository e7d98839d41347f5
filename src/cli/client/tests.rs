use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::*;

/// What a client is told by a server that answers everything with these bytes.
fn told_by(scheme: &str, answer: &'static [u8]) -> String {
    tls::install_provider();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _asked = client.read(&mut [0; 4096]).unwrap();
        client.write_all(answer).unwrap();
    });
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls/authority.crt");
    let args = ServerArgs { url, token: None, ca: Some(authority.into()) };
    let call = Call { method: Method::GET, path: "/", content_type: "text/plain", accept: "*/*", body: Bytes::new() };
    let refused = block_on(async { Client::new(&args)?.send(call).await.map(|_| ()) });
    server.join().unwrap();
    super::super::terminal::told(&refused.unwrap_err())
}

#[test]
fn plain_http_to_a_port_with_tls_is_told() {
    // The alert `unexpected_message`.
    let told = told_by("http", b"\x15\x03\x03\x00\x02\x02\x0a");
    assert!(
        told.contains("does not answer in plain HTTP; where it has TLS, write https:// instead of http://"),
        "{told}"
    );
}

#[test]
fn tls_to_a_port_without_is_told() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..], b""] {
        let told = told_by("https", answer);
        assert!(told.contains("does not speak TLS; where it has no [tls] in its settings, write http://"), "{told}");
    }
}

#[test]
fn a_server_that_breaks_off_is_told() {
    let told = told_by("http", b"");
    assert!(told.contains("broke off"), "{told}");
}
