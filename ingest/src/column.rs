//! Columns under construction: append values row by row, take an Arrow array at the end.

use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use oee::tables::ColumnType;

/// Which rows hold a value. Costs nothing as long as all of them do, or none.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    rows: usize,
    nulls: usize,
    bits: Option<BooleanBufferBuilder>,
}

impl Validity {
    #[inline]
    fn push(&mut self, valid: bool) {
        self.push_run(valid, 1);
    }

    #[inline]
    fn push_run(&mut self, valid: bool, count: usize) {
        if self.bits.is_some() || self.nulls != if valid { 0 } else { self.rows } {
            let bits = self.bits.get_or_insert_with(|| {
                let mut bits = BooleanBufferBuilder::new(self.rows + count);
                bits.append_n(self.rows, self.nulls == 0);
                bits
            });
            bits.append_n(count, valid);
        }
        self.rows += count;
        self.nulls += if valid { 0 } else { count };
    }

    /// Whether no row holds a value: then columns have not begun to keep any.
    fn is_empty(&self) -> bool {
        self.nulls == self.rows
    }

    fn finish(self) -> Option<NullBuffer> {
        let bits = self.bits.map(|mut bits| NullBuffer::new(bits.finish()));
        bits.or_else(|| (self.nulls > 0).then(|| NullBuffer::new_null(self.rows)))
    }
}

/// Values of rows of which those at the beginning hold none: they take no room until there is one that does.
#[derive(Debug, Default)]
struct Values<T> {
    held: Vec<T>,
    validity: Validity,
}

impl<T: Default + Clone> Values<T> {
    #[inline]
    fn push(&mut self, value: Option<T>) {
        let Some(value) = value else { return self.push_null(T::default()) };
        if self.validity.is_empty() {
            self.held.resize(self.validity.rows, T::default());
        }
        self.held.push(value);
        self.validity.push(true);
    }

    fn push_run(&mut self, value: Option<T>, count: usize) {
        if value.is_some() && self.validity.is_empty() {
            self.held.resize(self.validity.rows, T::default());
        }
        if value.is_some() || !self.validity.is_empty() {
            self.held.resize(self.held.len() + count, value.clone().unwrap_or_default());
        }
        self.validity.push_run(value.is_some(), count);
    }

    /// Appends a row without a value, where `held` stands in its place.
    fn push_null(&mut self, held: T) {
        if !self.validity.is_empty() {
            self.held.push(held);
        }
        self.validity.push(false);
    }

    /// All values, and which of them count.
    fn finish(mut self) -> (Vec<T>, Option<NullBuffer>) {
        self.held.resize(self.validity.rows, T::default());
        (self.held, self.validity.finish())
    }
}

/// Numbers or times.
#[derive(Debug, Default)]
pub(crate) struct Numbers<T>(Values<T>);

impl<T: Default + Clone> Numbers<T> {
    pub(crate) fn push(&mut self, value: Option<T>) {
        self.0.push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.validity.rows
    }
}

impl Numbers<i64> {
    pub(crate) fn integers(self) -> ArrayRef {
        let (values, nulls) = self.0.finish();
        Arc::new(Int64Array::new(ScalarBuffer::from(values), nulls))
    }

    pub(crate) fn times(self) -> ArrayRef {
        let (values, nulls) = self.0.finish();
        let times = TimestampMicrosecondArray::new(ScalarBuffer::from(values), nulls);
        Arc::new(times.with_timezone("UTC"))
    }
}

impl Numbers<f64> {
    pub(crate) fn doubles(self) -> ArrayRef {
        let (values, nulls) = self.0.finish();
        Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls))
    }
}

/// Text, value after value.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Where each text ends.
    ends: Values<i32>,
    bytes: Vec<u8>,
}

impl Texts {
    pub(crate) fn push(&mut self, value: Option<&str>) {
        let Some(text) = value else { return self.ends.push_null(end_of(&self.bytes)) };
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(Some(end_of(&self.bytes)));
    }

    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let (ends, nulls) = self.ends.finish();
        let offsets = std::iter::once(0).chain(ends).collect::<Vec<i32>>();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(self.bytes), nulls)?))
    }
}

/// A batch is bounded far below 2 GiB by the byte budget, so the offset cannot saturate.
fn end_of(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).unwrap_or(i32::MAX)
}

/// Text with few distinct values: each is kept once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    keys: Values<i32>,
    interner: Interner,
}

impl Names {
    pub(crate) fn push(&mut self, name: Option<&str>) {
        let number = name.map(|name| self.interner.intern(name));
        self.keys.push(number);
    }

    /// Appends a name so many times.
    pub(crate) fn push_run(&mut self, name: Option<&str>, count: usize) {
        let number = name.map(|name| self.interner.intern(name));
        self.keys.push_run(number, count);
    }

    /// The number of a name, for [`Names::push_number`].
    pub(crate) fn number(&mut self, name: &str) -> i32 {
        self.interner.intern(name)
    }

    /// Appends the name that a number stands for.
    pub(crate) fn push_number(&mut self, number: Option<i32>) {
        self.keys.push(number);
    }

    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let (keys, nulls) = self.keys.finish();
        let keys = Int32Array::new(ScalarBuffer::from(keys), nulls);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, self.interner.finish()?)?))
    }
}

