//! `scrap(bucket)`: the scrapped pieces of each equipment and bucket, by reason.

use std::sync::Arc;

use ::oee::machine::Scrapped;
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
    reason: Option<Arc<str>>,
    scrapped: Scrapped,
    /// Share of the bucket's scrap; none where that comes to nothing.
    share: Option<f64>,
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
    Column { name: "reason", value: Value::Text(|row| row.reason.as_deref()) },
    Column { name: "scrap", value: Value::Double(|row| Some(row.scrapped.pieces)) },
    Column { name: "startup_scrap", value: Value::Double(|row| Some(row.scrapped.startup)) },
    Column { name: "share", value: Value::Double(|row| row.share) },
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
        let rows: Vec<Row> = reports.into_iter().flat_map(reasons).collect();
        batch(head().iter().chain(COLUMNS), &rows)
    })
    .await
}

/// The reasons of a bucket, the one with most pieces first.
fn reasons(found: Reported) -> impl Iterator<Item = Row> {
    let (equipment, group) = (Arc::from(found.equipment), Arc::new(found.group));
    let (bounds, all) = ((found.report.start, found.report.end), found.report.counts.scrap);
    // Pieces that counted as scrap until the counter of good ones followed.
    let mut scrap: Vec<_> = found.report.scrap.into_iter().filter(|(_, scrapped)| scrapped.pieces != 0.0).collect();
    scrap.sort_by(|(_, one), (_, other)| other.pieces.total_cmp(&one.pieces));
    scrap.into_iter().map(move |(reason, scrapped)| Row {
        equipment: Arc::clone(&equipment),
        group: Arc::clone(&group),
        bounds,
        reason,
        scrapped,
        share: (all > 0.0).then(|| scrapped.pieces / all),
    })
}
