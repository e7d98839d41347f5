//! Rows in the order of their series: where one ends and the next begins.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{SortOptions, partition};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::{DFSchema, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{ConstExpr, EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::{Distribution, ExecutionPlan, ExecutionPlanProperties};

/// Which columns tell series apart, and which one is the bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub(super) struct Series {
    /// The bucket.
    pub(super) time: usize,
    /// All group keys but the bucket.
    pub(super) keys: Vec<usize>,
}

impl Series {
    /// Of an aggregate with so many group keys.
    pub(super) fn of(groups: usize, time: usize) -> Self {
        Self { time, keys: (0..groups).filter(|place| *place != time).collect() }
    }

    /// Names of all columns but the keys.
    pub(super) fn others(&self, schema: &DFSchema) -> HashSet<String> {
        let fields = schema.fields().iter().enumerate();
        fields.filter(|(place, _)| !self.keys.contains(place)).map(|(_, field)| field.name().clone()).collect()
    }

    /// Maximal runs of rows of one series, in sorted rows.
    pub(super) fn runs(&self, rows: &RecordBatch) -> Result<Vec<Range<usize>>> {
        runs(&self.key_columns(rows), rows.num_rows())
    }

    pub(super) fn key_columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.keys.iter().map(|key| Arc::clone(rows.column(*key))).collect()
    }

    fn key_exprs(&self, schema: &Schema) -> Vec<Arc<dyn PhysicalExpr>> {
        self.keys.iter().map(|key| column(schema, *key)).collect()
    }

    /// Sorted by series, then bucket. As ORDER BY has it: NULL last.
    pub(super) fn ordering(&self, schema: &Schema) -> Option<LexOrdering> {
        let options = SortOptions { descending: false, nulls_first: false };
        let columns = self.key_exprs(schema).into_iter().chain([column(schema, self.time)]);
        LexOrdering::new(columns.map(|column| PhysicalSortExpr::new(column, options)))
    }

    /// All rows of a series are in one stream.
    pub(super) fn distribution(&self, schema: &Schema) -> Distribution {
        if self.keys.is_empty() {
            return Distribution::SinglePartition;
        }
        Distribution::KeyPartitioned(self.key_exprs(schema))
    }

    /// What is known of rows in this order; a key that is the same in all rows of the input stays the same.
    pub(super) fn properties(&self, schema: &SchemaRef, input: &dyn ExecutionPlan) -> Result<EquivalenceProperties> {
        let mut properties = EquivalenceProperties::new_with_orderings(Arc::clone(schema), self.ordering(schema));
        let known = input.equivalence_properties();
        let constants = self.key_exprs(schema).into_iter().filter_map(|key| {
            let across = known.is_expr_constant(&key)?;
            Some(ConstExpr::new(key, across))
        });
        properties.add_constants(constants.collect::<Vec<_>>())?;
        Ok(properties)
    }
}

/// Maximal runs of rows that have the same in all columns; NULL is the same as NULL.
pub(super) fn runs(columns: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    if columns.is_empty() || rows == 0 {
        return Ok(if rows == 0 { Vec::new() } else { std::iter::once(0..rows).collect() });
    }
    Ok(partition(columns)?.ranges())
}

fn column(schema: &Schema, place: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(schema.field(place).name(), place))
}
