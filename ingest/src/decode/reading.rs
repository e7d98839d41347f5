//! What a payload says, before it is known whether it may be admitted.

use std::collections::HashSet;

use crate::quarantine::Refusal;
use crate::sample::Keys;

/// Readings of one group that are compared one by one, which is cheaper than a set.
const FEW: usize = 16;

/// A piece of the arena of [`Readings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// A value as the payload has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// Explicitly no value.
    Null,
    /// A number; true is 1, false is 0.
    Number(f64),
    /// An integer that a double cannot hold: the nearest double, and its digits.
    Exact(f64, Span),
    /// Text.
    Text(Span),
}

/// One value of one signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Name of the signal.
    pub(crate) signal: Span,
    /// Its value.
    pub(crate) value: Value,
}

/// Readings that share a time and keys: an object of a JSON payload, or a bare value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Group {
    /// First of its readings.
    pub(crate) start: usize,
    /// End of its readings, exclusive.
    pub(crate) end: usize,
    /// Source time, where there is one.
    pub(crate) time: Option<i64>,
    work_order: Option<Span>,
    operation: Option<Span>,
    unit: Option<Span>,
}

/// Readings of one message. Reused from message to message, so that decoding allocates nothing once it is warm.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    arena: String,
    /// Name of the signal that is being read; grows and shrinks with the nesting.
    pub(crate) path: String,
    /// The readings.
    pub(crate) list: Vec<Reading>,
    /// What belongs together.
    pub(crate) groups: Vec<Group>,
    /// Parts of the message that were refused.
    pub(crate) refused: Vec<Refusal>,
    /// Whether numbers that cannot be read were marked in what is being read.
    pub(crate) marked: bool,
    /// Limits in force.
    pub(crate) max_depth: usize,
    /// Limits in force.
    pub(crate) max_values: usize,
}

impl Readings {
    pub(crate) fn new(max_depth: usize, max_values: usize) -> Self {
        Self { max_depth, max_values, ..Self::default() }
    }

    /// Forgets the last message; `signal` is what its topic says.
    pub(crate) fn begin(&mut self, signal: Option<&str>) {
        self.arena.clear();
        self.path.clear();
        self.list.clear();
        self.groups.clear();
        self.refused.clear();
        self.path.push_str(signal.unwrap_or_default());
    }

    /// Keeps a copy of `text`.
    pub(crate) fn keep(&mut self, text: &str) -> Span {
        let start = self.arena.len();
        self.arena.push_str(text);
        Span { start: narrow(start), end: narrow(self.arena.len()) }
    }

    /// What a span stands for.
    pub(crate) fn text(&self, span: Span) -> &str {
        self.arena.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Adds a value of the signal at `path`.
    pub(crate) fn push(&mut self, value: Value) {
        let start = self.arena.len();
        self.arena.push_str(&self.path);
        let signal = Span { start: narrow(start), end: narrow(self.arena.len()) };
        self.list.push(Reading { signal, value });
    }

    /// Adds text, which may be a number in disguise, under the signal at `path`.
    pub(crate) fn push_text(&mut self, text: &str) {
        match super::scalar::read(text) {
            super::scalar::Scalar::Number(value) => self.push(Value::Number(value)),
            super::scalar::Scalar::Exact(value) => {
                let digits = self.keep(text.trim());
                self.push(Value::Exact(value, digits));
            }
            super::scalar::Scalar::NotFinite => self.refuse_not_finite(text),
            super::scalar::Scalar::Text => {
                let text = self.keep(text);
                self.push(Value::Text(text));
            }
        }
    }

    /// Notes that the value at `path` is no finite number.
    pub(crate) fn refuse_not_finite(&mut self, text: &str) {
        self.refused.push(super::not_finite(&self.path, text));
    }

    /// Notes a part that cannot be admitted.
    pub(crate) fn refuse(&mut self, kind: &'static str, reason: String) {
        self.refused.push(Refusal::new(kind, reason));
    }

    /// Puts all readings since `start` into one group. Where two of them name the same signal, nobody can tell which one
    /// is meant: the first stays.
    pub(crate) fn group(&mut self, start: usize, time: Option<i64>, keys: [Option<Span>; 3]) {
        self.refuse_repeated(start);
        let [work_order, operation, unit] = keys;
        self.groups.push(Group { start, end: self.list.len(), time, work_order, operation, unit });
    }

    fn refuse_repeated(&mut self, start: usize) {
        let Self { arena, list, refused, .. } = self;
        let name = |reading: &Reading| {
            arena.get(reading.signal.start as usize..reading.signal.end as usize).unwrap_or_default()
        };
        let group = list.get(start..).unwrap_or_default();
        let repeats = if group.len() <= FEW {
            let is_repeated = |(place, reading)| group.iter().take(place).any(|first| name(first) == name(reading));
            group.iter().enumerate().any(is_repeated)
        } else {
            group.iter().map(name).collect::<HashSet<_>>().len() < group.len()
        };
        if !repeats {
            return;
        }
        let mut seen = HashSet::new();
        let mut place = 0;
        list.retain(|reading| {
            place += 1;
            let stays = place <= start || seen.insert(name(reading));
            if !stays {
                let reason = format!("`{}` stands twice in one message; the first value was kept", name(reading));
                refused.push(Refusal::new("malformed", reason));
            }
            stays
        });
    }

    /// Keys that a group names.
    pub(crate) fn keys(&self, group: &Group) -> Keys<'_> {
        let text = |span: Option<Span>| span.map(|span| self.text(span));
        Keys { work_order: text(group.work_order), operation: text(group.operation), unit: text(group.unit) }
    }
}

/// Payloads are far below 4 GiB.
fn narrow(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
