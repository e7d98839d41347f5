#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::collections::BTreeMap;

use arrow::array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::Upsert;
use crate::spec::time_type;

fn spec() -> Arc<TableSpec> {
    let schema = Schema::new(vec![
        Field::new("time", time_type(), true),
        Field::new("equipment", DataType::Utf8, true),
        Field::new("signal", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
        Field::new("quality", DataType::Int64, true),
    ]);
    Arc::new(TableSpec {
        name: "samples".into(),
        schema: Arc::new(schema),
        names: vec![1, 2],
        key: vec![1, 2, 0],
        time: Some(0),
        status: Some(4),
        age: Some(0),
        upsert: Upsert::Whole,
        bloom: vec![],
        derived: None,
    })
}

type Row = (Option<&'static str>, Option<&'static str>, i64, Option<f64>);

/// Some rows are not Good: told by their time, so that a row needs not say it.
fn quality(time: i64) -> Option<i64> {
    match time.rem_euclid(9_973) {
        0 => Some(0x8000_0000),
        1..100 => None,
        _ => Some(0),
    }
}

fn batch(spec: &TableSpec, rows: &[Row]) -> RecordBatch {
    let times: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.2)).collect();
    let columns: [ArrayRef; 5] = [
        Arc::new(times.with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| quality(row.2)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(spec.schema.clone(), columns.to_vec()).unwrap()
}

fn outline(spec: &Arc<TableSpec>, batches: &[RecordBatch]) -> Outline {
    let mut draft = Draft::new(spec).unwrap();
    for rows in batches {
        assert!(draft.add(rows).unwrap());
    }
    draft.finish()
}

fn rows(random: &mut StdRng) -> Vec<Row> {
    let mut rows = Vec::new();
    for equipment in [None, Some("a"), Some("b")] {
        for signal in [None, Some("x"), Some("y")] {
            let step_us = [50_000, 1_000_000, 60_000_000, 7_200_000_000][random.random_range(0..4)];
            let mut time: i64 = random.random_range(-200_000_000_000..200_000_000_000);
            let whole = random.random_bool(0.5);
            for _ in 0..random.random_range(0..3_000) {
                time += random.random_range(1..step_us);
                let value = match random.random_range(0..1_000) {
                    0..100 if whole => Some(0.5),
                    0 => Some(f64::NAN),
                    1 => Some(f64::NEG_INFINITY),
                    2..100 => None,
                    _ => Some(f64::from(random.random_range(-1_000..1_000)) / 8.0),
                };
                rows.push((equipment, signal, time, value));
            }
        }
    }
    rows
}

/// How the rows go, written out. Eighths of microseconds add up exactly in any order.
fn course(rows: &[(i64, Option<f64>)]) -> Option<Course> {
    let used = |row: &(i64, Option<f64>)| {
        let number = row.1.filter(|number| number.is_finite() && quality(row.0) != Some(0x8000_0000));
        number.map(|number| (row.0, number))
    };
    let rows: Option<Vec<(i64, f64)>> = rows.iter().map(used).collect();
    let rows = rows.filter(|rows| rows.len() as u64 >= COURSE_ROWS)?;
    let numbers = || rows.iter().map(|row| row.1);
    let (least, most) = (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max));
    let us = |pair: &[(i64, f64)]| (pair[1].0 - pair[0].0) as f64;
    Some(Course {
        first: rows[0],
        last: rows[rows.len() - 1],
        min: *rows.iter().find(|row| row.1 == least)?,
        max: *rows.iter().find(|row| row.1 == most)?,
        sum: numbers().sum::<f64>() + 0.0,
        held: rows.windows(2).map(|pair| pair[0].1 * us(pair)).sum(),
        sloped: rows.windows(2).map(|pair| (pair[0].1 + pair[1].1) / 2.0 * us(pair)).sum(),
    })
}

