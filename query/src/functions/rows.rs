//! Rows of a table, as functions ask for them: without a planner's help, which takes longer than to read a few rows.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{EmptyRecordBatchStream, execute_stream};
use datafusion::physical_planner::DefaultPhysicalPlanner;
use futures::TryStreamExt;

use super::gather::Gather;
use crate::error::QueryError;
use crate::record_rows::{RecordRows, Selection, schema_of};
use crate::scan::key_ordering;
use crate::table::narrowed;

impl Gather {
    /// What `take` makes of the rows of a table that fulfil `filter`: of several parts of them at a time where they are many,
    /// in the order of their times, as far as segments tell. `begin` is told how many rows may have to be held of a part.
    pub(super) async fn each_part<T>(
        &self,
        table: &str,
        filter: Expr,
        columns: &[&str],
        begin: impl Fn(usize) -> T,
        take: impl Fn(&mut T, &RecordBatch) -> Result<(), QueryError> + Clone + Send + 'static,
    ) -> Result<Vec<T>, QueryError>
    where
        T: Send + 'static,
    {
        let Some(records) = self.view.records(table) else {
            let (mut found, mut rows) = (begin(0), self.rows(table, filter, columns, &[]).await?);
            while let Some(batch) = rows.try_next().await? {
                take(&mut found, &batch)?;
            }
            return Ok(vec![found]);
        };
        let Some(selection) = Selection::new(&self.session, &records, filter, columns)?.map(Arc::new) else {
            return Ok(vec![begin(0)]);
        };
        let parts = RecordRows::parts(&records, &selection, self.session.config().target_partitions());
        let all: u64 = parts.iter().map(RecordRows::stored).sum();
        let tasks = parts.into_iter().enumerate().map(|(place, mut rows)| {
            // What the others find is put behind what the first one does.
            let likely = if place == 0 { all } else { rows.stored() };
            let (take, mut found) = (take.clone(), begin(usize::try_from(likely).unwrap_or(usize::MAX)));
            SpawnedTask::spawn(async move {
                loop {
                    let take = take.clone();
                    let turn = off_the_async_threads(move || {
                        let ended = rows.turn(|batch| take(&mut found, &batch))?;
                        Ok::<_, QueryError>((rows, found, ended))
                    });
                    let ended;
                    (rows, found, ended) = turn.await??;
                    if ended {
                        return Ok::<T, QueryError>(found);
                    }
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut found = Vec::with_capacity(tasks.len());
        for task in tasks {
            found.push(task.await.map_err(|error| QueryError::Execution(error.to_string()))??);
        }
        Ok(found)
    }

    /// The columns of the rows of a table that fulfil `filter`, in order of some of them, NULL last. There is nothing to
    /// think over about such a plan, so it is made as it runs: a function asks many times.
    pub(super) async fn rows(
        &self,
        table: &str,
        filter: Expr,
        columns: &[&str],
        order: &[&str],
    ) -> Result<SendableRecordBatchStream, QueryError> {
        if let Some(table) = self.view.records(table).filter(|_| order.is_empty()) {
            let Some(selection) = Selection::new(&self.session, &table, filter, columns)?.map(Arc::new) else {
                return Ok(Box::pin(EmptyRecordBatchStream::new(schema_of(&table, columns)?)));
            };
            let parts = RecordRows::parts(&table, &selection, self.session.config().target_partitions());
            let mut stream = RecordBatchReceiverStreamBuilder::new(selection.schema()?, parts.len());
            for mut rows in parts {
                let batches = stream.tx();
                stream.spawn(async move {
                    loop {
                        let turn = off_the_async_threads(move || {
                            let mut found = Vec::new();
                            let ended = rows.turn(|batch| {
                                found.push(batch);
                                Ok::<_, DataFusionError>(())
                            })?;
                            Ok::<_, DataFusionError>((rows, found, ended))
                        });
                        let (found, ended);
                        (rows, found, ended) = turn.await??;
                        for batch in found {
                            // Whoever took the batches has had enough.
                            if batches.send(Ok(batch)).await.is_err() {
                                return Ok(());
                            }
                        }
                        if ended {
                            return Ok(());
                        }
                    }
                });
            }
            return Ok(stream.build());
        }
        let provider =
            self.view.table(table).ok_or_else(|| QueryError::Layout(format!("there is no table {table}")))?;
        self.rows_of(provider.as_ref(), filter, columns, order).await
    }

    /// The same of any table.
    pub(super) async fn rows_of(
        &self,
        table: &dyn TableProvider,
        filter: Expr,
        columns: &[&str],
        order: &[&str],
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let schema = table.schema();
        let mut places: Vec<usize> = columns.iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
        for column in filter.column_refs() {
            let place = schema.index_of(&column.name)?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let filters: Vec<Expr> = split_conjunction(&filter).into_iter().cloned().collect();
        let plan = table.scan(&self.session, Some(&places), &filters, None).await?;
        let predicate = self.session.create_physical_expr(filter, &DFSchema::try_from(plan.schema())?)?;
        let mut plan = narrowed(Arc::new(FilterExec::try_new(predicate, plan)?), columns.len())?;
        let schema = plan.schema();
        let order = order.iter().map(|name| Ok(PhysicalSortExpr::new(col(name, &schema)?, key_ordering())));
        if let Some(order) = LexOrdering::new(order.collect::<Result<Vec<_>, DataFusionError>>()?) {
            plan = Arc::new(SortExec::new(order, plan));
        }
        let plan = DefaultPhysicalPlanner::default().optimize_physical_plan(plan, &self.session, |_, _| {})?;
        Ok(execute_stream(plan, self.session.task_ctx())?)
    }
}

/// Reads files, and is short, so that no async thread waits for it, nor long whoever gives up.
pub(super) async fn off_the_async_threads<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, QueryError> {
    tokio::task::spawn_blocking(read).await.map_err(|error| QueryError::Execution(error.to_string()))
}
