//! What may come in: sizes, depths and times.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use oee::tables::{SAMPLES, TABLES};

use crate::decode::time::show;
use crate::intake::now_us;
use crate::quarantine::Refusal;

const DAY_US: i64 = 86_400_000_000;

/// Limits of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A source time may lie this far ahead of the server's clock.
    pub max_ahead_s: u32,
    /// A source time may not lie before this year.
    pub earliest_year: i16,
    /// Longest payload of a message, bytes; a longer one goes to `quarantine`.
    pub max_payload_bytes: usize,
    /// Deepest nesting of a JSON payload.
    pub max_depth: usize,
    /// Most values in one message.
    pub max_values: usize,
    /// Size quota of `quarantine`: bytes that the messages take which wait there.
    pub quarantine_bytes: u64,
    /// Bytes of batches on their way to the disk, all sources together.
    pub budget_bytes: usize,
    /// How long rows are kept: older ones are not let in, for the store would remove them.
    pub retention: Retention,
}

/// How long rows of each table are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Table by table, microseconds; `None`: for ever.
    ages_us: [Option<i64>; TABLES.len()],
}

impl Retention {
    fn age_us(&self, table: &str) -> Option<i64> {
        self.ages_us.iter().zip(TABLES).find(|(_, known)| known.name == table).and_then(|(age, _)| *age)
    }

    /// As `age_of` a table's name says.
    pub fn new(age_of: impl Fn(&str) -> Option<Duration>) -> Self {
        let micros = |age: Duration| i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let mut ages_us = [None; TABLES.len()];
        for (age_us, table) in ages_us.iter_mut().zip(TABLES) {
            *age_us = age_of(table.name).map(micros);
        }
        Self { ages_us }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_ahead_s: 600,
            earliest_year: 2000,
            max_payload_bytes: 4 << 20,
            max_depth: 16,
            max_values: 10_000,
            quarantine_bytes: 256 << 20,
            budget_bytes: 64 << 20,
            retention: Retention::default(),
        }
    }
}

/// Which source times are plausible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    ahead_us: i64,
    earliest_us: i64,
    earliest_year: i16,
    retention: Retention,
    /// Looked up once: it is asked for every sample.
    samples_age_us: Option<i64>,
}

impl Window {
    pub(crate) fn new(limits: &Limits) -> Self {
        let year = limits.earliest_year.clamp(1, 9999);
        let start =
            jiff::civil::Date::new(year, 1, 1).ok().and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
        Self {
            ahead_us: i64::from(limits.max_ahead_s) * 1_000_000,
            earliest_us: start.map_or(i64::MIN, |start| start.timestamp().as_microsecond()),
            earliest_year: year,
            retention: limits.retention,
            samples_age_us: limits.retention.age_us(SAMPLES.name),
        }
    }

    /// The time of a sample: what its source gave, or the next of its arrival.
    pub(crate) fn sample_time(&self, given: Option<i64>, arrival: &Arrival<'_>) -> Result<i64, Refusal> {
        let time = match given {
            None => arrival.tick(),
            Some(time) => {
                self.check(time, arrival.us)?;
                time
            }
        };
        // What is replayed arrived long ago.
        check_age(SAMPLES.name, self.samples_age_us, time, now_us)?;
        Ok(time)
    }

    /// Whether rows of a table with this time are kept at all: what the store would remove is not let in.
    pub(crate) fn check_kept(&self, table: &str, time: i64, now: impl FnOnce() -> i64) -> Result<(), Refusal> {
        check_age(table, self.retention.age_us(table), time, now)
    }

    /// Whether a source time may be admitted at `now`.
    pub(crate) fn check(&self, time: i64, now: i64) -> Result<(), Refusal> {
        if time > now.saturating_add(self.ahead_us) {
            let seconds = self.ahead_us / 1_000_000;
            let reason = format!(
                "the source time {} is more than {seconds} s ahead of the server's {}; check the source's clock and its unit of time",
                show(time),
                show(now)
            );
            return Err(Refusal::new("time", reason));
        }
        if time < self.earliest_us {
            let reason = format!(
                "the source time {} lies before {}; check the source's clock and its unit of time \
                 (a value called `time` or `ts` needs another name)",
                show(time),
                self.earliest_year
            );
            return Err(Refusal::new("time", reason));
        }
        Ok(())
    }
}

fn check_age(table: &str, age_us: Option<i64>, time: i64, now: impl FnOnce() -> i64) -> Result<(), Refusal> {
    let Some(age) = age_us.filter(|age| time < now().saturating_sub(*age)) else { return Ok(()) };
    Err(Refusal::new(
        "retention",
        format!(
            "the time {} is longer ago than rows of `{table}` are kept, {} days; `retention.{table}` in takt.toml \
             says so",
            show(time),
            age / DAY_US
        ),
    ))
}

/// Times for readings that bring none: the arrival time, strictly increasing over all readings, so that two readings of
/// one signal never fall into one microsecond.
#[derive(Debug, Default)]
pub(crate) struct ArrivalClock {
    last: AtomicI64,
}

impl ArrivalClock {
    pub(crate) fn tick(&self, arrival_us: i64) -> i64 {
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = arrival_us.max(last.saturating_add(1));
            match self.last.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(newer) => last = newer,
            }
        }
    }
}

/// When something arrived, and the clock that gives readings without a source time theirs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'c> {
    /// Microseconds UTC.
    pub(crate) us: i64,
    clock: &'c ArrivalClock,
}

impl<'c> Arrival<'c> {
    pub(crate) fn new(us: i64, clock: &'c ArrivalClock) -> Self {
        Self { us, clock }
    }

    /// A time for a reading, or for readings that belong together, without a source time.
    pub(crate) fn tick(&self) -> i64 {
        self.clock.tick(self.us)
    }
}

#[cfg(test)]
mod tests;
