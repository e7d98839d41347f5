//! Scales: which levels a drawing names, and where a value lies.

use super::document::placed;

/// Where values lie between two ends of a drawing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    /// Where `low` lies, and where `high`.
    ends: (f64, f64),
}

impl Scale {
    /// Values that are all equal get room around them.
    pub(crate) fn new(low: f64, high: f64, ends: (f64, f64)) -> Self {
        if high > low {
            return Self { low, high, ends };
        }
        let room = if low == 0.0 { 1.0 } else { low.abs() * 0.01 };
        Self { low: low - room, high: low + room, ends }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }

    pub(crate) fn low(&self) -> f64 {
        self.low
    }

    pub(crate) fn high(&self) -> f64 {
        self.high
    }

    /// Levels inside it, with what they are called.
    pub(crate) fn levels(&self, most: usize) -> Vec<(f64, String)> {
        let step = step(self.low, self.high, most);
        let places = (-(step.log10() + 1e-9).floor()).clamp(0.0, 17.0) as usize;
        let first = (self.low / step - 1e-9).ceil();
        (0..50)
            .map(|count| (first + f64::from(count)) * step)
            .take_while(|level| *level <= self.high + step * 1e-9)
            .map(|level| (level, placed(level, places)))
            .collect()
    }
}

/// A step of 1, 2 or 5 that divides a range into about `most` parts.
fn step(low: f64, high: f64, most: usize) -> f64 {
    let raw = (high - low) / most.max(1) as f64;
    let power = 10_f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|wide| *wide >= raw).unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_round_and_inside() {
        let names: Vec<String> = Scale::new(9.7, 10.4, (0.0, 1.0)).levels(4).into_iter().map(|level| level.1).collect();
        assert_eq!(names, ["9.8", "10.0", "10.2", "10.4"]);
        assert_eq!(Scale::new(0.0, 10.0, (100.0, 0.0)).at(2.5), 75.0);
    }

    #[test]
    fn equal_values_have_a_scale() {
        for value in [0.0, 7.0, -1e-9] {
            let scale = Scale::new(value, value, (0.0, 10.0));
            assert!((scale.at(value) - 5.0).abs() < 1e-6);
            assert!(!scale.levels(4).is_empty());
        }
    }
}
