#![allow(clippy::unwrap_used, reason = "a test may panic")]

use datafusion::common::ScalarValue;
use datafusion::prelude::{col, lit};

use super::*;

fn at(us: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())), None)
}

fn push(filter: &Expr, explicit: bool) -> Result<TableProviderFilterPushDown> {
    pushdown(Function::Oee, filter, explicit)
}

#[test]
fn the_window_is_what_all_comparisons_leave() {
    let filters =
        [col("time").gt_eq(at(10)).and(at(30).gt(col("time"))), col("time").gt(at(14)), col("time").lt_eq(at(40))];
    assert_eq!(Window::of(&filters), Window { from: Some(15), to: Some(30) });
    assert_eq!(Window::of(&[col("time").between(at(10), at(20))]), Window { from: Some(10), to: Some(20) });
    assert_eq!(Window::of(&[col("equipment").eq(lit("press"))]), Window::default());
}

/// 2025-03-29 and the day after are days of Berlin: the second one has 23 hours.
#[test]
fn a_day_is_one_of_the_zone_that_the_clock_on_the_wall_is_of() {
    let wall = |name: &str| crate::functions::timezone::timezone().call(vec![lit(name), col("time")]);
    let day = |text: &str| {
        let us = text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), None), None)
    };
    let us = |text: &str| Some(text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
    let filters = [
        wall("Europe/Berlin").gt_eq(day("2025-03-29T00:00:00Z")),
        wall("Europe/Berlin").lt(day("2025-03-31T00:00:00Z")),
    ];
    let window = Window { from: us("2025-03-28T23:00:00Z"), to: us("2025-03-30T22:00:00Z") };
    assert_eq!((Window::of(&filters), Window::with_its_end(&filters)), (window, window));
    // 02:30 comes twice on that day.
    let twice = |compare: fn(Expr, Expr) -> Expr| compare(wall("Europe/Berlin"), day("2025-10-26T02:30:00Z"));
    let window = Window::of(&[twice(Expr::gt_eq), twice(Expr::lt)]);
    assert_eq!(window, Window { from: us("2025-10-26T00:30:00Z"), to: us("2025-10-26T01:30:00Z") });
    assert_eq!(push(&filters[0], false).unwrap(), TableProviderFilterPushDown::Inexact);
    assert!(push(&wall("Nowhere").gt_eq(day("2025-03-29T00:00:00Z")), false).is_err());
}

#[test]
fn a_condition_on_time_that_is_no_bound_is_refused_and_the_explicit_form_is_named() {
    for filter in [col("time").eq(at(10)), col("time").gt(at(10)).or(col("time").lt(at(5))), col("time").gt(col("end"))]
    {
        let refused = push(&filter, false).unwrap_err().to_string();
        assert!(refused.contains("oee('1 hour', from, to)"), "{refused}");
        assert_eq!(push(&filter, true).unwrap(), TableProviderFilterPushDown::Unsupported);
    }
}

#[test]
fn equipment_prunes_and_the_rest_is_filtered_above() {
    assert_eq!(push(&col("equipment").like(lit("cologne/%")), false).unwrap(), TableProviderFilterPushDown::Inexact);
    assert_eq!(push(&col("oee").gt(lit(0.5)), false).unwrap(), TableProviderFilterPushDown::Unsupported);
}

#[test]
fn a_signal_prunes_where_rows_are_of_signals() {
    let filter = col("equipment").eq(lit("press")).and(col("signal").like(lit("temp%")));
    for function in [Function::Aggregates, Function::Interpolate, Function::Trend] {
        assert_eq!(pushdown(function, &filter, false).unwrap(), TableProviderFilterPushDown::Inexact);
    }
    for function in [Function::Oee, Function::AsofJoin] {
        assert_eq!(pushdown(function, &filter, false).unwrap(), TableProviderFilterPushDown::Unsupported);
    }
    let refused = pushdown(Function::Interpolate, &col("time").eq(at(10)), false).unwrap_err().to_string();
    assert!(refused.contains("interpolate('1 minute', from, to)"), "{refused}");
}
