//! Under random histories of records, what is read without a plan is what the table holds and the filter leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::Field;
use arrow::util::display::array_value_to_string;
use datafusion::prelude::{SessionContext, ident, lit};
use oee::tables::STATES;
use storage::{Rows, Snapshot, Store, TableSpec, Write};

use super::*;
use crate::context::ContextCache;
use crate::fixture::{Random, on_demand, table_spec};

/// The table `states`, of which `state` is taken for a name that is searched by value, and a reason nobody gives for a part
/// of the key.
fn states() -> TableSpec {
    let mut spec = table_spec(&STATES);
    let place = |name: &str| spec.schema.index_of(name).unwrap();
    (spec.bloom, spec.key) =
        (vec![place("state")], STATES.key.iter().chain(&["reason"]).map(|name| place(name)).collect());
    spec
}

/// Equipment, start, state, and whether the record is taken back.
type Told = (String, i64, &'static str, bool);

fn write(spec: &TableSpec, told: &[Told]) -> Write {
    let schema = spec.memory_schema();
    let texts = |text: &dyn Fn(&Told) -> Option<String>| -> ArrayRef {
        Arc::new(told.iter().map(text).collect::<StringArray>())
    };
    let column = |field: &Arc<Field>| {
        let plain: ArrayRef = match field.name().as_str() {
            "equipment" => texts(&|told| Some(told.0.clone())),
            "source" => texts(&|_| Some("mes".to_owned())),
            "state" => texts(&|told| Some(told.2.to_owned())),
            "start" => {
                let times: Vec<i64> = told.iter().map(|told| told.1).collect();
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
            }
            _ => new_null_array(field.data_type(), told.len()),
        };
        cast(&plain, field.data_type()).unwrap()
    };
    let batch = RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect()).unwrap();
    let present = ["equipment", "source", "start", "state"].map(|name| 1 << schema.index_of(name).unwrap());
    let present = Some(vec![present.iter().sum(); told.len()]);
    let deleted = told.iter().map(|told| told.3).collect();
    Write { rows: vec![Rows { table: 0, batch, present, deleted }], by: "test".into(), patient: false }
}

fn some_told(random: &mut Random, count: usize) -> Vec<Told> {
    (0..count)
        .map(|_| {
            let equipment = format!("site/m{:02}", random.below(20));
            let state = ["RUN", "STOP", "SETUP"][random.below(3) as usize];
            (equipment, random.below(4_000), state, random.below(10) == 0)
        })
        .collect()
}

/// Equipment, start, state and reason.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let mut found = Vec::new();
    for batch in batches {
        assert_eq!(batch.schema().fields().len(), 4, "a column that is only filtered by is not given");
        for row in 0..batch.num_rows() {
            let texts = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
            found.push(texts.collect::<Vec<_>>().join(" "));
        }
    }
    found.sort();
    found
}

