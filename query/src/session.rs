//! One client's session: plans statements, refuses what would write, runs the rest within its limits.
//!
//! Every statement sees one snapshot: it is taken when planning begins, and all tables and functions of the statement read
//! from it, however long the answer takes. A session may hold it for the statements that follow.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Statement as PlanStatement};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{EmptyRecordBatchStream, execute_stream};
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::catalog::{Current, SnapshotSource};
use crate::engine::Limits;
use crate::error::QueryError;
use crate::functions;
use crate::statement;

/// Longer statements are refused: a statement is walked recursively, so its length bounds the stack it needs.
const LONGEST_STATEMENT_BYTES: usize = 128 << 10;

/// A client's session.
pub struct Session {
    context: SessionContext,
    current: Arc<Current>,
    source: Arc<dyn SnapshotSource>,
    limits: Limits,
    user: String,
    /// Planning takes the snapshot and uses it: one statement at a time.
    planning: Mutex<Taking>,
}

/// Which snapshot the next statement sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// A fresh one.
    Fresh,
    /// A fresh one, and all later statements the same.
    Once,
    /// That of the statement before.
    Held,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A planned statement, with the snapshot and the settings it will run with.
#[derive(Debug, Clone)]
pub struct Statement {
    plan: LogicalPlan,
    state: Arc<SessionState>,
    schema: SchemaRef,
}

impl Statement {
    /// The plan, before optimization.
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Columns of the answer.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Whether the statement gives rows: `SET` does not.
    pub fn gives_rows(&self) -> bool {
        !matches!(self.plan, LogicalPlan::Statement(_))
    }
}

/// What is known of a statement before its parameters are.
#[derive(Debug, Clone)]
pub struct Description {
    /// Columns of the answer.
    pub schema: SchemaRef,
    /// Types of `$1`, `$2`, …, where the statement tells them.
    pub parameters: Vec<Option<DataType>>,
    /// Whether the statement gives rows.
    pub gives_rows: bool,
}

impl Session {
    pub(crate) fn new(
        context: SessionContext,
        current: Arc<Current>,
        source: Arc<dyn SnapshotSource>,
        limits: Limits,
        user: &str,
    ) -> Self {
        Self { context, current, source, limits, user: user.to_owned(), planning: Mutex::new(Taking::Fresh) }
    }

    /// DataFusion's own view of the session: to add catalogs and functions to it. Statements go through
    /// [`Session::plan`], which refuses what would write.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Who the session belongs to.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Times that a statement writes without an offset are wall time in this zone, UTC unless it is set.
    pub fn set_time_zone(&self, zone: TimeZone) {
        self.current.set_zone(zone);
    }

    /// Statements see the tables as they were known at this recorded time; as they are, without one.
    pub fn set_as_of(&self, as_of: Option<Timestamp>) {
        self.current.set_as_of(as_of.map(Timestamp::as_microsecond));
    }

    /// The next statement takes a snapshot, and all later ones see the same: their answers fit together, whatever comes
    /// meanwhile. For a session that ends soon: what the snapshot shows stays on the disk as long as it is held.
    pub async fn hold_snapshot(&self) {
        *self.planning.lock().await = Taking::Once;
    }

    /// Plans a statement without parameters.
    ///
    /// # Errors
    /// [`QueryError::Statement`] with its place where the statement is wrong, [`QueryError::ReadOnly`] where it would write.
    pub async fn plan(&self, sql: &str) -> Result<Statement, QueryError> {
        self.plan_with(sql, &[]).await
    }

    /// Plans a statement with values for `$1`, `$2`, ….
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub async fn plan_with(&self, sql: &str, parameters: &[ScalarValue]) -> Result<Statement, QueryError> {
        let (plan, state) = self.within_timeout(self.unbound(sql, Some(parameters))).await?;
        let plan = if parameters.is_empty() { plan } else { plan.with_param_values(parameters.to_vec())? };
        if let Some(missing) = plan.get_parameter_names()?.into_iter().min() {
            let message = format!("the parameter {missing} has no value; {} were given", parameters.len());
            return Err(QueryError::Statement { message, at: None });
        }
        let schema = answer_schema(&plan, &state)?;
        Ok(Statement { plan, state: Arc::new(state), schema })
    }

