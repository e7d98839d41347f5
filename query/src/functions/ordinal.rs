//! Places in an order, `row_number`, `rank`, `dense_rank` and `ntile`, as the types that PostgreSQL gives them.
//!
//! DataFusion's are unsigned: PostgreSQL has no such type, so clients got `numeric`, and to subtract one took a decimal.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::SortOptions;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{Documentation, LimitEffect, PartitionEvaluator, Signature, WindowUDF, WindowUDFImpl};
use datafusion::physical_plan::PhysicalExpr;

const ROW_NUMBER: &str = "row_number";

/// The functions, and the type of each.
const FUNCTIONS: [(&str, DataType); 4] = [
    (ROW_NUMBER, DataType::Int64),
    ("rank", DataType::Int64),
    ("dense_rank", DataType::Int64),
    ("ntile", DataType::Int32),
];

/// Has the functions that `state` knows give PostgreSQL's types.
pub(super) fn register(state: &mut SessionState) {
    for (name, kind) in FUNCTIONS {
        let Some(inner) = state.window_functions().get(name).cloned() else { continue };
        if let Err(error) = state.register_udwf(Arc::new(WindowUDF::new_from_impl(Ordinal { inner, kind }))) {
            tracing::error!(%error, "{name} could not be registered");
        }
    }
}

/// A function whose numbers come as another type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordinal {
    inner: Arc<WindowUDF>,
    kind: DataType,
}

impl WindowUDFImpl for Ordinal {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        if self.name() == ROW_NUMBER {
            return Ok(Box::new(RowNumbers { rows: 0 }));
        }
        let inner = self.inner.partition_evaluator_factory(args)?;
        Ok(Box::new(Evaluator { inner, kind: self.kind.clone() }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let name = args.name().to_owned();
        Ok(Arc::new(Field::new(name, self.kind.clone(), self.inner.field(args)?.is_nullable())))
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.inner.sort_options()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner.inner().limit_effect(args)
    }
}

/// Gives what another gives as numbers of a type.
#[derive(Debug)]
struct Evaluator {
    inner: Box<dyn PartitionEvaluator>,
    kind: DataType,
}

impl PartitionEvaluator for Evaluator {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.inner.memoize(state)
    }

    fn get_range(&self, place: usize, rows: usize) -> Result<Range<usize>> {
        self.inner.get_range(place, rows)
    }

    fn is_causal(&self) -> bool {
        self.inner.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        Ok(cast(&self.inner.evaluate_all(values, rows)?, &self.kind)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.inner.evaluate(values, range)?.cast_to(&self.kind)
    }

    fn evaluate_all_with_rank(&self, rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        Ok(cast(&self.inner.evaluate_all_with_rank(rows, ranks)?, &self.kind)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.inner.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.inner.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.inner.include_rank()
    }
}

/// Numbers rows itself: to ask another of each row and then to change the type takes half as long again.
#[derive(Debug)]
struct RowNumbers {
    rows: i64,
}

impl PartitionEvaluator for RowNumbers {
    fn is_causal(&self) -> bool {
        true
    }

    fn evaluate_all(&mut self, _values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values((1..).take(rows))))
    }

    fn evaluate(&mut self, _values: &[ArrayRef], _range: &Range<usize>) -> Result<ScalarValue> {
        self.rows += 1;
        Ok(ScalarValue::Int64(Some(self.rows)))
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{Bench, good};

    #[tokio::test]
    async fn places_are_numbers_as_postgresql_has_them() {
        let values = [1.0, 2.0, 2.0, 3.0, 4.0].into_iter().enumerate();
        let rows: Vec<(i64, f64)> = values.map(|(place, value)| (i64::try_from(place).unwrap(), value)).collect();
        let bench = Bench::holding(&good("press", "force", &rows));
        let places = "row_number() OVER w, rank() OVER w, dense_rank() OVER w, ntile(2) OVER w";
        // Of sorted rows as they come, and of all rows of an unsorted column at once.
        for (order, by) in
            [("time", "1 1 1 1|2 2 2 1|3 3 3 1|4 4 4 2|5 5 5 2"), ("value", "1 1 1 1|2 2 2 1|3 2 2 1|4 4 3 2|5 5 4 2")]
        {
            let sql = format!("SELECT {places} FROM samples WINDOW w AS (ORDER BY {order}) ORDER BY 1");
            assert_eq!(bench.ask(&sql).await.join("|"), by, "by {order}");
        }
        let types = "SELECT arrow_typeof(row_number() OVER w), arrow_typeof(rank() OVER w), arrow_typeof(dense_rank() OVER w), \
                     arrow_typeof(ntile(2) OVER w), arrow_typeof(row_number() OVER w - 1) FROM samples WINDOW w AS (ORDER BY time) LIMIT 1";
        assert_eq!(bench.ask(types).await, ["Int64 Int64 Int64 Int32 Int64"]);
    }
}
