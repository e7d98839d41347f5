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

[[signals]]
equipment = "press"
signal = "running"
role = "state"

[[signals]]
equipment = "press"
signal = "parts"
role = "total_count"
"#;
    Plant::parse(text).expect("a plant")
}

fn reading(time: i64, value: f64, quality: i64) -> Reading<'static> {
    Reading { time, value: Some(value), text: None, quality }
}

#[test]
fn a_counter_goes_on_from_the_last_good_sample_before_the_window() {
    let plant = plant();
    let mut tracks = Tracks::of(&plant, "press");
    assert!(!tracks.can_begin_with("parts", &reading(0, 5.0, UNCERTAIN)));
    assert!(!tracks.can_begin_with("other", &reading(0, 5.0, 0)));
    tracks.begin(&plant, "parts", &reading(0, 5.0, 0));
    for next in [reading(1, 7.0, 0), reading(2, 99.0, BAD), reading(3, 7.0, 0), reading(4, 8.0, 0)] {
        tracks.push(&plant, "parts", &next);
    }
    let steps = |pieces: Option<Vec<Piece>>| -> Vec<(i64, f64)> {
        pieces.expect("counted").iter().map(|piece| (piece.time, piece.total)).collect()
    };
    assert_eq!(steps(tracks.take(i64::MIN).pieces), [(1, 2.0), (4, 1.0)]);
    assert_eq!(tracks.newest("parts"), Some(4));
    tracks.push(&plant, "parts", &reading(5, 11.0, 0));
    assert_eq!(steps(tracks.take(i64::MIN).pieces), [(5, 3.0)], "what was taken is not given again");
}

#[test]
fn only_changes_of_state_are_kept_and_a_bad_sample_is_unknown() {
    let plant = plant();
    let mut tracks = Tracks::of(&plant, "press");
    for next in [reading(1, 1.0, 0), reading(2, 1.0, 0), reading(3, 0.0, 0), reading(4, 0.0, BAD)] {
        tracks.push(&plant, "running", &next);
    }
    let said: Vec<(i64, bool)> =
        tracks.take(i64::MIN).states.iter().map(|record| (record.start, record.value.category.is_some())).collect();
    assert_eq!(said, [(1, true), (3, true), (4, false)]);
}

