//! A table as it was known at an earlier recorded time.
//!
//! Of a record, the version in force is the last one recorded by then: it stands in the table itself or, where it was superseded
//! since, in its history. Rows of `samples` and `quarantine` carry no recorded time: those whose own time is not later
//! count as known, and of a corrected one the version that was superseded first since then.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::{SessionContext, ident};
use futures::TryStreamExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use storage::{KeySet, TableSpec, Upsert};

use crate::current_rows::CurrentRowsExec;
use crate::error::QueryError;
use crate::instant::instant;
use crate::memory_scan::memory_scan;
use crate::reach::is_plain;
use crate::table::{SnapshotTable, narrowed};

const RECORDED: &str = "recorded";
const SUPERSEDED: &str = "superseded";
const DELETED: &str = "deleted";

/// The recorded time that a person asks for; without an offset it is wall time in `zone`.
///
/// # Errors
/// [`QueryError::Statement`] where the text is no time.
pub fn parse_as_of(text: &str, zone: &TimeZone) -> Result<Timestamp, QueryError> {
    instant(text, zone).ok_or_else(|| QueryError::Statement {
        message: format!("as_of takes a time, such as '2026-11-26 10:00:00+01', and not '{text}'"),
        at: None,
    })
}

/// What a key takes in memory, roughly.
const KEY_BYTES: usize = 128;

/// Keys of rows that stand elsewhere in the plan as they were, and what counts the memory of both.
struct Hidden {
    keys: Arc<KeySet>,
    held: Arc<MemoryReservation>,
}

/// A table, or a history, as it was known at an earlier time.
#[derive(Debug)]
pub(crate) struct AsOfTable {
    table: SnapshotTable,
    /// What the table's versions are looked for in; a history has none of its own.
    history: Option<SnapshotTable>,
    /// Microseconds UTC.
    as_of: i64,
}

impl AsOfTable {
    pub(crate) fn new(table: SnapshotTable, as_of: i64) -> Self {
        let table = table.known_at(as_of);
        Self { history: table.history(), table, as_of }
    }

    fn spec(&self) -> &TableSpec {
        self.table.spec()
    }

