//! Table functions as DataFusion plans and runs them.

use std::sync::Arc;

use ::oee::plant::Plant;
use arrow::array::StringArray;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};

use super::arguments::{Arguments, Task};
use super::function::Function;
use super::gather::Gather;
use super::names::Names;
use super::trace::EdgeCache;
use super::window::{Window, pushdown};
use super::{losses, oee, scrap, series, spc, state_timeline, stops, trace};
use crate::catalog::{Current, View};
use crate::earlier_plant::EarlierPlant;
use crate::error::QueryError;
use crate::live::LiveOee;

/// A function, in a session.
#[derive(Debug)]
pub(crate) struct TableFunction {
    pub(crate) function: Function,
    pub(crate) current: Arc<Current>,
    pub(crate) plant: Arc<Plant>,
    pub(crate) live: Arc<LiveOee>,
    pub(crate) edges: Arc<EdgeCache>,
    pub(crate) earlier: Arc<EarlierPlant>,
}

impl TableFunctionImpl for TableFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(FunctionTable {
            function: self.function,
            arguments: Arguments::read(self.function, args.exprs(), &self.current.zone())?,
            schema: self.function.schema(),
            view: self.current.view(),
            plant: Arc::clone(&self.plant),
            live: Arc::clone(&self.live),
            edges: Arc::clone(&self.edges),
            earlier: Arc::clone(&self.earlier),
        }))
    }
}

/// One call, with what its statement sees.
#[derive(Debug)]
struct FunctionTable {
    function: Function,
    arguments: Arguments,
    schema: SchemaRef,
    view: View,
    plant: Arc<Plant>,
    live: Arc<LiveOee>,
    edges: Arc<EdgeCache>,
    earlier: Arc<EarlierPlant>,
}

impl FunctionTable {
    fn explicit(&self) -> bool {
        // What is about now, or about no time, has its window too.
        matches!(self.function, Function::OeeLive | Function::TraceBack | Function::TraceForward)
            || !matches!(self.arguments, Arguments::Bound { window: None, .. })
    }

    /// `[from, min(to, now))`.
    fn window(&self, explicit: Option<(i64, i64)>, filters: &[Expr], now: i64) -> Result<(i64, i64)> {
        if let Some((from, to)) = explicit {
            return Ok((from, to.min(now)));
        }
        // Values are chosen as rows of a table are, and all of them where nothing bounds them.
        let chooses_values = self.function.takes_names();
        let Window { from, to } = match chooses_values {
            true => Window::with_its_end(filters),
            false => Window::of(filters),
        };
        let Some(from) = from.or(chooses_values.then_some(i64::MIN)) else {
            return plan_err!(
                "{} needs to know from when: add WHERE time >= … to the query, or write {}",
                self.function.name(),
                self.function.explicit_form()
            );
        };
        Ok((from, to.unwrap_or(now).min(now)))
    }

    /// Declared equipment that the filters leave, in declared order.
    fn equipment(plant: &Plant, names: &Names) -> Result<Vec<String>> {
        let paths: Vec<String> = plant.tree().map(|equipment| equipment.path.clone()).collect();
        let kept = names.keeps(&[StringArray::from_iter_values(&paths)])?;
        Ok(paths.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(path, _)| path).collect())
    }

    /// The part of the answer that is asked for.
    fn projected(&self, projection: Option<&Vec<usize>>) -> Result<(Vec<usize>, SchemaRef)> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        Ok((columns, schema))
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
        let Arguments::Bound { task, window } = &self.arguments else {
            return plan_err!("{} was called with a parameter that has no value", self.function.name());
        };
        let Some(session) = state.as_any().downcast_ref::<SessionState>() else {
            return plan_err!("{} runs in takt's own sessions only", self.function.name());
        };
        // Nothing later was known then: what was open ends there.
        let now = self.view.as_of.unwrap_or(i64::MAX).min(now_us(state));
        let (from, to) = match task {
            Task::Live if self.view.as_of.is_some() => {
                return plan_err!("oee_live is about now; ask oee('shift') or oee('work_order') as of an earlier time");
            }
            Task::Live | Task::Trace(_) => (i64::MIN, now),
            _ => self.window(*window, filters, now)?,
        };
        series::check_fits(self.function, task, from, to)?;
        let names = Names::of(state, filters, self.function.names())?;
        // What a unit is made of follows from no declaration.
        let plant = match task {
            Task::Trace(_) => Arc::clone(&self.plant),
            _ => self.earlier.of(session, &self.view, &self.plant).await?,
        };
        let gather = Gather { session: session.clone(), view: self.view.clone(), plant: Arc::clone(&plant), now };
        let (columns, schema) = self.projected(projection)?;
        let orderings = series::ordering(self.function, &schema);
        // Signals may be of any equipment, machines are declared.
        let on_machines =
            matches!(task, Task::Oee(_) | Task::Live | Task::Losses(_) | Task::Scrap(_) | Task::Stops | Task::States);
        let equipment = if on_machines { Self::equipment(&plant, &names)? } else { Vec::new() };
        let call = Call {
            function: self.function,
            schema: Arc::clone(&schema),
            columns: columns.into(),
            gather: Arc::new(gather),
            equipment: Arc::from(equipment),
            names: Arc::new(names),
            live: Arc::clone(&self.live),
            edges: Arc::clone(&self.edges),
            task: task.clone(),
            from,
            to,
        };
        let plan = StreamingTableExec::try_new(schema, vec![Arc::new(call)], None, orderings, false, None)?;
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
    /// Of the columns that are asked for.
    schema: SchemaRef,
    columns: Arc<[usize]>,
    gather: Arc<Gather>,
    /// Declared equipment that WHERE leaves, for functions on machines.
    equipment: Arc<[String]>,
    /// What WHERE says of names.
    names: Arc<Names>,
    live: Arc<LiveOee>,
    edges: Arc<EdgeCache>,
    task: Task,
    from: i64,
    to: i64,
}

