//! Bodies of Influx line protocol.

use std::sync::Arc;

use oee::plant::LineRoute;
use storage::StoreError;

use super::{Intake, Source, Submitted, now_us, source_of};
use crate::admit::Arrival;
use crate::batch::Batch;
use crate::decode;
use crate::decode::line::{Field, Line, Lines, Precision};
use crate::decode::scalar::is_exact;
use crate::login::Login;
use crate::quarantine::{Refusal, Refusals};
use crate::route::unknown_equipment;
use crate::sample::{GOOD, Keys, Sample};

/// The address that stands in `quarantine`; the unit of times follows.
pub(super) const ADDRESS: &str = "/api/v2/write?precision=";
/// The measurement that is the table `samples` itself.
const SAMPLES: &str = "samples";
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
        let text = match std::str::from_utf8(body) {
            Ok(text) => text,
            Err(error) => {
                let refusal = decode::not_utf8(body, error);
                batch.count_message();
                receipt.refuse(1, &refusal);
                self.refuse(source, &address, body, arrival_us, &refusal.into(), &mut batch);
                self.commit(batch).await?;
                return Ok(receipt);
            }
        };
        let mut submitted: Vec<Submitted> = Vec::new();
        let (mut refusals, mut bad_lines) = (Refusals::default(), String::new());
        for numbered in Lines::new(text) {
            batch.count_message();
            let read = numbered.line.map_err(|reason| Refusal::new("malformed", reason));
            match read.and_then(|line| self.take_line(&line, precision, arrival, &mut batch)) {
                Ok(()) => receipt.accepted += 1,
                Err(refusal) => {
                    bad_lines.push_str(numbered.raw);
                    bad_lines.push('\n');
                    receipt.refuse(numbered.number, &refusal);
                    refusals
                        .push(Refusal { reason: format!("line {}: {}", numbered.number, refusal.reason), ..refusal });
                }
            }
            if batch.bytes() > PIECE_BYTES {
                let piece = std::mem::replace(&mut batch, source.batch());
                submitted.push(self.hand_over(piece, false).await?);
            }
        }
        if !refusals.is_empty() {
            self.refuse(source, &address, bad_lines.as_bytes(), arrival_us, &refusals, &mut batch);
        }
        submitted.push(self.hand_over(batch, false).await?);
        for piece in &mut submitted {
            piece.stored().await?;
        }
        Ok(receipt)
    }

    /// Puts one line into the batch.
    pub(super) fn take_line(
        &self,
        line: &Line<'_>,
        precision: Precision,
        arrival: Arrival<'_>,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        let in_precision = |time| {
            let time_us = precision.microseconds(time);
            time_us.ok_or_else(|| Refusal::new("time", format!("{time} is no time in this precision")))
        };
        let time = self.window.sample_time(line.time.map(in_precision).transpose()?, &arrival)?;
        if line.measurement == SAMPLES {
            return self.take_sample_line(line, time, batch);
        }
        let tags: Vec<(&str, &str)> = line.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
        let (equipment, signal) = match self.plant.line_route(&line.measurement, &tags) {
            LineRoute::Mapped { equipment, signal } => (equipment, signal),
            LineRoute::UnknownEquipment { equipment } => return Err(unknown_equipment(&equipment)),
            LineRoute::Unmapped { missing_tag } => {
                let reason = format!(
                    "measurement `{}` needs the tag `{missing_tag}`, or a [[line_protocol]] entry in plant.toml \
                     that names its equipment by other tags",
                    line.measurement
                );
                return Err(Refusal::new("unmapped", reason));
            }
        };
        for (key, field) in &line.fields {
            let name = match &signal {
                None => key.to_string(),
                Some(signal) if key == "value" => signal.clone(),
                Some(signal) => format!("{signal}.{key}"),
            };
            let Held { value, text } = held(field);
            let keys = Keys::default();
            batch.push_sample(&Sample {
                time,
                equipment: &equipment,
                signal: &name,
                value,
                text: text.as_deref(),
                quality: GOOD,
                keys,
            });
        }
        Ok(())
    }

    /// A row of `samples` as it stands: tags `equipment` and `signal`; keys as tags or fields.
    fn take_sample_line(&self, line: &Line<'_>, time: i64, batch: &mut Batch) -> Result<(), Refusal> {
        let missing = |tag: &str| Refusal::new("malformed", format!("a line of `samples` needs the tag `{tag}`"));
        let equipment = line.tag("equipment").ok_or_else(|| missing("equipment"))?;
        let signal = line.tag("signal").ok_or_else(|| missing("signal"))?;
        if self.plant.equipment(equipment).is_none() {
            return Err(unknown_equipment(equipment));
        }
        let field = |name: &str| line.fields.iter().find(|(key, _)| key == name).map(|(_, field)| field);
        let key = |name: &str| match field(name) {
            Some(Field::Text(text)) => Some(text.as_ref()),
            _ => line.tag(name),
        };
        let value = field("value").map_or(Held { value: None, text: None }, held);
        let text = match field("text") {
            Some(Field::Text(text)) => Some(text.as_ref()),
            _ => value.text.as_deref(),
        };
        let quality = match field("quality") {
            Some(Field::Integer(code)) => *code,
            Some(Field::Unsigned(code)) => i64::try_from(*code).unwrap_or(i64::MAX),
            Some(Field::Float(code)) if code.fract() == 0.0 => *code as i64,
            None => GOOD,
            Some(_) => return Err(Refusal::new("malformed", "`quality` is an integer, the OPC UA StatusCode")),
        };
        if value.value.is_none() && text.is_none() && quality == GOOD {
            return Err(Refusal::new("malformed", "a line of `samples` needs the field `value` or `text`"));
        }
        let keys = Keys { work_order: key("work_order"), operation: key("operation"), unit: key("unit") };
        batch.push_sample(&Sample { time, equipment, signal, value: value.value, text, quality, keys });
        Ok(())
    }
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
