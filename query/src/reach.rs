//! What a query's filters say about times and texts: enough to leave out segments, never too little.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Bounds of a text column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    /// Smallest value that can match.
    pub(crate) low: Option<String>,
    /// Largest value that can match, or the first one beyond it.
    pub(crate) high: Option<String>,
    /// The only values that can match.
    pub(crate) one_of: Option<BTreeSet<String>>,
}

impl Texts {
    /// Whether any value of `[low, high]` can match.
    pub(crate) fn meets(&self, low: &str, high: &str) -> bool {
        self.low.as_deref().is_none_or(|bound| bound <= high)
            && self.high.as_deref().is_none_or(|bound| low <= bound)
            && self
                .one_of
                .as_ref()
                .is_none_or(|values| values.iter().any(|value| low <= value.as_str() && value.as_str() <= high))
    }

    fn at_least(&mut self, value: &str) {
        if self.low.as_deref().is_none_or(|low| low < value) {
            self.low = Some(value.to_owned());
        }
    }

    fn at_most(&mut self, value: &str) {
        if self.high.as_deref().is_none_or(|high| value < high) {
            self.high = Some(value.to_owned());
        }
    }

    fn among(&mut self, values: BTreeSet<String>) {
        self.one_of = Some(match self.one_of.take() {
            Some(known) => known.intersection(&values).cloned().collect(),
            None => values,
        });
    }
}

/// What AND-ed filters leave possible: times within a span per column, texts within bounds per column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    times: BTreeMap<String, (i64, i64)>,
    texts: BTreeMap<String, Texts>,
}

impl Reach {
    /// Reads AND-ed filters; what it does not understand leaves everything possible.
    pub(crate) fn of(filters: &[Expr]) -> Self {
        let mut reach = Self::default();
        for conjunct in filters.iter().flat_map(split_conjunction) {
            reach.narrow(conjunct);
        }
        reach
    }

    /// First and last microsecond of a time column that can match, both inclusive.
    pub(crate) fn times(&self, column: &str) -> (i64, i64) {
        self.times.get(column).copied().unwrap_or((i64::MIN, i64::MAX))
    }

    /// Bounds of a text column, where a filter gives any.
    pub(crate) fn texts(&self, column: &str) -> Option<&Texts> {
        self.texts.get(column)
    }

    /// The only values a text column can have, where the filters say so.
    pub(crate) fn one_of(&self, column: &str) -> Option<&BTreeSet<String>> {
        self.texts.get(column)?.one_of.as_ref()
    }

    fn narrow(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let (Some(column), Some(value)) = (column_of(left), literal(right)) {
                    self.compare(column, *op, value);
                } else if let (Some(value), Some(column), Some(op)) = (literal(left), column_of(right), op.swap()) {
                    self.compare(column, op, value);
                } else if *op == Operator::Or {
                    self.either(filter);
                }
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                if let Some(column) = column_of(expr) {
                    literal(low).into_iter().for_each(|value| self.compare(column, Operator::GtEq, value));
                    literal(high).into_iter().for_each(|value| self.compare(column, Operator::LtEq, value));
                }
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let values: Option<BTreeSet<String>> =
                    list.iter().map(|item| text(literal(item)?).map(str::to_owned)).collect();
                if let (Some(column), Some(values)) = (column_of(expr), values) {
                    self.texts.entry(column.to_owned()).or_default().among(values);
                }
            }
            Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
                if let (Some(column), Some(pattern)) = (column_of(expr), literal(pattern).and_then(text)) {
                    self.like(column, pattern);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &ScalarValue) {
        if let Some((floor, ceiling)) = micros(value) {
            let span = self.times.entry(column.to_owned()).or_insert((i64::MIN, i64::MAX));
            match op {
                Operator::Eq => *span = (span.0.max(floor), span.1.min(ceiling)),
                Operator::Gt => span.0 = span.0.max(floor.saturating_add(1)),
                Operator::GtEq => span.0 = span.0.max(ceiling),
                Operator::Lt => span.1 = span.1.min(ceiling.saturating_sub(1)),
                Operator::LtEq => span.1 = span.1.min(floor),
                _ => {}
            }
        } else if let Some(value) = text(value) {
            // Others, such as IS DISTINCT FROM, may hold for NULL too.
            if !matches!(op, Operator::Eq | Operator::Gt | Operator::GtEq | Operator::Lt | Operator::LtEq) {
                return;
            }
            let texts = self.texts.entry(column.to_owned()).or_default();
            match op {
                Operator::Eq => texts.among(BTreeSet::from([value.to_owned()])),
                Operator::Gt | Operator::GtEq => texts.at_least(value),
                Operator::Lt | Operator::LtEq => texts.at_most(value),
                _ => {}
            }
        }
    }

