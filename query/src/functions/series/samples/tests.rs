#![allow(clippy::unwrap_used, reason = "a test may panic")]

use arrow::datatypes::{Field, Schema};

use super::*;

fn samples(names: &[(&str, &str)]) -> Samples {
    let rows = i64::try_from(names.len()).unwrap();
    let fields = [
        ("equipment", DataType::Utf8),
        ("signal", DataType::Utf8),
        ("time", time_type()),
        ("value", DataType::Float64),
        ("quality", DataType::Int64),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(names.iter().map(|name| name.0))),
        Arc::new(StringArray::from_iter_values(names.iter().map(|name| name.1))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(0..rows).with_timezone("UTC")),
        Arc::new((0..rows).map(|row| (row != 1).then_some(row as f64)).collect::<Float64Array>()),
        Arc::new((0..rows).map(|row| (row != 2).then_some(row << 30)).collect::<Int64Array>()),
    ];
    let schema = Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec());
    Samples::of(&RecordBatch::try_new(Arc::new(schema), columns).unwrap()).unwrap()
}

#[test]
fn a_run_is_of_one_signal() {
    let two = samples(&[("a", "x"), ("a", "x"), ("a", "y"), ("b", "y"), ("b", "y")]);
    assert_eq!(two.runs().unwrap(), [0..2, 2..3, 3..5]);
    assert_eq!(two.sorted_runs().unwrap(), [0..2, 2..3, 3..5]);
    let one = samples(&[("a", "x"), ("a", "x")]);
    assert_eq!(one.sorted_runs().unwrap(), std::iter::once(0..2).collect::<Vec<_>>());
    // Rows that are in no order.
    let torn = samples(&[("a", "x"), ("b", "x"), ("a", "x")]);
    assert_eq!(torn.runs().unwrap(), [0..1, 1..2, 2..3]);
    assert!(samples(&[]).sorted_runs().unwrap().is_empty());
}

#[test]
fn a_sample_without_a_code_is_good() {
    let rows = samples(&[("a", "x"); 4]);
    let expected = [
        (0, Some(0.0), Severity::Good),
        (1, None, Severity::Uncertain),
        (2, Some(2.0), Severity::Good),
        (3, Some(3.0), Severity::Bad),
    ];
    for (row, (time_us, value, severity)) in expected.into_iter().enumerate() {
        assert_eq!(rows.sample(row), Sample { time_us, value, severity });
    }
}
