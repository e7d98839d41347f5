use std::sync::Arc;

use super::*;

#[test]
fn edits_between_names_are_counted() {
    for (a, b, edits) in
        [("equipment", "equipment", 0), ("Equipmnt", "equipment", 1), ("", "abc", 3), ("kitten", "sitting", 3)]
    {
        assert_eq!(distance(a, b), edits, "{a} {b}");
    }
}

#[test]
fn the_parsers_place_is_read_and_taken_out_of_the_words() {
    let message = "sql parser error: Expected: an expression, found: FROM at Line: 2, Column: 15";
    assert_eq!(written_place(message), Some((2, 15)));
    assert_eq!(without_place(message), "Expected: an expression, found: FROM");
}

#[test]
fn an_own_error_comes_back_out_of_the_engine() {
    let wrapped = DataFusionError::from(QueryError::ReadOnly("INSERT".to_owned())).context("while planning");
    assert!(matches!(QueryError::from(wrapped), QueryError::ReadOnly(what) if what == "INSERT"));
}

fn class(error: DataFusionError) -> (String, &'static str, bool) {
    let error = QueryError::from(error);
    (error.to_string(), error.sqlstate(), error.is_callers())
}

/// Alone, below contexts, and shared by the partitions of a join.
fn each_way(error: impl Fn() -> DataFusionError) -> [DataFusionError; 3] {
    let shared = Arc::new(error());
    // Somebody else has it too.
    std::mem::forget(Arc::clone(&shared));
    [error(), error().context("while running"), DataFusionError::Shared(shared)]
}

#[test]
fn values_that_do_not_fit_are_the_callers_and_all_else_is_not() {
    let arrow = |error: fn() -> ArrowError| move || DataFusionError::ArrowError(Box::new(error()), None);
    let zero = || ArrowError::DivideByZero;
    for error in each_way(arrow(zero)) {
        assert_eq!(class(error), ("division by zero".to_owned(), "22012", true));
    }
    for error in each_way(arrow(|| ArrowError::CastError("Cannot cast string 'x' to value of Int32 type".to_owned()))) {
        assert_eq!(class(error), ("Cannot cast string 'x' to value of Int32 type".to_owned(), "22P02", true));
    }
    for error in each_way(|| DataFusionError::Execution("Date part 'EON' not supported".to_owned())) {
        assert_eq!(class(error), ("Date part 'EON' not supported".to_owned(), "22000", true));
    }
    // What a file's reader says of the filter is how the error looks to a developer.
    let in_filter = |error: DataFusionError| {
        let inner = ArrowError::ComputeError(format!("{OF_FILTER}{error:?}"));
        move || {
            DataFusionError::ParquetError(Box::new(parquet::errors::ParquetError::External(inner.to_string().into())))
        }
    };
    for error in each_way(in_filter(arrow(zero)())) {
        assert_eq!(class(error), ("division by zero".to_owned(), "22012", true));
    }
    let cast = arrow(|| ArrowError::CastError("Cannot cast string 'x' to value of Int32 type".to_owned()));
    for error in each_way(in_filter(cast())) {
        assert_eq!(class(error), ("Cannot cast string 'x' to value of Int32 type".to_owned(), "22P02", true));
    }
    for (error, sqlstate) in [
        (DataFusionError::ParquetError(Box::new(parquet::errors::ParquetError::EOF("page".to_owned()))), "58030"),
        (in_filter(DataFusionError::Internal("a bug".to_owned()))(), "XX000"),
        (arrow(|| ArrowError::InvalidArgumentError("Column 'a' is declared as non-nullable".to_owned()))(), "XX000"),
        (DataFusionError::Execution("Spill file schema mismatch: expected a, got b".to_owned()), "XX000"),
        (DataFusionError::Execution("1 MB for sort merge join. Disk spilling disabled.".to_owned()), "53200"),
        (DataFusionError::IoError(io::Error::other("no disk")), "58030"),
        (DataFusionError::from(QueryError::Timeout(Duration::from_secs(1))), "57014"),
    ] {
        let (message, found, is_callers) = class(error);
        assert_eq!((found, is_callers), (sqlstate, false), "{message}");
    }
    for error in each_way(|| QueryError::Timeout(Duration::from_secs(1)).into()) {
        assert!(matches!(QueryError::from(error), QueryError::Timeout(_)));
    }
    for error in each_way(|| DataFusionError::NotImplemented("that".to_owned())) {
        assert_eq!(class(error).1, "42601");
    }
    let damaged = || StoreError::Damaged { path: PathBuf::from("a.parquet"), message: "its sum".to_owned() };
    for error in each_way(|| DataFusionError::External(Box::new(damaged()))) {
        assert!(matches!(QueryError::from(error), QueryError::Unreadable { path, .. } if path.ends_with("a.parquet")));
    }
}
