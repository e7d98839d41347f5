//! What takt's rows mean: the plant, keying, the calendar, states, counters and OEE.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no randomness, and no knowledge of
//! Arrow, SQL or an async runtime. "Now" is always an argument.
//!
//! # Invariants
//!
//! 1. **Time is `i64` microseconds UTC**; intervals are half-open `[start, end)`; an open end is [`OPEN`].
//!    Names end in `_us` where the unit is not obvious.
//! 2. **One rule, one place.** Keys: [`execution`]. Shifts and daylight saving: [`calendar`]. Widths of time, and where buckets begin: [`bucket`]. Which state holds:
//!    [`state`], and whether a value tells it: [`condition`]. Why a machine
//!    stood: [`symptom`], [`reason`]. Counter resets and rollovers: [`counter`]. Energy and cost: [`energy`]. Time elements and counts: [`machine`]. Ratios: [`kpi`].
//!    Roll-up over a line or an area: [`line`]. What holds between samples, and aggregates over time: [`series`]. Which
//!    samples can be left out: [`thinning`]. What went into what: [`genealogy`]. Charts, rules, capability: [`spc`]. SQL, pages, reports and live values
//!    call these and compute nothing themselves.
//! 3. **Time elements partition the window**: calendar = not scheduled + scheduled; scheduled = breaks + planned
//!    downtime + planned production; planned production = run + micro-stops + changeover + unplanned + no order +
//!    unknown. Exactly, in microseconds.
//! 4. **Seconds, counts, ideal time, energy and cost add up** over any split of a window and over machines. Stop counts do not:
//!    a stop across a cut counts on both sides.
//! 5. **Never a wrong number.** What cannot be computed is `None` together with a reason: a ratio with a zero
//!    denominator, a performance without an ideal cycle time, pieces without an order. Performance above 1 is shown.
//! 6. **Unknown is not a stop.** Time without a state is its own loss; it lowers availability and nothing else.
//! 7. **Micro-stops are judged on the whole stop**, unclipped by window, shift or break; an open stop is measured to
//!    now. So a report for a part of a stop agrees with the report for all of it.
//! 8. **A plant is whole or it is not there**: [`plant::Plant::parse`] reports every mistake with its place and a
//!    remedy, and gives a plant only where there is none.
//!
//! Terms follow ISO 22400 (time elements, KPIs), ISA-95 (equipment, orders) and OPC UA (quality).

#![cfg_attr(test, expect(clippy::expect_used, reason = "a test fails by panicking"))]

pub mod bucket;
pub mod calendar;
pub mod condition;
pub mod count;
pub mod counter;
mod debounce;
pub mod energy;
pub mod execution;
pub mod genealogy;
#[cfg(test)]
mod golden;
pub mod kpi;
pub mod line;
pub mod live;
pub mod loss;
pub mod machine;
#[cfg(test)]
mod markdown;
pub mod path;
pub mod plant;
pub mod reason;
#[cfg(test)]
mod seeded;
pub mod series;
pub mod spc;
mod spelling;
pub mod state;
pub mod symptom;
pub mod tables;
pub mod thinning;
pub mod time_element;
pub mod track;
pub mod verdict;
#[cfg(test)]
mod worked;

/// The end of an interval that has none yet.
pub const OPEN: i64 = i64::MAX;

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;

/// Seconds of a duration in microseconds.
#[must_use]
pub fn seconds(us: i64) -> f64 {
    us as f64 / SECOND_US as f64
}
