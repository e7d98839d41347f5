#![allow(clippy::unwrap_used, reason = "a test may panic")]

use datafusion::prelude::lit;

use super::*;

fn oee(arguments: &[Expr]) -> Result<Arguments> {
    Arguments::read(Function::Oee, arguments, &TimeZone::UTC)
}

#[test]
fn the_cut_is_a_width_a_shift_or_a_day() {
    for (text, expected) in
        [("1 hour", Cut::Width(Width::Micros(3_600_000_000))), ("shift", Cut::Shift), ("day", Cut::Day)]
    {
        assert_eq!(oee(&[lit(text)]).unwrap(), Arguments::Bound { cut: expected, window: None });
    }
    let refused = oee(&[lit("fortnight")]).unwrap_err().to_string();
    assert!(refused.contains("'shift'"), "{refused}");
}

#[test]
fn a_window_is_given_by_two_times() {
    let window = oee(&[lit("shift"), lit("1970-01-01T00:00:01Z"), lit("1970-01-01T00:00:02Z")]).unwrap();
    assert_eq!(window, Arguments::Bound { cut: Cut::Shift, window: Some((1_000_000, 2_000_000)) });
    assert!(oee(&[lit("shift"), lit("1970-01-01T00:00:01Z")]).is_err());
    assert!(oee(&[lit("shift"), lit("1970-01-01T00:00:01Z"), lit("1970-01-01T00:00:01Z")]).is_ok());
    let reversed = oee(&[lit("shift"), lit("1970-01-01T00:00:02Z"), lit("1970-01-01T00:00:01Z")]).unwrap_err();
    let expected = "the window of oee ends before it begins: from 1970-01-01T00:00:02Z to 1970-01-01T00:00:01Z";
    assert!(reversed.to_string().contains(expected), "{reversed}");
    assert!(oee(&[lit("shift"), lit("yesterday"), lit("today")]).unwrap_err().to_string().contains("\"yesterday\""));
}
