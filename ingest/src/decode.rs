//! Payloads to readings. Everything here is a pure function of the payload: no plant, no clock.

pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod reading;
pub(crate) mod scalar;
pub(crate) mod time;
pub(crate) mod umh;

use crate::quarantine::Refusal;
use reading::{Readings, Value};

/// The longest bare text that is taken as a value.
const LONGEST_TEXT: usize = 64 * 1024;

/// Characters of a number that a refusal shows at most.
const LONGEST_SHOWN: usize = 40;

/// Reads a payload that is a bare value or JSON, whichever it looks like. `signal` is what the topic names.
///
/// An empty payload says nothing: it is how MQTT deletes a retained message.
///
/// # Errors
/// Where nothing of the payload can be read; what is wrong with single values is in [`Readings::refused`].
pub(crate) fn payload(bytes: &[u8], signal: Option<&str>, readings: &mut Readings) -> Result<(), Refusal> {
    readings.begin(signal);
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    match text.trim_start().bytes().next() {
        None => Ok(()),
        Some(b'{' | b'[' | b'"') => json::decode(text, signal, readings),
        Some(_) => bare(text.trim(), readings),
    }
}

fn bare(text: &str, readings: &mut Readings) -> Result<(), Refusal> {
    if readings.path.is_empty() {
        return Err(no_signal());
    }
    if text.len() > LONGEST_TEXT {
        return Err(Refusal::new(
            "malformed",
            format!("the payload is text of {} bytes, which is no signal's value", text.len()),
        ));
    }
    if let Some(control) = text.chars().find(|char| char.is_control() && !char.is_whitespace()) {
        let reason = format!(
            "the payload is neither text nor JSON (it holds the control character U+{:04X})",
            u32::from(control)
        );
        return Err(Refusal::new("malformed", reason));
    }
    match text {
        _ if text.eq_ignore_ascii_case("true") => readings.push(Value::Number(1.0)),
        _ if text.eq_ignore_ascii_case("false") => readings.push(Value::Number(0.0)),
        _ if text.eq_ignore_ascii_case("null") => readings.push(Value::Null),
        _ => readings.push_text(text),
    }
    readings.group(0, None, [None; 3]);
    Ok(())
}

/// Why a value without a name is refused.
pub(crate) fn no_signal() -> Refusal {
    let reason = "the payload is a bare value and the topic's mapping names no signal; \
                  give its [[topics]] entry in plant.toml a `signal`, or send a JSON object";
    Refusal::new("malformed", reason)
}

/// Why a number that cannot be stored is refused.
pub(crate) fn not_finite(name: &str, number: &str) -> Refusal {
    let digits = number.trim_start_matches(['-', '+']).starts_with(|first: char| first.is_ascii_digit());
    let what = if digits { "beyond what a double can hold" } else { "no finite number" };
    let shown = match number.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", number.get(..end).unwrap_or_default()),
        None => number.to_owned(),
    };
    Refusal::new("not_finite", format!("`{name}` is {shown}, which is {what}; send null where there is no value"))
}

/// Why bytes that are not text are refused.
pub(crate) fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Refusal {
    let place = error.valid_up_to();
    let byte = bytes.get(place).copied().unwrap_or_default();
    Refusal::new("not_utf8", format!("the payload is not UTF-8 text: byte 0x{byte:02X} at offset {place}"))
}
