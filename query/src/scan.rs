//! Segments as a DataFusion scan: one file group per segment, sorted by the key, filters pushed into the Parquet reader.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::DataSourceExec;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use storage::{Segment, TableSpec, with_views};

use crate::error::QueryError;

/// With more segments than this, several share a stream, and their common order is not declared.
pub(crate) const MAX_SORTED_STREAMS: usize = 32;

/// How rows are in order where no key is NULL: as `ORDER BY` asks for it, and as segments and the hot buffer are, where NULL
/// comes first.
pub(crate) fn key_ordering() -> SortOptions {
    SortOptions { descending: false, nulls_first: false }
}

/// The order that rows sorted by `key` are in, as far as `schema` has its columns and none of them is NULL.
pub(crate) fn ordering(
    spec: &TableSpec,
    key: &[usize],
    schema: &Schema,
    has_null: impl Fn(&str) -> bool,
) -> Option<LexOrdering> {
    let names = key.iter().map(|&index| spec.schema.field(index).name()).take_while(|name| !has_null(name));
    let columns = names.map_while(|name| col(name, schema).ok());
    LexOrdering::new(columns.map(|column| PhysicalSortExpr::new(column, key_ordering())))
}

/// What is to be read of which segments.
pub(crate) struct Files<'a> {
    /// The layout of the files.
    pub(crate) spec: &'a TableSpec,
    /// Which files.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Columns, in the order of the answer.
    pub(crate) columns: &'a [usize],
    /// A condition on the file's columns.
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
}

/// The scan of some segments of one table.
pub(crate) fn scan_files(state: &dyn Session, files: Files<'_>) -> Result<Arc<dyn ExecutionPlan>> {
    let Files { spec, segments, columns, predicate } = files;
    let schema = with_views(&spec.file_schema());
    let url = ObjectStoreUrl::local_filesystem();
    let runtime = state.runtime_env();
    let readers = CachedParquetFileReaderFactory::new(
        runtime.object_store(&url)?,
        runtime.cache_manager.get_file_metadata_cache(),
    );
    let mut source = ParquetSource::new(Arc::clone(&schema))
        .with_parquet_file_reader_factory(Arc::new(readers))
        .with_pushdown_filters(true)
        .with_reorder_filters(true)
        .with_enable_page_index(true)
        .with_bloom_filter_on_read(true);
    if let Some(predicate) = predicate {
        source = source.with_predicate(predicate);
    }
    let has_null = |name: &str| segments.iter().any(|segment| segment.nulls(name) != Some(0));
    let ordering = ordering(spec, &spec.key, &schema, has_null);
    let sorted = segments.len() <= MAX_SORTED_STREAMS && segments.iter().all(|segment| segment.is_in_order(spec));
    let rows: u64 = segments.iter().map(|segment| segment.rows).sum();
    let mut statistics = Statistics::new_unknown(&schema);
    statistics.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
    let config = FileScanConfigBuilder::new(url, Arc::new(source))
        .with_file_groups(groups(&segments)?)
        .with_statistics(statistics)
        .with_output_ordering(ordering.into_iter().filter(|_| sorted).collect())
        .with_projection_indices(Some(columns.to_vec()))?
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn groups(segments: &[Arc<Segment>]) -> Result<Vec<FileGroup>> {
    let files = segments.iter().map(|segment| file(segment)).collect::<Result<Vec<_>>>()?;
    let per_group = files.len().div_ceil(MAX_SORTED_STREAMS).max(1);
    Ok(files.chunks(per_group).map(|files| FileGroup::new(files.to_vec())).collect())
}

fn file(segment: &Segment) -> Result<PartitionedFile> {
    let unreadable = |message: String| QueryError::Unreadable { path: segment.path.clone(), message };
    let path = std::path::absolute(&segment.path).map_err(|error| unreadable(error.to_string()))?;
    let location = Path::from_absolute_path(path).map_err(|error| unreadable(error.to_string()))?;
    // A segment never changes, so the time of its last change, by which cached footers are told apart, can be any.
    let meta =
        ObjectMeta { location, last_modified: Default::default(), size: segment.bytes, e_tag: None, version: None };
    Ok(PartitionedFile::new_from_meta(meta))
}
