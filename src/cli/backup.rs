//! `takt backup`.

use std::path::{self, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use hyper::Method;
use indicatif::{HumanBytes, ProgressBar};
use serde::Deserialize;

use super::client::{Call, Client, ServerArgs, block_on, query_value};
use super::terminal;

/// Copy a running server's data
///
/// The copy is consistent and holds everything acknowledged before it; the server runs on. It lies on the server's
/// machine, in a folder that does not exist yet. Files that are damaged already are copied as they are and named, and the
/// command ends with 1. Needs an admin's token once users exist.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Folder for the copy
    #[arg(value_name = "TO")]
    to: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Deserialize)]
struct Taken {
    folder: String,
    files: u64,
    bytes: u64,
    #[serde(default)]
    damaged: Vec<String>,
}

pub(super) fn run(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let to = path::absolute(&args.to)?;
    let to = to.to_str().context("the folder's name is not UTF-8")?.to_owned();
    block_on(async move {
        let mut client = Client::new(&args.server)?;
        let spinner = ProgressBar::new_spinner().with_message("copying");
        spinner.enable_steady_tick(Duration::from_millis(100));
        let call = Call {
            method: Method::POST,
            path: &format!("/api/v1/backup?to={}", query_value(&to)),
            content_type: "application/json",
            accept: "application/json",
            body: Bytes::new(),
        };
        let answer = client.json(call).await;
        spinner.finish_and_clear();
        let taken: Taken = serde_json::from_value(answer?).context("the server's answer is no backup")?;
        terminal::say(format_args!("{}: {} files, {}", taken.folder, taken.files, HumanBytes(taken.bytes)))?;
        terminal::complain(format_args!("Bring it back with `takt restore {} --data NEW_FOLDER`.", taken.folder));
        if taken.damaged.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        for path in &taken.damaged {
            terminal::complain(format_args!("{path}: its bytes are not those that were written"));
        }
        terminal::complain(format_args!(
            "Damaged files were copied as they are: {}. What `takt verify` finds wrong is sound in an older backup, if anywhere: keep those.",
            taken.damaged.len()
        ));
        Ok(ExitCode::FAILURE)
    })
}
