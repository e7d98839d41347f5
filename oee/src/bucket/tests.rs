#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::seeded::Seeded;

fn us(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

fn bounds(width: &str, zone_name: &str, at: &str) -> (String, String) {
    let buckets = Buckets::new(Width::parse(width).unwrap(), Anchor::Zone(zone(zone_name).unwrap()));
    let (start, end) = buckets.bounds(us(at)).unwrap();
    let text = |us| Timestamp::from_microsecond(us).unwrap().to_string();
    (text(start), text(end))
}

fn check(width: &str, zone_name: &str, at: &str, start: &str, end: &str) {
    assert_eq!(bounds(width, zone_name, at), (start.to_owned(), end.to_owned()), "{width} in {zone_name} at {at}");
}

#[test]
fn widths_are_read_as_people_and_grafana_write_them() {
    assert_eq!(Width::parse("1 hour"), Ok(Width::Micros(3_600_000_000)));
    assert_eq!(Width::parse("15 minutes"), Ok(Width::Micros(900_000_000)));
    assert_eq!(Width::parse("300.000s"), Ok(Width::Micros(300_000_000)));
    assert_eq!(Width::parse("5m"), Ok(Width::Micros(300_000_000)));
    assert_eq!(Width::parse("1 hour 30 minutes"), Ok(Width::Micros(5_400_000_000)));
    assert_eq!(Width::parse("1M"), Ok(Width::Months(1)));
    assert_eq!(Width::parse("2 weeks"), Ok(Width::Days(14)));
    for bad in ["", "hour", "1 parsec", "1.5 months", "shift"] {
        assert_eq!(Width::parse(bad), Err(BucketError::Text(bad.to_owned())));
    }
    assert_eq!(Width::parse("0 s"), Err(BucketError::NotPositive));
    assert_eq!(Width::parse("1 month 1 day"), Err(BucketError::Mixed));
}

#[test]
fn fixed_widths_start_at_utc_midnight() {
    check("15 minutes", "UTC", "2025-01-14T05:44:59.999999Z", "2025-01-14T05:30:00Z", "2025-01-14T05:45:00Z");
    check("1 hour", "UTC", "1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z");
}

#[test]
fn days_follow_the_clocks_of_the_zone() {
    check("1 day", "Europe/Berlin", "2025-01-14T23:30:00Z", "2025-01-14T23:00:00Z", "2025-01-15T23:00:00Z");
    check("1 day", "Europe/Berlin", "2025-03-30T12:00:00Z", "2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z");
    check("1 day", "Europe/Berlin", "2025-10-26T12:00:00Z", "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z");
}

#[test]
fn weeks_start_on_monday_and_months_on_the_first() {
    check("1 week", "UTC", "2025-01-19T12:00:00Z", "2025-01-13T00:00:00Z", "2025-01-20T00:00:00Z");
    check("1 month", "Europe/Berlin", "2025-03-31T21:59:59Z", "2025-02-28T23:00:00Z", "2025-03-31T22:00:00Z");
    check("3 months", "UTC", "2025-05-31T00:00:00Z", "2025-04-01T00:00:00Z", "2025-07-01T00:00:00Z");
}

#[test]
fn parts_of_a_day_restart_at_local_midnight() {
    check("12 hours", "Europe/Berlin", "2025-07-01T23:00:00Z", "2025-07-01T22:00:00Z", "2025-07-02T10:00:00Z");
    // The day of 25 hours has a last bucket of one hour.
    check("12 hours", "Europe/Berlin", "2025-10-26T22:30:00Z", "2025-10-26T22:00:00Z", "2025-10-26T23:00:00Z");
}

#[test]
fn an_origin_shifts_the_edges() {
    let buckets = Buckets::new(Width::Micros(3_600_000_000), Anchor::Instant(us("2025-01-01T00:20:00Z")));
    assert_eq!(
        buckets.bounds(us("2025-01-14T05:10:00Z")),
        Ok((us("2025-01-14T04:20:00Z"), us("2025-01-14T05:20:00Z")))
    );
    let buckets = Buckets::new(Width::Months(1), Anchor::Instant(us("2025-01-15T00:00:00Z")));
    assert_eq!(
        buckets.bounds(us("2025-03-10T00:00:00Z")),
        Ok((us("2025-02-15T00:00:00Z"), us("2025-03-15T00:00:00Z")))
    );
}

#[test]
fn the_remembered_bucket_never_answers_for_another() {
    let mut buckets = Buckets::new(Width::Days(1), Anchor::Zone(zone("Europe/Berlin").unwrap()));
    let (first, second) = (us("2025-03-29T22:59:59.999999Z"), us("2025-03-29T23:00:00Z"));
    assert_eq!(buckets.start(first), Ok(us("2025-03-28T23:00:00Z")));
    assert_eq!(buckets.start(second), Ok(second));
    assert_eq!(buckets.start(first), Ok(us("2025-03-28T23:00:00Z")));
}

#[test]
fn one_end_after_another_is_the_end_of_each_bucket() {
    for width in ["15 minutes", "5 hours", "7 hours", "1 day", "1 month"] {
        let mut walked = Buckets::new(Width::parse(width).unwrap(), Anchor::Zone(zone("Europe/Berlin").unwrap()));
        let mut at = us("2025-03-29T11:00:00Z");
        for _ in 0..300 {
            let (_, end) = walked.bounds(at).unwrap();
            assert_eq!(walked.end(at), Ok(end), "{width}");
            at = end;
        }
    }
}

#[test]
fn many_starts_are_those_of_each_time() {
    let mut random = Seeded::new(7);
    for width in ["15 minutes", "7 hours", "1 day", "1 month"] {
        for zone_name in ["UTC", "Europe/Berlin"] {
            let buckets = Buckets::new(Width::parse(width).unwrap(), Anchor::Zone(zone(zone_name).unwrap()));
            let first = us("2025-03-29T11:00:00Z");
            // Mostly ascending, with steps back and equal times.
            let mut times = vec![first];
            for _ in 0..500 {
                times.push(first.max(times.last().unwrap() + random.within(-600, 3_600) * 1_000_000));
            }
            let each: Vec<i64> = times.iter().map(|at| buckets.bounds(*at).unwrap().0).collect();
            assert_eq!(buckets.clone().starts(&times), Ok(each), "{width} in {zone_name}");
        }
    }
    let mut endless = Buckets::new(Width::Months(1), Anchor::Zone(zone("UTC").unwrap()));
    assert_eq!(endless.starts(&[]), Ok(Vec::new()));
    assert!(endless.starts(&[0, i64::MAX]).is_err());
}
