//! Text columns: a dictionary as long as it pays, then the texts themselves.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Int32Type;
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;

use super::chunk::{Dictionary, Encode, Page, foreign};
use super::hybrid;

/// Bytes of a dictionary at most: a reader of one page reads all of it.
const DICTIONARY_BYTES: usize = 1 << 18;
/// What an entry takes in memory besides.
const ENTRY_BYTES: usize = 100;
/// Bytes of a page of texts after which it ends.
const PAGE_BYTES: usize = 1 << 20;
/// Bounds of pages keep this much of a text: the start of a run's name is where it ran.
pub(crate) const BOUND_BYTES: usize = 256;
/// Different values that a bloom filter is begun for; with fewer it shrinks when its row group ends.
const BLOOM_VALUES: u64 = 1 << 20;
/// How often a bloom filter may say yes wrongly.
const BLOOM_ERRORS: f64 = 0.05;
/// A text of a batch's dictionary that was not looked up.
const UNKNOWN: u32 = u32::MAX;

pub(super) struct Texts {
    /// The dictionary page: each text after its length.
    dictionary: Vec<u8>,
    texts: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
    /// A page goes by the dictionary, be it empty.
    referred: bool,
    /// Places of the texts of the dictionary that rows came with last.
    known: Option<(ArrayRef, Vec<u32>)>,
    /// The present page where it goes by the dictionary: place and how often.
    runs: Vec<(u32, usize)>,
    /// The present page where it does not.
    plain: Option<Vec<u8>>,
    page: Bounds,
    /// Bounds of the page before, as they were written.
    before: Option<(Vec<u8>, Vec<u8>)>,
    all: Bounds,
    bloom: Option<Sbbf>,
}

/// The smallest and the largest of some texts.
#[derive(Default, Clone)]
struct Bounds(Option<(Arc<str>, Arc<str>)>);

impl Bounds {
    fn meet(&mut self, text: &str, shared: impl Fn() -> Arc<str>) {
        match &mut self.0 {
            None => self.0 = Some((shared(), shared())),
            Some((low, _)) if text < &**low => *low = shared(),
            Some((_, high)) if text > &**high => *high = shared(),
            Some(_) => {}
        }
    }
}

impl Texts {
    pub(super) fn new(bloom: bool) -> Result<Self, ParquetError> {
        Ok(Self {
            dictionary: Vec::new(),
            texts: Vec::new(),
            places: HashMap::new(),
            referred: false,
            known: None,
            runs: Vec::new(),
            plain: None,
            page: Bounds::default(),
            before: None,
            all: Bounds::default(),
            bloom: if bloom { Some(Sbbf::new_with_ndv_fpp(BLOOM_VALUES, BLOOM_ERRORS)?) } else { None },
        })
    }

    fn is_full(&self) -> bool {
        match &self.plain {
            Some(page) => page.len() >= PAGE_BYTES,
            None => self.dictionary.len() >= DICTIONARY_BYTES,
        }
    }

    fn place_of(&mut self, text: &str) -> u32 {
        if let Some(&place) = self.places.get(text) {
            return place;
        }
        let place = u32::try_from(self.texts.len()).unwrap_or(UNKNOWN);
        let text: Arc<str> = text.into();
        append(&text, &mut self.dictionary);
        if let Some(bloom) = &mut self.bloom {
            bloom.insert(text.as_bytes());
        }
        self.texts.push(text.clone());
        self.places.insert(text, place);
        place
    }

    fn push_run(&mut self, place: u32, count: usize) {
        match self.runs.last_mut() {
            Some((last, so_far)) if *last == place => *so_far += count,
            _ => self.runs.push((place, count)),
        }
    }

    /// Takes a text that comes so often in a row; gives how often it was taken.
    fn take_text(&mut self, text: &str, count: usize) -> usize {
        let Some(plain) = &mut self.plain else {
            let place = self.place_of(text);
            self.push_run(place, count);
            return count;
        };
        let room = PAGE_BYTES.saturating_sub(plain.len()) / (text.len() + 4) + 1;
        let count = count.min(room);
        (0..count).for_each(|_| append(text, plain));
        self.page.meet(text, || text.into());
        if let Some(bloom) = &mut self.bloom {
            bloom.insert(text.as_bytes());
        }
        count
    }

