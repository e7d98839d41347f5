//! Looks every file of a data folder through: checksums, counts, bounds and order. Changes nothing; a server may run.

use std::collections::BTreeSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema, TimestampMicrosecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use crate::StoreError;
use crate::backup::children;
use crate::keys::KeyEncoder;
use crate::log::{Named, TableLog};
use crate::segment::{BOUND_BYTES, Draft, Segment};
use crate::spec::{TableSpec, with_views};

/// How often files are looked for again that a server merged meanwhile.
const LOOKS: usize = 5;
/// Rows that are outlined together.
const OUTLINED_ROWS: usize = 1 << 16;

/// What a look through a folder found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Parquet files looked through.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// Files without a checksum of their own, as versions before it wrote them; their rows were looked through all the same.
    pub without_checksum: u64,
    /// Writes in the log that can be read back.
    pub writes: u64,
    /// Parquet files that no table names, in the data folder and in the cold one: nobody reads them. Merges and removals
    /// leave them for ten minutes, a crash until the next start.
    pub unnamed: Vec<PathBuf>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Something wrong with a file.
#[derive(Debug)]
pub struct Fault {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

impl Verified {
    fn counts(&self) -> [u64; 4] {
        [self.files, self.rows, self.bytes, self.without_checksum]
    }

    fn take_back(&mut self, counts: [u64; 4]) {
        [self.files, self.rows, self.bytes, self.without_checksum] = counts;
    }

