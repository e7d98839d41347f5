//! Histories of many flushes: joined, they say the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::dead::Dead;
use crate::hot::ALWAYS;
use crate::segment::{Segment, Stamp};
use crate::snapshot::aligned;

/// Rows of a segment that is not joined with those of a few rows as long as there are few of both.
const LARGE: i64 = 5_000;

/// Segments of a table's history, once there are at most `most` of them.
fn history_segments(store: &Store, table: usize, most: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let count = store.snapshot().tables.get(table).unwrap().history.len();
        if count <= most || Instant::now() > deadline {
            return count;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_history_of_many_flushes_is_joined_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let (mut model, mut history) = (BTreeMap::new(), 0);
    let mut write_flushed = |store: &Store, rows: &[(i64, f64)]| {
        let rows: Vec<_> = rows.iter().map(|&(time, value)| (time, "m", value)).collect();
        store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
        store.flush().unwrap();
        for (time, _, value) in rows {
            let older = model.insert(("m".to_owned(), time), value);
            history += usize::from(older.is_some_and(|older| older != value));
        }
    };
    for large in 0..3 {
        let rows: Vec<_> = (0..LARGE).map(|row| (large * LARGE + row, 0.0)).collect();
        write_flushed(&store, &rows);
        // Corrections of this large segment and of the older ones, one of them twice and then back.
        for (flush, value) in (0..).zip([1.0, 2.0, 0.0, 3.0, 4.0]) {
            let corrected: Vec<_> = (0..=large).map(|large| (large * LARGE + 7, value)).collect();
            write_flushed(&store, &corrected);
            write_flushed(&store, &[(large * LARGE + 100 + flush, 9.0)]);
        }
    }
    // 30 flushes corrected something.
    let count = history_segments(&store, 0, 12);
    assert!(count <= 12, "{count} segments");
    for opened in 0..2 {
        let expected: Vec<_> = model.iter().map(|((name, time), value)| (name.clone(), *time, *value)).collect();
        assert_eq!(sample_values(&store), expected, "opened {opened} times");
        assert_eq!(history_count(&store, 0), history, "opened {opened} times");
        store.close().unwrap();
        drop(store);
        store = open(folder.path());
    }
    store.compact().unwrap();
    let view = store.snapshot();
    let table = view.tables.first().unwrap();
    assert_eq!((table.segments.len(), table.history.len(), table.dead.len()), (1, 1, 0));
    assert_eq!(sample_values(&store).len(), model.len());
}

/// A segment of samples: rows of machine `m` at these times.
fn segment(folder: &Path, times: &[i64], sequence: u64, recorded_through: i64) -> Arc<Segment> {
    let rows: Vec<_> = times.iter().map(|&time| (time, "m", 0.0)).collect();
    let stamp = Stamp { sequence, keyed_through: i64::MIN, recorded_through, run_rows: None };
    let path = folder.join(format!("{sequence}-{}.parquet", rows.len()));
    Arc::new(Segment::write(&disk(), &path, &samples(), &sample_rows(&rows).batch, stamp).unwrap())
}

/// A segment of their history: (time, recorded time of the row that replaced it).
fn history_segment(folder: &Path, rows: &[(i64, i64)]) -> Segment {
    let spec = samples().history();
    let times =
        |values: Vec<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) };
    let column = |field: &Arc<Field>| match field.name().as_str() {
        "time" => times(rows.iter().map(|row| row.0).collect()),
        "superseded" => times(rows.iter().map(|row| row.1).collect()),
        "equipment" => Arc::new(StringArray::from(vec!["m"; rows.len()])) as ArrayRef,
        _ => arrow::array::new_null_array(field.data_type(), rows.len()),
    };
    let columns = spec.schema.fields().iter().map(column).collect();
    let batch = RecordBatch::try_new(spec.schema.clone(), columns).unwrap();
    let stamp = Stamp { sequence: 40, keyed_through: i64::MIN, recorded_through: 400, run_rows: None };
    Segment::write(&disk(), &folder.join("history.parquet"), &spec, &batch, stamp).unwrap()
}

/// Times whose rows in `segment` are current.
fn current_times(segment: &Segment, dead: &[Arc<Dead>]) -> Vec<i64> {
    let rows = aligned(&samples(), &segment.read().unwrap()).unwrap();
    let times = rows.column(0).as_primitive::<TimestampMicrosecondType>();
    let mut current = Vec::new();
    for (row, &time) in times.values().iter().enumerate() {
        let hides = |dead: &&Arc<Dead>| {
            dead.sequence > segment.sequence && dead.keys.contains(&rows.slice(row, 1)).unwrap().value(0)
        };
        if dead.iter().find(hides).is_none() {
            current.push(time);
        }
    }
    current
}

