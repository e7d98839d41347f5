//! Times as a report writes them: wall time of the machine's zone, and what that zone is.

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// Wall time of a zone.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    zone: TimeZone,
    name: String,
}

impl Clock {
    /// The clock of a zone by its IANA name; none where nobody knows it.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        Some(Self { zone, name: name.to_owned() })
    }

    pub(crate) fn utc() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn zoned(&self, time_us: i64) -> Option<Zoned> {
        Some(Timestamp::from_microsecond(time_us).ok()?.to_zoned(self.zone.clone()))
    }

    /// Date and time of day, to the second.
    pub(crate) fn wall(&self, time_us: i64) -> String {
        self.written(time_us, "%Y-%m-%d %H:%M:%S")
    }

    /// Date and time of day, to the minute.
    pub(crate) fn minute(&self, time_us: i64) -> String {
        self.written(time_us, "%Y-%m-%d %H:%M")
    }

    /// The same with the offset from UTC.
    pub(crate) fn minute_and_offset(&self, time_us: i64) -> String {
        self.written(time_us, "%Y-%m-%d %H:%M %:z")
    }

    /// Month, day and time of day.
    pub(crate) fn short(&self, time_us: i64) -> String {
        self.written(time_us, "%m-%d %H:%M")
    }

    pub(crate) fn written(&self, time_us: i64, form: &str) -> String {
        self.zoned(time_us).map_or_else(String::new, |zoned| zoned.strftime(form).to_string())
    }

    /// Seconds since 1970 that the wall shows: what a workbook calls a date.
    pub(crate) fn wall_seconds(&self, time_us: i64) -> Option<f64> {
        let zoned = self.zoned(time_us)?;
        Some(time_us as f64 / 1e6 + f64::from(zoned.offset().seconds()))
    }

    /// The zone and its offset between two instants. Where it changes once, when.
    pub(crate) fn offset_words(&self, from_us: i64, to_us: i64) -> String {
        let name = &self.name;
        let (Some(from), Some(to)) = (self.zoned(from_us), self.zoned(to_us)) else { return name.clone() };
        if from.offset() == to.offset() {
            return format!("{name} (UTC{})", offset(from.offset()));
        }
        let change = self.zone.following(from.timestamp()).next().map(|change| change.timestamp().as_microsecond());
        let when = change.map_or_else(String::new, |time| format!(" until {}", self.minute(time)));
        format!("{name} (UTC{}{when}, then UTC{})", offset(from.offset()), offset(to.offset()))
    }
}

fn offset(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '−' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    /// 2026-10-25 01:00 UTC: clocks of Berlin go back.
    const BACK: i64 = 1_792_890_000_000_000;

    #[test]
    fn times_are_wall_time_and_name_their_offset() {
        let berlin = Clock::of("Europe/Berlin").unwrap();
        assert_eq!(berlin.wall(BACK - HOUR), "2026-10-25 02:00:00");
        assert_eq!(berlin.minute_and_offset(BACK), "2026-10-25 02:00 +01:00");
        assert_eq!(berlin.offset_words(BACK - 2 * HOUR, BACK - HOUR), "Europe/Berlin (UTC+02:00)");
        assert_eq!(
            berlin.offset_words(BACK - HOUR, BACK + HOUR),
            "Europe/Berlin (UTC+02:00 until 2026-10-25 02:00, then UTC+01:00)"
        );
        assert_eq!(berlin.wall_seconds(BACK), Some(1_792_893_600.0));
        assert_eq!(Clock::utc().offset_words(0, BACK), "UTC (UTC+00:00)");
    }

    #[test]
    fn unknown_zones_are_none_and_impossible_times_empty() {
        assert!(Clock::of("Mars/Olympus").is_none());
        assert_eq!(Clock::utc().wall(i64::MAX), "");
    }
}
