use super::{Counter, CounterRule, deltas};

const SIXTEEN_BIT: CounterRule = CounterRule { modulus: Some(65_536.0), max_step: Some(100.0) };

fn steps(rule: CounterRule, values: &[f64]) -> Vec<f64> {
    let mut counter = Counter::new(rule);
    values.iter().filter_map(|&value| counter.push(value)).collect()
}

#[test]
fn the_first_reading_is_the_baseline() {
    assert_eq!(steps(CounterRule::default(), &[500.0, 500.0, 507.0]), [0.0, 7.0]);
}

#[test]
fn a_reading_below_the_last_is_a_reset() {
    assert_eq!(steps(CounterRule::default(), &[500.0, 3.0, 5.0]), [3.0, 2.0]);
}

#[test]
fn a_plausible_step_over_the_modulus_is_a_rollover() {
    assert_eq!(steps(SIXTEEN_BIT, &[65_500.0, 64.0]), [100.0]);
    assert_eq!(steps(SIXTEEN_BIT, &[65_500.0, 65.0]), [65.0]);
    let without_max_step = CounterRule { max_step: None, ..SIXTEEN_BIT };
    assert_eq!(steps(without_max_step, &[60_000.0, 10.0]), [5_546.0]);
    assert_eq!(steps(without_max_step, &[40_000.0, 10.0]), [10.0]);
}

#[test]
fn readings_that_are_not_good_are_passed_over() {
    let samples = [(1, 10.0, true), (2, 99.0, false), (3, f64::NAN, true), (4, 12.0, true), (5, 12.0, true)];
    assert_eq!(deltas(CounterRule::default(), samples), [(4, 2.0)]);
}

#[test]
fn a_baseline_carries_over_from_before() {
    let mut counter = Counter::from_baseline(CounterRule::default(), 10.0);
    assert_eq!(counter.push(12.0), Some(2.0));
    assert_eq!(Counter::from_baseline(CounterRule::default(), f64::NAN).push(12.0), None);
}

#[test]
fn nothing_is_counted_backwards() {
    let steps = |rule, values: &[f64]| -> Vec<f64> {
        deltas(rule, (0..).zip(values).map(|(time, value)| (time, *value, true)))
            .into_iter()
            .map(|(_, step)| step)
            .collect()
    };
    assert_eq!(steps(CounterRule::default(), &[2.5, -7.0, 5.0]), [12.0]);
    // A signed register of 16 bits: the plant says that it rolls over.
    let rolls = CounterRule { modulus: Some(65_536.0), max_step: None };
    let wrapped = [32_760.0, 32_767.0, -32_768.0, -32_760.0];
    assert_eq!(
        (steps(rolls, &wrapped), steps(CounterRule::default(), &wrapped)),
        (vec![7.0, 1.0, 8.0], vec![7.0, 8.0])
    );
}
