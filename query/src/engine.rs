//! The query engine: what all sessions share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList};
use datafusion::config::Dialect;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use oee::plant::Plant;

use crate::barrier::Barriers;
use crate::catalog::{Current, PublicSchema, SnapshotSource};
use crate::comparisons::Comparisons;
use crate::context::ContextCache;
use crate::error::QueryError;
use crate::functions::{
    self, CurveWatch, Differences, EdgeCache, GapFilling, LengthsOfIntervals, Planner, Present, SpcWatch,
};
use crate::instant::TimeConstants;
use crate::interval_join::IntervalJoins;
use crate::live::LiveOee;
use crate::membership::Membership;
use crate::newest::NewestRows;
use crate::session::Session;
use crate::sort_keys::SortKeys;
use crate::sums::SumsOfRows;
use crate::sums_of_none::{AGGREGATE_STATISTICS, SumsOfNone};
use crate::wall_time::WallTimes;
use crate::yielding::YieldingJoins;

/// Name of the catalog, and of the database that PostgreSQL clients connect to.
pub const CATALOG: &str = "takt";
/// Name of the schema that holds all tables.
pub const SCHEMA: &str = "public";

/// Edges of `materials` may be kept in this part of the memory of queries.
const EDGES_PART: usize = 2;

/// What a query may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all queries together, bytes.
    pub memory_bytes: usize,
    /// Longest run of a query.
    pub timeout: Duration,
    /// Most rows of an answer.
    pub max_rows: u64,
    /// Folder for what does not fit into memory; without one a query that needs more memory fails.
    pub spill: Option<PathBuf>,
    /// Streams that work on one query at the same time.
    pub parallelism: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            timeout: Duration::from_secs(60),
            max_rows: 10_000_000,
            spill: None,
            parallelism: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

impl Limits {
    /// What one function may make of the rows of a batch, bytes.
    pub(crate) fn function_bytes(&self) -> u64 {
        self.memory_bytes as u64 / 4
    }
}

/// Answers SQL over the snapshots of one source.
pub struct Engine {
    source: Arc<dyn SnapshotSource>,
    plant: Arc<Plant>,
    limits: Limits,
    contexts: Arc<ContextCache>,
    template: SessionState,
    live: Arc<LiveOee>,
    spc: Arc<SpcWatch>,
    curves: Arc<CurveWatch>,
    edges: Arc<EdgeCache>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over `source`, with the plant's equipment, calendars and signals.
    ///
    /// # Errors
    /// [`QueryError`] where the spill folder cannot be used.
    pub fn new(source: Arc<dyn SnapshotSource>, plant: Arc<Plant>, limits: Limits) -> Result<Self, QueryError> {
        let template = SessionStateBuilder::new()
            .with_config(config(&limits))
            .with_runtime_env(runtime(&limits)?)
            .with_default_features()
            .with_query_planner(Arc::new(Planner))
            .with_analyzer_rules(analyzer_rules())
            .with_optimizer_rule(Arc::new(NewestRows))
            .with_optimizer_rule(Arc::new(SumsOfRows))
            .with_physical_optimizer_rules(physical_rules())
            .with_physical_optimizer_rule(Arc::new(IntervalJoins))
            .with_physical_optimizer_rule(Arc::new(YieldingJoins));
        let template = functions::build(template, limits.function_bytes());
        let contexts = Arc::new(ContextCache::default());
        let present = || Present {
            source: Arc::clone(&source),
            contexts: Arc::clone(&contexts),
            plant: Arc::clone(&plant),
            session: template.clone(),
        };
        let (live, spc) = (LiveOee::new(present()), SpcWatch::new(present()));
        let curves = Arc::new(CurveWatch::new(present()));
        let pool = &template.runtime_env().memory_pool;
        let edges = EdgeCache::new(pool, limits.memory_bytes / EDGES_PART);
        let (live, spc, edges) = (Arc::new(live), Arc::new(spc), Arc::new(edges));
        Ok(Self { source, plant, limits, contexts, template, live, spc, curves, edges })
    }

