//! What can be wrong with a query, told so that its author can mend it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use storage::StoreError;

/// An error of a query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The statement does not parse, or names something that does not exist.
    #[error("{message}{}", place(.at))]
    Statement {
        /// What is wrong, and what to write instead where that is known.
        message: String,
        /// Line and column, both from 1.
        at: Option<(u64, u64)>,
    },
    /// The statement would change something.
    #[error("{0} is not possible here: SQL reads only. Rows come in through MQTT, HTTP or `takt import`")]
    ReadOnly(String),
    /// The statement ran longer than allowed.
    #[error("the query was stopped after {0:?}; ask for less time or fewer rows, or raise `timeout_s` in [query]")]
    Timeout(Duration),
    /// The answer has more rows than allowed.
    #[error("the answer has more than {0} rows; add a LIMIT or an aggregate, or raise `max_rows` in [query]")]
    TooManyRows(u64),
    /// The statement needs more memory than all queries together may have.
    #[error("the query needs more memory than is allowed: {0}; ask for less time, or raise `memory_bytes` in [query]")]
    Memory(String),
    /// A segment cannot be read.
    #[error("{path} cannot be read: {message}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// A table does not have the columns it must have.
    #[error("the data folder does not fit this version of takt: {0}")]
    Layout(String),
    /// The store could not give its rows.
    #[error(transparent)]
    Store(StoreError),
    /// A value does not fit what the statement does with it: a division by zero, a text that is no number.
    #[error("{0}")]
    Value(String),
    /// What a query needs could not be read or written.
    #[error("{0}")]
    Disk(String),
    /// The engine failed while the query ran.
    #[error("{0}")]
    Execution(String),
}

/// Text that is no value of the type asked for has codes of its own, that of times another; the words are the kernels' own, and what
/// they quote is not among them.
fn value_sqlstate(message: &str) -> &'static str {
    let message = without_quoted(message).to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    let is_of_times = says(&["time", "date", "interval"]);
    if says(&[DIVISION_BY_ZERO]) {
        "22012"
    } else if says(&["regular expression"]) {
        "2201B"
    } else if says(&["overflow", "out of range", "can't cast value"]) {
        if is_of_times { "22008" } else { "22003" }
    } else if says(&["cannot cast", "could not parse", "error parsing", "parser error", "invalid"]) {
        if is_of_times { "22007" } else { "22P02" }
    } else {
        "22000"
    }
}

/// The words of a message without the value that it quotes, which may have quotes in it.
fn without_quoted(message: &str) -> String {
    match (message.find('\''), message.rfind('\'')) {
        (Some(first), Some(last)) if first < last => {
            [message.get(..first), message.get(last + 1..)].into_iter().flatten().collect()
        }
        _ => message.to_owned(),
    }
}

fn place(at: &Option<(u64, u64)>) -> String {
    at.map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})"))
}

impl QueryError {
    /// The SQLSTATE that PostgreSQL would give.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Statement { message, .. } if message.starts_with("there is no column") => "42703",
            Self::Statement { message, .. } if message.contains("not found") => "42P01",
            Self::Statement { message, .. } if message.starts_with("malformed array literal") => "22P02",
            Self::Statement { message, .. } if message.starts_with("arrays of more than one") => "0A000",
            Self::Statement { .. } => "42601",
            Self::ReadOnly(_) => "25006",
            Self::Timeout(_) => "57014",
            Self::TooManyRows(_) => "54000",
            Self::Memory(_) => "53200",
            Self::Unreadable { .. } | Self::Layout(_) | Self::Store(_) | Self::Disk(_) => "58030",
            Self::Value(message) => value_sqlstate(message),
            Self::Execution(_) => "XX000",
        }
    }

    /// Line and column of the mistake, both from 1, where they are known.
    pub fn position(&self) -> Option<(u64, u64)> {
        match self {
            Self::Statement { at, .. } => *at,
            _ => None,
        }
    }

    /// Whether the author of the statement can mend it.
    pub fn is_callers(&self) -> bool {
        matches!(self, Self::Statement { .. } | Self::Value(_) | Self::ReadOnly(_) | Self::TooManyRows(_))
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { path, message } => Self::Unreadable { path, message },
            other => Self::Store(other),
        }
    }
}

