//! `stops(from, to)`: every stop of each machine that lies in the window or reaches into it.

use std::collections::HashSet;
use std::sync::Arc;

use ::oee::kpi::Kpi;
use ::oee::machine::{Machine, Stop};
use ::oee::plant::Plant;
use ::oee::seconds;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::columns::{Column, Value, batch};
use super::gather::{FIRST_REACH_US, Gather, Machines};
use crate::error::QueryError;

struct Row {
    equipment: Arc<str>,
    /// Start of its part within the window.
    time: i64,
    /// The whole stop, up to now while it lasts.
    duration_us: i64,
    stop: Stop,
    category: &'static str,
    reason_name: Option<String>,
    reason_path: Option<String>,
    shift: Option<String>,
    production_day: Option<String>,
    work_order: Option<Arc<str>>,
    product: Option<Arc<str>>,
    /// Ratios of the machine in the window.
    kpi: Arc<Kpi>,
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "time", value: Value::Time(|row| row.time) },
    Column { name: "start", value: Value::Time(|row| row.stop.start) },
    Column { name: "end", value: Value::Instant(|row| row.stop.end) },
    Column { name: "equipment", value: Value::Text(|row| Some(&row.equipment)) },
    Column { name: "state", value: Value::Text(|row| Some(&row.stop.value.state)) },
    Column { name: "category", value: Value::Text(|row| Some(row.category)) },
    Column { name: "microstop", value: Value::Flag(|row| row.stop.microstop) },
    Column { name: "reason", value: Value::Text(|row| row.stop.value.reason.as_deref()) },
    Column { name: "reason_name", value: Value::Text(|row| row.reason_name.as_deref()) },
    Column { name: "reason_path", value: Value::Text(|row| row.reason_path.as_deref()) },
    Column { name: "duration_s", value: Value::Double(|row| Some(seconds(row.duration_us))) },
    Column { name: "in_window_s", value: Value::Double(|row| Some(seconds(row.stop.in_window_us))) },
    Column { name: "counted_s", value: Value::Double(|row| Some(seconds(row.stop.counted_us))) },
    Column { name: "shift", value: Value::Text(|row| row.shift.as_deref()) },
    Column { name: "production_day", value: Value::Text(|row| row.production_day.as_deref()) },
    Column { name: "work_order", value: Value::Text(|row| row.work_order.as_deref()) },
    Column { name: "product", value: Value::Text(|row| row.product.as_deref()) },
    Column { name: "mtbf_s", value: Value::Double(|row| row.kpi.mtbf_s) },
    Column { name: "mttr_s", value: Value::Double(|row| row.kpi.mttr_s) },
];

pub(super) fn schema() -> SchemaRef {
    super::columns::schema(COLUMNS)
}

pub(super) async fn answer(
    gather: &Gather,
    equipment: &[String],
    (from, to): (i64, i64),
) -> Result<RecordBatch, QueryError> {
    let machines = whole_stops(gather, equipment, (from, to)).await?;
    let mut rows = Vec::new();
    for path in equipment {
        let Some(machine) = machines.get(path) else { continue };
        let equipment: Arc<str> = Arc::from(path.as_str());
        let stops = machine.stops(from, to, gather.now);
        if stops.is_empty() {
            continue;
        }
        let kpi = Arc::new(machine.report(from, to, gather.now).kpi());
        for stop in stops {
            rows.push(row(gather, Arc::clone(&equipment), machine, stop, from, Arc::clone(&kpi)));
        }
    }
    batch(COLUMNS, &rows)
}

fn row(gather: &Gather, equipment: Arc<str>, machine: &Machine, stop: Stop, from: i64, kpi: Arc<Kpi>) -> Row {
    let time = stop.start.max(from);
    let reason = stop.value.reason.as_deref();
    let path = |plant: &Plant, reason: &str| {
        let mut codes: Vec<&str> = plant.reason_lineage(reason).map(|reason| reason.reason.as_str()).collect();
        codes.reverse();
        // A reason that the plant does not declare is the top of its own tree.
        if codes.is_empty() { reason.to_owned() } else { codes.join("/") }
    };
    let shift = machine.shifts().iter().find(|shift| shift.start <= time && time < shift.end);
    let job = machine.jobs().iter().find(|job| job.start <= time && time < job.end);
    Row {
        time,
        duration_us: stop.end.unwrap_or(gather.now) - stop.start,
        category: stop.value.category.map_or("unknown", |category| category.name()),
        reason_name: reason.and_then(|reason| gather.plant.reason_lineage(reason).next()?.name.clone()),
        reason_path: reason.map(|reason| path(&gather.plant, reason)),
        shift: shift.map(|shift| shift.name.clone()),
        production_day: shift.map(|shift| shift.production_day.to_string()),
        work_order: job.and_then(|job| job.work_order.clone()),
        product: job.and_then(|job| job.product.clone()),
        equipment,
        stop,
        kpi,
    }
}

/// The machines, with states from before the window to after it, as far as the stops at its edges reach.
async fn whole_stops(gather: &Gather, equipment: &[String], (from, to): (i64, i64)) -> Result<Machines, QueryError> {
    let mut machines = gather.machines(equipment, from, to, &HashSet::new()).await?;
    let (mut lower, mut upper, mut reach) = (from, to, FIRST_REACH_US);
    loop {
        // What began before all that was read may have begun earlier still; what lasts may end after it.
        let is_cut = |stop: &Stop| stop.start < lower || (upper < gather.now && stop.end.is_none_or(|end| end > upper));
        let cut: Vec<String> = machines
            .iter()
            .filter(|(_, machine)| machine.stops(from, to, gather.now).iter().any(is_cut))
            .map(|(path, _)| path.clone())
            .collect();
        if cut.is_empty() {
            return Ok(machines);
        }
        lower = lower.saturating_sub(reach);
        upper = upper.saturating_add(reach).min(gather.now);
        reach = reach.saturating_mul(4);
        machines.extend(gather.machines(&cut, lower, upper, &HashSet::new()).await?);
    }
}
