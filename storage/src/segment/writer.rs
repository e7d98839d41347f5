//! Writes a segment, a batch of rows after another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;

use super::chunk::{Chunk, Effort, Press};
use super::sum::Summed;
use super::{
    Draft, END, END_SUM, KEYED_THROUGH, OUTLINE, Outline, RECORDED_THROUGH, ROWS_PER_PAGE, RUN_ROWS, SEQUENCE, SUM,
    Segment, Stamp, outline, write_error,
};
use crate::StoreError;
use crate::disk::{Disk, discard, sync_error, sync_name};
use crate::spec::TableSpec;

/// Bytes of a row group at most: it is held in memory until it ends.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Rows of a row group at most: what a reader plans by.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// A segment under construction. Its file goes again unless it is finished.
pub(crate) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    spec: Arc<TableSpec>,
    /// As rows come: the columns of the file.
    layout: SchemaRef,
    /// None once it is finished.
    writer: Option<SerializedFileWriter<Summed>>,
    effort: Effort,
    press: Press,
    /// The row group that is not full yet.
    group: Vec<Chunk>,
    group_rows: usize,
    /// `None` where the segment is to have no outline.
    outline: Option<Draft>,
    path: PathBuf,
}

impl SegmentWriter {
    /// Begins a file for rows like `some`.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        path: &Path,
        spec: &TableSpec,
        some: &RecordBatch,
        effort: Effort,
    ) -> Result<Self, StoreError> {
        let failed = |error| write_error(path, error);
        let layout = project(spec, &some.slice(0, 0))?.schema();
        let schema = ArrowSchemaConverter::new().convert(&layout).map_err(failed)?;
        let file = disk.create(path).map_err(|error| StoreError::io(path, error))?;
        let spec = Arc::new(spec.clone());
        let mut segment = Self {
            disk: disk.clone(),
            outline: Draft::new(&spec),
            spec: spec.clone(),
            layout,
            writer: None,
            effort,
            press: Press::new(effort).map_err(failed)?,
            group: Vec::new(),
            group_rows: 0,
            path: path.to_owned(),
        };
        let file = Summed::new(disk.clone(), file);
        let writer = SerializedFileWriter::new(file, schema.root_schema_ptr(), Arc::new(properties(&spec)));
        segment.writer = Some(writer.map_err(failed)?);
        Ok(segment)
    }

    /// Appends rows: sorted, behind those before.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError> {
        let rows = project(&self.spec, rows)?;
        for start in (0..rows.num_rows()).step_by(ROWS_PER_PAGE) {
            let rows = rows.slice(start, ROWS_PER_PAGE.min(rows.num_rows() - start));
            self.append(&rows).map_err(|error| write_error(&self.path, error))?;
        }
        if let Some(mut outline) = self.outline.take()
            && outline.add(&rows)?
        {
            self.outline = Some(outline);
        }
        Ok(())
    }

    fn append(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        if self.group.is_empty() {
            let columns = writer.schema_descr().columns().iter().zip(self.layout.fields());
            let chunks = columns.enumerate().map(|(index, (column, field))| {
                Chunk::new(column.clone(), field.data_type(), self.spec.bloom.contains(&index), self.effort)
            });
            self.group = chunks.collect::<Result<_, _>>()?;
        }
        for (chunk, column) in self.group.iter_mut().zip(rows.columns()) {
            chunk.append(column, &mut self.press)?;
        }
        self.group_rows += rows.num_rows();
        let bytes: usize = self.group.iter().map(Chunk::bytes).sum();
        if self.group_rows >= ROW_GROUP_ROWS || bytes >= ROW_GROUP_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.group.is_empty()) else { return Ok(()) };
        let mut group = writer.next_row_group()?;
        for chunk in self.group.drain(..) {
            let (bytes, closed) = chunk.finish(&mut self.press)?;
            group.append_column(&bytes, closed)?;
        }
        group.close()?;
        self.group_rows = 0;
        Ok(())
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
        self.end_group().map_err(|error| write_error(&self.path, error))?;
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let outline = self.outline.take().filter(|outline| !outline.is_empty());
        let outline = outline.map(|outline| append_outline(&mut writer, outline.finish(), &mut self.press)).transpose();
        let outline = outline.map_err(|error| write_error(&self.path, error))?;
        let end = writer.bytes_written() as u64;
        writer.inner_mut().end_at(end);
        let facts = [
            (SEQUENCE, Some(stamp.sequence.to_string())),
            (KEYED_THROUGH, Some(stamp.keyed_through.to_string())),
            (RECORDED_THROUGH, Some(stamp.recorded_through.to_string())),
            (RUN_ROWS, stamp.run_rows.map(|rows| rows.to_string())),
            (OUTLINE, outline),
            (END, Some(end.to_string())),
            (END_SUM, Some(Summed::placeholder())),
            (SUM, Some(Summed::placeholder())),
        ];
        for (name, fact) in facts {
            if let Some(fact) = fact {
                writer.append_key_value_metadata(KeyValue::new(name.to_owned(), fact));
            }
        }
        let file = writer.into_inner().map_err(|error| write_error(&self.path, error))?;
        let file = file.seal().map_err(|error| StoreError::io(&self.path, error))?;
        self.disk.sync(&file).map_err(|error| sync_error(&self.path, &error))?;
        sync_name(self.disk.as_ref(), &self.path)
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            discard(self.disk.as_ref(), &self.path);
        }
    }
}

/// Puts an outline behind the row groups; gives what the footer says of its place.
fn append_outline(
    writer: &mut SerializedFileWriter<Summed>,
    outline: Outline,
    press: &mut Press,
) -> Result<String, ParquetError> {
    let bytes = outline.encode();
    let pressed = press.compress(&bytes)?;
    let start = writer.bytes_written() as u64;
    writer.write_all(&pressed)?;
    Ok(outline::named(start..start + pressed.len() as u64, bytes.len()))
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

/// What the file says of itself; how columns are written is theirs.
fn properties(spec: &TableSpec) -> WriterProperties {
    let sorting = spec.key.iter().filter_map(|&index| i32::try_from(index).ok());
    let sorting =
        sorting.map(|index| SortingColumn { column_idx: index, descending: false, nulls_first: true }).collect();
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_sorting_columns(Some(sorting))
        .set_created_by(format!("takt {}", env!("CARGO_PKG_VERSION")))
        .build()
}
