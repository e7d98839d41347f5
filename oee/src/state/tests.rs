use super::{Category, RecordKind, StateRecord, StateSpan, StateValue, timeline};
use crate::OPEN;
use crate::seeded::Seeded;

fn value(state: &str) -> StateValue {
    let category = match state {
        "run" => Some(Category::Run),
        "lost" => None,
        _ => Some(Category::Unplanned),
    };
    StateValue::new(state, category, None)
}

fn record(start: i64, end: Option<i64>, recorded: i64, state: &str) -> StateRecord {
    StateRecord { start, end, recorded, value: value(state) }
}

fn span(start: i64, end: i64, state: &str) -> StateSpan {
    StateSpan { start, end, value: value(state) }
}

#[test]
fn a_change_holds_until_the_next() {
    let records = vec![record(20, None, 0, "stop"), record(10, None, 0, "run"), record(30, None, 0, "stop")];
    assert_eq!(timeline(RecordKind::Change, records), [span(10, 20, "run"), span(20, OPEN, "stop")]);
}

#[test]
fn at_equal_starts_the_last_change_wins() {
    let records = vec![record(10, None, 2, "b"), record(10, None, 1, "a"), record(10, None, 2, "c")];
    assert_eq!(timeline(RecordKind::Change, records), [span(10, OPEN, "c")]);
}

#[test]
fn an_unknown_state_ends_the_one_before() {
    let records = vec![record(10, None, 0, "run"), record(20, None, 0, "lost")];
    assert_eq!(timeline(RecordKind::Change, records), [span(10, 20, "run"), span(20, OPEN, "lost")]);
}

#[test]
fn an_outer_interval_resumes_after_an_inner_one() {
    let records = vec![
        record(0, Some(100), 0, "run"),
        record(20, Some(30), 0, "stop"),
        record(40, Some(40), 9, "stop"),
        record(120, None, 0, "stop"),
    ];
    let expected = [span(0, 20, "run"), span(20, 30, "stop"), span(30, 100, "run"), span(120, OPEN, "stop")];
    assert_eq!(timeline(RecordKind::Interval, records), expected);
}

#[test]
fn intervals_follow_the_rule_at_every_instant() {
    for seed in 0..300 {
        let mut random = Seeded::new(seed);
        let records: Vec<StateRecord> = (0..random.within(0, 15))
            .map(|_| {
                let start = random.within(0, 30);
                let end = random.chance(85).then(|| start + random.within(0, 12));
                record(start, end, random.within(0, 3), random.pick(&["run", "a", "b", "lost"]))
            })
            .collect();
        let spans = timeline(RecordKind::Interval, records.clone());
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "seed {seed}: {spans:?}");
        for t in -1..60 {
            let covers = |r: &&StateRecord| r.start <= t && r.end.is_none_or(|end| t < end);
            // `max_by_key` gives the last of equals, which is input order.
            let expected = records.iter().filter(covers).max_by_key(|r| (r.start, r.recorded)).map(|r| &r.value);
            let found = spans.iter().find(|span| span.start <= t && t < span.end).map(|span| &span.value);
            assert_eq!(found, expected, "seed {seed} at {t}: {records:?}");
        }
    }
}

#[test]
fn categories_have_names() {
    for category in Category::ALL {
        assert_eq!(Category::from_name(category.name()), Some(category));
    }
    assert_eq!(Category::from_name("RUN"), None);
}
