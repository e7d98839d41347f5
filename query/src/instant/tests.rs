#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

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
