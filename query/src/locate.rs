//! Stretches of time on equipment, as conditions on the columns `equipment` and `time`.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::prelude::{col, lit};
use oee::OPEN;
use oee::execution::Affected;

use crate::types::text;

/// Rows within one of the stretches: on its equipment or below, at its time.
pub(crate) fn within(stretches: &[Affected]) -> Expr {
    let each = stretches.iter().map(|stretch| {
        let times = times(stretch.from, stretch.to);
        conjunction([on_or_below(&stretch.equipment)].into_iter().chain(times)).unwrap_or_else(|| lit(true))
    });
    disjunction(each).unwrap_or_else(|| lit(false))
}

/// The stretches as conditions of which each reads one column, where that is possible: those can prune pages. The exact
/// condition comes last.
pub(crate) fn bounds(stretches: &[Affected]) -> Vec<Expr> {
    let (Some(from), Some(to)) = (stretches.iter().map(|s| s.from).min(), stretches.iter().map(|s| s.to).max()) else {
        return vec![lit(false)];
    };
    let equipment: BTreeSet<&str> = stretches.iter().map(|stretch| stretch.equipment.as_ref()).collect();
    let mut all: Vec<Expr> = times(from, to);
    all.extend(disjunction(equipment.into_iter().map(on_or_below)));
    if stretches.len() > 1 {
        all.push(within(stretches));
    }
    all
}

/// `0` follows `/`, so paths below `a` are those from `a/` to before `a0`.
fn on_or_below(equipment: &str) -> Expr {
    let below =
        col("equipment").gt_eq(text(format!("{equipment}/"))).and(col("equipment").lt(text(format!("{equipment}0"))));
    col("equipment").eq(text(equipment)).or(below)
}

fn times(from: i64, to: i64) -> Vec<Expr> {
    let at = |us: i64| Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())), None);
    let mut bounds = Vec::new();
    if from > i64::MIN {
        bounds.push(col("time").gt_eq(at(from)));
    }
    if to < OPEN {
        bounds.push(col("time").lt(at(to)));
    }
    bounds
}

#[cfg(test)]
mod tests;
