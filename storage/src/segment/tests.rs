use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::{Encoding, PageType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Effort, Segment, SegmentWriter, Stamp};
use crate::spec::{TableSpec, Upsert, time_type};

/// A table with a column of every kind; `key` is sorted.
fn spec() -> TableSpec {
    let column = |name: &str, kind: DataType| Field::new(name, kind, true);
    TableSpec {
        name: "rows".to_owned(),
        schema: Arc::new(Schema::new(vec![
            column("time", time_type()),
            column("key", DataType::Utf8),
            column("name", DataType::Utf8),
            column("text", DataType::Utf8),
            column("value", DataType::Float64),
            column("number", DataType::Int64),
            column("flag", DataType::Boolean),
        ])),
        names: vec![1, 2],
        key: vec![1, 0],
        status: None,
        age: None,
        time: Some(0),
        upsert: Upsert::Whole,
        bloom: vec![2],
        derived: None,
    }
}

/// Rows whose every column has its own habits, changing with the seed and along the rows.
fn rows(random: &mut StdRng, count: usize, first: usize) -> RecordBatch {
    let none = random.random_range(0.0..1.0_f64).powi(4);
    let distinct = 1_usize << random.random_range(0..17);
    let long = if random.random_ratio(1, 6) { 40_000 } else { 12 };
    let steps = random.random_range(0..4);
    let mut time = random.random_range(-4e15..4e15) as i64;
    let present = |random: &mut StdRng| !random.random_bool(none);
    let (mut times, mut names, mut texts, mut values, mut numbers, mut flags) =
        (vec![], vec![], vec![], vec![], vec![], vec![]);
    let mut name = 0;
    for _ in 0..count {
        time = match steps {
            0 => time + 1_000_000,
            1 => time + 1_000 * random.random_range(900..1_100),
            2 => random.random_range(i64::MIN..i64::MAX),
            _ => time + random.random_range(-5..100),
        };
        if random.random_ratio(1, 20) {
            name = random.random_range(0..distinct);
        }
        times.push(present(random).then_some(time));
        names.push(present(random).then_some(i32::try_from(name).expect("small")));
        let letter = char::from_u32(random.random_range(0x20..0x2fff)).unwrap_or('ö');
        let text = format!("{letter}{}", random.random_range(0..distinct)).repeat(random.random_range(0..long) / 12);
        texts.push(present(random).then_some(if random.random_ratio(1, 50) { text } else { String::new() }));
        let value = match steps {
            0 => random.random_range(-50_i32..50).into(),
            1 => f64::from_bits(random.random()),
            2 => random.random_range(0.0..1.0),
            _ => [0.0, -0.0, f64::NAN, f64::INFINITY][random.random_range(0..4)],
        };
        values.push(present(random).then_some(value));
        numbers.push(present(random).then(|| if steps == 1 { random.random() } else { 0 }));
        flags.push(present(random).then(|| random.random_bool(0.3)));
    }
    let dictionary: Vec<String> = (0..distinct).map(|name| format!("unit {name}")).collect();
    let names = DictionaryArray::new(Int32Array::from(names), Arc::new(StringArray::from(dictionary)));
    let keys = Int32Array::from_iter_values((0..count).map(|row| i32::try_from(row / 3_000).expect("small")));
    let held: Vec<String> = (0..=count / 3_000).map(|key| format!("key {:06}", first + key)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(held)))),
        Arc::new(names),
        Arc::new(StringArray::from(texts)),
        Arc::new(Float64Array::from(values)),
        Arc::new(Int64Array::from(numbers)),
        Arc::new(BooleanArray::from(flags)),
    ];
    RecordBatch::try_new(spec().memory_schema(), columns).expect("rows as their schema")
}

