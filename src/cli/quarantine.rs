//! `takt quarantine`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::Method;
use serde::Deserialize;

use super::client::{Call, Client, ServerArgs, block_on, query_value};
use super::terminal;

/// Messages that were refused: why, how to map them, replay
///
/// Nothing that arrives is thrown away: what cannot be admitted is kept, with the reason. The list shows, topic by topic,
/// the plant.toml lines that would map it. Add them, restart the server, then `takt quarantine replay`.
#[derive(Debug, Args)]
pub(super) struct QuarantineArgs {
    #[command(subcommand)]
    command: Option<QuarantineCommand>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// List refused messages by topic (the default)
    List {
        /// At most so many topics
        #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
        limit: u32,
    },
    /// Send kept messages through once more
    Replay {
        /// Only messages of this topic
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
    },
}

const DEFAULT_LIMIT: u32 = 50;

/// What waits under one topic.
#[derive(Debug, Deserialize)]
struct Waiting {
    topic: Option<String>,
    messages: Option<u64>,
    newest: Option<String>,
    error: Option<String>,
    proposal: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listing {
    topics: Vec<Waiting>,
}

#[derive(Debug, Deserialize)]
struct Replayed {
    replayed: u64,
    still_refused: u64,
    refused: Vec<StillRefused>,
}

#[derive(Debug, Deserialize)]
struct StillRefused {
    reason: String,
}

pub(super) fn run(args: QuarantineArgs) -> anyhow::Result<ExitCode> {
    let command = args.command.unwrap_or(QuarantineCommand::List { limit: DEFAULT_LIMIT });
    block_on(async move {
        let mut client = Client::new(&args.server)?;
        match command {
            QuarantineCommand::List { limit } => list(&mut client, limit).await,
            QuarantineCommand::Replay { topic } => replay(&mut client, topic.as_deref()).await,
        }
    })
}

fn call(method: Method, path: &str) -> Call<'_> {
    Call { method, path, content_type: "application/json", accept: "application/json", body: Bytes::new() }
}

async fn list(client: &mut Client, limit: u32) -> anyhow::Result<ExitCode> {
    let answer = client.json(call(Method::GET, &format!("/api/v1/quarantine?limit={limit}"))).await?;
    let listing: Listing = serde_json::from_value(answer).context("the server's answer is no quarantine list")?;
    if listing.topics.is_empty() {
        terminal::say("Nothing waits in quarantine.")?;
    }
    for waiting in listing.topics {
        let count = waiting.messages.unwrap_or_default();
        let noun = if count == 1 { "message" } else { "messages" };
        let topic = waiting.topic.as_deref().unwrap_or("(no topic)");
        let newest = waiting.newest.map_or_else(String::new, |time| format!(", newest {time}"));
        terminal::say(format_args!("{topic}   {count} {noun}{newest}"))?;
        for line in waiting.error.iter().flat_map(|error| error.lines()) {
            terminal::say(format_args!("  {line}"))?;
        }
        // A reason that brings the lines along has said it.
        let proposal =
            waiting.proposal.filter(|lines| !waiting.error.iter().any(|error| error.contains(lines.trim_end())));
        for line in proposal.iter().flat_map(|lines| lines.lines()) {
            terminal::say(format_args!("    {line}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(client: &mut Client, topic: Option<&str>) -> anyhow::Result<ExitCode> {
    let path = match topic {
        Some(topic) => format!("/api/v1/quarantine/replay?topic={}", query_value(topic)),
        None => "/api/v1/quarantine/replay".to_owned(),
    };
    let answer = client.json(call(Method::POST, &path)).await?;
    let outcome: Replayed = serde_json::from_value(answer).context("the server's answer is no replay")?;
    terminal::say(format_args!("{} replayed, {} refused again", outcome.replayed, outcome.still_refused))?;
    let reasons: BTreeSet<String> = outcome.refused.into_iter().map(|refused| refused.reason).collect();
    for reason in reasons {
        terminal::complain(format_args!("  {reason}"));
    }
    Ok(if outcome.still_refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
