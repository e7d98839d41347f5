use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, DictionaryArray, Float64Array, Int64Array, NullArray,
    StringArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use oee::tables::{MEASUREMENTS, SAMPLES, Table};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::chunk::{Body, CHUNK_BYTES, Chunk, Chunks, Places};
use super::columns::epoch_us;
use super::{open, table_named};

struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn parquet(&self, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let path = self.folder.path().join("file.parquet");
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    }
}

fn refusal(path: &Path, table: &'static Table) -> String {
    match open(path, table) {
        Ok(_) => panic!("the file was accepted"),
        Err(error) => format!("{error:#}"),
    }
}

fn only_chunk(mut file: Box<dyn Chunks>) -> Chunk {
    let chunk = file.next().unwrap().unwrap();
    assert!(file.next().unwrap().is_none());
    chunk
}

fn rows(chunk: &Chunk) -> (&RecordBatch, &Places) {
    match &chunk.batch {
        Body::Rows { rows, places } => (rows, places),
        Body::Lines { .. } => panic!("lines where rows were expected"),
    }
}

fn times_us(rows: &RecordBatch) -> Vec<i64> {
    rows.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>().values().to_vec()
}

#[test]
fn semicolons_and_tabs_separate_too() {
    let fixture = Fixture::new();
    for (separator, value) in [(";", "12,5"), ("\t", "12,5"), (",", "\"12,5\""), (";", "12.5"), (",", "12.5")] {
        let header = ["\u{feff}time", "equipment", "\"signal\"", "value", "text"].join(separator);
        let row = ["1748757600", "line/press", "force", value, "\"a;b,\tc\""].join(separator);
        let text = format!("{header}\r\n{row}\r\n");
        let chunk = only_chunk(open(&fixture.file("history.csv", &text), &SAMPLES).unwrap());
        assert_eq!(chunk.refusals, [], "{text}");
        let (rows, _) = rows(&chunk);
        assert_eq!(rows.column_by_name("value").unwrap().as_primitive::<Float64Type>().value(0), 12.5, "{text}");
        assert_eq!(rows.column_by_name("text").unwrap().as_string::<i32>().value(0), "a;b,\tc", "{text}");
    }
    let text = "time;equipment;signal;value\n1748757600;line/press;force;1,234,5\n";
    let chunk = only_chunk(open(&fixture.file("history.csv", text), &SAMPLES).unwrap());
    assert!(chunk.refusals[0].1.contains("`value` is `1,234,5`, which is not a number"), "{:?}", chunk.refusals);
}

#[test]
fn csv_rows_are_typed_and_bad_ones_named_by_line() {
    let fixture = Fixture::new();
    let text = "time,equipment,signal,value\n\
                2025-06-01T06:00:00+02:00,line/press,force,12.5\n\
                yesterday,line/press,force,1\n\
                1748757600000,line/press,force,\n\
                1748757601,line/press,force\n\
                1748757602,line/press,force,much\n\
                1748757603,line/press,force,9007199254740993\n\
                1748757604,line/press,force,1234567890123456789012345678901234567890123456789\n\
                1748757605,line/press,force,1e300\n";
    let path = fixture.file("history.csv", text);
    let chunk = only_chunk(open(&path, &SAMPLES).unwrap());
    let (rows, places) = rows(&chunk);
    assert_eq!(times_us(rows), [1_748_750_400_000_000, 1_748_757_600_000_000, 1_748_757_605_000_000]);
    let values = rows.column_by_name("value").unwrap().as_primitive::<Float64Type>();
    assert_eq!((values.value(0), values.is_null(1)), (12.5, true));
    assert_eq!((places.of(0), places.of(1)), ("2".to_owned(), "4".to_owned()));
    let lines: Vec<&str> = chunk.refusals.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["3", "5", "6", "7", "8"]);
    assert_eq!(chunk.size, text.len() as u64 - "time,equipment,signal,value\n".len() as u64);
}

