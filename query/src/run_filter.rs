//! Filters on what is the same in many rows that follow one another, like the unit that was worked on: asked of the first row
//! of each run, and of pages before they are read.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBufferBuilder, Int64Array, RecordBatch, RecordBatchOptions,
    StringViewBuilder, new_null_array,
};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::{is_volatile, snapshot_physical_expr};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use storage::{PageBounds, Segment};

use crate::error::QueryError;
use crate::record_rows::both;
use crate::series_runs::mark;

/// A filter on texts.
#[derive(Debug, Clone)]
pub(crate) struct RunFilter {
    filter: Arc<dyn PhysicalExpr>,
    /// The columns that it reads, in ascending order.
    columns: Arc<[usize]>,
    schema: SchemaRef,
}

impl RunFilter {
    /// A filter on columns of `schema`; `None` where it reads other columns than texts, or can say something else of the same.
    pub(crate) fn new(filter: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Option<Self> {
        let mut columns: Vec<usize> = collect_columns(filter).iter().map(|column| column.index()).collect();
        columns.sort_unstable();
        let is_text = |&column: &usize| *schema.field(column).data_type() == DataType::Utf8View;
        let of_runs = !columns.is_empty() && columns.iter().all(is_text) && !is_volatile(filter);
        of_runs.then(|| Self { filter: Arc::clone(filter), columns: columns.into(), schema: Arc::clone(schema) })
    }

    pub(crate) fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.filter
    }

    /// The rows that fulfil it.
    pub(crate) fn kept(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let mut begins = vec![false; rows.num_rows()];
        for &column in self.columns.iter() {
            mark(&mut begins, rows.column(column))?;
        }
        if let Some(first) = begins.first_mut() {
            *first = true;
        }
        let firsts: Vec<usize> = begins.iter().enumerate().filter(|(_, begins)| **begins).map(|(row, _)| row).collect();
        let found = self.fulfilled(&rows, &firsts)?;
        if found.null_count() == 0 && found.true_count() == found.len() {
            return Ok(rows);
        }
        let mut keep = BooleanBufferBuilder::new(rows.num_rows());
        let ends = firsts.iter().skip(1).copied().chain([rows.num_rows()]);
        for ((&start, end), found) in firsts.iter().zip(ends).zip(&found) {
            keep.append_n(end - start, found == Some(true));
        }
        Ok(filter_record_batch(&rows, &BooleanArray::new(keep.finish(), None))?)
    }

    /// Whether rows fulfil it, of which so many are told.
    pub(crate) fn fulfilled(&self, rows: &RecordBatch, told: &[usize]) -> Result<BooleanArray> {
        let heads = self.heads(rows, told)?;
        let found = self.filter.evaluate(&heads)?.into_array(heads.num_rows())?;
        Ok(as_boolean_array(&found)?.clone())
    }

    /// Some rows, with the columns that it reads; nothing is said of the others.
    fn heads(&self, rows: &RecordBatch, firsts: &[usize]) -> Result<RecordBatch> {
        let places: Int64Array = firsts.iter().map(|&row| row as i64).collect();
        let column = |(index, column): (usize, &ArrayRef)| match self.columns.contains(&index) {
            true => take(column, &places, None),
            false => Ok(new_null_array(column.data_type(), places.len())),
        };
        let columns = rows.columns().iter().enumerate().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        Ok(RecordBatch::try_new_with_options(rows.schema(), columns, &options)?)
    }

    /// What it says of pages as it is now, where it says anything.
    pub(crate) fn of_pages(&self) -> Result<PageFilter> {
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema));
        let predicate = builder.try_build(snapshot_physical_expr(Arc::clone(&self.filter))?);
        // What cannot be told of pages is asked of rows.
        let predicate = predicate.ok().filter(|predicate| !predicate.always_true());
        let names = self.columns.iter().map(|&column| self.schema.field(column).name().clone());
        Ok(PageFilter { predicate, columns: names.collect(), known: HashMap::new() })
    }
}

/// Which pages can hold rows that fulfil a filter.
pub(crate) struct PageFilter {
    predicate: Option<PruningPredicate>,
    columns: Vec<String>,
    /// By path of a segment: the rows of such pages.
    known: HashMap<PathBuf, Option<Arc<[Range<usize>]>>>,
}

impl PageFilter {
    /// The rows of a segment in such pages, as far as these hold rows that are `wanted` of it at all, in order and apart; `None`
    /// where nothing is known of them.
    pub(crate) fn rows_of(
        &mut self,
        segment: &Segment,
        wanted: impl FnOnce() -> Vec<Range<usize>>,
    ) -> Result<Option<Arc<[Range<usize>]>>, QueryError> {
        if let Some(known) = self.known.get(&segment.path) {
            return Ok(known.clone());
        }
        let found = self.looked_up(segment, &wanted())?.map(Arc::from);
        self.known.insert(segment.path.clone(), found.clone());
        Ok(found)
    }

    fn looked_up(&self, segment: &Segment, wanted: &[Range<usize>]) -> Result<Option<Vec<Range<usize>>>, QueryError> {
        let Some(predicate) = &self.predicate else { return Ok(None) };
        let mut left: Option<Vec<Range<usize>>> = None;
        for name in &self.columns {
            let Some(bounds) = Bounds::of(segment, name, wanted) else { continue };
            let can_match = RefCell::new(predicate.prune(&bounds)?.into_iter());
            let pages = segment.pages_where(name, wanted, |_| can_match.borrow_mut().next() != Some(false));
            left = match (left, pages) {
                (Some(left), Some(pages)) => Some(both(&left, &pages)),
                (left, pages) => left.or(pages),
            };
        }
        Ok(left)
    }
}

/// The smallest and largest texts of the pages of one column.
struct Bounds<'a> {
    column: &'a str,
    lows: ArrayRef,
    highs: ArrayRef,
}

impl<'a> Bounds<'a> {
    /// `None` where the file does not tell.
    fn of(segment: &Segment, column: &'a str, wanted: &[Range<usize>]) -> Option<Self> {
        let bounds = RefCell::new((StringViewBuilder::new(), StringViewBuilder::new()));
        segment.pages_where(column, wanted, |page| {
            let (lows, highs) = &mut *bounds.borrow_mut();
            let texts = match page {
                PageBounds::Texts(low, high) => (std::str::from_utf8(low).ok(), std::str::from_utf8(high).ok()),
                PageBounds::Numbers(..) => (None, None),
            };
            lows.append_option(texts.0);
            highs.append_option(texts.1);
            true
        })?;
        let (mut lows, mut highs) = bounds.into_inner();
        Some(Self { column, lows: Arc::new(lows.finish()), highs: Arc::new(highs.finish()) })
    }

    fn texts(&self, column: &Column, texts: &ArrayRef) -> Option<ArrayRef> {
        (column.name == self.column).then(|| Arc::clone(texts))
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.texts(column, &self.lows)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.texts(column, &self.highs)
    }

    fn num_containers(&self) -> usize {
        self.lows.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
