//! All integration tests of takt in one binary: real server processes, real clients, real kills.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")]

mod docs;
mod harness;
mod kill;
mod layout;
mod mqtt;