/// A segment of `parts`, and the rows that were written.
fn written(folder: &std::path::Path, parts: &[RecordBatch], effort: Effort) -> (Segment, RecordBatch) {
    let (spec, disk): (_, Arc<dyn crate::Disk>) = (spec(), Arc::new(crate::LocalDisk));
    let mut writer =
        SegmentWriter::create(&disk, &folder.join("rows.parquet"), &spec, &parts[0], effort).expect("a file is begun");
    for part in parts {
        writer.write(part).expect("rows are written");
    }
    let stamp = Stamp { sequence: 1, keyed_through: 0, recorded_through: 0, run_rows: None };
    let segment = writer.finish(stamp).expect("the file is ended");
    let plain = |part: &RecordBatch| {
        let columns = part.columns().iter().zip(spec.schema.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()).expect("texts are texts"));
        RecordBatch::try_new(spec.schema.clone(), columns.collect()).expect("rows as their schema")
    };
    let plain: Vec<RecordBatch> = parts.iter().map(plain).collect();
    (segment, concat_batches(&spec.schema, &plain).expect("one schema"))
}

/// Equal, a NaN to itself too.
fn assert_same(read: &RecordBatch, rows: &RecordBatch) {
    assert_eq!(read.num_rows(), rows.num_rows());
    for (name, (read, rows)) in
        ["time", "key", "name", "text", "value", "number", "flag"].iter().zip(read.columns().iter().zip(rows.columns()))
    {
        assert!(read.to_data() == rows.to_data() || same_bits(read, rows), "{name} differs");
    }
}

fn same_bits(one: &ArrayRef, other: &ArrayRef) -> bool {
    let bits = |array: &ArrayRef| -> Option<Vec<Option<u64>>> {
        let doubles = array.as_primitive_opt::<arrow::datatypes::Float64Type>()?;
        Some(doubles.iter().map(|value| value.map(f64::to_bits)).collect())
    };
    bits(one).is_some_and(|one| Some(one) == bits(other))
}

#[test]
fn rows_come_back_and_bounds_hold() {
    for seed in 0..60 {
        let random = &mut StdRng::seed_from_u64(seed);
        let parts: Vec<RecordBatch> = (0..random.random_range(1..5))
            .map(|part| {
                let count = random.random_range(1..30_000);
                rows(random, count, part * 100)
            })
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let effort = if seed % 2 == 0 { Effort::Quick } else { Effort::Thorough };
        let (segment, rows) = written(folder.path(), &parts, effort);
        assert_same(&segment.read().expect("the file is read"), &rows);
        assert_bounds(&segment, &rows, seed);
    }
}

/// No value lies outside the bounds of its page or of its row group.
fn assert_bounds(segment: &Segment, rows: &RecordBatch, seed: u64) {
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        assert_eq!(segment.nulls(field.name()), Some(column.null_count() as u64), "seed {seed}: {}", field.name());
    }
    let flags = rows.column_by_name("flag").expect("flags").as_boolean();
    assert!(segment.may_be_true("flag") || flags.true_count() == 0, "seed {seed}");
    assert!(!segment.may_be_true("flag") || flags.true_count() > 0 || flags.null_count() > 0, "seed {seed}");
    let metadata = segment.metadata.metadata();
    let (index, places) = (metadata.column_index().expect("bounds"), metadata.offset_index().expect("places"));
    assert_eq!(metadata.num_row_groups(), 1);
    let schema = spec().schema;
    for (column, array) in rows.columns().iter().enumerate() {
        let name = schema.field(column).name().clone();
        let converter = StatisticsConverter::try_new(&name, &schema, segment.metadata.parquet_schema())
            .expect("statistics of the column");
        let firsts: Vec<usize> = places[0][column]
            .page_locations()
            .iter()
            .map(|page| usize::try_from(page.first_row_index).expect("a row"))
            .collect();
        let groups = [0];
        let lows = converter.data_page_mins(index, places, groups.iter()).expect("bounds are read");
        let highs = converter.data_page_maxes(index, places, groups.iter()).expect("bounds are read");
        let group_low = converter.row_group_mins(metadata.row_groups()).expect("bounds are read");
        let group_high = converter.row_group_maxes(metadata.row_groups()).expect("bounds are read");
        for (page, &first) in firsts.iter().enumerate() {
            let end = firsts.get(page + 1).copied().unwrap_or(rows.num_rows());
            let values = array.slice(first, end - first);
            let (low, high) = (lows.slice(page, 1), highs.slice(page, 1));
            assert!(inside(&values, &low, &high), "page {page} of {name}, seed {seed}");
            assert!(inside(&values, &group_low, &group_high), "group of {name}, seed {seed}");
        }
    }
}

