//! What the sensors of a station show in the course of a cycle.

use std::f64::consts::TAU;

use super::SECOND_US;
use super::dice::Dice;
use super::message::Object;
use super::station::{END_OF_LINE_TEST, LEAK_TEST, LINE, PACKING, PRESS, SCREWDRIVING, Station, WELD};

/// Where a cycle is: the share done, what will be measured at its end, and whether it moves on.
struct Cycle<'a> {
    done: f64,
    values: &'a [f64],
    moves: bool,
}

impl Cycle<'_> {
    fn value(&self, index: usize) -> f64 {
        self.values.get(index).copied().unwrap_or(0.0)
    }
}

/// One reading of a station's process signals.
pub(super) fn reading(index: usize, station: &Station, product: usize, now_us: i64, dice: &mut Dice) -> String {
    let cycle = station.progress(now_us).map(|(job, done)| Cycle { done, values: &job.values, moves: station.moves() });
    let object = Object::reading(now_us);
    let object = match index {
        PRESS => press(object, cycle, now_us, dice),
        WELD => weld(object, cycle, dice),
        SCREWDRIVING => screwdriving(object, cycle, dice),
        LEAK_TEST => leak_test(object, cycle, LINE[index].ideal_cycle_s[product], dice),
        END_OF_LINE_TEST => end_of_line_test(object, cycle, dice),
        PACKING => packing(object, cycle, dice),
        _ => object,
    };
    object.close()
}

/// 0 before `start`, 1 after `end`, a straight line between.
fn ramp(at: f64, start: f64, end: f64) -> f64 {
    ((at - start) / (end - start)).clamp(0.0, 1.0)
}

/// The ram comes down, presses to the depth that will be measured, holds and goes up again.
fn press(object: Object, cycle: Option<Cycle<'_>>, now_us: i64, dice: &mut Dice) -> Object {
    const OPEN_MM: f64 = 80.0;
    let (force, position) = cycle.map_or((0.0, OPEN_MM), |cycle| {
        let at = cycle.done;
        let depth = cycle.value(1);
        let contact = depth + 6.0;
        let force = cycle.value(0) * (ramp(at, 0.3, 0.6).powi(2) - ramp(at, 0.72, 0.78));
        let down = (OPEN_MM - contact) * ramp(at, 0.05, 0.3) + 6.0 * ramp(at, 0.3, 0.6);
        let up = (OPEN_MM - depth) * ramp(at, 0.78, 0.98);
        (force.max(0.0), OPEN_MM - down + up)
    });
    let slow = (now_us as f64 / (1_700.0 * SECOND_US as f64) * TAU).sin();
    object
        .decimal("force", (force + dice.normal(0.0, 0.08)).max(0.0), 2)
        .decimal("position", position + dice.normal(0.0, 0.01), 2)
        .decimal("oil_temperature", 46.0 + 3.0 * slow + dice.normal(0.0, 0.1), 1)
}

/// Current on, seam, current off; the part heats up to the temperature that will be measured and cools down.
fn weld(object: Object, cycle: Option<Cycle<'_>>, dice: &mut Dice) -> Object {
    const AMBIENT_C: f64 = 32.0;
    let (current, temperature) = cycle.map_or((0.0, AMBIENT_C), |cycle| {
        let at = cycle.done;
        // An interruption switches the current off at once.
        let on = if cycle.moves { ramp(at, 0.12, 0.16) - ramp(at, 0.7, 0.72) } else { 0.0 };
        let heating = 1.0 - (-5.0 * ramp(at, 0.12, 0.7)).exp();
        let cooling = (-2.5 * ramp(at, 0.7, 1.0)).exp();
        (cycle.value(0) * on, AMBIENT_C + (cycle.value(1) - AMBIENT_C) * heating * cooling)
    });
    let voltage = if current > 0.1 { 2.1 + 0.11 * current + dice.normal(0.0, 0.02) } else { 0.0 };
    let current = if current > 0.0 { current + dice.normal(0.0, 0.04) } else { 0.0 };
    object.decimal("current", current.max(0.0), 2).decimal("voltage", voltage, 2).decimal(
        "temperature",
        temperature + dice.normal(0.0, 0.6),
        1,
    )
}

