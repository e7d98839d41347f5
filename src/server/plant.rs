//! The plant file of a server: found, read, and kept beside the data it explains.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oee::plant::Plant;
use thiserror::Error;

/// Taken from the current folder where nothing else is said, and the name of the copy in the data folder.
const FILE: &str = "plant.toml";

/// Why the plant cannot be served.
#[derive(Debug, Error)]
pub enum PlantError {
    /// The file cannot be read or kept.
    #[error("the plant file {path}: {source}; name another with --plant FILE")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has mistakes.
    #[error("{}\nthe plant has mistakes; `takt check` shows them again", .mistakes.join("\n"))]
    Mistakes {
        /// All of them, `file:line:column: message / remedy`.
        mistakes: Vec<String>,
    },
}

/// A plant, and the text it was read from.
pub(crate) struct PlantFile {
    pub(crate) plant: Plant,
    text: String,
}

impl PlantFile {
    /// Reads `given`, or `plant.toml` in the current folder where there is one, or the copy that the last server kept in the
    /// data folder: a restored backup means what it meant. Without any the plant is empty: every message goes to quarantine,
    /// with a proposal, until a plant file is written.
    pub(crate) fn find(given: Option<&Path>, data: &Path) -> Result<Self, PlantError> {
        let path = given.unwrap_or(Path::new(FILE));
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, text),
            Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => {
                let kept = Self::kept(data)?;
                if kept.text.is_empty() {
                    tracing::warn!(
                        "no plant.toml here: messages wait in quarantine, `takt quarantine` proposes the lines that map them"
                    );
                } else {
                    tracing::warn!(
                        plant = %data.join(FILE).display(),
                        "no plant.toml here: the plant is the one that was last used with this data folder"
                    );
                }
                Ok(kept)
            }
            Err(source) => Err(PlantError::Io { path: path.to_owned(), source }),
        }
    }

    /// The plant of a data folder that no server has open: the copy that the last one kept there.
    pub(crate) fn kept(data: &Path) -> Result<Self, PlantError> {
        let path = data.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) if text.is_empty() => Ok(Self::none()),
            Ok(text) => Self::parse(&path, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::none()),
            Err(source) => Err(PlantError::Io { path, source }),
        }
    }

    /// An empty plant.
    fn none() -> Self {
        Self { plant: Plant::empty(), text: String::new() }
    }

    /// Reads `text`; `path` is named in its mistakes.
    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, PlantError> {
        let line = |mistake: &oee::plant::Mistake| {
            format!("{}:{}:{}: {} / {}", path.display(), mistake.line, mistake.column, mistake.message, mistake.remedy)
        };
        match Plant::parse(&text) {
            Ok(plant) => Ok(Self { plant, text }),
            Err(mistakes) => Err(PlantError::Mistakes { mistakes: mistakes.iter().map(line).collect() }),
        }
    }

    /// Keeps a copy in the data folder, so that a backup, or `takt sql --data`, knows what the rows mean.
    pub(crate) fn keep(&self, data: &Path) -> Result<(), PlantError> {
        let path = data.join(FILE);
        if fs::read_to_string(&path).is_ok_and(|kept| kept == self.text) {
            return Ok(());
        }
        let new = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(self.text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| PlantError::Io { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_the_plant_is_the_last_one_of_the_data_folder_or_empty() {
        let data = tempfile::tempdir().unwrap();
        let found = PlantFile::find(None, data.path()).unwrap();
        assert_eq!(found.plant.tree().count(), 0);
        found.keep(data.path()).unwrap();
        assert_eq!(PlantFile::find(None, data.path()).unwrap().plant.tree().count(), 0);
        let text = "[plant]\nzone = \"UTC\"\n[[equipment]]\npath = \"site\"\n".to_owned();
        PlantFile::parse(Path::new("plant.toml"), text).unwrap().keep(data.path()).unwrap();
        let found = PlantFile::find(None, data.path()).unwrap();
        assert_eq!(found.plant.tree().map(|equipment| equipment.path.as_str()).collect::<Vec<_>>(), ["site"]);
        let missing = PlantFile::find(Some(Path::new("no/such.toml")), data.path()).err().unwrap().to_string();
        assert!(missing.contains("no/such.toml") && missing.contains("--plant"), "{missing}");
    }
}
