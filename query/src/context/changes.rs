//! Which stretches of time changes of executions touched, in the order in which they were recorded.

use oee::execution::Affected;

/// Changes are skipped in blocks of this many.
const BLOCK: usize = 512;

/// Changes, the newest last.
#[derive(Debug, Default, Clone)]
pub(super) struct Changes {
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
struct Block {
    /// The earliest start of the time that they touched.
    from: i64,
    /// When the newest was recorded.
    recorded: i64,
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Change {
    recorded: i64,
    affected: Affected,
}

impl Changes {
    pub(super) fn note(&mut self, recorded: i64, affected: Affected) {
        let from = affected.from;
        if self.blocks.last().is_none_or(|block| block.changes.len() >= BLOCK) {
            self.blocks.push(Block { from, recorded, changes: Vec::new() });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.from = block.from.min(from);
            block.recorded = block.recorded.max(recorded);
            block.changes.push(Change { recorded, affected });
        }
    }

    /// What was recorded after `since`, the newest first: when, and what it touched.
    pub(super) fn since(&self, since: i64) -> impl Iterator<Item = (i64, &Affected)> {
        let newest_first = self.blocks.iter().rev().flat_map(|block| block.changes.iter().rev());
        let after = newest_first.take_while(move |change| change.recorded > since);
        after.map(|change| (change.recorded, &change.affected))
    }

    /// What was recorded after `since` and touched some of the time `[first, last]`.
    pub(super) fn touching(&self, since: i64, (first, last): (i64, i64)) -> impl Iterator<Item = &Affected> {
        let blocks = self.blocks.iter().filter(move |block| block.from <= last && block.recorded > since);
        let after = blocks.flat_map(|block| &block.changes).filter(move |change| change.recorded > since);
        after.map(|change| &change.affected).filter(move |affected| affected.from <= last && first < affected.to)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.changes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_skip_nothing_that_is_asked_for() {
        let mut changes = Changes::default();
        let of =
            |n: i64| Affected { equipment: "a".into(), from: (n * 7_919) % 5_000, to: (n * 7_919) % 5_000 + n % 90 };
        // Each time is recorded twice, and a clock that went back once.
        let recorded = |n: i64| if n == 1_234 { 600 } else { n / 2 };
        (0..3_000).for_each(|n| changes.note(recorded(n), of(n)));
        for (since, first, last) in
            [(-1, 0, 6_000), (700, 0, 6_000), (1_499, 0, 9), (600, 2_000, 2_010), (1_300, 40, 41)]
        {
            let fits = |n: &i64| recorded(*n) > since && of(*n).from <= last && first < of(*n).to;
            let expected: Vec<Affected> = (0..3_000).filter(fits).map(of).collect();
            let found: Vec<Affected> = changes.touching(since, (first, last)).cloned().collect();
            assert_eq!(found, expected, "since {since}, [{first}, {last}]");
        }
        let newest: Vec<i64> = changes.since(1_498).map(|(recorded, _)| recorded).collect();
        assert_eq!(newest, [1_499, 1_499]);
        assert_eq!(changes.since(i64::MIN).count(), 3_000);
    }
}