#[test]
fn lines_of_csv_are_those_of_an_editor() {
    let fixture = Fixture::new();
    let written = [
        "time,equipment,signal,value,text",
        "1748757600,line/press,force,1,",
        "1748757601,line/press,force,bad,",
        "",
        "1748757602,line/press,force,2,\"a",
        "b\"",
        "1748757603,line/press,force,bad,",
        "1748757604,line/press",
        "1748757605,line/press,force,3,\"say \"\"so\"\"\"",
        "1748757606,line/press,force,bad,",
    ];
    for end in ["\n", "\r\n"] {
        for closed in [true, false] {
            let text = written.join(end) + if closed { end } else { "" };
            let chunk = only_chunk(open(&fixture.file("lines.csv", &text), &SAMPLES).unwrap());
            let lines: Vec<&str> = chunk.refusals.iter().map(|(line, _)| line.as_str()).collect();
            assert_eq!(lines, ["3", "7", "8", "10"], "{end:?} {closed}");
            let (batch, places) = rows(&chunk);
            assert_eq!((0..3).map(|row| places.of(row)).collect::<Vec<_>>(), ["2", "5", "9"], "{end:?} {closed}");
            assert_eq!(batch.column_by_name("text").unwrap().as_string::<i32>().value(2), "say \"so\"");
        }
    }
}

/// What quotes go wrong in is refused, and all around it stored.
#[test]
fn quotes_that_go_wrong_are_told() {
    let fixture = Fixture::new();
    let told = |name: &str, cells: &[&str]| {
        let lines = cells.iter().enumerate().map(|(row, cells)| format!("174875760{row},line/press,note,{cells}\n"));
        let file = format!("time,equipment,signal,text,value\n{}", lines.collect::<String>());
        let chunk = only_chunk(open(&fixture.file(name, &file), &SAMPLES).unwrap());
        let refused = chunk.refusals.iter().map(|(line, message)| format!("{line}: {message}")).collect::<Vec<_>>();
        (rows(&chunk).0.num_rows(), refused)
    };
    // Inside a cell without quotes a quote is one, also in the last row.
    assert_eq!(told("plain.csv", &["a,", "5\" pipe,", "5\" pipe,"]), (3, Vec::new()));
    assert_eq!(told("lines.csv", &["\"a\nb\",", "b,"]), (2, Vec::new()));
    for (name, cells, stored, line, complaint) in [
        ("last.csv", ["a,", "b,", "\"5 inch,"].as_slice(), 2, "4", "none closes it"),
        ("open.csv", &["a,", "\"5 inch,", "b,", "c,"], 1, "3", "none closes it"),
        ("even.csv", &["a,", "x\"y \",", "\"5 inch,", "b,"], 2, "4", "none closes it"),
        ("cells.csv", &["a,", "\"5 inch,1,2", "b,"], 1, "3", "none closes it"),
        ("text.csv", &["a,", "\"5 inch,", "b,", "\"c\","], 1, "3", "2 lines further on"),
        ("more.csv", &["a,", "\"5 inch,", "\"c\",", "d,", "e,"], 3, "3", "a line further on"),
    ] {
        let (rows, refused) = told(name, cells);
        assert_eq!(rows, stored, "{name}: {refused:?}");
        assert_eq!(refused.len(), 1, "{name}: {refused:?}");
        assert!(refused[0].starts_with(&format!("{line}: ")) && refused[0].contains(complaint), "{name}: {refused:?}");
    }
}

#[test]
fn long_texts_come_in_pieces_and_a_longer_row_is_told() {
    let fixture = Fixture::new();
    let (long, longest) = ("x".repeat(3 << 20), "y".repeat(9 << 20));
    let texts = ["a", &long, &long, &longest, &long, &long, "b"];
    let times = (0..texts.len() as i64).map(|row| 1_748_757_600_000_000_000 + row);
    let same = |text: &str| Arc::new(StringArray::from(vec![text; texts.len()])) as ArrayRef;
    let parquet = fixture.parquet(vec![
        ("time", Arc::new(TimestampNanosecondArray::from_iter_values(times)) as ArrayRef),
        ("equipment", same("line/press")),
        ("signal", same("note")),
        ("text", Arc::new(StringArray::from(texts.to_vec())) as ArrayRef),
    ]);
    let lines = texts.iter().enumerate().map(|(row, text)| format!("174875760{row},line/press,note,{text}\n"));
    let csv = fixture.file("long.csv", &format!("time,equipment,signal,text\n{}", lines.collect::<String>()));
    for (file, place) in [(parquet, "row 4"), (csv, "5")] {
        let mut file = open(&file, &SAMPLES).unwrap();
        let (mut stored, mut refused) = (Vec::new(), Vec::new());
        while let Some(chunk) = file.next().unwrap() {
            let (rows, _) = rows(&chunk);
            let bytes: usize =
                rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap()).sum();
            assert!(bytes < 3 * (CHUNK_BYTES as usize) / 2, "{bytes}");
            stored.extend(rows.column_by_name("text").unwrap().as_string::<i32>().iter().flatten().map(str::len));
            refused.extend(chunk.refusals);
        }
        assert_eq!(stored, [1, 3 << 20, 3 << 20, 3 << 20, 3 << 20, 1]);
        assert!(refused.len() == 1 && refused[0].0 == place && refused[0].1.contains("at most"), "{refused:?}");
    }
}

