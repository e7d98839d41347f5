//! Which segments are worth merging: pure functions of their bounds and sizes.
//!
//! Size-tiered, day by day. Segments that lie over one another are a stack; pieces of one merge count in it as one run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::merge::OPEN_DAYS;
use crate::segment::{Segment, day_of};

/// Runs of one class over one another that are merged.
pub(super) const FAN_IN: usize = 8;
/// Rows of the smallest class at most; each further class is [`FAN_IN`] times as large.
const SMALLEST_CLASS_ROWS: u64 = 4_096;
/// Once a day is over: what lies over its largest run is merged with it unless it is less than this part of it.
const LITTLE: u64 = 4;

/// First and last day that a segment reaches; all alike where keys hold no time.
pub(super) fn days(timed: bool, segment: &Segment) -> (i64, i64) {
    match (segment.min_time, segment.max_time) {
        (Some(first), Some(last)) if timed => (day_of(first), day_of(last)),
        _ => (0, 0),
    }
}

/// Segments by day, oldest first, and those that reach into several days.
fn by_day(timed: bool, segments: &[Arc<Segment>]) -> (BTreeMap<i64, Vec<&Arc<Segment>>>, Vec<&Arc<Segment>>) {
    let (mut found, mut mixed): (BTreeMap<i64, Vec<&Arc<Segment>>>, Vec<&Arc<Segment>>) = Default::default();
    for segment in segments {
        match days(timed, segment) {
            (first, last) if first == last => found.entry(first).or_default().push(segment),
            _ => mixed.push(segment),
        }
    }
    (found, mixed)
}

/// The segments that should be merged first, oldest first: those of the newest day where some should be, then those of
/// several days, to be split. Segments of fewer than `piece_rows` rows are merged wherever their keys lie.
pub(super) fn due(timed: bool, segments: &[Arc<Segment>], piece_rows: u64) -> Option<Vec<Arc<Segment>>> {
    let (by_day, mixed) = by_day(timed, segments);
    let newest = segments.iter().map(|segment| days(timed, segment).1).max()?;
    let of_days = by_day.iter().rev().find_map(|(day, segments)| {
        let small = segments.iter().filter(|segment| segment.rows < piece_rows).copied().collect();
        of_stack(small, false).or_else(|| stacks(segments).into_iter().find_map(|stack| of_stack(stack, *day < newest)))
    });
    of_days.or_else(|| {
        let enough = mixed.len() >= FAN_IN;
        to_split(timed, mixed.into_iter().filter(|segment| enough || days(timed, segment).1 < newest))
    })
}

/// The first of some segments of several days, and others that do not reach further than it or than can be split at once:
/// so each merge leaves it reaching less far.
fn to_split<'a>(timed: bool, mixed: impl Iterator<Item = &'a Arc<Segment>>) -> Option<Vec<Arc<Segment>>> {
    let mut mixed = mixed.peekable();
    let (mut first, mut last) = days(timed, mixed.peek()?);
    let most = (last - first).max(OPEN_DAYS - 1);
    let mut parts: Vec<Arc<Segment>> = Vec::new();
    for segment in mixed {
        let (from, to) = days(timed, segment);
        let (from, to) = (first.min(from), last.max(to));
        if parts.len() < FAN_IN && to - from <= most {
            (first, last) = (from, to);
            parts.push(segment.clone());
        }
    }
    Some(parts)
}

/// What has to be merged so that no segments of a day overlap in key, and none is stale.
pub(super) enum Unsettled {
    /// Segments of several days, to be split.
    Mixed(Vec<Arc<Segment>>),
    /// All segments of a day.
    Day(i64, Vec<Arc<Segment>>),
}

/// The first of what is unsettled, except days that are `done`.
pub(super) fn unsettled(
    timed: bool,
    segments: &[Arc<Segment>],
    is_stale: impl Fn(&Segment) -> bool,
    done: impl Fn(i64) -> bool,
) -> Option<Unsettled> {
    let (by_day, mixed) = by_day(timed, segments);
    if let Some(parts) = to_split(timed, mixed.into_iter()) {
        return Some(Unsettled::Mixed(parts));
    }
    let found = by_day.into_iter().find(|(day, segments)| !done(*day) && is_unsettled(segments, &is_stale))?;
    Some(Unsettled::Day(found.0, found.1.into_iter().cloned().collect()))
}

/// Rows that have to be merged until nothing is unsettled; what is split by days is merged again.
pub(super) fn unsettled_rows(timed: bool, segments: &[Arc<Segment>], is_stale: impl Fn(&Segment) -> bool) -> u64 {
    let (by_day, mixed) = by_day(timed, segments);
    let of_mixed: u64 = mixed.iter().map(|segment| 2 * segment.rows).sum();
    let of_days = by_day.values().filter(|segments| is_unsettled(segments, &is_stale)).flatten();
    of_mixed + of_days.map(|segment| segment.rows).sum::<u64>()
}