fn compare(snapshot: &Arc<Snapshot>, random: &mut Random, seed: u64) -> (usize, bool) {
    let table = SnapshotTable::find(snapshot, "states", &Arc::new(ContextCache::default())).unwrap();
    let machines: BTreeSet<String> =
        (0..1 + random.below(5)).map(|_| format!("site/m{:02}", random.below(22))).collect();
    let (from, width) = (random.below(4_100) - 100, random.below(1_000));
    let at = |us: i64| {
        let value = datafusion::common::ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
        Expr::Literal(value, None)
    };
    let mut filter = ident("start").gt_eq(at(from)).and(ident("start").lt(at(from + width)));
    let all_machines = random.below(3) == 0;
    if !all_machines {
        filter =
            filter.and(ident("equipment").in_list(machines.iter().map(|path| lit(path.as_str())).collect(), false));
    }
    // A column that the answer does not have.
    filter = filter.and(ident("source").eq(lit("mes")));
    // Columns that are no keys: pages cannot be chosen by them; and one that nobody ever told.
    let only_stops = random.below(2) == 0;
    if only_stops {
        filter = filter.and(ident("state").eq(lit("STOP"))).and(ident("end").is_null());
    }

    let columns = ["equipment", "start", "state", "reason"];
    let all = table.current_view().unwrap().rows().unwrap();
    let places: Vec<usize> = columns.iter().map(|name| all.schema().index_of(name).unwrap()).collect();
    let start = cast(all.column_by_name("start").unwrap(), &arrow::datatypes::DataType::Int64).unwrap();
    let start = start.as_primitive::<arrow::datatypes::Int64Type>();
    let equipment = all.column_by_name("equipment").unwrap().as_string::<i32>();
    let state = all.column_by_name("state").unwrap().as_string::<i32>();
    let wanted = |row: usize| {
        let of_state = !only_stops || state.value(row) == "STOP";
        let of_machine = all_machines || machines.contains(equipment.value(row));
        of_state && of_machine && (from..from + width).contains(&start.value(row))
    };
    let keep: BooleanArray = (0..all.num_rows()).map(|row| Some(wanted(row))).collect();
    let expected = texts(&[filter_record_batch(&all.project(&places).unwrap(), &keep).unwrap()]);

    let session = SessionContext::new().state();
    let Some(selection) = Selection::new(&session, &table, filter, &columns).unwrap().map(Arc::new) else {
        assert!(expected.is_empty(), "seed {seed}: rows were taken for none");
        return (0, false);
    };
    let mut found = Vec::new();
    let asked = 1 + random.below(3) as usize;
    let parts = RecordRows::parts(&table, &selection, asked);
    assert!((1..=asked).contains(&parts.len()), "{} parts of {asked}", parts.len());
    let several = parts.len() > 1;
    for mut part in parts {
        let mut take = |batch: RecordBatch| {
            assert_eq!(batch.schema(), selection.schema().unwrap());
            found.push(batch);
            Ok::<_, DataFusionError>(())
        };
        while !part.turn(&mut take).unwrap() {}
    }
    assert_eq!(texts(&found), expected, "seed {seed}");
    (expected.len(), several)
}

#[test]
fn rows_are_those_that_the_table_holds_and_the_filter_leaves() {
    let (mut compared, mut in_parts) = (0, 0);
    for seed in 0..24 {
        let random = &mut Random(seed + 1);
        let (folder, spec) = (tempfile::tempdir().unwrap(), states());
        let clock = std::sync::atomic::AtomicI64::new(1_000);
        let options = on_demand(move || clock.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let store = Store::open(folder.path(), vec![spec.clone()], options).unwrap();
        for _ in 0..12 {
            match random.below(6) {
                0 => store.flush().unwrap(),
                1 => drop(store.compact().unwrap()),
                // Enough for several pages of a segment.
                2 if seed % 4 == 0 => {
                    let told = some_told(random, 20_000);
                    drop(store.append_and_wait(write(&spec, &told)).unwrap());
                }
                _ => {
                    let told = some_told(random, 30);
                    drop(store.append_and_wait(write(&spec, &told)).unwrap());
                }
            }
            let (rows, several) = compare(&store.snapshot(), random, seed);
            compared += rows;
            in_parts += usize::from(several);
        }
    }
    assert!(compared > 10_000 && in_parts > 20, "{compared} rows, {in_parts} times in parts");
}

#[test]
fn rows_of_both_are_those_of_each() {
    let random = &mut Random(1);
    for _ in 0..500 {
        let mut ranges = || {
            let mut bounds: Vec<usize> = (0..random.below(6) * 2).map(|_| random.below(40) as usize).collect();
            bounds.sort_unstable();
            bounds.dedup();
            bounds.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect::<Vec<_>>()
        };
        let (ones, others) = (ranges(), ranges());
        let holds = |ranges: &Vec<Range<usize>>, row: usize| ranges.iter().any(|range| range.contains(&row));
        let found = both(&ones, &others);
        for row in 0..40 {
            assert_eq!(holds(&found, row), holds(&ones, row) && holds(&others, row), "{row}: {ones:?}, {others:?}");
        }
        assert!(found.iter().all(|range| !range.is_empty()) && found.is_sorted_by_key(|range| range.start));
    }
}
