//! `takt compact`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt;
use hyper::Method;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::client::{Call, Client, ServerArgs, accepted, block_on};
use super::terminal;

/// Merge a running server's files
///
/// Afterwards no two Parquet files of a table overlap within a day, and they hold exactly what SQL shows: corrected rows in
/// their newest form, samples keyed by what is known now. Small files are merged without being asked; this does the
/// rest. The server runs on. Needs an admin's token once users exist.
#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// A line of the server's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Merged { rows: u64, of: u64 },
    Done { rows: u64 },
    Failed(String),
}

pub(super) fn run(args: CompactArgs) -> anyhow::Result<ExitCode> {
    block_on(async move {
        let mut client = Client::new(&args.server)?;
        let call = Call {
            method: Method::POST,
            path: "/api/v1/compact",
            content_type: "application/json",
            accept: "application/x-ndjson",
            body: Bytes::new(),
        };
        let style = ProgressStyle::with_template("merging [{wide_bar}] {percent:>3}%  {msg}  ETA {eta}")?;
        let (bar, started) = (ProgressBar::new(0).with_style(style), Instant::now());
        let mut answer = accepted(client.send(call).await?).await?.into_body();
        let mut unread = Vec::new();
        while let Some(frame) = answer.frame().await {
            let frame = frame.context("the server broke off; what it has merged stays merged")?;
            unread.extend_from_slice(frame.data_ref().map_or(&[][..], AsRef::as_ref));
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                match serde_json::from_slice(&line).context("the server's answer is not that of a compaction")? {
                    Line::Merged { rows, of } => {
                        bar.set_length(of);
                        bar.set_position(rows);
                        let rate = (rows as f64 / started.elapsed().as_secs_f64().max(0.001)) as u64;
                        bar.set_message(format!("{} rows, {} rows/s", HumanCount(rows), HumanCount(rate)));
                    }
                    Line::Done { rows } => {
                        bar.finish_and_clear();
                        let seconds = started.elapsed().as_secs_f64();
                        match rows {
                            0 => terminal::say("nothing to merge")?,
                            rows => terminal::say(format_args!("{} rows merged, {seconds:.1} s", HumanCount(rows)))?,
                        }
                        return Ok(ExitCode::SUCCESS);
                    }
                    Line::Failed(reason) => bail!("the compaction broke off: {reason}"),
                }
            }
        }
        bail!("the server broke off; what it has merged stays merged")
    })
}