/// A press that runs while it is fast enough.
fn ruled(running: &str) -> Plant {
    let text = format!(
        "[plant]\nzone = \"UTC\"\n[[equipment]]\npath = \"press\"\n\
         [[signals]]\nequipment = \"press\"\nsignal = \"speed\"\nrole = \"state\"\nrunning = {running}\n"
    );
    Plant::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

const S: i64 = crate::SECOND_US;

#[track_caller]
fn check_rule(running: &str, samples: &[(i64, f64, i64)], now_s: i64, expected: &[(i64, &str)]) {
    let plant = ruled(running);
    let mut tracks = Tracks::of(&plant, "press");
    for &(time_s, value, quality) in samples {
        tracks.push(&plant, "speed", &reading(time_s * S, value, quality));
    }
    let said = tracks.take(now_s * S).states;
    let told: Vec<(i64, &str)> = said.iter().map(|record| (record.start / S, record.value.state.as_ref())).collect();
    assert_eq!(told, expected, "{running} {samples:?}");
    for record in &said {
        let category = match record.value.state.as_ref() {
            "running" => Some(Category::Run),
            "stopped" => Some(Category::Unplanned),
            _ => None,
        };
        assert_eq!(record.value.category, category);
    }
}

#[test]
fn a_rule_tells_when_a_machine_runs() {
    let rule = "{ above = 5, for_s = 10 }";
    check_rule(rule, &[(0, 6.0, 0), (10, 6.0, 0), (20, 5.0, 0), (29, 9.0, 0)], 0, &[(0, "running")]);
    check_rule(rule, &[(0, 6.0, 0), (20, 5.0, 0)], 29, &[(0, "running")]);
    check_rule(rule, &[(0, 6.0, 0), (20, 5.0, 0)], 30, &[(0, "running"), (20, "stopped")]);
    check_rule(rule, &[(0, 6.0, 0), (20, 6.0, BAD)], 20, &[(0, "running"), (20, "unknown")]);
    check_rule("{ below = 1 }", &[(0, 0.0, UNCERTAIN), (1, 1.0, 0)], 0, &[(0, "running"), (1, "stopped")]);
    check_rule("{ equals = true }", &[(0, 1.0, 0), (1, 0.0, 0)], 0, &[(0, "running"), (1, "stopped")]);
}

#[test]
fn a_rule_may_need_earlier_samples() {
    let plant = ruled("{ above = 5, for_s = 10 }");
    let mut tracks = Tracks::of(&plant, "press");
    tracks.begin(&plant, "speed", &reading(-2 * S, 6.0, 0));
    tracks.push(&plant, "speed", &reading(3 * S, 0.0, 0));
    tracks.take(12 * S);
    assert!(tracks.needs_earlier(0, 0), "it may have run since long, or stood");
    tracks.take(13 * S);
    assert!(tracks.needs_earlier(0, 0) && !tracks.needs_earlier(3 * S, 0));
    let mut settled = Tracks::of(&plant, "press");
    settled.begin(&plant, "speed", &reading(-10 * S, 6.0, 0));
    settled.take(0);
    assert!(!settled.needs_earlier(0, 0));
}

#[test]
fn nothing_is_settled_that_a_sample_could_undo() {
    let plant = ruled("{ above = 5, for_s = 10 }");
    let mut tracks = Tracks::of(&plant, "press");
    tracks.push(&plant, "speed", &reading(0, 6.0, 0));
    assert_eq!([-1, 0, 1, 9, 10, 11].map(|time_s| tracks.settled(time_s * S) / S), [-1, 0, 0, 0, 10, 11]);
    let slow = |time_s: i64| reading(time_s * S, 0.0, 0);
    assert!(!tracks.is_undone_by("speed", &slow(9)));
    assert_eq!(tracks.take(10 * S).states.len(), 1);
    assert!(tracks.is_undone_by("speed", &slow(9)) && !tracks.is_undone_by("speed", &slow(10)));
}

#[test]
fn a_meter_goes_on_from_the_last_good_reading_before_the_window() {
    let text = "[plant]\nzone = \"UTC\"\n[[equipment]]\npath = \"press\"\n[[signals]]\nequipment = \"press\"\n\
                signal = \"meter\"\nrole = \"energy\"\nuom = \"Wh\"\nmodulus = 10000\n";
    let plant = Plant::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!(plant.count_source("press"), Source::AnyRecords, "a meter counts no pieces");
    let mut tracks = Tracks::of(&plant, "press");
    assert!(!tracks.can_begin_with("meter", &reading(0, 9_000.0, BAD)));
    assert_eq!(tracks.metered_until(), None);
    tracks.begin(&plant, "meter", &reading(0, 9_000.0, 0));
    assert_eq!(tracks.metered_until(), Some(0));
    let minutes = |minute: i64| minute * 60 * S;
    let readings = [(5, 9_500.0, 0), (6, 1.0, BAD), (7, 9_500.0, 0), (9, 500.0, 0), (60, 100.0, 0)];
    for (minute, value, quality) in readings {
        tracks.push(&plant, "meter", &reading(minutes(minute), value, quality));
    }
    let Said { energy, pieces, .. } = tracks.take(i64::MIN);
    let expected = [(0, 5, 0.5), (7, 9, 1.0), (45, 60, 0.1)].map(|(start, end, kwh)| Consumption {
        start: minutes(start),
        end: minutes(end),
        kwh,
    });
    assert_eq!(energy.as_deref(), Some(&expected[..]));
    assert_eq!((pieces, tracks.metered_until()), (None, Some(minutes(60))));
    assert_eq!(tracks.take(i64::MIN).energy, Some(Vec::new()), "what was taken is not given again");
}
