//! One table of one snapshot, as DataFusion reads it: clean segments, segments with superseded rows, and the hot buffer,
//! in one union.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, empty::EmptyExec};
use oee::execution::Affected;
use storage::{KeySet, Segment, Snapshot, StoreError, TableSpec, TableView, Upsert, with_views};

use crate::context::{Context, ContextCache, Located, OPERATIONS};
use crate::current_rows::CurrentRowsExec;
use crate::error::QueryError;
use crate::key_filter::KeyFilter;
use crate::locate::{bounds, within};
use crate::memory_scan::memory_scan;
use crate::reach::{Reach, is_plain};
use crate::rekey::{DERIVED, NEEDED, Rekey, RekeyExec, Scope};
use crate::scan::{Files, scan_files};
use crate::series_cells::{Grouping, KnownCells, known_cells};
use crate::series_courses::{KnownCourses, SeriesKey, known_courses};
use crate::series_rows::{RowsByPath, SeriesRows, Wanted};
use crate::series_scan::SeriesScanExec;
use crate::types::text;

/// The column that hides retracted rows.
pub(crate) const DELETED: &str = "deleted";
/// The table whose keys follow from `operations`.
const SAMPLES: &str = "samples";

/// Which rows of a table view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The newest row of each key.
    Current,
    /// Superseded rows: `<table>_history`.
    History,
}

/// A table of one snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotTable {
    snapshot: Arc<Snapshot>,
    view: Arc<TableView>,
    /// The layout of the rows: the table's own, or that of its history.
    spec: Arc<TableSpec>,
    side: Side,
    /// The columns as SQL shows them.
    schema: SchemaRef,
    contexts: Arc<ContextCache>,
    /// The recorded time that rows are sought for, where it is an earlier one. The table still gives all its rows.
    as_of: Option<i64>,
    /// By path: the only rows of a segment that are wanted, where not all are.
    rows: Option<Arc<RowsByPath>>,
}

/// What one scan asks for.
struct Request<'a> {
    state: &'a dyn Session,
    filters: &'a [Expr],
    reach: Reach,
    /// Columns of the answer, in order, as places in the table's schema.
    columns: Vec<usize>,
    /// Present where derived columns are asked for.
    context: Option<Arc<Context>>,
    /// Where rows with the asked-for keys can lie, where a filter names keys.
    places: Option<Vec<Affected>>,
    /// Whether filters read nothing but what an outline tells of rows: their series, and their time.
    only_series: bool,
    /// Whether filters read columns that follow from the context.
    on_derived: bool,
}

impl SnapshotTable {
    /// The table `name` of a snapshot, or its history.
    pub(crate) fn find(snapshot: &Arc<Snapshot>, name: &str, contexts: &Arc<ContextCache>) -> Option<Self> {
        let (view, side) = match snapshot.table(name) {
            Some(view) => (view, Side::Current),
            None => (snapshot.table(name.strip_suffix("_history")?)?, Side::History),
        };
        let spec = match side {
            Side::Current => Arc::clone(&view.spec),
            Side::History => Arc::new(view.spec.history()),
        };
        Some(Self {
            snapshot: Arc::clone(snapshot),
            view: Arc::clone(view),
            schema: with_views(&spec.schema),
            spec,
            side,
            contexts: Arc::clone(contexts),
            as_of: None,
            rows: None,
        })
    }

    /// The same rows, with what followed from others at `as_of`: the keys of samples, and when hot rows were recorded.
    pub(crate) fn known_at(self, as_of: i64) -> Self {
        Self { as_of: Some(as_of), ..self }
    }

    /// The history of this table, where this is not one itself.
    pub(crate) fn history(&self) -> Option<Self> {
        if self.side == Side::History {
            return None;
        }
        let spec = Arc::new(self.spec.history());
        Some(Self { schema: with_views(&spec.schema), spec, side: Side::History, ..self.clone() })
    }

    /// The keys of these samples, as they follow from executions.
    pub(crate) async fn keyed(&self, rows: RecordBatch) -> Result<RecordBatch> {
        match self.context().await? {
            Some(context) => Ok(Rekey { context, scope: Scope::All }.apply(&rows)?),
            None => Ok(rows),
        }
    }

