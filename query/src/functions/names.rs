//! What `WHERE` says of the names that rows carry: equipment, and signal where rows are of signals.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;

use super::window::reads_only;

/// A condition on names alone, or none.
#[derive(Debug)]
pub(super) struct Names {
    schema: SchemaRef,
    filter: Option<(Expr, Arc<dyn PhysicalExpr>)>,
}

impl Names {
    /// The filters that can be decided by the columns `names` alone.
    pub(super) fn of(state: &dyn Session, filters: &[Expr], names: &[&str]) -> Result<Self> {
        let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let filter = conjunction(filters.iter().filter(|filter| reads_only(filter, names)).cloned());
        let filter = match filter {
            Some(filter) => {
                let bound = state.create_physical_expr(filter.clone(), &DFSchema::try_from(Arc::clone(&schema))?)?;
                Some((filter, bound))
            }
            None => None,
        };
        Ok(Self { schema, filter })
    }

    /// The condition, as `samples` can be asked for it.
    pub(super) fn filter(&self) -> Option<Expr> {
        self.filter.as_ref().map(|(filter, _)| filter.clone())
    }

    /// Which rows it keeps; `columns` begin with equipment and signal, as far as it knows of them.
    pub(super) fn keeps(&self, columns: &[StringArray]) -> Result<Vec<bool>> {
        let rows = columns.first().map_or(0, |column| column.len());
        let Some((_, filter)) = &self.filter else { return Ok(vec![true; rows]) };
        let columns = columns
            .iter()
            .take(self.schema.fields().len())
            .map(|column| Arc::new(column.clone()) as ArrayRef)
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let kept = filter.evaluate(&batch)?.into_array(rows)?;
        Ok(kept.as_boolean().iter().map(|kept| kept == Some(true)).collect())
    }
}
