//! What comes out of a cycle: the values that a station measures, and whether they are within limits.

use super::dice::Dice;
use super::message::{Object, rounded};
use super::order::{Order, PRODUCTS};
use super::station::{Characteristic, Job, LEAK_TEST, LINE, WELD};
use super::stock::equipment;

/// Draws the values that an attempt will measure, and whether it passes.
///
/// Whether a piece fails is drawn first and its values follow, so that the share of failures is what the
/// station says, whatever the spread of its values.
pub(super) fn draw(dice: &mut Dice, index: usize, product: usize, weld_wear: f64, attempt: u32) -> (Vec<f64>, bool) {
    let spec = &LINE[index];
    let fail_chance = match spec.retry_pass_chance {
        Some(pass_chance) if attempt > 1 => 1.0 - pass_chance,
        // The worn electrode leaves the leaks.
        _ if index == LEAK_TEST => spec.fail_chance * (0.4 + 1.2 * weld_wear),
        _ => spec.fail_chance,
    };
    let passes = !dice.chance(fail_chance);
    let drift = match index {
        WELD => -0.15 * weld_wear,
        LEAK_TEST => 0.35 * weld_wear,
        _ => 0.0,
    };
    let expected: Vec<&Characteristic> = spec
        .characteristics
        .iter()
        .flat_map(|characteristic| std::iter::repeat_n(characteristic, characteristic.values))
        .collect();
    let mut values: Vec<f64> =
        expected.iter().map(|characteristic| good_value(dice, characteristic, product, drift)).collect();
    if !passes {
        let bad = dice.below(values.len());
        values[bad] = bad_value(dice, expected[bad], product);
    }
    (values, passes)
}

/// The first characteristic that is out of its limits, by place in the station's list.
pub(super) fn failed(index: usize, job: &Job, product: usize) -> Option<usize> {
    let characteristics = LINE[index].characteristics.iter().enumerate();
    let expected = characteristics
        .flat_map(|(place, characteristic)| std::iter::repeat_n((place, characteristic), characteristic.values));
    let mut bad =
        expected.zip(&job.values).filter(|((_, characteristic), value)| !is_within(characteristic, product, **value));
    bad.next().map(|((place, _), _)| place)
}

fn is_within(characteristic: &Characteristic, product: usize, value: f64) -> bool {
    let (lower, upper) = (characteristic.lower_limit(product), characteristic.upper_limit(product));
    lower.is_none_or(|limit| value >= limit) && upper.is_none_or(|limit| value <= limit)
}

/// The measurement records of a finished attempt.
pub(super) fn measurements(index: usize, job: &Job, order: &Order, now_us: i64) -> Vec<Object> {
    let spec = &LINE[index];
    let pieces = spec
        .characteristics
        .iter()
        .flat_map(|characteristic| (1..=characteristic.values).map(move |piece| (characteristic, piece)));
    pieces
        .zip(&job.values)
        .map(|((characteristic, piece), value)| {
            let lower = characteristic.lower_limit(order.product);
            let upper = characteristic.upper_limit(order.product);
            let within = is_within(characteristic, order.product, *value);
            Object::new()
                .time("time", now_us)
                .text("unit", &job.piece.unit)
                .text("operation", spec.operation)
                .text("equipment", &equipment(index))
                .text("characteristic", characteristic.name)
                .decimal("value", *value, characteristic.places)
                .optional("lower_limit", lower, characteristic.places)
                .optional("upper_limit", upper, characteristic.places)
                .decimal("target", characteristic.target[order.product], characteristic.places)
                .text("result", if within { "pass" } else { "fail" })
                .text("work_order", &order.number)
                .text("product", PRODUCTS[order.product])
                .text("run", &job.run)
                .integer("piece", piece as i64)
        })
        .collect()
}

/// One digit of what the gauge shows.
fn digit(characteristic: &Characteristic) -> f64 {
    10_f64.powi(-i32::try_from(characteristic.places).unwrap_or(0))
}

fn good_value(dice: &mut Dice, characteristic: &Characteristic, product: usize, drift: f64) -> f64 {
    let drawn = dice.normal(characteristic.target[product] + drift, characteristic.deviation);
    let inside = digit(characteristic);
    let lowest = characteristic.lower_limit(product).map_or(f64::MIN, |limit| limit + inside);
    let highest = characteristic.upper_limit(product).map_or(f64::MAX, |limit| limit - inside);
    rounded(drawn.clamp(lowest, highest), characteristic.places)
}

fn bad_value(dice: &mut Dice, characteristic: &Characteristic, product: usize) -> f64 {
    let share = dice.uniform(0.05, 0.6);
    let low_side = dice.chance(0.5);
    let outside = digit(characteristic);
    let value = match (characteristic.below, characteristic.above) {
        // A one-sided or lopsided tolerance is missed where quality ends: leaks and noise are never too small.
        (Some(below), Some(above)) if below == above && low_side => {
            characteristic.target[product] - below * (1.0 + share) - outside
        }
        (Some(below), None) => characteristic.target[product] - below * (1.0 + share) - outside,
        (_, above) => {
            let above = above.unwrap_or(0.0);
            characteristic.target[product] + above * (1.0 + share) + outside
        }
    };
    rounded(value, characteristic.places)
}