fn inside(values: &ArrayRef, low: &ArrayRef, high: &ArrayRef) -> bool {
    use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
    macro_rules! numbers {
        ($kind:ty) => {{
            let (low, high) = (low.as_primitive::<$kind>(), high.as_primitive::<$kind>());
            let known = low.is_valid(0);
            values.as_primitive::<$kind>().iter().flatten().filter(|value| value == value).all(|value| {
                // A whole column without bounds says nothing; one with them has them wherever there is a value.
                !known || (low.value(0) <= value && value <= high.value(0))
            })
        }};
    }
    match values.data_type() {
        DataType::Timestamp(..) => numbers!(TimestampMicrosecondType),
        DataType::Float64 => numbers!(Float64Type),
        DataType::Int64 => numbers!(Int64Type),
        DataType::Boolean => {
            let (low, high) = (low.as_boolean(), high.as_boolean());
            values.as_boolean().iter().flatten().all(|flag| low.value(0) <= flag && flag <= high.value(0))
        }
        _ => {
            let (low, high) = (low.as_string::<i32>(), high.as_string::<i32>());
            values.as_string::<i32>().iter().flatten().all(|text| low.value(0) <= text && text <= high.value(0))
        }
    }
}

fn encodings(segment: &Segment, name: &str) -> Vec<Encoding> {
    let columns = segment.metadata.metadata().row_group(0).columns().iter();
    let column = columns.filter(|column| column.column_path().string() == name).next_back();
    column.expect("the column").encodings().collect()
}

#[test]
fn a_bloom_filter_knows_every_name_and_few_others() {
    let random = &mut StdRng::seed_from_u64(7);
    let rows = rows(random, 20_000, 0);
    let folder = tempfile::tempdir().expect("a folder");
    let (segment, plain) = written(folder.path(), &[rows], Effort::Quick);
    let file = std::fs::File::open(&segment.path).expect("the file");
    let column = segment.metadata.metadata().row_group(0).column(2);
    let bloom =
        parquet::bloom_filter::Sbbf::read_from_column_chunk(column, &file).expect("it is read").expect("it is there");
    assert!(plain.column(2).as_string::<i32>().iter().flatten().all(|name| bloom.check(name)));
    let wrong = (0..10_000).filter(|other| bloom.check(format!("other {other}").as_str())).count();
    assert!(wrong < 1_000, "{wrong} of 10,000");
}

