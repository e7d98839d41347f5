//! `takt quarantine`.

use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::Method;
use serde::Deserialize;

use super::client::{Call, Client, ServerArgs, block_on, query_value};
use super::terminal;

/// Messages that were refused: why, how to map them, replay, discard
///
/// Nothing that arrives is thrown away: what cannot be admitted is kept, with the reason. The list shows, topic by
/// topic, every reason and the plant.toml lines that would map the topic. Add them, restart the server, then `takt
/// quarantine replay`; `takt quarantine discard TOPIC` lets go of what nobody wants. Both need an admin's token once
/// users exist.
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
    ///
    /// What is good now is stored. Ends with exit code 1 where some are refused again, and says how many and why.
    Replay {
        /// Only messages of this topic
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
    },
    /// Let go of the messages of a topic
    ///
    /// They wait no longer and make room in the quota. What they were, and who discarded them, stays in the table
    /// quarantine_history.
    Discard {
        /// Topic, as the list shows it
        #[arg(value_name = "TOPIC")]
        topic: String,
    },
}

const DEFAULT_LIMIT: u32 = 50;

/// What waits under one topic.
#[derive(Debug, Deserialize)]
struct Waiting {
    topic: Option<String>,
    messages: Option<u64>,
    newest: Option<String>,
    distinct_reasons: Option<u64>,
    reasons: Vec<Reason>,
    proposal: Option<String>,
}

/// Why messages of a topic were refused.
#[derive(Debug, Deserialize)]
struct Reason {
    error: Option<String>,
    messages: Option<u64>,
    newest: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listing {
    topics: Vec<Waiting>,
}

#[derive(Debug, Deserialize)]
struct Replayed {
    replayed: u64,
    still_refused: u64,
    reasons: Vec<StillRefused>,
}

/// Why messages are still refused.
#[derive(Debug, Deserialize)]
struct StillRefused {
    reason: String,
    messages: u64,
}

#[derive(Debug, Deserialize)]
struct Discarded {
    discarded: u64,
}

pub(super) fn run(args: QuarantineArgs) -> anyhow::Result<ExitCode> {
    let command = args.command.unwrap_or(QuarantineCommand::List { limit: DEFAULT_LIMIT });
    block_on(async move {
        let mut client = Client::new(&args.server)?;
        match command {
            QuarantineCommand::List { limit } => list(&mut client, limit).await,
            QuarantineCommand::Replay { topic } => replay(&mut client, topic.as_deref()).await,
            QuarantineCommand::Discard { topic } => discard(&mut client, &topic).await,
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
    for waiting in &listing.topics {
        show(waiting)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A topic, why its messages were refused, and the lines that would map it.
fn show(waiting: &Waiting) -> anyhow::Result<()> {
    let reasons = waiting.distinct_reasons.unwrap_or_default();
    let several = reasons > 1;
    let topic = waiting.topic.as_deref().unwrap_or("(no topic)");
    let (messages, newest) = (counted(waiting.messages), latest(waiting.newest.as_deref()));
    let count = if several { format!("{messages}, {reasons} reasons") } else { messages };
    terminal::say(format_args!("{topic}   {count}{newest}"))?;
    for reason in &waiting.reasons {
        // A single reason is the topic's: its count and time stand above.
        if several {
            terminal::say(format_args!("  {}{}", counted(reason.messages), latest(reason.newest.as_deref())))?;
        }
        let indent = if several { "    " } else { "  " };
        for line in reason.error.iter().flat_map(|error| error.lines()) {
            terminal::say(format_args!("{indent}{line}"))?;
        }
    }
    let more = reasons.saturating_sub(u64::try_from(waiting.reasons.len()).unwrap_or(u64::MAX));
    if more > 0 {
        terminal::say(format_args!("  and {more} more reasons; the table quarantine has all of them"))?;
    }
    // A reason that brings the lines along has said it.
    let said = |lines: &str| {
        waiting.reasons.iter().filter_map(|reason| reason.error.as_ref()).any(|error| error.contains(lines.trim_end()))
    };
    for line in waiting.proposal.iter().filter(|lines| !said(lines)).flat_map(|lines| lines.lines()) {
        terminal::say(format_args!("    {line}"))?;
    }
    Ok(())
}

fn counted(messages: Option<u64>) -> String {
    let count = messages.unwrap_or_default();
    format!("{count} {}", if count == 1 { "message" } else { "messages" })
}

fn latest(time: Option<&str>) -> String {
    time.map_or_else(String::new, |time| format!(", newest {time}"))
}

async fn replay(client: &mut Client, topic: Option<&str>) -> anyhow::Result<ExitCode> {
    let path = match topic {
        Some(topic) => format!("/api/v1/quarantine/replay?topic={}", query_value(topic)),
        None => "/api/v1/quarantine/replay".to_owned(),
    };
    let answer = client.json(call(Method::POST, &path)).await?;
    let outcome: Replayed = serde_json::from_value(answer).context("the server's answer is no replay")?;
    terminal::say(format_args!("{} replayed, {} refused again", outcome.replayed, outcome.still_refused))?;
    let mut named = 0;
    for StillRefused { reason, messages } in outcome.reasons {
        named += messages;
        let mut lines = reason.lines();
        terminal::complain(format_args!("  {messages} × {}", lines.next().unwrap_or_default()));
        for line in lines {
            terminal::complain(format_args!("  {line}"));
        }
    }
    if named < outcome.still_refused {
        terminal::complain(format_args!("  {} for other reasons", outcome.still_refused - named));
    }
    Ok(if outcome.still_refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn discard(client: &mut Client, topic: &str) -> anyhow::Result<ExitCode> {
    let path = format!("/api/v1/quarantine/discard?topic={}", query_value(topic));
    let answer = client.json(call(Method::POST, &path)).await?;
    let outcome: Discarded = serde_json::from_value(answer).context("the server's answer tells of no discard")?;
    terminal::say(format_args!("{} discarded", outcome.discarded))?;
    if outcome.discarded == 0 {
        terminal::complain("Nothing waits under that topic; `takt quarantine` lists the topics.");
    }
    Ok(ExitCode::SUCCESS)
}
