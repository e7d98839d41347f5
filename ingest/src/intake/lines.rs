//! Bodies of Influx line protocol.

use std::borrow::Cow;
use std::sync::Arc;

use storage::StoreError;

use super::heads::{Leads, Row};
use super::{Intake, Source, Submitted, now_us, source_of};
use crate::admit::Arrival;
use crate::batch::Batch;
use crate::decode;
use crate::decode::line::{Field, Line, Lines, Numbered, Precision};
use crate::decode::scalar::is_exact;
use crate::login::Login;
use crate::quarantine::{Refusal, Refusals};
use crate::sample::{GOOD, Keys, Sample};

/// The address that stands in `quarantine`; the unit of times follows.
pub(super) const ADDRESS: &str = "/api/v2/write?precision=";
/// A long body is committed in pieces of this size.
pub(super) const PIECE_BYTES: usize = 4 << 20;

/// Refused lines that a receipt names.
const NAMED: usize = 100;

/// What became of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineReceipt {
    /// Lines that were stored.
    pub accepted: usize,
    /// Lines that were refused.
    pub refused: usize,
    /// The first of them: number, counted from 1, and why.
    pub first_refused: Vec<(usize, String)>,
}

impl LineReceipt {
    fn refuse(&mut self, line: usize, refusal: &Refusal) {
        self.refused += 1;
        if self.first_refused.len() < NAMED {
            self.first_refused.push((line, refusal.reason.clone()));
        }
    }
}

/// A number or text, as `samples` holds it.
struct Held {
    value: Option<f64>,
    text: Option<String>,
}

impl Intake {
    /// Stores a body of line protocol. Good lines are stored whatever the others are; refused ones also go to
    /// `quarantine`. Resolves once all is durable and visible.
    ///
    /// # Errors
    /// Why the lines were not stored; sending the body again is harmless.
    pub async fn line_protocol(
        self: &Arc<Self>,
        login: &Login,
        body: &[u8],
        precision: Precision,
    ) -> Result<LineReceipt, StoreError> {
        self.lines_from(&source_of(login), body, precision).await
    }

    pub(super) async fn lines_from(
        self: &Arc<Self>,
        source: &Source,
        body: &[u8],
        precision: Precision,
    ) -> Result<LineReceipt, StoreError> {
        let (arrival_us, address) = (now_us(), format!("{ADDRESS}{precision}"));
        let arrival = Arrival::new(arrival_us, &self.clock);
        let mut batch = source.batch();
        let mut receipt = LineReceipt::default();
        // Where it is no text, only the lines that are none are refused.
        let read = std::str::from_utf8(body);
        let is_text = read.is_ok();
        let text = read.map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
        let mut sent = Sent { rest: body, number: 1 };
        let mut submitted: Vec<Submitted> = Vec::new();
        let (mut refusals, mut bad_lines) = (Refusals::default(), Vec::new());
        let (mut lines, mut line, mut heads) = (Lines::new(&text), Line::default(), self.heads.take());
        while let Some(numbered) = lines.next(&mut line) {
            batch.count_message();
            let as_sent = if is_text { numbered.raw.as_bytes() } else { sent.bytes(&numbered) };
            let no_text = if is_text { None } else { std::str::from_utf8(as_sent).err() };
            let read = match no_text {
                None => numbered.read.map_err(|reason| Refusal::new("malformed", reason)),
                Some(error) => Err(decode::not_utf8(as_sent, error)),
            };
            let leads = read.and_then(|()| heads.find(line.head, &self.plant));
            match leads.and_then(|leads| self.take_line(&line, leads, precision, arrival, &mut batch)) {
                Ok(()) => receipt.accepted += 1,
                Err(refusal) => {
                    bad_lines.extend_from_slice(as_sent);
                    bad_lines.push(b'\n');
                    receipt.refuse(numbered.number, &refusal);
                    refusals
                        .push(Refusal { reason: format!("line {}: {}", numbered.number, refusal.reason), ..refusal });
                }
            }
            if batch.bytes() > PIECE_BYTES {
                let piece = std::mem::replace(&mut batch, source.batch());
                heads.begin_batch();
                submitted.push(self.hand_over(piece, false).await?);
            }
        }
        self.heads.put_back(heads);
        if !refusals.is_empty() {
            self.refuse(source, &address, &bad_lines, arrival_us, &refusals, &mut batch);
        }
        submitted.push(self.hand_over(batch, false).await?);
        for piece in &mut submitted {
            piece.stored().await?;
        }
        Ok(receipt)
    }

