use std::sync::Arc;

use oee::tables::SAMPLES;

use crate::sample::{Keys, Sample, Samples};
use crate::schema::table_specs;

use super::*;

fn execution(run: &str, equipment: &str, unit: Option<&str>, started: i64, completed: Option<i64>) -> Execution {
    Execution {
        run: run.into(),
        equipment: equipment.into(),
        work_order: Some("WO-1".into()),
        product: None,
        operation: Some("press".into()),
        unit: unit.map(Into::into),
        started,
        completed,
        result: None,
        operator: None,
        quantity: None,
        recorded: 0,
    }
}

fn samples(rows: &[(&str, i64, Keys<'_>)]) -> RecordBatch {
    let mut samples = Samples::default();
    for &(equipment, time, keys) in rows {
        samples.push(&Sample { time, equipment, signal: "s", value: Some(1.0), text: None, quality: 0, keys });
    }
    let specs = table_specs();
    let spec = specs.iter().find(|spec| spec.name == SAMPLES.name).unwrap();
    samples.finish(spec.memory_schema()).unwrap()
}

/// `work_order/operation/unit/key_source` of every row.
fn keys(rows: &RecordBatch) -> Vec<String> {
    let columns: Vec<StringArray> = KEY_COLUMNS
        .iter()
        .map(|name| cast(rows.column_by_name(name).unwrap(), &DataType::Utf8).unwrap().as_string::<i32>().clone())
        .collect();
    let shown = |column: &StringArray, row: usize| if column.is_null(row) { "-" } else { column.value(row) }.to_owned();
    (0..rows.num_rows())
        .map(|row| columns.iter().map(|column| shown(column, row)).collect::<Vec<_>>().join("/"))
        .collect()
}

#[test]
fn keys_follow_executions_and_explicit_ones_stay() {
    let executions: Executions =
        [execution("r1", "a/b", Some("SN1"), 10, Some(20)), execution("r2", "a", None, 0, None)].into_iter().collect();
    let none = Keys::default();
    let explicit = Keys { unit: Some("SN9"), ..none };
    let rows = samples(&[("a/b", 15, none), ("a/b", 25, none), ("a/b", 15, explicit), ("z", 15, none)]);
    let keyed = key_rows(&executions, &rows).unwrap();
    assert_eq!(keys(&keyed), ["WO-1/press/SN1/derived", "WO-1/press/-/derived", "-/-/SN9/explicit", "-/-/-/-"]);
    assert_eq!(keyed.schema(), rows.schema());
}

#[test]
fn a_change_is_seen_by_the_next_look() {
    let keyer = Keyer::empty();
    let fixture = crate::fixture::Fixture::new(crate::admit::Limits::default());
    let store = fixture.intake.store();
    let operations = table_index(OPERATIONS.name).unwrap();
    let schema = store.specs()[operations].hot_schema();
    let table = crate::record::table("operations").unwrap();
    let row = |json: &str| {
        let plant =
            oee::plant::Plant::parse("[plant]\nname = \"t\"\nzone = \"UTC\"\n[[equipment]]\npath = \"a\"\n").unwrap();
        let object = crate::record::objects(json.as_bytes()).unwrap().remove(0);
        let row = table.row(&object, &plant).unwrap();
        let mut batch = crate::batch::Batch::new("t".into(), "test");
        batch.push_record(operations, &row);
        let rows = batch.into_write(store, false).unwrap().rows.remove(0);
        let deleted: ArrayRef = Arc::new(BooleanArray::from(vec![row.deleted]));
        let columns = rows.batch.columns().iter().cloned().chain([deleted]).collect();
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    };
    let open = row(r#"{"run":"r1","equipment":"a","unit":"SN1","started":1795248000}"#);
    keyer.note(&[(operations, open)], 7);
    assert_eq!(keyer.executions().key_at("a", 1_795_248_001_000_000).unit, Some("SN1"));
    assert_eq!(keyer.watermark(), 7);
    let gone = row(r#"{"run":"r1","equipment":"a","unit":"SN1","started":1795248000,"deleted":true}"#);
    keyer.note(&[(operations, gone)], 8);
    assert_eq!(keyer.executions().key_at("a", 1_795_248_001_000_000).unit, None);
    assert_eq!(keyer.watermark(), 8);
}

#[tokio::test]
async fn a_retraction_is_the_newest_change_after_a_start_too() {
    let fixture = crate::fixture::Fixture::new(crate::admit::Limits::default());
    let (intake, store) = (&fixture.intake, fixture.intake.store());
    let login = crate::login::Login::local();
    let open = br#"{"run":"r1","equipment":"cologne/press","unit":"SN1","started":1795248000}"#;
    intake.records(&login, "operations", open).await.unwrap();
    store.flush().unwrap();
    let before = Keyer::load(store).unwrap().watermark();
    intake.records(&login, "operations", br#"{"run":"r1","deleted":true}"#).await.unwrap();
    let watermark = intake.keyer().watermark();
    assert!(watermark > before);
    // Hot, flushed, and merged.
    assert_eq!(Keyer::load(store).unwrap().watermark(), watermark);
    store.flush().unwrap();
    assert_eq!(Keyer::load(store).unwrap().watermark(), watermark);
    store.compact().unwrap();
    assert_eq!(Keyer::load(store).unwrap().watermark(), watermark);
}
