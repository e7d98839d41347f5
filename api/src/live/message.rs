//! The JSON that a frame carries.

use serde::Serialize;

use super::running::{RunningOrder, RunningShift, StateNow};

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
