use arrow::array::{Array, AsArray};

use super::*;

#[test]
fn names_are_kept_once_and_come_back_in_order() {
    let mut names = Names::default();
    let rows: Vec<Option<String>> =
        (0..1000).map(|row| (row % 7 != 0).then(|| format!("signal-{}", row % 300))).collect();
    for row in &rows {
        names.push(row.as_deref());
    }
    let array = names.finish().unwrap();
    let dictionary = array.as_dictionary::<Int32Type>();
    let values = dictionary.values().as_string::<i32>();
    for (row, expected) in rows.iter().enumerate() {
        match expected {
            None => assert!(dictionary.is_null(row)),
            Some(name) => assert_eq!(values.value(dictionary.key(row).unwrap()), name),
        }
    }
    let distinct: std::collections::HashSet<&String> = rows.iter().flatten().collect();
    assert_eq!(values.len(), distinct.len());
}

#[test]
fn a_column_without_nulls_has_no_null_buffer() {
    let mut numbers = Numbers::default();
    numbers.push(Some(1.5));
    numbers.push(Some(2.5));
    assert!(numbers.doubles().nulls().is_none());
}

#[test]
fn nulls_before_and_after_values_stay_in_place() {
    let mut texts = Texts::default();
    for value in [Some("a"), None, Some(""), None] {
        texts.push(value);
    }
    let array = texts.finish().unwrap();
    let texts = array.as_string::<i32>();
    assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("a"), None, Some(""), None]);
}
