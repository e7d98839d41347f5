#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use oee::bucket::Width;

const HOUR: i64 = 3_600_000_000;

fn plant() -> Plant {
    let text = r#"
[plant]
name = "test"
zone = "Europe/Berlin"

[[equipment]]
path = "site"
calendar = "early"
[[equipment]]
path = "site/a"

[[calendars.early.shifts]]
name = "early"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "06:00"
end = "14:00"
"#;
    Plant::parse(text).unwrap()
}

fn us(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

#[test]
fn shifts_and_the_time_between_them_fill_the_window() {
    let (from, to) = (us("2025-01-14T00:00:00Z"), us("2025-01-15T06:00:00Z"));
    let found: Vec<Bucket> = buckets(&plant(), "site/a", Cut::Shift, from, to).map(Result::unwrap).collect();
    let shifts: Vec<(Option<&str>, i64)> =
        found.iter().map(|b| (b.shift.as_deref(), (b.end - b.start) / HOUR)).collect();
    assert_eq!(shifts, [(None, 5), (Some("early"), 8), (None, 16), (Some("early"), 1)]);
    assert_eq!(
        found.iter().filter_map(|b| b.production_day.as_deref()).collect::<Vec<_>>(),
        ["2025-01-14", "2025-01-15"]
    );
}

#[test]
fn buckets_follow_the_local_clock_and_are_clipped() {
    let (from, to) = (us("2025-01-14T05:20:00Z"), us("2025-01-14T06:40:00Z"));
    let hour = Cut::Width(Width::parse("1 hour").unwrap());
    let found: Vec<Bucket> = buckets(&plant(), "site/a", hour, from, to).map(Result::unwrap).collect();
    let starts: Vec<i64> = found.iter().map(|bucket| bucket.start).collect();
    assert_eq!(starts, [from, us("2025-01-14T06:00:00Z")]);
    assert_eq!(found.last().map(|bucket| bucket.end), Some(to));
}
