//! One MQTT message, from whichever broker.

use oee::plant::Format;

use super::{Feed, Intake, Outcome, Source, now_us};
use crate::admit::Arrival;
use crate::batch::Batch;
use crate::decode;
use crate::decode::reading::{Readings, Value};
use crate::quarantine::{Refusal, Refusals, Refused};
use crate::record::{self, Objects};
use crate::route::TopicRoute;
use crate::sample::{BAD, GOOD, Sample};

/// What is left to say of a message after its good parts were taken.
pub(super) struct Leftover {
    pub(super) refusals: Refusals,
    /// What of the payload was refused, where that is less than all of it.
    payload: Option<Vec<u8>>,
}

impl Leftover {
    fn whole(refusal: Refusal) -> Self {
        Self { refusals: refusal.into(), payload: None }
    }
}

impl Intake {
    /// Decodes and admits one message into a batch; what is refused goes to `quarantine`, in the same batch.
    pub fn message(&self, feed: &mut Feed, topic: &str, payload: &[u8], arrival_us: i64, batch: &mut Batch) -> Outcome {
        batch.count_message();
        // Nothing at all is how a retained message is deleted.
        if payload.is_empty() {
            return Outcome::Accepted;
        }
        let leftover = self.take_message(feed, topic, payload, Arrival::new(arrival_us, &self.clock), batch);
        if leftover.refusals.is_empty() {
            return Outcome::Accepted;
        }
        let payload = leftover.payload.as_deref().unwrap_or(payload);
        self.refuse(&feed.source, topic, payload, arrival_us, &leftover.refusals, batch)
    }

    pub(super) fn refuse(
        &self,
        source: &Source,
        topic: &str,
        payload: &[u8],
        arrival_us: i64,
        refusals: &Refusals,
        batch: &mut Batch,
    ) -> Outcome {
        batch.count_refusals(refusals);
        let (error, arrival_us) = (refusals.in_words(), self.clock.tick(arrival_us));
        self.quarantine(&Refused { source: &source.shown, topic, payload, arrival_us, error: &error }, batch)
    }

    /// Puts what is good of a message into the batch, and gives back the rest.
    pub(super) fn take_message(
        &self,
        feed: &mut Feed,
        topic: &str,
        payload: &[u8],
        arrival: Arrival<'_>,
        batch: &mut Batch,
    ) -> Leftover {
        if payload.len() > self.limits.max_payload_bytes {
            let limit = self.limits.max_payload_bytes;
            let reason = format!("the payload has {} bytes; a message may have at most {limit}", payload.len());
            return Leftover::whole(Refusal::new("too_large", reason));
        }
        let route = feed.routes.of(&self.plant, topic);
        match &*route {
            TopicRoute::Refused(refusal) => Leftover::whole(refusal.clone()),
            TopicRoute::Records(table) => self.take_records(table, payload, batch),
            TopicRoute::Signals { equipment, signal, format } => {
                let readings = &mut feed.readings;
                let decoded = match format {
                    Format::Auto => decode::payload(payload, signal.as_deref(), readings),
                    Format::Umh => decode::umh::payload(payload, signal.as_deref(), readings),
                };
                match decoded {
                    Err(refusal) => Leftover::whole(refusal),
                    Ok(()) => {
                        Leftover { refusals: self.take_readings(readings, equipment, arrival, batch), payload: None }
                    }
                }
            }
        }
    }

    /// Admits the readings of a message, and gives back what was refused of it.
    fn take_readings(
        &self,
        readings: &mut Readings,
        equipment: &str,
        arrival: Arrival<'_>,
        batch: &mut Batch,
    ) -> Refusals {
        let mut refusals = Refusals::default();
        readings.refused.drain(..).for_each(|refusal| refusals.push(refusal));
        for group in &readings.groups {
            let Some(list) = readings.list.get(group.start..group.end).filter(|list| !list.is_empty()) else {
                continue;
            };
            let time = match self.window.sample_time(group.time, &arrival) {
                Ok(time) => time,
                Err(refusal) => {
                    refusals.push(refusal);
                    continue;
                }
            };
            let keys = readings.keys(group);
            for reading in list {
                let (value, text, quality) = match reading.value {
                    Value::Null => (None, None, BAD),
                    Value::Number(value) => (Some(value), None, GOOD),
                    Value::Exact(value, digits) => (Some(value), Some(readings.text(digits)), GOOD),
                    Value::Text(text) => (None, Some(readings.text(text)), GOOD),
                };
                let signal = readings.text(reading.signal);
                batch.push_sample(&Sample { time, equipment, signal, value, text, quality, keys });
            }
        }
        refusals
    }

    /// Admits the good rows of a record message.
    fn take_records(&self, table: &str, payload: &[u8], batch: &mut Batch) -> Leftover {
        let (table, objects) = match record::table(table).and_then(|table| Ok((table, Objects::read(payload)?))) {
            Ok(found) => found,
            Err(refusal) => return Leftover::whole(refusal),
        };
        let (mut refusals, mut refused) = (Refusals::default(), Vec::new());
        let Objects { rows, mut not_finite } = objects;
        let several = rows.len() > 1;
        for (place, object) in rows.into_iter().enumerate() {
            let row = not_finite.remove(&place).map_or_else(|| table.row(&object, &self.plant), Err);
            let admitted = row.and_then(|row| {
                table.within(&row, &self.window, now_us())?;
                table.check_end(&row, self.keyer())?;
                Ok(row)
            });
            match admitted {
                Ok(row) => batch.push_record(table.index, &row),
                Err(Refusal { kind, reason }) => {
                    let reason = if several { format!("row {place}: {reason}") } else { reason };
                    refusals.push(Refusal { kind, reason });
                    refused.push(object);
                }
            }
        }
        let payload = several.then(|| serde_json::Value::Array(refused).to_string().into_bytes());
        Leftover { refusals, payload }
    }
}