#[test]
fn rows_are_found_by_keys_of_any_columns() {
    let mut found_some = [0; 5];
    for seed in 0..40 {
        let random = &mut StdRng::seed_from_u64(seed);
        let parts: Vec<RecordBatch> = (0..random.random_range(1..4))
            .map(|part| {
                let count = random.random_range(1..20_000);
                rows(random, count, part * 100)
            })
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let (segment, all) = written(folder.path(), &parts, Effort::Quick);
        // Some that are there, and others.
        let count = random.random_range(1..100);
        let others =
            written(tempfile::tempdir().expect("a folder").path(), &[rows(random, count, 50)], Effort::Quick).1;
        let (first, some) = (random.random_range(0..all.num_rows()), random.random_range(0..20));
        let some = all.slice(first, some.min(all.num_rows() - first));
        let wanted = concat_batches(&all.schema(), [&others, &some]).expect("one schema");
        for (key, found_some) in [vec![1, 0], vec![2], vec![0], vec![2, 5, 0], vec![3]].into_iter().zip(&mut found_some)
        {
            let spec = TableSpec { key: key.clone(), ..spec() };
            let mut keys = crate::keys::KeySet::new(&spec);
            keys.extend(&wanted).expect("keys");
            let expected = filter_record_batch(&all, &keys.contains(&all).expect("keys")).expect("one length");
            let segment = Segment::open(&segment.path).expect("it is there");
            let found = segment.rows_with(&spec, &wanted).expect("the file is read");
            assert_same(&found, &expected);
            *found_some += usize::from(expected.num_rows() > 0 && expected.num_rows() < all.num_rows());
            assert_eq!(
                segment.rows_with(&spec, &wanted.slice(0, 0)).expect("nothing is sought").num_rows(),
                0,
                "{key:?}"
            );
        }
    }
    assert!(found_some.iter().all(|times| *times > 10), "{found_some:?}");
}

#[test]
fn values_that_come_again_are_looked_up_and_others_are_not() {
    let spec = spec();
    let folder = tempfile::tempdir().expect("a folder");
    let count = 50_000;
    let with = |value: &dyn Fn(usize) -> f64| {
        let template = rows(&mut StdRng::seed_from_u64(1), count, 0);
        let mut columns = template.columns().to_vec();
        columns[4] = Arc::new(Float64Array::from_iter_values((0..count).map(value)));
        RecordBatch::try_new(spec.memory_schema(), columns).expect("rows as their schema")
    };
    let (segment, rows) = written(folder.path(), &[with(&|row| (row % 700) as f64 / 10.0)], Effort::Quick);
    assert!(encodings(&segment, "value").contains(&Encoding::RLE_DICTIONARY));
    assert_same(&segment.read().expect("the file is read"), &rows);
    let (segment, rows) = written(folder.path(), &[with(&|row| (row as f64).sqrt())], Effort::Quick);
    assert!(!encodings(&segment, "value").contains(&Encoding::RLE_DICTIONARY));
    assert_same(&segment.read().expect("the file is read"), &rows);
}

#[test]
fn a_full_dictionary_still_says_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let count = 50_000;
    let template = rows(&mut StdRng::seed_from_u64(1), count, 0);
    // 20,000 numbers twice each, more than a file that is soon merged looks up, then the first two again and again.
    let value = |row: usize| if row < 40_000 { (row / 2) as f64 } else { (row % 2) as f64 };
    let mut columns = template.columns().to_vec();
    columns[4] = Arc::new(Float64Array::from_iter_values((0..count).map(value)));
    let rows = RecordBatch::try_new(spec().memory_schema(), columns).expect("rows as their schema");
    for (effort, most_plain) in [(Effort::Quick, 3), (Effort::Thorough, 0)] {
        let (segment, plain) = written(folder.path(), std::slice::from_ref(&rows), effort);
        let file = std::fs::File::open(&segment.path).expect("the file");
        let reader = SerializedFileReader::new(file).expect("a footer");
        let pages = reader.get_row_group(0).and_then(|group| group.get_column_page_reader(4)).expect("its pages");
        let pages =
            pages.map(|page| page.expect("a page")).filter(|page| page.page_type() != PageType::DICTIONARY_PAGE);
        let encodings: Vec<Encoding> = pages.map(|page| page.encoding()).collect();
        let of = |wanted: Encoding| encodings.iter().filter(|encoding| **encoding == wanted).count();
        let found = (of(Encoding::PLAIN), of(Encoding::RLE_DICTIONARY));
        assert!((found.0 > 0) == (effort == Effort::Quick) && found.0 <= most_plain && found.1 >= 9, "{found:?}");
        assert_same(&segment.read().expect("the file is read"), &plain);
    }
}
