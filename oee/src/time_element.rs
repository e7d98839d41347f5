//! Time elements: where the time of a window went, in microseconds.
//!
//! Names follow ISO 22400-2; abbreviations in brackets.

use std::ops::AddAssign;

/// Time elements of a window. They add up over windows and machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Elements {
    /// The window.
    pub calendar_us: i64,
    /// Outside every shift.
    pub not_scheduled_us: i64,
    /// In a shift \[POT\].
    pub scheduled_us: i64,
    /// Breaks.
    pub planned_break_us: i64,
    /// Planned stops outside breaks.
    pub planned_downtime_us: i64,
    /// Planned production \[PBT\] = scheduled - breaks - planned downtime.
    pub planned_production_us: i64,
    /// Running.
    pub run_us: i64,
    /// Unplanned stops shorter than the threshold.
    pub microstop_us: i64,
    /// Changeovers \[AUST\].
    pub changeover_us: i64,
    /// Unplanned stops.
    pub unplanned_us: i64,
    /// The part of the unplanned stops while no order was in force; within `unplanned_us`.
    pub unplanned_without_order_us: i64,
    /// While a work order was in force, in shifts and outside \[AOET\]; not one of the elements that add up.
    pub order_us: i64,
    /// Actual production time while a work order was in force; within `run_us` and `microstop_us`.
    pub order_production_us: i64,
    /// Actual unit busy time while a work order was in force.
    pub order_busy_us: i64,
    /// Stopped for want of an order.
    pub no_order_us: i64,
    /// No state known.
    pub unknown_us: i64,
    /// Running in breaks or outside shifts; not within any of the others.
    pub run_outside_planned_production_us: i64,
}

/// The elements of ISO 22400-2 that its ratios are made of, microseconds.
impl Elements {
    /// Actual production time \[APT\] = run + micro-stops: the time in which a work unit is producing. Microseconds.
    ///
    /// Source: ISO 22400-2, time elements. Stops that are too short to be told apart are within it, as losses of speed.
    #[must_use]
    pub fn production_us(&self) -> i64 {
        self.run_us + self.microstop_us
    }

    /// Actual unit setup time \[AUST\] = changeovers: preparing an order. Microseconds.
    ///
    /// Source: ISO 22400-2, time elements.
    #[must_use]
    pub fn setup_us(&self) -> i64 {
        self.changeover_us
    }

    /// Actual unit processing time \[AUPT\] = APT + AUST: producing and setting up. Microseconds.
    ///
    /// Source: ISO 22400-2, time elements.
    #[must_use]
    pub fn processing_us(&self) -> i64 {
        self.production_us() + self.setup_us()
    }

    /// Actual unit delay time \[ADET\] = unplanned stops while an order was in force. Microseconds.
    ///
    /// Source: ISO 22400-2, time elements; micro-stops, which it names among delays, are within APT here.
    #[must_use]
    pub fn delay_us(&self) -> i64 {
        self.unplanned_us - self.unplanned_without_order_us
    }

    /// Actual unit busy time \[AUBT\] = AUPT + ADET: in use for an order. Microseconds.
    ///
    /// Source: ISO 22400-2, time elements.
    #[must_use]
    pub fn busy_us(&self) -> i64 {
        self.processing_us() + self.delay_us()
    }

    /// Actual unit down time \[ADOT\] = no order + unknown + unplanned without an order. Microseconds.
    ///
    /// Source: ISO 22400-2, time elements: not running with orders although available.
    #[must_use]
    pub fn down_us(&self) -> i64 {
        self.no_order_us + self.unknown_us + self.unplanned_without_order_us
    }

    /// Planned busy time \[PBT\] = planned production = AUBT + ADOT. Microseconds.
    ///
    /// Source: ISO 22400-2, time elements: planned operation time less planned down time.
    #[must_use]
    pub fn planned_busy_us(&self) -> i64 {
        self.planned_production_us
    }

    /// Actual order execution time \[AOET\] = from start to end of work orders, in shifts and outside, breaks included.
    /// Microseconds.
    ///
    /// Source: ISO 22400-2, time elements.
    #[must_use]
    pub fn order_execution_us(&self) -> i64 {
        self.order_us
    }

    /// Time to failure \[TTF\], summed up = APT + AUST + no order: planned production in which the unit was able to produce.
    /// Microseconds.
    ///
    /// Source: ISO 22400-2, maintenance elements: able to produce, from the end of a repair to the next failure. Of
    /// unknown time nobody can say that.
    #[must_use]
    pub fn able_us(&self) -> i64 {
        self.processing_us() + self.no_order_us
    }
}

impl AddAssign<&Self> for Elements {
    fn add_assign(&mut self, other: &Self) {
        self.calendar_us += other.calendar_us;
        self.not_scheduled_us += other.not_scheduled_us;
        self.scheduled_us += other.scheduled_us;
        self.planned_break_us += other.planned_break_us;
        self.planned_downtime_us += other.planned_downtime_us;
        self.planned_production_us += other.planned_production_us;
        self.run_us += other.run_us;
        self.microstop_us += other.microstop_us;
        self.changeover_us += other.changeover_us;
        self.unplanned_us += other.unplanned_us;
        self.unplanned_without_order_us += other.unplanned_without_order_us;
        self.order_us += other.order_us;
        self.order_production_us += other.order_production_us;
        self.order_busy_us += other.order_busy_us;
        self.no_order_us += other.no_order_us;
        self.unknown_us += other.unknown_us;
        self.run_outside_planned_production_us += other.run_outside_planned_production_us;
    }
}
