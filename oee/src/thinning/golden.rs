//! The golden compressions: what is kept exact, the largest error to 1e-9.
//!
//! `tests/golden/compression.json` was computed in exact rational arithmetic, independently of this crate.

use serde_json::Value;

use super::{DeadBand, Limits, Sample, SwingingDoor};

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn samples(case: &Value) -> Vec<Sample<()>> {
    let samples = array(&case["samples"]).iter();
    let one = |sample: &Value| {
        let time_us = sample[0].as_i64().expect("milliseconds") * 1_000;
        Sample { time_us, value: Some(number(&sample[1])), mark: () }
    };
    samples.map(one).collect()
}

/// Places of what was kept.
fn places(samples: &[Sample<()>], kept: &[Sample<()>]) -> Vec<usize> {
    let place = |one: &Sample<()>| samples.iter().position(|sample| sample == one).expect("it is one of the samples");
    kept.iter().map(place).collect()
}

fn value(sample: &Sample<()>) -> f64 {
    sample.value.expect("a number")
}

/// The largest difference of what is given back, by a line or by holding the last.
fn largest_error(samples: &[Sample<()>], kept: &[usize], line: bool) -> f64 {
    let error = |(place, sample): (usize, &Sample<()>)| {
        let next = kept.partition_point(|&kept| kept <= place);
        let from = &samples[kept[next - 1]];
        let to = kept.get(next).filter(|_| line).map(|&to| &samples[to]);
        let slope = to.map_or(0.0, |to| (value(to) - value(from)) / (to.time_us - from.time_us) as f64);
        (value(from) + slope * (sample.time_us - from.time_us) as f64 - value(sample)).abs()
    };
    samples.iter().enumerate().map(error).fold(0.0, f64::max)
}

fn check(place: &str, samples: &[Sample<()>], kept: &[Sample<()>], wanted: &Value, line: bool) {
    let kept = places(samples, kept);
    let expected: Vec<usize> = array(&wanted["kept"]).iter().map(|place| number(place) as usize).collect();
    assert_eq!(kept, expected, "{place}");
    let (error, largest) = (largest_error(samples, &kept, line), number(&wanted["max_error"]));
    assert!((error - largest).abs() <= 1e-9 * largest.max(1e-3), "{place}: error {error}, expected {largest}");
}

fn check_case(case: &Value) {
    let samples = samples(case);
    let limits = Limits::new(number(&case["tolerance"]), None).expect("a tolerance");
    let mut door = SwingingDoor::new(limits);
    let mut kept: Vec<_> = samples.iter().flat_map(|&sample| door.push(sample).expect("ascending")).collect();
    kept.extend(door.finish());
    check(&format!("{} swinging door", case["id"]), &samples, &kept, &case["swinging_door"], true);
    let mut band = DeadBand::new(limits);
    let kept: Vec<_> = samples.iter().flat_map(|&sample| band.push(sample).expect("ascending")).collect();
    check(&format!("{} dead band", case["id"]), &samples, &kept, &case["deadband"], false);
}

#[test]
fn golden_compression() {
    crate::golden::check("compression.json", 12, check_case);
}
