use super::*;

fn version(run: &str, unit: &str, started: i64, completed: Option<i64>, recorded: i64) -> Version {
    Version {
        execution: Execution {
            run: run.to_owned(),
            equipment: "plant/press".to_owned(),
            work_order: Some("WO-1".to_owned()),
            product: None,
            operation: Some("pressing".to_owned()),
            unit: Some(unit.to_owned()),
            started,
            completed,
            recorded,
        },
        valid: true,
    }
}

fn stretches(affected: &[Affected]) -> Vec<(i64, i64)> {
    affected.iter().map(|stretch| (stretch.from, stretch.to)).collect()
}

#[test]
fn a_unit_is_found_where_it_ran() {
    let mut context = Context::default();
    context.apply(version("1", "A", 100, Some(200), 1_000));
    context.apply(version("2", "B", 200, None, 1_000));
    assert_eq!(context.located(Some(&["A"]), None).as_deref().map(stretches), Some(vec![(100, 200)]));
    assert_eq!(context.located(Some(&["B"]), None).as_deref().map(stretches), Some(vec![(200, OPEN)]));
    assert_eq!(context.located(None, Some(&["WO-1"])).as_deref().map(stretches), Some(vec![(100, OPEN)]));
    assert_eq!(context.located(Some(&["C"]), None).as_deref().map(stretches), Some(vec![]));
}

#[test]
fn only_what_was_recorded_later_and_touches_the_segment_is_affected() {
    let mut context = Context::default();
    context.apply(version("1", "A", 100, None, 1_000));
    context.apply(version("1", "A", 100, Some(200), 2_000));
    assert_eq!(stretches(&context.affected(1_500, 0, 1_000)), vec![(200, OPEN)]);
    assert_eq!(stretches(&context.affected(2_000, 0, 1_000)), vec![]);
    assert_eq!(stretches(&context.affected(1_500, 0, 199)), vec![]);
}

#[test]
fn a_retracted_execution_leaves_the_index_and_stays_out() {
    let mut context = Context::default();
    context.apply(version("1", "A", 100, Some(200), 1_000));
    context.apply(Version { valid: false, ..version("1", "A", 100, Some(200), 2_000) });
    context.apply(version("1", "A", 100, Some(200), 1_000));
    assert!(context.executions.is_empty());
    assert_eq!(context.located(Some(&["A"]), None).as_deref().map(stretches), Some(vec![]));
    assert_eq!(stretches(&context.affected(1_500, 0, 1_000)), vec![(100, OPEN)]);
}

#[test]
fn a_repeated_version_changes_nothing() {
    let mut context = Context::default();
    for _ in 0..3 {
        context.apply(version("1", "A", 100, Some(200), 1_000));
    }
    assert_eq!(context.changes.len(), 1);
}

#[test]
fn too_many_stretches_become_one_per_equipment() {
    let many = (0..1_000).map(|n| Affected { equipment: "a".to_owned(), from: n * 10, to: n * 10 + 5 }).collect();
    assert_eq!(stretches(&joined(many)), vec![(0, 9_995)]);
}
