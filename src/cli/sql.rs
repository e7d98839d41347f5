//! `takt sql`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;
use clap::Args;
use futures::StreamExt;
use http_body_util::BodyExt;
use hyper::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use query::QueryError;

use super::client::{Call, Client, Refusal, ServerArgs, accepted, block_on};
use super::folder;
use super::rendering::{Format, Rendering};
use super::terminal;

/// Run one SQL query
///
/// Asks a running server, or reads a data folder that no server needs to have open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  takt sql \"SELECT time, equipment, oee FROM oee('shift')
            WHERE time > now() - interval '1 day'\"
  takt sql --format csv \"SELECT * FROM samples WHERE signal = 'force'
                         AND time > now() - interval '1 hour'\"
  takt sql --as-of '2026-11-26 10:00+01' \"SELECT * FROM operations\"
  takt sql --data takt-data \"SELECT count(*) FROM samples\"")]
pub(super) struct SqlArgs {
    /// The query; - reads it from standard input
    #[arg(value_name = "SQL")]
    query: String,
    /// How to show the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Show the tables as they were known then; UTC where the time has no offset
    #[arg(long, value_name = "TIME", value_parser = earlier)]
    as_of: Option<Timestamp>,
    /// Read this data folder instead of asking a server; changes nothing in it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: SqlArgs) -> anyhow::Result<ExitCode> {
    let query = if args.query == "-" { io::read_to_string(io::stdin().lock())? } else { args.query };
    let answered = match &args.data {
        Some(data) => from_folder(data, &query, args.as_of, args.format),
        None => block_on(from_server(&args.server, &query, args.as_of, args.format)),
    };
    match answered {
        Err(error) if reader_left(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let position = position(&error);
            terminal::complain(format_args!("takt: {}", terminal::told(&error)));
            if let Some(place) = position.and_then(|position| pointed_at(&query, position)) {
                terminal::complain(place);
            }
            Ok(ExitCode::FAILURE)
        }
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

fn earlier(text: &str) -> Result<Timestamp, QueryError> {
    query::parse_as_of(text, &TimeZone::UTC)
}

async fn from_server(server: &ServerArgs, query: &str, as_of: Option<Timestamp>, format: Format) -> anyhow::Result<()> {
    let mut client = Client::new(server)?;
    // In UTC a time has no character that an address would change.
    let path = as_of.map_or_else(|| "/api/v1/sql".to_owned(), |time| format!("/api/v1/sql?as_of={time}"));
    let call = Call {
        method: Method::POST,
        path: &path,
        content_type: "text/plain; charset=utf-8",
        accept: "application/vnd.apache.arrow.stream",
        body: Bytes::copy_from_slice(query.as_bytes()),
    };
    let mut body = accepted(client.send(call).await?).await?.into_body();
    let mut decoder = StreamDecoder::new();
    let mut rendering = Rendering::on_terminal(format);
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the server broke off in the middle of the result")?;
        let Ok(data) = frame.into_data() else { continue };
        let mut buffer = Buffer::from(data);
        while !buffer.is_empty() {
            if let Some(batch) = decoder.decode(&mut buffer)? {
                rendering.write(&batch)?;
            }
        }
    }
    decoder.finish().context("the result ends early")?;
    let schema = decoder.schema().context("the server's answer is no query result; is --url a takt server?")?;
    rendering.finish(&schema)
}

fn from_folder(data: &Path, query: &str, as_of: Option<Timestamp>, format: Format) -> anyhow::Result<()> {
    let engine = folder::engine(data)?;
    folder::block_on(async {
        let session = engine.session("takt");
        session.set_as_of(as_of);
        let statement = session.plan(query).await?;
        let schema = statement.schema();
        let mut batches = session.execute(statement).await?;
        let mut rendering = Rendering::on_terminal(format);
        while let Some(batch) = batches.next().await {
            rendering.write(&batch.map_err(QueryError::from)?)?;
        }
        rendering.finish(&schema)
    })
}

/// Whether the next program in the pipe has read enough.
fn reader_left(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Line and column that an error names, from 1.
fn position(error: &anyhow::Error) -> Option<(usize, usize)> {
    match error.downcast_ref::<Refusal>() {
        Some(refusal) => refusal.position,
        None => folder::position(error),
    }
}

/// The line of the query that `position` names, and a mark under the column.
fn pointed_at(query: &str, (line, column): (usize, usize)) -> Option<String> {
    let text = query.lines().nth(line.checked_sub(1)?)?;
    let before: String =
        text.chars().take(column.checked_sub(1)?).map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
    Some(format!("  {text}\n  {before}^"))
}

#[cfg(test)]
mod tests {
    use super::pointed_at;

    #[test]
    fn the_place_of_an_error_is_shown() {
        assert_eq!(pointed_at("SELECT 1\nFORM x", (2, 1)).unwrap(), "  FORM x\n  ^");
        assert_eq!(pointed_at("SELECT größe_", (1, 13)).unwrap(), format!("  SELECT größe_\n  {}^", " ".repeat(12)));
        assert_eq!(pointed_at("SELECT 1", (7, 1)), None);
    }
}
