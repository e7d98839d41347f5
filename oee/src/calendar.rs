//! Shift calendars: local wall time in, UTC instances out.
//!
//! Daylight saving: an ambiguous local time is its first occurrence, a non-existent one the instant of the
//! transition; breaks that vanish so are dropped. The production day is the local date of the shift's start.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Unit};

/// A shift as the plant describes it, in local wall time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftPattern {
    /// Name.
    pub name: String,
    /// Weekdays it starts on.
    pub days: Vec<Weekday>,
    /// Start.
    pub start: Time,
    /// End; at or before the start it lies on the next day.
    pub end: Time,
    /// Breaks, start and end; before the shift's start they lie on the next day.
    pub breaks: Vec<(Time, Time)>,
}

/// One shift on one day, in UTC microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Name.
    pub name: String,
    /// Local date of its start.
    pub production_day: Date,
    /// Start.
    pub start: i64,
    /// End, exclusive.
    pub end: i64,
    /// Breaks: ascending, disjoint, within the shift.
    pub breaks: Vec<(i64, i64)>,
}

/// One production day: from its first shift's start to the next day's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductionDay {
    /// Local date.
    pub date: Date,
    /// Start.
    pub start: i64,
    /// End, exclusive.
    pub end: i64,
}

/// Shift patterns in a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    zone: TimeZone,
    patterns: Vec<ShiftPattern>,
}

impl Calendar {
    /// A calendar of these shifts in this zone.
    #[must_use]
    pub fn new(zone: TimeZone, patterns: Vec<ShiftPattern>) -> Self {
        Self { zone, patterns }
    }