/// JSON, in which records go, has no word for them.
#[test]
fn numbers_that_are_none_are_refused_everywhere() {
    let fixture = Fixture::new();
    let numbers = [f64::NAN, 5.0, f64::INFINITY];
    let count = numbers.len();
    let parquet = fixture.parquet(vec![
        ("time", Arc::new(TimestampNanosecondArray::from(vec![1_748_757_600_000_000_000; count])) as ArrayRef),
        ("characteristic", Arc::new(StringArray::from(vec!["bore"; count])) as ArrayRef),
        ("value", Arc::new(Float64Array::from(numbers.to_vec())) as ArrayRef),
    ]);
    let lines = "time,characteristic,value\n1748757600,bore,nan\n1748757600,bore,5\n1748757600,bore,1e999\n";
    for file in [parquet, fixture.file("numbers.csv", lines)] {
        let chunk = only_chunk(open(&file, &MEASUREMENTS).unwrap());
        assert_eq!(rows(&chunk).0.column_by_name("value").unwrap().as_primitive::<Float64Type>().values(), &[5.0]);
        assert_eq!(chunk.refusals.len(), 2);
        assert!(chunk.refusals.iter().all(|(_, message)| message.contains("a finite number")), "{:?}", chunk.refusals);
    }
}

#[test]
fn decimals_are_the_nearest_doubles() {
    let fixture = Fixture::new();
    let tenth = 10_i128.pow(24);
    let decimals = Decimal128Array::from(vec![tenth, 3 * tenth, 7 * tenth]).with_precision_and_scale(38, 25).unwrap();
    let parquet = |decimals: Decimal128Array| {
        let count = decimals.len();
        fixture.parquet(vec![
            ("time", Arc::new(TimestampNanosecondArray::from(vec![1_748_757_600_000_000_000; count])) as ArrayRef),
            ("characteristic", Arc::new(StringArray::from(vec!["bore"; count])) as ArrayRef),
            ("value", Arc::new(decimals) as ArrayRef),
        ])
    };
    let chunk = only_chunk(open(&parquet(decimals), &MEASUREMENTS).unwrap());
    assert_eq!(
        rows(&chunk).0.column_by_name("value").unwrap().as_primitive::<Float64Type>().values(),
        &[0.1, 0.3, 0.7]
    );
    let whole = Decimal128Array::from(vec![9_007_199_254_740_993]).with_precision_and_scale(38, 0).unwrap();
    let chunk = only_chunk(open(&parquet(whole), &MEASUREMENTS).unwrap());
    assert!(chunk.refusals[0].1.contains("keeps"), "{:?}", chunk.refusals);
}

#[test]
fn headers_are_checked_before_anything_is_sent() {
    let fixture = Fixture::new();
    let unknown = fixture.file("a.csv", "time,equipment,signal,valu\n");
    assert!(refusal(&unknown, &SAMPLES).contains("did you mean `value`?"));
    let missing = fixture.file("b.csv", "time,equipment,value\n");
    assert!(refusal(&missing, &SAMPLES).contains("`signal` is missing"));
    let twice = fixture.file("c.csv", "time,equipment,signal,value,value\n");
    assert!(refusal(&twice, &SAMPLES).contains("`value` twice"));
    let ending = fixture.file("d.txt", "");
    assert!(refusal(&ending, &SAMPLES).contains(".csv, .parquet or .lp"));
    let lines = fixture.file("e.lp", "");
    assert!(refusal(&lines, &MEASUREMENTS).contains("samples only"));
}

