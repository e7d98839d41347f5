//! Why stations stop: the numbers that a station's state signal shows, and the faults behind them.

use super::dice::Dice;
use super::seconds_us;

/// What a station reports in its `state` signal. The two-digit numbers are PackML (ISA-TR88.00.02); from 50
/// on they are this line's own, a PackML state together with the reason that the controller knows. What each
/// means for OEE is `plant.toml`'s business.
pub(super) mod code {
    /// Stopped: the crew has a break.
    pub(in crate::demo) const STOPPED: u16 = 2;
    /// Idle: no order.
    pub(in crate::demo) const IDLE: u16 = 4;
    /// Execute: it works.
    pub(in crate::demo) const EXECUTE: u16 = 6;
    /// Resetting: set up for the next order.
    pub(in crate::demo) const RESETTING: u16 = 15;
    /// Suspended: nothing comes from the station before.
    pub(in crate::demo) const STARVED: u16 = 51;
    /// Suspended: the station behind takes nothing more.
    pub(in crate::demo) const BLOCKED: u16 = 52;
    /// Suspended: a component has run out and its next lot is not there.
    pub(in crate::demo) const NO_MATERIAL: u16 = 53;
    /// Held: a part lies wrong.
    pub(in crate::demo) const MISFEED: u16 = 111;
    /// Held: parts are jammed.
    pub(in crate::demo) const JAM: u16 = 112;
    /// Held: a sensor does not see what it should.
    pub(in crate::demo) const SENSOR: u16 = 113;
    /// Held: the welding electrode is changed.
    pub(in crate::demo) const ELECTRODE: u16 = 121;
    /// Aborted: something broke.
    pub(in crate::demo) const MECHANICAL: u16 = 191;
    /// Aborted: drive, control or wiring.
    pub(in crate::demo) const ELECTRICAL: u16 = 192;
}

/// One kind of fault.
struct Fault {
    code: u16,
    /// Chance per cycle.
    chance: f64,
    shortest_s: f64,
    mean_beyond_s: f64,
    longest_s: f64,
}

static FAULTS: [Fault; 5] = [
    Fault { code: code::MISFEED, chance: 1.0 / 90.0, shortest_s: 6.0, mean_beyond_s: 16.0, longest_s: 90.0 },
    Fault { code: code::JAM, chance: 1.0 / 900.0, shortest_s: 60.0, mean_beyond_s: 80.0, longest_s: 420.0 },
    Fault { code: code::SENSOR, chance: 1.0 / 1_300.0, shortest_s: 25.0, mean_beyond_s: 60.0, longest_s: 300.0 },
    Fault {
        code: code::MECHANICAL,
        chance: 1.0 / 14_000.0,
        shortest_s: 420.0,
        mean_beyond_s: 420.0,
        longest_s: 2_400.0,
    },
    Fault {
        code: code::ELECTRICAL,
        chance: 1.0 / 18_000.0,
        shortest_s: 300.0,
        mean_beyond_s: 420.0,
        longest_s: 2_400.0,
    },
];

/// A stop in the middle of a cycle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interruption {
    /// Work done when it comes, microseconds of the cycle.
    pub(super) after_us: i64,
    /// How long it lasts.
    pub(super) duration_us: i64,
    /// What the station reports meanwhile.
    pub(super) code: u16,
}

/// The fault that comes during a cycle of `length_us`, if any; `proneness` scales the chances of a station.
pub(super) fn draw(dice: &mut Dice, length_us: i64, proneness: f64) -> Option<Interruption> {
    let mut lot = dice.uniform(0.0, 1.0);
    let fault = FAULTS.iter().find(|fault| {
        lot -= fault.chance * proneness;
        lot < 0.0
    })?;
    let duration_s = (fault.shortest_s + dice.exponential(fault.mean_beyond_s)).min(fault.longest_s);
    Some(interruption(dice, length_us, duration_s, fault.code))
}

/// The change of the worn welding electrode at the start of a cycle.
pub(super) fn electrode_change(dice: &mut Dice, length_us: i64) -> Interruption {
    let duration_s = dice.uniform(140.0, 220.0);
    interruption(dice, length_us / 10, duration_s, code::ELECTRODE)
}

fn interruption(dice: &mut Dice, within_us: i64, duration_s: f64, code: u16) -> Interruption {
    let share = dice.uniform(0.1, 0.9);
    let after_us = seconds_us(share * within_us as f64 / super::SECOND_US as f64);
    Interruption { after_us, duration_us: seconds_us(duration_s), code }
}
