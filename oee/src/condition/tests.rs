use super::*;

const BAD: i64 = 0x8000_0000;
const UNCERTAIN: i64 = 0x4000_0000;

fn check(condition: &Condition, value: Option<f64>, text: Option<&str>, quality: i64, holds: Option<bool>) {
    let reading = Reading { time: 0, value, text, quality };
    assert_eq!(condition.holds(&reading), holds, "{condition:?} {reading:?}");
}

#[test]
fn limits_are_for_numbers_and_strict() {
    let (above, below) = (Condition::Above(5.0), Condition::Below(5.0));
    for (value, is_above, is_below) in [(4.9, false, true), (5.0, false, false), (5.1, true, false)] {
        check(&above, Some(value), None, 0, Some(is_above));
        check(&below, Some(value), None, UNCERTAIN, Some(is_below));
        check(&above, Some(value), None, BAD, None);
    }
    for nothing in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        check(&above, nothing, None, 0, None);
    }
    check(&above, None, Some("9"), 0, None);
}

#[test]
fn equality_is_by_text_and_knows_truth_values() {
    let equals = |wanted: &str| Condition::Equals(wanted.to_owned());
    check(&equals("RUN"), None, Some("RUN"), 0, Some(true));
    check(&equals("RUN"), None, Some("run"), 0, Some(false));
    check(&equals("RUN"), None, None, 0, None);
    check(&equals("6"), Some(6.0), None, 0, Some(true));
    check(&equals("true"), Some(1.0), None, 0, Some(true));
    check(&equals("1"), None, Some("true"), 0, Some(true));
    check(&equals("false"), Some(1.0), None, 0, Some(false));
    check(&equals("true"), Some(1.0), None, BAD, None);
}
