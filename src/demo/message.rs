//! One MQTT message, and the JSON inside it.

use jiff::Timestamp;
use serde_json::Value;

use super::MILLISECOND_US;

/// One message as equipment publishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When the equipment sends it: microseconds UTC.
    pub time_us: i64,
    /// MQTT topic.
    pub topic: String,
    /// Payload: JSON, or a bare number as text.
    pub payload: Vec<u8>,
    /// Whether a broker keeps it for later subscribers.
    pub retain: bool,
}

impl Message {
    /// A reading of equipment.
    pub(super) fn reading(time_us: i64, topic: impl Into<String>, payload: String) -> Self {
        Self { time_us, topic: topic.into(), payload: payload.into_bytes(), retain: false }
    }

    /// One record of a table.
    pub(super) fn record(time_us: i64, table: &str, record: Object) -> Self {
        Self::reading(time_us, format!("takt/records/{table}"), record.close())
    }

    /// Several records of a table in one message.
    pub(super) fn records(time_us: i64, table: &str, records: Vec<Object>) -> Self {
        let list: Vec<String> = records.into_iter().map(Object::close).collect();
        Self::reading(time_us, format!("takt/records/{table}"), format!("[{}]", list.join(",")))
    }
}

/// A JSON object under construction. It keeps the order of its fields and writes decimals with the places
/// that the device has, as controllers do.
#[derive(Debug)]
pub(super) struct Object(String);

impl Object {
    /// An object without fields.
    pub(super) fn new() -> Self {
        let mut text = String::with_capacity(96);
        text.push('{');
        Self(text)
    }

    /// A flat reading: source time in epoch milliseconds first.
    pub(super) fn reading(time_us: i64) -> Self {
        Self::new().integer("ts", time_us / MILLISECOND_US)
    }

    /// A text field.
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.raw(name, &Value::from(value).to_string())
    }

    /// An integer field.
    pub(super) fn integer(self, name: &str, value: i64) -> Self {
        self.raw(name, &value.to_string())
    }

    /// A decimal field with a fixed number of places.
    pub(super) fn decimal(self, name: &str, value: f64, places: usize) -> Self {
        // Adding zero turns a negative zero into a plain one.
        self.raw(name, &format!("{:.places$}", rounded(value, places) + 0.0))
    }

    /// A decimal field, or none at all.
    pub(super) fn optional(self, name: &str, value: Option<f64>, places: usize) -> Self {
        match value {
            Some(value) => self.decimal(name, value, places),
            None => self,
        }
    }

    /// A time as RFC 3339; one that a calendar cannot hold goes out as epoch microseconds, which a record
    /// may carry as well.
    pub(super) fn time(self, name: &str, time_us: i64) -> Self {
        match Timestamp::from_microsecond(time_us) {
            Ok(time) => self.text(name, &time.to_string()),
            Err(_) => self.integer(name, time_us),
        }
    }

    /// The finished JSON.
    pub(super) fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn raw(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
        self.0.push_str(json);
        self
    }
}

/// `value` with the given number of decimal places.
pub(super) fn rounded(value: f64, places: usize) -> f64 {
    let scale = 10_f64.powi(i32::try_from(places).unwrap_or(0));
    (value * scale).round() / scale
}
