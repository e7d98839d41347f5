//! The files of a table log, looked at before the library reads them: what it does not understand it passes over, and rows would be
//! missing without a word.

use std::io;
use std::path::Path;

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;
use serde_json::{Map, Value};

use crate::StoreError;
use crate::backup::children;

/// What a line of a commit can say (Delta protocol, "Actions").
const ACTIONS: [&str; 10] = [
    "add",
    "cdc",
    "checkpointMetadata",
    "commitInfo",
    "domainMetadata",
    "metaData",
    "protocol",
    "remove",
    "sidecar",
    "txn",
];

/// Refuses a log with a commit that cannot be read.
pub(super) fn check(log: &Path) -> Result<(), StoreError> {
    for path in children(log)?.iter().filter(|path| is_of_type(path, "json")) {
        match std::fs::read(path) {
            Ok(bytes) => {
                if let Some(message) = complaint(path, &bytes) {
                    return Err(StoreError::Damaged { path: path.clone(), message });
                }
            }
            // A server removes commits that a checkpoint has.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(path, error)),
        }
    }
    Ok(())
}

/// What is wrong with a file of a table log: JSON, an action in each line, or a checkpoint in Parquet.
pub(crate) fn complaint(path: &Path, bytes: &[u8]) -> Option<String> {
    if is_of_type(path, "parquet") {
        let read = ParquetMetaDataReader::new().parse_and_finish(&Bytes::copy_from_slice(bytes));
        return read.err().map(|error| error.to_string());
    }
    if !is_of_type(path, "json") {
        return None;
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).peekable();
    if lines.peek().is_none() {
        return Some("a commit with nothing in it".to_owned());
    }
    lines.find_map(|line| match serde_json::from_slice::<Map<String, Value>>(line) {
        Ok(action) if action.len() == 1 && action.keys().all(|name| ACTIONS.contains(&name.as_str())) => None,
        Ok(action) => {
            let names: Vec<&str> = action.keys().map(String::as_str).collect();
            Some(format!("a commit with `{}`, which is no action of a table log", names.join("`, `")))
        }
        Err(error) => Some(format!("a commit that cannot be read: {error}")),
    })
}

fn is_of_type(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_actions_in_lines() {
        let complaint = |text: &str| complaint(Path::new("0.json"), text.as_bytes());
        let sound = "{\"commitInfo\":{}}\n{\"txn\":{\"appId\":\"takt\",\"version\":3}}\n";
        assert_eq!(complaint(sound), None);
        for (text, message) in [
            ("", "nothing in it"),
            ("\n", "nothing in it"),
            ("{\"aed\":{}}", "`aed`, which is no action"),
            ("{\"add\":{},\"remove\":{}}", "`add`, `remove`"),
            ("{}", "no action"),
            (&sound[..30], "cannot be read"),
            ("[]", "cannot be read"),
        ] {
            let told = complaint(text).unwrap_or_default();
            assert!(told.contains(message), "{text}: {told}");
        }
        assert_eq!(super::complaint(Path::new("_last_checkpoint"), b""), None);
        assert!(super::complaint(Path::new("0.checkpoint.parquet"), b"PAR1").is_some());
    }
}
