//! What the footer of a segment says of its columns, without reading a row.

use std::ops::Range;

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::{PageBounds, Segment};
use crate::spec::TableSpec;

impl Segment {
    pub(super) fn place(&self, column: &str) -> Option<usize> {
        let columns = self.metadata.metadata().file_metadata().schema_descr().columns();
        columns.iter().position(|known| known.name() == column)
    }

    /// How many rows have no value in a column, where the footer tells.
    pub fn nulls(&self, column: &str) -> Option<u64> {
        let metadata = self.metadata.metadata();
        let place = self.place(column)?;
        let of_group = |group: &RowGroupMetaData| group.column(place).statistics().and_then(Statistics::null_count_opt);
        metadata.row_groups().iter().map(of_group).sum()
    }

    /// Whether no row has a value in a column, as far as the footer tells.
    pub fn is_null(&self, column: &str) -> bool {
        self.nulls(column) == Some(self.rows)
    }

    /// Whether a row can have `true` in a column, as far as the footer tells.
    pub fn may_be_true(&self, column: &str) -> bool {
        let Some(place) = self.place(column) else { return false };
        let is_never = |group: &RowGroupMetaData| match group.column(place).statistics() {
            Some(Statistics::Boolean(bounds)) => bounds.max_opt() == Some(&false) || self.is_null(column),
            _ => false,
        };
        !self.metadata.metadata().row_groups().iter().all(is_never)
    }

    /// The columns by which its rows are sorted, as the file says.
    pub(crate) fn sorted_by(&self) -> Vec<&str> {
        let metadata = self.metadata.metadata();
        let columns = metadata.file_metadata().schema_descr().columns();
        let group = metadata.row_groups().first();
        let sorting = group.and_then(|group| group.sorting_columns()).into_iter().flatten();
        let places = sorting.filter_map(|column| usize::try_from(column.column_idx).ok());
        places.filter_map(|place| columns.get(place)).map(|column| column.name()).collect()
    }

    /// Whether its rows are in the order of the table's key: an earlier takt may have sorted them by another one.
    pub fn is_in_order(&self, spec: &TableSpec) -> bool {
        self.sorted_by() == spec.key_names()
    }

    /// The earliest and the latest time in a column of the file; `None` where a row has none, or the file does not say.
    pub(crate) fn span_of(&self, column: &str) -> Option<(i64, i64)> {
        let metadata = self.metadata.metadata();
        let place = self.place(column)?;
        let mut span: Option<(i64, i64)> = None;
        for group in metadata.row_groups() {
            let Some(Statistics::Int64(bounds)) = group.column(place).statistics() else { return None };
            let (low, high) = (*bounds.min_opt()?, *bounds.max_opt()?);
            if bounds.null_count_opt() != Some(0) {
                return None;
            }
            span = Some(span.map_or((low, high), |(first, last)| (first.min(low), last.max(high))));
        }
        span
    }

    /// The rows of those pages of a column that hold any of `rows`, which are in order and apart, and that `meets` by their
    /// bounds; in order and apart too. `None` where the file does not tell bounds of the column.
    pub fn pages_where(
        &self,
        column: &str,
        mut rows: &[Range<usize>],
        meets: impl Fn(PageBounds<'_>) -> bool,
    ) -> Option<Vec<Range<usize>>> {
        let metadata = self.metadata.metadata();
        let place = self.place(column)?;
        let (indexes, places) = (metadata.column_index()?, metadata.offset_index()?);
        let (mut kept, mut start): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
        for (group, found) in metadata.row_groups().iter().enumerate() {
            let count = usize::try_from(found.num_rows()).unwrap_or_default();
            let index = indexes.get(group)?.get(place)?;
            let pages = places.get(group)?.get(place)?.page_locations();
            let first_of = |page: usize| {
                pages.get(page).map_or(count, |page| usize::try_from(page.first_row_index).unwrap_or_default())
            };
            for page in 0..pages.len() {
                let (from, to) = (start + first_of(page), start + first_of(page + 1));
                while let Some((_, rest)) = rows.split_first().filter(|(first, _)| first.end <= from) {
                    rows = rest;
                }
                if rows.first().is_none_or(|first| to <= first.start) {
                    continue;
                }
                let bounds = match index {
                    ColumnIndexMetaData::BYTE_ARRAY(index) => {
                        index.min_value(page).zip(index.max_value(page)).map(|(low, high)| PageBounds::Texts(low, high))
                    }
                    ColumnIndexMetaData::INT64(index) => {
                        let bounds = index.min_value(page).zip(index.max_value(page));
                        bounds.map(|(low, high)| PageBounds::Numbers(*low, *high))
                    }
                    _ => return None,
                };
                if !bounds.is_none_or(&meets) {
                    continue;
                }
                match kept.last_mut() {
                    Some(last) if last.end == from => last.end = to,
                    _ => kept.push(from..to),
                }
            }
            start += count;
        }
        Some(kept)
    }

    /// Bytes of a row before compression, on average.
    pub(crate) fn bytes_per_row(&self) -> u64 {
        let groups = self.metadata.metadata().row_groups().iter();
        let bytes: u64 = groups.map(|group| u64::try_from(group.total_byte_size()).unwrap_or_default()).sum();
        bytes / self.rows.max(1)
    }
}
