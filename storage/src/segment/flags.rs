//! Columns of true and false.

use std::ops::Range;

use arrow::array::{ArrayRef, AsArray};
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;

use super::chunk::{Dictionary, Encode, Extremes, Page, foreign};

#[derive(Default)]
pub(super) struct Flags {
    /// The present page.
    page: Vec<bool>,
    extremes: Extremes<bool>,
}

impl Encode for Flags {
    fn take(&mut self, column: &ArrayRef, rows: Range<usize>) -> Result<usize, ParquetError> {
        let Some(flags) = column.as_boolean_opt() else { return Err(foreign(column.as_ref())) };
        self.page.extend(rows.clone().map(|row| flags.value(row)));
        Ok(rows.len())
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> Page {
        for flags in self.page.chunks(8) {
            out.push(flags.iter().rev().fold(0, |byte, &flag| byte << 1 | u8::from(flag)));
        }
        let (page, follows) = self.extremes.note(&self.page);
        self.page.clear();
        let bytes = |flag: bool| vec![u8::from(flag)];
        let bounds = page.map(|(low, high)| (bytes(low), bytes(high)));
        Page { encoding: Encoding::PLAIN, bounds, follows }
    }

    fn dictionary(&mut self) -> Option<Dictionary> {
        None
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let (low, high) = self.extremes.all.unzip();
        Statistics::boolean(low, high, None, Some(nulls), false)
    }

    fn bytes(&self) -> usize {
        self.page.len()
    }
}
