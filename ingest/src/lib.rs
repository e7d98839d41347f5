//! The only way into takt: sources, decoding, admission, keying, acknowledgement.
//!
//! What the crate promises:
//!
//! 1. Nothing is acknowledged before [`storage::Store::append`] has said that it is on disk and visible: the MQTT
//!    listener's PUBACK and PUBREC, the acknowledgement to an external broker, and the answer to an HTTP request.
//! 2. A message is either stored as rows, or kept in `quarantine` with a reason that a person understands, or both
//!    (the good values of a message are never dropped because of a bad one). The row in `quarantine` is as durable as
//!    any other before the message is acknowledged.
//! 3. Memory is bounded from socket to disk: a slow disk stops the reading of sockets.
//! 4. Keys that a payload names are never overwritten; all others come from one place, [`Keyer`].
//!
//! Times are UTC microseconds everywhere in here.

mod admit;
mod batch;
mod column;
mod decode;
#[cfg(test)]
mod fixture;
mod intake;
mod keying;
mod latency;
pub mod listener;
mod login;
mod quarantine;
mod record;
mod route;
mod sample;
mod schema;
pub mod subscriber;
mod thinning;

pub use admit::{Limits, Retention};
pub use batch::Batch;
pub use decode::line::{Precision, UnknownPrecision};
pub use intake::{
    Committed, Counters, Discard, Feed, ImportReceipt, Intake, LineReceipt, Outcome, RecordReceipt, Replay,
    ReplayReceipt, Source, Submitted, now_us,
};
pub use keying::Keyer;
pub use latency::{Latency, Stage};
pub use login::{Authenticate, Login, Role, ScramSecret, UnknownRole};
pub use quarantine::KEPT_BYTES;
pub use record::RowRefusal;
pub use schema::{table_index, table_specs};
