#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::fixture::{Bench, NEW_YEAR, SECOND, good, time};

fn read(text: &str, zone: &str) -> Option<String> {
    Some(instant(text, &TimeZone::get(zone).unwrap())?.to_string())
}

#[test]
fn an_offset_counts_and_the_zone_stands_in_for_none() {
    for (text, expected) in [
        ("2026-11-21T14:00:00Z", "2026-11-21T14:00:00Z"),
        ("2026-11-21 14:00:00.5+05:30", "2026-11-21T08:30:00.5Z"),
        ("2026-11-21 14:00:00+01", "2026-11-21T13:00:00Z"),
        ("2026-11-21 14:00+01", "2026-11-21T13:00:00Z"),
        ("2026-11-21 14:00:00", "2026-11-21T13:00:00Z"),
        ("2026-11-21 14:00", "2026-11-21T13:00:00Z"),
        (" 2026-11-21 ", "2026-11-20T23:00:00Z"),
        ("2026-07-21T14:00", "2026-07-21T12:00:00Z"),
        // The hour that comes twice, and the one that does not come.
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
    ] {
        assert_eq!(read(text, "Europe/Berlin").as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_time_is_none() {
    for text in ["", "yesterday", "2026-13-01", "2026-11-21 25:00", "14:00", "2026-11-21 14:00 +x"] {
        assert_eq!(read(text, "UTC"), None, "{text}");
    }
}

#[tokio::test]
async fn bounds_can_lie_beyond_nanoseconds() {
    let rows = [1, 2, 3].map(|n| (NEW_YEAR + n * SECOND, n as f64));
    let shop = Bench::holding(&good("line/press", "force", &rows));
    let second = time(NEW_YEAR + 2 * SECOND);
    for (filter, expected) in [
        ("time < '9999-12-31'".to_owned(), 3),
        ("'9999-12-31 23:59:59' > time".to_owned(), 3),
        ("time <= timestamptz '9999-12-31 23:59:59.999999+00'".to_owned(), 3),
        ("time >= timestamptz '2300-01-01 00:00+00'".to_owned(), 0),
        ("time > '0001-01-01'".to_owned(), 3),
        ("time = '1600-01-01'".to_owned(), 0),
        ("time BETWEEN '1600-01-01' AND '2400-01-01'".to_owned(), 3),
        (format!("time BETWEEN {second} AND '9999-12-31'"), 2),
        (format!("time NOT BETWEEN {second} AND '9999-12-31'"), 1),
        (format!("time BETWEEN '0001-01-01' AND {second}"), 2),
    ] {
        let found = shop.ask(&format!("SELECT count(*) AS n FROM samples WHERE {filter}")).await;
        assert_eq!(found, [expected.to_string()], "{filter}");
    }
    // What is shown, and not only compared, is refused rather than moved.
    shop.refusal("SELECT timestamptz '9999-12-31'").await;
    shop.refusal("SELECT count(*) FROM samples WHERE time < '9999-12-32'").await;
}
