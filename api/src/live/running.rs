//! What an equipment does now, and how its running shift and order go.

use oee::live::{Now, OrderSoFar, ShiftSoFar};
use oee::machine::Report;
use oee::state::{Category, StateValue};
use serde::Serialize;

use crate::columns::rfc3339;

/// Figures of a report up to now. What is not known is null; `reason` says why.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) availability: Option<f64>,
    pub(super) performance: Option<f64>,
    pub(super) quality: Option<f64>,
    pub(super) oee: Option<f64>,
    pub(super) total: Option<f64>,
    pub(super) good: Option<f64>,
    pub(super) scrap: Option<f64>,
    pub(super) reason: Option<String>,
}

impl Figures {
    fn of(report: &Report) -> Self {
        let kpi = report.kpi();
        let known = |ratio: Option<f64>| ratio.filter(|ratio| ratio.is_finite());
        Self {
            availability: known(kpi.availability),
            performance: known(kpi.performance),
            quality: known(kpi.quality),
            oee: known(kpi.oee),
            total: Some(report.counts.total),
            good: Some(report.counts.good),
            scrap: Some(report.counts.scrap),
            reason: kpi.reason,
        }
    }
}

/// The running shift.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RunningShift {
    pub(super) shift: String,
    pub(super) production_day: String,
    pub(super) start: Option<String>,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

impl From<&ShiftSoFar> for RunningShift {
    fn from(so_far: &ShiftSoFar) -> Self {
        Self {
            shift: so_far.shift.name.clone(),
            production_day: so_far.shift.production_day.to_string(),
            start: rfc3339(so_far.shift.start),
            figures: Figures::of(&so_far.report),
        }
    }
}

/// The running order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RunningOrder {
    pub(super) work_order: String,
    pub(super) product: Option<String>,
    pub(super) start: Option<String>,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

impl From<&OrderSoFar> for RunningOrder {
    fn from(so_far: &OrderSoFar) -> Self {
        Self {
            work_order: so_far.work_order.to_string(),
            product: so_far.product.as_deref().map(str::to_owned),
            start: rfc3339(so_far.report.start),
            figures: Figures::of(&so_far.report),
        }
    }
}

/// What an equipment does. What is not known is null.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct StateNow {
    pub(super) state: Option<String>,
    pub(super) category: Option<String>,
    pub(super) state_reason: Option<String>,
    pub(super) since: Option<String>,
}

/// A state, and since when it holds.
impl From<&(StateValue, i64)> for StateNow {
    fn from((value, since): &(StateValue, i64)) -> Self {
        Self {
            state: Some(value.state.to_string()),
            category: Some(value.category.map_or("unknown", Category::name).to_owned()),
            state_reason: value.reason.as_deref().map(str::to_owned),
            since: rfc3339(*since),
        }
    }
}

/// What the topic of an equipment says.
#[derive(Debug, Serialize)]
pub(super) struct Running<'a> {
    pub(super) time: Option<String>,
    pub(super) equipment: &'a str,
    #[serde(flatten)]
    pub(super) state: StateNow,
    pub(super) shift: Option<RunningShift>,
    pub(super) order: Option<RunningOrder>,
}

impl<'a> Running<'a> {
    pub(super) fn of(equipment: &'a str, now: &'a Now, time_us: i64) -> Self {
        Self {
            time: rfc3339(time_us),
            equipment,
            state: now.state.as_ref().map(StateNow::from).unwrap_or_default(),
            shift: now.shift.as_ref().map(RunningShift::from),
            order: now.order.as_ref().map(RunningOrder::from),
        }
    }
}
