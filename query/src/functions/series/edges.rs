//! The edges of buckets, as the place of a signal has them.

use std::sync::Arc;

use ::oee::bucket::Cut;
use ::oee::plant::Plant;
use ::oee::series::Edges;

use super::super::cut::buckets;
use crate::error::QueryError;

/// How a window is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In buckets that fill it; the first one begins with the window.
    Cut(Cut),
    /// From the first instant of a grid on.
    Grid(Cut),
    /// In parts of equal length.
    Parts(u32),
}

impl Layout {
    /// Whether two equipment have the same edges for sure.
    pub(super) fn is_alike(self, plant: &Plant, one: &str, other: &str) -> bool {
        match self {
            Self::Cut(Cut::Width(_)) | Self::Grid(Cut::Width(_)) => plant.zone(one) == plant.zone(other),
            Self::Cut(_) | Self::Grid(_) => false,
            Self::Parts(_) => true,
        }
    }
}

/// Shift and production day of a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) shift: Option<String>,
    pub(super) production_day: Option<String>,
}

/// Buckets between edges, with their labels where they have some.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    pub(super) edges: Edges,
    /// The same edges, microseconds.
    pub(super) bounds: Arc<[i64]>,
    labels: Option<Arc<[Arc<Label>]>>,
}

impl Buckets {
    /// The label of a bucket.
    pub(super) fn label(&self, place: usize) -> Option<Arc<Label>> {
        self.labels.as_ref()?.get(place).cloned()
    }
}

/// The buckets of an equipment.
pub(super) fn lay_out(
    plant: &Plant,
    path: &str,
    layout: Layout,
    (from, to): (i64, i64),
) -> Result<Buckets, QueryError> {
    let (bounds, labels) = match layout {
        Layout::Cut(cut) => cut_bounds(plant, path, cut, from, to)?,
        Layout::Grid(cut) => {
            let (mut bounds, _) = cut_bounds(plant, path, cut, from, to)?;
            // The first bucket begins on the grid where one from a microsecond earlier ends there.
            let earlier = buckets(plant, path, cut, from.saturating_sub(1), to).next().transpose()?;
            if earlier.is_some_and(|bucket| bucket.end != from) && !bounds.is_empty() {
                bounds.remove(0);
            }
            (bounds, None)
        }
        Layout::Parts(parts) => (part_bounds(parts, from, to), None),
    };
    let bounds: Arc<[i64]> = bounds.into();
    let edges = Edges::new(Arc::clone(&bounds)).map_err(|error| QueryError::Execution(error.to_string()))?;
    Ok(Buckets { edges, bounds, labels })
}

type Bounds = (Vec<i64>, Option<Arc<[Arc<Label>]>>);

fn cut_bounds(plant: &Plant, path: &str, cut: Cut, from: i64, to: i64) -> Result<Bounds, QueryError> {
    let labelled = !matches!(cut, Cut::Width(_));
    let (mut bounds, mut labels) = (Vec::new(), Vec::new());
    for bucket in buckets(plant, path, cut, from, to) {
        let bucket = bucket?;
        bounds.push(bucket.start);
        if labelled {
            labels.push(Arc::new(Label { shift: bucket.shift, production_day: bucket.production_day }));
        }
    }
    if !bounds.is_empty() {
        bounds.push(to);
    }
    Ok((bounds, labelled.then(|| labels.into())))
}

/// No part is shorter than a microsecond.
fn part_bounds(parts: u32, from: i64, to: i64) -> Vec<i64> {
    let length = i128::from(to) - i128::from(from);
    let parts = i128::from(parts).min(length).max(1);
    let bound = |part: i128| i64::try_from(i128::from(from) + length * part / parts).unwrap_or(to);
    (0..=parts).map(bound).collect()
}

#[cfg(test)]
mod tests;
