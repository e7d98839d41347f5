//! The only face of takt: HTTP, PostgreSQL wire, the web page, and the logins in front of them.
//!
//! What the crate promises:
//!
//! 1. **Nothing is computed here.** Figures come from SQL; this crate says who may ask, runs the question away from
//!    network I/O, and writes the answer in the form that was asked for.
//! 2. **Every SQL session is its own and reads only**, and ends with the connection that asked: a client that goes
//!    away stops its query.
//! 3. **A write is answered after it is durable and visible**, never before.
//! 4. **Bodies, results and waiting clients are bounded**: memory does not grow with what a client sends or fails to
//!    read.
//! 5. **Without users only this machine is served**; with users, every request but `/health`, `/ready` and the page's
//!    own files shows a login.

mod columns;
mod faces;
pub mod http;
pub mod live;
pub mod postgres;
mod report;

pub use faces::{Administer, Backup, BackupError, Faces, Readiness};
