//! When the crew has its breaks. All stations stand still in them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::SECOND_US;
use super::stop::Interruption;

/// Central European time with its daylight saving rule: what `Europe/Berlin` means, without needing a time
/// zone database.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// Start and end of each break as local (hour, minute), the same every day. `plant.toml` has the same ones.
pub(super) const BREAKS: [((i8, i8), (i8, i8)); 6] = [
    ((1, 0), (1, 15)),
    ((3, 30), (4, 0)),
    ((9, 0), (9, 15)),
    ((11, 30), (12, 0)),
    ((17, 0), (17, 15)),
    ((19, 30), (20, 0)),
];

/// A stop that somebody who looks on has patience for.
const SHORT_STOP_US: i64 = 45 * SECOND_US;

/// Where the simulation stands between breaks.
#[derive(Debug)]
pub(super) struct Breaks {
    zone: TimeZone,
    /// The break that runs or comes next.
    next: Option<(i64, i64)>,
    /// Breaks that touch this stretch of time are worked through.
    relief_us: Option<(i64, i64)>,
}

impl Breaks {
    /// Breaks as seen at `now_us`.
    pub(super) fn new(now_us: i64) -> Self {
        // The rule above is well-formed (a test holds that), so UTC never stands in for it.
        let zone = TimeZone::posix(ZONE).unwrap_or(TimeZone::UTC);
        let next = first_break_ending_after(&zone, now_us);
        Self { zone, next, relief_us: None }
    }

    /// While the relief crew is there, long stops end soon: somebody is looking.
    pub(super) fn shortened(&self, stop: Interruption, now_us: i64) -> Interruption {
        let start_us = now_us + stop.after_us;
        match self.relief_us {
            Some((from, to)) if start_us < to && start_us + stop.duration_us > from => {
                let longest_us = SHORT_STOP_US.max(from + SHORT_STOP_US - start_us);
                Interruption { duration_us: stop.duration_us.min(longest_us), ..stop }
            }
            _ => stop,
        }
    }

    /// A relief crew works through the breaks that touch `[from_us, to_us)`.
    pub(super) fn relieve(&mut self, from_us: i64, to_us: i64) {
        self.relief_us = Some((from_us, to_us));
    }

    /// Moves on to the break that matters at `now_us`.
    pub(super) fn roll(&mut self, now_us: i64) {
        if self.next.is_some_and(|(_, end)| end <= now_us) {
            self.next = first_break_ending_after(&self.zone, now_us);
        }
    }

    /// Whether the crew is away at `now_us`.
    pub(super) fn running(&self, now_us: i64) -> bool {
        self.next.is_some_and(|(start, end)| {
            let relieved = self.relief_us.is_some_and(|(from, to)| start < to && from < end);
            start <= now_us && now_us < end && !relieved
        })
    }

    /// The next start or end of a break after `now_us`.
    pub(super) fn next_change(&self, now_us: i64) -> Option<i64> {
        self.next.map(|(start, end)| if now_us < start { start } else { end })
    }
}

fn first_break_ending_after(zone: &TimeZone, time_us: i64) -> Option<(i64, i64)> {
    let today = Timestamp::from_microsecond(time_us).ok()?.to_zoned(zone.clone()).date();
    let tomorrow = today.tomorrow().ok()?;
    [today, tomorrow]
        .into_iter()
        .flat_map(|date| BREAKS.map(|(start, end)| Some((instant(zone, date, start)?, instant(zone, date, end)?))))
        .flatten()
        .find(|(_, end)| *end > time_us)
}

fn instant(zone: &TimeZone, date: Date, (hour, minute): (i8, i8)) -> Option<i64> {
    let local = date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?;
    Some(local.timestamp().as_microsecond())
}
