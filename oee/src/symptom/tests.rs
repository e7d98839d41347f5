use super::*;
use crate::seeded::Seeded;

fn span(start: i64, end: i64, category: Category, reason: Option<&str>) -> StateSpan {
    let value = StateValue::new(category.name(), Some(category), reason.map(Into::into));
    StateSpan { start: start * SECOND_US, end: end * SECOND_US, value }
}

/// A symptom from (second, holds).
fn symptom(reason: &str, category: Category, changes: &[(i64, Option<bool>)]) -> Symptom {
    let changes = changes.iter().map(|&(time_s, holds)| (time_s * SECOND_US, holds)).collect();
    Symptom { reason: reason.into(), category, changes }
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

/// A stop from 100 s to 200 s, after which reason and category these symptoms give it.
#[track_caller]
fn check(symptoms: &[Symptom], expected: Option<(&str, Category)>) {
    let spans = vec![span(0, 100, Category::Run, None), span(100, 200, Category::Unplanned, None)];
    let found = told(spans, symptoms);
    let value = &found[1].value;
    let got = value.reason.as_deref().map(|reason| (reason, value.category.expect("a category")));
    assert_eq!(got, expected, "{symptoms:?}");
    assert_eq!((found.len(), found[0].value.reason.as_deref()), (2, None));
}

#[test]
fn a_symptom_was_there_when_the_stop_began_or_came_soon_after() {
    let door = |changes: &[(i64, Option<bool>)]| symptom("DOOR", Category::Unplanned, changes);
    let given = Some(("DOOR", Category::Unplanned));
    check(&[door(&[(50, YES)])], given);
    check(&[door(&[(50, YES), (101, NO)])], given);
    check(&[door(&[(100, YES)])], given);
    check(&[door(&[(0, NO), (105, YES)])], given);
    check(&[door(&[(0, NO), (106, YES)])], None);
    check(&[door(&[(50, YES), (100, NO)])], None);
    check(&[door(&[(50, YES), (99, None)])], None);
    check(&[door(&[])], None);
}

#[test]
fn the_first_in_order_wins_and_gives_its_category() {
    let door = |changes: &[(i64, Option<bool>)]| symptom("DOOR", Category::Unplanned, changes);
    let empty = symptom("EMPTY", Category::NoOrder, &[(0, YES)]);
    check(&[empty.clone(), door(&[(0, YES)])], Some(("EMPTY", Category::NoOrder)));
    check(&[door(&[(103, YES)]), empty.clone()], Some(("DOOR", Category::Unplanned)));
    check(&[door(&[(103, NO)]), empty], Some(("EMPTY", Category::NoOrder)));
}

#[test]
fn only_unplanned_stops_without_a_reason_get_one() {
    let door = [symptom("DOOR", Category::Planned, &[(-9, YES)])];
    let spans = vec![
        span(0, 1, Category::Run, None),
        span(1, 2, Category::Unplanned, Some("JAM")),
        span(2, 3, Category::Changeover, None),
        span(3, 4, Category::NoOrder, None),
        StateSpan { value: StateValue::new("?", None, None), ..span(4, 5, Category::Run, None) },
    ];
    assert_eq!(told(spans.clone(), &door), spans);
}

#[test]
fn a_stop_that_began_earlier_needs_to_be_looked_for() {
    let spans = [span(0, 10, Category::Run, None), span(10, 20, Category::Unplanned, None)];
    let needs = |known_s: i64| needs_earlier(&spans, known_s * SECOND_US);
    assert_eq!([5, 10, 11, 19, 20].map(needs), [false, false, true, true, false]);
    assert!(!needs_earlier(&[span(0, 9, Category::Unplanned, Some("JAM"))], 1));
}

#[test]
fn a_symptom_may_come_until_five_seconds_after_the_stop_began() {
    let spans = [span(0, 10, Category::Unplanned, None), span(12, 20, Category::Unplanned, None)];
    let settles = |time_s: i64| settled(&spans, time_s * SECOND_US) / SECOND_US;
    assert_eq!([0, 1, 5, 6, 12, 13, 17, 18].map(settles), [0, 0, 0, 6, 12, 12, 12, 18]);
}

#[test]
fn what_is_forgotten_tells_nothing_of_later_stops() {
    for seed in 0..500 {
        let mut seeded = Seeded::new(seed);
        let mut time_s = 0;
        let changes: Vec<(i64, Option<bool>)> = (0..seeded.within(0, 30))
            .map(|_| {
                time_s += seeded.within(1, 8);
                (time_s, seeded.pick(&[YES, NO, None]))
            })
            .collect();
        let whole = symptom("DOOR", Category::Unplanned, &changes);
        let stop_s = seeded.within(0, 100);
        let from_s = stop_s + seeded.within(0, 60);
        let mut rest = whole.clone();
        rest.drop_before(stop_s * SECOND_US, from_s * SECOND_US);
        let same = |start_s: i64| {
            let start = start_s * SECOND_US;
            assert_eq!(rest.explains(start), whole.explains(start), "seed {seed} at {start_s}: {changes:?}");
        };
        std::iter::once(stop_s).chain(from_s..from_s + 100).for_each(same);
        let kept = |change: &&(i64, Option<bool>)| {
            let near = (stop_s..=stop_s + 5).contains(&(change.0 / SECOND_US));
            near || change.0 / SECOND_US > from_s
        };
        assert!(rest.changes.len() <= whole.changes.iter().filter(kept).count() + 2, "seed {seed}");
    }
}
