//! `oee(bucket)`: the OEE report of each equipment and bucket. Every figure comes from the crate `oee`.

use std::sync::Arc;

use ::oee::kpi::Kpi;
use ::oee::machine::Report;
use ::oee::seconds;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::Stream;

use super::arguments::Grouping;
use super::columns::{Column, Value, batch};
use super::gather::Gather;
use super::reports::{Group, Grouped, batches, head};
use crate::error::QueryError;
use crate::live::EquipmentNow;

struct Row {
    equipment: String,
    group: Group,
    report: Report,
    kpi: Kpi,
}

impl Grouped for Row {
    fn equipment(&self) -> &str {
        &self.equipment
    }

    fn group(&self) -> &Group {
        &self.group
    }

    fn bounds(&self) -> (i64, i64) {
        (self.report.start, self.report.end)
    }
}

macro_rules! element {
    ($name:literal, $field:ident) => {
        Column { name: $name, value: Value::Double(|row: &Row| Some(seconds(row.report.elements.$field))) }
    };
}

macro_rules! ratio {
    ($name:literal, $field:ident) => {
        Column { name: $name, value: Value::Double(|row: &Row| row.kpi.$field) }
    };
}

const COLUMNS: &[Column<Row>] = &[
    element!("calendar_s", calendar_us),
    element!("scheduled_s", scheduled_us),
    element!("planned_break_s", planned_break_us),
    element!("planned_downtime_s", planned_downtime_us),
    element!("planned_production_s", planned_production_us),
    element!("run_s", run_us),
    element!("microstop_s", microstop_us),
    element!("changeover_s", changeover_us),
    element!("unplanned_s", unplanned_us),
    element!("no_order_s", no_order_us),
    element!("unknown_s", unknown_us),
    element!("not_scheduled_s", not_scheduled_us),
    element!("run_outside_planned_production_s", run_outside_planned_production_us),
    element!("order_s", order_us),
    Column { name: "total", value: Value::Double(|row| Some(row.report.counts.total)) },
    Column { name: "good", value: Value::Double(|row| Some(row.report.counts.good)) },
    Column { name: "scrap", value: Value::Double(|row| Some(row.report.counts.scrap)) },
    Column { name: "rework", value: Value::Double(|row| row.report.counts.rework) },
    Column { name: "uncounted_pieces", value: Value::Double(|row| Some(row.report.counts.uncounted)) },
    Column { name: "ideal_total_s", value: Value::Double(|row| known(row, row.report.ideal_total_s)) },
    Column { name: "ideal_good_s", value: Value::Double(|row| known(row, row.report.ideal_good_s)) },
    ratio!("availability", availability),
    ratio!("performance", performance),
    ratio!("quality", quality),
    ratio!("oee", oee),
    ratio!("ooe", ooe),
    ratio!("teep", teep),
    ratio!("utilization", utilization),
    Column { name: "unplanned_stops", value: Value::Integer(|row| row.report.unplanned_stops) },
    Column { name: "microstops", value: Value::Integer(|row| row.report.microstops) },
    ratio!("mttr_s", mttr_s),
    ratio!("mtbf_s", mtbf_s),
    ratio!("mttf_s", mttf_s),
    ratio!("allocation_efficiency", allocation_efficiency),
    ratio!("utilization_efficiency", utilization_efficiency),
    ratio!("technical_efficiency", technical_efficiency),
    ratio!("setup_ratio", setup_ratio),
    ratio!("quality_ratio", quality_ratio),
    ratio!("scrap_ratio", scrap_ratio),
    ratio!("rework_ratio", rework_ratio),
    ratio!("first_pass_yield", first_pass_yield),
    ratio!("throughput_per_h", throughput_per_h),
    ratio!("production_process_ratio", production_process_ratio),
    ratio!("allocation_ratio", allocation_ratio),
    ratio!("oee_index", oee_index),
    ratio!("nee", nee),
    ratio!("actual_to_planned_scrap_ratio", actual_to_planned_scrap_ratio),
    ratio!("fall_off_ratio", fall_off_ratio),
    ratio!("equipment_load_ratio", equipment_load_ratio),
    Column { name: "energy_kwh", value: Value::Double(|row| row.report.energy.map(|energy| energy.total_kwh)) },
    Column { name: "idle_energy_kwh", value: Value::Double(|row| row.report.energy.map(|energy| energy.idle_kwh())) },
    ratio!("energy_per_good_piece_kwh", energy_per_good_piece_kwh),
    ratio!("energy_per_piece_kwh", energy_per_piece_kwh),
    Column { name: "cost", value: Value::Double(|row| row.report.cost) },
    ratio!("cost_per_good_piece", cost_per_good_piece),
    Column { name: "reason", value: Value::Text(|row| row.kpi.reason.as_deref()) },
];

/// Ideal times that do not cover all pieces would only mislead.
fn known(row: &Row, ideal_s: f64) -> Option<f64> {
    row.report.missing_ideal.is_none().then_some(ideal_s)
}

pub(super) fn schema() -> SchemaRef {
    super::columns::schema(head().iter().chain(COLUMNS))
}

/// The answer, in batches.
pub(super) async fn answer(
    gather: Arc<Gather>,
    equipment: Arc<[String]>,
    grouping: Grouping,
    window: (i64, i64),
) -> Result<impl Stream<Item = Result<RecordBatch, QueryError>> + Send, QueryError> {
    batches(gather, equipment, grouping, window, |reports| {
        let rows: Vec<Row> = reports
            .into_iter()
            .map(|found| Row {
                kpi: found.report.kpi(),
                equipment: found.equipment,
                group: found.group,
                report: found.report,
            })
            .collect();
        batch(head().iter().chain(COLUMNS), &rows)
    })
    .await
}

/// The running shift and order of the machines among `equipment`, and the running shift of what lies above them.
pub(super) fn live(machines: &[EquipmentNow], equipment: &[String]) -> Result<RecordBatch, QueryError> {
    let row = |equipment: &str, group: Group, report: &Report| Row {
        equipment: equipment.to_owned(),
        group,
        kpi: report.kpi(),
        report: report.clone(),
    };
    let mut rows = Vec::new();
    for machine in machines.iter().filter(|machine| equipment.contains(&machine.equipment)) {
        let path = machine.equipment.as_str();
        if let Some(running) = &machine.now.shift {
            let (shift, day) = (running.shift.name.clone(), running.shift.production_day.to_string());
            let group = Group { shift: Some(shift), production_day: Some(day), ..Group::default() };
            rows.push(row(path, group, &running.report));
        }
        if let Some(running) = &machine.now.order {
            let group = Group::of_order(running.work_order.to_string(), &running.report);
            rows.push(row(path, group, &running.report));
        }
    }
    batch(head().iter().chain(COLUMNS), &rows)
}

#[cfg(test)]
mod tests;
