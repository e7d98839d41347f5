//! `state_timeline(from, to)`: the states of each machine, clipped to the window, without gaps.

use std::collections::HashSet;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use oee::machine::StateInterval;

use super::columns::{Column, Value, batch};
use super::gather::Gather;
use crate::error::QueryError;

struct Row {
    equipment: String,
    interval: StateInterval,
    energy_kwh: Option<f64>,
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "time", value: Value::Time(|row| row.interval.start) },
    Column { name: "end", value: Value::Time(|row| row.interval.end) },
    Column { name: "equipment", value: Value::Text(|row| Some(row.equipment.as_str())) },
    Column { name: "state", value: Value::Text(|row| row.interval.value.as_ref().map(|value| value.state.as_ref())) },
    Column { name: "category", value: Value::Text(|row| Some(category(row))) },
    Column {
        name: "reason",
        value: Value::Text(|row| row.interval.value.as_ref().and_then(|value| value.reason.as_deref())),
    },
    Column { name: "energy_kwh", value: Value::Double(|row| row.energy_kwh) },
    Column { name: "open", value: Value::Flag(|row| row.interval.open) },
];

fn category(row: &Row) -> &str {
    row.interval.value.as_ref().and_then(|value| value.category).map_or("unknown", |category| category.name())
}

pub(super) fn schema() -> SchemaRef {
    super::columns::schema(COLUMNS)
}

pub(super) async fn answer(
    gather: &Gather,
    equipment: &[String],
    from: i64,
    to: i64,
) -> Result<RecordBatch, QueryError> {
    let machines = gather.machines(equipment, from, to, &HashSet::new()).await?;
    let mut rows = Vec::new();
    for path in equipment {
        let Some(machine) = machines.get(path) else { continue };
        for mut interval in machine.state_intervals(from, to, gather.now) {
            // What follows the window is not loaded, so only a window up to now can tell what still lasts.
            interval.open &= interval.end == gather.now;
            let energy_kwh = machine.energy_kwh(interval.start, interval.end);
            rows.push(Row { equipment: path.clone(), interval, energy_kwh });
        }
    }
    batch(COLUMNS, &rows)
}
