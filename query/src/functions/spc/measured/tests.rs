use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};

use super::*;

/// Values of one chart, all of one moment, of which nothing else is known.
fn rows(values: &[f64]) -> RecordBatch {
    let count = values.len();
    let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
    let numbers = |numbers: Vec<Option<f64>>| -> ArrayRef { Arc::new(Float64Array::from(numbers)) };
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![7; count]).with_timezone("UTC"))),
        ("equipment", texts("site/a")),
        ("characteristic", texts("gap")),
        ("piece", Arc::new(Int64Array::from(vec![1; count]))),
        ("value", numbers(values.iter().copied().map(Some).collect())),
    ];
    for name in ["lower_limit", "upper_limit", "target"] {
        columns.push((name, numbers(vec![None; count])));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn values_that_nothing_tells_apart_are_in_one_order_however_they_come() {
    let plant = Plant::parse(crate::fixture::PLANT).unwrap();
    let (one, other) = (rows(&[3.0, 1.0]), rows(&[2.0, 4.0]));
    for batches in [[one.clone(), other.clone()], [other, one]] {
        let found = Measurements::of_rows(&batches, ChartKind::IMr, &plant, &Excluded::default()).unwrap();
        let values: Vec<f64> = found.series[0].values.iter().map(|measured| measured.value).collect();
        assert_eq!((found.series.len(), values), (1, vec![1.0, 2.0, 3.0, 4.0]));
    }
}
