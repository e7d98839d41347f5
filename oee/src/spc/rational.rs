//! Rational subgroups: which values are looked at together.

use std::fmt;

use super::Error;
use crate::bucket::{Cut, Width};

/// Columns of `measurements` whose values make subgroups.
const COLUMNS: [&str; 10] =
    ["unit", "work_order", "product", "operation", "operator", "gauge", "subgroup", "run", "piece", "equipment"];

/// How values become rational subgroups.
#[derive(Debug, Clone, PartialEq)]
pub enum Rational {
    /// So many in a row. Those left over at the end wait for company.
    Count(usize),
    /// A stretch of time.
    Time(Cut),
    /// Those that agree in a column.
    Column(&'static str),
}

impl Rational {
    /// Reads `5`, `1 hour`, `shift`, `day` or the name of a column.
    ///
    /// # Errors
    /// Where it is none of these: the message says what is.
    pub fn parse(word: &str) -> Result<Self, Error> {
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            let count = word.parse::<usize>().ok().filter(|count| *count > 0);
            return count
                .map(Self::Count)
                .ok_or_else(|| Error::NoSubgroup { word: word.to_owned(), columns: &COLUMNS });
        }
        if let Some(column) = COLUMNS.into_iter().find(|column| *column == word) {
            return Ok(Self::Column(column));
        }
        match word {
            "shift" => Ok(Self::Time(Cut::Shift)),
            "day" => Ok(Self::Time(Cut::Day)),
            _ => match Width::parse(word) {
                Ok(width) => Ok(Self::Time(Cut::Width(width))),
                Err(_) => Err(Error::NoSubgroup { word: word.to_owned(), columns: &COLUMNS }),
            },
        }
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(size) => write!(f, "of {size}"),
            Self::Time(_) => f.write_str("of that time"),
            Self::Column(column) => write!(f, "by {column}"),
        }
    }
}
