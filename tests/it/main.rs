//! All integration tests of takt in one binary: real server processes, real clients, real kills.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")]

mod browser;
mod clients;
mod context;
mod docs;
mod golden;
mod harness;
mod history;
mod kill;
mod layout;
mod mqtt;
mod query;
mod readers;
