//! All integration tests of takt in one binary: real server processes, real clients, real kills.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")]

mod access;
mod backup;
mod browser;
mod cli;
mod clients;
mod context;
mod demo;
mod docs;
mod equipment;
mod golden;
mod harness;
mod history;
mod ingest;
mod kill;
mod layout;
mod line_protocol;
mod mqtt;
mod page;
mod quarantine;
mod query;
mod readers;
