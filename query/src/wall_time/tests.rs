#![allow(clippy::unwrap_used, reason = "a test may panic")]

use jiff::Timestamp;
use jiff::tz::Offset;

use super::*;
use oee::bucket::zone;

#[test]
fn a_zone_is_named_so_that_the_function_knows_it() {
    assert_eq!(name_of(&TimeZone::UTC), None);
    let at: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
    let fixed = |seconds| TimeZone::fixed(Offset::from_seconds(seconds).unwrap());
    for known in [TimeZone::get("Europe/Berlin").unwrap(), fixed(7_200), fixed(-12_600), fixed(19_845)] {
        let name = name_of(&known).unwrap();
        assert_eq!(zone(&name).unwrap().to_offset(at), known.to_offset(at), "{name}");
    }
}