#[test]
fn an_outline_says_of_any_rows_what_a_plain_count_says() {
    let mut courses = 0;
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let (spec, rows) = (spec(), rows(&mut random));
        let all = batch(&spec, &rows);
        let found = outline(&spec, std::slice::from_ref(&all));

        let mut row = 0;
        for series in &found.series {
            assert_eq!(series.first_row, row, "seed {seed}");
            let (equipment, signal) = (series.key[0].as_deref(), series.key[1].as_deref());
            let of_series: Vec<&Row> = rows.iter().filter(|row| (row.0, row.1) == (equipment, signal)).collect();
            row += of_series.len() as u64;
            let mut cells: BTreeMap<i64, Vec<(i64, Option<f64>)>> = BTreeMap::new();
            for (_, _, time, value) in of_series {
                cells.entry(time.div_euclid(series.width_us) * series.width_us).or_default().push((*time, *value));
            }
            let expected = cells.into_iter().map(|(start_us, rows)| {
                let values: Vec<Option<f64>> = rows.iter().map(|row| row.1).collect();
                let finite = values.iter().flatten().all(|value| value.is_finite());
                let numbers = || values.iter().flatten().copied();
                // Eighths add up exactly in any order.
                let sums = Sums {
                    values: numbers().count() as u64,
                    sum: numbers().sum::<f64>() + 0.0,
                    min: numbers().fold(f64::INFINITY, f64::min),
                    max: numbers().fold(f64::NEG_INFINITY, f64::max),
                };
                let course = course(&rows);
                courses += u64::from(course.is_some());
                Cell { start_us, rows: values.len() as u64, sums: finite.then_some(sums), course }
            });
            assert_eq!(series.cells, expected.collect::<Vec<_>>(), "seed {seed}, {equipment:?} {signal:?}");
            let average = series.rows() / series.cells.len() as u64;
            assert!(average >= CELL_ROWS || series.width_us == WIDTHS_US[2], "seed {seed}: {average} rows a cell");
        }
        assert_eq!(row, rows.len() as u64, "seed {seed}");

        assert_eq!(Outline::decode(&found.encode()), Some(found.clone()), "seed {seed}");
        let mut parts = Vec::new();
        let mut from = 0;
        while from < all.num_rows() {
            let count = random.random_range(1..2_000).min(all.num_rows() - from);
            parts.push(all.slice(from, count));
            from += count;
        }
        assert_eq!(concat_batches(&spec.schema, &parts).unwrap(), all);
        assert_eq!(outline(&spec, &parts), found, "seed {seed}: in parts");
    }
    assert!(courses > 20, "only {courses} cells have a course");
}

#[test]
fn an_outline_of_an_earlier_version_is_read_without_courses() {
    let spec = spec();
    let rows: Vec<Row> = (1..600).map(|second| (Some("a"), Some("x"), second * 1_000_000, Some(2.5))).collect();
    let found = outline(&spec, &[batch(&spec, &rows)]);
    assert!(found.series[0].cells.iter().all(|cell| cell.course.is_some()));
    let plain = found.clone().without_courses();
    // What it wrote ended before the flags of courses, one for each cell.
    let bytes = plain.encode();
    let cells: usize = plain.series.iter().map(|series| series.cells.len()).sum();
    let earlier = [&[WITHOUT_COURSES], &bytes[1..bytes.len() - cells]].concat();
    assert_eq!(Outline::decode(&earlier), Some(plain));
}

#[test]
fn many_series_of_few_rows_have_no_outline() {
    let spec = spec();
    let names: Vec<&'static str> = (0..FEW_SERIES + 1).map(|number| &*format!("{number:04}").leak()).collect();
    let few: Vec<Row> = names.iter().map(|name| (Some("a"), Some(*name), 0, Some(1.0))).collect();
    assert!(!Draft::new(&spec).unwrap().add(&batch(&spec, &few)).unwrap());
    let more: Vec<Row> = names
        .iter()
        .flat_map(|name| (0..SERIES_ROWS as i64).map(move |time| (Some("a"), Some(*name), time, Some(1.0))))
        .collect();
    assert!(Draft::new(&spec).unwrap().add(&batch(&spec, &more)).unwrap());
}

#[test]
fn bytes_that_are_no_outline_are_refused() {
    let spec = spec();
    let bytes =
        outline(&spec, &[batch(&spec, &[(Some("a"), Some("x"), 5, Some(1.5)), (Some("b"), None, 7, None)])]).encode();
    for length in 0..bytes.len() {
        assert_eq!(Outline::decode(&bytes[..length]), None, "{length} bytes of {}", bytes.len());
    }
    assert_eq!(Outline::decode(&[&bytes[..], &[0]].concat()), None);
    let later = [&[VERSION + 1], &bytes[1..]].concat();
    assert_eq!(Outline::decode(&later), None);
}

#[test]
fn sums_of_many_are_those_of_one_after_the_other() {
    let numbers =
        [0.1, -0.0, 0.0, 3.5, -7.25, 1e300, f64::MIN_POSITIVE, -1e-310, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for count in 0..=numbers.len() {
        for start in 0..=numbers.len() - count {
            let some = &numbers[start..start + count];
            let mut expected = Sums::NONE;
            some.iter().for_each(|&value| expected.add(&Sums { values: 1, sum: value, min: value, max: value }));
            let found = Sums::from_iter(some.iter().copied());
            // The sign of what infinities of both signs add up to is nobody's promise.
            let sum = |sums: &Sums| (!sums.sum.is_nan()).then_some(sums.sum.to_bits());
            let bits = |sums: &Sums| (sums.values, sum(sums), [sums.min, sums.max].map(f64::to_bits));
            assert_eq!(bits(&found), bits(&expected), "{some:?}");
        }
    }
}
