//! What was read of segments last: as much as there is room for.

use std::collections::{HashMap, VecDeque};

/// The segment, by a number that no other file has, the row group and the column.
pub(super) type ChunkKey = (u64, usize, usize);

/// Parts of column chunks, in the order in which they were asked for.
pub(super) struct Recent<V> {
    /// Each with its bytes.
    parts: HashMap<ChunkKey, (V, usize)>,
    order: VecDeque<ChunkKey>,
    bytes: usize,
    most_bytes: usize,
}

impl<V: Clone> Recent<V> {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { parts: HashMap::new(), order: VecDeque::new(), bytes: 0, most_bytes }
    }

    pub(super) fn find(&mut self, key: ChunkKey) -> Option<V> {
        let (part, _) = self.parts.get(&key)?;
        let part = part.clone();
        if let Some(place) = self.order.iter().position(|known| *known == key) {
            self.order.remove(place);
            self.order.push_back(key);
        }
        Some(part)
    }

    pub(super) fn keep(&mut self, key: ChunkKey, part: V, bytes: usize) {
        if self.most_bytes < bytes || self.parts.contains_key(&key) {
            return;
        }
        while self.most_bytes < self.bytes + bytes
            && let Some(gone) = self.order.pop_front()
        {
            self.bytes -= self.parts.remove(&gone).map_or(0, |(_, bytes)| bytes);
        }
        self.parts.insert(key, (part, bytes));
        self.order.push_back(key);
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_longest_ago_makes_room() {
        let mut recent = Recent::new(10);
        recent.keep((1, 0, 0), "one", 4);
        recent.keep((2, 0, 0), "two", 4);
        recent.keep((3, 0, 0), "too large", 11);
        assert_eq!((recent.find((1, 0, 0)), recent.find((3, 0, 0))), (Some("one"), None));
        recent.keep((4, 0, 0), "four", 5);
        assert_eq!((recent.find((1, 0, 0)), recent.find((2, 0, 0))), (Some("one"), None));
        assert_eq!((recent.find((4, 0, 0)), recent.bytes), (Some("four"), 9));
        assert_eq!((recent.parts.len(), recent.order.len()), (2, 2));
    }
}
