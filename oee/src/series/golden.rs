//! The golden aggregates: statuses, times and counts exact, values to 1e-9.
//!
//! `tests/golden/aggregates.json` was computed in exact rational arithmetic, independently of this crate.

use serde_json::Value;

use super::{Bucket, Edges, Figure, Method, Series, Severity};

/// The file counts in milliseconds.
const MS: i64 = 1_000;

/// Name in the file, aggregate, and how many of our units make one of the file's.
type Aggregate = (&'static str, fn(&Bucket) -> Figure, f64);

const AGGREGATES: [Aggregate; 14] = [
    ("Interpolative", Bucket::interpolative, 1.0),
    ("Average", Bucket::average, 1.0),
    ("TimeAverage", Bucket::time_average, 1.0),
    ("TimeAverage2", Bucket::time_average2, 1.0),
    ("Minimum", Bucket::minimum, 1.0),
    ("Maximum", Bucket::maximum, 1.0),
    ("Count", Bucket::count, 1.0),
    ("Delta", Bucket::delta, 1.0),
    ("Start", Bucket::start, 1.0),
    ("End", Bucket::end, 1.0),
    ("StartBound", Bucket::start_bound, 1.0),
    ("EndBound", Bucket::end_bound, 1.0),
    ("DurationGood", Bucket::duration_good_us, 1_000.0),
    ("PercentGood", Bucket::percent_good, 1.0),
];

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn time_us(value: &Value) -> i64 {
    value.as_i64().expect("milliseconds") * MS
}

fn flag(value: &Value) -> bool {
    value.as_bool().expect("true or false")
}

fn severity(value: &Value) -> Severity {
    match value.as_str() {
        Some("Good") => Severity::Good,
        Some("Uncertain") => Severity::Uncertain,
        Some("Bad") => Severity::Bad,
        other => panic!("no status: {other:?}"),
    }
}

fn buckets(input: &Value, origin_us: i64) -> Vec<Bucket> {
    let method = Method {
        stepped: flag(&input["stepped"]),
        treat_uncertain_as_bad: flag(&input["treat_uncertain_as_bad"]),
        counter: None,
    };
    let (start, end, interval) = (time_us(&input["start"]), time_us(&input["end"]), time_us(&input["interval"]));
    let mut edges: Vec<i64> = (start..end).step_by(interval as usize).collect();
    edges.push(end);
    edges.iter_mut().for_each(|edge| *edge += origin_us);
    let mut series = Series::new(method, Edges::new(edges).expect("ascending"));
    let mut found = Vec::new();
    for sample in array(&input["samples"]) {
        let time = time_us(&sample[0]) + origin_us;
        series.push(time, sample[1].as_f64(), severity(&sample[2])).expect("ascending");
        found.extend(std::iter::from_fn(|| series.pop()));
    }
    found.extend(series.finish());
    found
}

fn check_figure(place: &str, got: Figure, (wanted, scale): (&Value, f64), origin_us: i64) {
    assert_eq!(Some(got.status.name()), wanted["status"].as_str(), "{place}: got {got:?}, expected {wanted}");
    let value = wanted["value"].as_f64().map(|value| value * scale);
    assert_eq!(got.value.is_some(), value.is_some(), "{place}: got {got:?}, expected {wanted}");
    if let Some((got, value)) = got.value.zip(value) {
        assert!((got - value).abs() <= 1e-9 * value.abs(), "{place}: got {got}, expected {value}");
    }
    let time = Some(&wanted["time"]).filter(|time| time.is_i64()).map(|time| time_us(time) + origin_us);
    assert_eq!(got.time_us, time, "{place}");
}

fn check_case(case: &Value, origin_us: i64) {
    let found = buckets(&case["input"], origin_us);
    let expected = array(&case["expected"]);
    assert_eq!(found.len(), expected.len(), "{}", case["id"]);
    for (bucket, wanted) in found.iter().zip(expected) {
        let bounds = (time_us(&wanted["start"]) + origin_us, time_us(&wanted["end"]) + origin_us);
        assert_eq!((bucket.start_us, bucket.end_us), bounds, "{}", case["id"]);
        let named = wanted.as_object().expect("an object").len();
        assert_eq!(named, AGGREGATES.len() + 2, "{}: an aggregate is not checked", case["id"]);
        for (name, aggregate, scale) in AGGREGATES {
            let place = format!("{} {} {name}", case["id"], wanted["start"]);
            check_figure(&place, aggregate(bucket), (&wanted[name], scale), origin_us);
        }
    }
}

#[test]
fn golden_aggregates() {
    crate::golden::check("aggregates.json", 12, |case| {
        // Near 1970, where the cases lie, and where large times would cost digits.
        for origin_us in [0, 1_790_000_000_000_001, 200_000_000_000_000_003] {
            check_case(case, origin_us);
        }
    });
}