    /// Columns and parameter types of a statement, before its parameters have values.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub async fn describe(&self, sql: &str) -> Result<Description, QueryError> {
        let (plan, state) = self.within_timeout(self.unbound(sql, None)).await?;
        let mut known = plan.get_parameter_types()?;
        numbers_of_rows(&plan, &mut known)?;
        let count = statement::parameter_count(&self.parse(sql)?);
        let parameters = (1..=count).map(|number| known.get(&format!("${number}")).cloned().flatten()).collect();
        let gives_rows = !matches!(plan, LogicalPlan::Statement(_));
        // Where the types of parameters are not known yet, those of the answer may not be either.
        let schema = answer_schema(&plan, &state).unwrap_or_else(|_| Arc::clone(plan.schema().inner()));
        Ok(Description { schema, parameters, gives_rows })
    }

    /// Runs a planned statement. The stream ends with an error when the time or the rows allowed are used up.
    ///
    /// # Errors
    /// [`QueryError`] where the statement cannot be run.
    pub async fn execute(&self, statement: Statement) -> Result<SendableRecordBatchStream, QueryError> {
        let deadline = Instant::now() + self.limits.timeout;
        if let LogicalPlan::Statement(inner) = &statement.plan {
            let schema = statement.schema();
            if matches!(inner, PlanStatement::SetVariable(_) | PlanStatement::ResetVariable(_)) {
                self.context.execute_logical_plan(statement.plan).await?;
            }
            return Ok(Box::pin(EmptyRecordBatchStream::new(schema)));
        }
        let Statement { plan, state, .. } = statement;
        let stream = self
            .within_timeout(async {
                let physical = state.create_physical_plan(&plan).await?;
                Ok(execute_stream(physical, state.task_ctx())?)
            })
            .await?;
        Ok(limited(stream, deadline, &self.limits))
    }

    /// Plans and runs a statement, and collects its answer.
    ///
    /// # Errors
    /// As [`Session::plan`] and [`Session::execute`].
    pub async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        let statement = self.plan(sql).await?;
        Ok(self.execute(statement).await?.try_collect::<Vec<_>>().await?)
    }

    fn parse(&self, sql: &str) -> Result<datafusion::sql::parser::Statement, QueryError> {
        if sql.len() > LONGEST_STATEMENT_BYTES {
            let message = format!(
                "the statement is {} bytes long, at most {LONGEST_STATEMENT_BYTES} are taken; split it into several",
                sql.len()
            );
            return Err(QueryError::Statement { message, at: None });
        }
        // Not a copy of it: that takes longer than to parse.
        let state = self.context.state_ref();
        let state = state.read();
        let dialect = state.config_options().sql_parser.dialect;
        state.sql_to_statement(sql, &dialect).map_err(|error| statement::versioned(sql, error.into()))
    }

    /// Plans on a fresh snapshot. Parameters of table functions are bound before planning, because a table function is
    /// planned from its arguments; the others stay in the plan.
    async fn unbound(
        &self,
        sql: &str,
        parameters: Option<&[ScalarValue]>,
    ) -> Result<(LogicalPlan, SessionState), QueryError> {
        let parsed = self.translated(sql, parameters)?;
        let mut taking = self.planning.lock().await;
        if *taking != Taking::Held {
            self.current.replace(self.source.snapshot());
        }
        if *taking == Taking::Once {
            *taking = Taking::Held;
        }
        let mut state = self.context.state();
        state.mark_start_execution();
        // A face may have added functions to the session.
        functions::bound(&mut state, self.limits.function_bytes());
        let plan = match state.statement_to_plan(parsed).await {
            Err(error) if functions::is_named_twice(&error) => {
                let mut named = self.translated(sql, parameters)?;
                statement::name_apart(&mut named);
                // What is wrong then too is told as it was found in what the caller wrote.
                state.statement_to_plan(named).await.map_err(|_| error)?
            }
            planned => planned?,
        };
        statement::check_plan(&plan)?;
        Ok((plan, state))
    }

    /// The statement in the library's words.
    fn translated(
        &self,
        sql: &str,
        parameters: Option<&[ScalarValue]>,
    ) -> Result<datafusion::sql::parser::Statement, QueryError> {
        let mut parsed = self.parse(sql)?;
        statement::check_reads(&parsed)?;
        statement::translate(&mut parsed);
        statement::check_clauses(&parsed)?;
        statement::bind_distinct(&mut parsed);
        statement::call_at_time_zone(&mut parsed);
        statement::spell_arrays(&mut parsed)?;
        statement::plain_functions(&mut parsed);
        if let Some(parameters) = parameters {
            statement::bind_function_arguments(&mut parsed, parameters)?;
        }
        Ok(parsed)
    }

    async fn within_timeout<T>(&self, work: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        let timeout: Duration = self.limits.timeout;
        tokio::time::timeout(timeout, work).await.unwrap_or(Err(QueryError::Timeout(timeout)))
    }
}

