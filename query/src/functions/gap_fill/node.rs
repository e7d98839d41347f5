//! The two steps as nodes of a logical plan.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};

use super::bounds::Limit;
use super::calls::Call;
use super::series::Series;

/// Adds the rows of buckets that its input has none for. The columns of its input: group keys, one of them the bucket, then
/// aggregates, which are NULL in the rows that are added.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GapFill {
    input: LogicalPlan,
    pub(super) series: Series,
    pub(super) width: Expr,
    /// A zone or an origin.
    pub(super) anchor: Option<Expr>,
    pub(super) limits: Vec<Limit>,
    schema: DFSchemaRef,
}

impl GapFill {
    pub(super) fn new(
        input: LogicalPlan,
        series: Series,
        (width, anchor): (Expr, Option<Expr>),
        limits: Vec<Limit>,
    ) -> Result<Self> {
        // An empty bucket has no count either.
        let fields = input.schema().iter().enumerate().map(|(place, (qualifier, field))| {
            let added = place == series.time || !series.keys.contains(&place);
            let field = if added { Arc::new(field.as_ref().clone().with_nullable(true)) } else { Arc::clone(field) };
            (qualifier.cloned(), field)
        });
        let schema = DFSchema::new_with_metadata(fields.collect(), input.schema().metadata().clone())?;
        Ok(Self { input, series, width, anchor, limits, schema: Arc::new(schema) })
    }
}

impl UserDefinedLogicalNodeCore for GapFill {
    fn name(&self) -> &str {
        "GapFill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let limits = self.limits.iter().map(|(_, limit)| limit);
        std::iter::once(&self.width).chain(&self.anchor).chain(limits).cloned().collect()
    }

    /// A condition on keys leaves out whole series, before as after.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.series.others(&self.schema)
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "GapFill: width={}", self.width)?;
        for (op, limit) in &self.limits {
            write!(f, ", time {op} {limit}")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = only(inputs, &self.input)?;
        let mut exprs = exprs.into_iter();
        let mut next = || exprs.next().map_or_else(|| internal_err!("GapFill lost an expression"), Ok);
        let width = next()?;
        let anchor = self.anchor.is_some().then(&mut next).transpose()?;
        let limits = self.limits.iter().map(|(op, _)| Ok((*op, next()?))).collect::<Result<_>>()?;
        Ok(Self { input, width, anchor, limits, series: self.series.clone(), schema: Arc::clone(&self.schema) })
    }
}

impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input).filter(|order| *order != Ordering::Equal || self == other)
    }
}

/// Adds a column for each call of `locf` and `interpolate` to the rows of a [`GapFill`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Carry {
    input: LogicalPlan,
    pub(super) series: Series,
    /// What each call is of.
    pub(super) values: Vec<(Call, Expr)>,
    schema: DFSchemaRef,
}

impl Carry {
    /// `calls` are of columns of the input.
    pub(super) fn new(input: LogicalPlan, series: Series, calls: &[Expr]) -> Result<Self> {
        let mut fields: Vec<_> =
            input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        let mut values = Vec::new();
        for expr in calls {
            let Some((call, [value])) = Call::of(expr) else {
                return internal_err!("{expr} is not a call of one value");
            };
            fields.push((None, Arc::new(Field::new(name_of(expr), expr.get_type(input.schema())?, true))));
            values.push((call, value.clone()));
        }
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self { input, series, values, schema: Arc::new(schema) })
    }
}

/// The column that a call is found in.
pub(super) fn name_of(call: &Expr) -> String {
    call.schema_name().to_string()
}

impl UserDefinedLogicalNodeCore for Carry {
    fn name(&self) -> &str {
        "Carry"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.values.iter().map(|(_, value)| value.clone()).collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.series.others(&self.schema)
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Carry:")?;
        for (place, (call, value)) in self.values.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma} {}({value})", call.name())?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = only(inputs, &self.input)?;
        if exprs.len() != self.values.len() {
            return internal_err!("Carry has {} values, not {}", self.values.len(), exprs.len());
        }
        let values = self.values.iter().zip(exprs).map(|((call, _), value)| (*call, value)).collect();
        Ok(Self { input, values, series: self.series.clone(), schema: Arc::clone(&self.schema) })
    }
}

impl PartialOrd for Carry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input).filter(|order| *order != Ordering::Equal || self == other)
    }
}

/// The input of a node, which must have the columns it had: they are known by their places.
fn only(mut inputs: Vec<LogicalPlan>, before: &LogicalPlan) -> Result<LogicalPlan> {
    match inputs.pop() {
        Some(input) if inputs.is_empty() => {
            // The optimizer takes a condition without columns for one on keys.
            if let LogicalPlan::Filter(filter) = &input
                && filter.predicate.is_volatile()
            {
                return plan_err!(
                    "a condition that is another for each row cannot be on filled gaps without naming one of their columns: \
                     {}",
                    filter.predicate
                );
            }
            let names = |plan: &LogicalPlan| plan.schema().columns();
            if names(&input) == names(before) {
                return Ok(input);
            }
            internal_err!("the columns of filled gaps became {:?}, they were {:?}", names(&input), names(before))
        }
        _ => internal_err!("gaps are filled in the rows of one input"),
    }
}
