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
