use super::*;
use crate::seeded::Seeded;

fn value(state: &str, category: Option<Category>, reason: Option<&str>) -> StateValue {
    StateValue::new(state, category, reason.map(Arc::from))
}

fn run(start: i64, end: i64) -> StateSpan {
    StateSpan { start, end, value: value("run", Some(Category::Run), None) }
}

fn stop(start: i64, end: i64) -> StateSpan {
    StateSpan { start, end, value: value("stop", Some(Category::Unplanned), None) }
}

fn given(start: i64, end: Option<i64>, recorded: i64, reason: &str) -> GivenReason {
    let category = if reason == "SETUP" { Category::Changeover } else { Category::Unplanned };
    GivenReason { equipment: "press".into(), start, end, recorded, reason: Arc::from(reason), category }
}

/// Start, end and reason of what is not running.
fn stops(spans: &[StateSpan]) -> Vec<(i64, i64, Option<&str>)> {
    let stopped = spans.iter().filter(|span| is_stopped(span));
    stopped.map(|span| (span.start, span.end, span.value.reason.as_deref())).collect()
}

fn day() -> Vec<StateSpan> {
    vec![run(0, 10), stop(10, 20), run(20, 30), stop(30, 35), run(35, 40), stop(40, OPEN)]
}

#[test]
fn a_stop_is_given_a_reason_split_merged_and_corrected() {
    let assigned = explained(day(), vec![given(10, Some(20), 1, "JAM")]);
    assert_eq!(stops(&assigned), [(10, 20, Some("JAM")), (30, 35, None), (40, OPEN, None)]);
    assert_eq!(assigned.len(), 6);

    let split = explained(day(), vec![given(10, Some(14), 1, "JAM"), given(14, Some(20), 1, "SETUP")]);
    assert_eq!(stops(&split)[..2], [(10, 14, Some("JAM")), (14, 20, Some("SETUP"))]);
    assert_eq!(split[2].value.category, Some(Category::Changeover));

    // One reason for both; the machine ran between them all the same.
    let merged = explained(day(), vec![given(10, Some(35), 1, "JAM")]);
    assert_eq!(stops(&merged)[..2], [(10, 20, Some("JAM")), (30, 35, Some("JAM"))]);
    assert!(merged.contains(&run(20, 30)));

    // The last word counts, whatever its start.
    let corrected = explained(day(), vec![given(12, Some(18), 2, "SETUP"), given(10, Some(20), 1, "JAM")]);
    assert_eq!(stops(&corrected)[..3], [(10, 12, Some("JAM")), (12, 18, Some("SETUP")), (18, 20, Some("JAM"))]);
    let over = explained(day(), vec![given(12, Some(18), 1, "SETUP"), given(10, Some(20), 2, "JAM")]);
    assert_eq!(stops(&over)[..1], [(10, 20, Some("JAM"))]);
}

#[test]
fn a_reason_without_an_end_holds_until_the_machine_runs() {
    let open = explained(day(), vec![given(12, None, 1, "JAM")]);
    assert_eq!(stops(&open)[..3], [(10, 12, None), (12, 20, Some("JAM")), (30, 35, None)]);
    assert_eq!(stops(&explained(day(), vec![given(41, None, 1, "JAM")])).last(), Some(&(41, OPEN, Some("JAM"))));
    // While it ran there is nothing to explain.
    assert_eq!(explained(day(), vec![given(22, None, 1, "JAM")]), day());
    assert_eq!(explained(day(), vec![given(20, Some(30), 1, "JAM")]), day());
}

/// Which reason counts at `t`, as the rule says it.
fn rule(spans: &[StateSpan], reasons: &[GivenReason], t: i64) -> Option<(bool, Option<Arc<str>>)> {
    let span = spans.iter().find(|span| span.start <= t && t < span.end)?;
    let ran_between = |from: i64| spans.iter().any(|span| !is_stopped(span) && span.start <= t && from < span.end);
    let covers = |given: &&GivenReason| match given.end {
        Some(end) => given.start <= t && t < end,
        None => given.start <= t && !ran_between(given.start),
    };
    let counts = reasons.iter().filter(covers).max_by_key(|given| (given.recorded, given.start));
    let reason = counts.filter(|_| is_stopped(span)).map(|given| Arc::clone(&given.reason));
    Some((is_stopped(span), reason.or_else(|| span.value.reason.clone())))
}

#[test]
fn every_instant_has_the_reason_that_the_rule_gives_it() {
    for seed in 0..2_000 {
        let mut random = Seeded::new(seed);
        let (mut spans, mut t) = (Vec::new(), random.within(0, 5));
        for _ in 0..random.within(1, 12) {
            t += if random.chance(20) { random.within(1, 5) } else { 0 };
            let end = t + random.within(1, 12);
            append(&mut spans, t, end, if random.chance(50) { run(0, 1).value } else { stop(0, 1).value });
            t = end;
        }
        let reasons: Vec<GivenReason> = (0..random.within(0, 8))
            .map(|recorded| {
                let start = random.within(-3, t + 3);
                let end = random.chance(70).then(|| start + random.within(-2, 20));
                given(start, end, recorded, random.pick(&["A", "B", "SETUP"]))
            })
            .collect();
        let found = explained(spans.clone(), reasons.clone());
        for at in -5..t + 5 {
            let now = found.iter().find(|span| span.start <= at && at < span.end);
            let now = now.map(|span| (is_stopped(span), span.value.reason.clone()));
            assert_eq!(now, rule(&spans, &reasons, at), "seed {seed}, at {at}: {reasons:?} on {spans:?}");
        }
        assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "seed {seed}");
    }
}
