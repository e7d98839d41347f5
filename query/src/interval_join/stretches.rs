//! Stretches of time, each with the number of its row, to be found by what lies in them.

/// Bounds that are looked at one by one before those of many together are.
const FAN: usize = 16;

/// Stretches `[first, last]` in the order of their first moments.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    firsts: Vec<i64>,
    rows: Vec<u32>,
    /// Last moments, then the latest of each [`FAN`] of them, of each [`FAN`] of those, and so on.
    lasts: Vec<Vec<i64>>,
    /// The latest last moment up to and including each stretch: where it is past, nothing earlier goes on.
    latest: Vec<i64>,
}

impl Stretches {
    /// Of `(first, last, row)`, in any order.
    pub(super) fn new(mut all: Vec<(i64, i64, u32)>) -> Self {
        all.sort_unstable();
        let mut lasts = vec![all.iter().map(|stretch| stretch.1).collect::<Vec<i64>>()];
        while let Some(below) = lasts.last().filter(|below| below.len() > FAN) {
            let above = below.chunks(FAN).filter_map(|some| some.iter().max().copied()).collect();
            lasts.push(above);
        }
        let latest = all.iter().scan(i64::MIN, |latest, stretch| {
            *latest = stretch.1.max(*latest);
            Some(*latest)
        });
        Self {
            latest: latest.collect(),
            firsts: all.iter().map(|stretch| stretch.0).collect(),
            rows: all.iter().map(|stretch| stretch.2).collect(),
            lasts,
        }
    }

    /// Adds the rows of the stretches with `first <= from` and `to <= last`, in their order. `place` is how many begin by then:
    /// what it was for the one before says where to look.
    pub(super) fn around(&self, from: i64, to: i64, place: &mut usize, found: &mut Vec<u32>) {
        *place = self.begun(from, *place);
        let Some(nearest) = place.checked_sub(1) else { return };
        if self.latest.get(nearest).is_none_or(|latest| *latest < to) {
            return;
        }
        // Mostly stretches do not lie over one another, and the nearest is the only one.
        let goes_on = self.lasts.first().and_then(|lasts| lasts.get(nearest)).is_some_and(|last| to <= *last);
        let earlier = nearest.checked_sub(1).and_then(|before| self.latest.get(before));
        if earlier.is_some_and(|latest| to <= *latest) {
            for top in 0..self.lasts.last().map_or(0, Vec::len) {
                self.lasting(self.lasts.len() - 1, top, nearest, to, found);
            }
        }
        if goes_on {
            found.extend(self.rows.get(nearest));
        }
    }

    /// Adds the rows below a place in a level that last until `to`, of the first `count` stretches.
    fn lasting(&self, level: usize, at: usize, count: usize, to: i64, found: &mut Vec<u32>) {
        let first = FAN.checked_pow(u32::try_from(level).unwrap_or(u32::MAX)).and_then(|span| span.checked_mul(at));
        let begins = first.is_some_and(|first| first < count);
        let last = self.lasts.get(level).and_then(|lasts| lasts.get(at));
        if !begins || last.is_none_or(|last| *last < to) {
            return;
        }
        match level.checked_sub(1) {
            None => found.extend(self.rows.get(at)),
            Some(below) => {
                for child in at * FAN..(at + 1) * FAN {
                    self.lasting(below, child, count, to, found);
                }
            }
        }
    }

    /// How many begin by a moment.
    fn begun(&self, from: i64, place: usize) -> usize {
        let rest = self.firsts.get(place..).unwrap_or_default();
        if place.checked_sub(1).and_then(|last| self.firsts.get(last)).is_some_and(|first| from < *first) {
            return self.firsts.partition_point(|first| *first <= from);
        }
        match rest.iter().take(FAN).position(|first| from < *first) {
            Some(more) => place + more,
            None => place + rest.partition_point(|first| *first <= from),
        }
    }
}