/// Distinct names, numbered in order of appearance. An open-addressing table over one buffer, so that a name costs no
/// allocation of its own.
#[derive(Debug)]
pub(crate) struct Interner {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    /// Number of a name plus one; 0 is free. The length is a power of two and at least twice the names.
    slots: Vec<u32>,
    hasher: RandomState,
    last: usize,
}

impl Default for Interner {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new(), slots: Vec::new(), hasher: RandomState::new(), last: 0 }
    }
}

impl Interner {
    fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    fn get(&self, number: usize) -> Option<&[u8]> {
        let start = usize::try_from(*self.offsets.get(number)?).ok()?;
        let end = usize::try_from(*self.offsets.get(number + 1)?).ok()?;
        self.bytes.get(start..end)
    }

    /// The number of `name`, a new one where it was not seen yet.
    pub(crate) fn intern(&mut self, name: &str) -> i32 {
        // Neighbouring rows mostly carry the same equipment.
        if self.get(self.last) != Some(name.as_bytes()) {
            if self.slots.len() < 2 * (self.count() + 1) {
                self.grow();
            }
            self.last = self.find_or_add(name);
        }
        i32::try_from(self.last).unwrap_or(i32::MAX)
    }

    fn slot_of(&self, name: &[u8]) -> usize {
        usize::try_from(self.hasher.hash_one(name) & (self.slots.len() as u64 - 1)).unwrap_or(0)
    }

    fn find_or_add(&mut self, name: &str) -> usize {
        let mut slot = self.slot_of(name.as_bytes());
        loop {
            match self.slots.get(slot).copied().unwrap_or(0) {
                0 => return self.add(slot, name),
                taken => {
                    let number = taken as usize - 1;
                    if self.get(number) == Some(name.as_bytes()) {
                        return number;
                    }
                }
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn add(&mut self, slot: usize, name: &str) -> usize {
        let number = self.count();
        self.bytes.extend_from_slice(name.as_bytes());
        self.offsets.push(end_of(&self.bytes));
        self.occupy(slot, number);
        number
    }

    fn occupy(&mut self, slot: usize, number: usize) {
        if let Some(free) = self.slots.get_mut(slot) {
            *free = u32::try_from(number + 1).unwrap_or(u32::MAX);
        }
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(64)];
        for number in 0..self.count() {
            let mut slot = self.get(number).map_or(0, |name| self.slot_of(name));
            while self.slots.get(slot).is_some_and(|&taken| taken != 0) {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.occupy(slot, number);
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None)?))
    }
}

/// Yes or no.
#[derive(Debug, Default)]
pub(crate) struct Flags(Values<bool>);

impl Flags {
    pub(crate) fn push(&mut self, value: Option<bool>) {
        self.0.push(value);
    }

    pub(crate) fn finish(self) -> ArrayRef {
        let (values, nulls) = self.0.finish();
        Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
    }
}

/// One value of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Nothing, or explicitly nothing.
    Null,
    /// An instant.
    Time(i64),
    /// A double.
    Double(f64),
    /// An integer.
    Integer(i64),
    /// Text or a name.
    Text(String),
    /// True or false.
    Flag(bool),
}

/// A column of any type.
#[derive(Debug)]
pub(crate) enum Column {
    /// Instants.
    Time(Numbers<i64>),
    /// Doubles.
    Double(Numbers<f64>),
    /// Integers.
    Integer(Numbers<i64>),
    /// Text.
    Text(Texts),
    /// Names.
    Name(Names),
    /// Flags.
    Flag(Flags),
}

impl Column {
    pub(crate) fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Time => Self::Time(Numbers::default()),
            ColumnType::Double => Self::Double(Numbers::default()),
            ColumnType::Integer => Self::Integer(Numbers::default()),
            ColumnType::Text => Self::Text(Texts::default()),
            ColumnType::Name => Self::Name(Names::default()),
            ColumnType::Flag => Self::Flag(Flags::default()),
        }
    }

    /// Appends a cell; one of another type counts as null (records are checked before they come here).
    pub(crate) fn push(&mut self, cell: &Cell) {
        match (self, cell) {
            (Self::Time(column), Cell::Time(value)) => column.push(Some(*value)),
            (Self::Double(column), Cell::Double(value)) => column.push(Some(*value)),
            (Self::Integer(column), Cell::Integer(value)) => column.push(Some(*value)),
            (Self::Text(column), Cell::Text(value)) => column.push(Some(value)),
            (Self::Name(column), Cell::Text(value)) => column.push(Some(value)),
            (Self::Flag(column), Cell::Flag(value)) => column.push(Some(*value)),
            (Self::Time(column) | Self::Integer(column), _) => column.push(None),
            (Self::Double(column), _) => column.push(None),
            (Self::Text(column), _) => column.push(None),
            (Self::Name(column), _) => column.push(None),
            (Self::Flag(column), _) => column.push(None),
        }
    }

    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Time(column) => column.times(),
            Self::Double(column) => column.doubles(),
            Self::Integer(column) => column.integers(),
            Self::Text(column) => column.finish()?,
            Self::Name(column) => column.finish()?,
            Self::Flag(column) => column.finish(),
        })
    }
}

#[cfg(test)]
mod tests;