/// Adds what the library's planner leaves open: `LIMIT $1` and `OFFSET $2` take whole numbers.
fn numbers_of_rows(plan: &LogicalPlan, known: &mut HashMap<String, Option<DataType>>) -> Result<(), QueryError> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for number in limit.skip.iter().chain(&limit.fetch) {
                if let Expr::Placeholder(placeholder) = number.as_ref() {
                    known.insert(placeholder.id.clone(), Some(DataType::Int64));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Columns as the rows will have them. Branches of unions and of CASE come to their common types only by analysis; all else
/// has them as it is planned, and is not analyzed twice.
fn answer_schema(plan: &LogicalPlan, state: &SessionState) -> Result<SchemaRef, QueryError> {
    let mut has_branches = false;
    plan.apply_with_subqueries(|node| {
        has_branches |= matches!(node, LogicalPlan::Union(_));
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                has_branches |= matches!(expr, Expr::Case(_));
                Ok(if has_branches { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    if !has_branches {
        return Ok(Arc::clone(plan.schema().inner()));
    }
    let analyzed = state.analyzer().execute_and_check(plan.clone(), &state.config_options(), |_, _| {})?;
    Ok(Arc::clone(analyzed.schema().inner()))
}

/// The stream until the deadline and the row limit.
fn limited(stream: SendableRecordBatchStream, deadline: Instant, limits: &Limits) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let (timeout, max_rows) = (limits.timeout, limits.max_rows);
    let next = move |(mut stream, rows): (SendableRecordBatchStream, u64)| async move {
        match tokio::time::timeout_at(deadline, stream.next()).await {
            Err(_) => Err(DataFusionError::from(QueryError::Timeout(timeout))),
            Ok(None) => Ok(None),
            Ok(Some(batch)) => {
                let batch = batch?;
                let rows = rows + u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
                if rows > max_rows {
                    return Err(DataFusionError::from(QueryError::TooManyRows(max_rows)));
                }
                Ok(Some((batch, (stream, rows))))
            }
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::try_unfold((stream, 0), next)))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{Bench, good};

    #[tokio::test]
    async fn a_session_that_holds_its_snapshot_sees_nothing_newer() {
        let bench = Bench::holding(&good("press", "force", &[(1, 1.0)]));
        let session = bench.engine.session("test");
        let count = async || {
            session.query("SELECT value FROM samples").await.unwrap().iter().map(|rows| rows.num_rows()).sum::<usize>()
        };
        session.hold_snapshot().await;
        // It is taken by the first statement, not before.
        bench.put(&good("press", "force", &[(2, 2.0)]));
        assert_eq!(count().await, 2);
        bench.put(&good("press", "force", &[(3, 3.0)]));
        assert_eq!(count().await, 2);
        assert_eq!(bench.ask("SELECT value FROM samples").await.len(), 3);
    }
}
