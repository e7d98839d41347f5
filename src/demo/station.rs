//! The six stations: what each is, and what it is doing.

use std::collections::VecDeque;

use super::SECOND_US;
use super::stock::Feed;
use super::stop::Interruption;

/// What a station is.
#[derive(Debug)]
pub(super) struct Spec {
    /// Last level of its equipment path and of its topic.
    pub(super) name: &'static str,
    /// The operation it carries out.
    pub(super) operation: &'static str,
    /// Ideal cycle time by product, seconds.
    pub(super) ideal_cycle_s: [f64; 2],
    /// Process readings per second.
    pub(super) readings_hz: f64,
    /// Pieces that fit between the station before and this one.
    pub(super) buffer_pieces: usize,
    /// Time to set up for another product, seconds.
    pub(super) changeover_s: f64,
    /// Electric power while it moves, kW; while it stands it takes [`STANDBY_SHARE`] of that.
    pub(super) power_kw: f64,
    /// How prone to faults it is; 1 is ordinary.
    pub(super) proneness: f64,
    /// Share of pieces that fail at the first attempt.
    pub(super) fail_chance: f64,
    /// Share of those that pass when tried again; `None` scraps at once.
    pub(super) retry_pass_chance: Option<f64>,
    /// Components it puts into a piece.
    pub(super) feeds: &'static [Feed],
    /// What it measures on every piece.
    pub(super) characteristics: &'static [Characteristic],
}

/// A measured characteristic. The limits are `target - below` and `target + above`.
#[derive(Debug)]
pub(super) struct Characteristic {
    pub(super) name: &'static str,
    /// Target by product.
    pub(super) target: [f64; 2],
    pub(super) below: Option<f64>,
    pub(super) above: Option<f64>,
    /// Standard deviation of the process.
    pub(super) deviation: f64,
    /// Decimal places that the gauge shows.
    pub(super) places: usize,
    /// Measured values per piece (four screws give four torques).
    pub(super) values: usize,
}

impl Characteristic {
    const fn new(
        name: &'static str,
        target: [f64; 2],
        below: Option<f64>,
        above: Option<f64>,
        deviation: f64,
        places: usize,
    ) -> Self {
        Self { name, target, below, above, deviation, places, values: 1 }
    }

    pub(super) fn lower_limit(&self, product: usize) -> Option<f64> {
        self.below.map(|below| self.target[product] - below)
    }

    pub(super) fn upper_limit(&self, product: usize) -> Option<f64> {
        self.above.map(|above| self.target[product] + above)
    }
}

/// Share of its power that a station takes while it stands.
const STANDBY_SHARE: f64 = 0.3;

/// Places of the stations in [`LINE`].
pub(super) const PRESS: usize = 0;
pub(super) const WELD: usize = 1;
pub(super) const SCREWDRIVING: usize = 2;
pub(super) const LEAK_TEST: usize = 3;
pub(super) const END_OF_LINE_TEST: usize = 4;
pub(super) const PACKING: usize = 5;

/// The line, in the order in which a piece goes through it.
pub(super) static LINE: [Spec; 6] = [
    Spec {
        name: "press",
        operation: "press",
        ideal_cycle_s: [10.0, 11.0],
        readings_hz: 10.0,
        buffer_pieces: 0,
        changeover_s: 180.0,
        power_kw: 5.5,
        proneness: 1.0,
        fail_chance: 0.004,
        retry_pass_chance: None,
        feeds: &[Feed { item: "housing-blank", per_piece: 1, lot_size: 480 }],
        characteristics: &[
            Characteristic::new("press_force", [45.0, 52.0], Some(5.0), Some(5.0), 0.7, 2),
            Characteristic::new("press_depth", [12.0, 12.0], Some(0.1), Some(0.1), 0.013, 3),
        ],
    },
    Spec {
        name: "weld",
        operation: "weld",
        ideal_cycle_s: [11.0, 12.0],
        readings_hz: 10.0,
        buffer_pieces: 4,
        changeover_s: 280.0,
        power_kw: 9.0,
        proneness: 1.2,
        fail_chance: 0.003,
        retry_pass_chance: None,
        feeds: &[Feed { item: "impeller", per_piece: 1, lot_size: 300 }],
        characteristics: &[
            Characteristic::new("weld_current", [8.6, 9.1], Some(0.6), Some(0.6), 0.08, 2),
            Characteristic::new("weld_temperature", [410.0, 425.0], Some(40.0), Some(40.0), 6.0, 1),
        ],
    },
    Spec {
        name: "screwdriving",
        operation: "screwdriving",
        ideal_cycle_s: [10.5, 11.5],
        readings_hz: 10.0,
        buffer_pieces: 4,
        changeover_s: 120.0,
        power_kw: 0.9,
        proneness: 1.3,
        fail_chance: 0.012,
        retry_pass_chance: Some(0.9),
        feeds: &[
            Feed { item: "screw-m5", per_piece: 4, lot_size: 2_000 },
            Feed { item: "seal", per_piece: 1, lot_size: 600 },
        ],
        characteristics: &[Characteristic {
            name: "final_torque",
            target: [5.0, 5.0],
            below: Some(0.5),
            above: Some(0.5),
            deviation: 0.07,
            places: 2,
            values: 4,
        }],
    },
    Spec {
        name: "leak-test",
        operation: "leak_test",
        ideal_cycle_s: [11.0, 12.0],
        readings_hz: 5.0,
        buffer_pieces: 4,
        changeover_s: 150.0,
        power_kw: 1.2,
        proneness: 0.7,
        fail_chance: 0.012,
        retry_pass_chance: Some(0.5),
        feeds: &[],
        characteristics: &[Characteristic::new("leak_rate", [0.5, 0.5], Some(0.5), Some(1.5), 0.12, 2)],
    },
    Spec {
        name: "end-of-line-test",
        operation: "end_of_line_test",
        ideal_cycle_s: [10.5, 11.5],
        readings_hz: 2.0,
        buffer_pieces: 4,
        changeover_s: 220.0,
        power_kw: 1.6,
        proneness: 0.8,
        fail_chance: 0.007,
        retry_pass_chance: None,
        feeds: &[],
        characteristics: &[
            Characteristic::new("flow", [125.0, 160.0], Some(7.0), Some(7.0), 1.0, 1),
            Characteristic::new("noise", [54.0, 56.0], None, Some(8.0), 1.0, 1),
            Characteristic::new("motor_current", [4.2, 5.6], Some(0.6), Some(0.6), 0.08, 2),
        ],
    },
    Spec {
        name: "packing",
        operation: "packing",
        ideal_cycle_s: [10.0, 11.0],
        readings_hz: 1.0,
        buffer_pieces: 6,
        changeover_s: 60.0,
        power_kw: 2.2,
        proneness: 0.8,
        fail_chance: 0.003,
        retry_pass_chance: Some(1.0),
        feeds: &[Feed { item: "carton", per_piece: 1, lot_size: 500 }],
        characteristics: &[Characteristic::new("gross_weight", [1_480.0, 1_760.0], Some(20.0), Some(20.0), 2.5, 0)],
    },
];