    /// A session of its own: settings of one do not reach another.
    pub fn session(&self, user: &str) -> Session {
        let current = Arc::new(Current::new(self.source.snapshot(), Arc::clone(&self.contexts)));
        let catalog = MemoryCatalogProvider::new();
        // A new catalog takes any schema.
        if let Err(error) = catalog.register_schema(SCHEMA, Arc::new(PublicSchema::new(Arc::clone(&current)))) {
            tracing::error!(%error, "the schema {SCHEMA} could not be set up");
        }
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let mut state = SessionStateBuilder::new_from_existing(self.template.clone())
            .with_catalog_list(Arc::new(catalogs))
            .with_analyzer_rule(Arc::new(TimeConstants::new(Arc::clone(&current))))
            .with_analyzer_rule(Arc::new(WallTimes::new(Arc::clone(&current))))
            // After the rules on times: it takes out what they have made of the window.
            .with_analyzer_rule(Arc::new(GapFilling::new()))
            .with_analyzer_rule(Arc::new(Differences::new()))
            .with_analyzer_rule(Arc::new(Membership))
            .with_analyzer_rule(Arc::new(Comparisons::new()))
            .with_analyzer_rule(Arc::new(SortKeys))
            .build();
        functions::register(&mut state, &current, &self.plant, &self.live, &self.edges, user);
        let context = SessionContext::new_with_state(state);
        Session::new(context, current, Arc::clone(&self.source), self.limits.clone(), user)
    }

    /// What a query may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// OEE as it happens.
    pub fn live(&self) -> &Arc<LiveOee> {
        &self.live
    }

    /// Measurements judged as they come.
    pub fn spc(&self) -> &Arc<SpcWatch> {
        &self.spc
    }

    /// Characteristics measured of signals as operations end.
    pub fn curves(&self) -> &Arc<CurveWatch> {
        &self.curves
    }

    /// The plant that answers are computed with.
    pub fn plant(&self) -> &Arc<Plant> {
        &self.plant
    }

    /// Bytes of memory that running queries hold.
    pub fn memory_used(&self) -> usize {
        self.template.runtime_env().memory_pool.reserved()
    }
}

/// The library's, and before them what they would refuse.
fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(LengthsOfIntervals::new()));
    rules
}

/// The library's, with barriers before the first that pushes filters down, and sums not from statistics.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    if let Some(statistics) = rules.iter_mut().find(|rule| rule.name() == AGGREGATE_STATISTICS) {
        *statistics = Arc::new(SumsOfNone::new(Arc::clone(statistics)));
    }
    let place = rules.iter().position(|rule| rule.name() == "FilterPushdown").unwrap_or_default();
    rules.insert(place, Arc::new(Barriers));
    rules
}

fn config(limits: &Limits) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(limits.parallelism.max(1));
    let options = config.options_mut();
    // Times in SQL are UTC unless they say otherwise.
    options.execution.time_zone = Some("UTC".to_owned());
    // Segments are in the order of their keys: merging them is cheaper than sorting, and takes no memory.
    options.optimizer.prefer_existing_sort = true;
    // Each sort of each thread sets this aside for the merging of what it has on disk: of little memory, it must not be all.
    let execution = &mut options.execution;
    execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(limits.memory_bytes / 16);
    // What is together by some columns is so by more: with few cores a second exchange costs more than it spreads.
    options.optimizer.subset_repartition_threshold = 1;
    // Whether a value may be NULL, the planner and the analyzer do not always see alike: no reason to refuse a statement.
    options.execution.skip_physical_aggregate_schema_check = true;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}

fn runtime(limits: &Limits) -> Result<Arc<RuntimeEnv>, QueryError> {
    let mode = match &limits.spill {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::Disabled,
    };
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode))
        .build_arc()?;
    Ok(runtime)
}
