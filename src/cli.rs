//! The command line.

mod backup;
mod check;
mod client;
mod compact;
mod completions;
mod demo;
mod folder;
mod import;
mod quarantine;
mod rendering;
mod report;
mod restore;
mod serve;
mod sql;
mod terminal;
mod user;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::tls;

/// What is logged where TAKT_LOG says nothing.
const LOG_FILTER: &str = "warn,takt=info,storage=info,ingest=info,query=info,api=info";

/// What `takt --help` teaches; a test holds it to the commands that exist.
const HELP: &str = "\
{about}

{usage-heading} {usage}

Start here
  demo         A whole plant on this machine: simulated line, historian, SQL, page
  serve        The server: MQTT in, SQL and a live page out
  check        Find every mistake in a plant.toml, before the server does

Ask and feed
  sql          Run one SQL query: table, CSV or JSON
  report       A report of a control chart: HTML, PDF or XLSX
  import       Bring CSV, Parquet or line protocol files in
  quarantine   Messages that were refused: why, how to map them, replay, discard

Keep
  user         Users, roles and tokens
  backup       Copy a running server's data
  restore      Lay out a new data folder from a backup
  compact      Merge a running server's files
  verify       Check every file of a data folder
  completions  Completions for bash, zsh or fish

Options
{options}

The first five minutes
  takt demo                                      # then open http://127.0.0.1:8080
  takt sql \"SELECT time, equipment, shift, oee FROM oee('shift') WHERE time > now() - interval '1 day'\"
  psql -h 127.0.0.1 -p 5433 -U takt takt         # the same tables, any PostgreSQL client

Your own plant
  takt check plant.toml                          # equipment, topics, signals, shifts, products
  takt serve --plant plant.toml                  # equipment publishes to mqtt://127.0.0.1:1883
  takt quarantine                                # what did not fit, with the line that would map it
  takt user add anna --role admin                # needed before takt listens off this machine

`takt COMMAND --help` says more. Settings: takt.toml, every key explained there.
";

/// An open time-series data historian and OEE engine for manufacturing.
#[derive(Debug, Parser)]
#[command(name = "takt", version, about, help_template = HELP, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Sql(sql::SqlArgs),
    Report(report::ReportArgs),
    Import(import::ImportArgs),
    Quarantine(quarantine::QuarantineArgs),
    User(user::UserArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Compact(compact::CompactArgs),
    Verify(verify::VerifyArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    tls::install_provider();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            terminal::complain(format_args!("takt: {}", terminal::told(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(&args),
        Command::Sql(args) => sql::run(args),
        Command::Report(args) => report::run(args),
        Command::Import(args) => import::run(args),
        Command::Quarantine(args) => quarantine::run(args),
        Command::User(args) => user::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => restore::run(&args),
        Command::Compact(args) => compact::run(args),
        Command::Verify(args) => verify::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

fn log_to_stderr() {
    let wanted = std::env::var("TAKT_LOG").unwrap_or_else(|_| LOG_FILTER.to_owned());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
        terminal::complain(format_args!(
            "takt: TAKT_LOG is `{wanted}`, which is no filter ({error}); using {LOG_FILTER}"
        ));
        EnvFilter::new(LOG_FILTER)
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

#[cfg(test)]
mod tests;
