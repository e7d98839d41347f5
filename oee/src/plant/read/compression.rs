//! `compression = { … }` of a signal.

use super::super::document::Section;
use super::super::draft::micros;
use super::super::mistake::{Located, Mistakes};
use super::super::{Interpolation, Role};
use crate::thinning::{Compression, Limits, Method};

const EXAMPLE: &str = "{ method = \"swinging_door\", deviation = 0.5 }";

pub(super) fn compression(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<Located<Compression>> {
    let mut table = section.inline_table("compression", EXAMPLE, mistakes)?;
    for key in ["method", "deviation"] {
        table.demand(key, mistakes);
    }
    let method = table.word("method", &Method::WORDS, mistakes);
    let deviation = table.number("deviation", mistakes);
    let max_interval = table.positive("max_interval_s", mistakes);
    let at = table.at;
    table.finish(mistakes);
    let (method, deviation) = (method?.value, deviation?);
    let max_gap_us = max_interval.as_ref().map(|interval| micros(interval.value));
    let mut wrong = |key: &str, number: &Located<f64>, remedy: &str| {
        mistakes.add(number.at, format!("`{key}` is {}", number.value), remedy);
    };
    if Limits::new(deviation.value, None).is_err() {
        wrong("deviation", &deviation, "write 0 or more, in the unit of the signal");
        return None;
    }
    match (Limits::new(deviation.value, max_gap_us), &max_interval) {
        (Ok(limits), _) => Some(Located { value: Compression { method, limits }, at }),
        (Err(_), Some(interval)) => {
            wrong("max_interval_s", interval, "write seconds, a millionth or more, or leave the key out");
            None
        }
        (Err(_), None) => None,
    }
}

/// Reports what compression does not go with.
pub(super) fn check(
    compression: &Located<Compression>,
    role: Option<Role>,
    interpolation: Option<Interpolation>,
    mistakes: &mut Mistakes<'_>,
) {
    if let Some(role) = role {
        let message = format!("`compression` cannot be had with the role {}: OEE needs every sample", role.name());
        mistakes.add(compression.at, message, "leave out `compression` or `role`");
        return;
    }
    let method = compression.value.method;
    let (wanted, declared) = (method.interpolation(), interpolation.unwrap_or(method.interpolation()));
    if wanted != declared {
        let other = Method::WORDS.iter().find(|(_, other)| other.interpolation() == declared);
        let message =
            format!("`{}` is for {} signals, and this one is {}", method.name(), wanted.name(), declared.name());
        let remedy = format!(
            "write method = \"{}\", or interpolation = \"{}\"",
            other.map_or("", |(name, _)| name),
            wanted.name()
        );
        mistakes.add(compression.at, message, remedy);
    }
}
