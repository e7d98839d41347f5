//! How often a costly question is asked: so that it takes a tenth of the time at most.

use std::time::{Duration, Instant};

/// Share of the time that a question may take: one in so many.
const SHARE: u32 = 10;
/// It is asked this often even where it takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// When to ask again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rest_until: Option<Instant>,
}

impl Pace {
    /// Whether it is time to ask.
    pub(super) fn due(&self, now: Instant) -> bool {
        self.rest_until.is_none_or(|until| now >= until)
    }

    /// Takes note of a question that was asked at `started` and answered at `ended`.
    pub(super) fn asked(&mut self, started: Instant, ended: Instant) {
        let rest = (ended.saturating_duration_since(started) * SHARE).min(LONGEST);
        self.rest_until = Some(ended + rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_grows_with_the_cost_up_to_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.due(start));
        pace.asked(start, start + Duration::from_millis(50));
        assert!(!pace.due(start + Duration::from_millis(500)));
        assert!(pace.due(start + Duration::from_millis(550)));
        pace.asked(start, start + Duration::from_secs(30));
        assert!(pace.due(start + Duration::from_secs(90)));
    }
}
