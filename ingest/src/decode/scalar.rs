//! Bare values: `71.4`, `"71,4"`, `true`, `RUN`.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    /// A number.
    Number(f64),
    /// An integer that a double cannot hold; the nearest double.
    Exact(f64),
    /// NaN or an infinity, in one of the spellings that devices use.
    NotFinite,
    /// Anything else.
    Text,
}

/// The longest text that is looked at as a number.
const LONGEST_NUMBER: usize = 40;

/// Spellings of what is no finite number, without sign.
const NOT_FINITE: [&str; 8] = ["nan", "inf", "infinity", "1.#inf", "1.#qnan", "1.#ind", "nan(ind)", "1.#snan"];

/// Reads text as a number where it plainly is one.
///
/// A decimal comma counts as a point. Text with leading zeros (`007`), thousands separators, or an exponent with neither
/// a decimal separator nor a sign (`12E5`, a lot number as likely as not) stays text; `1e-05` is how C prints a number.
pub(crate) fn read(text: &str) -> Scalar {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.len() > LONGEST_NUMBER {
        return Scalar::Text;
    }
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    match unsigned.bytes().next() {
        Some(b'0'..=b'9') if !unsigned.contains('#') => number(trimmed, unsigned),
        _ if NOT_FINITE.iter().any(|word| unsigned.eq_ignore_ascii_case(word)) => Scalar::NotFinite,
        _ => Scalar::Text,
    }
}

fn number(text: &str, unsigned: &str) -> Scalar {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = |whole: &str| whole.len() > 1 && whole.starts_with('0');
    let Some((whole, rest)) = unsigned.split_once(['.', ',']) else {
        if let Some((whole, exponent)) = unsigned.split_once(['e', 'E'])
            && let Some(exponent) = exponent.strip_prefix(['-', '+'])
        {
            let plain = digits(whole) && !leading_zero(whole) && digits(exponent);
            return if plain { finite(text.parse().ok()) } else { Scalar::Text };
        }
        return if digits(unsigned) && !leading_zero(unsigned) { integer(text) } else { Scalar::Text };
    };
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    if !digits(whole) || leading_zero(whole) || !digits(fraction) || !exponent_fits {
        return Scalar::Text;
    }
    finite(if text.contains(',') { text.replacen(',', ".", 1).parse().ok() } else { text.parse().ok() })
}

fn finite(parsed: Option<f64>) -> Scalar {
    match parsed {
        Some(value) if value.is_finite() => Scalar::Number(value),
        Some(_) => Scalar::NotFinite,
        None => Scalar::Text,
    }
}

fn integer(text: &str) -> Scalar {
    let Ok(value) = text.parse::<f64>() else { return Scalar::Text };
    match text.parse::<i128>() {
        Ok(exact) if is_exact(exact) => Scalar::Number(value),
        _ => Scalar::Exact(value),
    }
}

/// Whether a double holds this integer exactly.
pub(crate) fn is_exact(value: i128) -> bool {
    value as f64 as i128 == value
}

#[cfg(test)]
mod tests;
