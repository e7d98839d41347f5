//! What a client is told when a statement fails: a SQLSTATE that drivers act on, a sentence a person
//! understands, and where known the place in the statement.

use std::borrow::Cow;
use std::io;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::response::ErrorResponse;
use query::QueryError;

#[cfg(test)]
mod tests;

/// Said whenever a statement would change anything.
pub(crate) const READ_ONLY: &str = "takt's SQL is read-only; write through MQTT or POST /api/v1/<table>";

/// The SQLSTATEs this server uses; PostgreSQL documentation, appendix A.
pub(crate) mod sqlstate {
    pub(crate) const PROTOCOL_VIOLATION: &str = "08P01";
    pub(crate) const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub(crate) const DATETIME_FIELD_OVERFLOW: &str = "22008";
    pub(crate) const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
    pub(crate) const INVALID_PARAMETER_VALUE: &str = "22023";
    pub(crate) const DATA_EXCEPTION: &str = "22000";
    pub(crate) const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    pub(crate) const INVALID_BINARY_REPRESENTATION: &str = "22P03";
    pub(crate) const ACTIVE_SQL_TRANSACTION: &str = "25001";
    pub(crate) const READ_ONLY_SQL_TRANSACTION: &str = "25006";
    pub(crate) const NO_ACTIVE_SQL_TRANSACTION: &str = "25P01";
    pub(crate) const IN_FAILED_SQL_TRANSACTION: &str = "25P02";
    pub(crate) const INVALID_SQL_STATEMENT_NAME: &str = "26000";
    pub(crate) const INVALID_AUTHORIZATION: &str = "28000";
    pub(crate) const INVALID_PASSWORD: &str = "28P01";
    pub(crate) const INVALID_CURSOR_NAME: &str = "34000";
    pub(crate) const INVALID_SAVEPOINT: &str = "3B001";
    pub(crate) const SYNTAX_OR_ACCESS_RULE: &str = "42000";
    pub(crate) const SYNTAX_ERROR: &str = "42601";
    pub(crate) const AMBIGUOUS_COLUMN: &str = "42702";
    pub(crate) const UNDEFINED_COLUMN: &str = "42703";
    pub(crate) const UNDEFINED_OBJECT: &str = "42704";
    pub(crate) const GROUPING_ERROR: &str = "42803";
    pub(crate) const DATATYPE_MISMATCH: &str = "42804";
    pub(crate) const UNDEFINED_FUNCTION: &str = "42883";
    pub(crate) const UNDEFINED_TABLE: &str = "42P01";
    pub(crate) const UNDEFINED_PARAMETER: &str = "42P02";
    pub(crate) const DUPLICATE_CURSOR: &str = "42P03";
    pub(crate) const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";
    pub(crate) const TOO_MANY_CONNECTIONS: &str = "53300";
    pub(crate) const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
    pub(crate) const CANT_CHANGE_RUNTIME_PARAM: &str = "55P02";
    pub(crate) const OBJECT_NOT_IN_STATE: &str = "55000";
    pub(crate) const QUERY_CANCELED: &str = "57014";
    pub(crate) const ADMIN_SHUTDOWN: &str = "57P01";
    pub(crate) const INTERNAL_ERROR: &str = "XX000";
}

/// A place in a statement's text: line and column, both counted from 1 in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// One refused or failed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) sqlstate: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Where, as the planner said it.
    pub(crate) place: Option<Place>,
    /// Where, as the client is told: a character of what it sent, counted from 1.
    pub(crate) position: Option<usize>,
    /// The connection ends after this failure.
    pub(crate) fatal: bool,
}

