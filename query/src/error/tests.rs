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
