#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn sample(time_us: i64, value: f64, severity: Severity) -> Sample {
    Sample { time_us, value: Some(value), severity }
}

#[test]
fn the_nearest_of_each_kind_are_kept_and_come_in_order() {
    let mut nearest = Nearest::default();
    assert!(!nearest.is_complete(Until::Any));
    for (time, severity) in [(3, Severity::Good), (7, Severity::Bad), (5, Severity::Uncertain), (1, Severity::Good)] {
        nearest.take(sample(time, 1.0, severity), later);
    }
    nearest.take(Sample { time_us: 6, value: None, severity: Severity::Good }, later);
    let times: Vec<i64> = nearest.in_order().map(|sample| sample.time_us).collect();
    assert_eq!(times, [3, 5, 7]);
    let mut nearest = Nearest::default();
    nearest.take(sample(9, 1.0, Severity::Uncertain), earlier);
    let complete = [Until::Any, Until::Usable, Until::Good].map(|until| nearest.is_complete(until));
    assert_eq!(complete, [true, true, false]);
    nearest.take(sample(8, f64::NAN, Severity::Good), earlier);
    assert!(!nearest.is_complete(Until::Good));
    let times: Vec<i64> = nearest.in_order().map(|sample| sample.time_us).collect();
    assert_eq!(times, [8, 9]);
}
