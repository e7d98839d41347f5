//! Samples of a batch, column by column.

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::column::{Names, Numbers, Texts};
use crate::schema::EXPLICIT;

/// OPC UA `Bad`: the source said that there is no value.
pub(crate) const BAD: i64 = 0x8000_0000;
/// OPC UA `Good`.
pub(crate) const GOOD: i64 = 0;

/// Memory and log space of one sample beyond its text, roughly.
pub(crate) const SAMPLE_BYTES: usize = 64;

/// One value of one signal, on its way into a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    /// Source time, or arrival time where there was none.
    pub(crate) time: i64,
    /// Path of the equipment.
    pub(crate) equipment: &'a str,
    /// Name of the signal.
    pub(crate) signal: &'a str,
    /// The value as a number.
    pub(crate) value: Option<f64>,
    /// The value as text: where it is text, or an integer that a double cannot hold.
    pub(crate) text: Option<&'a str>,
    /// OPC UA StatusCode.
    pub(crate) quality: i64,
    /// Keys that the payload named.
    pub(crate) keys: Keys<'a>,
}

/// Keys that a payload named itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Keys<'a> {
    /// Work order.
    pub(crate) work_order: Option<&'a str>,
    /// Operation.
    pub(crate) operation: Option<&'a str>,
    /// Unit.
    pub(crate) unit: Option<&'a str>,
}

impl<'a> Keys<'a> {
    /// These, and where there is none that of `others`.
    pub(crate) fn or(self, others: Keys<'a>) -> Self {
        Self {
            work_order: self.work_order.or(others.work_order),
            operation: self.operation.or(others.operation),
            unit: self.unit.or(others.unit),
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.work_order.is_some() || self.operation.is_some() || self.unit.is_some()
    }
}

/// Where a batch keeps the names of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Series {
    equipment: i32,
    signal: i32,
}

/// The columns of `samples`, under construction.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    time: Numbers<i64>,
    equipment: Names,
    signal: Names,
    value: Numbers<f64>,
    text: Texts,
    quality: Numbers<i64>,
    work_order: Names,
    operation: Names,
    unit: Names,
    key_source: Names,
    /// Rows that came as columns, in the place of all others.
    whole: Option<RecordBatch>,
}

impl Samples {
    /// Rows in the column order of [`oee::tables::SAMPLES`].
    pub(crate) fn whole(rows: RecordBatch) -> Self {
        Self { whole: Some(rows), ..Self::default() }
    }

    /// Appends a sample and says how many bytes it takes.
    pub(crate) fn push(&mut self, sample: &Sample<'_>) -> usize {
        let series = self.series(sample.equipment, sample.signal);
        self.push_of(series, sample)
    }

    /// Where the names of a signal are kept, for [`Samples::push_of`].
    pub(crate) fn series(&mut self, equipment: &str, signal: &str) -> Series {
        Series { equipment: self.equipment.number(equipment), signal: self.signal.number(signal) }
    }

    /// As [`Samples::push`], for the signal whose names `series` stands for.
    pub(crate) fn push_of(&mut self, series: Series, sample: &Sample<'_>) -> usize {
        self.time.push(Some(sample.time));
        self.equipment.push_number(Some(series.equipment));
        self.signal.push_number(Some(series.signal));
        self.value.push(sample.value);
        self.text.push(sample.text);
        self.quality.push(Some(sample.quality));
        self.work_order.push(sample.keys.work_order);
        self.operation.push(sample.keys.operation);
        self.unit.push(sample.keys.unit);
        self.key_source.push(sample.keys.any().then_some(EXPLICIT));
        SAMPLE_BYTES + sample.text.map_or(0, str::len)
    }

    pub(crate) fn len(&self) -> usize {
        self.whole.as_ref().map_or_else(|| self.time.len(), RecordBatch::num_rows)
    }

    /// The rows, in the column order of [`oee::tables::SAMPLES`].
    pub(crate) fn finish(self, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
        if let Some(whole) = self.whole {
            return Ok(whole);
        }
        let columns = vec![
            self.time.times(),
            self.equipment.finish()?,
            self.signal.finish()?,
            self.value.doubles(),
            self.text.finish()?,
            self.quality.integers(),
            self.work_order.finish()?,
            self.operation.finish()?,
            self.unit.finish()?,
            self.key_source.finish()?,
        ];
        RecordBatch::try_new(schema, columns)
    }
}