    /// `x = 'a' OR x = 'b'`, as short IN lists are rewritten.
    fn either(&mut self, filter: &Expr) {
        let mut found: Option<(&str, BTreeSet<String>)> = None;
        for part in datafusion::logical_expr::utils::split_binary(filter, Operator::Or) {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else { return };
            let (Some(column), Some(value)) = (column_of(left), literal(right).and_then(text)) else { return };
            match &mut found {
                Some((known, values)) if *known == column => {
                    values.insert(value.to_owned());
                }
                Some(_) => return,
                None => found = Some((column, BTreeSet::from([value.to_owned()]))),
            }
        }
        if let Some((column, values)) = found {
            self.texts.entry(column.to_owned()).or_default().among(values);
        }
    }

    fn like(&mut self, column: &str, pattern: &str) {
        let prefix_end = pattern.find(['%', '_', '\\']).unwrap_or(pattern.len());
        let (prefix, rest) = pattern.split_at(prefix_end);
        let texts = self.texts.entry(column.to_owned()).or_default();
        if rest.is_empty() {
            texts.among(BTreeSet::from([prefix.to_owned()]));
        } else if !prefix.is_empty() {
            texts.at_least(prefix);
            if let Some(beyond) = beyond(prefix) {
                texts.at_most(&beyond);
            }
        }
    }
}

/// The first text after all texts that start with `prefix`.
fn beyond(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// The column that an expression is, also behind a cast that keeps order and precision.
pub(crate) fn column_of(expr: &Expr) -> Option<&str> {
    let keeps = |kind: &DataType| {
        kind.is_string()
            || matches!(
                kind,
                DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) | DataType::Dictionary(..)
            )
    };
    match expr {
        Expr::Column(column) => Some(&column.name),
        Expr::Cast(cast) if keeps(cast.field.data_type()) => column_of(&cast.expr),
        Expr::TryCast(cast) if keeps(cast.field.data_type()) => column_of(&cast.expr),
        _ => None,
    }
}

/// Whether an expression gives the same value whenever it is evaluated, and needs no other query for it.
pub(crate) fn is_plain(expr: &Expr) -> bool {
    let subquery = |part: &Expr| Ok(matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)));
    !expr.is_volatile() && !expr.exists(subquery).unwrap_or(true)
}

/// The constant that an expression is.
pub(crate) fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn text(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

/// A time constant in microseconds, rounded down and up.
pub(crate) fn micros(value: &ScalarValue) -> Option<(i64, i64)> {
    match value {
        ScalarValue::TimestampSecond(Some(time), _) => time.checked_mul(1_000_000).map(|us| (us, us)),
        ScalarValue::TimestampMillisecond(Some(time), _) => time.checked_mul(1_000).map(|us| (us, us)),
        ScalarValue::TimestampMicrosecond(Some(time), _) => Some((*time, *time)),
        ScalarValue::TimestampNanosecond(Some(time), _) => {
            let floor = time.div_euclid(1_000);
            Some((floor, floor + i64::from(time.rem_euclid(1_000) > 0)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
