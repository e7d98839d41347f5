//! Number columns: a dictionary where values come again, as readings of few decimals do; else the values themselves.
//!
//! BYTE_STREAM_SPLIT would be smaller for values of many digits, but not every Spark reads it.

use std::ops::Range;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;

use super::chunk::{Dictionary, Effort, Encode, Page, foreign};
use super::hybrid;

/// Entries with which a dictionary is full: as many as a MiB holds.
const ENTRIES: usize = 1 << 17;
/// The same of a file that is soon merged: who merges hundreds of them holds all their dictionaries.
const FEW_ENTRIES: usize = 1 << 14;
/// Values of a page that are looked up to see whether the dictionary pays for it.
const PROBE: usize = 1_024;

pub(super) struct Numbers {
    doubles: bool,
    /// The present page: bit patterns.
    page: Vec<u64>,
    dictionary: Places,
    /// Entries with which the dictionary is full.
    most: usize,
    before: Option<(u64, u64)>,
    all: Option<(u64, u64)>,
}

impl Numbers {
    pub(super) fn new(kind: &DataType, effort: Effort) -> Self {
        let most = match effort {
            Effort::Quick => FEW_ENTRIES,
            Effort::Thorough => ENTRIES,
        };
        let (doubles, dictionary) = (*kind == DataType::Float64, Places::default());
        Self { doubles, page: Vec::new(), dictionary, most, before: None, all: None }
    }

    /// Whether bit pattern `one` is a smaller number than `other`.
    fn less(&self, one: u64, other: u64) -> bool {
        if self.doubles { f64::from_bits(one) < f64::from_bits(other) } else { one.cast_signed() < other.cast_signed() }
    }

    /// The smallest and the largest number; NaN is none, and a zero may have either sign.
    fn bounds(&self) -> Option<(u64, u64)> {
        if !self.doubles {
            let numbers = || self.page.iter().map(|bits| bits.cast_signed());
            return Some((numbers().min()?.cast_unsigned(), numbers().max()?.cast_unsigned()));
        }
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &bits in &self.page {
            let number = f64::from_bits(bits);
            low = if number < low { number } else { low };
            high = if number > high { number } else { high };
        }
        if low > high {
            return None;
        }
        let low = if low == 0.0 { -0.0 } else { low };
        let high = if high == 0.0 { 0.0 } else { high };
        Some((low.to_bits(), high.to_bits()))
    }

    /// Whether values of the present page come again: a dictionary in which nearly all are new is only in the way.
    fn dictionary_pays(&self) -> bool {
        if self.dictionary.entries.len() >= self.most {
            // What comes again and again still does.
            return self.page.iter().all(|&bits| self.dictionary.find(bits).is_some());
        }
        let probe = self.page.get(..PROBE).unwrap_or(&self.page);
        let mut missing: Vec<u64> =
            probe.iter().copied().filter(|&bits| self.dictionary.find(bits).is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        missing.len() * 16 < probe.len() * 15
    }
}

impl Encode for Numbers {
    fn take(&mut self, column: &ArrayRef, rows: Range<usize>) -> Result<usize, ParquetError> {
        if let Some(doubles) = column.as_primitive_opt::<Float64Type>() {
            self.page
                .extend(doubles.values().get(rows.clone()).unwrap_or_default().iter().map(|value| value.to_bits()));
        } else if let Some(integers) = column.as_primitive_opt::<Int64Type>() {
            let integers = integers.values().get(rows.clone()).unwrap_or_default();
            self.page.extend(integers.iter().map(|value| value.cast_unsigned()));
        } else {
            return Err(foreign(column.as_ref()));
        }
        Ok(rows.len())
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> Page {
        let encoding = if self.dictionary_pays() {
            let runs = self.page.chunk_by(|one, next| one == next);
            let runs = runs.filter_map(|run| Some((self.dictionary.place_of(*run.first()?), run.len())));
            let runs: Vec<(u32, usize)> = runs.collect();
            let bits = hybrid::place_bits(self.dictionary.entries.len());
            out.extend(bits.to_le_bytes().first());
            hybrid::encode(runs.into_iter(), bits, out);
            Encoding::RLE_DICTIONARY
        } else {
            out.extend(self.page.iter().flat_map(|bits| bits.to_le_bytes()));
            Encoding::PLAIN
        };
        let page = self.bounds();
        let follows = match (self.before, page) {
            (Some((low, high)), Some((next_low, next_high))) => {
                !self.less(next_low, low) && !self.less(next_high, high)
            }
            _ => true,
        };
        if let Some((low, high)) = page {
            self.before = page;
            let (all_low, all_high) = self.all.unwrap_or((low, high));
            let low = if self.less(low, all_low) { low } else { all_low };
            let high = if self.less(all_high, high) { high } else { all_high };
            self.all = Some((low, high));
        }
        self.page.clear();
        let bytes = |bits: u64| bits.to_le_bytes().to_vec();
        Page { encoding, bounds: page.map(|(low, high)| (bytes(low), bytes(high))), follows }
    }

    fn dictionary(&mut self) -> Option<Dictionary> {
        let entries = std::mem::take(&mut self.dictionary.entries);
        let page: Vec<u8> = entries.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        (!entries.is_empty()).then_some(Dictionary { entries: entries.len(), page })
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let (low, high) = self.all.unzip();
        if self.doubles {
            return Statistics::double(low.map(f64::from_bits), high.map(f64::from_bits), None, Some(nulls), false);
        }
        Statistics::int64(low.map(u64::cast_signed), high.map(u64::cast_signed), None, Some(nulls), false)
    }

    fn bytes(&self) -> usize {
        (self.page.len() + self.dictionary.entries.len()) * size_of::<u64>()
    }
}

/// The places of bit patterns in a dictionary: a hash table with open addressing.
#[derive(Default)]
struct Places {
    entries: Vec<u64>,
    /// Place + 1; 0 where free. A power of two of them, more than half free.
    slots: Vec<u32>,
}

impl Places {
    fn find(&self, bits: u64) -> Option<u32> {
        let mut slot = self.slot_of(bits)?;
        loop {
            let place = self.slots.get(slot)?.checked_sub(1)?;
            if self.entries.get(place as usize) == Some(&bits) {
                return Some(place);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn place_of(&mut self, bits: u64) -> u32 {
        if let Some(place) = self.find(bits) {
            return place;
        }
        self.entries.push(bits);
        if self.entries.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.slots.len() * 2).max(1_024)];
            for place in 1..=self.entries.len() {
                self.fill(place);
            }
        } else {
            self.fill(self.entries.len());
        }
        u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
    }

    /// Notes the place of the last of the first `count` entries.
    fn fill(&mut self, count: usize) {
        let slot = self.entries.get(count - 1).and_then(|&bits| self.slot_of(bits));
        let Some(mut slot) = slot else { return };
        while self.slots.get(slot).is_some_and(|&taken| taken != 0) {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        if let Some(free) = self.slots.get_mut(slot) {
            *free = u32::try_from(count).unwrap_or(u32::MAX);
        }
    }

    fn slot_of(&self, bits: u64) -> Option<usize> {
        let size = self.slots.len().checked_ilog2()?;
        // The upper bits of a product depend on all bits of its factors.
        let mixed = (bits ^ (bits >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> (u64::BITS - size)).ok()
    }
}