#[test]
fn a_joined_history_hides_a_row_only_where_it_was_superseded() {
    let folder = tempfile::tempdir().unwrap();
    let all = [1, 2, 3, 4];
    let segments: Vec<_> =
        [(10, 100), (20, 200), (30, 300)].map(|(at, through)| segment(folder.path(), &all, at, through)).into();
    // Replaced before the first segment, between it and the second, and so on; the last time is of a row still hot.
    let history = history_segment(folder.path(), &[(1, 50), (2, 150), (3, 250), (4, 350)]);
    let dead = Dead::read(&samples(), &samples().history(), &history, &segments, &(..)).unwrap();
    let current: Vec<_> = segments.iter().map(|segment| current_times(segment, &dead)).collect();
    assert_eq!(current, [vec![1], vec![1, 2], vec![1, 2, 3]]);
    // Once the first two are joined, what only the first was older than hides nothing, and no older one holds the third.
    let joined = segment(folder.path(), &[1, 2], 20, 200);
    let segments = [joined, segments[2].clone()];
    let settled = Dead::settle(&samples(), &segments, &dead);
    assert_eq!(settled.len(), 1, "{settled:?}");
    let current: Vec<_> = segments.iter().map(|segment| current_times(segment, &settled)).collect();
    assert_eq!(current, [vec![1, 2], vec![1, 2, 3]]);
}

#[test]
fn a_row_whose_replacement_is_only_in_the_log_is_not_joined_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let order = |number: usize| format!("o{number}");
    for number in 0..9 {
        let row = order_row(&order(number), Some(Some("a")), Some(Some(1.0)), false);
        store.append_and_wait(write(vec![row])).unwrap();
        if number < 8 {
            store.flush().unwrap();
        }
    }
    store.append_and_wait(write(vec![order_row(&order(0), None, Some(Some(2.0)), false)])).unwrap();
    // The history's commit lands, the table's does not.
    let crashed = durability::image(folder.path());
    store.flush().unwrap();
    let history = Path::new("tables/orders_history");
    fs::remove_dir_all(crashed.path().join(history)).unwrap();
    durability::copy(&folder.path().join(history), &crashed.path().join(history));

    let reopened = open(crashed.path());
    let deadline = Instant::now() + Duration::from_secs(60);
    while reopened.snapshot().tables.get(1).unwrap().segments.len() >= 8 {
        assert!(Instant::now() < deadline, "nothing was joined");
        std::thread::yield_now();
    }
    let crashed = durability::image(crashed.path());
    let rows = current(&open(crashed.path()), 1);
    let (key, product) = (rows.column(0).as_string::<i32>(), rows.column(1).as_string::<i32>());
    let changed = (0..rows.num_rows()).find(|&row| key.value(row) == "o0").unwrap();
    assert_eq!(product.value(changed), "a");
    assert_eq!(rows.column(2).as_primitive::<Float64Type>().value(changed), 2.0);
}

/// The days of a table's segments, each as often as it has some.
fn days_of_segments(store: &Store) -> Vec<(i64, i64)> {
    let snapshot = store.snapshot();
    let day = |time: Option<i64>| crate::segment::day_of(time.unwrap());
    let mut days: Vec<_> =
        snapshot.tables[0].segments.iter().map(|segment| (day(segment.min_time), day(segment.max_time))).collect();
    days.sort_unstable();
    days
}

#[test]
fn rows_of_very_many_days_are_split_day_by_day() {
    const DAY_US: i64 = 86_400_000_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // More than are written at once, and a clock that started over.
    let mut times: Vec<i64> = (20_000..20_100).map(|day| day * DAY_US + 5).collect();
    times.push(10_957 * DAY_US);
    let rows: Vec<_> = times.iter().flat_map(|&time| [(time, "b", 1.0), (time, "a", 2.0)]).collect();
    store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
    store.compact().unwrap();
    let mut expected: Vec<_> = times.iter().map(|time| time.div_euclid(DAY_US)).map(|day| (day, day)).collect();
    expected.sort_unstable();
    assert_eq!(days_of_segments(&store), expected);
    let mut expected: Vec<_> = rows.iter().map(|&(time, name, value)| (name.to_owned(), time, value)).collect();
    expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(sample_values(&store), expected);
    // What was corrected on one day is forgotten once that day is merged, whatever the others are.
    store.append_and_wait(write(vec![sample_rows(&[(times[3], "a", 7.0)])])).unwrap();
    store.compact().unwrap();
    let snapshot = store.snapshot();
    assert!(snapshot.tables[0].dead.is_empty(), "{:?}", snapshot.tables[0].dead);
    assert_eq!(days_of_segments(&store).len(), times.len());
}