#[test]
fn parquet_times_come_in_every_unit() {
    let fixture = Fixture::new();
    let path = fixture.parquet(vec![
        ("time", Arc::new(TimestampNanosecondArray::from(vec![1_748_757_600_000_000_000])) as ArrayRef),
        ("equipment", Arc::new(StringArray::from(vec!["line/press"])) as ArrayRef),
        ("signal", Arc::new(StringArray::from(vec!["count"])) as ArrayRef),
        ("value", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
    ]);
    let chunk = only_chunk(open(&path, &SAMPLES).unwrap());
    let (rows, places) = rows(&chunk);
    assert_eq!(times_us(rows), [1_748_757_600_000_000]);
    assert_eq!(rows.column_by_name("value").unwrap().as_primitive::<Float64Type>().value(0), 7.0);
    assert_eq!(places.of(0), "row 1");
}

#[test]
fn parquet_columns_must_fit() {
    let fixture = Fixture::new();
    let path = fixture.parquet(vec![
        ("time", Arc::new(Float64Array::from(vec![0.5])) as ArrayRef),
        ("equipment", Arc::new(StringArray::from(vec!["line/press"])) as ArrayRef),
        ("signal", Arc::new(StringArray::from(vec!["count"])) as ArrayRef),
    ]);
    let told = refusal(&path, &SAMPLES);
    assert!(told.contains("`time` is Float64, which is not a time"), "{told}");
}

#[test]
fn parquet_rows_that_do_not_fit_are_named_and_the_others_go_on() {
    let fixture = Fixture::new();
    let columns = |times: Vec<i64>, values: ArrayRef, quality: Vec<Option<&str>>| {
        let names = |name: &str| Arc::new(StringArray::from(vec![name; times.len()])) as ArrayRef;
        vec![
            ("equipment", names("line/press")),
            ("signal", names("force")),
            ("time", Arc::new(TimestampSecondArray::from(times)) as ArrayRef),
            ("value", values),
            ("quality", Arc::new(StringArray::from(quality)) as ArrayRef),
        ]
    };
    let t = 1_748_757_600;
    let texts = vec![Some("12,5"), Some("much"), None, Some("3"), Some("9007199254740993")];
    let texts = Arc::new(StringArray::from(texts).into_iter().collect::<DictionaryArray<Int32Type>>()) as ArrayRef;
    let quality = vec![Some("0"), Some("x"), Some(""), None, None];
    let path = fixture.parquet(columns(vec![t, t + 1, t + 2, i64::MAX, t + 4], texts, quality));
    let chunk = only_chunk(open(&path, &SAMPLES).unwrap());
    let (batch, places) = rows(&chunk);
    let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>();
    assert_eq!(values.iter().collect::<Vec<_>>(), [Some(12.5), None]);
    assert_eq!(
        batch.column_by_name("quality").unwrap().as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(0), None]
    );
    assert_eq!(times_us(batch), [t * 1_000_000, (t + 2) * 1_000_000]);
    assert_eq!((places.of(0), places.of(1)), ("row 1".to_owned(), "row 3".to_owned()));
    let told: Vec<(&str, &str)> = chunk.refusals.iter().map(|(row, why)| (row.as_str(), why.as_str())).collect();
    assert_eq!(
        told,
        [
            ("row 2", "`value` is `much`, which is not a number; text belongs in a column of text"),
            ("row 4", "`time` is `9223372036854775807`, which is not a time between the years -290307 and 294247"),
            (
                "row 5",
                "`value` is `9007199254740993`, of which a double keeps 9007199254740992; digits that all count belong in a \
                 column of text"
            ),
        ]
    );

    let whole = Arc::new(UInt64Array::from(vec![7, (1 << 53) + 1, u64::MAX, 1 << 63])) as ArrayRef;
    let path = fixture.parquet(columns(vec![t; 4], whole, vec![None; 4]));
    let chunk = only_chunk(open(&path, &SAMPLES).unwrap());
    let values = rows(&chunk).0.column_by_name("value").unwrap().as_primitive::<Float64Type>();
    assert_eq!(values.values(), &[7.0, 9_223_372_036_854_775_808.0]);
    let places: Vec<&str> = chunk.refusals.iter().map(|(row, _)| row.as_str()).collect();
    assert_eq!(places, ["row 2", "row 3"]);
}