impl From<ArrowError> for QueryError {
    fn from(error: ArrowError) -> Self {
        Self::Execution(error.to_string())
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        match error {
            // What is wrong with a statement is so for all streams that share the error.
            QueryError::Statement { message, at: None } => Self::Plan(message),
            other => Self::External(Box::new(other)),
        }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        let at = span(&error).or_else(|| written_place(&error.strip_backtrace()));
        match peel(error) {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => match other.downcast::<StoreError>() {
                    Ok(store) => (*store).into(),
                    Err(other) => of_others(&other.to_string()),
                },
            },
            DataFusionError::SQL(inner, _) => Self::Statement { message: without_place(&inner.to_string()), at },
            DataFusionError::SchemaError(inner, _) => Self::Statement { message: schema_message(&inner), at },
            // Of what the library has planned itself; it shows the whole of it.
            DataFusionError::Plan(message) if message.contains(OUT_OF_ORDER) => Self::Execution(
                "a step of the plan needs rows in an order that the step before does not give".to_owned(),
            ),
            DataFusionError::Plan(message) | DataFusionError::Configuration(message) => {
                Self::Statement { message: plain(&message), at }
            }
            DataFusionError::NotImplemented(message) => {
                Self::Statement { message: format!("takt's SQL cannot do this: {}", plain(&message)), at }
            }
            DataFusionError::ResourcesExhausted(message) => Self::Memory(plain(&message)),
            DataFusionError::ArrowError(inner, _) => of_arrow(&inner),
            DataFusionError::Execution(message) => of_execution(&message),
            DataFusionError::ParquetError(inner) => of_parquet(&inner.to_string()),
            DataFusionError::IoError(inner) => of_disk(&inner),
            other => of_others(&other.strip_backtrace()),
        }
    }
}

const DIVISION_BY_ZERO: &str = "division by zero";
const OUT_OF_ORDER: &str = "does not satisfy order requirements";

/// Most errors of kernels are about values.
fn of_arrow(error: &ArrowError) -> QueryError {
    match error {
        ArrowError::DivideByZero => QueryError::Value(DIVISION_BY_ZERO.to_owned()),
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ArithmeticOverflow(message)
        | ArrowError::ComputeError(message) => of_value(message),
        // Of a batch that is none, not of a value.
        ArrowError::InvalidArgumentError(message)
            if !message.starts_with("Column '") && !message.starts_with("number of columns") =>
        {
            of_value(message)
        }
        ArrowError::NotYetImplemented(message) => {
            QueryError::Statement { message: format!("takt's SQL cannot do this: {}", plain(message)), at: None }
        }
        other => of_others(&other.to_string()),
    }
}

/// Of libraries below it; what stands behind the first line is for its developers.
fn of_others(message: &str) -> QueryError {
    of_pattern(message).unwrap_or_else(|| QueryError::Execution(first_line(message).to_owned()))
}

fn of_disk(error: &io::Error) -> QueryError {
    QueryError::Disk(format!("the disk does not do what the query needs: {error}"))
}

/// Of a file, of which the library does not say which it was, or of a filter while a file was read.
fn of_parquet(message: &str) -> QueryError {
    match message.split_once(OF_FILTER) {
        Some((_, error)) => of_filter(error).map_or_else(|| of_others(error), QueryError::from),
        None => {
            let message = first_line(message);
            QueryError::Disk(format!("a file of the data folder cannot be read: {message}; `takt verify` names it"))
        }
    }
}

fn of_value(message: &str) -> QueryError {
    of_pattern(message).unwrap_or_else(|| QueryError::Value(plain(message)))
}

/// That a pattern is none is told over several lines, of which the last says why.
fn of_pattern(message: &str) -> Option<QueryError> {
    let (_, why) = message.split_once("regex parse error")?;
    let why = why.lines().last().unwrap_or_default();
    Some(QueryError::Value(format!("invalid regular expression: {}", why.trim().trim_start_matches("error: "))))
}

/// What the library says while it runs is mostly of functions and their arguments.
fn of_execution(message: &str) -> QueryError {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if says(&["failed to reserve", "spilling disabled"]) {
        return QueryError::Memory(plain(message));
    }
    if says(&["Spill file", "Task error"]) {
        return QueryError::Execution(plain(message));
    }
    of_value(message)
}

const OF_FILTER: &str = "Error evaluating filter predicate: ";

/// What failed in a filter: of the error there is left how it looks to a developer.
fn of_filter(error: &str) -> Option<DataFusionError> {
    let (kind, said) = error.split_once('"').unwrap_or((error, ""));
    let arrow = |error: ArrowError| Some(DataFusionError::ArrowError(Box::new(error), None));
    if kind.contains("DivideByZero") {
        return arrow(ArrowError::DivideByZero);
    }
    let said = unescaped(said);
    let kind = kind.strip_suffix('(')?;
    match kind.rsplit('(').next()? {
        "Plan" => Some(DataFusionError::Plan(said)),
        "Execution" => Some(DataFusionError::Execution(said)),
        "NotImplemented" => Some(DataFusionError::NotImplemented(said)),
        "ResourcesExhausted" => Some(DataFusionError::ResourcesExhausted(said)),
        "CastError" => arrow(ArrowError::CastError(said)),
        "ParseError" => arrow(ArrowError::ParseError(said)),
        "ArithmeticOverflow" => arrow(ArrowError::ArithmeticOverflow(said)),
        "ComputeError" => arrow(ArrowError::ComputeError(said)),
        "InvalidArgumentError" => arrow(ArrowError::InvalidArgumentError(said)),
        "NotYetImplemented" => arrow(ArrowError::NotYetImplemented(said)),
        _ => None,
    }
}