    /// What keys follow from, where they do.
    async fn context(&self) -> Result<Option<Arc<Context>>> {
        match self.snapshot.table(OPERATIONS) {
            Some(operations) if self.spec.name == SAMPLES => {
                Ok(Some(self.contexts.shared(operations, self.as_of).await?))
            }
            _ => Ok(None),
        }
    }

    /// Names of all tables of a snapshot, histories too.
    pub(crate) fn names(snapshot: &Snapshot) -> Vec<String> {
        snapshot
            .tables
            .iter()
            .flat_map(|view| [view.spec.name.clone(), format!("{}_history", view.spec.name)])
            .collect()
    }

    /// The view, where this is the table of its current rows.
    pub(crate) fn current_view(&self) -> Option<Arc<TableView>> {
        (self.side == Side::Current).then(|| Arc::clone(&self.view))
    }

    /// The layout of the rows.
    pub(crate) fn spec(&self) -> &Arc<TableSpec> {
        &self.spec
    }

    /// The same table, of whose segments only these rows are wanted.
    pub(crate) fn with_rows(self, rows: Arc<RowsByPath>) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// What outlines say of the rows that are wanted, where they say it of most of them.
    pub(crate) fn known_cells(&self, wanted: &Wanted<'_>, grouping: &Grouping) -> Result<Option<KnownCells>> {
        let with_dead = |segment: Arc<Segment>| {
            let dead = self.dead_keys(&segment)?;
            Ok((segment, dead))
        };
        let segments: Result<Vec<_>> = self.segments(wanted.reach).into_iter().map(with_dead).collect();
        known_cells(wanted, grouping, segments?)
    }

    /// How the rows that `filter` leaves go, as outlines say of most of them; `in_bucket` tells of a series whether a first and a
    /// last time lie in one bucket.
    pub(crate) async fn known_courses(
        self,
        filter: &Expr,
        in_bucket: impl FnMut(&SeriesKey, (i64, i64)) -> Result<bool, QueryError> + Send + 'static,
    ) -> Result<Option<KnownCourses>, QueryError> {
        if self.side != Side::Current || !self.spec.has_series() || self.hides_deleted() {
            return Ok(None);
        }
        let filters: Vec<Expr> = split_conjunction(filter).into_iter().cloned().collect();
        let reach = Reach::of(&filters);
        let look = move || {
            let with_dead = |segment: Arc<Segment>| {
                let dead = self.dead_keys(&segment)?;
                Ok::<_, QueryError>((segment, dead))
            };
            let segments: Result<Vec<_>, _> = self.segments(&reach).into_iter().map(with_dead).collect();
            let hot = self.hot_rows(&reach)?;
            let wanted = Wanted { spec: &self.spec, reach: &reach, places: None };
            known_courses(&wanted, in_bucket, &segments?, &hot)
        };
        tokio::task::spawn_blocking(look).await.map_err(|error| QueryError::Execution(error.to_string()))?
    }

    fn name_of(&self, column: usize) -> &str {
        self.spec.schema.field(column).name()
    }

    /// Keys of superseded rows of a segment.
    pub(crate) fn dead_keys(&self, segment: &Segment) -> Result<Option<Arc<KeySet>>> {
        match self.side {
            Side::Current => Ok(self.view.dead_keys(segment).map_err(QueryError::from)?),
            Side::History => Ok(None),
        }
    }

    pub(crate) fn hides_deleted(&self) -> bool {
        self.side == Side::Current && self.spec.upsert == Upsert::Record
    }

