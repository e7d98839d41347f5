//! What stands around the line: a compressor that publishes in the UMH way, and the hall's sensors, which
//! publish bare numbers.

use std::f64::consts::TAU;

use super::dice::Dice;
use super::message::{Message, Object};
use super::{MILLISECOND_US, SECOND_US};

/// Readings of the compressor per second.
pub(super) const COMPRESSOR_HZ: f64 = 1.0;

/// Time between two readings of the hall's sensors.
pub(super) const HALL_INTERVAL_US: i64 = 10 * SECOND_US;

/// Time between two readings of the stations' meters.
pub(super) const METER_INTERVAL_US: i64 = 10 * SECOND_US;

/// One reading of the compressor; stations that move need air.
pub(super) fn compressor(now_us: i64, moving_stations: usize, dice: &mut Dice) -> Message {
    let demand = 0.35 + 0.45 * moving_stations as f64;
    let swing = (now_us as f64 / (90.0 * SECOND_US as f64) * TAU).sin();
    let payload = Object::new()
        .integer("timestamp_ms", now_us / MILLISECOND_US)
        .decimal("pressure", 7.1 + 0.25 * swing - 0.03 * demand + dice.normal(0.0, 0.01), 2)
        .decimal("flow", demand + dice.normal(0.0, 0.04), 2)
        .decimal("power", 6.0 + 4.2 * demand + dice.normal(0.0, 0.15), 1)
        .decimal("dew_point", 3.2 + 0.3 * swing + dice.normal(0.0, 0.05), 1);
    Message::reading(now_us, "umh/v1/cologne/utilities/compressor/_historian/air", payload.close())
}

/// Temperature and humidity of the hall: numbers without a time, as simple sensors send them.
pub(super) fn hall(now_us: i64, dice: &mut Dice) -> [Message; 2] {
    let day = (now_us as f64 / (86_400.0 * SECOND_US as f64) * TAU - 2.4).sin();
    let temperature = 21.5 + 2.0 * day + dice.normal(0.0, 0.05);
    let humidity = 46.0 - 5.0 * day + dice.normal(0.0, 0.2);
    [
        Message::reading(now_us, "hall/temperature", format!("{temperature:.1}")),
        Message::reading(now_us, "hall/humidity", format!("{humidity:.0}")),
    ]
}
