#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const UNCERTAIN: i64 = 0x4000_0000;
const BAD: i64 = 0x8000_0000;

fn plant() -> Plant {
    let text = r#"
[plant]
name = "test"
zone = "UTC"

[[equipment]]
path = "press"
"#;
    Plant::parse(text).unwrap()
}

fn sample(time: i64, value: f64, quality: i64) -> Sample<'static> {
    Sample { equipment: "press", signal: "s", time, value: Some(value), text: None, quality }
}

#[test]
fn a_counter_goes_on_from_the_last_good_sample_before_the_window() {
    let mut track = Track::of(Role::TotalCount, CounterRule::default());
    assert!(!track.can_begin_with(&sample(0, 5.0, UNCERTAIN)));
    track.begin(&plant(), &sample(0, 5.0, 0));
    for next in [sample(1, 7.0, 0), sample(2, 99.0, BAD), sample(3, 7.0, 0), sample(4, 8.0, 0)] {
        track.push(&plant(), &next);
    }
    let Track::Steps { steps, .. } = track else { panic!("a counter has steps") };
    assert_eq!(steps, [(1, 2.0), (4, 1.0)]);
}

#[test]
fn only_changes_of_state_are_kept_and_a_bad_sample_is_unknown() {
    let mut track = Track::of(Role::State, CounterRule::default());
    for next in [sample(1, 1.0, 0), sample(2, 1.0, 0), sample(3, 0.0, 0), sample(4, 0.0, BAD)] {
        track.push(&plant(), &next);
    }
    let Track::States { records, .. } = track else { panic!("a state signal has records") };
    let said: Vec<(i64, bool)> = records.iter().map(|record| (record.start, record.value.category.is_some())).collect();
    assert_eq!(said, [(1, true), (3, true), (4, false)]);
}