    async fn request<'a>(
        &self,
        state: &'a dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &'a [Expr],
    ) -> Result<Request<'a>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.spec.schema.fields().len()).collect());
        let reach = Reach::of(filters);
        let derived = columns.iter().any(|&column| DERIVED.contains(&self.name_of(column)));
        let context = if derived { self.context().await? } else { None };
        let names =
            |column: &str| reach.one_of(column).map(|values| values.iter().map(String::as_str).collect::<Vec<_>>());
        let wanted = Located { units: names("unit"), operations: names("operation"), orders: names("work_order") };
        let places = context.as_ref().and_then(|context| context.located(&wanted));
        let key = self.spec.key_names();
        let read = || filters.iter().flat_map(Expr::column_refs);
        let only_series = read().all(|column| key.contains(&column.name.as_str()));
        let on_derived = read().any(|column| DERIVED.contains(&column.name.as_str()));
        Ok(Request { state, filters, columns, context, places, reach, only_series, on_derived })
    }

    /// Segments that can hold matching rows, by their bounds alone.
    pub(crate) fn segments(&self, reach: &Reach) -> Vec<Arc<Segment>> {
        let segments = if self.side == Side::Current { &self.view.segments } else { &self.view.history };
        let (from, to) = self.span(reach);
        let first_key = self.spec.key.first().map(|&key| self.name_of(key));
        let texts = first_key.and_then(|name| reach.texts(name));
        let can_match = |segment: &&Arc<Segment>| {
            let in_time =
                segment.min_time.is_none_or(|first| first <= to) && segment.max_time.is_none_or(|last| from <= last);
            let in_key = match (texts, &segment.min_key, &segment.max_key) {
                (Some(texts), Some(low), Some(high)) => texts.meets(low, high),
                _ => true,
            };
            in_time && in_key
        };
        let has_wanted = |segment: &&Arc<Segment>| match &self.rows {
            Some(rows) => rows.get(&segment.path).is_some_and(|rows| !rows.is_empty()),
            None => true,
        };
        segments.iter().filter(can_match).filter(has_wanted).cloned().collect()
    }

    /// Whether any row can match, by what is known without a look at it.
    pub(crate) fn can_match(&self, reach: &Reach) -> bool {
        self.view.may_have_hot_rows(self.span(reach)) || !self.segments(reach).is_empty()
    }

    /// First and last microsecond of the rows that can match.
    fn span(&self, reach: &Reach) -> (i64, i64) {
        self.spec.time.map_or((i64::MIN, i64::MAX), |time| reach.times(self.name_of(time)))
    }

    /// One plan for all segments that can be read as they are, one for each of the others.
    fn segment_plans(&self, request: &Request<'_>) -> Result<Vec<Arc<dyn ExecutionPlan>>> {
        let mut plans = Vec::new();
        // Where all keys of a segment are derived, the places of a unit bound equipment and time one by one, which prunes pages.
        let (mut all_derived, mut mixed) = (Vec::new(), Vec::new());
        for segment in self.segments(&request.reach) {
            let dead = self.dead_keys(&segment)?;
            let stretches = self.stretches(request, &segment);
            if dead.is_none() && stretches.is_empty() {
                if request.places.is_some() && only_derived(&segment) {
                    all_derived.push(segment)
                } else {
                    mixed.push(segment)
                }
                continue;
            }
            let mut needed: Vec<&str> = Vec::new();
            if dead.is_some() {
                needed.extend(self.spec.key_names());
            }
            if !stretches.is_empty() {
                needed.extend(NEEDED);
                needed.push("key_source");
            }
            let columns = self.with_columns(&request.columns, &needed);
            let derived = only_derived(&segment);
            let hides = self.hides_deleted() && segment.may_be_true(DELETED);
            let stored = self.stored_predicate(request, &stretches, derived, hides)?;
            let mut plan = self.files(request, vec![segment], &columns, stored, derived)?;
            if let Some(dead) = dead {
                plan = Arc::new(CurrentRowsExec::new(plan, dead));
            }
            if let (Some(context), false) = (&request.context, stretches.is_empty()) {
                let scope = Scope::Stretches(stretches.into());
                plan = Arc::new(RekeyExec::new(plan, Rekey { context: Arc::clone(context), scope })?);
            }
            plans.push(narrowed(plan, request.columns.len())?);
        }
        for (segments, derived) in [(all_derived, true), (mixed, false)] {
            if !segments.is_empty() {
                let hides = self.hides_deleted() && segments.iter().any(|segment| segment.may_be_true(DELETED));
                let predicate = self.stored_predicate(request, &[], derived, hides)?;
                plans.push(self.files(request, segments, &request.columns, predicate, derived)?);
            }
        }
        Ok(plans)
    }

    /// Stretches of a segment whose keys changed since it was written.
    fn stretches(&self, request: &Request<'_>, segment: &Segment) -> Vec<Affected> {
        let Some(context) = &request.context else { return Vec::new() };
        let (from, to) = request.reach.times("time");
        let first = segment.min_time.unwrap_or(i64::MIN).max(from);
        let last = segment.max_time.unwrap_or(i64::MAX).min(to);
        let mut stretches = context.affected(segment.keyed_through, first, last);
        if let (Some(low), Some(high)) = (&segment.min_key, &segment.max_key) {
            // Equipment below `a` lies between `a` and `a0`, because `0` follows `/`.
            stretches.retain(|stretch| {
                stretch.equipment.as_ref() <= high.as_str() && low.as_str() < format!("{}0", stretch.equipment).as_str()
            });
        }
        stretches
    }

    /// The wanted columns, then those of `needed` that are not among them.
    fn with_columns(&self, columns: &[usize], needed: &[&str]) -> Vec<usize> {
        let mut all = columns.to_vec();
        for index in needed.iter().filter_map(|name| self.spec.schema.index_of(name).ok()) {
            if !all.contains(&index) {
                all.push(index);
            }
        }
        all
    }

    /// What can be asked of stored rows beyond the query's own filters, which DataFusion pushes down itself:
    /// filters on derived columns where those may be stale, the places of a unit, and that rows are not retracted.
    fn stored_predicate(
        &self,
        request: &Request<'_>,
        stale: &[Affected],
        only_derived: bool,
        hides_deleted: bool,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let mut all: Vec<Expr> = Vec::new();
        if hides_deleted {
            all.push(datafusion::prelude::col(DELETED).is_not_true());
        }
        if !stale.is_empty() {
            let on_derived = request.filters.iter().flat_map(split_conjunction).filter(|filter| reads_derived(filter));
            if let Some(stored) = conjunction(on_derived.cloned()) {
                all.push(stored.or(within(stale)));
            }
        }
        match (&request.places, only_derived) {
            (Some(places), true) => all.extend(bounds(places)),
            (Some(places), false) => {
                let explicit = datafusion::prelude::col("key_source").eq(text(crate::rekey::EXPLICIT));
                all.push(explicit.or(within(places)));
            }
            (None, _) => {}
        }
        let Some(predicate) = conjunction(all) else { return Ok(None) };
        let schema = DFSchema::try_from(with_views(&self.spec.file_schema()))?;
        Ok(Some(request.state.create_physical_expr(predicate, &schema)?))
    }

    /// The rows of `segments` that can match, and nothing that `predicate` refuses.
    fn files(
        &self,
        request: &Request<'_>,
        segments: Vec<Arc<Segment>>,
        columns: &[usize],
        predicate: Option<Arc<dyn PhysicalExpr>>,
        only_derived: bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(rows) = self.series_rows(request, &segments, columns, only_derived)? {
            let streams = request.state.config().target_partitions();
            return Ok(Arc::new(SeriesScanExec::new(&self.spec, rows, columns, streams)?));
        }
        let files = Files { spec: &self.spec, segments, columns, predicate };
        scan_files(request.state, files)
    }

    /// Has outlines read off the async threads, where nobody has read them yet.
    async fn know_outlines(&self, reach: &Reach) -> Result<()> {
        let unknown: Vec<_> = self.segments(reach).into_iter().filter(|segment| !segment.knows_outline()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let known = tokio::task::spawn_blocking(move || unknown.iter().for_each(|segment| drop(segment.outline())));
        Ok(known.await.map_err(|error| QueryError::Execution(error.to_string()))?)
    }

    /// The rows to be read of `segments`, where outlines tell more of them than the filters do that a Parquet reader
    /// understands: those look into pages for what no outline knows.
    fn series_rows(
        &self,
        request: &Request<'_>,
        segments: &[Arc<Segment>],
        columns: &[usize],
        only_derived: bool,
    ) -> Result<Option<Vec<SeriesRows>>> {
        if self.side != Side::Current || !self.spec.has_series() || self.hides_deleted() {
            return Ok(None);
        }
        if let Some(rows) = &self.rows {
            return Ok(Some(
                segments.iter().filter_map(|segment| rows.get(&segment.path)).flatten().cloned().collect(),
            ));
        }
        let places = request.places.as_deref().filter(|_| only_derived);
        let wanted = Wanted { spec: &self.spec, reach: &request.reach, places };
        let Some(rows) = wanted.rows_of(segments) else { return Ok(None) };
        let chosen: usize = rows.iter().map(SeriesRows::count).sum();
        let all: u64 = segments.iter().map(|segment| segment.rows).sum();
        let few = chosen as u64 <= all / 2;
        let located = places.is_some() || !request.on_derived;
        let keyed = request.columns.iter().any(|&column| DERIVED.contains(&self.name_of(column)));
        let narrow = request.only_series && !keyed && columns.len() <= self.spec.key.len() + 1;
        Ok((few && located || narrow).then_some(rows))
    }

    /// Rows that are in no segment yet.
    async fn memory_plan(&self, request: &Request<'_>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let rows = match self.side {
            Side::Current => self.shown(request, self.hot_rows(&request.reach)?)?,
            Side::History => self.pending_history().await?,
        };
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        Ok(Some(memory_scan(&self.spec, &rows, &request.columns, self.side == Side::Current)?))
    }

    /// Segments are read for it, off the async threads.
    async fn pending_history(&self) -> Result<RecordBatch> {
        let view = Arc::clone(&self.view);
        let found = tokio::task::spawn_blocking(move || view.pending_history()).await;
        Ok(found.map_err(|error| QueryError::Execution(error.to_string()))?.map_err(QueryError::from)?)
    }

    /// Rows of the hot buffer whose keys can match, retracted ones too.
    pub(crate) fn hot_rows(&self, reach: &Reach) -> Result<RecordBatch> {
        let key_filter = KeyFilter::of(&self.spec, reach);
        let keep = |batch: &RecordBatch| key_filter.keep(batch);
        let filter: Option<&dyn Fn(&RecordBatch) -> Result<BooleanArray, StoreError>> =
            if key_filter.is_empty() { None } else { Some(&keep) };
        Ok(self.view.hot_rows(self.span(reach), filter).map_err(QueryError::from)?)
    }

    /// What SQL shows of hot rows.
    fn shown(&self, request: &Request<'_>, mut rows: RecordBatch) -> Result<RecordBatch> {
        if self.hides_deleted()
            && let Some(deleted) = rows.column_by_name(DELETED).and_then(|deleted| deleted.as_boolean_opt())
        {
            // NULL means not deleted.
            let kept: BooleanArray = deleted.iter().map(|deleted| Some(deleted != Some(true))).collect();
            rows = filter_record_batch(&rows, &kept)?;
        }
        match &request.context {
            Some(context) => Ok(Rekey { context: Arc::clone(context), scope: Scope::All }.apply(&rows)?),
            None => Ok(rows),
        }
    }

    fn projected_schema(&self, columns: &[usize]) -> Result<SchemaRef> {
        Ok(Arc::new(self.schema.project(columns)?))
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let request = self.request(state, projection, filters).await?;
        self.know_outlines(&request.reach).await?;
        let mut plans = self.segment_plans(&request)?;
        plans.extend(self.memory_plan(&request).await?);
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(self.projected_schema(&request.columns)?))),
            1 => Ok(plans.swap_remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}

