use super::*;

const MINUTE_US: i64 = 60 * SECOND_US;

fn step(previous_min: i64, time_min: i64, kwh: f64) -> Consumption {
    Consumption::between(previous_min * MINUTE_US, time_min * MINUTE_US, kwh)
}

#[test]
fn a_step_is_spread_over_the_time_since_the_reading_before() {
    let steps = [step(0, 10, 10.0), step(10, 20, 20.0), step(20, 80, 15.0)];
    assert_eq!(steps[2].start, 65 * MINUTE_US, "over 15 minutes at most");
    let kwh = |from_min: i64, to_min: i64| {
        let (from, to) = (from_min * MINUTE_US, to_min * MINUTE_US);
        Taken::since(&steps, from).within(from, to)
    };
    assert_eq!([kwh(0, 80), kwh(5, 15), kwh(20, 65), kwh(65, 70), kwh(80, 99)], [45.0, 15.0, 0.0, 5.0, 0.0]);
    assert_eq!(kwh(10, 10), 0.0);
    assert!(kwh(80, 99).is_sign_positive(), "nothing is written 0, not -0");
    let mut one_after_the_other = Taken::since(&steps, 5 * MINUTE_US);
    let mut kwh = |from_min: i64, to_min: i64| one_after_the_other.within(from_min * MINUTE_US, to_min * MINUTE_US);
    assert_eq!([kwh(5, 8), kwh(8, 15), kwh(16, 18), kwh(70, 99)], [3.0, 12.0, 4.0, 10.0]);
}

#[test]
fn what_is_taken_while_the_machine_does_not_run_is_a_loss_of_its_own() {
    let mut energy = Energy::of(30.0);
    energy.add_idle(Loss::Unplanned, 2.0);
    energy.add_idle(Loss::NotScheduled, 4.0);
    energy.add_idle(Loss::Unplanned, 1.0);
    let twice = energy.plus(energy);
    assert_eq!((twice.total_kwh, twice.idle_kwh()), (60.0, 14.0));
    let lost = [Loss::NotScheduled, Loss::Unplanned, Loss::Unknown, Loss::ReducedSpeed];
    assert_eq!(lost.map(|loss| twice.lost_kwh(loss)), [Some(8.0), Some(6.0), Some(0.0), None]);
}

#[test]
fn meters_count_in_units_of_energy() {
    let kwh = ["kWh", "Wh", "MWh", "J", "kW", "kwh"].map(kwh_per);
    assert_eq!(kwh, [Some(1.0), Some(0.001), Some(1_000.0), Some(1.0 / 3_600_000.0), None, None]);
}

#[test]
fn costs_are_of_what_is_known() {
    let hour_us = 3_600 * SECOND_US;
    let energy = Some(Energy::of(10.0));
    let rates = |cost_per_hour, energy_price_per_kwh| Rates { cost_per_hour, energy_price_per_kwh };
    assert_eq!(rates(Some(60.0), Some(0.5)).cost(hour_us / 2, energy), Some(35.0));
    assert_eq!(rates(Some(60.0), None).cost(hour_us, energy), Some(60.0));
    assert_eq!(rates(None, Some(0.5)).cost(hour_us, energy), Some(5.0));
    assert_eq!(rates(None, Some(0.5)).cost(hour_us, None), None);
    assert_eq!(rates(None, None).cost(hour_us, energy), None);
}
