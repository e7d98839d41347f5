//! Random histories with a seed, asked about as of earlier times.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod figures;
mod model;
