//! The waterfall from calendar time down to fully productive time.
//!
//! Every second of a window is either fully productive or one of the losses; they add up exactly. Availability losses
//! are time; reduced speed is run time beyond the ideal time of all pieces, and rejects are the ideal time of scrapped
//! pieces, so these three need the ideal cycle times. Reduced speed is negative where performance is above 1.

use crate::machine::Report;
use crate::seconds;

/// What keeps calendar time from being fully productive, in the order of the waterfall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// Outside every shift.
    NotScheduled,
    /// Breaks.
    PlannedBreak,
    /// Planned stops outside breaks.
    PlannedDowntime,
    /// Unplanned stops.
    Unplanned,
    /// Changeovers.
    Changeover,
    /// No order.
    NoOrder,
    /// No state known.
    Unknown,
    /// Micro-stops.
    MinorStops,
    /// Run time beyond the ideal time of all pieces.
    ReducedSpeed,
    /// Ideal time of the pieces scrapped while starting up.
    StartupRejects,
    /// Ideal time of the other scrapped pieces.
    ProductionRejects,
}

impl Loss {
    /// Every loss, in the order of the waterfall.
    pub const ALL: [Self; 11] = [
        Self::NotScheduled,
        Self::PlannedBreak,
        Self::PlannedDowntime,
        Self::Unplanned,
        Self::Changeover,
        Self::NoOrder,
        Self::Unknown,
        Self::MinorStops,
        Self::ReducedSpeed,
        Self::StartupRejects,
        Self::ProductionRejects,
    ];

    /// Its name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotScheduled => "not_scheduled",
            Self::PlannedBreak => "planned_break",
            Self::PlannedDowntime => "planned_downtime",
            Self::Unplanned => "unplanned",
            Self::Changeover => "changeover",
            Self::NoOrder => "no_order",
            Self::Unknown => "unknown",
            Self::MinorStops => "minor_stops",
            Self::ReducedSpeed => "reduced_speed",
            Self::StartupRejects => "startup_rejects",
            Self::ProductionRejects => "production_rejects",
        }
    }

    /// Whether it is of time in which the machine does not have to run; reduced speed and rejects are of its running.
    #[must_use]
    pub fn is_of_idle_time(self) -> bool {
        !matches!(self, Self::ReducedSpeed | Self::StartupRejects | Self::ProductionRejects)
    }

    /// Which factor of OEE it lowers; none where the time was not to be used for production.
    #[must_use]
    pub fn factor(self) -> Option<&'static str> {
        match self {
            Self::NotScheduled | Self::PlannedBreak | Self::PlannedDowntime => None,
            Self::Unplanned | Self::Changeover | Self::NoOrder | Self::Unknown => Some("availability"),
            Self::MinorStops | Self::ReducedSpeed => Some("performance"),
            Self::StartupRejects | Self::ProductionRejects => Some("quality"),
        }
    }

    /// Which of the six big losses of Nakajima's TPM it is, if it is one.
    #[must_use]
    pub fn big_loss(self) -> Option<&'static str> {
        match self {
            Self::Unplanned => Some("equipment failure"),
            Self::Changeover => Some("setup and adjustment"),
            Self::MinorStops => Some("idling and minor stops"),
            Self::ReducedSpeed => Some("reduced speed"),
            Self::StartupRejects => Some("reduced yield"),
            Self::ProductionRejects => Some("process defects"),
            Self::NotScheduled | Self::PlannedBreak | Self::PlannedDowntime | Self::NoOrder | Self::Unknown => None,
        }
    }
}

/// One step of the waterfall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// What was lost.
    pub loss: Loss,
    /// How much, seconds; none where the ideal times that it follows from are not known.
    pub lost_s: Option<f64>,
    /// What is left after it, seconds.
    pub left_s: Option<f64>,
    /// What was taken while time was lost to it and the machine did not run, of a serial line by each of its machines, kWh; none where
    /// no meter is bound, or of losses in which it runs.
    pub idle_kwh: Option<f64>,
}

impl Report {
    /// Seconds of one loss; none where it follows from ideal times that are not known.
    #[must_use]
    pub fn lost_s(&self, loss: Loss) -> Option<f64> {
        let time = &self.elements;
        let ideal = |s: f64| self.missing_ideal.is_none().then_some(s);
        match loss {
            Loss::NotScheduled => Some(seconds(time.not_scheduled_us)),
            Loss::PlannedBreak => Some(seconds(time.planned_break_us)),
            Loss::PlannedDowntime => Some(seconds(time.planned_downtime_us)),
            Loss::Unplanned => Some(seconds(time.unplanned_us)),
            Loss::Changeover => Some(seconds(time.changeover_us)),
            Loss::NoOrder => Some(seconds(time.no_order_us)),
            Loss::Unknown => Some(seconds(time.unknown_us)),
            Loss::MinorStops => Some(seconds(time.microstop_us)),
            Loss::ReducedSpeed => ideal(seconds(time.run_us) - self.ideal_total_s),
            Loss::StartupRejects => ideal(self.ideal_startup_scrap_s),
            Loss::ProductionRejects => ideal(self.ideal_total_s - self.ideal_good_s - self.ideal_startup_scrap_s),
        }
    }

    /// What is left of the window after every loss: the ideal time of good pieces, seconds.
    #[must_use]
    pub fn fully_productive_s(&self) -> Option<f64> {
        self.missing_ideal.is_none().then_some(self.ideal_good_s)
    }

    /// The waterfall.
    #[must_use]
    pub fn waterfall(&self) -> Vec<Step> {
        let mut left_s = Some(seconds(self.elements.calendar_us));
        let step = |loss| {
            let lost_s = self.lost_s(loss);
            left_s = left_s.zip(lost_s).map(|(left, lost)| left - lost);
            let idle_kwh = self.energy.and_then(|energy| energy.lost_kwh(loss));
            Step { loss, lost_s, left_s, idle_kwh }
        };
        Loss::ALL.into_iter().map(step).collect()
    }
}