impl Failure {
    pub(crate) fn new(sqlstate: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            sqlstate: Cow::Borrowed(sqlstate),
            message: message.into(),
            hint: None,
            place: None,
            position: None,
            fatal: false,
        }
    }

    pub(crate) fn syntax(message: impl Into<String>) -> Failure {
        Failure::new(sqlstate::SYNTAX_ERROR, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Failure {
        Failure::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Failure {
        Failure::new(sqlstate::PROTOCOL_VIOLATION, message)
    }

    pub(crate) fn read_only() -> Failure {
        Failure::new(sqlstate::READ_ONLY_SQL_TRANSACTION, READ_ONLY)
    }

    pub(crate) fn cancelled() -> Failure {
        Failure::new(sqlstate::QUERY_CANCELED, "canceling statement due to user request")
    }

    pub(crate) fn timed_out() -> Failure {
        Failure::new(sqlstate::QUERY_CANCELED, "canceling statement due to statement timeout")
    }

    pub(crate) fn shutting_down() -> Failure {
        Failure::new(sqlstate::ADMIN_SHUTDOWN, "terminating connection: the server is shutting down").fatal()
    }

    pub(crate) fn login_ended() -> Failure {
        let message = "terminating connection: its login is no longer valid, because the user was removed, its password \
                       or role was changed, or users exist now";
        Failure::new(sqlstate::ADMIN_SHUTDOWN, message).fatal()
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, line: u64, column: u64) -> Failure {
        self.place = (line > 0).then_some(Place { line, column });
        self
    }

    pub(crate) fn fatal(mut self) -> Failure {
        self.fatal = true;
        self
    }

    /// Turns the planner's line and column within `text` into a character position, which `back` carries
    /// over to what the client sent.
    pub(crate) fn positioned(mut self, text: &str, back: impl FnOnce(usize) -> Option<usize>) -> Failure {
        if self.position.is_none()
            && let Some(place) = self.place
        {
            self.position = character_at(text, place).and_then(back).map(|character| character + 1);
        }
        self
    }

    /// The message for the wire.
    pub(crate) fn into_response(self) -> ErrorResponse {
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        let mut info = ErrorInfo::new(severity.to_owned(), self.sqlstate.into_owned(), self.message);
        info.severity_nonlocalized = Some(severity.to_owned());
        info.hint = self.hint;
        info.position = self.position.map(|position| position.to_string());
        info.into()
    }
}

/// Why a connection could not go on with what it was doing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The client is told, and goes on unless the failure is fatal.
    Failed(Failure),
    /// The client has gone.
    Gone(io::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Gone(error)
    }
}

/// The character (counted from 0) at a place of `text`.
fn character_at(text: &str, place: Place) -> Option<usize> {
    let (mut line, mut column) = (1, 1);
    for (index, character) in text.chars().enumerate() {
        if (line, column) == (place.line, place.column) {
            return Some(index);
        }
        if character == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    ((line, column) == (place.line, place.column)).then(|| text.chars().count())
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Failure {
        Failure::from(QueryError::from(error))
    }
}

impl From<&QueryError> for Failure {
    fn from(error: &QueryError) -> Failure {
        match error {
            QueryError::Statement { message, at } => {
                // The planner's words tell more than parse error or not; they are the only place that does.
                let sqlstate = match plan_sqlstate(message) {
                    sqlstate::SYNTAX_OR_ACCESS_RULE => error.sqlstate(),
                    finer => finer,
                };
                let failure = Failure::new(sqlstate, message.as_str());
                match at {
                    Some((line, column)) => failure.at(*line, *column),
                    None => failure,
                }
            }
            QueryError::ReadOnly(_) => Failure::read_only(),
            other => Failure::new(other.sqlstate(), other.to_string()),
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Failure {
        Failure::from(&error)
    }
}

impl From<PgWireError> for Failure {
    fn from(error: PgWireError) -> Failure {
        let info = ErrorInfo::from(error);
        Failure {
            fatal: info.is_fatal(),
            sqlstate: Cow::Owned(info.code),
            message: info.message,
            hint: info.hint,
            place: None,
            position: None,
        }
    }
}

/// A statement the parser did not understand; the parser says where in its message only.
pub(crate) fn parse_failure(error: &ParserError) -> Failure {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Failure::new("54001", "the statement is nested too deeply");
        }
    };
    match message.rsplit_once(" at Line: ") {
        Some((said, place)) => {
            let failure = Failure::syntax(format!("syntax error: {said}"));
            match place.split_once(", Column: ") {
                Some((line, column)) => match (line.trim().parse(), column.trim().parse()) {
                    (Ok(line), Ok(column)) => failure.at(line, column),
                    _ => failure,
                },
                None => failure,
            }
        }
        None => Failure::syntax(format!("syntax error: {message}")),
    }
}

/// Planning errors carry no code, only English: the phrases are DataFusion's own.
fn plan_sqlstate(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    let says = |phrase: &str| message.contains(phrase);
    if says("read-only") {
        sqlstate::READ_ONLY_SQL_TRANSACTION
    } else if says("cannot do this") {
        sqlstate::FEATURE_NOT_SUPPORTED
    } else if says("table ") && says("not found") {
        sqlstate::UNDEFINED_TABLE
    } else if says("invalid function")
        || says("no function matches")
        || says("failed to coerce arguments")
        || says("does not support zero arguments")
    {
        sqlstate::UNDEFINED_FUNCTION
    } else if says("must appear in the group by") || says("could not be resolved from available columns") {
        sqlstate::GROUPING_ERROR
    } else if says("no field named") || says("there is no column") || (says("column") && says("not found")) {
        sqlstate::UNDEFINED_COLUMN
    } else if says("ambiguous") {
        sqlstate::AMBIGUOUS_COLUMN
    } else if says("cannot coerce") || says("cannot be converted to") || says("cannot infer common argument type") {
        sqlstate::DATATYPE_MISMATCH
    } else if says("placeholder") || says("parameter") {
        sqlstate::UNDEFINED_PARAMETER
    } else {
        sqlstate::SYNTAX_OR_ACCESS_RULE
    }
}
