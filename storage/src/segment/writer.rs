//! Writes a segment, a batch of rows after another.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::{
    KEYED_THROUGH, RECORDED_THROUGH, ROWS_PER_PAGE, RUN_ROWS, SEQUENCE, Segment, Stamp, discard, sync_error,
    sync_folder, write_error,
};
use crate::StoreError;
use crate::spec::TableSpec;

/// Bounds of pages keep this much of a text: the start of a run's name is where it ran.
const BOUND_BYTES: usize = 256;
/// Bytes of a row group at most: it is held in memory until it ends.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Different values that a bloom filter is begun for; with fewer it shrinks when its row group ends.
const BLOOM_VALUES: u64 = 1 << 17;

/// A segment under construction. Its file goes again unless it is finished.
pub(crate) struct SegmentWriter {
    spec: Arc<TableSpec>,
    /// None once it is finished.
    writer: Option<ArrowWriter<File>>,
    path: PathBuf,
}

impl SegmentWriter {
    /// Begins a file for rows like `some`.
    pub(crate) fn create(path: &Path, spec: &TableSpec, some: &RecordBatch) -> Result<Self, StoreError> {
        let spec = Arc::new(spec.clone());
        let file = File::create(path).map_err(|error| StoreError::io(path, error))?;
        let mut segment = Self { spec, writer: None, path: path.to_owned() };
        let options =
            ArrowWriterOptions::new().with_properties(properties(&segment.spec)).with_skip_arrow_metadata(true);
        let layout = project(&segment.spec, &some.slice(0, 0))?.schema();
        let writer = ArrowWriter::try_new_with_options(file, layout, options);
        segment.writer = Some(writer.map_err(|error| write_error(path, error))?);
        Ok(segment)
    }

    /// Appends rows: sorted, behind those before.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError> {
        let rows = project(&self.spec, rows)?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(&rows).map_err(|error| write_error(&self.path, error))
    }

    /// Ends the file, fsyncs it and its folder, and opens it.
    pub(crate) fn finish(mut self, stamp: Stamp) -> Result<Segment, StoreError> {
        let path = self.path.clone();
        let finished = self.end(stamp).and_then(|()| Segment::open(&path));
        if finished.is_ok() {
            self.path = PathBuf::new();
        }
        finished
    }

    fn end(&mut self, stamp: Stamp) -> Result<(), StoreError> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let facts = [
            (SEQUENCE, Some(stamp.sequence.to_string())),
            (KEYED_THROUGH, Some(stamp.keyed_through.to_string())),
            (RECORDED_THROUGH, Some(stamp.recorded_through.to_string())),
            (RUN_ROWS, stamp.run_rows.map(|rows| rows.to_string())),
        ];
        for (name, fact) in facts {
            if let Some(fact) = fact {
                writer.append_key_value_metadata(KeyValue::new(name.to_owned(), fact));
            }
        }
        let file = writer.into_inner().map_err(|error| write_error(&self.path, error))?;
        file.sync_all().map_err(|error| sync_error(&self.path, &error))?;
        sync_folder(&self.path)
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            discard(&self.path);
        }
    }
}

fn project(spec: &TableSpec, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in spec.file_schema().fields() {
        let column = rows
            .column_by_name(field.name())
            .ok_or_else(|| StoreError::Invalid(format!("{}: rows without column {}", spec.name, field.name())))?;
        fields.push(field.as_ref().clone().with_data_type(column.data_type().clone()));
        columns.push(column.clone());
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn properties(spec: &TableSpec) -> WriterProperties {
    let sorting = spec.key.iter().filter_map(|&index| i32::try_from(index).ok());
    let sorting =
        sorting.map(|index| SortingColumn { column_idx: index, descending: false, nulls_first: true }).collect();
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_data_page_row_count_limit(ROWS_PER_PAGE)
        .set_write_batch_size(ROWS_PER_PAGE)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_column_index_truncate_length(Some(BOUND_BYTES))
        // Bounds of whole files tell which of them overlap: cut short, neighbours would seem to.
        .set_statistics_truncate_length(None)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorting))
        .set_created_by(format!("takt {}", env!("CARGO_PKG_VERSION")));
    for (index, field) in spec.schema.fields().iter().enumerate() {
        let path = ColumnPath::new(vec![field.name().clone()]);
        if matches!(field.data_type(), DataType::Timestamp(..)) {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if spec.bloom.contains(&index) {
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_max_ndv(path, BLOOM_VALUES);
        }
    }
    properties.build()
}
