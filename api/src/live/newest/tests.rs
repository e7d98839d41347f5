use super::*;

fn at(time_us: i64, value: f64) -> Value {
    Value { time_us, value: Some(value), text: None, quality: Some(0) }
}

#[test]
fn the_latest_time_wins_and_a_correction_replaces() {
    let mut newest = Newest::default();
    newest.note("a/press", "force", at(2_000_000, 1.0));
    newest.note("a/press", "force", at(1_000_000, 9.0));
    newest.note("a/press", "force", at(2_000_000, 3.0));
    newest.note("a/weld", "current", at(1_000_000, 5.0));
    let shown = newest.of("a/press", |signal| (signal == "force").then(|| "kN".to_owned()));
    let [force] = shown.as_slice() else { panic!("one signal, not {shown:?}") };
    assert_eq!((force.value, force.uom.as_deref()), (Some(3.0), Some("kN")));
    assert_eq!(force.time.as_deref(), Some("1970-01-01T00:00:02.000000Z"));
    assert!(newest.of("a/none", |_| None).is_empty());
}

#[test]
fn most_looks_are_short() {
    let mut newest = Newest::default();
    let reaches: Vec<_> = (0..100).map(|_| newest.reach_s(true)).collect();
    assert_eq!(reaches[..3], [(FIRST_S, 0), (FAR_S, 0), (USUAL_S, 0)]);
    assert_eq!(reaches.iter().filter(|reach| **reach == (FAR_S, 0)).count(), 2);
}

#[test]
fn a_machine_that_was_not_seen_is_looked_for_further_back() {
    let mut newest = Newest::default();
    let reaches: Vec<_> = (0..6).map(|_| newest.reach_s(false)).collect();
    // One after another, without a gap and without looking twice.
    assert_eq!(reaches[1..5], [(FAR_S, 0), (BACK_S[0], FAR_S), (BACK_S[1], BACK_S[0]), (BACK_S[2], BACK_S[1])]);
    assert_eq!(reaches[5], (USUAL_S, 0));
    newest.note("a/press", "force", at(1, 1.0));
    assert!(newest.knows("a/press") && !newest.knows("a/weld"));
}