#[test]
fn a_run_in_pieces_stays_as_large_as_it_is_however_often_it_is_merged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let equipment: Vec<String> = (0..9).map(|number| format!("m{number}")).collect();
    for round in 0..6 {
        let rows: Vec<_> = equipment
            .iter()
            .flat_map(|name| (0..50).map(move |time| (time, name.as_str(), f64::from(round))))
            .collect();
        store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
        store.compact().unwrap();
        if round == 0 {
            // A flush alone stays as it is.
            continue;
        }
        let snapshot = store.snapshot();
        let segments = &snapshot.tables[0].segments;
        // 32 rows make a segment of this store full, and equipment is not torn apart.
        assert_eq!(segments.len(), equipment.len(), "round {round}");
        let run_rows: Vec<u64> = segments.iter().map(|segment| segment.run_rows).collect();
        assert!(run_rows.iter().all(|rows| (450..=900).contains(rows)), "round {round}: {run_rows:?}");
    }
}

/// Recorded times of all versions of an order and when each was superseded, oldest first; the newest has no second time.
fn recorded_times(store: &Store) -> Vec<(i64, Option<i64>)> {
    let snapshot = store.snapshot();
    let view = snapshot.tables.get(1).unwrap();
    let times = |rows: &RecordBatch, name: &str| {
        let column = rows.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>().clone();
        column.iter().flatten().collect::<Vec<_>>()
    };
    let history = view.history.iter().map(|segment| segment.read().unwrap()).chain([view.pending_history().unwrap()]);
    let mut versions: Vec<(i64, Option<i64>)> = history
        .flat_map(|rows| times(&rows, "recorded").into_iter().zip(times(&rows, "superseded").into_iter().map(Some)))
        .collect();
    versions.sort_unstable();
    let flushed = view.segments.last().map(|segment| segment.read().unwrap());
    let hot = view.hot_rows(ALWAYS, None).unwrap();
    let newest = if hot.num_rows() > 0 { Some(hot) } else { flushed };
    versions.extend(newest.iter().flat_map(|rows| times(rows, "recorded")).map(|recorded| (recorded, None)));
    versions
}

#[test]
fn versions_of_a_repeated_record_follow_each_other_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // Every field is named.
    let whole = |quantity: f64| order_row("o", Some(Some("p")), Some(Some(quantity)), false);
    let put = |quantity: f64| store.append_and_wait(write(vec![whole(quantity)])).unwrap().recorded;
    let first = put(1.0);
    store.flush().unwrap();
    put(1.0);
    assert_eq!(recorded_times(&store), [(first, None)], "the same again");
    drop(store);
    let store = open(folder.path());
    assert_eq!(recorded_times(&store), [(first, None)], "the same again, from the log");
    let put = |quantity: f64| store.append_and_wait(write(vec![whole(quantity)])).unwrap().recorded;
    let second = put(2.0);
    let expected = [(first, Some(second)), (second, None)];
    assert_eq!(recorded_times(&store), expected, "in memory");
    store.flush().unwrap();
    assert_eq!(recorded_times(&store), expected, "in segments");
    store.compact().unwrap();
    assert_eq!(recorded_times(&store), expected, "merged");
}

#[test]
fn many_versions_of_one_record_in_one_write_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let product = |name: &str| order_row("o", Some(Some(name)), None, false);
    store.append_and_wait(write(vec![order_row("o", Some(Some("first")), Some(Some(7.0)), false)])).unwrap();
    store.flush().unwrap();
    let names: Vec<String> = (0..1_500).map(|version| format!("p{}", version / 2)).collect();
    let rows: Vec<Rows> = names.iter().map(|name| product(name)).collect();
    let batch = arrow::compute::concat_batches(&rows[0].batch.schema(), rows.iter().map(|rows| &rows.batch)).unwrap();
    let present = Some(rows.iter().flat_map(|rows| rows.present.clone().unwrap()).collect());
    let one = Rows { table: 1, batch, present, deleted: vec![false; rows.len()] };
    store.append_and_wait(write(vec![one])).unwrap();
    // The first, and of each two the first: the second says the same. All have what the first has and they leave out.
    let check = |when: &str| {
        let newest = current(&store, 1);
        let quantity = newest.column_by_name("quantity").unwrap().as_primitive::<Float64Type>().value(0);
        assert_eq!((newest.num_rows(), quantity), (1, 7.0), "{when}");
        assert_eq!((history_count(&store, 1), recorded_times(&store).len()), (750, 751), "{when}");
    };
    check("in memory");
    store.flush().unwrap();
    check("in segments");
}
