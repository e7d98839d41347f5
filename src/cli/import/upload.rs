//! Chunks on their way to the server.

use anyhow::Context;
use arrow::ipc::writer::StreamWriter;
use arrow::json::ArrayWriter;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use hyper::Method;
use oee::tables::{SAMPLES, Table};
use serde_json::Value;

use super::chunk::{Body, Places, Refusal};
use crate::cli::client::{self, Call, Client, ServerArgs};

/// What became of one chunk.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    pub(super) stored: u64,
    /// How many were refused …
    pub(super) refused: u64,
    /// … and the first of them.
    pub(super) refusals: Vec<Refusal>,
}

/// Sends chunks, one after another: the answer to one says that it is durable.
pub(super) struct Upload {
    client: Client,
    table: &'static Table,
    records_path: String,
    lines_path: String,
}

impl Upload {
    pub(super) fn new(server: &ServerArgs, table: &'static Table, precision: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(server)?,
            table,
            records_path: format!("/api/v1/{}", table.name),
            lines_path: format!("/api/v2/write?precision={precision}"),
        })
    }

    /// Sends one chunk and waits until it is stored.
    pub(super) async fn send(&mut self, body: Body) -> anyhow::Result<Receipt> {
        match body {
            Body::Rows { rows, .. } if rows.num_rows() == 0 => Ok(Receipt::default()),
            Body::Rows { rows, places } if self.table.name == SAMPLES.name => {
                let call = Call {
                    method: Method::POST,
                    path: "/api/v1/import/samples",
                    content_type: "application/vnd.apache.arrow.stream",
                    accept: "application/json",
                    body: arrow_stream(&rows)?,
                };
                let answer = self.client.json(call).await;
                of_rows(answer, rows.num_rows() as u64, &places)
            }
            Body::Rows { rows, places } => {
                let call = Call {
                    method: Method::POST,
                    path: &self.records_path,
                    content_type: "application/json",
                    accept: "application/json",
                    body: records(&rows)?,
                };
                let answer = self.client.json(call).await;
                of_rows(answer, rows.num_rows() as u64, &places)
            }
            Body::Lines { text, first } => {
                let lines = text.split(|byte| *byte == b'\n').filter(|line| counts(line)).count() as u64;
                let call = Call {
                    method: Method::POST,
                    path: &self.lines_path,
                    content_type: "text/plain; charset=utf-8",
                    accept: "application/json",
                    body: text.into(),
                };
                let answer = self.client.done(call).await;
                of_lines(answer, lines, first)
            }
        }
    }
}

/// Whether a line of line protocol says anything.
fn counts(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && !line.starts_with(b"#")
}

/// Reads the answer to `sent` rows: all stored, or which ones were not.
fn of_rows(answer: anyhow::Result<Value>, sent: u64, places: &Places) -> anyhow::Result<Receipt> {
    let Err(error) = answer else { return Ok(Receipt { stored: sent, ..Receipt::default() }) };
    let refusal = error.downcast::<client::Refusal>()?;
    let Some(partial) = refusal.partial.clone() else { return Err(refusal.into()) };
    let refusals = partial.refused.into_iter().map(|refused| (places.of(refused.row), refused.reason)).collect();
    Ok(Receipt { stored: partial.accepted, refused: sent.saturating_sub(partial.accepted), refusals })
}

/// Reads the answer to `sent` lines, the first of them being line `first` of the file.
fn of_lines(answer: anyhow::Result<Value>, sent: u64, first: u64) -> anyhow::Result<Receipt> {
    let Err(error) = answer else { return Ok(Receipt { stored: sent, ..Receipt::default() }) };
    let refusal = error.downcast::<client::Refusal>()?;
    let Some(partial) = PartialWrite::read(&refusal.message) else { return Err(refusal.into()) };
    let place = |line: u64| (first + line.saturating_sub(1)).to_string();
    let refusals = partial.lines.into_iter().map(|(line, reason)| (place(line), reason)).collect();
    Ok(Receipt { stored: sent.saturating_sub(partial.refused), refused: partial.refused, refusals })
}

/// The message that Telegraf and its kin get: `partial write: 2 of 10 lines refused …: line 3: why; line 7: why; and 4 more`.
#[derive(Debug, PartialEq, Eq)]
struct PartialWrite {
    refused: u64,
    lines: Vec<(u64, String)>,
}

impl PartialWrite {
    fn read(message: &str) -> Option<Self> {
        let rest = message.strip_prefix("partial write: ")?;
        let (refused, rest) = rest.split_once(' ')?;
        let (_, listed) = rest.split_once(": ")?;
        let mut lines: Vec<(u64, String)> = Vec::new();
        for part in listed.split("; ") {
            match (numbered(part), lines.last_mut()) {
                (Some(line), _) => lines.push(line),
                (None, _) if part.starts_with("and ") && part.ends_with(" more") => {}
                // A reason may hold a semicolon itself.
                (None, Some((_, reason))) => {
                    reason.push_str("; ");
                    reason.push_str(part);
                }
                (None, None) => {}
            }
        }
        Some(Self { refused: refused.parse().ok()?, lines })
    }
}

fn numbered(part: &str) -> Option<(u64, String)> {
    let (number, reason) = part.strip_prefix("line ")?.split_once(": ")?;
    Some((number.parse().ok()?, reason.to_owned()))
}

fn arrow_stream(rows: &RecordBatch) -> anyhow::Result<Bytes> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    Ok(writer.into_inner().context("the rows could not be encoded")?.into())
}

/// Objects whose empty cells are absent: what a file does not say keeps its value.
fn records(rows: &RecordBatch) -> anyhow::Result<Bytes> {
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner().into())
}

#[cfg(test)]
mod tests {
    use super::PartialWrite;

    #[test]
    fn partial_writes_are_read_line_by_line() {
        let message = "partial write: 12 of 40 lines refused and kept in quarantine: line 3: no fields; add one; \
                       line 7: unknown equipment: x; and 10 more";
        let lines = vec![(3, "no fields; add one".to_owned()), (7, "unknown equipment: x".to_owned())];
        assert_eq!(PartialWrite::read(message), Some(PartialWrite { refused: 12, lines }));
        assert_eq!(PartialWrite::read("the disk is full"), None);
    }
}
