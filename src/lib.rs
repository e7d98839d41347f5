//! takt: an open time-series data historian and OEE engine for manufacturing.
//!
//! This package holds the command line, the configuration, the users file and the wiring of the crates
//! (`storage`, `oee`, `ingest`, `query`, `api`), plus the demo plant. No rule of the domain lives here.

pub mod cli;
pub mod config;
pub mod demo;
pub mod server;
pub mod tls;
pub mod users;