/// A pump on its way.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Serial number.
    pub(super) unit: String,
    /// Its order, by place in the order book.
    pub(super) order: usize,
    /// How worn the electrode was that welded it, 0 to 1: a worn one leaves leaks.
    pub(super) weld_wear: f64,
}

/// One attempt at one piece.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) piece: Piece,
    /// 1, or 2 when tried again.
    pub(super) attempt: u32,
    /// Identity of the execution.
    pub(super) run: String,
    /// What will be measured, in the order of the station's characteristics.
    pub(super) values: Vec<f64>,
    /// Whether all of it is within limits.
    pub(super) passes: bool,
    /// Whole work of the cycle.
    pub(super) length_us: i64,
    /// Work done up to `since_us`.
    pub(super) done_us: i64,
    /// Since when it goes on without interruption.
    pub(super) since_us: i64,
    /// What still interrupts it.
    pub(super) interruption: Option<Interruption>,
}

/// What a station is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// Empty, looking for work.
    Ready,
    /// Set up for the order at this place in the order book.
    ChangingOver { order: usize },
    /// Holds a piece and waits for a lot of components.
    Missing(Piece),
    /// Works.
    Working(Job),
    /// Stands in the middle of a cycle.
    Interrupted { job: Job, code: u16 },
    /// The cycle is over and counted; the piece is handed over.
    Unloading(Job),
    /// Done, but the buffer behind is full.
    Full(Piece),
}

/// A station at work.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) phase: Phase,
    /// When the phase ends by itself.
    pub(super) due_us: Option<i64>,
    /// Since when it waits for its neighbours.
    pub(super) waiting_since_us: Option<i64>,
    /// Pieces before it.
    pub(super) queue: VecDeque<Piece>,
    /// The order it is set up for.
    pub(super) order: usize,
    /// Identity of its execution of that order, and good pieces in it.
    pub(super) order_run: String,
    pub(super) order_good: u64,
    pub(super) total: u64,
    pub(super) good: u64,
    /// Scrapped pieces, by the first characteristic that was out of its limits.
    pub(super) scrap: Vec<u64>,
    /// What its meter shows, kWh, and when it was read last.
    pub(super) energy_kwh: f64,
    pub(super) metered_us: i64,
    /// The last state it reported.
    pub(super) reported: Option<u16>,
    /// Wear of its tool, 0 to 1.
    pub(super) wear: f64,
}

impl Station {
    /// An empty station, set up for the first order.
    pub(super) fn new(spec: &Spec, now_us: i64) -> Self {
        Self {
            phase: Phase::Ready,
            due_us: None,
            waiting_since_us: None,
            queue: VecDeque::new(),
            order: 0,
            order_run: String::new(),
            order_good: 0,
            total: 0,
            good: 0,
            scrap: vec![0; spec.characteristics.len()],
            energy_kwh: 0.0,
            metered_us: now_us,
            reported: None,
            wear: 0.0,
        }
    }

    /// The job in the station, if one is, and how far it is, 0 to 1.
    pub(super) fn progress(&self, now_us: i64) -> Option<(&Job, f64)> {
        let (job, done_us) = match &self.phase {
            Phase::Working(job) => (job, job.done_us + (now_us - job.since_us)),
            Phase::Interrupted { job, .. } => (job, job.done_us),
            _ => return None,
        };
        let share = done_us as f64 / job.length_us.max(1) as f64;
        Some((job, share.clamp(0.0, 1.0)))
    }

    /// The meter counts on to `now_us`; until then the station did what it does now.
    pub(super) fn meter(&mut self, spec: &Spec, now_us: i64) {
        let hours = (now_us - self.metered_us) as f64 / (3_600.0 * SECOND_US as f64);
        self.energy_kwh += hours * spec.power_kw * if self.moves() { 1.0 } else { STANDBY_SHARE };
        self.metered_us = now_us;
    }

    /// Whether it moves right now.
    pub(super) fn moves(&self) -> bool {
        matches!(self.phase, Phase::Working(_) | Phase::Unloading(_))
    }
}
