//! Up to when signals have been measured, kept in the data folder, so that a start need not look at everything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

/// Name of the file.
const FILE: &str = "measured.json";
/// How often it is written at most.
const PACE: Duration = Duration::from_secs(10);

/// The file, and what it says.
pub(super) struct Mark {
    path: PathBuf,
    written: Option<(Instant, i64)>,
}

impl Mark {
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE), written: None }
    }

    /// What it says, microseconds UTC; none where it is not there or says nothing: that is told.
    pub(super) fn read(&self) -> Option<i64> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, file = %self.path.display(), "signals are looked at from the beginning");
                return None;
            }
        };
        let said: Option<Value> = serde_json::from_str(&text).ok();
        let through = said.as_ref().and_then(|said| said.get("through")?.as_str()?.parse::<Timestamp>().ok());
        if through.is_none() {
            tracing::warn!(file = %self.path.display(), "it says no time: signals are looked at from the beginning");
        }
        through.map(|through| through.as_microsecond())
    }

    /// Writes it, where it was not written just now and says something else.
    pub(super) fn keep(&mut self, through: i64) -> io::Result<()> {
        let is_kept = |(at, said): (Instant, i64)| at.elapsed() < PACE || said == through;
        let Some(time) = Timestamp::from_microsecond(through).ok().filter(|_| !self.written.is_some_and(is_kept))
        else {
            return Ok(());
        };
        let new = self.path.with_extension("json.new");
        fs::write(&new, json!({"through": time.to_string()}).to_string())?;
        fs::rename(&new, &self.path)?;
        self.written = Some((Instant::now(), through));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = Mark::new(folder.path());
        assert_eq!(mark.read(), None);
        mark.keep(1_736_812_800_000_001).unwrap();
        assert_eq!(Mark::new(folder.path()).read(), Some(1_736_812_800_000_001));
        // Not twice in a moment.
        mark.keep(1_736_812_900_000_000).unwrap();
        assert_eq!(mark.read(), Some(1_736_812_800_000_001));
        fs::write(folder.path().join(FILE), "{\"through\": \"soon\"}").unwrap();
        assert_eq!(mark.read(), None);
    }
}
