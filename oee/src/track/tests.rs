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
    assert_eq!(steps(tracks.take().1), [(1, 2.0), (4, 1.0)]);
    assert_eq!(tracks.newest("parts"), Some(4));
    tracks.push(&plant, "parts", &reading(5, 11.0, 0));
    assert_eq!(steps(tracks.take().1), [(5, 3.0)], "what was taken is not given again");
}

#[test]
fn only_changes_of_state_are_kept_and_a_bad_sample_is_unknown() {
    let plant = plant();
    let mut tracks = Tracks::of(&plant, "press");
    for next in [reading(1, 1.0, 0), reading(2, 1.0, 0), reading(3, 0.0, 0), reading(4, 0.0, BAD)] {
        tracks.push(&plant, "running", &next);
    }
    let said: Vec<(i64, bool)> =
        tracks.take().0.iter().map(|record| (record.start, record.value.category.is_some())).collect();
    assert_eq!(said, [(1, true), (3, true), (4, false)]);
}
