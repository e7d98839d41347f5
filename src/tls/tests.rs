use std::fs;
use std::path::Path;

use super::{TlsError, client, server};
use crate::config::TlsFiles;

// Two self-signed pairs for `localhost`, good for a hundred years and for these tests only.
const CERTIFICATE: &str = include_str!("one.crt");
const KEY: &str = include_str!("one.key");
const OTHER_KEY: &str = include_str!("two.key");

fn files(folder: &Path, certificate: &str, key: &str) -> TlsFiles {
    let files = TlsFiles { certificate: folder.join("server.crt"), key: folder.join("server.key") };
    fs::write(&files.certificate, certificate).unwrap();
    fs::write(&files.key, key).unwrap();
    files
}

fn refusal(certificate: &str, key: &str) -> TlsError {
    let folder = tempfile::tempdir().unwrap();
    server(&files(folder.path(), certificate, key)).unwrap_err()
}

#[test]
fn a_pair_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), CERTIFICATE, KEY);
    assert!(server(&files).is_ok());
    assert!(client(Some(&files.certificate)).is_ok());
}

#[test]
fn a_foreign_key_is_refused() {
    assert!(matches!(refusal(CERTIFICATE, OTHER_KEY), TlsError::Mismatch { .. }));
}

#[test]
fn files_without_content_are_refused() {
    assert!(matches!(refusal("", KEY), TlsError::Missing { what: "certificate", .. }));
    assert!(matches!(refusal(CERTIFICATE, ""), TlsError::Missing { what: "private key", .. }));
    assert!(matches!(refusal(CERTIFICATE, CERTIFICATE), TlsError::Missing { what: "private key", .. }));
}

#[test]
fn damaged_files_are_refused() {
    let cut = CERTIFICATE.get(..CERTIFICATE.len() / 2).unwrap();
    assert!(matches!(refusal(cut, KEY), TlsError::Damaged { .. } | TlsError::Missing { .. }));
    let scrambled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(refusal(scrambled, KEY), TlsError::Unusable { .. }));
}

#[test]
fn absent_files_are_named() {
    let absent = TlsFiles { certificate: "no/such.crt".into(), key: "no/such.key".into() };
    let message = server(&absent).unwrap_err().to_string();
    assert!(message.contains("no/such.crt"), "{message}");
}

/// A pair as `openssl req -x509` makes it: the certificate says that it is an authority.
const AUTHORITY: &str = include_str!("authority.crt");
const AUTHORITY_KEY: &str = include_str!("authority.key");

/// A handshake between a server with `certificate` and a client that trusts `trusted` and looks for `name`.
fn handshake(certificate: &str, key: &str, trusted: &str, name: &'static str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("trusted.crt");
    fs::write(&authority, trusted).unwrap();
    let server = server(&files(folder.path(), certificate, key)).unwrap();
    let mut server = rustls::ServerConnection::new(server).unwrap();
    let client = client(Some(&authority)).unwrap();
    let mut client = rustls::ClientConnection::new(client, name.try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        bytes.clear();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| error.to_string())?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[test]
fn a_client_trusts_the_certificate_it_was_given_and_no_other() {
    for (certificate, key) in [(CERTIFICATE, KEY), (AUTHORITY, AUTHORITY_KEY)] {
        assert_eq!(handshake(certificate, key, certificate, "localhost"), Ok(()));
        let elsewhere = handshake(certificate, key, certificate, "takt.example").unwrap_err();
        assert!(elsewhere.contains("not valid for name"), "{elsewhere}");
    }
    assert!(handshake(AUTHORITY, AUTHORITY_KEY, CERTIFICATE, "localhost").is_err());
    assert!(handshake(CERTIFICATE, KEY, AUTHORITY, "localhost").is_err());
}
