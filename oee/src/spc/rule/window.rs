//! The window of one rule, point by point, in constant time and memory. Charts and the live judge both go through here.

use super::Test;
use crate::spc::point::{Point, TIE, rounding};

/// What a rule remembers of the points before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::spc) struct Window {
    /// Points (or steps between points) in a row that have what is looked for.
    count: u32,
    /// The side, or the direction, of the last of them; 0 is neither.
    side: i8,
    /// Points since the window was started anew.
    seen: u32,
    /// The last 64 points, the newest lowest: those above and those below the distance.
    above: u64,
    below: u64,
    previous: Option<f64>,
}

/// Side of the centre line, or direction of a step.
fn sign(value: f64, tie: f64) -> i8 {
    i8::from(value > tie) - i8::from(value < -tie)
}

impl Window {
    /// Takes the next point, and tells whether it is flagged.
    #[inline]
    pub(in crate::spc) fn push(&mut self, test: &Test, point: &Point) -> bool {
        let (Some(plotted), z) = (point.plotted, point.z) else {
            *self = Self::default();
            return false;
        };
        match (test, z) {
            (Test::Limits, _) => point.is_beyond_limits(),
            (&Test::Trend { points }, _) => self.step(plotted, point.sigma, true) + 1 >= points,
            (&Test::Alternating { points }, _) => self.step(plotted, point.sigma, false) + 1 >= points,
            (_, Some(z)) => self.judge(test, z, point.tie()),
            (_, None) => {
                *self = Self::default();
                false
            }
        }
    }

    fn judge(&mut self, test: &Test, z: f64, tie: f64) -> bool {
        match *test {
            Test::Beyond { sigmas } => z.abs() > sigmas + tie,
            Test::Run { points } => self.run(sign(z, tie)) >= points,
            Test::Zone { hits, points, sigmas } => {
                self.mark(z, sigmas, tie);
                let enough = |side: u64| side & 1 == 1 && newest(side, points).count_ones() >= hits;
                self.seen >= points && (enough(self.above) || enough(self.below))
            }
            Test::Inside { points, sigmas } => self.run(i8::from(z.abs() < sigmas - tie)) >= points,
            Test::Outside { points, sigmas, both_sides } => {
                self.mark(z, sigmas, tie);
                let count = self.run(i8::from(z.abs() > sigmas + tie));
                let both = newest(self.above, points) != 0 && newest(self.below, points) != 0;
                count >= points && (both || !both_sides)
            }
            Test::Trend { .. } | Test::Alternating { .. } | Test::Limits => false,
        }
    }

    /// How many in a row are on this side; 0 is none.
    fn run(&mut self, side: i8) -> u32 {
        self.count = match side {
            0 => 0,
            side if side == self.side => self.count.saturating_add(1),
            _ => 1,
        };
        self.side = side;
        self.count
    }

    /// How many steps in a row go the same way, or by turns.
    fn step(&mut self, plotted: f64, sigma: Option<f64>, same: bool) -> u32 {
        let Some(previous) = self.previous.replace(plotted) else { return 0 };
        let tie = (TIE * sigma.unwrap_or(0.0)).max(rounding(plotted, previous));
        let direction = sign(plotted - previous, tie);
        // By turns means: always the other way than the step before.
        let on = direction == if same { self.side } else { -self.side };
        self.count = match direction {
            0 => 0,
            _ if on => self.count.saturating_add(1),
            _ => 1,
        };
        self.side = direction;
        self.count
    }

    fn mark(&mut self, z: f64, sigmas: f64, tie: f64) {
        self.seen = self.seen.saturating_add(1);
        self.above = self.above << 1 | u64::from(z > sigmas + tie);
        self.below = self.below << 1 | u64::from(z < -sigmas - tie);
    }
}

/// The newest `points` of the last 64.
fn newest(side: u64, points: u32) -> u64 {
    side & (u64::MAX >> 64_u32.saturating_sub(points).min(63))
}
