#![allow(clippy::unwrap_used, reason = "a test may panic")]

use arrow::datatypes::{Field, Schema};
use oee::execution::{Execution, Executions};

use super::*;

fn context() -> Arc<Context> {
    let execution = |unit: &str, started, completed| Execution {
        run: unit.into(),
        equipment: "line/press".into(),
        work_order: Some("WO-1".into()),
        product: None,
        operation: Some("pressing".into()),
        unit: Some(unit.into()),
        started,
        completed,
        result: None,
        operator: None,
        quantity: None,
        recorded: 0,
    };
    let executions = Executions::from_iter([execution("A", 10, Some(20)), execution("B", 20, None)]);
    let mut context = Context::default();
    context.executions = executions;
    Arc::new(context)
}

fn samples(rows: &[(i64, &str, Option<&str>, Option<&str>)]) -> RecordBatch {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema =
        Schema::new(vec![Field::new("time", time_type(), true), text("equipment"), text("unit"), text("key_source")]);
    let times: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.0)).collect();
    let strings = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let columns = vec![
        Arc::new(times.with_timezone("UTC")) as ArrayRef,
        strings(rows.iter().map(|row| Some(row.1)).collect()),
        strings(rows.iter().map(|row| row.2).collect()),
        strings(rows.iter().map(|row| row.3).collect()),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn units(batch: &RecordBatch) -> Vec<(Option<&str>, Option<&str>)> {
    let texts = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
    texts("unit").iter().zip(texts("key_source").iter()).collect()
}

#[test]
fn keys_follow_the_executions_and_explicit_ones_stay() {
    let rekey = Rekey { context: context(), scope: Scope::All };
    let batch = samples(&[
        (5, "line/press", Some("stale"), Some("derived")),
        (10, "line/press", None, None),
        (15, "line/press", Some("named"), Some("explicit")),
        (25, "line/press/ram", None, None),
        (15, "line/weld", Some("stale"), Some("derived")),
    ]);
    let expected = [
        (None, None),
        (Some("A"), Some("derived")),
        (Some("named"), Some("explicit")),
        (Some("B"), Some("derived")),
        (None, None),
    ];
    assert_eq!(units(&rekey.apply(&batch).unwrap()), expected);
}

#[test]
fn rows_outside_the_stretches_keep_what_was_stored() {
    let stretch = Affected { equipment: "line".into(), from: 12, to: 20 };
    let rekey = Rekey { context: context(), scope: Scope::Stretches(Arc::from([stretch])) };
    let batch =
        samples(&[(11, "line/press", Some("old"), Some("derived")), (12, "line/press", Some("old"), Some("derived"))]);
    let expected = [(Some("old"), Some("derived")), (Some("A"), Some("derived"))];
    assert_eq!(units(&rekey.apply(&batch).unwrap()), expected);
}
