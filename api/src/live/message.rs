//! The JSON that a frame carries.

use oee::state::{Category, StateValue};
use serde::Serialize;

use super::running::{RunningOrder, RunningShift};
use crate::columns::rfc3339;

/// The plant at one moment.
#[derive(Debug, Serialize)]
pub(super) struct PlantNow {
    pub(super) time: Option<String>,
    pub(super) plant: Sign,
    pub(super) equipment: Vec<MachineNow>,
}

/// What stands over the door.
#[derive(Debug, Serialize)]
pub(super) struct Sign {
    pub(super) name: String,
    pub(super) zone: String,
}

/// One machine at that moment. What is not known is null.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct MachineNow {
    pub(super) path: String,
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) state: StateNow,
    #[serde(flatten)]
    pub(super) context: ContextNow,
    pub(super) shift: Option<RunningShift>,
    pub(super) order: Option<RunningOrder>,
    pub(super) signals: Vec<SignalNow>,
}

/// What it does.
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

/// What it works on.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct ContextNow {
    pub(super) work_order: Option<String>,
    pub(super) product: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) unit: Option<String>,
}

/// The newest value of one signal. `quality` is its OPC UA StatusCode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SignalNow {
    pub(super) signal: String,
    pub(super) value: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) uom: Option<String>,
    pub(super) time: Option<String>,
    pub(super) quality: Option<i64>,
    /// Whether the equipment's state or counts are made of it: what it says is on the page already.
    pub(super) bound: bool,
}