/// Four screws, one after the other: run in freely, then tighten to the torque that will be measured.
fn screwdriving(object: Object, cycle: Option<Cycle<'_>>, dice: &mut Dice) -> Object {
    let (screw, torque, angle) = cycle.map_or((0, 0.0, 0.0), |cycle| {
        let place = (cycle.done * 4.0).min(3.999);
        let (screw, at) = (place as usize, place.fract());
        let torque = 0.35 * ramp(at, 0.1, 0.15) + (cycle.value(screw) - 0.35) * ramp(at, 0.6, 0.8).powi(2);
        let angle = 1_620.0 * ramp(at, 0.1, 0.6) + 45.0 * ramp(at, 0.6, 0.8);
        let engaged = at > 0.1 && at < 0.88;
        if engaged { (screw + 1, torque, angle) } else { (screw + 1, 0.0, 0.0) }
    });
    let noise = if torque > 0.0 { dice.normal(0.0, 0.02) } else { 0.0 };
    object.integer("screw", screw as i64).decimal("torque", (torque + noise).max(0.0), 2).decimal("angle", angle, 1)
}

/// Fill, settle, watch the pressure fall by the leak, vent.
fn leak_test(object: Object, cycle: Option<Cycle<'_>>, cycle_s: f64, dice: &mut Dice) -> Object {
    const TEST_MBAR: f64 = 500.0;
    /// Pressure that a leak of 1 ml/min takes out of the pump's volume in a second.
    const MBAR_PER_ML_MIN_S: f64 = 0.9;
    let pressure = cycle.map_or(0.0, |cycle| {
        let at = cycle.done;
        let filled = TEST_MBAR * (1.0 - (-6.0 * ramp(at, 0.05, 0.25)).exp());
        let settled = 4.0 * ramp(at, 0.25, 0.4);
        let leaked = cycle.value(0) * MBAR_PER_ML_MIN_S * cycle_s * 0.5 * ramp(at, 0.4, 0.9);
        (filled - settled - leaked) * (1.0 - ramp(at, 0.9, 0.96))
    });
    object.decimal("pressure", (pressure + dice.normal(0.0, 0.05)).max(0.0), 2).decimal(
        "temperature",
        23.5 + dice.normal(0.0, 0.05),
        2,
    )
}

/// The pump runs up, delivers, runs down.
fn end_of_line_test(object: Object, cycle: Option<Cycle<'_>>, dice: &mut Dice) -> Object {
    let (share, flow, noise, current) = cycle.map_or((0.0, 0.0, 0.0, 0.0), |cycle| {
        let share = if cycle.moves { ramp(cycle.done, 0.1, 0.25) - ramp(cycle.done, 0.85, 0.95) } else { 0.0 };
        (share, cycle.value(0), cycle.value(1), cycle.value(2))
    });
    let quiet = 38.0;
    let loud = if share > 0.0 { (noise - quiet) * share.sqrt() } else { 0.0 };
    let spread = |dice: &mut Dice, deviation: f64| if share > 0.0 { dice.normal(0.0, deviation) } else { 0.0 };
    object
        .decimal("flow", (flow * share + spread(dice, 0.4)).max(0.0), 1)
        .decimal("noise", quiet + loud + dice.normal(0.0, 0.3), 1)
        .decimal("motor_current", (current * share + spread(dice, 0.02)).max(0.0), 2)
        .decimal("speed", (4_500.0 * share + spread(dice, 3.0)).max(0.0), 0)
}

/// A pump is put on the scale, settles, and goes into its carton.
fn packing(object: Object, cycle: Option<Cycle<'_>>, dice: &mut Dice) -> Object {
    let (weight, moves) = cycle.map_or((0.0, false), |cycle| {
        let at = cycle.done;
        let swing = 1.0 + 0.08 * (-14.0 * ramp(at, 0.3, 0.7)).exp() * (at * 90.0).cos();
        let on_scale = at > 0.3 && at < 0.9;
        (if on_scale { cycle.value(0) * swing } else { 0.0 }, cycle.moves)
    });
    let speed = if moves { 12.0 + dice.normal(0.0, 0.05) } else { 0.0 };
    object.decimal("weight", (weight + dice.normal(0.0, 0.4)).max(0.0), 0).decimal("conveyor_speed", speed, 2)
}
