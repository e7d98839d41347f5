#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use oee::bucket::Width;

fn bounds(layout: Layout, from: i64, to: i64) -> Vec<i64> {
    lay_out(&Plant::empty(), "anywhere", layout, (from, to)).unwrap().bounds.to_vec()
}

#[test]
fn parts_are_equal_and_none_is_empty() {
    assert_eq!(bounds(Layout::Parts(4), 100, 110), [100, 102, 105, 107, 110]);
    assert_eq!(bounds(Layout::Parts(9), 100, 103), [100, 101, 102, 103]);
    assert_eq!(bounds(Layout::Parts(1), -5, 5), [-5, 5]);
    // No overflow, however long the window.
    assert_eq!(bounds(Layout::Parts(2), 0, i64::MAX), [0, i64::MAX / 2, i64::MAX]);
}

#[test]
fn a_grid_begins_at_its_first_instant() {
    let minute = Cut::Width(Width::Micros(60_000_000));
    assert_eq!(bounds(Layout::Cut(minute), 1, 130_000_000), [1, 60_000_000, 120_000_000, 130_000_000]);
    assert_eq!(bounds(Layout::Grid(minute), 1, 130_000_000), [60_000_000, 120_000_000, 130_000_000]);
    assert_eq!(bounds(Layout::Grid(minute), 60_000_000, 61_000_000), [60_000_000, 61_000_000]);
    assert_eq!(bounds(Layout::Grid(minute), 61_000_000, 62_000_000), [62_000_000]);
}
