//! Derives work order, operation and unit of samples afresh, where their context changed since they were written.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr};
use datafusion::physical_plan::filter_pushdown::{ChildFilterDescription, FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::StreamExt;
use oee::execution::Affected;
use oee::path::is_within;

use crate::context::Context;
use crate::error::QueryError;
use crate::types::time_type;

/// Columns that follow from the context.
pub(crate) const DERIVED: [&str; 4] = ["work_order", "operation", "unit", "key_source"];
/// Columns that the derivation reads besides.
pub(crate) const NEEDED: [&str; 2] = ["time", "equipment"];
/// `key_source` of keys that the payload named; they are never derived.
pub(crate) const EXPLICIT: &str = "explicit";
/// `key_source` of keys that executions gave.
const BY_EXECUTIONS: &str = "derived";

/// Which rows are to be derived afresh.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// All of them.
    All,
    /// Those in these stretches, which are sorted by equipment and start.
    Stretches(Arc<[Affected]>),
}

/// What is to be done to a batch of samples.
#[derive(Debug, Clone)]
pub(crate) struct Rekey {
    /// What is in force.
    pub(crate) context: Arc<Context>,
    /// Where.
    pub(crate) scope: Scope,
}

impl Rekey {
    /// The batch with its derived columns brought up to date. It carries `time` and `equipment`; derived columns it lacks
    /// are not needed. Without `key_source` nothing could be told to be explicit, so that one is always there.
    pub(crate) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
        let times = column(batch, "time", &time_type())?;
        let times: &TimestampMicrosecondArray = times.as_primitive::<TimestampMicrosecondType>();
        let equipment = column(batch, "equipment", &DataType::Utf8)?;
        let equipment = equipment.as_string::<i32>();
        let source = column(batch, "key_source", &DataType::Utf8)?;
        let source = source.as_string::<i32>();
        let [orders, operations, units] = ["work_order", "operation", "unit"].map(|name| Derived::of(batch, name));
        let (mut orders, mut operations, mut units) = (orders?, operations?, units?);
        let mut sources = StringBuilder::with_capacity(batch.num_rows(), batch.num_rows() * 8);
        let mut place: Option<Place<'_>> = None;
        for row in 0..batch.num_rows() {
            let path = equipment.value(row);
            let stale = !(source.is_valid(row) && source.value(row) == EXPLICIT)
                && equipment.is_valid(row)
                && times.is_valid(row);
            let here = match place.take() {
                Some(known) if known.path == path => known,
                _ => Place::new(self, path),
            };
            let here = place.insert(here);
            if stale && here.holds(times.value(row)) {
                let key = here.cursor.key_at(times.value(row));
                orders.push(key.work_order);
                operations.push(key.operation);
                units.push(key.unit);
                let any = key.work_order.or(key.operation).or(key.unit);
                sources.append_option(any.map(|_| BY_EXECUTIONS));
            } else {
                orders.keep(row);
                operations.keep(row);
                units.keep(row);
                sources.append_option(source.is_valid(row).then(|| source.value(row)));
            }
        }
        let mut columns = batch.columns().to_vec();
        let finished = [("work_order", orders.finish()), ("operation", operations.finish()), ("unit", units.finish())];
        for (name, values) in finished.into_iter().chain([("key_source", Some(Arc::new(sources.finish()) as ArrayRef))])
        {
            if let (Ok(index), Some(values)) = (batch.schema().index_of(name), values)
                && let Some(slot) = columns.get_mut(index)
            {
                *slot = cast(&values, slot.data_type())?;
            }
        }
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    }
}

