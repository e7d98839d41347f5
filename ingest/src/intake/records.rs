//! Records that come over HTTP.

use std::sync::Arc;

use serde_json::Value;
use storage::StoreError;

use super::lines::PIECE_BYTES;
use super::{Intake, Source, Submitted, now_us, source_of};
use crate::admit::Arrival;
use crate::batch::Batch;
use crate::decode::time;
use crate::login::Login;
use crate::quarantine::{Refusal, Refusals};
use crate::record::{self, Objects, RowRefusal};
use crate::route::unknown_equipment;
use crate::sample::{GOOD, Keys, Sample};

/// The address that stands in `quarantine`; the table follows.
pub(super) const ADDRESS: &str = "/api/v1/";

/// Refused rows that a receipt names.
const NAMED: usize = 100;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordReceipt {
    /// Rows that were stored.
    pub accepted: usize,
    /// Rows that were refused.
    pub refused: usize,
    /// The first of them.
    pub first_refused: Vec<RowRefusal>,
}

impl RecordReceipt {
    fn refuse(&mut self, row: usize, refusal: &Refusal) {
        self.refused += 1;
        if self.first_refused.len() < NAMED {
            self.first_refused.push(RowRefusal { row, reason: refusal.reason.clone() });
        }
    }
}

impl Intake {
    /// Stores records of a table: an object, or an array of objects. Good rows are stored whatever the others are;
    /// refused ones also go to `quarantine`. Also takes rows of `samples`. Resolves once all is durable and visible.
    ///
    /// # Errors
    /// Why the rows were not stored; sending them again is harmless.
    pub async fn records(
        self: &Arc<Self>,
        login: &Login,
        table: &str,
        json: &[u8],
    ) -> Result<RecordReceipt, StoreError> {
        self.records_from(&source_of(login), table, json).await
    }

    pub(super) async fn records_from(
        self: &Arc<Self>,
        source: &Source,
        table: &str,
        json: &[u8],
    ) -> Result<RecordReceipt, StoreError> {
        let (arrival_us, address) = (now_us(), format!("{ADDRESS}{table}"));
        let arrival = Arrival::new(arrival_us, &self.clock);
        let mut batch = source.batch();
        let mut receipt = RecordReceipt::default();
        let taker = if table == oee::tables::SAMPLES.name { Ok(None) } else { record::table(table).map(Some) };
        let (taker, objects) = match taker.and_then(|taker| Ok((taker, Objects::read(json)?))) {
            Ok(found) => found,
            Err(refusal) => {
                batch.count_message();
                receipt.refuse(0, &refusal);
                self.refuse(source, &address, json, arrival_us, &refusal.into(), &mut batch);
                self.commit(batch).await?;
                return Ok(receipt);
            }
        };
        let mut submitted: Vec<Submitted> = Vec::new();
        let (mut refusals, mut bad_rows) = (Refusals::default(), Vec::new());
        let Objects { rows, mut not_finite } = objects;
        for (row, object) in rows.into_iter().enumerate() {
            batch.count_message();
            let taken = match (not_finite.remove(&row), taker) {
                (Some(refusal), _) => Err(refusal),
                (None, Some(table)) => table.row(&object, &self.plant).and_then(|row| {
                    table.within(&row, &self.window, arrival_us)?;
                    table.check_end(&row, self.keyer())?;
                    batch.push_record(table.index, &row);
                    Ok(())
                }),
                (None, None) => self.take_sample_object(&object, arrival, &mut batch),
            };
            match taken {
                Ok(()) => receipt.accepted += 1,
                Err(refusal) => {
                    receipt.refuse(row, &refusal);
                    refusals.push(Refusal { reason: format!("row {row}: {}", refusal.reason), ..refusal });
                    bad_rows.push(object);
                }
            }
            if batch.bytes() > PIECE_BYTES {
                let piece = std::mem::replace(&mut batch, source.batch());
                submitted.push(self.hand_over(piece, false).await?);
            }
        }
        if !refusals.is_empty() {
            let payload = Value::Array(bad_rows).to_string();
            self.refuse(source, &address, payload.as_bytes(), arrival_us, &refusals, &mut batch);
        }
        submitted.push(self.hand_over(batch, false).await?);
        for piece in &mut submitted {
            piece.stored().await?;
        }
        Ok(receipt)
    }

    /// A row of `samples` as a JSON object.
    pub(super) fn take_sample_object(
        &self,
        object: &Value,
        arrival: Arrival<'_>,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        let refusal = |reason: String| Refusal::new("record", reason);
        let Value::Object(fields) = object else {
            return Err(refusal("a sample is a JSON object whose field names are column names".into()));
        };
        let known = oee::tables::SAMPLES.columns;
        if let Some(name) = fields.keys().find(|name| !known.iter().any(|column| column.name == name.as_str())) {
            let names: Vec<&str> = known.iter().map(|column| column.name).collect();
            return Err(refusal(format!("`samples` has no field `{name}`; its fields are {}", names.join(", "))));
        }
        let said = |name: &str| fields.get(name).filter(|value| !value.is_null()).map(record::text);
        let name = |name: &str| said(name).filter(|name| !name.is_empty());
        let equipment = name("equipment").ok_or_else(|| refusal("a sample needs the field `equipment`".into()))?;
        let signal = name("signal").ok_or_else(|| refusal("a sample needs the field `signal`".into()))?;
        let (equipment, signal) = (equipment.as_ref(), signal.as_ref());
        if self.plant.equipment(equipment).is_none() {
            return Err(unknown_equipment(equipment));
        }
        let given = match fields.get("time") {
            None | Some(Value::Null) => None,
            Some(value) => Some(sample_time(value).map_err(|reason| refusal(format!("`time`: {reason}")))?),
        };
        let time = self.window.sample_time(given, &arrival)?;
        let (value, digits) = match fields.get("value") {
            None | Some(Value::Null) => (None, None),
            Some(Value::Bool(flag)) => (Some(f64::from(u8::from(*flag))), None),
            Some(value @ Value::Number(number)) => (number.as_f64(), inexact(value)),
            Some(other) => {
                return Err(refusal(format!("`value` is {other}, which is no number; text goes into `text`")));
            }
        };
        let quality = match fields.get("quality") {
            None | Some(Value::Null) => GOOD,
            Some(code) => {
                code.as_i64().ok_or_else(|| refusal("`quality` is an integer, the OPC UA StatusCode".into()))?
            }
        };
        let (text, [work_order, operation, unit]) = (said("text"), ["work_order", "operation", "unit"].map(name));
        let keys = Keys { work_order: work_order.as_deref(), operation: operation.as_deref(), unit: unit.as_deref() };
        batch.push_sample(&Sample {
            time,
            equipment,
            signal,
            value,
            text: text.as_deref().or(digits.as_deref()),
            quality,
            keys,
        });
        Ok(())
    }
}

fn sample_time(value: &Value) -> Result<i64, String> {
    match value {
        Value::String(text) => time::text(text),
        Value::Number(number) => match number.as_i64() {
            Some(number) => time::integer(number),
            None => time::float(number.as_f64().unwrap_or(f64::NAN)),
        },
        other => Err(format!("{other} is no time; send RFC 3339 with a zone, or a number")),
    }
}

/// The digits of an integer that a double cannot hold.
fn inexact(value: &Value) -> Option<String> {
    let exact = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))?;
    (!crate::decode::scalar::is_exact(exact)).then(|| exact.to_string())
}
