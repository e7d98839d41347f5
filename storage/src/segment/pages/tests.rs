use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::ZstdLevel;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::segment::Segment;

const ROWS: usize = 5_000;

fn rows(random: &mut StdRng) -> RecordBatch {
    let numbers: Vec<Option<i64>> = (0..ROWS).map(|_| random.random_bool(0.8).then(|| random.random())).collect();
    let values: Vec<f64> = (0..ROWS).map(|_| f64::from(random.random_range(0..3_000)) / 10.0).collect();
    let texts: Vec<Option<String>> =
        (0..ROWS).map(|row| random.random_bool(0.9).then(|| format!("unit {}", row / 7))).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("number", Arc::new(Int64Array::from(numbers))),
        ("value", Arc::new(Float64Array::from(values))),
        ("text", Arc::new(StringArray::from(texts))),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

/// Files of any writer: row groups, pages of both versions, with and without compression and an index of pages.
#[test]
fn any_rows_of_any_file_come_as_they_were_written() {
    for seed in 0..120 {
        let random = &mut StdRng::seed_from_u64(seed);
        let rows = rows(random);
        let versions = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
        let pressed = [Compression::UNCOMPRESSED, Compression::ZSTD(ZstdLevel::default())];
        let indexed = [EnabledStatistics::Page, EnabledStatistics::None];
        let properties = WriterProperties::builder()
            .set_writer_version(versions[random.random_range(0..2)])
            .set_compression(pressed[usize::from(random.random_bool(0.8))])
            .set_statistics_enabled(indexed[random.random_range(0..2)])
            .set_offset_index_disabled(random.random_bool(0.3))
            .set_dictionary_enabled(random.random_bool(0.7))
            .set_max_row_group_row_count(Some(random.random_range(300..=ROWS)))
            .set_data_page_row_count_limit(random.random_range(20..2_000))
            .set_write_batch_size(16)
            .build();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("some.parquet");
        let file = File::create(&path).expect("a file");
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).expect("a writer");
        writer.write(&rows).expect("rows are written");
        writer.close().expect("the file is ended");

        let mut cuts: Vec<usize> = (0..random.random_range(1..6) * 2).map(|_| random.random_range(0..=ROWS)).collect();
        cuts.sort_unstable();
        let ranges: Vec<Range<usize>> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        let some = ranges.iter().map(|range| rows.slice(range.start, range.len())).collect::<Vec<_>>();
        let wanted = Schema::new(vec![Field::new("text", DataType::Utf8View, true)]);
        let segment = Segment::open(&path).expect("the file is opened");
        let read = || {
            let read = segment.rows_in(ranges.iter().cloned(), &["number", "value", "text"], &wanted, None, 700);
            let read: Result<Vec<RecordBatch>, _> = read.expect("it is read").collect();
            read.expect("all of it")
        };
        let first = read();
        let read = read();
        assert_eq!(first, read, "again, by dictionaries that are known, seed {seed}");
        let Some(first) = read.first() else {
            assert!(ranges.iter().all(Range::is_empty), "seed {seed}");
            continue;
        };
        let read = concat_batches(&first.schema(), &read).expect("one schema");
        let expected = concat_batches(&rows.schema(), &some).expect("one schema");
        for (name, column) in ["number", "value", "text"].iter().zip(expected.columns()) {
            let found = read.column_by_name(name).expect("the column");
            let found = arrow::compute::cast(found, column.data_type()).expect("texts are texts");
            assert_eq!(found.to_data(), column.to_data(), "{name} of {ranges:?}, seed {seed}");
        }
    }
}

#[test]
fn a_damaged_page_is_told() {
    let whole = zstd::bulk::compress(&[7; 1_000], 1).expect("a frame");
    assert_eq!(decompressed(&whole.clone().into(), 0).expect("it is whole"), vec![7; 1_000]);
    let short = whole[..whole.len() - 3].to_vec();
    let none = b"no frame at all".to_vec();
    assert_eq!(decompressed(&vec![1, 2].into(), 2).expect("levels alone"), vec![1, 2]);
    for (page, plain) in [(short, 0), (none, 0), (vec![0; 4], 5), (vec![], 0)] {
        let error = decompressed(&page.into(), plain).expect_err("it is damaged").to_string();
        assert!(error.contains("a page cannot be decompressed"), "{error}");
    }
}
