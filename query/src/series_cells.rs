//! Which cells of outlines a question can take as they are, and which rows it has to read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::datatypes::{Field, Schema};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use storage::{Cell, KeySet, Segment, SeriesOutline, Sums, TableSpec};

use crate::error::QueryError;
use crate::series_rows::{MOST_SERIES, RowsByPath, SeriesRows, Wanted, ranges_of};
use crate::series_runs::figures;
use crate::sums::{schema, unqualified};
use crate::types::time_type;

/// More cells than this are not taken: they are held in memory.
pub(crate) const MOST_CELLS: usize = 1 << 20;
/// With more superseded rows than this in a segment, its rows are read.
pub(crate) const MOST_SUPERSEDED: usize = 1 << 16;

/// How a question groups times, and which it wants.
pub(crate) struct Grouping {
    time: DFSchema,
    within: Vec<Arc<dyn PhysicalExpr>>,
    buckets: Vec<Arc<dyn PhysicalExpr>>,
}

impl Grouping {
    /// `within` bounds the time, `buckets` never give less for a later time.
    pub(crate) fn new(spec: &TableSpec, within: &[&Expr], buckets: &[Expr]) -> Result<Self> {
        let name = spec.time.map_or("", |time| spec.schema.field(time).name());
        let time = DFSchema::try_from(Schema::new(vec![Field::new(name, time_type(), true)]))?;
        let physical = |expr: &Expr| {
            create_physical_expr(
                &unqualified(expr)?,
                &time,
                &ExecutionProps::new(),
                &PhysicalPlanningContext::default(),
            )
        };
        let within = within.iter().map(|filter| physical(filter)).collect::<Result<_>>()?;
        let buckets = buckets.iter().map(physical).collect::<Result<_>>()?;
        Ok(Self { time, within, buckets })
    }

    /// The times of cells: for each whether all of it is wanted and in one bucket, and whether in that of the one before.
    fn judge(&self, firsts: Vec<i64>, lasts: Vec<i64>) -> Result<(Vec<bool>, Vec<bool>)> {
        let count = firsts.len();
        let batch = |times: Vec<i64>| {
            let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
            RecordBatch::try_new(Arc::clone(self.time.inner()), vec![Arc::new(times)])
        };
        let (firsts, lasts) = (batch(firsts)?, batch(lasts)?);
        let (mut whole, mut joined) = (vec![true; count], vec![true; count]);
        let both = |flags: &mut [bool], more: &BooleanArray, from: usize| {
            for (flag, more) in flags.iter_mut().skip(from).zip(more) {
                *flag &= more == Some(true);
            }
        };
        for filter in &self.within {
            for times in [&firsts, &lasts] {
                let wanted = filter.evaluate(times)?.into_array(count)?;
                let wanted = wanted.as_any().downcast_ref::<BooleanArray>();
                both(&mut whole, wanted.ok_or_else(|| QueryError::Layout("a filter without a truth value".into()))?, 0);
            }
        }
        for bucket in &self.buckets {
            let first = bucket.evaluate(&firsts)?.into_array(count)?;
            let last = bucket.evaluate(&lasts)?.into_array(count)?;
            both(&mut whole, &not_distinct(&first, &last)?, 0);
            if count > 1 {
                let (later, former): (ArrayRef, ArrayRef) = (first.slice(1, count - 1), first.slice(0, count - 1));
                both(&mut joined, &not_distinct(&later, &former)?, 1);
            }
        }
        Ok((whole, joined))
    }
}

/// What is known of rows, and which rows have to be read besides.
#[derive(Debug, Clone)]
pub(crate) struct KnownCells {
    /// Columns as [`schema`].
    pub(crate) sums: RecordBatch,
    /// By path: of which rows of a segment nothing is known.
    pub(crate) left: Arc<RowsByPath>,
}

/// Cells as they gather.
#[derive(Default)]
struct Gathered {
    keys: Vec<Vec<Option<Arc<str>>>>,
    starts_us: Vec<i64>,
    rows: Vec<i64>,
    sums: Vec<Sums>,
}

