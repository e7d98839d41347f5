//! The files of a table log, looked at before the library reads them: what it does not understand it passes over, and rows would be
//! missing without a word.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;
use serde::Deserialize;
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

/// Digits of a commit's name.
const DIGITS: usize = 20;

/// Refuses a log with a commit that cannot be read, and that no checkpoint has.
pub(super) fn check(log: &Path) -> Result<(), StoreError> {
    let checkpoint = std::fs::read(log.join("_last_checkpoint")).ok();
    let checkpoint = checkpoint.and_then(|bytes| serde_json::from_slice::<Checkpoint>(&bytes).ok());
    let is_needed = |path: &&PathBuf| {
        version(path).is_some_and(|version| checkpoint.as_ref().is_none_or(|known| known.version < version))
    };
    for path in children(log)?.iter().filter(is_needed) {
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
    version(path)?;
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).peekable();
    if lines.peek().is_none() {
        return Some("a commit with nothing in it".to_owned());
    }
    lines.find_map(|line| match serde_json::from_slice::<Map<String, Value>>(line) {
        Ok(action) => {
            let said: Vec<&str> =
                action.iter().filter(|(_, said)| !said.is_null()).map(|(name, _)| name.as_str()).collect();
            let is_one = matches!(said.as_slice(), [name] if ACTIONS.contains(name));
            (!is_one).then(|| format!("a commit with `{}`, which is no action of a table log", said.join("`, `")))
        }
        Err(error) => Some(format!("a commit that cannot be read: {error}")),
    })
}

/// What the log says of its newest checkpoint.
#[derive(Deserialize)]
struct Checkpoint {
    version: u64,
}

/// The version that a commit makes, by its name; there may be files of others in the folder.
fn version(path: &Path) -> Option<u64> {
    let name = path.file_stem()?.to_str()?;
    let is_commit = is_of_type(path, "json") && name.len() == DIGITS;
    name.parse().ok().filter(|_| is_commit)
}

fn is_of_type(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_actions_in_lines() {
        let complaint = |text: &str| complaint(Path::new("00000000000000000003.json"), text.as_bytes());
        let sound = "{\"commitInfo\":{}}\n{\"txn\":{\"appId\":\"takt\",\"version\":3},\"add\":null}\n";
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
        for other in ["_last_checkpoint", "._00000000000000000003.json", "note.json"] {
            assert_eq!(super::complaint(Path::new(other), b""), None);
        }
        assert!(super::complaint(Path::new("0.checkpoint.parquet"), b"PAR1").is_some());
    }
}
