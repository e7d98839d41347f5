//! Which table functions there are, and how they are called.

use arrow::datatypes::SchemaRef;

use super::{losses, oee, scrap, series, spc, state_timeline, stops, trace};

/// The table functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// OEE, its factors, time elements and counts per equipment and bucket.
    Oee,
    /// The same of the running shift and order.
    OeeLive,
    /// The loss waterfall per equipment and bucket.
    Losses,
    /// Scrapped pieces by reason, per equipment and bucket.
    Scrap,
    /// Stops.
    Stops,
    /// State intervals.
    StateTimeline,
    /// All aggregates of each signal and bucket.
    Aggregates,
    /// The time-weighted average of each signal and bucket.
    TimeWeightedAvg,
    /// The value of each signal at the instants of a grid.
    Interpolate,
    /// By how much each counter went up in each bucket.
    CounterDelta,
    /// The samples that draw a signal.
    Trend,
    /// Samples of one signal with the values of others at their times.
    AsofJoin,
    /// Points of control charts.
    Spc,
    /// Limits of control charts.
    SpcLimits,
    /// Process capability.
    Capability,
    /// Gage repeatability and reproducibility.
    GageRr,
    /// Bias of a gage.
    GageBias,
    /// Linearity of a gage.
    GageLinearity,
    /// What a unit is made of.
    TraceBack,
    /// What a unit went into.
    TraceForward,
}

