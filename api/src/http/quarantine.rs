//! Refused messages over HTTP.
//!
//! `GET /api/v1/quarantine` lists them, `POST /api/v1/quarantine/replay` tries again what the plant now knows, and
//! `POST /api/v1/quarantine/discard` lets go of what nobody wants.

mod discard;
mod listing;
mod replay;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use ingest::Login;

use super::Front;
use super::refusal::Refusal;
use crate::columns::instant;

pub(super) use discard::discard;
pub(super) use listing::list;
pub(super) use replay::replay;

/// A WHERE clause, and the values of its parameters.
#[derive(Debug, Clone)]
struct Filter {
    clause: String,
    parameters: Vec<ScalarValue>,
}

impl Filter {
    /// Messages that wait, of one topic or all. Once it is settled, a message has been replayed (true) or discarded (NULL).
    fn waiting(topic: Option<String>) -> Self {
        let filter = Self { clause: "replayed IS FALSE".to_owned(), parameters: Vec::new() };
        match topic {
            None => filter,
            Some(topic) => filter.and(|value| format!("topic = {value}"), ScalarValue::Utf8(Some(topic))),
        }
    }

    /// Those of them that had arrived by then: a sender that goes on must not keep a request from its end.
    fn arrived_by(self, time_us: i64) -> Self {
        self.and(|value| format!("time <= {value}"), instant(time_us))
    }

    fn and(mut self, condition: impl FnOnce(&str) -> String, value: ScalarValue) -> Self {
        self.parameters.push(value);
        let condition = condition(&format!("${}", self.parameters.len()));
        self.clause = format!("{} AND {condition}", self.clause);
        self
    }
}

/// Asks for columns of the rows that a filter leaves; `rest` follows the WHERE clause.
async fn rows(
    front: &Front,
    login: &Login,
    columns: &str,
    filter: Filter,
    rest: &str,
) -> Result<Vec<RecordBatch>, Refusal> {
    let sql = format!("SELECT {columns} FROM quarantine WHERE {} {rest}", filter.clause);
    front.ask(login, sql, filter.parameters).await
}