fn column(batch: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef, QueryError> {
    let column =
        batch.column_by_name(name).ok_or_else(|| QueryError::Layout(format!("samples without their column {name}")))?;
    Ok(if column.data_type() == kind { Arc::clone(column) } else { cast(column, kind)? })
}

/// One derived column being rewritten; nothing where the batch does not carry it.
struct Derived {
    column: Option<(StringArray, StringBuilder)>,
}

impl Derived {
    fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        if batch.column_by_name(name).is_none() {
            return Ok(Self { column: None });
        }
        let stored = column(batch, name, &DataType::Utf8)?.as_string::<i32>().clone();
        let rewritten = StringBuilder::with_capacity(stored.len(), stored.values().len());
        Ok(Self { column: Some((stored, rewritten)) })
    }

    fn push(&mut self, value: Option<&str>) {
        if let Some((_, rewritten)) = &mut self.column {
            rewritten.append_option(value);
        }
    }

    fn keep(&mut self, row: usize) {
        if let Some((stored, rewritten)) = &mut self.column {
            rewritten.append_option(stored.is_valid(row).then(|| stored.value(row)));
        }
    }

    fn finish(self) -> Option<ArrayRef> {
        self.column.map(|(_, mut rewritten)| Arc::new(rewritten.finish()) as ArrayRef)
    }
}

/// One equipment, while its rows pass by.
struct Place<'a> {
    path: String,
    cursor: oee::execution::Cursor<'a>,
    /// None means all times.
    stretches: Option<Vec<(i64, i64)>>,
}

impl<'a> Place<'a> {
    fn new(rekey: &'a Rekey, path: &str) -> Self {
        let stretches = match &rekey.scope {
            Scope::All => None,
            Scope::Stretches(stretches) => {
                let here = stretches.iter().filter(|stretch| is_within(path, &stretch.equipment));
                Some(here.map(|stretch| (stretch.from, stretch.to)).collect())
            }
        };
        Self { path: path.to_owned(), cursor: rekey.context.executions.cursor(path), stretches }
    }

    fn holds(&self, time: i64) -> bool {
        self.stretches.as_ref().is_none_or(|stretches| stretches.iter().any(|&(from, to)| from <= time && time < to))
    }
}

/// Re-keys the rows of its input.
#[derive(Debug)]
pub(crate) struct RekeyExec {
    input: Arc<dyn ExecutionPlan>,
    rekey: Rekey,
    properties: Arc<PlanProperties>,
}

impl RekeyExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, rekey: Rekey) -> Result<Self> {
        let properties = PlanProperties::new(
            known_of_stored(input.equivalence_properties())?,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self { input, rekey, properties: Arc::new(properties) })
    }
}

/// What is known of rows, as far as it is not about columns that are rewritten.
fn known_of_stored(input: &EquivalenceProperties) -> Result<EquivalenceProperties> {
    let is_stored =
        |expr: &Arc<dyn PhysicalExpr>| collect_columns(expr).iter().all(|column| !DERIVED.contains(&column.name()));
    let mut known = EquivalenceProperties::new(Arc::clone(input.schema()));
    let orderings = input.oeq_class().iter();
    known.add_orderings(orderings.filter_map(|ordering| {
        LexOrdering::new(ordering.iter().take_while(|column| is_stored(&column.expr)).cloned())
    }));
    known.add_constants(input.constants().into_iter().filter(|constant| is_stored(&constant.expr)))?;
    Ok(known)
}

impl DisplayAs for RekeyExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.rekey.scope {
            Scope::All => write!(f, "RekeyExec: all rows"),
            Scope::Stretches(stretches) => write!(f, "RekeyExec: stretches={}", stretches.len()),
        }
    }
}

impl ExecutionPlan for RekeyExec {
    fn name(&self) -> &'static str {
        "RekeyExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Rows pass in their order, but a sort by keys that was planned below would go by those that were stored.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| QueryError::Layout("RekeyExec has one input".to_owned()))?;
        Ok(Arc::new(Self::new(input, self.rekey.clone())?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let rekey = self.rekey.clone();
        let apply = move |batch: Result<RecordBatch>| -> Result<RecordBatch> { Ok(rekey.apply(&batch?)?) };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), input.map(apply))))
    }

    /// A filter on a derived column must see the derived value: it stays above. All others go below.
    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let schema = self.schema();
        let fields = schema.fields().iter().enumerate();
        let stored: HashSet<usize> =
            fields.filter(|(_, field)| !DERIVED.contains(&field.name().as_str())).map(|(index, _)| index).collect();
        let child = ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, stored, &self.input)?;
        Ok(FilterDescription::new().with_child(child))
    }
}

#[cfg(test)]
mod tests;
