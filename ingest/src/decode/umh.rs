//! Payloads of the United Manufacturing Hub: JSON whose objects carry `timestamp_ms`. Topics are the plant's matter.

use super::reading::Readings;
use crate::quarantine::Refusal;

/// Reads a payload. Objects without a time are refused: they belong to a relational contract (`_mes`, `_analytics`),
/// whose fields are no signals.
///
/// # Errors
/// Where nothing of the payload can be read.
pub(crate) fn payload(bytes: &[u8], signal: Option<&str>, readings: &mut Readings) -> Result<(), Refusal> {
    super::payload(bytes, signal, readings)?;
    let before = readings.groups.len();
    readings.groups.retain(|group| group.time.is_some() || group.start == group.end);
    if readings.groups.len() < before {
        let reason = "a UMH payload needs `timestamp_ms` beside its values; \
                      orders, states and the like go to takt/records/<table> as JSON objects";
        readings.refuse("malformed", reason.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