/// The text that is written for a developer up to the quote that ends it.
fn unescaped(written: &str) -> String {
    let mut text = String::new();
    let mut rest = written.chars();
    while let Some(character) = rest.next() {
        match character {
            '"' => break,
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('u') => {
                    let code: String = rest.by_ref().skip(1).take_while(|digit| *digit != '}').collect();
                    text.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                }
                escaped => text.extend(escaped),
            },
            other => text.push(other),
        }
    }
    text
}

/// The error below contexts, diagnostics and sharing.
fn peel(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => peel(*inner),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => peel(errors.swap_remove(0)),
        DataFusionError::Shared(shared) => match std::sync::Arc::try_unwrap(shared) {
            Ok(inner) => peel(inner),
            Err(shared) => shared_error(&shared),
        },
        DataFusionError::ArrowError(inner, backtrace) => match *inner {
            ArrowError::ExternalError(inner) => match inner.downcast::<DataFusionError>() {
                Ok(inner) => peel(*inner),
                Err(inner) => DataFusionError::External(inner),
            },
            other => DataFusionError::ArrowError(Box::new(other), backtrace),
        },
        DataFusionError::External(inner) => match inner.downcast::<DataFusionError>() {
            Ok(inner) => peel(*inner),
            Err(inner) => DataFusionError::External(inner),
        },
        other => other,
    }
}

/// An error that other partitions hold too: its kind and words are kept, the error itself cannot be taken out.
fn shared_error(error: &DataFusionError) -> DataFusionError {
    let own = |inner: &(dyn std::error::Error + 'static)| {
        let store = || inner.downcast_ref::<StoreError>().cloned().map(QueryError::from);
        inner.downcast_ref::<QueryError>().cloned().or_else(store)
    };
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => DataFusionError::ResourcesExhausted(message.clone()),
        DataFusionError::Plan(message) => DataFusionError::Plan(message.clone()),
        DataFusionError::NotImplemented(message) => DataFusionError::NotImplemented(message.clone()),
        DataFusionError::Configuration(message) => DataFusionError::Configuration(message.clone()),
        DataFusionError::Execution(message) => DataFusionError::Execution(message.clone()),
        DataFusionError::ArrowError(inner, _) => {
            let external = match inner.as_ref() {
                ArrowError::ExternalError(inner) => own(inner.as_ref()),
                _ => None,
            };
            external.unwrap_or_else(|| of_arrow(inner)).into()
        }
        DataFusionError::External(inner) => own(inner.as_ref()).unwrap_or_else(|| of_others(&inner.to_string())).into(),
        DataFusionError::IoError(inner) => of_disk(inner).into(),
        DataFusionError::ParquetError(inner) => of_parquet(&inner.to_string()).into(),
        other => of_others(&other.strip_backtrace()).into(),
    }
}

fn span(error: &DataFusionError) -> Option<(u64, u64)> {
    let start = error.diagnostic()?.span?.start;
    Some((start.line, start.column))
}

const PLACE: &str = " at Line: ";

/// The parser writes its place as `at Line: 1, Column: 15` into the message.
fn written_place(message: &str) -> Option<(u64, u64)> {
    let (_, rest) = message.split_once(PLACE)?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((line.parse().ok()?, rest.get(..digits)?.parse().ok()?))
}

fn without_place(message: &str) -> String {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let words = message.split_once(PLACE).map_or(message, |(words, _)| words);
    words.replace("found: EOF", "found: the end of the statement")
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default().trim_end()
}

fn plain(message: &str) -> String {
    first_line(message).trim_end_matches('.').to_owned()
}

fn schema_message(error: &SchemaError) -> String {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return plain(&error.to_string());
    };
    let nearest = valid_fields.iter().map(|valid| (distance(field.name(), valid.name()), valid.name())).min();
    match nearest {
        Some((edits, name)) if edits <= field.name().chars().count().div_ceil(2) => {
            format!("there is no column {:?}; did you mean {name:?}?", field.flat_name())
        }
        _ => {
            let mut names: Vec<&str> = valid_fields.iter().map(|valid| valid.name()).collect();
            names.dedup();
            format!("there is no column {:?}; there are: {}", field.flat_name(), names.join(", "))
        }
    }
}

/// Edits between two names (Levenshtein), letter case aside.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let width = b.chars().count();
    let mut row: Vec<usize> = (0..=width).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, above), corner) in b.chars().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((corner + usize::from(x != y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(width)
}

#[cfg(test)]
mod tests;
