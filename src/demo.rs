//! The demo plant: a simulated line that speaks MQTT like any equipment.
//!
//! A coolant pump in two variants, every one with a serial number, goes through the six stations of
//! `cologne/line-1`: press, weld, screwdriving, leak test, end-of-line test, packing. [`Simulation`] is a
//! seeded discrete-event model of that line: the same seed and start give the same messages, whatever the
//! steps in which it is advanced. It reads no clock and knows nothing of takt. [`Publisher`] brings its
//! messages to a listener over the socket, history first, then as they happen. [`PLANT`] is the `plant.toml`
//! that maps them.
//!
//! Promises of the messages:
//! - times are whole milliseconds; no signal has two values in one millisecond;
//! - everything but the hall's bare scalars carries its source time, so that sending it twice stores it once;
//! - identities (serial numbers, orders, lots) grow with the time at which a simulation starts: a later
//!   simulation never uses those of an earlier one again.

mod breaks;
mod curve;
mod dice;
mod line;
mod message;
mod order;
mod outcome;
mod publisher;
mod simulation;
mod station;
mod stock;
mod stop;
mod utilities;

pub use message::Message;
pub use publisher::{DemoTotals, Progress, Publisher};
pub use simulation::Simulation;

/// The plant as code: the `plant.toml` of the demo, and the example that users start from.
pub const PLANT: &str = include_str!("demo/plant.toml");

/// Microseconds in a second.
const SECOND_US: i64 = 1_000_000;

/// Microseconds in a millisecond, the grid on which everything in the plant happens.
const MILLISECOND_US: i64 = 1_000;

/// Seconds as microseconds on the grid of milliseconds.
fn seconds_us(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64 * MILLISECOND_US
}

#[cfg(test)]
mod tests;
