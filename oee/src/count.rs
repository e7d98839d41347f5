//! Pieces made: from count records, or from the steps of counters.
//!
//! Of total, good and scrap two give the third; total alone counts as good, scrap alone lowers the good of the total
//! that is counted elsewhere.

/// Pieces credited at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// When.
    pub time: i64,
    /// Pieces made, good or not.
    pub total: f64,
    /// Pieces scrapped.
    pub scrap: f64,
    /// Pieces sent to rework; none where nobody says.
    pub rework: Option<f64>,
}

/// A row of `counts`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CountRecord {
    /// When.
    pub time: i64,
    /// Pieces made.
    pub total: Option<f64>,
    /// Good pieces.
    pub good: Option<f64>,
    /// Scrapped pieces.
    pub scrap: Option<f64>,
    /// Pieces sent to rework.
    pub rework: Option<f64>,
}

impl CountRecord {
    /// The pieces it stands for; none where it says nothing about any.
    #[must_use]
    pub fn piece(&self) -> Option<Piece> {
        let (total, scrap) = match (self.total, self.good, self.scrap) {
            (Some(total), _, Some(scrap)) => (total, scrap),
            (Some(total), Some(good), None) => (total, total - good),
            (Some(total), None, None) => (total, 0.0),
            (None, Some(good), scrap) => (good + scrap.unwrap_or(0.0), scrap.unwrap_or(0.0)),
            (None, None, Some(scrap)) => (0.0, scrap),
            // Rework of pieces that are counted elsewhere.
            (None, None, None) if self.rework.is_some() => (0.0, 0.0),
            (None, None, None) => return None,
        };
        Some(Piece { time: self.time, total, scrap, rework: self.rework })
    }
}

/// Steps of the counters that an equipment has, as [`crate::counter::deltas`] gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CounterSteps {
    /// Steps of the counter of all pieces.
    pub total: Option<Vec<(i64, f64)>>,
    /// Steps of the counter of good pieces.
    pub good: Option<Vec<(i64, f64)>>,
    /// Steps of the counter of scrapped pieces.
    pub scrap: Option<Vec<(i64, f64)>>,
}

impl CounterSteps {
    /// The pieces they stand for, by time; none where neither all nor good pieces are counted.
    #[must_use]
    pub fn pieces(&self) -> Option<Vec<Piece>> {
        let credit = |steps: &Option<Vec<(i64, f64)>>, total: f64, scrap: f64| {
            let steps = steps.iter().flatten();
            steps
                .map(|&(time, step)| Piece { time, total: total * step, scrap: scrap * step, rework: None })
                .collect::<Vec<_>>()
        };
        let mut pieces = match (&self.total, &self.good, &self.scrap) {
            (Some(_), _, Some(_)) | (Some(_), None, None) => {
                [credit(&self.total, 1.0, 0.0), credit(&self.scrap, 0.0, 1.0)].concat()
            }
            // What is made counts as scrap until the good counter says otherwise.
            (Some(_), Some(_), None) => [credit(&self.total, 1.0, 1.0), credit(&self.good, 0.0, -1.0)].concat(),
            (None, Some(_), _) => [credit(&self.good, 1.0, 0.0), credit(&self.scrap, 1.0, 1.0)].concat(),
            (None, None, _) => return None,
        };
        pieces.sort_by_key(|piece| piece.time);
        Some(pieces)
    }
}

#[cfg(test)]
mod tests;
