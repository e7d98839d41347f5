//! Quotes that go wrong in a CSV file. The parser takes every text for some row (csv 1): of a quote that nobody closes all rows behind it
//! would be the text, and of one that the quote of another row closes those between.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// How the quotes of a row come out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// In pairs, each around a whole cell.
    Closed,
    /// One is open at the end of the file.
    Open,
    /// Text stands behind one that closes.
    Followed {
        /// Lines that end within quotes.
        lines: u64,
    },
}

impl Quotes {
    /// Reads the row in these bytes of the file as the parser does.
    pub(super) fn of(file: &mut (impl Read + Seek), row: Range<u64>, separator: u8) -> io::Result<Self> {
        #[derive(Clone, Copy)]
        enum Within {
            /// A cell that has not begun.
            Nothing,
            Plain,
            Quoted,
            /// Behind a quote in quotes: the end of the cell, or the first of two that stand for one.
            Quote,
        }
        let (mut within, mut lines, mut is_followed) = (Within::Nothing, 0, false);
        file.seek(SeekFrom::Start(row.start))?;
        let mut rest = file.take(row.end.saturating_sub(row.start));
        let mut block = vec![0; 1 << 16];
        loop {
            let count = rest.read(&mut block)?;
            let Some(bytes) = block.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            for &byte in bytes {
                within = match (within, byte) {
                    (Within::Quoted, b'"') => Within::Quote,
                    (Within::Quoted, byte) => {
                        lines += u64::from(byte == b'\n');
                        Within::Quoted
                    }
                    (Within::Nothing | Within::Quote, b'"') => Within::Quoted,
                    (_, b'\r' | b'\n') => Within::Nothing,
                    (_, byte) if byte == separator => Within::Nothing,
                    (before, _) => {
                        is_followed |= matches!(before, Within::Quote);
                        Within::Plain
                    }
                };
            }
        }
        Ok(match within {
            Within::Quoted => Self::Open,
            _ if is_followed => Self::Followed { lines },
            _ => Self::Closed,
        })
    }

    /// Why rows cannot be told apart, where they cannot.
    pub(super) fn complaint(&self) -> Option<String> {
        match self {
            Self::Open => Some(
                "a quote opens in this row and none closes it: what comes behind it, to the end of the file, cannot be told apart"
                    .to_owned(),
            ),
            Self::Followed { lines: lines @ 1.. } => Some(format!(
                "a quote opens in this row, and behind the next one, {lines} further on, stands text: the rows between cannot be told \
                 apart; inside quotes, write a quote twice",
                lines = if *lines == 1 { "a line".to_owned() } else { format!("{lines} lines") }
            )),
            Self::Followed { .. } | Self::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn quotes(row: &str) -> Quotes {
        let mut file = Cursor::new(format!("head\n{row}tail\""));
        Quotes::of(&mut file, 5..5 + row.len() as u64, b',').unwrap()
    }

    #[test]
    fn quotes_are_read_as_the_parser_reads_them() {
        for (row, found) in [
            ("", Quotes::Closed),
            ("a,b\"c,5\" pipe\n", Quotes::Closed),
            ("a,\"b\"\"c\",\"\"\n", Quotes::Closed),
            ("\r\n\"a\nb\",c\n", Quotes::Closed),
            ("a,\"b\n", Quotes::Open),
            ("a,x\"y,\"5 inch\nb,c\n", Quotes::Open),
            ("a,\"b\"\"", Quotes::Open),
            ("a,\"b\" c\n", Quotes::Followed { lines: 0 }),
            ("a,\"5 inch\nb,c\nd,\"e\"\n", Quotes::Followed { lines: 2 }),
            ("a,\"b\" c,\"d\n", Quotes::Open),
        ] {
            assert_eq!(quotes(row), found, "{row}");
            // The parser too takes it for one row, or none.
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(row.as_bytes());
            assert!(reader.records().count() <= 1, "{row}");
        }
    }
}
