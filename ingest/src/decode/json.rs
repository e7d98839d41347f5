//! JSON payloads, flat or nested, streamed from the parser into [`Readings`] without a tree in between.
//!
//! - An object's keys are signals; nested keys are joined with `.`, places in an array count as keys.
//! - At the top, `ts`, `time`, `timestamp`, `timestamp_ms` (also `_us`, `_ns`, `_s`; any case) are the source time.
//! - At the top, `work_order`, `operation` and `unit` are explicit keys. A `unit` beside a `value`, without the other
//!   two, is a unit of measure and stays an ordinary value.
//! - Where the topic names the signal, the key `value` is that signal itself.
//! - An array at the top holds messages, each with its own time, or values.
//! - NaN, infinities and numbers beyond a double are refused by name, as text or bare as Python writes them; the other
//!   values stay.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::reading::{Readings, Span, Value};
use super::time;
use crate::quarantine::Refusal;

/// The longest name of a signal, bytes.
const LONGEST_NAME: usize = 512;
/// Characters of a name that is too long that a refusal shows.
const SHOWN_OF_NAME: usize = 40;

static TIME_NAMES: [&str; 7] =
    ["ts", "time", "timestamp", "timestamp_ms", "timestamp_us", "timestamp_ns", "timestamp_s"];

/// Reads JSON into `readings`, which have begun with `signal`.
///
/// # Errors
/// Where it is no JSON, too deep, or holds too many values.
pub(crate) fn decode(text: &str, signal: Option<&str>, readings: &mut Readings) -> Result<(), Refusal> {
    let Err(error) = parse(text, readings) else { return Ok(()) };
    if let Some(marked) = mark_not_finite(text) {
        readings.begin(signal);
        readings.marked = true;
        let read = parse(&marked, readings);
        readings.marked = false;
        if read.is_ok() {
            return Ok(());
        }
    }
    Err(Refusal::new("malformed", format!("the payload is not JSON that takt can read: {error}")))
}

fn parse(text: &str, readings: &mut Readings) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Node { out: readings, depth: 0, role: Role::Message }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    if readings.groups.is_empty() && !readings.list.is_empty() {
        readings.group(0, None, [None; 3]);
    }
    Ok(())
}

/// What a node of the document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The whole document.
    Message,
    /// An element of an array that is the whole document; its place was appended to the path behind `base`.
    Item { base: usize },
    /// Anything below.
    Inner,
}

struct Node<'r> {
    out: &'r mut Readings,
    depth: usize,
    role: Role,
}

/// What an object says about itself rather than about a signal.
#[derive(Default)]
struct Head {
    time: Option<Result<i64, String>>,
    work_order: Option<Span>,
    operation: Option<Span>,
    unit: Option<Span>,
    value: bool,
}

impl Node<'_> {
    fn push<E: Error>(self, value: Value) -> Result<(), E> {
        self.room::<E>()?;
        self.out.push(value);
        Ok(())
    }

    fn room<E: Error>(&self) -> Result<(), E> {
        if self.out.path.is_empty() {
            return Err(E::custom(super::no_signal().reason));
        }
        if self.out.list.len() >= self.out.max_values {
            return Err(E::custom(format!("it holds more than {} values", self.out.max_values)));
        }
        Ok(())
    }

    fn descend<E: Error>(&self) -> Result<(), E> {
        if self.depth >= self.out.max_depth {
            return Err(E::custom(format!("it is nested more than {} deep", self.out.max_depth)));
        }
        Ok(())
    }

    fn message<'de, A: MapAccess<'de>>(self, mut map: A, base: usize) -> Result<(), A::Error> {
        let out = self.out;
        out.path.truncate(base);
        let start = out.list.len();
        let mut head = Head::default();
        while let Some(name) = map.next_key_seed(Key { out: &mut *out, message: true })? {
            let value = Node { out: &mut *out, depth: self.depth + 1, role: Role::Inner };
            match name {
                Name::Signal => map.next_value_seed(value)?,
                Name::Refused => {
                    map.next_value::<IgnoredAny>()?;
                }
                Name::Value => {
                    head.value = true;
                    map.next_value_seed(value)?;
                }
                Name::Time(name) => {
                    let read = map.next_value_seed(Time)?;
                    match (&head.time, read) {
                        (_, None) => {}
                        (None, Some(time)) => head.time = Some(time.map_err(|reason| format!("`{name}`: {reason}"))),
                        (Some(Ok(first)), Some(Ok(time))) if *first == time => {}
                        (Some(_), Some(_)) => {
                            let reason = format!("`{name}` is another time of the same message; the first one counts");
                            out.refuse("time", reason);
                        }
                    }
                }
                Name::WorkOrder => head.work_order = map.next_value_seed(KeyText { out: &mut *out })?,
                Name::Operation => head.operation = map.next_value_seed(KeyText { out: &mut *out })?,
                Name::Unit => head.unit = map.next_value_seed(KeyText { out: &mut *out })?,
            }
            out.path.truncate(base);
        }
        close(out, start, head);
        Ok(())
    }

    fn inner<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let base = self.out.path.len();
        while let Some(name) = map.next_key_seed(Key { out: &mut *self.out, message: false })? {
            if name == Name::Refused {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Node { out: &mut *self.out, depth: self.depth + 1, role: Role::Inner })?;
            }
            self.out.path.truncate(base);
        }
        Ok(())
    }
}

