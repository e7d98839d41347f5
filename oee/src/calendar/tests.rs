use jiff::Timestamp;
use jiff::civil::{Time, Weekday, date, time};
use jiff::tz::TimeZone;

use super::{Calendar, ShiftPattern, instant};
use crate::SECOND_US;
use crate::seeded::Seeded;

const HOUR_US: i64 = 3600 * SECOND_US;

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("zone")
}

fn utc(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("RFC 3339").as_microsecond()
}

fn week() -> Vec<Weekday> {
    Weekday::Monday.cycle_forward().take(7).collect()
}

fn pattern(name: &str, days: Vec<Weekday>, start: Time, end: Time) -> ShiftPattern {
    ShiftPattern { name: name.to_owned(), days, start, end, breaks: Vec::new() }
}

fn three_shift(days: Vec<Weekday>) -> Calendar {
    let hours = [("early", 6, 14), ("late", 14, 22), ("night", 22, 6)];
    let shift = |(name, start, end)| pattern(name, days.clone(), time(start, 0, 0, 0), time(end, 0, 0, 0));
    Calendar::new(berlin(), hours.map(shift).to_vec())
}

#[test]
fn local_times_of_the_clock_changes() {
    let zone = berlin();
    let at = |day, hour, minute| instant(&zone, day, time(hour, minute, 0, 0));
    // In the gap: the transition; at its edges: themselves.
    let spring = date(2025, 3, 30);
    assert_eq!(at(spring, 2, 30), utc("2025-03-30T01:00:00Z"));
    assert_eq!(at(spring, 2, 0), utc("2025-03-30T01:00:00Z"));
    assert_eq!(at(spring, 3, 0), utc("2025-03-30T01:00:00Z"));
    assert_eq!(at(spring, 1, 59), utc("2025-03-30T00:59:00Z"));
    // Twice there: the first.
    assert_eq!(at(date(2025, 10, 26), 2, 30), utc("2025-10-26T00:30:00Z"));
    assert_eq!(at(date(2025, 10, 26), 3, 0), utc("2025-10-26T02:00:00Z"));
}

#[test]
fn shifts_partition_a_round_the_clock_calendar() {
    let calendar = three_shift(week());
    for (from, to) in
        [("2025-03-28T00:00:00Z", "2025-04-02T00:00:00Z"), ("2025-10-24T00:00:00Z", "2025-10-29T00:00:00Z")]
    {
        let shifts = calendar.instances(utc(from), utc(to));
        assert!(shifts.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(shifts[0].start <= utc(from) && shifts[shifts.len() - 1].end >= utc(to));
    }
}

#[test]
fn a_night_shift_belongs_to_the_day_it_starts_on() {
    let shifts = three_shift(week()).instances(utc("2025-01-14T23:00:00Z"), utc("2025-01-14T23:01:00Z"));
    assert_eq!(shifts.len(), 1);
    assert_eq!((shifts[0].name.as_str(), shifts[0].production_day), ("night", date(2025, 1, 14)));
    assert_eq!(shifts[0].end, utc("2025-01-15T05:00:00Z"));
}

#[test]
fn breaks_are_clipped_sorted_and_joined() {
    let mut night = pattern("night", week(), time(22, 0, 0, 0), time(6, 0, 0, 0));
    let at = |hour, minute| time(hour, minute, 0, 0);
    night.breaks = vec![(at(2, 0), at(2, 30)), (at(23, 30), at(0, 15)), (at(2, 15), at(3, 0))];
    let shifts =
        Calendar::new(TimeZone::UTC, vec![night]).instances(utc("2025-01-14T22:00:00Z"), utc("2025-01-14T23:00:00Z"));
    let expected = [
        (utc("2025-01-14T23:30:00Z"), utc("2025-01-15T00:15:00Z")),
        (utc("2025-01-15T02:00:00Z"), utc("2025-01-15T03:00:00Z")),
    ];
    assert_eq!(shifts[0].breaks, expected);
}

#[test]
fn production_days_run_from_first_shift_to_first_shift() {
    let weekdays = Weekday::Monday.cycle_forward().take(5).collect();
    let calendar = three_shift(weekdays);
    // 2025-01-17 is a Friday.
    let days = calendar.days(utc("2025-01-17T12:00:00Z"), utc("2025-01-20T12:00:00Z"));
    let found: Vec<_> = days.iter().map(|day| (day.date, day.start, day.end)).collect();
    let expected = [
        // Friday keeps its night shift whole.
        (date(2025, 1, 17), utc("2025-01-17T05:00:00Z"), utc("2025-01-18T05:00:00Z")),
        (date(2025, 1, 18), utc("2025-01-18T05:00:00Z"), utc("2025-01-18T23:00:00Z")),
        (date(2025, 1, 19), utc("2025-01-18T23:00:00Z"), utc("2025-01-20T05:00:00Z")),
        (date(2025, 1, 20), utc("2025-01-20T05:00:00Z"), utc("2025-01-21T05:00:00Z")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn days_cover_every_window_without_a_gap() {
    let calendar = three_shift(vec![Weekday::Tuesday, Weekday::Saturday]);
    let mut random = Seeded::new(1);
    for _ in 0..200 {
        let from = utc("2025-03-01T00:00:00Z") + random.within(0, 60 * 24) * HOUR_US;
        let to = from + random.within(1, 200) * HOUR_US;
        let days = calendar.days(from, to);
        assert!(days.windows(2).all(|pair| pair[0].end == pair[1].start), "{days:?}");
        assert!(days[0].start <= from && days[days.len() - 1].end >= to, "{days:?}");
    }
}

#[test]
fn without_a_calendar_every_local_day_is_one_shift() {
    let shifts = Calendar::continuous(berlin()).instances(utc("2025-03-29T12:00:00Z"), utc("2025-03-31T12:00:00Z"));
    let hours: Vec<i64> = shifts.iter().map(|shift| (shift.end - shift.start) / HOUR_US).collect();
    assert_eq!(hours, [24, 23, 24]);
    assert_eq!(shifts[1].start, utc("2025-03-29T23:00:00Z"));
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let calendar = three_shift(week());
    assert!(calendar.instances(i64::MIN, i64::MIN + 1).len() <= 1);
    assert!(calendar.instances(i64::MAX - 1, i64::MAX).len() <= 1);
}
