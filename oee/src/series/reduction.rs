//! One value out of the samples of a signal while a unit was at an operation.

use crate::plant::Interpolation;
use crate::{SECOND_US, seconds};

/// What a curve comes to: the samples of a signal at one unit and operation, by ascending time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reduction {
    /// Average over the time from the first to the last sample, in the unit of the signal.
    Mean,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Value of the first sample.
    First,
    /// Value of the last sample: the end value.
    Last,
    /// Largest less smallest value.
    Range,
    /// Area over the time from the first to the last sample, in units of the signal times seconds.
    Integral,
}

impl Reduction {
    /// What SQL, plant files and gauges call them.
    pub const WORDS: [(&str, Self); 7] = [
        ("mean", Self::Mean),
        ("min", Self::Min),
        ("max", Self::Max),
        ("first", Self::First),
        ("last", Self::Last),
        ("range", Self::Range),
        ("integral", Self::Integral),
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }

    /// The value of `curve`: times in microseconds, ascending, and finite values. Between samples the signal goes as it is
    /// declared. None of an empty curve, and where the value is not finite.
    #[must_use]
    pub fn of(self, curve: &[(i64, f64)], interpolation: Interpolation) -> Option<f64> {
        let values = || curve.iter().map(|(_, value)| *value);
        let (first, last) = (curve.first()?, curve.last()?);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let found = match self {
            Self::Min => low,
            Self::Max => high,
            Self::Range => high - low,
            Self::First => first.1,
            Self::Last => last.1,
            Self::Integral => integral(curve, interpolation),
            Self::Mean if first.0 == last.0 => first.1,
            Self::Mean => integral(curve, interpolation) / seconds(last.0 - first.0),
        };
        found.is_finite().then_some(found)
    }
}

fn integral(curve: &[(i64, f64)], interpolation: Interpolation) -> f64 {
    let steps = curve.iter().zip(curve.iter().skip(1));
    let areas = steps.map(|(one, next)| {
        let height = match interpolation {
            Interpolation::Stepped => one.1,
            Interpolation::Sloped => (one.1 + next.1) / 2.0,
        };
        height * (next.0 - one.0) as f64 / SECOND_US as f64
    });
    // The sum of nothing is -0.0.
    areas.fold(0.0, |sum, area| sum + area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_comes_to_what_its_word_says() {
        // 2 for 10 s, 8 for 30 s, and an end value.
        let curve = [(0, 2.0), (10_000_000, 8.0), (40_000_000, 5.0)];
        let of = |reduction: Reduction, interpolation| reduction.of(&curve, interpolation).unwrap();
        let stepped = Reduction::WORDS.map(|(word, reduction)| (word, of(reduction, Interpolation::Stepped)));
        let expected = [
            ("mean", 6.5),
            ("min", 2.0),
            ("max", 8.0),
            ("first", 2.0),
            ("last", 5.0),
            ("range", 6.0),
            ("integral", 260.0),
        ];
        assert_eq!(stepped, expected);
        // (2 + 8) / 2 for 10 s, (8 + 5) / 2 for 30 s.
        assert_eq!(of(Reduction::Integral, Interpolation::Sloped), 245.0);
        assert_eq!(of(Reduction::Mean, Interpolation::Sloped), 6.125);
        for (word, reduction) in Reduction::WORDS {
            assert_eq!(reduction.name(), word);
            assert_eq!(reduction.of(&[], Interpolation::Sloped), None, "{word}");
        }
        assert_eq!(Reduction::Mean.of(&[(5, 3.0)], Interpolation::Sloped), Some(3.0));
        let of_one = Reduction::Integral.of(&[(5, 3.0)], Interpolation::Sloped).unwrap();
        assert!(of_one == 0.0 && of_one.is_sign_positive());
        assert_eq!(Reduction::Range.of(&[(0, -f64::MAX), (1, f64::MAX)], Interpolation::Stepped), None);
    }
}