    /// Round the clock: one shift named `day` from local midnight to local midnight, without breaks.
    /// It stands in where equipment has no calendar.
    #[must_use]
    pub fn continuous(zone: TimeZone) -> Self {
        use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
        let days = vec![Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
        let midnight = Time::midnight();
        let all_day = ShiftPattern { name: "day".to_owned(), days, start: midnight, end: midnight, breaks: Vec::new() };
        Self { zone, patterns: vec![all_day] }
    }

    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The shift patterns.
    #[must_use]
    pub fn patterns(&self) -> &[ShiftPattern] {
        &self.patterns
    }

    /// The shift instances that overlap `[from_us, to_us)`, whole, by start. They are as many as the window is long:
    /// clip it to now, never pass [`crate::OPEN`].
    #[must_use]
    pub fn instances(&self, from_us: i64, to_us: i64) -> Vec<Shift> {
        // A shift lasts up to a day and a zone shifts by up to a day: begin two days early.
        let mut shifts = self.starting_on(self.local_date(from_us, -2), self.local_date(to_us, 1));
        shifts.retain(|shift| shift.start < to_us && shift.end > from_us);
        shifts
    }

    /// The production days that overlap `[from_us, to_us)`, by date, without a gap.
    ///
    /// A day begins at its first shift's start. One without shifts begins at local midnight, or where the last shift
    /// of the day before ends if that is later, so that no shift is torn between two production days.
    #[must_use]
    pub fn days(&self, from_us: i64, to_us: i64) -> Vec<ProductionDay> {
        let (first, last) = (self.local_date(from_us, -2), self.local_date(to_us, 2));
        let shifts = self.starting_on(first, last);
        // By production day: when the first shift of it starts, and when the last one ends.
        let mut bounds: BTreeMap<Date, (i64, i64)> = BTreeMap::new();
        for shift in &shifts {
            let bounds = bounds.entry(shift.production_day).or_insert((shift.start, shift.end));
            *bounds = (bounds.0.min(shift.start), bounds.1.max(shift.end));
        }
        let (mut days, mut earlier) = (bounds.iter().peekable(), i64::MIN);
        let mut start_of = |date: Date| {
            while let Some((_, (_, end))) = days.next_if(|(day, _)| **day < date) {
                earlier = earlier.max(*end);
            }
            let own = bounds.get(&date).map(|(start, _)| *start);
            own.unwrap_or_else(|| instant(&self.zone, date, Time::midnight()).max(earlier))
        };
        let dates: Vec<Date> = dates(first, last).collect();
        let starts: Vec<i64> = dates.iter().map(|&date| start_of(date)).collect();
        let spans = dates.iter().zip(starts.iter().zip(starts.iter().skip(1)));
        let days = spans.map(|(&date, (&start, &end))| ProductionDay { date, start, end });
        days.filter(|day| day.start < to_us && day.end > from_us && day.start < day.end).collect()
    }

    fn starting_on(&self, first: Date, last: Date) -> Vec<Shift> {
        let mut shifts: Vec<Shift> = dates(first, last)
            .flat_map(|date| self.patterns.iter().map(move |pattern| (date, pattern)))
            .filter(|(date, pattern)| pattern.days.contains(&date.weekday()))
            .filter_map(|(date, pattern)| self.instance(date, pattern))
            .collect();
        shifts.sort_by_key(|shift| (shift.start, shift.end));
        shifts
    }

    fn instance(&self, date: Date, pattern: &ShiftPattern) -> Option<Shift> {
        let start = instant(&self.zone, date, pattern.start);
        let end = self.not_before(date, pattern.end, pattern.start, true);
        let mut breaks: Vec<(i64, i64)> = Vec::new();
        for &(break_start, break_end) in &pattern.breaks {
            let begins_on = if break_start < pattern.start { next_day(date) } else { date };
            let from = instant(&self.zone, begins_on, break_start).max(start);
            let to = self.not_before(begins_on, break_end, break_start, false).min(end);
            if from < to {
                breaks.push((from, to));
            }
        }
        (start < end).then(|| Shift {
            name: pattern.name.clone(),
            production_day: date,
            start,
            end,
            breaks: union(breaks),
        })
    }

    /// The instant of `time` on `date`, on the next day where it comes before `reference` (or equals it, if `strict`).
    fn not_before(&self, date: Date, time: Time, reference: Time, strict: bool) -> i64 {
        let next = time < reference || (strict && time == reference);
        instant(&self.zone, if next { next_day(date) } else { date }, time)
    }

    fn local_date(&self, t: i64, days: i64) -> Date {
        let date = timestamp(t).to_zoned(self.zone.clone()).date();
        date.saturating_add(days.days())
    }
}

/// An instant from microseconds, clamped to the years that a calendar knows.
#[must_use]
pub fn timestamp(us: i64) -> Timestamp {
    let clamped = us.clamp(Timestamp::MIN.as_microsecond() + 1, Timestamp::MAX.as_microsecond());
    Timestamp::from_microsecond(clamped).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The same, but the later one of a wall time that comes twice.
#[must_use]
pub fn last_instant(zone: &TimeZone, date: Date, time: Time) -> i64 {
    let local = date.to_datetime(time);
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Fold { after, .. } => {
            after.to_timestamp(local).map_or_else(|_| instant(zone, date, time), |moment| moment.as_microsecond())
        }
        _ => instant(zone, date, time),
    }
}

/// The UTC instant of a local wall time, by the rules of this module.
#[must_use]
pub fn instant(zone: &TimeZone, date: Date, time: Time) -> i64 {
    let local = date.to_datetime(time);
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let before = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
    };
    let Ok(moment) = before.to_timestamp(local) else {
        let year = date.year();
        return if year < 0 { Timestamp::MIN } else { Timestamp::MAX }.as_microsecond();
    };
    if !matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
        return moment.as_microsecond();
    }
    // With the offset from before the gap the time lands at or after the transition that opened it.
    let after = moment.checked_add(1.nanoseconds()).unwrap_or(moment);
    let transition = zone.preceding(after).next().map(|transition| transition.timestamp());
    transition.unwrap_or(moment).as_microsecond()
}

fn next_day(date: Date) -> Date {
    date.tomorrow().unwrap_or(date)
}

fn dates(first: Date, last: Date) -> impl Iterator<Item = Date> {
    let count = first.until((Unit::Day, last)).map_or(0, |span| span.get_days());
    (0..=i64::from(count)).map(move |days| first.saturating_add(days.days()))
}

/// The same time as intervals in order and apart. Those that only touch stay two.
pub(crate) fn union(mut intervals: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    intervals.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::with_capacity(intervals.len());
    for (start, end) in intervals {
        match joined.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
