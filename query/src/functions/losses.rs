//! `losses(bucket)`: where the time of each equipment and bucket was lost, from calendar time to fully productive time.

use std::sync::Arc;

use ::oee::loss::Step;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::Stream;

use super::arguments::Grouping;
use super::columns::{Column, Value, batch};
use super::gather::Gather;
use super::reports::{Group, Grouped, Reported, batches, head};
use crate::error::QueryError;

struct Row {
    equipment: Arc<str>,
    group: Arc<Group>,
    bounds: (i64, i64),
    ordinal: u64,
    step: Step,
    reason: Option<Arc<str>>,
}

impl Grouped for Row {
    fn equipment(&self) -> &str {
        &self.equipment
    }

    fn group(&self) -> &Group {
        &self.group
    }

    fn bounds(&self) -> (i64, i64) {
        self.bounds
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "step", value: Value::Integer(|row| row.ordinal) },
    Column { name: "loss", value: Value::Text(|row| Some(row.step.loss.name())) },
    Column { name: "factor", value: Value::Text(|row| row.step.loss.factor()) },
    Column { name: "big_loss", value: Value::Text(|row| row.step.loss.big_loss()) },
    Column { name: "lost_s", value: Value::Double(|row| row.step.lost_s) },
    Column { name: "left_s", value: Value::Double(|row| row.step.left_s) },
    Column { name: "idle_energy_kwh", value: Value::Double(|row| row.step.idle_kwh) },
    Column { name: "reason", value: Value::Text(|row| row.reason.as_deref()) },
];

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
        let rows: Vec<Row> = reports.into_iter().flat_map(steps).collect();
        batch(head().iter().chain(COLUMNS), &rows)
    })
    .await
}

fn steps(found: Reported) -> impl Iterator<Item = Row> {
    let (equipment, group) = (Arc::from(found.equipment), Arc::new(found.group));
    let bounds = (found.report.start, found.report.end);
    let missing: Option<Arc<str>> = found.report.missing_ideal.as_deref().map(Arc::from);
    found.report.waterfall().into_iter().zip(1..).map(move |(step, ordinal)| Row {
        equipment: Arc::clone(&equipment),
        group: Arc::clone(&group),
        bounds,
        ordinal,
        step,
        // What is lost is known of all losses of time.
        reason: missing.clone().filter(|_| step.lost_s.is_none()),
    })
}
