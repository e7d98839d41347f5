use datafusion::common::ScalarValue;
use datafusion::prelude::{col, lit};

use super::*;

fn at(us: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())), None)
}

#[test]
fn comparisons_of_time_bound_it_from_both_sides() {
    let reach = Reach::of(&[col("time").gt_eq(at(10)).and(col("time").lt(at(20))), at(12).lt_eq(col("time"))]);
    // A cell or a segment that begins at an end that is left out is not read.
    assert_eq!(reach.times("time"), (12, 19));
    assert_eq!(Reach::of(&[col("time").gt(at(10)).and(col("time").lt_eq(at(20)))]).times("time"), (11, 20));
    assert_eq!(reach.times("started"), (i64::MIN, i64::MAX));
}

#[test]
fn a_finer_constant_never_cuts_a_microsecond_off() {
    let nanos = |ns| Expr::Literal(ScalarValue::TimestampNanosecond(Some(ns), None), None);
    let reach = Reach::of(&[col("time").gt(nanos(1_500)), col("time").lt(nanos(-1_500))]);
    assert_eq!(reach.times("time"), (2, -2));
    let reach = Reach::of(&[col("time").gt_eq(nanos(1_500)), col("time").lt_eq(nanos(1_999))]);
    assert_eq!(reach.times("time"), (2, 1), "no microsecond lies between");
}

#[test]
fn a_prefix_bounds_texts() {
    let reach = Reach::of(&[col("equipment").like(lit("cologne/line-1/%"))]);
    let texts = reach.texts("equipment").cloned().unwrap_or_default();
    assert!(texts.meets("cologne/line-1/press", "cologne/line-1/weld"));
    assert!(texts.meets("aachen", "zurich"));
    assert!(!texts.meets("cologne/line-2", "cologne/line-2/weld"));
    assert!(!texts.meets("aachen", "bonn"));
}

#[test]
fn a_list_and_its_rewritten_form_say_the_same() {
    let expected: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
    for filter in
        [col("unit").in_list(vec![lit("a"), lit("b")], false), col("unit").eq(lit("a")).or(col("unit").eq(lit("b")))]
    {
        assert_eq!(Reach::of(&[filter]).one_of("unit"), Some(&expected));
    }
}

#[test]
fn what_is_not_understood_leaves_everything_possible() {
    let filters = [
        col("unit").not_eq(lit("a")),
        col("unit").eq(lit("a")).or(col("value").gt(lit(1.0))),
        col("unit").not_like(lit("a%")),
        col("unit").in_list(vec![lit("a")], true),
    ];
    assert_eq!(Reach::of(&filters).one_of("unit"), None);
    assert!(Reach::of(&filters).texts("unit").is_none_or(|texts| texts.meets("", "z")));
}
