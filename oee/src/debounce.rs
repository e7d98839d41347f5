//! Changes that last: of a condition that flickers only what goes on long enough has happened, and then from its first
//! moment on.
//!
//! That nothing is known is a change at once. What has not lasted long enough yet has not happened yet: what was before
//! goes on. Nothing is known before the first change.

/// Whether a condition holds; none where that is unknown.
pub(crate) type Truth = Option<bool>;

/// A condition being watched, sample by sample.
#[derive(Debug, Clone, Default)]
pub(crate) struct Debounce {
    for_us: i64,
    /// What the newest samples say, and since when.
    raw: Option<(i64, Truth)>,
    /// The newest change that has happened.
    said: Option<(i64, Truth)>,
    /// The first one.
    first: Option<i64>,
    /// The first sample.
    oldest: Option<i64>,
}

impl Debounce {
    pub(crate) fn new(for_us: i64) -> Self {
        Self { for_us, ..Self::default() }
    }

    /// Takes the next sample; gives the changes that have happened by then.
    pub(crate) fn push(&mut self, time: i64, truth: Truth) -> impl Iterator<Item = (i64, Truth)> + use<> {
        self.oldest.get_or_insert(time);
        let earlier = self.settle(time);
        if self.raw.is_none_or(|(_, known)| known != truth) {
            self.raw = Some((time, truth));
        }
        earlier.into_iter().chain(self.settle(time))
    }

    /// The change that has happened by `until`, if one has: what was said last went on until then.
    pub(crate) fn settle(&mut self, until: i64) -> Option<(i64, Truth)> {
        let (since, truth) = self.raw?;
        let lasted = truth.is_none() || since.saturating_add(self.for_us) <= until;
        if !lasted || self.said.is_some_and(|(_, said)| said == truth) {
            return None;
        }
        self.said = Some((since, truth));
        self.first.get_or_insert(since);
        self.said
    }

    /// The time in which a sample can still make undone what the newest ones say: it begins with the first of them.
    pub(crate) fn open_until(&self) -> Option<(i64, i64)> {
        let (since, truth) = self.raw?;
        truth.map(|_| (since, since.saturating_add(self.for_us)))
    }

    /// Whether a sample makes undone a change that was told already, because it went on until then as far as was known.
    pub(crate) fn is_undone_by(&self, time: i64, truth: Truth) -> bool {
        let Some((since, until)) = self.open_until() else { return false };
        time < until && self.raw != Some((since, truth)) && self.said == self.raw
    }

    /// Whether what holds at `time` depends on samples before the first one, and there may be such: it came before `known`,
    /// since when all are there.
    pub(crate) fn needs_earlier(&self, time: i64, known: i64) -> bool {
        self.first.is_none_or(|first| time < first) && self.oldest.is_some_and(|oldest| oldest < known)
    }
}

#[cfg(test)]
mod tests;
