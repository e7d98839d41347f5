use super::*;
use crate::seeded::Seeded;

const YES: Truth = Some(true);
const NO: Truth = Some(false);

/// Changes that have happened at `now`, after these samples.
fn changes(for_us: i64, samples: &[(i64, Truth)], now: i64) -> Vec<(i64, Truth)> {
    let mut debounce = Debounce::new(for_us);
    let mut found: Vec<(i64, Truth)> =
        samples.iter().flat_map(|&(time, truth)| debounce.push(time, truth).collect::<Vec<_>>()).collect();
    found.extend(debounce.settle(now));
    found
}

#[track_caller]
fn check(for_us: i64, samples: &[(i64, Truth)], now: i64, expected: &[(i64, Truth)]) {
    assert_eq!(changes(for_us, samples, now), expected, "{samples:?}");
}

#[test]
fn a_change_has_happened_once_it_has_lasted() {
    check(10, &[(0, YES)], 9, &[]);
    check(10, &[(0, YES)], 10, &[(0, YES)]);
    check(10, &[(0, YES), (10, YES)], i64::MIN, &[(0, YES)]);
    check(10, &[(0, YES), (9, NO), (18, YES)], 27, &[]);
    check(10, &[(0, YES), (10, NO)], 19, &[(0, YES)]);
    check(10, &[(0, YES), (10, NO)], 20, &[(0, YES), (10, NO)]);
}

#[test]
fn shorter_changes_did_not_happen() {
    check(10, &[(0, YES), (20, NO), (29, YES)], 100, &[(0, YES)]);
    check(10, &[(0, YES), (20, NO), (25, YES), (30, NO)], 40, &[(0, YES), (30, NO)]);
    check(0, &[(0, YES), (1, NO), (2, YES), (2, YES)], 2, &[(0, YES), (1, NO), (2, YES)]);
}

#[test]
fn nothing_known_is_a_change_at_once() {
    check(10, &[(0, YES), (12, None), (13, YES), (22, None)], 100, &[(0, YES), (12, None)]);
    check(10, &[(0, None), (1, NO), (11, NO)], i64::MIN, &[(0, None), (1, NO)]);
    check(10, &[(0, YES), (5, None)], 5, &[(5, None)]);
}

#[test]
fn what_was_told_can_be_undone_until_it_has_lasted() {
    let mut debounce = Debounce::new(10);
    assert_eq!(debounce.push(0, YES).count(), 0);
    assert!(!debounce.is_undone_by(5, NO), "it was not told");
    assert_eq!(debounce.settle(12), Some((0, YES)));
    assert!(debounce.is_undone_by(9, NO) && debounce.is_undone_by(9, None));
    assert!(!debounce.is_undone_by(9, YES) && !debounce.is_undone_by(10, NO));
    assert_eq!(debounce.open_until(), Some((0, 10)));
    assert!(debounce.needs_earlier(-1, 5) && !debounce.needs_earlier(0, 5));
    assert!(!debounce.needs_earlier(-1, 0), "its first sample is the first there is");
    assert!(!Debounce::new(10).needs_earlier(0, 5), "there is none");
}

/// The same from the definition: what the samples say in stretches, of which the short ones are left out.
fn reference(for_us: i64, samples: &[(i64, Truth)], now: i64) -> Vec<(i64, Truth)> {
    let end = samples.last().map_or(now, |last| last.0.max(now));
    let mut stretches: Vec<(i64, Truth)> = samples.to_vec();
    stretches.dedup_by_key(|(_, truth)| *truth);
    let ends: Vec<i64> = stretches.iter().skip(1).map(|next| next.0).chain([end]).collect();
    let lasting = stretches.iter().zip(ends).filter(|((start, truth), end)| truth.is_none() || end - start >= for_us);
    let mut found: Vec<(i64, Truth)> = lasting.map(|(stretch, _)| *stretch).collect();
    found.dedup_by_key(|(_, truth)| *truth);
    found
}

#[test]
fn it_is_what_the_definition_says() {
    for seed in 0..500 {
        let mut seeded = Seeded::new(seed);
        let mut time = 0;
        let samples: Vec<(i64, Truth)> = (0..seeded.within(1, 30))
            .map(|_| {
                time += seeded.within(1, 12);
                (time, seeded.pick(&[YES, YES, NO, NO, None]))
            })
            .collect();
        let now = time + seeded.within(-5, 15);
        let for_us = seeded.within(0, 15);
        assert_eq!(changes(for_us, &samples, now), reference(for_us, &samples, now), "seed {seed}: {samples:?}");
    }
}