/// Whether a filter reads a derived column, and can be evaluated on stored rows.
fn reads_derived(filter: &Expr) -> bool {
    is_plain(filter) && filter.column_refs().iter().any(|column| DERIVED.contains(&column.name.as_str()))
}

/// Whether no key of a segment was named by a payload, as its statistics say.
fn only_derived(segment: &Segment) -> bool {
    use parquet::file::statistics::Statistics;
    let metadata = segment.metadata().metadata();
    let descriptor = metadata.file_metadata().schema_descr();
    let Some(place) = (0..descriptor.num_columns()).find(|&index| descriptor.column(index).name() == "key_source")
    else {
        return false;
    };
    metadata.row_groups().iter().all(|group| match group.column(place).statistics() {
        Some(Statistics::ByteArray(values)) => {
            let all_null = values.null_count_opt() == u64::try_from(group.num_rows()).ok();
            // `derived` comes before `explicit`, so the largest value tells.
            all_null || values.max_opt().is_some_and(|max| max.data() < crate::rekey::EXPLICIT.as_bytes())
        }
        _ => false,
    })
}

/// The first `count` columns of a plan.
pub(crate) fn narrowed(plan: Arc<dyn ExecutionPlan>, count: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    if schema.fields().len() == count {
        return Ok(plan);
    }
    let kept = schema.fields().iter().take(count).enumerate();
    let kept: Vec<ProjectionExpr> = kept
        .map(|(index, field)| ProjectionExpr::new(Arc::new(Column::new(field.name(), index)), field.name().clone()))
        .collect();
    Ok(Arc::new(ProjectionExec::try_new(kept, plan)?))
}
