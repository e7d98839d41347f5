//! Table functions as DataFusion plans and runs them.

use std::sync::Arc;

use ::oee::plant::Plant;
use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, Result, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::BoxStream;
use futures::{TryStreamExt, stream};
use storage::Snapshot;

use super::arguments::{Arguments, Cut};
use super::gather::Gather;
use super::window::{Window, pushdown, reads_only_equipment};
use super::{oee, state_timeline};
use crate::catalog::Current;
use crate::context::ContextCache;
use crate::error::QueryError;

/// The table functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// OEE, its factors, time elements and counts per equipment and bucket.
    Oee,
    /// State intervals.
    StateTimeline,
}

impl Function {
    pub(crate) const ALL: [Self; 2] = [Self::Oee, Self::StateTimeline];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Oee => "oee",
            Self::StateTimeline => "state_timeline",
        }
    }

    /// The call that gives its window itself.
    pub(crate) fn explicit_form(self) -> &'static str {
        match self {
            Self::Oee => "oee('1 hour', from, to)",
            Self::StateTimeline => "state_timeline(from, to)",
        }
    }

    /// How to call it.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Self::Oee => {
                "oee takes a bucket ('15 minutes', '1 hour', 'shift', 'day') and, unless WHERE bounds time, a window: \
                 oee('1 hour', from, to)"
            }
            Self::StateTimeline => {
                "state_timeline takes no arguments where WHERE bounds time, or a window: state_timeline(from, to)"
            }
        }
    }

    fn schema(self) -> SchemaRef {
        match self {
            Self::Oee => oee::schema(),
            Self::StateTimeline => state_timeline::schema(),
        }
    }
}

/// A function, in a session.
#[derive(Debug)]
pub(crate) struct TableFunction {
    pub(crate) function: Function,
    pub(crate) current: Arc<Current>,
    pub(crate) plant: Arc<Plant>,
}

impl TableFunctionImpl for TableFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(FunctionTable {
            function: self.function,
            arguments: Arguments::read(self.function, args.exprs(), &self.current.zone())?,
            schema: self.function.schema(),
            snapshot: self.current.snapshot(),
            contexts: Arc::clone(&self.current.contexts),
            plant: Arc::clone(&self.plant),
        }))
    }
}

/// One call, with the snapshot of its statement.
#[derive(Debug)]
struct FunctionTable {
    function: Function,
    arguments: Arguments,
    schema: SchemaRef,
    snapshot: Arc<Snapshot>,
    contexts: Arc<ContextCache>,
    plant: Arc<Plant>,
}

impl FunctionTable {
    fn explicit(&self) -> bool {
        !matches!(self.arguments, Arguments::Bound { window: None, .. })
    }

    /// `[from, min(to, now))`.
    fn window(&self, explicit: Option<(i64, i64)>, filters: &[Expr], now: i64) -> Result<(i64, i64)> {
        if let Some((from, to)) = explicit {
            return Ok((from, to.min(now)));
        }
        let Window { from: Some(from), to } = Window::of(filters) else {
            return plan_err!(
                "{} needs to know from when: add WHERE time >= … to the query, or write {}",
                self.function.name(),
                self.function.explicit_form()
            );
        };
        Ok((from, to.unwrap_or(now).min(now)))
    }

    /// Declared equipment that the filters leave, in declared order.
    fn equipment(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<String>> {
        let paths: Vec<String> = self.plant.tree().map(|equipment| equipment.path.clone()).collect();
        let Some(filter) = conjunction(filters.iter().filter(|filter| reads_only_equipment(filter)).cloned()) else {
            return Ok(paths);
        };
        let schema = Arc::new(Schema::new(vec![Field::new("equipment", DataType::Utf8, true)]));
        let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&schema))?)?;
        let batch = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from_iter_values(&paths))])?;
        let kept = filter.evaluate(&batch)?.into_array(paths.len())?;
        let kept = kept.as_boolean();
        Ok(paths.into_iter().zip(kept.iter()).filter(|(_, kept)| *kept == Some(true)).map(|(path, _)| path).collect())
    }
}

#[async_trait]
impl TableProvider for FunctionTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        filters.iter().map(|filter| pushdown(self.function, filter, self.explicit())).collect()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Arguments::Bound { cut, window } = self.arguments else {
            return plan_err!("{} was called with a parameter that has no value", self.function.name());
        };
        let Some(session) = state.as_any().downcast_ref::<SessionState>() else {
            return plan_err!("{} runs in takt's own sessions only", self.function.name());
        };
        let now = now_us(state);
        let (from, to) = self.window(window, filters, now)?;
        let gather = Gather {
            session: session.clone(),
            snapshot: Arc::clone(&self.snapshot),
            contexts: Arc::clone(&self.contexts),
            plant: Arc::clone(&self.plant),
            now,
        };
        let call = Call {
            function: self.function,
            schema: Arc::clone(&self.schema),
            gather: Arc::new(gather),
            equipment: Arc::from(self.equipment(state, filters)?),
            cut,
            from,
            to,
        };
        let plan =
            StreamingTableExec::try_new(Arc::clone(&self.schema), vec![Arc::new(call)], projection, [], false, None)?;
        Ok(Arc::new(plan))
    }
}

/// The statement's `now()`.
fn now_us(state: &dyn Session) -> i64 {
    let wall =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros());
    match state.execution_props().query_execution_start_time {
        Some(time) => time.timestamp_micros(),
        None => i64::try_from(wall()).unwrap_or(i64::MAX),
    }
}

/// A call, ready to run.
#[derive(Debug, Clone)]
struct Call {
    function: Function,
    schema: SchemaRef,
    gather: Arc<Gather>,
    equipment: Arc<[String]>,
    cut: Cut,
    from: i64,
    to: i64,
}

impl Call {
    async fn answer(self) -> Result<BoxStream<'static, Result<RecordBatch, QueryError>>, QueryError> {
        let window = (self.from, self.to);
        if self.from >= self.to {
            return Ok(Box::pin(stream::empty()));
        }
        match self.function {
            Function::Oee => Ok(Box::pin(oee::answer(self.gather, self.equipment, self.cut, window).await?)),
            Function::StateTimeline => {
                let rows = state_timeline::answer(&self.gather, &self.equipment, self.from, self.to).await?;
                Ok(Box::pin(stream::once(async move { Ok(rows) })))
            }
        }
    }
}

impl PartitionStream for Call {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let answer = stream::once(self.clone().answer()).try_flatten().map_err(DataFusionError::from);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), Box::pin(answer)))
    }
}