    /// Puts one line, whose head leads there, into the batch.
    pub(super) fn take_line(
        &self,
        line: &Line<'_>,
        leads: &mut Leads,
        precision: Precision,
        arrival: Arrival<'_>,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        let in_precision = |time| {
            let time_us = precision.microseconds(time);
            time_us.ok_or_else(|| Refusal::new("time", format!("{time} is no time in this precision")))
        };
        let time = self.window.sample_time(line.time.map(in_precision).transpose()?, &arrival)?;
        let (equipment, signal) = match leads {
            Leads::Row(row) => return take_row(line, row, time, batch),
            Leads::Fields { equipment, signal } => (equipment, signal),
        };
        for (key, field) in &line.fields {
            let name: Cow<'_, str> = match &signal {
                None => key.as_ref().into(),
                Some(signal) if key == "value" => signal.into(),
                Some(signal) => format!("{signal}.{key}").into(),
            };
            let Held { value, text } = held(field);
            let (signal, text, keys) = (name.as_ref(), text.as_deref(), Keys::default());
            batch.push_sample(&Sample { time, equipment, signal, value, text, quality: GOOD, keys });
        }
        Ok(())
    }
}

/// Goes along the bytes of a body that is no text, for those of its lines.
struct Sent<'a> {
    rest: &'a [u8],
    /// The line that `rest` begins with, counted from 1.
    number: usize,
}

impl<'a> Sent<'a> {
    /// The bytes of a line; none of those before it was asked for later.
    fn bytes(&mut self, line: &Numbered<'_>) -> &'a [u8] {
        let past = |bytes: &[u8], lines: usize| {
            let last = lines.checked_sub(1).and_then(|last| memchr::memchr_iter(b'\n', bytes).nth(last));
            if lines == 0 { 0 } else { last.map_or(bytes.len(), |place| place + 1) }
        };
        self.rest = self.rest.get(past(self.rest, line.number - self.number)..).unwrap_or_default();
        self.number = line.number;
        let count = memchr::memchr_iter(b'\n', line.raw.as_bytes()).count() + 1;
        let bytes = self.rest.get(..past(self.rest, count)).unwrap_or_default();
        bytes.strip_suffix(b"\n").unwrap_or(bytes)
    }
}

/// A row of `samples` as it stands; keys may be fields instead of tags.
fn take_row(line: &Line<'_>, row: &mut Row, time: i64, batch: &mut Batch) -> Result<(), Refusal> {
    let (mut value, mut text, mut quality) = (None, None, None);
    let mut keys = Keys::default();
    // Of fields with one name the first counts, as in JSON.
    for (name, field) in &line.fields {
        match (name.as_ref(), field) {
            ("value", field) => value = value.or_else(|| Some(held(field))),
            ("quality", _) if quality.is_some() => {}
            ("quality", Field::Integer(code)) => quality = Some(*code),
            ("quality", Field::Unsigned(code)) => quality = Some(i64::try_from(*code).unwrap_or(i64::MAX)),
            ("quality", Field::Float(code)) if code.fract() == 0.0 => quality = Some(*code as i64),
            ("quality", _) => {
                return Err(Refusal::new("malformed", "`quality` is an integer, the OPC UA StatusCode"));
            }
            ("text", Field::Text(field)) => text = text.or(Some(field.as_ref())),
            ("work_order", Field::Text(field)) => keys.work_order = keys.work_order.or(Some(field.as_ref())),
            ("operation", Field::Text(field)) => keys.operation = keys.operation.or(Some(field.as_ref())),
            ("unit", Field::Text(field)) => keys.unit = keys.unit.or(Some(field.as_ref())),
            _ => {}
        }
    }
    let (value, quality) = (value.unwrap_or(Held { value: None, text: None }), quality.unwrap_or(GOOD));
    let text = text.or(value.text.as_deref());
    if value.value.is_none() && text.is_none() && quality == GOOD {
        return Err(Refusal::new("malformed", "a line of `samples` needs the field `value` or `text`"));
    }
    let series = row.series(batch);
    let keys = keys.or(row.keys());
    let (equipment, signal) = (row.equipment.as_str(), row.signal.as_str());
    batch.push_sample_of(series, &Sample { time, equipment, signal, value: value.value, text, quality, keys });
    Ok(())
}

fn held(field: &Field<'_>) -> Held {
    let integer = |number: i128, nearest: f64| Held {
        value: Some(nearest),
        text: (!is_exact(number)).then(|| number.to_string()),
    };
    match field {
        Field::Float(number) => Held { value: Some(*number), text: None },
        Field::Integer(number) => integer(i128::from(*number), *number as f64),
        Field::Unsigned(number) => integer(i128::from(*number), *number as f64),
        Field::Flag(flag) => Held { value: Some(f64::from(u8::from(*flag))), text: None },
        Field::Text(text) => Held { value: None, text: Some(text.to_string()) },
    }
}