    fn fault(&mut self, path: &Path, message: impl std::fmt::Display) {
        self.faults.push(Fault { path: path.to_owned(), message: message.to_string() });
    }
}

/// Verifies the tables `specs` in `folder`. `progress` is told how many bytes of how many are done.
///
/// # Errors
/// [`StoreError::Invalid`] where the folder is no data folder. What is wrong with files is in the answer.
pub fn verify(
    folder: &Path,
    specs: &[TableSpec],
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Verified, StoreError> {
    if !folder.join("tables").is_dir() {
        return Err(StoreError::Invalid(format!(
            "{} is no takt data folder: it has no folder `tables`",
            folder.display()
        )));
    }
    let mut verified = Verified::default();
    let runtime = crate::log::runtime()?;
    let all: Vec<(TableSpec, bool)> =
        specs.iter().flat_map(|spec| [(spec.clone(), true), (spec.history(), false)]).collect();
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    // Listed before the logs are read: what is written meanwhile is named by then.
    let listed = listed(folder);
    let mut named_once: BTreeSet<PathBuf> = BTreeSet::new();
    let mut covered = 0;
    for look in 1..=LOOKS {
        let (mut files, mut again): (Vec<(&(TableSpec, bool), Named)>, bool) = (Vec::new(), false);
        for table in &all {
            let place = folder.join("tables").join(&table.0.name);
            let known = |log: TableLog| Ok((log.named()?, log.covered()?));
            match TableLog::read(&runtime, &place).and_then(|log| log.map(known).transpose()) {
                Ok(None) if look < LOOKS => again = true,
                // The first start makes all of them.
                Ok(None) => verified.fault(&place, "the table is not there"),
                Ok(Some((named, position))) => {
                    covered = covered.max(position);
                    named_once.extend(named.iter().map(|named| named.path.clone()));
                    files.extend(named.into_iter().map(|named| (table, named)));
                }
                // A running server may just have cut its log.
                Err(_) if look < LOOKS => again = true,
                Err(error) => verified.fault(&place, error),
            }
        }
        files.retain(|(_, named)| !seen.contains(&named.path));
        let total: u64 = files.iter().map(|(_, named)| named.bytes).sum();
        let (mut done, mut gone) = (0, Vec::new());
        for ((spec, unique), named) in files {
            let before = (verified.counts(), verified.faults.len());
            if named.path.exists() {
                verify_file(&mut verified, spec, *unique, &named);
            }
            if named.path.exists() {
                seen.insert(named.path.clone());
            } else {
                // A running server may have merged it meanwhile: then another file has its rows.
                verified.faults.truncate(before.1);
                verified.take_back(before.0);
                gone.push(named.path.clone());
            }
            done += named.bytes;
            progress(done, total);
        }
        if gone.is_empty() && !again || look == LOOKS {
            gone.iter().for_each(|path| verified.fault(path, missing(path)));
            break;
        }
    }
    // After the tables: a server that runs only goes on in it.
    let wal = folder.join("wal");
    match crate::store::read_log(&wal) {
        Ok((writes, next)) => {
            verified.writes = writes;
            if let Some(message) = next.and_then(|next| crate::wal::behind(next, covered)) {
                verified.fault(&wal, message);
            }
        }
        Err(error) => verified.fault(&wal, error),
    }
    match listed {
        Ok(listed) => {
            verified.unnamed.extend(listed.into_iter().filter(|path| !named_once.contains(path) && is_there(path)))
        }
        Err(error) => verified.fault(&folder.join("tables"), error),
    }
    Ok(verified)
}

/// All Parquet files of tables, and those of the cold folder that no link points to.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = crate::cold::unlinked(folder)?;
    for table in children(&folder.join("tables"))?.iter().filter(|path| path.is_dir()) {
        let is_parquet = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
        files.extend(children(table)?.into_iter().filter(is_parquet));
    }
    Ok(files)
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn missing(path: &Path) -> &'static str {
    match crate::cold::is_cold(path) {
        true => "the table names it, and what it points to in the cold folder is not there",
        false => "the table names it, and it is not there",
    }
}

fn verify_file(verified: &mut Verified, spec: &TableSpec, unique: bool, named: &Named) {
    let path = &named.path;
    let mut has_none = false;
    match File::open(path).and_then(|file| crate::segment::holds(&file)) {
        Ok(Some(true)) => {}
        // Nothing else that it says is to be believed.
        Ok(Some(false)) => return verified.fault(path, "its bytes are not those that were written"),
        Ok(None) => has_none = true,
        Err(error) => return verified.fault(path, error),
    }
    let faults = verified.faults.len();
    // Without a checksum, anything may be in the file, and its reader is not made for that.
    let looked = catch_unwind(AssertUnwindSafe(|| look_through(verified, spec, unique, named)));
    match looked {
        Ok(Ok(())) => {}
        // The file is named beside it.
        Ok(Err(StoreError::Damaged { message, .. } | StoreError::Io { message, .. })) => verified.fault(path, message),
        Ok(Err(error)) => verified.fault(path, error),
        Err(_) => verified.fault(path, "it cannot be decoded"),
    }
    if has_none && verified.faults.len() == faults {
        verified.without_checksum += 1;
    }
}

fn look_through(verified: &mut Verified, spec: &TableSpec, unique: bool, named: &Named) -> Result<(), StoreError> {
    let segment = Segment::open(&named.path)?;
    verified.files += 1;
    verified.rows += segment.rows;
    verified.bytes += segment.bytes;
    if segment.bytes != named.bytes {
        verified.fault(&named.path, format!("{} bytes, of which the table says {}", segment.bytes, named.bytes));
    }
    if let Some(rows) = named.rows.filter(|rows| *rows != segment.rows) {
        verified.fault(&named.path, format!("{} rows, of which the table says {rows}", segment.rows));
    }
    let columns_of = |schema: &Schema| -> Vec<(String, DataType)> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    let (stored, wanted) = (columns_of(segment.metadata().schema()), columns_of(&spec.file_schema()));
    // A file may be older than the newest columns of its table, but not than its key.
    let keyed = spec.key_names().iter().all(|key| stored.iter().any(|(name, _)| name == key));
    if !keyed || stored.iter().any(|column| !wanted.contains(column)) {
        verified.fault(&named.path, "its columns are not those of the table");
        return Ok(());
    }
    for fault in columns(&segment)?.into_iter().chain(order(&segment, spec, unique)?).chain(outline(&segment, spec)?) {
        verified.fault(&named.path, fault);
    }
    Ok(())
}

/// Decodes every value, and compares what the footer says of columns and pages with them.
fn columns(segment: &Segment) -> Result<Vec<String>, StoreError> {
    let metadata = segment.metadata().metadata();
    let schema = segment.metadata().schema();
    let mut wrong = Vec::new();
    for (column, field) in schema.fields().iter().enumerate() {
        let converter = StatisticsConverter::try_new(field.name(), schema, segment.metadata().parquet_schema());
        let converter = converter.map_err(|error| crate::segment::damaged(&segment.path, &error))?;
        for (group, facts) in metadata.row_groups().iter().enumerate() {
            let values = read_column(segment, column, group)?;
            let mut say = |what: &str| wrong.push(format!("{what} of {} in row group {group}", field.name()));
            if i64::try_from(values.len()).ok() != Some(facts.num_rows()) {
                say("another number of rows");
                continue;
            }
            let nulls = facts.column(column).statistics().and_then(|statistics| statistics.null_count_opt());
            if nulls.is_some_and(|nulls| nulls != values.null_count() as u64) {
                say("another number of NULLs");
            }
            let failed = |error: parquet::errors::ParquetError| crate::segment::damaged(&segment.path, &error);
            let low = converter.row_group_mins([facts]).map_err(failed)?;
            let high = converter.row_group_maxes([facts]).map_err(failed)?;
            let may_be_unbound = |values: &ArrayRef| values.null_count() == values.len() || has_nan(values);
            if !bound(&values, &low, &high, 0) || low.is_null(0) && !may_be_unbound(&values) {
                say("wrong bounds");
            }
            let (Some(index), Some(places)) = (metadata.column_index(), metadata.offset_index()) else { continue };
            let lows = converter.data_page_mins(index, places, [&group]).map_err(failed)?;
            let highs = converter.data_page_maxes(index, places, [&group]).map_err(failed)?;
            let pages = places.get(group).and_then(|columns| columns.get(column));
            let bounds = index.get(group).and_then(|columns| columns.get(column));
            let indexed = !matches!(bounds, None | Some(ColumnIndexMetaData::NONE));
            let firsts: Vec<usize> = pages
                .map(|pages| pages.page_locations().iter())
                .into_iter()
                .flatten()
                .map(|page| usize::try_from(page.first_row_index).unwrap_or_default())
                .collect();
            for (page, &first) in firsts.iter().enumerate() {
                let end = firsts.get(page + 1).copied().unwrap_or(values.len());
                let inside = first <= end && end <= values.len() && page < lows.len();
                let right = inside && {
                    let values = values.slice(first, end - first);
                    bound(&values, &lows, &highs, page) && !(indexed && lows.is_null(page) && !may_be_unbound(&values))
                };
                if !right {
                    say(&format!("wrong bounds of page {page}"));
                }
            }
        }
    }
    Ok(wrong)
}

fn has_nan(values: &ArrayRef) -> bool {
    values.as_primitive_opt::<Float64Type>().is_some_and(|values| values.iter().flatten().any(f64::is_nan))
}

fn read_column(segment: &Segment, column: usize, group: usize) -> Result<ArrayRef, StoreError> {
    let failed = |error: &dyn std::fmt::Display| crate::segment::damaged(&segment.path, error);
    let file = File::open(&segment.path).map_err(|error| StoreError::io(&segment.path, error))?;
    // Texts as views: a text that comes a million times is in memory once.
    let options = ArrowReaderOptions::new().with_schema(with_views(segment.metadata().schema()));
    let metadata = ArrowReaderMetadata::try_new(segment.metadata().metadata().clone(), options);
    let metadata = metadata.map_err(|error| failed(&error))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
    let reader = builder.with_projection(mask).with_row_groups(vec![group]).build();
    let mut parts = Vec::new();
    for batch in reader.map_err(|error| failed(&error))? {
        parts.push(batch.map_err(|error| failed(&error))?.column(0).clone());
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    if parts.is_empty() {
        return Ok(arrow::array::new_empty_array(with_views(segment.metadata().schema()).field(column).data_type()));
    }
    Ok(concat(&parts)?)
}

/// Whether the bounds at `place` are the smallest and the largest value; those of long texts may be cut short. Bounds that
/// are not there bind nothing, and NaN is in no order.
fn bound(values: &ArrayRef, low: &ArrayRef, high: &ArrayRef, place: usize) -> bool {
    if place >= low.len() || place >= high.len() || low.is_null(place) || high.is_null(place) {
        return true;
    }
    macro_rules! numbers {
        ($kind:ty) => {{
            let (low, high) = (low.as_primitive::<$kind>().value(place), high.as_primitive::<$kind>().value(place));
            let mut found = None;
            for value in values.as_primitive::<$kind>().iter().flatten().filter(|value| value == value) {
                let (least, most) = found.unwrap_or((value, value));
                found = Some((if value < least { value } else { least }, if most < value { value } else { most }));
            }
            found == Some((low, high))
        }};
    }
    match values.data_type() {
        DataType::Timestamp(..) => numbers!(TimestampMicrosecondType),
        DataType::Int64 => numbers!(Int64Type),
        DataType::Float64 => numbers!(Float64Type),
        DataType::Boolean => {
            let at = |bounds: &ArrayRef| bounds.as_boolean_opt().map(|bounds: &BooleanArray| bounds.value(place));
            let flags = || values.as_boolean().iter().flatten();
            (flags().min(), flags().max()) == (at(low), at(high))
        }
        _ => match (low.as_string_opt::<i32>(), high.as_string_opt::<i32>(), values.as_string_view_opt()) {
            (Some(low), Some(high), Some(values)) => {
                let (low, high) = (low.value(place), high.value(place));
                let texts = || values.iter().flatten();
                let (Some(least), Some(most)) = (texts().min(), texts().max()) else { return false };
                (low == least || low.len() < least.len() && least.starts_with(low))
                    && (high == most || most.len() > BOUND_BYTES && most < high)
            }
            _ => true,
        },
    }
}

/// Whether the outline says of the rows what they are.
fn outline(segment: &Segment, spec: &TableSpec) -> Result<Option<String>, StoreError> {
    let Some(said) = segment.read_outline()? else { return Ok(None) };
    let Some(mut found) = Draft::new(&Arc::new(spec.clone())) else {
        return Ok(Some("an outline of rows that form no series".to_owned()));
    };
    for rows in segment.batches(&spec.memory_schema(), OUTLINED_ROWS)? {
        found.add(&rows?)?;
    }
    let found = found.finish();
    // Earlier versions wrote no courses.
    let found = if said.has_courses { found } else { found.without_courses() };
    Ok((found != said).then(|| "the outline does not fit the rows".to_owned()))
}

/// Whether rows follow one another by key, and each key is there once where `unique`.
fn order(segment: &Segment, spec: &TableSpec, unique: bool) -> Result<Option<String>, StoreError> {
    // Rows may be sorted by the same columns in the order of an earlier takt.
    let own: Option<Vec<usize>> = segment.sorted_by().iter().map(|name| spec.schema.index_of(name).ok()).collect();
    let columns_of = |key: &[usize]| key.iter().copied().collect::<BTreeSet<_>>();
    let Some(key) = own.filter(|key| columns_of(key) == columns_of(&spec.key)) else {
        return Ok(Some("it is not sorted by the key of its table".to_owned()));
    };
    let spec = &TableSpec { key, ..spec.clone() };
    let encoder = KeyEncoder::new(spec);
    let mut before: Option<Vec<u8>> = None;
    let mut row: u64 = 0;
    for rows in segment.key_batches(spec)? {
        let keys = encoder.encode(&rows?)?;
        for key in &keys {
            let follows = before
                .as_deref()
                .is_none_or(|before| if unique { before < key.as_ref() } else { before <= key.as_ref() });
            if !follows {
                return Ok(Some(format!("row {row} is not where its key belongs")));
            }
            match &mut before {
                Some(before) => {
                    before.clear();
                    before.extend_from_slice(key.as_ref());
                }
                None => before = Some(key.as_ref().to_vec()),
            }
            row += 1;
        }
    }
    Ok(None)
}
