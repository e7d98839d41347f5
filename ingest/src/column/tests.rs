use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

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

#[test]
fn values_come_back_wherever_the_first_of_them_is() {
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..200 {
        let (before, after) = (random.random_range(0..20), random.random_range(0..20));
        let share = [0.0, 0.5, 1.0][round % 3];
        let later = (0..after).map(|_| random.random_bool(share).then(|| random.random_range(0..5_i64)));
        let rows: Vec<Option<i64>> = std::iter::repeat_n(None, before).chain(later).collect();
        let words: Vec<Option<String>> = rows.iter().map(|row| row.map(|row| "x".repeat(row as usize))).collect();
        let (mut numbers, mut texts) = (Numbers::default(), Texts::default());
        let (mut names, mut flags) = (Names::default(), Flags::default());
        for (row, word) in rows.iter().zip(&words) {
            numbers.push(*row);
            texts.push(word.as_deref());
            names.push(word.as_deref());
            flags.push(row.map(|row| row > 2));
        }
        assert_eq!(numbers.len(), rows.len());
        assert_eq!(numbers.integers().as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), rows);
        let expected: Vec<Option<&str>> = words.iter().map(Option::as_deref).collect();
        assert_eq!(texts.finish().unwrap().as_string::<i32>().iter().collect::<Vec<_>>(), expected);
        let names = cast(&names.finish().unwrap(), &DataType::Utf8).unwrap();
        assert_eq!(names.as_string::<i32>().iter().collect::<Vec<_>>(), expected);
        let expected: Vec<Option<bool>> = rows.iter().map(|row| row.map(|row| row > 2)).collect();
        assert_eq!(flags.finish().as_boolean().iter().collect::<Vec<_>>(), expected);
    }
}
