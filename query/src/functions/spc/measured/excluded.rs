//! What people have taken out of what limits are estimated from.

use datafusion::logical_expr::Expr;
use datafusion::prelude::lit;
use futures::TryStreamExt;

use super::{Column, Kept};
use crate::error::QueryError;
use crate::functions::gather::Gather;
use crate::functions::values::{Integers, Names, Times};

const EXCLUSIONS: &str = "exclusions";

/// Measurements that people have taken out of what limits are estimated from.
#[derive(Debug, Default)]
pub(in super::super) struct Excluded(Vec<([Option<String>; 5], i64, Option<i64>)>);

/// What an exclusion names, apart from time and piece: what it does not name may be anything.
const NAMED: [&str; 5] = ["equipment", "characteristic", "operation", "unit", "run"];

impl Excluded {
    pub(in super::super) async fn gather(gather: &Gather) -> Result<Self, QueryError> {
        let mut found = Vec::new();
        if gather.view.table(EXCLUSIONS).is_none() {
            return Ok(Self(found));
        }
        let mut columns = vec!["time", "piece"];
        columns.extend(NAMED);
        let all: Expr = lit(true);
        let mut stream = gather.rows(EXCLUSIONS, all, &columns, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            let (times, pieces) = (Times::of(&batch, "time")?, Integers::of(&batch, "piece")?);
            let labels = NAMED.map(|name| Names::of(&batch, name));
            for row in 0..batch.num_rows() {
                let Some(time) = times.at(row) else { continue };
                let mut names: [Option<String>; 5] = Default::default();
                for (name, labels) in names.iter_mut().zip(&labels) {
                    let label = labels.as_ref().ok().and_then(|labels| labels.at(row));
                    *name = label.filter(|label| !label.is_empty()).map(str::to_owned);
                }
                found.push((names, time, pieces.at(row)));
            }
        }
        Ok(Self(found))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, kept: &Kept, row: usize, time: i64, piece: i64) -> bool {
        self.0.iter().any(|(names, at, only)| {
            *at == time
                && only.is_none_or(|only| only == piece)
                && NAMED
                    .iter()
                    .zip(names)
                    .all(|(column, name)| name.is_none() || kept.label(Column::of(column), row) == name.as_deref())
        })
    }
}
