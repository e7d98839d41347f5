//! Times as sources write them: a number of seconds to nanoseconds, or RFC 3339.

/// Microseconds UTC of a time with a zone: `2026-11-21T08:00:00.123Z`, `…+01:00`, or a number in a string.
///
/// # Errors
/// What is wrong, for a person.
pub(crate) fn text(text: &str) -> Result<i64, String> {
    let trimmed = text.trim();
    if let Ok(number) = trimmed.parse::<i64>() {
        return integer(number);
    }
    if let Ok(timestamp) = trimmed.parse::<jiff::Timestamp>() {
        return Ok(timestamp.as_nanosecond().div_euclid(1_000).try_into().unwrap_or(i64::MAX));
    }
    if let Ok(number) = trimmed.parse::<f64>() {
        return float(number);
    }
    if trimmed.parse::<jiff::civil::DateTime>().is_ok() {
        return Err(format!("the time \"{trimmed}\" has no zone; add Z for UTC or an offset such as +01:00"));
    }
    Err(format!("\"{}\" is no time; send RFC 3339 with a zone (2026-11-21T08:00:00Z) or a number", excerpt(trimmed)))
}

/// Microseconds UTC of a number of seconds, milliseconds, microseconds or nanoseconds since 1970, by its size.
///
/// Each unit is understood from 1973 to 5138, so every plausible time of a plant is read in the right one.
///
/// # Errors
/// Never for an integer; the type matches [`text`] and [`float`].
pub(crate) fn integer(number: i64) -> Result<i64, String> {
    Ok(match number.unsigned_abs() {
        0..100_000_000_000 => number * 1_000_000,
        100_000_000_000..100_000_000_000_000 => number * 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number.div_euclid(1_000),
    })
}

/// As [`integer`], for a number with a fraction. What lies out of range saturates; the time window refuses it.
///
/// # Errors
/// Where it is no finite number.
pub(crate) fn float(number: f64) -> Result<i64, String> {
    if !number.is_finite() {
        return Err(format!("{number} is no time"));
    }
    let factor = match number.abs() {
        size if size < 1e11 => 1e6,
        size if size < 1e14 => 1e3,
        size if size < 1e17 => 1.0,
        _ => 1e-3,
    };
    Ok((number * factor).round() as i64)
}

/// RFC 3339 of a time, for messages.
pub(crate) fn show(time_us: i64) -> String {
    jiff::Timestamp::from_microsecond(time_us).map_or_else(|_| format!("{time_us} µs"), |time| time.to_string())
}

/// The beginning of a text, for messages.
pub(crate) fn excerpt(text: &str) -> &str {
    let end = text.char_indices().nth(60).map_or(text.len(), |(place, _)| place);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests;
