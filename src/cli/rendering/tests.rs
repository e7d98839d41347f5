use std::sync::Arc;

use arrow::array::{Float64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;

use super::{Format, Rendering};

fn batch() -> RecordBatch {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("time", instant, true),
        Field::new("equipment", DataType::Utf8, true),
        Field::new("oee", DataType::Float64, true),
    ]);
    let times = TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("UTC");
    let equipment = StringArray::from(vec!["cologne/press", "köln, \"weld\""]);
    let oee = Float64Array::from(vec![Some(0.5), None]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(times), Arc::new(equipment), Arc::new(oee)]).unwrap()
}

fn rendered(format: Format, batches: &[RecordBatch]) -> String {
    let mut text = Vec::new();
    let mut rendering = Rendering::new(format, &mut text);
    for batch in batches {
        rendering.write(batch).unwrap();
    }
    rendering.finish(&batch().schema()).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn tables_are_aligned() {
    let expected = "\
time                    equipment       oee
----------------------  -------------  ----
1970-01-01T00:00:00Z    cologne/press   0.5
1970-01-01T00:00:01.5Z  köln, \"weld\"   NULL
(2 rows)
";
    assert_eq!(rendered(Format::Table, &[batch()]), expected);
}

#[test]
fn csv_is_quoted_and_headed_once() {
    let expected = "time,equipment,oee\n1970-01-01T00:00:00Z,cologne/press,0.5\n\
                    1970-01-01T00:00:01.5Z,\"köln, \"\"weld\"\"\",\n";
    assert_eq!(rendered(Format::Csv, &[batch().slice(0, 1), batch().slice(1, 1)]), expected);
}

#[test]
fn json_is_a_list_of_objects() {
    let value: serde_json::Value = serde_json::from_str(&rendered(Format::Json, &[batch()])).unwrap();
    assert_eq!(value[0]["oee"], 0.5);
    assert_eq!(value[1]["time"], "1970-01-01T00:00:01.5Z");
    assert!(value[1]["oee"].is_null());
}

#[test]
fn results_without_rows_show_their_columns() {
    assert!(rendered(Format::Table, &[]).starts_with("time  equipment  oee\n"));
    assert_eq!(rendered(Format::Csv, &[]), "time,equipment,oee\n");
    assert_eq!(rendered(Format::Json, &[]).trim(), "[]");
}