/// As pandas writes columns: empty ones without a type, whole numbers with gaps as doubles.
#[test]
fn parquet_columns_come_in_other_types() {
    let fixture = Fixture::new();
    let names = |name: &str| Arc::new(StringArray::from(vec![name; 3])) as ArrayRef;
    let none = || Arc::new(NullArray::new(3)) as ArrayRef;
    let time = || Arc::new(TimestampSecondArray::from(vec![1_748_757_600; 3])) as ArrayRef;
    let path = fixture.parquet(vec![
        ("equipment", names("line/press")),
        ("signal", names("force")),
        ("time", time()),
        ("value", none()),
        ("unit", none()),
        ("text", none()),
        ("quality", Arc::new(Float64Array::from(vec![Some(0.0), None, Some(1.5)])) as ArrayRef),
    ]);
    let chunk = only_chunk(open(&path, &SAMPLES).unwrap());
    let (batch, _) = rows(&chunk);
    assert_eq!(batch.num_rows(), 2);
    for name in ["value", "unit", "text"] {
        assert_eq!(batch.column_by_name(name).unwrap().logical_null_count(), 2, "{name}");
    }
    let told: Vec<(&str, &str)> = chunk.refusals.iter().map(|(row, why)| (row.as_str(), why.as_str())).collect();
    assert_eq!(told, [("row 3", "`quality` is `1.5`, which is not a whole number of 64 bits")]);

    // Bytes that are no text are told, and a time is no number.
    let latin = Arc::new(BinaryArray::from(vec![b"U-1".as_slice(), b"U-\xe4", b"U-2"])) as ArrayRef;
    let path =
        fixture.parquet(vec![("equipment", names("a")), ("signal", names("b")), ("time", time()), ("unit", latin)]);
    let chunk = only_chunk(open(&path, &SAMPLES).unwrap());
    assert_eq!(rows(&chunk).0.num_rows(), 2);
    assert!(
        chunk.refusals[0].1.contains("`unit` is") && chunk.refusals[0].1.ends_with("is not text"),
        "{:?}",
        chunk.refusals
    );
    let path =
        fixture.parquet(vec![("equipment", names("a")), ("signal", names("b")), ("time", time()), ("value", time())]);
    assert!(refusal(&path, &SAMPLES).contains("`value` is Timestamp"));
    let path =
        fixture.parquet(vec![("equipment", names("a")), ("signal", names("b")), ("time", time()), ("text", time())]);
    let chunk = only_chunk(open(&path, &SAMPLES).unwrap());
    assert_eq!(rows(&chunk).0.column_by_name("text").unwrap().as_string::<i32>().value(0), "2025-06-01T06:00:00");
}

#[test]
fn line_protocol_is_cut_at_line_ends() {
    let fixture = Fixture::new();
    let line = "machine,equipment=line/press force=12.5 1748757600000000000\n";
    let path = fixture.file("telegraf.lp", &line.repeat(10_001));
    let mut file = open(&path, &SAMPLES).unwrap();
    let first = file.next().unwrap().unwrap();
    let second = file.next().unwrap().unwrap();
    assert!(file.next().unwrap().is_none());
    assert!(matches!(first.batch, Body::Lines { first: 1, .. }));
    assert!(matches!(second.batch, Body::Lines { first: 10_001, text } if text == line.as_bytes()));
}

#[test]
fn numbers_since_1970_are_told_by_their_size() {
    for number in [1_748_757_600, 1_748_757_600_000, 1_748_757_600_000_000, 1_748_757_600_000_000_000] {
        assert_eq!(epoch_us(number), 1_748_757_600_000_000);
    }
}

#[test]
fn tables_are_checked() {
    assert_eq!(table_named("counts").unwrap().name, "counts");
    assert!(table_named("sample").unwrap_err().to_string().contains("did you mean `samples`?"));
}
