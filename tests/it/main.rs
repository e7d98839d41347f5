//! All integration tests of takt in one binary: real server processes, real clients, real kills.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")]
#![expect(unreachable_pub, reason = "`pub` says what other modules of this binary use")]

mod access;
mod aging;
mod as_of;
mod backup;
mod broker;
mod browser;
mod cli;
mod clients;
mod context;
mod demo;
mod docs;
mod equipment;
mod fixture;
mod full_disk;
mod gage;
mod genealogy;
mod golden;
mod harness;
mod history;
mod ingest;
mod kill;
mod layout;
mod line_protocol;
mod live;
mod long_window;
mod mosquitto;
mod mqtt;
mod oee_page;
mod page;
mod pieces;
mod quarantine;
mod query;
mod readers;
mod readme;
mod report;
mod series;
mod simulated;
mod spc;
mod spc_live;
mod spc_page;
mod stops;
mod stops_page;
mod thinning;
mod verify;