impl Function {
    pub(crate) const ALL: [Self; 20] = [
        Self::Oee,
        Self::OeeLive,
        Self::Losses,
        Self::Scrap,
        Self::Stops,
        Self::StateTimeline,
        Self::Aggregates,
        Self::TimeWeightedAvg,
        Self::Interpolate,
        Self::CounterDelta,
        Self::Trend,
        Self::AsofJoin,
        Self::Spc,
        Self::SpcLimits,
        Self::Capability,
        Self::GageRr,
        Self::GageBias,
        Self::GageLinearity,
        Self::TraceBack,
        Self::TraceForward,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Oee => "oee",
            Self::OeeLive => "oee_live",
            Self::Losses => "losses",
            Self::Scrap => "scrap",
            Self::Stops => "stops",
            Self::StateTimeline => "state_timeline",
            Self::Aggregates => "aggregates",
            Self::TimeWeightedAvg => "time_weighted_avg",
            Self::Interpolate => "interpolate",
            Self::CounterDelta => "counter_delta",
            Self::Trend => "trend",
            Self::AsofJoin => "asof_join",
            Self::Spc => "spc",
            Self::SpcLimits => "spc_limits",
            Self::Capability => "capability",
            Self::GageRr => "gage_rr",
            Self::GageBias => "gage_bias",
            Self::GageLinearity => "gage_linearity",
            Self::TraceBack => "trace_back",
            Self::TraceForward => "trace_forward",
        }
    }

    /// The call that gives its window itself.
    pub(crate) fn explicit_form(self) -> &'static str {
        match self {
            Self::Oee => "oee('1 hour', from, to)",
            Self::OeeLive => "oee_live()",
            Self::Losses => "losses('1 hour', from, to)",
            Self::Scrap => "scrap('1 hour', from, to)",
            Self::Stops => "stops(from, to)",
            Self::StateTimeline => "state_timeline(from, to)",
            Self::Aggregates => "aggregates('1 hour', from, to)",
            Self::TimeWeightedAvg => "time_weighted_avg('1 hour', from, to)",
            Self::Interpolate => "interpolate('1 minute', from, to)",
            Self::CounterDelta => "counter_delta('1 hour', from, to)",
            Self::Trend => "trend(1000, from, to)",
            Self::AsofJoin => "asof_join('signal_a', 'signal_b', from, to)",
            Self::Spc => "spc('xbar_r', 'subgroup=5', from, to)",
            Self::SpcLimits => "spc_limits('xbar_r', 'subgroup=5', from, to)",
            Self::Capability => "capability('subgroup=5', from, to)",
            Self::GageRr => "gage_rr(from, to)",
            Self::GageBias => "gage_bias(from, to)",
            Self::GageLinearity => "gage_linearity(from, to)",
            Self::TraceBack => "trace_back('unit')",
            Self::TraceForward => "trace_forward('unit')",
        }
    }

    /// How to call it.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Self::Oee => {
                "oee takes a bucket ('15 minutes', '1 hour', 'shift', 'day', 'work_order', 'product') and, unless WHERE \
                 bounds time, a window: oee('1 hour', from, to)"
            }
            Self::OeeLive => {
                "oee_live takes no arguments, for it is about now; of earlier shifts and orders tells oee. Write oee_live()"
            }
            Self::Losses => {
                "losses takes a bucket ('15 minutes', '1 hour', 'shift', 'day', 'work_order', 'product') and, unless \
                 WHERE bounds time, a window: losses('1 hour', from, to)"
            }
            Self::Scrap => {
                "scrap takes a bucket ('15 minutes', '1 hour', 'shift', 'day', 'work_order', 'product') and, unless \
                 WHERE bounds time, a window: scrap('1 hour', from, to)"
            }
            Self::Stops => "stops takes no arguments where WHERE bounds time, or a window: stops(from, to)",
            Self::StateTimeline => {
                "state_timeline takes no arguments where WHERE bounds time, or a window: state_timeline(from, to)"
            }
            Self::Aggregates => {
                "aggregates takes a bucket ('15 minutes', '1 hour', 'shift', 'day'), then any of 'stepped', 'sloped' and \
                 'use_uncertain', and, unless WHERE bounds time, a window: aggregates('1 hour', from, to)"
            }
            Self::TimeWeightedAvg => {
                "time_weighted_avg takes a bucket ('15 minutes', '1 hour', 'shift', 'day'), then any of 'stepped', \
                 'sloped' and 'use_uncertain', and, unless WHERE bounds time, a window: \
                 time_weighted_avg('1 hour', from, to)"
            }
            Self::Interpolate => {
                "interpolate takes a step ('1 minute', '1 hour'), then any of 'stepped', 'sloped' and 'use_uncertain', \
                 and, unless WHERE bounds time, a window: interpolate('1 minute', from, to)"
            }
            Self::CounterDelta => {
                "counter_delta takes a bucket ('15 minutes', '1 hour', 'shift', 'day') and, unless WHERE bounds time, a \
                 window: counter_delta('1 hour', from, to)"
            }
            Self::Trend => {
                "trend takes a number of points, then perhaps 'use_uncertain', and, unless WHERE bounds time, a window: \
                 trend(1000, from, to)"
            }
            Self::AsofJoin => {
                "asof_join takes the names of 2 to 17 signals and, unless WHERE bounds time, a window: \
                 asof_join('signal_a', 'signal_b', from, to)"
            }
            Self::Spc => {
                "spc takes a chart (xbar_r, xbar_s, i_mr, p, np, c, u …), then words such as 'subgroup=5', 'rules=nelson' or \
                 'phase_i=25', and perhaps a window: spc('xbar_r', 'subgroup=5', from, to)"
            }
            Self::SpcLimits => {
                "spc_limits takes a chart (xbar_r, xbar_s, i_mr, p, np, c, u …), then words such as 'subgroup=5' or \
                 'phase_i=25', and perhaps a window: spc_limits('xbar_r', 'subgroup=5', from, to)"
            }
            Self::Capability => {
                "capability takes words such as 'subgroup=5', 'distribution=weibull' or 'upper=12.5', and perhaps a window: \
                 capability('subgroup=5', from, to)"
            }
            Self::GageRr => {
                "gage_rr takes words such as 'by=characteristic' or 'constants=manual', and perhaps a window: \
                 gage_rr(from, to)"
            }
            Self::GageBias => {
                "gage_bias takes words such as 'target=10' or 'process_sigma=0.2', and perhaps a window: \
                 gage_bias(from, to)"
            }
            Self::GageLinearity => {
                "gage_linearity takes words such as 'by=characteristic', and perhaps a window: gage_linearity(from, to)"
            }
            Self::TraceBack => {
                "trace_back takes a unit, then words such as 'depth=3' or 'at=2025-01-14T06:00:00Z': trace_back('unit')"
            }
            Self::TraceForward => {
                "trace_forward takes a unit, then words such as 'depth=3' or 'at=2025-01-14T06:00:00Z': \
                 trace_forward('unit')"
            }
        }
    }

    /// Columns that say whose row it is: filters on them leave out what need not be read.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Oee
            | Self::OeeLive
            | Self::Losses
            | Self::Scrap
            | Self::Stops
            | Self::StateTimeline
            | Self::AsofJoin => &["equipment"],
            Self::Aggregates | Self::TimeWeightedAvg | Self::Interpolate | Self::CounterDelta | Self::Trend => {
                &["equipment", "signal"]
            }
            Self::Spc | Self::SpcLimits | Self::Capability | Self::GageRr | Self::GageBias | Self::GageLinearity => {
                spc::NAMES
            }
            Self::TraceBack | Self::TraceForward => &[],
        }
    }

    /// Whether what WHERE says of names is said of what it reads, and need not be asked of its rows once more.
    pub(crate) fn takes_names(self) -> bool {
        self.names() == spc::NAMES
    }

    /// Whether it cuts its window by shifts and production days too.
    pub(crate) fn takes_shifts(self) -> bool {
        matches!(
            self,
            Self::Oee | Self::Losses | Self::Scrap | Self::Aggregates | Self::TimeWeightedAvg | Self::CounterDelta
        )
    }

    /// Whether it groups by what was in force too.
    pub(crate) fn takes_orders(self) -> bool {
        matches!(self, Self::Oee | Self::Losses | Self::Scrap)
    }

    pub(crate) fn schema(self) -> SchemaRef {
        match self {
            Self::Oee | Self::OeeLive => oee::schema(),
            Self::Losses => losses::schema(),
            Self::Scrap => scrap::schema(),
            Self::Stops => stops::schema(),
            Self::StateTimeline => state_timeline::schema(),
            Self::Aggregates => series::aggregates::SHEET.schema(),
            Self::TimeWeightedAvg => series::time_weighted_avg::SHEET.schema(),
            Self::Interpolate => series::interpolate::SHEET.schema(),
            Self::CounterDelta => series::counter_delta::SHEET.schema(),
            Self::Trend => series::trend::SHEET.schema(),
            Self::AsofJoin => series::asof_join::schema(),
            Self::Spc => spc::points::schema(),
            Self::SpcLimits => spc::limits::schema(),
            Self::Capability => spc::capability::schema(),
            Self::GageRr => spc::gage::schema(),
            Self::GageBias => spc::bias::schema(),
            Self::GageLinearity => spc::linearity::schema(),
            Self::TraceBack | Self::TraceForward => trace::schema(),
        }
    }
}

#[cfg(test)]
mod tests;
