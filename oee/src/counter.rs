//! Counters that only count up: from readings to pieces.
//!
//! The first good reading is the baseline. A step is credited at the later reading's time. Readings that are not
//! good are passed over. A reading below its predecessor is a rollover where the counter has a modulus and the step
//! over it is plausible; otherwise the counter was reset and the reading itself is the step; nothing where it is below 0.

/// What is known about a counter.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CounterRule {
    /// It rolls over at this value; 65536 for a 16-bit counter.
    pub modulus: Option<f64>,
    /// The largest plausible step over a rollover; a tenth of the modulus where it is not given.
    pub max_step: Option<f64>,
}

/// A counter being read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counter {
    rule: CounterRule,
    last: Option<f64>,
}

impl Counter {
    /// A counter without a baseline.
    #[must_use]
    pub fn new(rule: CounterRule) -> Self {
        Self { rule, last: None }
    }

    /// A counter that goes on from an earlier good reading.
    #[must_use]
    pub fn from_baseline(rule: CounterRule, value: f64) -> Self {
        Self { rule, last: Some(value).filter(|v| v.is_finite()) }
    }

    /// Takes the next good reading; gives the step, or none for the first.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        self.last.replace(value).map(|previous| self.step(previous, value))
    }

    fn step(&self, previous: f64, value: f64) -> f64 {
        if value >= previous {
            return value - previous;
        }
        let rollover = self.rule.modulus.and_then(|modulus| {
            let step = value + modulus - previous;
            let plausible = self.rule.max_step.unwrap_or(modulus / 10.0);
            (step >= 0.0 && step <= plausible).then_some(step)
        });
        // Nothing is made backwards, whatever the counter was reset to.
        rollover.unwrap_or(value.max(0.0))
    }
}

/// The steps of a series of (time, value, good), by ascending time: (time of the later reading, step).
/// Steps of zero are left out.
pub fn deltas(rule: CounterRule, samples: impl IntoIterator<Item = (i64, f64, bool)>) -> Vec<(i64, f64)> {
    let mut counter = Counter::new(rule);
    let good = samples.into_iter().filter(|&(_, _, good)| good);
    let steps = good.filter_map(|(time, value, _)| counter.push(value).map(|step| (time, step)));
    steps.filter(|&(_, step)| step != 0.0).collect()
}

#[cfg(test)]
mod tests;