type Answer = BoxStream<'static, Result<RecordBatch, QueryError>>;

impl Call {
    async fn answer(self, context: Arc<TaskContext>) -> Result<Answer, QueryError> {
        let window = (self.from, self.to);
        if self.from >= self.to {
            return Ok(Box::pin(stream::empty()));
        }
        let columns = self.columns;
        match self.task {
            Task::Oee(grouping) => {
                let rows = oee::answer(self.gather, self.equipment, grouping, window).await?;
                Ok(Box::pin(rows.map(move |batch| Ok(batch?.project(&columns)?))))
            }
            Task::Live => {
                let rows = oee::live(&self.live.look(self.to).await?, &self.equipment)?;
                Ok(Box::pin(stream::once(async move { Ok(rows.project(&columns)?) })))
            }
            Task::Losses(grouping) => {
                let rows = losses::answer(self.gather, self.equipment, grouping, window).await?;
                Ok(Box::pin(rows.map(move |batch| Ok(batch?.project(&columns)?))))
            }
            Task::Scrap(grouping) => {
                let rows = scrap::answer(self.gather, self.equipment, grouping, window).await?;
                Ok(Box::pin(rows.map(move |batch| Ok(batch?.project(&columns)?))))
            }
            Task::Stops => {
                let rows = stops::answer(&self.gather, &self.equipment, window).await?;
                Ok(Box::pin(stream::once(async move { Ok(rows.project(&columns)?) })))
            }
            Task::States => {
                let rows = state_timeline::answer(&self.gather, &self.equipment, self.from, self.to).await?;
                Ok(Box::pin(stream::once(async move { Ok(rows.project(&columns)?) })))
            }
            Task::Buckets(cut, reading) => {
                let asked = series::Asked { gather: self.gather, names: self.names, window, reading, columns };
                series::buckets(self.function, asked, cut, &context).await
            }
            Task::Parts(parts, reading) => {
                let asked = series::Asked { gather: self.gather, names: self.names, window, reading, columns };
                series::parts(asked, parts, &context).await
            }
            Task::Spc(asked) => {
                // Names that only some ask for cost as much to read as the values.
                let asks = |name: &&str| self.schema.field_with_name(name).is_ok();
                let context: &[&str] = match self.function {
                    Function::Spc => &spc::CONTEXT,
                    // The column that makes subgroups may be any.
                    _ if asked.subgroup.is_some() || spc::CONTEXT.iter().any(|name| asks(&name)) => &spc::CONTEXT,
                    Function::GageRr => spc::APPRAISED,
                    _ => spc::FEW,
                };
                let (gather, names) = (&self.gather, &self.names);
                let question = spc::Question { gather, asked: &asked, names, window, context };
                let rows = match self.function {
                    Function::Spc => spc::points::answer(&question).await?,
                    Function::SpcLimits => spc::limits::answer(&question).await?,
                    Function::Capability => spc::capability::answer(&question).await?,
                    Function::GageBias => spc::bias::answer(&question).await?,
                    Function::GageLinearity => spc::linearity::answer(&question).await?,
                    _ => spc::gage::answer(&question).await?,
                };
                Ok(Box::pin(stream::once(async move { Ok(rows.project(&columns)?) })))
            }
            Task::Trace(asked) => {
                let rows = trace::answer(&self.gather, &self.edges, asked, columns, &context).await?;
                Ok(Box::pin(stream::once(async move { Ok(rows) })))
            }
            Task::AsOf(signals) => series::asof_join::answer(self.gather, &self.names, &signals, window, columns).await,
        }
    }
}

impl PartitionStream for Call {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let answer = stream::once(self.clone().answer(context)).try_flatten().map_err(DataFusionError::from);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), Box::pin(answer)))
    }
}
