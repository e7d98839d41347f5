//! What can be wrong with a query, told so that its author can mend it.

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
    /// The engine failed while the query ran.
    #[error("{0}")]
    Execution(String),
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
            Self::Unreadable { .. } | Self::Layout(_) | Self::Store(_) => "58030",
            Self::Value(message) if message == DIVISION_BY_ZERO => "22012",
            Self::Value(_) => "22000",
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
        DataFusionError::from(error).into()
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
                    Err(other) => Self::Execution(other.to_string()),
                },
            },
            DataFusionError::SQL(inner, _) => Self::Statement { message: without_place(&inner.to_string()), at },
            DataFusionError::SchemaError(inner, _) => Self::Statement { message: schema_message(&inner), at },
            DataFusionError::Plan(message) | DataFusionError::Configuration(message) => {
                Self::Statement { message: plain(&message), at }
            }
            DataFusionError::NotImplemented(message) => {
                Self::Statement { message: format!("takt's SQL cannot do this: {}", plain(&message)), at }
            }
            DataFusionError::ResourcesExhausted(message) => Self::Memory(plain(&message)),
            DataFusionError::ArrowError(inner, _) => of_arrow(&inner),
            // Functions say so of their arguments.
            DataFusionError::Execution(message) => Self::Value(plain(&message)),
            other => Self::Execution(other.strip_backtrace()),
        }
    }
}

const DIVISION_BY_ZERO: &str = "division by zero";

/// Most errors of kernels are about values.
fn of_arrow(error: &ArrowError) -> QueryError {
    match error {
        ArrowError::DivideByZero => QueryError::Value(DIVISION_BY_ZERO.to_owned()),
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ArithmeticOverflow(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::ComputeError(message) => QueryError::Value(plain(message)),
        ArrowError::NotYetImplemented(message) => {
            QueryError::Statement { message: format!("takt's SQL cannot do this: {}", plain(message)), at: None }
        }
        other => QueryError::Execution(other.to_string()),
    }
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
        DataFusionError::Execution(message) => DataFusionError::Execution(message.clone()),
        DataFusionError::ArrowError(inner, _) => {
            let external = match inner.as_ref() {
                ArrowError::ExternalError(inner) => own(inner.as_ref()),
                _ => None,
            };
            external.unwrap_or_else(|| of_arrow(inner)).into()
        }
        DataFusionError::External(inner) => {
            own(inner.as_ref()).unwrap_or_else(|| QueryError::Execution(inner.to_string())).into()
        }
        other => QueryError::Execution(other.strip_backtrace()).into(),
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

fn plain(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
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