    /// Takes texts by the keys of their dictionary, until the page is full.
    fn take_keys(&mut self, keys: &[i32], values: &ArrayRef) -> Result<usize, ParquetError> {
        let Some(texts) = values.as_string_opt::<i32>() else { return Err(foreign(values.as_ref())) };
        let known = self.known.take().filter(|(seen, _)| Arc::ptr_eq(seen, values));
        let mut known = known.unwrap_or_else(|| (values.clone(), vec![UNKNOWN; values.len()]));
        let mut taken = 0;
        for run in keys.chunk_by(|one, next| one == next) {
            if self.is_full() {
                break;
            }
            let key = run.first().and_then(|&key| usize::try_from(key).ok()).unwrap_or_default();
            let place = known.1.get_mut(key).filter(|_| self.plain.is_none());
            let count = match place {
                Some(place) => {
                    if *place == UNKNOWN {
                        *place = self.place_of(texts.value(key));
                    }
                    self.push_run(*place, run.len());
                    run.len()
                }
                None => self.take_text(texts.value(key), run.len()),
            };
            taken += count;
            if count < run.len() {
                break;
            }
        }
        self.known = Some(known);
        Ok(taken)
    }
}

impl Encode for Texts {
    fn take(&mut self, column: &ArrayRef, rows: Range<usize>) -> Result<usize, ParquetError> {
        if let Some(names) = column.as_dictionary_opt::<Int32Type>() {
            let keys = names.keys().values().get(rows).unwrap_or_default();
            return self.take_keys(keys, names.values());
        }
        let Some(texts) = column.as_string_opt::<i32>() else { return Err(foreign(column.as_ref())) };
        let mut taken = 0;
        for row in rows {
            if self.is_full() {
                break;
            }
            taken += self.take_text(texts.value(row), 1);
        }
        Ok(taken)
    }

    fn is_full(&self) -> bool {
        Texts::is_full(self)
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> Page {
        let encoding = match &mut self.plain {
            Some(plain) => {
                out.append(plain);
                Encoding::PLAIN
            }
            // Also where all rows are NULL: one page without dictionary makes a reader give the dictionary up.
            None => {
                self.referred = true;
                let bits = hybrid::place_bits(self.texts.len());
                out.extend(bits.to_le_bytes().first());
                hybrid::encode(self.runs.iter().copied(), bits, out);
                for (place, _) in self.runs.drain(..) {
                    if let Some(text) = self.texts.get(place as usize) {
                        self.page.meet(text, || text.clone());
                    }
                }
                if self.dictionary.len() >= DICTIONARY_BYTES {
                    self.plain = Some(Vec::new());
                }
                Encoding::RLE_DICTIONARY
            }
        };
        let page = std::mem::take(&mut self.page);
        let bounds = page.0.as_ref().map(|(low, high)| (lower(low), upper(high)));
        // Of the bounds as they are written: cut short, those of later texts may come before those of earlier ones.
        let follows = match (&self.before, &bounds) {
            (Some((low, high)), Some((next_low, next_high))) => low <= next_low && high <= next_high,
            _ => true,
        };
        if let Some((low, high)) = &page.0 {
            self.all.meet(low, || low.clone());
            self.all.meet(high, || high.clone());
            self.before.clone_from(&bounds);
        }
        Page { encoding, bounds, follows }
    }

    fn dictionary(&mut self) -> Option<Dictionary> {
        self.referred.then(|| Dictionary { entries: self.texts.len(), page: std::mem::take(&mut self.dictionary) })
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        // Whole, however long: bounds of whole files tell which of them overlap; cut short, neighbours would seem to.
        let bytes = |text: &Arc<str>| ByteArray::from(text.as_bytes().to_vec());
        let (low, high) = self.all.0.as_ref().map(|(low, high)| (bytes(low), bytes(high))).unzip();
        Statistics::byte_array(low, high, None, Some(nulls), false)
    }

    fn bytes(&self) -> usize {
        self.dictionary.len() + self.texts.len() * ENTRY_BYTES + self.plain.as_ref().map_or(0, Vec::len)
    }

    fn bloom(&mut self) -> Option<Sbbf> {
        let mut bloom = self.bloom.take()?;
        bloom.fold_to_target_fpp(BLOOM_ERRORS);
        Some(bloom)
    }
}

fn append(text: &str, out: &mut Vec<u8>) {
    // Rows are bounded by what arrow's own offsets can hold.
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A text that is not above `text`, of bounded length.
fn lower(text: &str) -> Vec<u8> {
    text.as_bytes()[..text.floor_char_boundary(BOUND_BYTES)].to_vec()
}

/// A text that is not below `text`, of bounded length where there is such a one.
fn upper(text: &str) -> Vec<u8> {
    if text.len() <= BOUND_BYTES {
        return text.as_bytes().to_vec();
    }
    let mut start = text[..text.floor_char_boundary(BOUND_BYTES)].to_owned();
    while let Some(last) = start.pop() {
        // UTF-8 orders as its characters do; between U+D7FF and U+E000 there is none.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            start.push(next);
            return start.into_bytes();
        }
    }
    text.as_bytes().to_vec()
}
