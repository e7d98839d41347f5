use super::*;
use crate::state::StateValue;

const MINUTE_US: i64 = 60 * SECOND_US;

fn span(start_min: i64, end_min: i64, category: Option<Category>) -> StateSpan {
    let value = StateValue::new("s", category, None);
    StateSpan { start: start_min * MINUTE_US, end: end_min * MINUTE_US, value }
}

fn step(previous_min: i64, time_min: i64, kwh: f64) -> Consumption {
    Consumption::between(previous_min * MINUTE_US, time_min * MINUTE_US, kwh)
}

#[test]
fn a_step_is_spread_over_the_time_since_the_reading_before() {
    let steps = [step(0, 10, 10.0), step(10, 20, 20.0), step(20, 80, 15.0)];
    assert_eq!(steps[2].start, 65 * MINUTE_US, "over 15 minutes at most");
    let kwh = |from_min: i64, to_min: i64| Energy::of(&steps, &[], from_min * MINUTE_US, to_min * MINUTE_US).total_kwh;
    assert_eq!([kwh(0, 80), kwh(5, 15), kwh(20, 65), kwh(65, 70), kwh(80, 99)], [45.0, 15.0, 0.0, 5.0, 0.0]);
    assert_eq!(kwh(10, 10), 0.0);
    assert!(kwh(80, 99).is_sign_positive(), "nothing is written 0, not -0");
}

#[test]
fn what_is_taken_while_the_machine_does_not_run_is_idle() {
    let steps = [step(0, 10, 10.0), step(10, 20, 20.0)];
    let states = [
        span(0, 4, Some(Category::Run)),
        span(4, 6, Some(Category::Unplanned)),
        span(6, 15, Some(Category::Run)),
        span(16, 18, None),
    ];
    let energy = |from_min: i64, to_min: i64| Energy::of(&steps, &states, from_min * MINUTE_US, to_min * MINUTE_US);
    assert_eq!(energy(0, 20), Energy { total_kwh: 30.0, idle_kwh: 12.0 });
    assert_eq!(energy(5, 12), Energy { total_kwh: 9.0, idle_kwh: 1.0 });
    assert_eq!(energy(14, 30), Energy { total_kwh: 12.0, idle_kwh: 10.0 });
}

#[test]
fn meters_count_in_units_of_energy() {
    let kwh = ["kWh", "Wh", "MWh", "J", "kW", "kwh"].map(kwh_per);
    assert_eq!(kwh, [Some(1.0), Some(0.001), Some(1_000.0), Some(1.0 / 3_600_000.0), None, None]);
}

#[test]
fn costs_are_of_what_is_known() {
    let hour_us = 3_600 * SECOND_US;
    let energy = Some(Energy { total_kwh: 10.0, idle_kwh: 2.0 });
    let rates = |cost_per_hour, energy_price_per_kwh| Rates { cost_per_hour, energy_price_per_kwh };
    assert_eq!(rates(Some(60.0), Some(0.5)).cost(hour_us / 2, energy), Some(35.0));
    assert_eq!(rates(Some(60.0), None).cost(hour_us, energy), Some(60.0));
    assert_eq!(rates(None, Some(0.5)).cost(hour_us, energy), Some(5.0));
    assert_eq!(rates(None, Some(0.5)).cost(hour_us, None), None);
    assert_eq!(rates(None, None).cost(hour_us, energy), None);
}
