//! How a characteristic is measured of a signal.

use std::ops::RangeInclusive;

use super::super::Curve;
use super::super::document::Section;
use super::super::draft::micros;
use super::super::mistake::Mistakes;
use crate::series::Reduction;

/// How long samples are waited for once an operation has ended, where a characteristic of a signal does not say it, seconds.
const USUAL_SETTLE_S: f64 = 2.0;
const SETTLE_RANGE_S: RangeInclusive<f64> = 0.0..=3_600.0;

/// None where none is named.
pub(super) fn curve(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<Curve> {
    let signal = section.text("signal", mistakes);
    let reduction = section.word("reduce", &Reduction::WORDS, mistakes);
    let settle = section.number("settle_s", mistakes);
    if let Some(spaced) = signal.as_ref().filter(|signal| signal.value.trim() != signal.value) {
        mistakes.add(spaced.at, format!("`signal` {:?} has spaces around it", spaced.value), "write the name alone");
    }
    if signal.is_none() {
        let orphans =
            [reduction.as_ref().map(|reduce| ("reduce", reduce.at)), settle.as_ref().map(|s| ("settle_s", s.at))];
        for (key, at) in orphans.into_iter().flatten() {
            let message = format!("`{key}` is about a signal, and none is named");
            mistakes.add(at, message, "add signal = \"…\", or leave the key out");
        }
    }
    if let Some(settle) = settle.as_ref().filter(|settle| !SETTLE_RANGE_S.contains(&settle.value)) {
        let message = format!("`settle_s` {} is not between 0 and {}", settle.value, SETTLE_RANGE_S.end());
        mistakes.add(settle.at, message, "write how many seconds samples can be on their way");
    }
    let settle_s = settle.map_or(USUAL_SETTLE_S, |settle| settle.value);
    Some(Curve {
        signal: signal?.value,
        reduction: reduction.map_or(Reduction::Mean, |reduction| reduction.value),
        settle_us: micros(settle_s),
    })
}
