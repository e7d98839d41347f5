#![allow(clippy::unwrap_used, reason = "a test may panic")]

use arrow::array::{StringArray, new_null_array};
use arrow::datatypes::{Field, Schema};

use super::*;

fn version(run: &str, unit: &str, started: i64, completed: Option<i64>, recorded: i64) -> Version {
    Version {
        execution: Execution {
            run: run.into(),
            equipment: "plant/press".into(),
            work_order: Some("WO-1".into()),
            product: None,
            operation: Some("pressing".into()),
            unit: Some(unit.into()),
            started,
            completed,
            result: None,
            operator: None,
            quantity: None,
            recorded,
        },
        valid: true,
    }
}

fn stretches(affected: &[Affected]) -> Vec<(i64, i64)> {
    affected.iter().map(|stretch| (stretch.from, stretch.to)).collect()
}

fn unit(context: &Context, unit: &str) -> Option<Vec<Affected>> {
    context.located(&Located { units: Some(vec![unit]), ..Located::default() })
}

#[test]
fn a_unit_at_an_operation_is_found_where_it_was_worked_on_so() {
    let mut context = Context::default();
    let at = |run, operation: Option<&str>, started, completed| {
        let mut version = version(run, "A", started, Some(completed), 1_000);
        version.execution.operation = operation.map(Arc::from);
        version
    };
    context.apply(at("1", Some("press"), 100, 200));
    context.apply(at("2", Some("test"), 300, 400));
    context.apply(at("3", None, 500, 600));
    let found = |operations: &[&'static str]| {
        let wanted =
            Located { units: Some(vec!["A"]), operations: Some(operations.to_vec()), orders: Some(vec!["WO-2"]) };
        context.located(&wanted).as_deref().map(stretches)
    };
    assert_eq!(found(&["test"]), Some(vec![(300, 400)]));
    assert_eq!(found(&["press", "test"]), Some(vec![(100, 200), (300, 400)]));
    assert_eq!(found(&["paint"]), Some(vec![]));
    assert_eq!(unit(&context, "A").as_deref().map(stretches), Some(vec![(100, 200), (300, 400), (500, 600)]));
}

#[test]
fn a_unit_is_found_where_it_ran() {
    let mut context = Context::default();
    context.apply(version("1", "A", 100, Some(200), 1_000));
    context.apply(version("2", "B", 200, None, 1_000));
    assert_eq!(unit(&context, "A").as_deref().map(stretches), Some(vec![(100, 200)]));
    assert_eq!(unit(&context, "B").as_deref().map(stretches), Some(vec![(200, OPEN)]));
    assert_eq!(
        context.located(&Located { orders: Some(vec!["WO-1"]), ..Located::default() }).as_deref().map(stretches),
        Some(vec![(100, OPEN)])
    );
    assert_eq!(unit(&context, "C").as_deref().map(stretches), Some(vec![]));
}

#[test]
fn only_what_was_recorded_later_and_touches_the_segment_is_affected() {
    let mut context = Context::default();
    context.apply(version("1", "A", 100, None, 1_000));
    context.apply(version("1", "A", 100, Some(200), 2_000));
    assert_eq!(stretches(&context.affected(1_500, 0, 1_000)), vec![(200, OPEN)]);
    assert_eq!(stretches(&context.affected(2_000, 0, 1_000)), vec![]);
    let made: Vec<(i64, i64)> = context.made_since(1_500).map(|(recorded, made)| (recorded, made.from)).collect();
    assert_eq!(made, [(2_000, 199)], "what was made counts at the last moment");
    assert_eq!(stretches(&context.affected(1_500, 0, 199)), vec![]);
}

#[test]
fn a_retracted_execution_leaves_the_index_and_stays_out() {
    let mut context = Context::default();
    context.apply(version("1", "A", 100, Some(200), 1_000));
    context.apply(Version { valid: false, ..version("1", "A", 100, Some(200), 2_000) });
    context.apply(version("1", "A", 100, Some(200), 1_000));
    assert!(context.executions.is_empty());
    assert_eq!(unit(&context, "A").as_deref().map(stretches), Some(vec![]));
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
    let many = (0..1_000).map(|n| Affected { equipment: "a".into(), from: n * 10, to: n * 10 + 5 }).collect();
    assert_eq!(stretches(&joined(many)), vec![(0, 9_995)]);
}

/// A table `operations` with what keys follow from.
fn operations() -> storage::TableSpec {
    let kind = |name: &str| match name {
        "started" | "completed" | "recorded" => time_type(),
        "quantity" => DataType::Float64,
        _ => DataType::Utf8,
    };
    let names = COLUMNS.iter().copied().filter(|name| *name != "deleted").chain(["recorded_by", "change_reason"]);
    let fields: Vec<Field> = names.map(|name| Field::new(name, kind(name), true)).collect();
    storage::TableSpec {
        name: OPERATIONS.to_owned(),
        schema: Arc::new(Schema::new(fields)),
        // The author of a version is a name.
        names: vec![COLUMNS.len() - 1],
        key: vec![0],
        time: None,
        status: None,
        age: None,
        upsert: storage::Upsert::Record,
        bloom: Vec::new(),
        derived: None,
    }
}

/// Stores an execution of a unit.
fn execute(store: &storage::Store, unit: &str) {
    let spec = operations();
    let schema = spec.memory_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "run" | "unit" => Arc::new(StringArray::from(vec![unit])),
            "equipment" => Arc::new(StringArray::from(vec!["plant/press"])),
            "started" => Arc::new(TimestampMicrosecondArray::from(vec![100]).with_timezone("UTC")),
            _ => new_null_array(field.data_type(), 1),
        }
    });
    let batch = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let rows = storage::Rows { table: 0, batch, present: None, deleted: Vec::new() };
    store.append_and_wait(storage::Write { rows: vec![rows], by: "test".into(), patient: false }).unwrap();
}

#[test]
fn a_context_is_never_newer_than_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let clock = std::sync::atomic::AtomicI64::new(1);
    let options = crate::fixture::on_demand(move || clock.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let store = storage::Store::open(folder.path(), vec![operations()], options).unwrap();
    execute(&store, "A");
    let older = store.snapshot();
    execute(&store, "B");
    let newer = store.snapshot();
    let cache = ContextCache::default();
    let known = |snapshot: &storage::Snapshot| {
        let context = cache.at(&snapshot.tables[0]).unwrap();
        ["A", "B"].map(|unit| context.by_unit.contains_key(unit))
    };
    assert_eq!(known(&newer), [true, true]);
    assert_eq!(known(&older), [true, false]);
    assert_eq!(known(&newer), [true, true]);
}
