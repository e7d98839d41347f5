//! A report before it is written: headings, facts, tables and drawings. It is made once, and each writer shows the same.

use super::clock::Clock;
use super::figure::Figure;

/// What stands where there is no figure.
pub(crate) const NONE: &str = "–";

/// A report.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) title: String,
    /// Of what it is, in one line.
    pub(crate) subject: String,
    /// Foot of each page: who made it, with what, when.
    pub(crate) foot: String,
    /// How times are written.
    pub(crate) clock: Clock,
    /// Login that asked for it.
    pub(crate) author: String,
    /// When it was made, microseconds UTC.
    pub(crate) made: i64,
    pub(crate) blocks: Vec<Block>,
}

/// A part of a report.
#[derive(Debug)]
pub(crate) enum Block {
    Heading(String),
    Note(String),
    /// Something a reader must not overlook.
    Warning(String),
    Facts(Vec<Fact>),
    /// Drawings side by side.
    Figures(Vec<Figure>),
    Table(Table),
    /// Who signs.
    Signatures(&'static [&'static str]),
}

/// A name and what it is.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) cell: Cell,
}

impl Fact {
    pub(crate) fn new(name: impl Into<String>, cell: impl Into<Cell>) -> Self {
        Self { name: name.into(), cell: cell.into() }
    }
}

/// Where a table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Everywhere; in a workbook on its first sheet.
    Summary,
    /// On paper and on the screen only.
    Paper,
    /// Everywhere; in a workbook on a sheet of this name.
    Sheet(&'static str),
    /// In a workbook only, on a sheet of this name.
    SheetOnly(&'static str),
}

impl Place {
    /// Whether it is on paper and on the screen.
    pub(crate) fn is_on_paper(self) -> bool {
        !matches!(self, Self::SheetOnly(_))
    }
}

/// Rows under a head.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) place: Place,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: String,
    /// Whether cells stand at its right edge, as numbers do.
    pub(crate) right: bool,
}

impl Column {
    pub(crate) fn left(title: impl Into<String>) -> Self {
        Self { title: title.into(), right: false }
    }

    pub(crate) fn right(title: impl Into<String>) -> Self {
        Self { title: title.into(), right: true }
    }
}

/// Sheets that a workbook draws from.
pub(crate) const CHART_DATA: &str = "Chart data";
pub(crate) const HISTOGRAM: &str = "Histogram";
pub(crate) const PROBABILITY: &str = "Probability plot";

/// What stands in a place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Nothing is known, and there is nothing to say of it.
    None,
    /// There is no figure, for this reason.
    Missing(String),
    Text(String),
    /// A number, shown with so many places.
    Number(f64, usize),
    Integer(i64),
    /// An instant, microseconds UTC.
    Time(i64),
    /// An instant that is shown in UTC, whatever the zone.
    Utc(i64),
    /// A number with words around it: its value, and what is shown.
    Phrase(f64, String),
}

impl Cell {
    /// A number, or why there is none.
    pub(crate) fn number(value: Option<f64>, places: usize, why: &str) -> Self {
        value.map_or_else(|| Self::missing(why), |value| Self::Number(value, places))
    }

    /// What is not known, with its reason where there is one.
    pub(crate) fn missing(why: &str) -> Self {
        if why.is_empty() { Self::None } else { Self::Missing(why.to_owned()) }
    }

    pub(crate) fn text(text: Option<&str>) -> Self {
        text.filter(|text| !text.is_empty()).map_or(Self::None, |text| Self::Text(text.to_owned()))
    }

    pub(crate) fn time(time: Option<i64>) -> Self {
        time.map_or(Self::None, Self::Time)
    }

    /// What a person reads.
    pub(crate) fn shown(&self, clock: &Clock) -> String {
        match self {
            Self::None => NONE.to_owned(),
            Self::Missing(why) => format!("{NONE} ({why})"),
            Self::Text(text) | Self::Phrase(_, text) => text.clone(),
            Self::Number(value, places) => placed(*value, *places),
            Self::Integer(value) => grouped(*value),
            Self::Time(time) => clock.wall(*time),
            Self::Utc(time) => Clock::utc().wall(*time),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::text(Some(text))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::text(Some(&text))
    }
}

/// A number with so many places; what is no number is none.
pub(crate) fn placed(value: f64, places: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{value:.places$}");
    // No −0.00.
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    if is_zero { text.replace('-', "") } else { text.replace('-', "−") }
}

/// As many places as a spread deserves: two digits of a tenth of it, as the page does.
pub(crate) fn places_for(sigma: Option<f64>) -> usize {
    match sigma {
        Some(sigma) if sigma > 0.0 && sigma.is_finite() => (2.0 - sigma.log10().floor()).clamp(0.0, 16.0) as usize,
        _ => 3,
    }
}

/// A number with so many significant digits, and no zeros after them.
pub(crate) fn reading(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return placed(value, 0);
    }
    let whole = value.abs().log10().floor() as i32;
    let places = usize::try_from(i32::try_from(digits).unwrap_or(5) - 1 - whole).unwrap_or(0).min(12);
    let text = placed(value, places);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number as it was given: the shortest text that reads back as the same.
pub(crate) fn exact(value: f64) -> String {
    let size = value.abs();
    let text = if size != 0.0 && !(1e-9..1e15).contains(&size) { format!("{value:e}") } else { value.to_string() };
    if value.is_finite() { text.replace('-', "−") } else { NONE.to_owned() }
}

/// A whole number, thousands apart.
pub(crate) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests;
