//! A file in pieces small enough to send.

use arrow::record_batch::RecordBatch;

/// Rows in one request.
pub(super) const CHUNK_ROWS: usize = 20_000;

/// Rows with long texts are sent in smaller pieces, and one that is longer than this not at all; the server takes at least four
/// times as much.
pub(super) const CHUNK_BYTES: u64 = 8 << 20;

/// Why a row of so many bytes is refused.
pub(super) fn too_long(bytes: u64) -> String {
    format!("a row of {bytes} bytes; at most {CHUNK_BYTES} are taken: shorten its texts")
}

/// A place in a file and why what stands there was refused.
pub(super) type Refusal = (String, String);

/// What one request carries.
#[derive(Debug)]
pub(super) enum Body {
    /// Rows of a table, and where each stands in the file.
    Rows { rows: RecordBatch, places: Places },
    /// Lines of line protocol, the first being this one of the file.
    Lines { text: Vec<u8>, first: u64 },
}

/// Where rows stand in their file.
#[derive(Debug)]
pub(super) enum Places {
    /// On these lines.
    Lines(Vec<u64>),
    /// These rows of it, the first being 1.
    Rows(Vec<u64>),
}

impl Places {
    /// Those from `place` on, of which the others go.
    pub(super) fn split_off(&mut self, place: usize) -> Self {
        match self {
            Self::Lines(lines) => Self::Lines(lines.split_off(place)),
            Self::Rows(rows) => Self::Rows(rows.split_off(place)),
        }
    }

    /// Where row `index` of the chunk stands.
    pub(super) fn of(&self, index: usize) -> String {
        let (kind, numbers) = match self {
            Self::Lines(lines) => ("", lines),
            Self::Rows(rows) => ("row ", rows),
        };
        numbers.get(index).map_or_else(|| "?".to_owned(), |number| format!("{kind}{number}"))
    }
}

/// A piece of a file.
#[derive(Debug)]
pub(super) struct Chunk {
    /// What to send.
    pub(super) batch: Body,
    /// What could not even be read.
    pub(super) refusals: Vec<Refusal>,
    /// How much of the file it is, in the unit of [`Chunks::size`].
    pub(super) size: u64,
}

/// A file that comes in chunks.
pub(super) trait Chunks {
    /// Size of the whole, bytes.
    fn size(&self) -> u64;

    /// The next chunk, until there is none.
    ///
    /// # Errors
    /// The file cannot be read on: nothing of what comes behind is.
    fn next(&mut self) -> anyhow::Result<Option<Chunk>>;
}
