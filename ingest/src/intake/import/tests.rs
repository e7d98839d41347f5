#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use arrow::array::{BooleanArray, DictionaryArray, Int32Array, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Field, Int32Type, Schema};

use super::*;
use crate::fixture::Fixture;
use crate::intake::Limits;
use crate::login::Role;

const PRESS: &str = "cologne/press";
const SHOWN: [&str; 10] =
    ["time", "equipment", "signal", "value", "text", "quality", "work_order", "operation", "unit", "key_source"];

fn texts(texts: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(texts.into_iter().collect::<StringArray>())
}

/// Rows with and without values, texts, codes and keys; column by column what another makes of it.
fn rows(count: usize, replace: impl Fn(&str) -> Option<ArrayRef>) -> RecordBatch {
    let each = |share: usize, name: &str| {
        texts((0..count).map(|row| (row % share != 1).then(|| format!("{name}{}", row / 7))))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                (0..count).map(|row| 1_700_000_000_000_000 + row as i64),
            )),
        ),
        ("equipment", texts((0..count).map(|_| Some(PRESS.to_owned())))),
        ("signal", texts((0..count).map(|row| Some(format!("s{}", row % 3))))),
        ("value", Arc::new((0..count).map(|row| (row % 5 > 0).then_some(row as f64)).collect::<Float64Array>())),
        ("text", texts((0..count).map(|row| (row % 5 == 0).then(|| format!("text {row}"))))),
        ("quality", Arc::new((0..count).map(|row| (row % 4 > 0).then_some(row as i64 % 2)).collect::<Int64Array>())),
        ("unit", each(2, "U")),
        ("operation", each(3, "OP")),
    ];
    RecordBatch::try_from_iter(columns.into_iter().map(|(name, column)| (name, replace(name).unwrap_or(column))))
        .unwrap()
}

fn plain(count: usize) -> RecordBatch {
    rows(count, |_| None)
}

/// The same with names as dictionaries.
fn numbered(rows: &RecordBatch) -> RecordBatch {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let names = ["equipment", "signal", "unit", "operation"];
    let fields = rows
        .schema()
        .fields()
        .iter()
        .map(|field| match names.contains(&field.name().as_str()) {
            true => Field::new(field.name(), kind.clone(), true),
            false => field.as_ref().clone(),
        })
        .collect::<Vec<_>>();
    let columns = fields.iter().zip(rows.columns()).map(|(field, column)| cast(column, field.data_type()).unwrap());
    RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), columns.collect()).unwrap()
}

fn looked_at_whole(fixture: &Fixture, rows: &RecordBatch) -> bool {
    let schema = fixture.intake.store.memory_schema(table_index("samples").unwrap()).unwrap().clone();
    whole(&fixture.intake, rows, &schema, now_us()).is_some()
}

#[tokio::test]
async fn columns_are_stored_as_their_rows_would_be() {
    let login = Login::new("importer", Role::Write);
    let count = 140_000;
    let clean = plain(count);
    // One row that is refused has all looked at one by one.
    let bad = rows(1, |name| (name == "equipment").then(|| texts([Some("nowhere".to_owned())])));
    let mixed = concat_batches(&clean.schema(), [&bad, &clean]).unwrap();
    let mut found = Vec::new();
    for (rows, is_whole) in [(clean.clone(), true), (numbered(&clean), true), (mixed, false)] {
        let fixture = Fixture::new(Limits::default());
        assert_eq!(looked_at_whole(&fixture, &rows), is_whole);
        let receipt = fixture.intake.import_samples(&login, &rows).await.unwrap();
        assert_eq!((receipt.accepted, receipt.refused), (count, usize::from(!is_whole)));
        let counters = fixture.intake.counters();
        assert_eq!((counters.messages, counters.samples), (rows.num_rows() as u64, count as u64));
        let mut shown = fixture.show("samples", &SHOWN);
        shown.sort();
        found.push(shown);
    }
    assert_eq!(found[0].len(), count);
    assert!(found[0] == found[2] && found[1] == found[2]);
}

#[tokio::test]
async fn what_needs_a_look_is_looked_at() {
    let fixture = Fixture::new(Limits::default());
    let spoilt = |name: &'static str, column: ArrayRef| rows(8, move |of| (of == name).then(|| Arc::clone(&column)));
    let last = |text: Option<&str>| {
        texts((0..8).map(|row| if row == 7 { text.map(str::to_owned) } else { Some(PRESS.to_owned()) }))
    };
    let times = |last: Option<i64>| -> ArrayRef {
        let times = (0..8).map(|row| if row == 7 { last } else { Some(1_700_000_000_000_000 + row) });
        Arc::new(times.collect::<TimestampMicrosecondArray>())
    };
    let values =
        |last: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, last])) };
    let twice = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![0, 1, 0, 1, 0, 1, 0, 1]),
        texts(["U", "U"].map(|name| Some(name.to_owned()))),
    );
    assert!(looked_at_whole(&fixture, &plain(8)));
    for (name, column) in [
        ("equipment", last(Some("nowhere"))),
        ("equipment", last(None)),
        ("signal", last(Some(""))),
        ("unit", last(Some(""))),
        ("time", times(None)),
        ("time", times(Some(now_us() + 400 * 86_400_000_000))),
        ("time", times(Some(0))),
        ("value", values(f64::INFINITY)),
        ("value", values(f64::NAN)),
        ("unit", Arc::new(twice)),
    ] {
        assert!(!looked_at_whole(&fixture, &spoilt(name, column.clone())), "{name}: {column:?}");
    }
    let none = filter_record_batch(&plain(8), &BooleanArray::from(vec![false; 8])).unwrap();
    assert!(!looked_at_whole(&fixture, &none), "no rows have no times");
    let derived = RecordBatch::try_from_iter(
        plain(8)
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .zip(plain(8).columns().to_vec())
            .chain([("key_source".to_owned(), texts((0..8).map(|_| Some(DERIVED.to_owned()))))]),
    );
    assert!(!looked_at_whole(&fixture, &derived.unwrap()));
}

/// A text that is no number is a mistake to tell of, and no missing value.
#[tokio::test]
async fn what_is_not_of_its_type_is_told() {
    let login = Login::new("importer", Role::Write);
    let numbers = |last: &str| texts((0..8).map(|row| Some(if row == 7 { last.to_owned() } else { row.to_string() })));
    for (name, last, said) in [
        ("value", "7.5", None),
        ("value", "n/a", Some("`value` is no number")),
        ("quality", "good", Some("`quality` is no code")),
        ("time", "yesterday", Some("`time` is no time")),
    ] {
        let fixture = Fixture::new(Limits::default());
        let rows = rows(8, |of| match (of == name, name) {
            (true, "time") => Some(texts(
                (0..8).map(|row| Some(if row == 7 { last.to_owned() } else { format!("2025-01-01T00:00:0{row}Z") })),
            )),
            (is_one, _) => is_one.then(|| numbers(last)),
        });
        let receipt = fixture.intake.import_samples(&login, &rows).await.unwrap();
        let refused: Vec<(usize, &str)> =
            receipt.first_refused.iter().map(|refused| (refused.row, refused.reason.as_str())).collect();
        assert_eq!((refused.first().map(|(_, why)| *why), refused.len()), (said, usize::from(said.is_some())));
        assert_eq!((receipt.accepted, fixture.show("samples", &SHOWN).len()), (8 - refused.len(), 8 - refused.len()));
    }
}
