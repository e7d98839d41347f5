use super::*;

fn stretch(equipment: &str, from: i64, to: i64) -> Affected {
    Affected { equipment: equipment.into(), from, to }
}

#[test]
fn nowhere_matches_nothing() {
    assert_eq!(within(&[]), lit(false));
    assert_eq!(bounds(&[]), vec![lit(false)]);
}

#[test]
fn an_open_stretch_has_no_upper_bound() {
    let text = within(&[stretch("a", 5, OPEN)]).to_string();
    assert!(text.contains("time >="), "{text}");
    assert!(!text.contains("time <"), "{text}");
}

#[test]
fn bounds_read_one_column_each_before_the_exact_condition() {
    let all = bounds(&[stretch("a", 5, 10), stretch("b", 20, 30)]);
    let columns: Vec<usize> = all.iter().map(|bound| bound.column_refs().len()).collect();
    assert_eq!(columns, [1, 1, 1, 2]);
}