/// The cells of `segments`, which come with the keys of their rows that are superseded; `None` where more is to be read than is
/// known, so that it is simpler to read all.
pub(crate) fn known_cells(
    wanted: &Wanted<'_>,
    grouping: &Grouping,
    segments: Vec<(Arc<Segment>, Option<Arc<KeySet>>)>,
) -> Result<Option<KnownCells>> {
    let (mut gathered, mut left) = (Gathered::default(), HashMap::new());
    let (mut known, mut unknown, mut series_left) = (0, 0, 0);
    for (segment, dead) in segments {
        // Somebody else reads it then, off the async threads.
        if !segment.knows_outline() {
            return Ok(None);
        }
        let Some(outline) = segment.outline() else { return Ok(None) };
        let dirty = match &dead {
            None => HashMap::new(),
            Some(dead) if dead.len() > MOST_SUPERSEDED => return Ok(None),
            Some(dead) => dead.times_of_series().map_err(QueryError::from)?,
        };
        let mut rows = Vec::new();
        for series in outline.series.iter().filter(|series| wanted.names(&series.key)) {
            let dirty = dirty.get(&series.key).map_or(&[][..], Vec::as_slice);
            let meets: Vec<bool> = series.cells.iter().map(|cell| wanted.meets(series, cell)).collect();
            // What cannot be told of the ends of a cell is told of its rows.
            let Ok(takes) = gathered.take(grouping, series, &meets, dirty) else { return Ok(None) };
            let ranges =
                ranges_of(series, |place, _| meets.get(place) == Some(&true) && takes.get(place) != Some(&true));
            let taken = series.cells.iter().zip(&takes).filter(|(_, taken)| **taken);
            known += taken.map(|(cell, _)| cell.rows).sum::<u64>();
            if !ranges.is_empty() {
                let series =
                    SeriesRows { segment: Arc::clone(&segment), key: series.key.clone(), ranges, times: Vec::new() };
                unknown += series.count() as u64;
                rows.push(series);
            }
        }
        series_left += rows.len();
        left.insert(segment.path.clone(), rows);
        if gathered.sums.len() > MOST_CELLS || series_left > MOST_SERIES {
            return Ok(None);
        }
    }
    if known <= unknown {
        return Ok(None);
    }
    Ok(Some(KnownCells { sums: gathered.finish(wanted.spec)?, left: Arc::new(left) }))
}

impl Gathered {
    /// Takes the cells of a series that can be taken; tells which.
    fn take(
        &mut self,
        grouping: &Grouping,
        series: &SeriesOutline,
        meets: &[bool],
        dirty: &[i64],
    ) -> Result<Vec<bool>> {
        let last_of = |cell: &Cell| series.last_us(cell);
        let asked: Vec<&Cell> =
            series.cells.iter().zip(meets).filter(|(_, meets)| **meets).map(|(cell, _)| cell).collect();
        let firsts = asked.iter().map(|cell| cell.start_us).collect();
        let (whole, joined) = grouping.judge(firsts, asked.iter().map(|cell| last_of(cell)).collect())?;
        let mut judged = whole.into_iter().zip(joined);
        let mut all = Vec::with_capacity(series.cells.len());
        let mut in_last_bucket = false;
        for (cell, meets) in series.cells.iter().zip(meets) {
            let (whole, joined) = if *meets { judged.next().unwrap_or_default() } else { (false, false) };
            in_last_bucket &= joined;
            let next = dirty.partition_point(|time| *time < cell.start_us);
            let clean = dirty.get(next).is_none_or(|time| last_of(cell) < *time);
            let sums = cell.sums.filter(|_| whole && clean);
            all.push(sums.is_some());
            let Some(sums) = sums else { continue };
            let rows = i64::try_from(cell.rows).unwrap_or(i64::MAX);
            match (self.rows.last_mut(), self.sums.last_mut()) {
                // What lies between two cells of one bucket is of that bucket too.
                (Some(counted), Some(total)) if in_last_bucket => {
                    *counted += rows;
                    total.add(&sums);
                }
                _ => {
                    self.keys.push(series.key.clone());
                    self.starts_us.push(cell.start_us);
                    self.rows.push(rows);
                    self.sums.push(sums);
                }
            }
            in_last_bucket = true;
        }
        Ok(all)
    }

    fn finish(self, spec: &TableSpec) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        let mut part = 0;
        for &index in &spec.key {
            if Some(index) == spec.time {
                columns.push(Arc::new(TimestampMicrosecondArray::from(self.starts_us.clone()).with_timezone("UTC")));
            } else {
                let names = self.keys.iter().map(|key| key.get(part).and_then(Option::as_deref));
                columns.push(Arc::new(names.collect::<StringViewArray>()));
                part += 1;
            }
        }
        columns.extend(figures(self.rows, &self.sums));
        Ok(RecordBatch::try_new(schema(spec), columns)?)
    }
}