    fn as_of_literal(&self) -> Expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(self.as_of), Some("UTC".into())), None)
    }

    fn superseded_since(&self) -> Expr {
        ident(SUPERSEDED).gt(self.as_of_literal())
    }

    /// The columns at `columns` of the rows of `table` that match `filters`, and of these only the `known` ones.
    async fn part(
        &self,
        state: &dyn Session,
        table: &SnapshotTable,
        columns: &[usize],
        filters: &[Expr],
        known: Expr,
        hidden: Option<Hidden>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = table.schema();
        let mut needed = columns.to_vec();
        let mut need = |name: &str| -> Result<()> {
            let place = schema.index_of(name)?;
            if !needed.contains(&place) {
                needed.push(place);
            }
            Ok(())
        };
        for column in known.column_refs() {
            need(&column.name)?;
        }
        if hidden.is_some() {
            for name in table.spec().key_names() {
                need(name)?;
            }
        }
        let filters: Vec<Expr> = filters.iter().chain(split_conjunction(&known)).cloned().collect();
        let mut plan = table.scan(state, Some(&needed), &filters, None).await?;
        if let Some(hidden) = hidden {
            plan = Arc::new(CurrentRowsExec::new(plan, hidden.keys).holding(hidden.held));
        }
        let predicate = state.create_physical_expr(known, &DFSchema::try_from(plan.schema())?)?;
        narrowed(Arc::new(FilterExec::try_new(predicate, plan)?), columns.len())
    }

    /// Records that were current, and those that became history since.
    async fn records(
        &self,
        state: &dyn Session,
        history: &SnapshotTable,
        columns: &[usize],
        filters: &[Expr],
    ) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
        let recorded = ident(RECORDED).lt_eq(self.as_of_literal());
        let replaced = recorded.clone().and(self.superseded_since()).and(ident(DELETED).is_not_true());
        Ok(vec![
            self.part(state, &self.table, columns, filters, recorded, None).await?,
            self.part(state, history, columns, filters, replaced, None).await?,
        ])
    }

    /// Whole rows: those that were not corrected since, and the first versions of the others.
    async fn whole_rows(
        &self,
        state: &dyn Session,
        history: &SnapshotTable,
        columns: &[usize],
        filters: &[Expr],
    ) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
        let Some(time) = self.spec().age.map(|column| self.spec().schema.field(column).name()) else {
            return plan_err!("{} has no time to tell what was known of it", self.spec().name);
        };
        let known = ident(time).lt_eq(self.as_of_literal());
        let (corrected, held) = self.corrected(state, history, filters).await?;
        if corrected.num_rows() == 0 {
            return Ok(vec![self.part(state, &self.table, columns, filters, known, None).await?]);
        }
        let mut hidden = KeySet::new(self.spec());
        hidden.extend(&corrected).map_err(QueryError::from)?;
        held.try_grow(hidden.len() * KEY_BYTES)?;
        let hidden = Hidden { keys: Arc::new(hidden), held: Arc::new(held) };
        let corrected = self.table.keyed(corrected).await?;
        Ok(vec![
            self.part(state, &self.table, columns, filters, known, Some(hidden)).await?,
            memory_scan(self.spec(), &corrected, columns, false)?,
        ])
    }

    /// The version in force of each row that was corrected since, as far as `filters` on keys leave it. What they say of
    /// other columns, another version of the row may match.
    async fn corrected(
        &self,
        state: &dyn Session,
        history: &SnapshotTable,
        filters: &[Expr],
    ) -> Result<(RecordBatch, MemoryReservation)> {
        let Some(session) = state.as_any().downcast_ref::<SessionState>() else {
            return plan_err!("tables of an earlier time are read in takt's own sessions only");
        };
        let spec = self.spec();
        let keys = spec.key_names();
        let on_keys = |filter: &&Expr| {
            is_plain(filter) && filter.column_refs().iter().all(|column| keys.contains(&column.name.as_str()))
        };
        let mut wanted = self.superseded_since();
        if let Some(age) = spec.age {
            wanted = wanted.and(ident(spec.schema.field(age).name()).lt_eq(self.as_of_literal()));
        }
        for filter in filters.iter().flat_map(split_conjunction).filter(on_keys) {
            wanted = wanted.and(filter.clone());
        }
        let key: Vec<Expr> = keys.iter().copied().map(ident).collect();
        // Versions of one write were superseded at once; the one from before it was not recorded by it.
        let order = key.iter().cloned().chain([ident(SUPERSEDED), ident(RECORDED)]);
        let order = order.map(|column| column.sort(true, true)).collect();
        let columns = spec.schema.fields().iter().map(|field| ident(field.name())).collect();
        let context = SessionContext::new_with_state(session.clone());
        let frame = context.read_table(Arc::new(history.clone()))?.filter(wanted)?;
        let mut rows = frame.distinct_on(key, columns, Some(order))?.execute_stream().await?;
        let held = MemoryConsumer::new("rows as of an earlier time").register(&session.runtime_env().memory_pool);
        let mut batches = Vec::new();
        while let Some(batch) = rows.try_next().await? {
            held.try_grow(batch.get_array_memory_size())?;
            batches.push(batch);
        }
        Ok((concat_batches(&rows.schema(), &batches)?, held))
    }
}

#[async_trait]
impl TableProvider for AsOfTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.schema().fields().len()).collect();
        let columns = projection.cloned().unwrap_or_else(all);
        let plans = match (&self.history, self.spec().upsert) {
            (None, _) => {
                let superseded = ident(SUPERSEDED).lt_eq(self.as_of_literal());
                return self.part(state, &self.table, &columns, filters, superseded, None).await;
            }
            (Some(history), Upsert::Record) => self.records(state, history, &columns, filters).await?,
            (Some(history), Upsert::Whole) => self.whole_rows(state, history, &columns, filters).await?,
        };
        UnionExec::try_new(plans)
    }
}

#[cfg(test)]
mod tests;
