//! Table functions over the samples of signals. Every figure comes from [`oee::series`]; here its samples are found and
//! brought to it in order, one signal after another, and what it finishes goes out as rows.
//!
//! Memory: the batch at hand, the buckets that wait for the end of a gap and what comes summed up (from the memory of all
//! queries), the edges of buckets, and for each signal the samples next to the window.

pub(super) mod aggregates;
pub(super) mod asof_join;
mod bounds;
pub(super) mod counter_delta;
mod courses;
mod edges;
pub(super) mod interpolate;
mod known;
mod samples;
mod sheet;
pub(super) mod time_weighted_avg;
pub(super) mod trend;
mod walk;

use std::sync::Arc;

use ::oee::plant::Interpolation;
use ::oee::series::Method;
use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use futures::stream::{self, BoxStream};

use super::arguments::{Reading, Task};
use super::function::Function;
use super::gather::Gather;
use super::names::Names;
use super::time_bucket::refuse;
use crate::error::QueryError;
use bounds::{Nearest, Until, nearest_after, nearest_before};
use edges::Layout;
use known::Signal;
use oee::bucket::{Cut, Width};
use samples::Sought;
use sheet::Sheet;
use walk::Walk;

/// The table.
const SAMPLES: &str = "samples";

type Answer = BoxStream<'static, Result<RecordBatch, QueryError>>;

/// What a call asks for.
pub(super) struct Asked {
    pub(super) gather: Arc<Gather>,
    pub(super) names: Arc<Names>,
    /// `[from, to)`, microseconds.
    pub(super) window: (i64, i64),
    pub(super) reading: Reading,
    /// Columns of the answer, as places in the function's schema.
    pub(super) columns: Arc<[usize]>,
}

impl Asked {
    /// How a signal is read.
    fn method(&self, signal: &Signal, counts: bool) -> Method {
        let declared = self.gather.plant.signal(&signal.equipment, &signal.name);
        Method {
            stepped: self.reading.interpolation.unwrap_or(declared.interpolation) == Interpolation::Stepped,
            treat_uncertain_as_bad: !self.reading.use_uncertain,
            counter: counts.then_some(declared.counter),
        }
    }
}

/// What a function needs of the time around its window.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// The samples before it.
    before: bool,
    /// The samples after it.
    after: bool,
    /// Steps of counters.
    counts: bool,
}

/// The rows of a function that has one row a bucket.
pub(super) async fn buckets(
    function: Function,
    asked: Asked,
    cut: Cut,
    context: &TaskContext,
) -> Result<Answer, QueryError> {
    let layout = if function == Function::Interpolate { Layout::Grid(cut) } else { Layout::Cut(cut) };
    let needs = |counts| Needs { before: true, after: true, counts };
    match function {
        Function::Aggregates => {
            let counts = aggregates::counts(&asked.columns);
            answer(&aggregates::SHEET, asked, layout, needs(counts), context).await
        }
        Function::Interpolate => answer(&interpolate::SHEET, asked, layout, needs(false), context).await,
        Function::CounterDelta => {
            let needs = Needs { before: true, after: false, counts: true };
            answer(&counter_delta::SHEET, asked, layout, needs, context).await
        }
        _ => answer(&time_weighted_avg::SHEET, asked, layout, needs(false), context).await,
    }
}

/// The rows of `trend`.
pub(super) async fn parts(asked: Asked, parts: u32, context: &TaskContext) -> Result<Answer, QueryError> {
    let needs = Needs { before: false, after: false, counts: false };
    answer(&trend::SHEET, asked, Layout::Parts(parts), needs, context).await
}

async fn answer<R: Send + Sync + 'static>(
    sheet: &'static Sheet<R>,
    asked: Asked,
    layout: Layout,
    needs: Needs,
    context: &TaskContext,
) -> Result<Answer, QueryError> {
    let (from, to) = asked.window;
    let signals = known::signals(&asked.gather, &asked.names).await?;
    // A counter goes on from a Good sample, whatever else may be used.
    let until = if needs.counts || !asked.reading.use_uncertain { Until::Good } else { Until::Usable };
    let place = (asked.gather.as_ref(), asked.names.as_ref());
    let none = || vec![Nearest::default(); signals.len()];
    let before = if needs.before { nearest_before(place, &signals, from, until).await? } else { none() };
    let after = if needs.after { nearest_after(place, &signals, to, until).await? } else { none() };
    let sought = Sought::new(&asked.names, &signals, asked.window);
    let summed = match &sought {
        // The steps of a counter are between samples.
        Some(sought) if !needs.counts => {
            courses::summed(&asked.gather, &signals, &sought.filter, layout, asked.window).await?
        }
        _ => None,
    };
    let (courses, left) = summed.map_or((Vec::new(), None), |summed| (summed.courses, Some(summed.left)));
    let held = MemoryConsumer::new("courses").register(context.memory_pool());
    held.try_grow(courses.iter().map(|courses| size_of_val(courses.as_slice())).sum())?;
    let rows = match sought {
        Some(sought) => Some(sought.passing(&asked.gather, left).await?),
        None => None,
    };
    let memory = MemoryConsumer::new("buckets").register(context.memory_pool());
    let walk = Walk::new(
        sheet,
        asked,
        layout,
        needs,
        walk::Input { signals, before, after, courses, _held: held, rows },
        memory,
    );
    Ok(Box::pin(stream::try_unfold(walk, |mut walk| async move {
        let Some(batch) = walk.batch().await? else { return Ok(None) };
        // Time limits and cancel requests get their turn.
        tokio::task::yield_now().await;
        Ok(Some((batch, walk)))
    })))
}

/// Refuses a window that has more buckets than a query may ask for.
pub(super) fn check_fits(function: Function, task: &Task, from: i64, to: i64) -> Result<()> {
    let Task::Buckets(cut, _) = task else { return Ok(()) };
    let width = match cut {
        Cut::Width(width) => *width,
        Cut::Shift | Cut::Day => Width::Days(1),
    };
    width.check_fits(function.name(), (from, to)).map_err(refuse)
}

/// The order of the rows of a function, as far as these columns show it.
pub(super) fn ordering(function: Function, schema: &Schema) -> Option<LexOrdering> {
    let order: &[&str] = match function {
        Function::Oee | Function::Losses | Function::Scrap | Function::Stops | Function::StateTimeline => &[],
        Function::AsofJoin => &["equipment", "time"],
        _ => &["equipment", "signal", "time"],
    };
    // As ORDER BY has it: no value is NULL.
    let options = SortOptions { descending: false, nulls_first: false };
    let columns = order.iter().map_while(|name| col(name, schema).ok());
    LexOrdering::new(columns.map(|column| PhysicalSortExpr::new(column, options)))
}

#[cfg(test)]
pub(super) mod tests;
