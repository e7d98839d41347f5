//! `oee(bucket)`: the OEE report of each equipment and bucket. Every figure comes from the crate `oee`.

use std::sync::Arc;

use ::oee::kpi::Kpi;
use ::oee::line::serial;
use ::oee::machine::{OrderCount, Report};
use ::oee::plant::{Plant, Rollup};
use ::oee::seconds;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::{Stream, stream};

use super::arguments::Cut;
use super::columns::{Column, Value, batch};
use super::cut::{Bucket, BucketsAhead, buckets};
use super::gather::{Gather, Machines};
use crate::error::QueryError;

struct Row {
    bucket: Bucket,
    equipment: String,
    report: Report,
    kpi: Kpi,
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
    Column { name: "time", value: Value::Time(|row| row.report.start) },
    Column { name: "end", value: Value::Time(|row| row.report.end) },
    Column { name: "equipment", value: Value::Text(|row| Some(row.equipment.as_str())) },
    Column { name: "shift", value: Value::Text(|row| row.bucket.shift.as_deref()) },
    Column { name: "production_day", value: Value::Text(|row| row.bucket.production_day.as_deref()) },
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
    Column { name: "total", value: Value::Double(|row| Some(row.report.counts.total)) },
    Column { name: "good", value: Value::Double(|row| Some(row.report.counts.good)) },
    Column { name: "scrap", value: Value::Double(|row| Some(row.report.counts.scrap)) },
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
    ratio!("allocation_efficiency", allocation_efficiency),
    ratio!("utilization_efficiency", utilization_efficiency),
    ratio!("technical_efficiency", technical_efficiency),
    ratio!("setup_ratio", setup_ratio),
    ratio!("quality_ratio", quality_ratio),
    ratio!("scrap_ratio", scrap_ratio),
    ratio!("oee_index", oee_index),
    ratio!("nee", nee),
    Column { name: "reason", value: Value::Text(|row| row.kpi.reason.as_deref()) },
];

/// Ideal times that do not cover all pieces would only mislead.
fn known(row: &Row, ideal_s: f64) -> Option<f64> {
    row.report.missing_ideal.is_none().then_some(ideal_s)
}

pub(super) fn schema() -> SchemaRef {
    super::columns::schema(COLUMNS)
}

/// Rows of one batch of the answer.
const BATCH_ROWS: usize = 1_024;

/// The answer in batches, made as they are asked for: a fine bucket over a long window is long.
pub(super) async fn answer(
    gather: Arc<Gather>,
    equipment: Arc<[String]>,
    cut: Cut,
    window: (i64, i64),
) -> Result<impl Stream<Item = Result<RecordBatch, QueryError>> + Send, QueryError> {
    let mut needed: Vec<String> = Vec::new();
    for path in equipment.iter() {
        needed.push(path.clone());
        needed.extend(gather.plant.descendants(path).map(|below| below.path.clone()));
    }
    needed.sort_unstable();
    needed.dedup();
    let machines = gather.machines(&needed, window.0, window.1).await?;
    let walk = Walk { gather, machines, equipment, cut, window, place: 0, ahead: None };
    Ok(stream::try_unfold(walk, |mut walk| async move {
        let rows = walk.rows()?;
        if rows.is_empty() {
            return Ok(None);
        }
        let rows = batch(COLUMNS, &rows)?;
        // Time limits and cancel requests get their turn.
        tokio::task::yield_now().await;
        Ok(Some((rows, walk)))
    }))
}

/// Goes through the buckets of one equipment after another.
struct Walk {
    gather: Arc<Gather>,
    machines: Machines,
    equipment: Arc<[String]>,
    cut: Cut,
    window: (i64, i64),
    /// The equipment that comes next.
    place: usize,
    /// The present equipment, and what is left of its buckets.
    ahead: Option<(String, BucketsAhead)>,
}

impl Walk {
    fn rows(&mut self) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::new();
        while rows.len() < BATCH_ROWS {
            let Some((path, buckets)) = &mut self.ahead else {
                let Some(path) = self.equipment.get(self.place) else { break };
                self.place += 1;
                let buckets = buckets(&self.gather.plant, path, self.cut, self.window.0, self.window.1);
                self.ahead = Some((path.clone(), buckets));
                continue;
            };
            let bucket = buckets.next().transpose()?;
            let report = bucket.as_ref().and_then(|bucket| {
                report(&self.gather.plant, &self.machines, path, (bucket.start, bucket.end), self.gather.now)
            });
            match (bucket, report) {
                (Some(bucket), Some(report)) => {
                    rows.push(Row { equipment: path.clone(), kpi: report.kpi(), report, bucket });
                }
                _ => self.ahead = None,
            }
        }
        Ok(rows)
    }
}

/// The report of a machine, or of what lies below a node as its `rollup` says; none where there is no machine.
fn report(plant: &Plant, machines: &Machines, path: &str, (from, to): (i64, i64), now: i64) -> Option<Report> {
    if let Some(machine) = machines.get(path) {
        return Some(machine.report(from, to, now));
    }
    let mut children: Vec<&str> = Vec::new();
    let mut reports: Vec<Report> = Vec::new();
    for child in plant.children(path) {
        if let Some(report) = report(plant, machines, &child.path, (from, to), now) {
            children.push(&child.path);
            reports.push(report);
        }
    }
    if plant.equipment(path).is_some_and(|node| node.rollup == Rollup::Serial) {
        let ideal = |machine: usize, order: &OrderCount| {
            plant.ideal_cycle_s(order.product.as_deref()?, children.get(machine)?, from)
        };
        return serial(&reports, ideal).map(|line| line.report);
    }
    let mut reports = reports.into_iter();
    let mut sum = reports.next()?;
    for report in reports {
        sum.merge(&report);
    }
    Some(sum)
}

#[cfg(test)]
mod tests;
