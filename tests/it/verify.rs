//! `takt verify` on a folder that a server is writing, and on one in which a byte changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;

use crate::harness::{Server, takt};

fn verify(data: &Path) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = takt().arg("verify").arg("--data").arg(data).output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

fn samples(server: &Server, from: u32) {
    let rows: Vec<_> = (from..from + 500)
        .map(|number| {
            let time = format!("2025-03-03T10:{:02}:{:02}Z", number / 60, number % 60);
            json!({"equipment": "cologne/line-1/press", "signal": "force", "time": time, "value": number})
        })
        .collect();
    let (status, body) = server.post("/api/v1/samples", json!(rows).to_string());
    assert_eq!(status, 200, "{body}");
}

fn file_of(table: &Path) -> PathBuf {
    let files = fs::read_dir(table).unwrap().map(|file| file.unwrap().path());
    files.max_by_key(|path| (path.extension().is_some_and(|end| end == "parquet"), path.clone())).unwrap()
}

#[test]
fn a_data_folder_is_looked_through_and_a_changed_byte_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let data = folder.path().join("data");
    for from in [0, 400, 200] {
        samples(&server, from);
        assert_eq!(server.post("/api/v1/compact", "").0, 200);
    }
    samples(&server, 900);
    let (code, said) = verify(&data);
    assert_eq!((code, said.contains("nothing is wrong")), (Some(0), true), "{said}");

    server.stop();
    let path = file_of(&data.join("tables/samples"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (code, said) = verify(&data);
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(name) && said.contains("not those that were written") && said.contains("restore"), "{said}");

    fs::remove_file(&path).unwrap();
    let (code, said) = verify(&data);
    assert_eq!((code, said.contains("is not there")), (Some(1), true), "{said}");
    fs::remove_dir_all(data.join("tables/counts")).unwrap();
    let (code, said) = verify(&data);
    assert_eq!((code, said.contains("the table is not there")), (Some(1), true), "{said}");
    let (code, said) = verify(folder.path());
    assert_eq!((code, said.contains("no takt data folder")), (Some(1), true), "{said}");
}