/// Ends an object that is a message of its own.
fn close(out: &mut Readings, start: usize, mut head: Head) {
    if head.value
        && head.work_order.is_none()
        && head.operation.is_none()
        && let Some(unit) = head.unit.take()
    {
        let base = out.path.len();
        append(&mut out.path, "unit");
        out.push(Value::Text(unit));
        out.path.truncate(base);
    }
    match head.time.transpose() {
        Ok(time) => out.group(start, time, [head.work_order, head.operation, head.unit]),
        Err(reason) => {
            out.list.truncate(start);
            out.refuse("time", reason);
        }
    }
}

fn append(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.push(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.push(Value::Number(f64::from(u8::from(value))))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.push(Value::Number(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        if super::scalar::is_exact(i128::from(value)) {
            return self.push(Value::Number(value as f64));
        }
        let digits = self.out.keep(&value.to_string());
        self.push(Value::Exact(value as f64, digits))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        if super::scalar::is_exact(i128::from(value)) {
            return self.push(Value::Number(value as f64));
        }
        let digits = self.out.keep(&value.to_string());
        self.push(Value::Exact(value as f64, digits))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.room::<E>()?;
        match marked(value).filter(|_| self.out.marked) {
            Some(number) => self.out.refuse_not_finite(number),
            None => self.out.push_text(value),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.descend::<A::Error>()?;
        match self.role {
            Role::Message => {
                let base = self.out.path.len();
                self.message(map, base)
            }
            Role::Item { base } => self.message(map, base),
            Role::Inner => self.inner(map),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.descend::<A::Error>()?;
        let base = self.out.path.len();
        let role = if self.role == Role::Message { Role::Item { base } } else { Role::Inner };
        for index in 0_usize.. {
            append(&mut self.out.path, &index.to_string());
            let (start, groups) = (self.out.list.len(), self.out.groups.len());
            let item = Node { out: &mut *self.out, depth: self.depth + 1, role };
            let more = items.next_element_seed(item)?.is_some();
            self.out.path.truncate(base);
            if !more {
                break;
            }
            // A bare value of a top-level array has no object to give it a time.
            if self.role == Role::Message && self.out.groups.len() == groups && self.out.list.len() > start {
                self.out.group(start, None, [None; 3]);
            }
        }
        Ok(())
    }
}

/// What a key of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// A signal, or a part of its name; appended to the path.
    Signal,
    /// The value of the signal that the topic names.
    Value,
    /// The source time.
    Time(&'static str),
    WorkOrder,
    Operation,
    Unit,
    /// No name that a signal can have; its value is left out.
    Refused,
}

struct Key<'r> {
    out: &'r mut Readings,
    message: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Name;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Name, E> {
        if self.message
            && let Some(name) = reserved(key, !self.out.path.is_empty())
        {
            return Ok(name);
        }
        if key.is_empty() {
            let place = if self.out.path.is_empty() { "the top" } else { &self.out.path };
            let reason = format!("a key below {place} is empty, which names no signal; its value was left out");
            self.out.refuse("malformed", reason);
            return Ok(Name::Refused);
        }
        if self.out.path.len() + key.len() >= LONGEST_NAME {
            let start: String = key.chars().take(SHOWN_OF_NAME).collect();
            let reason = format!("the name {start}… is longer than {LONGEST_NAME} bytes; its value was left out");
            self.out.refuse("malformed", reason);
            return Ok(Name::Refused);
        }
        append(&mut self.out.path, key);
        Ok(Name::Signal)
    }
}

fn reserved(key: &str, signal_known: bool) -> Option<Name> {
    match key {
        "value" if signal_known => Some(Name::Value),
        "work_order" => Some(Name::WorkOrder),
        "operation" => Some(Name::Operation),
        "unit" => Some(Name::Unit),
        _ if key.starts_with(['t', 'T']) => {
            TIME_NAMES.iter().find(|name| key.eq_ignore_ascii_case(name)).map(|&name| Name::Time(name))
        }
        _ => None,
    }
}

/// A source time; `None` where it is null.
struct Time;

impl<'de> DeserializeSeed<'de> for Time {
    type Value = Option<Result<i64, String>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Time {
    type Value = Option<Result<i64, String>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a time")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Err(format!("{value} is no time"))))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(time::integer(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(value).map_err(|_| format!("{value} is no time")).and_then(time::integer)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(time::float(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        match marked(value) {
            Some(number) => Ok(Some(Err(format!("{number} is no time")))),
            None => Ok(Some(time::text(value))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Err("an object is no time".into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Err("an array is no time".into())))
    }
}

/// The text of an explicit key; numbers are taken as their digits.
struct KeyText<'r> {
    out: &'r mut Readings,
}

impl<'de> DeserializeSeed<'de> for KeyText<'_> {
    type Value = Option<Span>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyText<'_> {
    type Value = Option<Span>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(self.out.keep(if value { "true" } else { "false" })))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(self.out.keep(&value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(self.out.keep(&value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(self.out.keep(&value.to_string())))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        if let Some(number) = marked(value).filter(|_| self.out.marked) {
            self.out.refuse("not_finite", format!("{KEY_IS_TEXT}; {number} there was left out"));
            return Ok(None);
        }
        Ok((!value.is_empty()).then(|| self.out.keep(value)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.out.refuse("malformed", format!("{KEY_IS_TEXT}; an object or array there was left out"));
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.out.refuse("malformed", format!("{KEY_IS_TEXT}; an object or array there was left out"));
        Ok(None)
    }
}

const KEY_IS_TEXT: &str = "`work_order`, `operation` and `unit` are text";

/// What stands before a number that was made a text because the parser cannot take it.
const MARK: char = '\0';

/// The number of a marked text.
pub(crate) fn marked(text: &str) -> Option<&str> {
    text.strip_prefix(MARK)
}

/// The document with bare `NaN`, `Infinity`, `-Infinity` and numbers beyond a double as marked texts; `None` where there is
/// none of them.
pub(crate) fn mark_not_finite(text: &str) -> Option<String> {
    let mut marked = String::new();
    let (mut copied, mut place, mut inside) = (0, 0, false);
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(place) {
        match byte {
            b'\\' if inside => place += 1,
            b'"' => inside = !inside,
            b'N' | b'I' | b'-' | b'0'..=b'9' if !inside => {
                let (length, finite) = number(text.get(place..).unwrap_or_default());
                if !finite {
                    marked.push_str(text.get(copied..place).unwrap_or_default());
                    copied = place + length;
                    marked.push_str("\"\\u0000");
                    marked.push_str(text.get(place..copied).unwrap_or_default());
                    marked.push('"');
                }
                place += length;
                continue;
            }
            _ => {}
        }
        place += 1;
    }
    (copied > 0).then(|| marked + text.get(copied..).unwrap_or_default())
}

/// Bytes of the number or word that `text` begins with, at least one, and whether the parser can take it.
fn number(text: &str) -> (usize, bool) {
    if let Some(word) = ["NaN", "Infinity", "-Infinity"].iter().find(|word| text.starts_with(**word)) {
        return (word.len(), false);
    }
    let part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let length = text.bytes().take_while(|byte| part(*byte)).count();
    let finite = text.get(..length).and_then(|number| number.parse::<f64>().ok()).is_none_or(f64::is_finite);
    (length.max(1), finite)
}

#[cfg(test)]
mod tests;
