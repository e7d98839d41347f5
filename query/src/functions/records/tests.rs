use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::DataType;

use super::*;

const PLANT: &str = r#"
[plant]
name = "test"
zone = "UTC"
[[equipment]]
path = "site"
[[equipment]]
path = "site/a"
state_source = "mes"
count_source = "mes"
"#;

/// Rows of `counts` and of `states` at once: equipment and who says so.
fn rows(said: &[(&str, &str)]) -> RecordBatch {
    let count = said.len();
    let texts = |text: &dyn Fn(&(&str, &str)) -> String| -> ArrayRef {
        Arc::new(said.iter().map(|said| Some(text(said))).collect::<StringArray>())
    };
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(0..count as i64).with_timezone("UTC"));
    let mut columns = vec![
        ("equipment", texts(&|said| said.0.to_owned())),
        ("source", texts(&|said| said.1.to_owned())),
        ("state", texts(&|_| "RUN".to_owned())),
        ("time", Arc::clone(&times)),
        ("start", times),
        ("total", Arc::new(Float64Array::from(vec![1.0; count]))),
    ];
    for (name, kind) in [("category", DataType::Utf8), ("reason", DataType::Utf8), ("good", DataType::Float64)] {
        columns.push((name, new_null_array(&kind, count)));
    }
    for name in ["scrap", "rework"] {
        columns.push((name, new_null_array(&DataType::Float64, count)));
    }
    for name in ["end", "recorded"] {
        columns.push((name, new_null_array(&crate::types::time_type(), count)));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

#[test]
fn nobody_hears_of_an_equipment_of_which_no_row_counts() {
    let plant = Plant::parse(PLANT).unwrap();
    for (said, counting) in [(&[("site/a", "plc"), ("site/a", "plc")], 0), (&[("site/a", "plc"), ("site/a", "mes")], 1)]
    {
        let (batch, mut heard) = (rows(said), Vec::new());
        each_piece(&plant, &batch, |path, pieces| heard.push((path.to_owned(), pieces.len()))).unwrap();
        StateRows::default()
            .each(&plant, &batch, |path, records| heard.push((path.to_owned(), records.len())))
            .unwrap();
        let expected = if counting == 0 { vec![] } else { vec![("site/a".to_owned(), counting); 2] };
        assert_eq!(heard, expected, "{said:?}");
    }
}
