//! A folder whose tables had fewer columns than this takt knows.

use super::durability::image;
use super::*;

/// A table as it was before it had one of its columns.
fn without(mut spec: TableSpec, column: usize) -> TableSpec {
    let places: Vec<usize> = (0..spec.schema.fields().len()).filter(|&place| place != column).collect();
    spec.schema = Arc::new(spec.schema.project(&places).unwrap());
    let moved = |kept: &mut Vec<usize>| {
        kept.retain(|&place| place != column);
        kept.iter_mut().for_each(|place| *place -= usize::from(*place > column));
    };
    moved(&mut spec.names);
    moved(&mut spec.key);
    moved(&mut spec.bloom);
    spec
}

/// `samples` with one more column.
fn wider_samples() -> TableSpec {
    let mut spec = samples();
    let added = Field::new("text", DataType::Utf8, true);
    spec.schema = Arc::new(Schema::new([spec.schema.fields().to_vec(), vec![Arc::new(added)]].concat()));
    spec
}

fn wider_rows(rows: &[(i64, &str, f64, &str)]) -> Rows {
    let narrow: Vec<_> = rows.iter().map(|row| (row.0, row.1, row.2)).collect();
    let texts: StringArray = rows.iter().map(|row| Some(row.3)).collect();
    let columns = [sample_rows(&narrow).batch.columns().to_vec(), vec![Arc::new(texts) as ArrayRef]].concat();
    let batch = RecordBatch::try_new(wider_samples().memory_schema(), columns).unwrap();
    Rows { table: 0, batch, present: None, deleted: vec![] }
}

fn shown(store: &Store, table: usize) -> Vec<String> {
    let rows = current(store, table);
    let cell = |column: usize, row| arrow::util::display::array_value_to_string(rows.column(column), row).unwrap();
    let columns = if table == 0 { vec![0, 1, 2, 3] } else { vec![0, 1, 2] };
    let mut shown: Vec<String> = (0..rows.num_rows())
        .map(|row| columns.iter().map(|&column| cell(column, row)).collect::<Vec<_>>().join(" "))
        .collect();
    shown.sort();
    shown
}

/// All commits of a table's log.
fn commits(folder: &std::path::Path, table: &str) -> String {
    let log = std::fs::read_dir(folder.join("tables").join(table).join("_delta_log")).unwrap();
    let commits =
        log.map(|commit| commit.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
    commits.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

const TIME: &str = "1970-01-01T00:00:00.00000";

fn expected(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| row.replace("T+", TIME)).collect()
}

#[test]
fn columns_that_a_folder_does_not_have_yet_are_null() {
    let folder = tempfile::tempdir().unwrap();
    let old = vec![samples(), without(orders(), 2)];
    let store = Store::open(folder.path(), old.clone(), options()).unwrap();
    let order = |order: &str, product: &str, deleted| {
        let Rows { batch, .. } = order_row(order, Some(Some(product)), None, false);
        let batch = batch.project(&[0, 1, 3, 4, 5]).unwrap();
        Rows { table: 1, batch, present: Some(vec![3]), deleted: vec![deleted] }
    };
    let put = |store: &Store, rows| store.append_and_wait(write(vec![rows])).unwrap();
    put(&store, sample_rows(&[(1, "a", 1.0), (2, "a", 2.0), (1, "b", 3.0)]));
    for (name, product) in [("o1", "x"), ("o2", "x"), ("o3", "x"), ("o1", "y")] {
        put(&store, order(name, product, false));
        store.flush().unwrap();
    }
    put(&store, order("o3", "x", true));
    put(&store, sample_rows(&[(3, "a", 4.0)]));
    let crashed = image(folder.path());
    store.close().unwrap();
    drop(store);

    for folder in [&folder, &crashed] {
        let new = vec![wider_samples(), orders()];
        let mut store = Store::open(folder.path(), new.clone(), options()).unwrap();
        assert_eq!(shown(&store, 1), ["o1 y ", "o2 x "]);
        put(&store, wider_rows(&[(2, "a", 2.5, "t"), (4, "a", 5.0, "t")]));
        put(&store, order_row("o1", None, Some(Some(7.0)), false));
        put(&store, order_row("o4", Some(Some("z")), Some(Some(8.0)), false));
        for (table, column) in [("samples", "text"), ("samples_history", "text"), ("orders", "quantity")] {
            assert!(commits(folder.path(), table).contains(&format!("\\\"{column}\\\"")), "{table} has no {column}");
        }
        let samples = expected(&["T+1Z a 1.0 ", "T+1Z b 3.0 ", "T+2Z a 2.5 t", "T+3Z a 4.0 ", "T+4Z a 5.0 t"]);
        for step in ["written", "flushed", "merged", "opened again"] {
            match step {
                "flushed" => store.flush().unwrap(),
                "merged" => assert!(store.compact().unwrap() > 0),
                "opened again" => {
                    drop(store);
                    store = Store::open(folder.path(), new.clone(), options()).unwrap();
                }
                _ => {}
            }
            assert_eq!(shown(&store, 0), samples, "{step}");
            assert_eq!(shown(&store, 1), ["o1 y 7.0", "o2 x ", "o4 z 8.0"], "{step}");
            assert_eq!((history_count(&store, 0), history_count(&store, 1)), (1, 3), "{step}");
            let newest = store.snapshot().tables[0].newest_of_series().unwrap();
            assert_eq!(newest.num_rows(), 2, "{step}");
            let verified = crate::verify(folder.path(), &new, &mut |_, _| {}).unwrap();
            assert!(verified.faults.is_empty(), "{step}: {:?}", verified.faults);
        }
    }
}