fn is_unsettled(segments: &[&Arc<Segment>], is_stale: impl Fn(&Segment) -> bool) -> bool {
    stacks(segments).iter().any(|stack| stack.len() > 1) || segments.iter().any(|segment| is_stale(segment))
}

/// For each stretch of keys the segments that reach into it, oldest first.
fn stacks<'a>(segments: &[&'a Arc<Segment>]) -> Vec<Vec<&'a Arc<Segment>>> {
    let starts: BTreeSet<&str> = segments.iter().map(|segment| low(segment)).collect();
    let reaches = |start: &str, segment: &Segment| {
        low(segment) <= start && segment.max_key.as_deref().is_none_or(|high| start <= high)
    };
    let stack = |start: &str| segments.iter().filter(|segment| reaches(start, segment)).copied().collect();
    starts.into_iter().map(stack).collect()
}

/// The first key of a segment, as far as its first column tells; without bounds it counts as reaching everywhere.
fn low(segment: &Segment) -> &str {
    match (&segment.min_key, &segment.max_key) {
        (Some(low), Some(_)) => low,
        _ => "",
    }
}

/// The newest segments of a stack that are worth merging.
fn of_stack(stack: Vec<&Arc<Segment>>, is_over: bool) -> Option<Vec<Arc<Segment>>> {
    // Pieces of one merge have its sequence.
    let runs: Vec<&[&Arc<Segment>]> = stack.chunk_by(|one, next| one.sequence == next.sequence).collect();
    let rows: Vec<u64> =
        runs.iter().map(|run| run.iter().map(|segment| segment.run_rows).max().unwrap_or_default()).collect();
    let count = newest_to_merge(&rows, is_over)?;
    Some(runs.into_iter().skip(rows.len() - count).flatten().map(|segment| (*segment).clone()).collect())
}

/// Size class: 0 for the smallest.
fn class(rows: u64) -> u32 {
    let (mut bound, mut class) = (SMALLEST_CLASS_ROWS, 0);
    while rows > bound {
        bound = bound.saturating_mul(FAN_IN as u64);
        class += 1;
    }
    class
}

/// How many of the newest of runs of so many rows, oldest first, are worth merging: at least [`FAN_IN`] of one class or
/// smaller ones, of which none is larger than the others together. A large one is not rewritten for a small one, but once:
/// when the day `is_over`, all are merged unless what lies over the largest is little beside it.
fn newest_to_merge(rows: &[u64], is_over: bool) -> Option<usize> {
    let largest = rows.iter().copied().max()?;
    let sum = |rows: &[u64]| rows.iter().fold(0_u64, |sum, rows| sum.saturating_add(*rows));
    if is_over && rows.len() > 1 && (sum(rows) - largest).saturating_mul(LITTLE) >= largest {
        return Some(rows.len());
    }
    (0..=class(largest)).find_map(|limit| {
        let newest: Vec<u64> = rows.iter().rev().copied().take_while(|&rows| class(rows) <= limit).collect();
        let is_even = |newest: &[u64]| newest.iter().max().is_some_and(|largest| sum(newest) - largest >= *largest);
        (FAN_IN..=newest.len()).rev().find(|count| newest.get(..*count).is_some_and(is_even))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_rewrites_a_row_once_a_class_and_leaves_few_segments_over_one_another() {
        for rows in [10_000, 40_000, 125_000, 250_000, 500_000] {
            let (mut segments, mut rewritten, flushes) = (Vec::new(), 0, 1_000);
            for _ in 0..flushes {
                segments.push(rows);
                while let Some(count) = newest_to_merge(&segments, false) {
                    let merged: u64 = segments.split_off(segments.len() - count).iter().sum();
                    rewritten += merged;
                    segments.push(merged);
                }
            }
            let all = rows * flushes;
            assert!(rewritten <= 5 * all, "{rows} rows a flush: each rewritten {} times", rewritten / all);
            assert!(segments.len() <= 28, "{rows} rows a flush: {} segments", segments.len());
        }
    }

    #[test]
    fn a_large_run_is_not_rewritten_for_small_ones() {
        assert_eq!(newest_to_merge(&[900_000, 300_000, 900_000, 10_000], false), None);
        assert_eq!(newest_to_merge(&[9_000_000, 10_000, 10_000], false), None);
        assert_eq!(newest_to_merge(&[9_000_000, 10_000, 10_000], true), None);
        assert_eq!(newest_to_merge(&[9_000_000, 500_000, 500_000, 500_000, 500_000, 500_000], true), Some(6));
        assert_eq!(newest_to_merge(&[9_000_000], true), None);
        // Nor does it keep those over it from being merged.
        assert_eq!(newest_to_merge(&[32, 2, 2, 2, 2, 2, 2, 2, 2, 2], false), Some(9));
        assert_eq!(newest_to_merge(&[32, 2, 2, 2, 2, 2, 2, 2], false), None);
        assert_eq!(newest_to_merge(&[u64::MAX, u64::MAX], false), None);
    }
}
