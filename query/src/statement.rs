//! What a statement may do, and where its parameters go.

mod array_literal;
mod dialect;

use std::ops::ControlFlow;

use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{Cast, Expr as PlanExpr, LogicalPlan, Statement as PlanStatement, TryCast};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, Interval, NamedWindowDefinition,
    NamedWindowExpr, ObjectNamePart, Query, Select, SetExpr, SetOperator, SetQuantifier, Statement as SqlStatement,
    TableFactor, UnaryOperator, Value, Visit, VisitMut, Visitor, VisitorMut, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowSpec, WindowType,
};

use crate::error::QueryError;
use crate::functions::{Apart, AtTimeZoneCalls, check_shape, length_us};
use crate::reach::micros;
pub use array_literal::array_items;
pub(crate) use array_literal::spell_arrays;
pub(crate) use dialect::{in_words, translate};

/// Settings that a session may change.
const SETTINGS: [&str; 2] = ["datafusion.execution.time_zone", "datafusion.explain."];

/// Refuses every statement that is not known to only read, also inside `EXPLAIN`.
pub(crate) fn check_reads(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(statement) => check_sql(statement),
        Statement::Explain(explain) => check_reads(&explain.statement),
        Statement::Reset(_) => Ok(()),
        Statement::CreateExternalTable(_) => Err(QueryError::ReadOnly("CREATE EXTERNAL TABLE".to_owned())),
        Statement::CopyTo(_) => Err(QueryError::ReadOnly("COPY".to_owned())),
    }
}

fn check_sql(statement: &SqlStatement) -> Result<(), QueryError> {
    match statement {
        SqlStatement::Query(_)
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowVariable { .. }
        | SqlStatement::ShowVariables { .. }
        | SqlStatement::ShowFunctions { .. }
        | SqlStatement::ExplainTable { .. }
        | SqlStatement::Set(_)
        | SqlStatement::Reset(_)
        | SqlStatement::StartTransaction { .. }
        | SqlStatement::Commit { .. }
        | SqlStatement::Rollback { .. } => Ok(()),
        SqlStatement::Explain { statement, .. } => check_sql(statement),
        other => Err(QueryError::ReadOnly(verb(&other.to_string()))),
    }
}

/// Refuses clauses that change which rows there are, and that DataFusion leaves out or computes wrongly.
pub(crate) fn check_clauses(statement: &Statement) -> Result<(), QueryError> {
    let Some(statement) = sql_of(statement) else { return Ok(()) };
    match Visit::visit(statement, &mut Clauses) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => Err(QueryError::Statement { message: message.to_owned(), at: None }),
    }
}

struct Clauses;

impl Visitor for Clauses {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        if counts_twice(&query.body) { ControlFlow::Break(NO_COUNTED_SETS) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let windows = select.named_window.iter().filter_map(|NamedWindowDefinition(_, window)| match window {
            NamedWindowExpr::WindowSpec(window) => Some(window),
            NamedWindowExpr::NamedWindow(_) => None,
        });
        check_frames(windows)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Function(Function { over: Some(WindowType::WindowSpec(window)), .. }) => check_frames([window]),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        match factor {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                ControlFlow::Break(NO_SAMPLE)
            }
            TableFactor::Table { version: Some(_), .. } => ControlFlow::Break(NO_VERSION),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Whether rows that come several times are to be counted: the library only looks whether they are there (DataFusion 55).
fn counts_twice(body: &SetExpr) -> bool {
    match body {
        SetExpr::SetOperation { op, set_quantifier, left, right } => {
            let counts = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
            counts && *op != SetOperator::Union || counts_twice(left) || counts_twice(right)
        }
        _ => false,
    }
}

fn check_frames<'a>(windows: impl IntoIterator<Item = &'a WindowSpec>) -> ControlFlow<&'static str> {
    match windows.into_iter().filter_map(|window| window.window_frame.as_ref()).any(is_no_frame) {
        true => ControlFlow::Break(NO_DISTANCE),
        false => ControlFlow::Continue(()),
    }
}

/// Whether a bound of a frame is less than nothing, or more than any row is away: the library computes with it (DataFusion 55).
fn is_no_frame(frame: &WindowFrame) -> bool {
    let most = if frame.units == WindowFrameUnits::Range { f64::INFINITY } else { f64::from(u32::MAX) };
    [Some(&frame.start_bound), frame.end_bound.as_ref()].into_iter().flatten().any(|bound| is_no_distance(bound, most))
}

fn is_no_distance(bound: &WindowFrameBound, most: f64) -> bool {
    let (WindowFrameBound::Preceding(Some(distance)) | WindowFrameBound::Following(Some(distance))) = bound else {
        return false;
    };
    let text = match distance.as_ref() {
        Expr::UnaryOp { op: UnaryOperator::Minus, .. } => return true,
        Expr::Interval(interval) => return is_negative(interval),
        Expr::Value(value) => value.value.to_string(),
        _ => return false,
    };
    text.parse::<f64>().is_ok_and(|rows| rows < 0.0 || rows > most)
}

/// Whether an interval goes back in time. What is no interval is told by who reads it.
fn is_negative(interval: &Interval) -> bool {
    let text = match interval.value.as_ref() {
        Expr::Value(text) => text,
        other => return matches!(other, Expr::UnaryOp { op: UnaryOperator::Minus, .. }),
    };
    let Some(text) = text.value.clone().into_string() else { return false };
    parse_interval_month_day_nano(&text).is_ok_and(|span| length_us(span) < 0)
}

const NO_DISTANCE: &str =
    "the bound of a window's frame is no distance: write at least 0 and no more rows than 4294967295";
const NO_COUNTED_SETS: &str =
    "INTERSECT ALL and EXCEPT ALL are not possible here: number equal rows with row_number() and leave ALL out";
const NO_SAMPLE: &str = "TABLESAMPLE is not possible here: take a part by a condition, such as random() < 0.01";
const NO_VERSION: &str = "a table cannot be asked for an earlier time in FROM: SET as_of = '2026-11-26 10:00:00+01' before the \
                          statement, or give HTTP as_of and `takt sql` --as-of";

/// What is wrong with a statement that does not parse: `FOR SYSTEM_TIME AS OF` is a clause that some may expect.
pub(crate) fn versioned(sql: &str, error: QueryError) -> QueryError {
    match error {
        QueryError::Statement { at, message } if asks_for_version(sql) => {
            QueryError::Statement { message: format!("{message}; {NO_VERSION}"), at }
        }
        other => other,
    }
}

fn asks_for_version(sql: &str) -> bool {
    let words: Vec<&str> = sql.split_whitespace().collect();
    words.windows(2).any(|pair| pair[0].eq_ignore_ascii_case("for") && pair[1].eq_ignore_ascii_case("system_time"))
}

/// The first words of a statement, in capitals: `CREATE TABLE`, `INSERT`.
fn verb(statement: &str) -> String {
    let two = ["CREATE", "DROP", "ALTER"];
    let mut words = statement.split_whitespace().map(str::to_uppercase);
    let first = words.next().unwrap_or_default();
    match words.next() {
        Some(second) if two.contains(&first.as_str()) => format!("{first} {second}"),
        _ => first,
    }
}

/// The same for the plan, whatever words led to it: `SELECT … INTO`, and settings other than harmless ones. Casts to types
/// whose rows are large are refused too.
pub(crate) fn check_plan(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut refused = None;
    plan.apply_with_subqueries(|node| {
        refused = refusal(node);
        if refused.is_some() {
            return Ok(TreeNodeRecursion::Stop);
        }
        node.apply_expressions(|expr| expr.apply(check_cast))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    refused.map_or(Ok(()), Err)
}

fn check_cast(expr: &PlanExpr) -> Result<TreeNodeRecursion, DataFusionError> {
    if let PlanExpr::Cast(Cast { field, .. }) | PlanExpr::TryCast(TryCast { field, .. }) = expr {
        check_shape(field.data_type())?;
    }
    Ok(TreeNodeRecursion::Continue)
}

fn refusal(node: &LogicalPlan) -> Option<QueryError> {
    match node {
        LogicalPlan::Ddl(ddl) => Some(QueryError::ReadOnly(ddl.name().to_owned())),
        LogicalPlan::Dml(dml) => Some(QueryError::ReadOnly(dml.op.name().to_owned())),
        LogicalPlan::Copy(_) => Some(QueryError::ReadOnly("COPY".to_owned())),
        LogicalPlan::Statement(statement) => match statement {
            PlanStatement::TransactionStart(_) | PlanStatement::TransactionEnd(_) => None,
            PlanStatement::SetVariable(set) => setting_refusal(&set.variable),
            PlanStatement::ResetVariable(reset) => setting_refusal(&reset.variable),
            other => Some(QueryError::ReadOnly(other.name().to_uppercase())),
        },
        _ => None,
    }
}

fn setting_refusal(variable: &str) -> Option<QueryError> {
    if variable == "as_of" {
        let message =
            "as_of is a setting of PostgreSQL sessions; give HTTP the parameter as_of, and `takt sql` --as-of";
        return Some(QueryError::Statement { message: message.to_owned(), at: None });
    }
    let allowed = SETTINGS
        .iter()
        .any(|setting| variable == *setting || (setting.ends_with('.') && variable.starts_with(setting)));
    (!allowed).then(|| QueryError::Statement {
        message: format!(
            "the setting {variable} cannot be changed; a session can change its TIME ZONE and datafusion.explain.*"
        ),
        at: None,
    })
}

/// Number of the highest parameter `$n`.
pub(crate) fn parameter_count(statement: &Statement) -> usize {
    let mut highest = Highest(0);
    if let Some(statement) = sql_of(statement) {
        let _: ControlFlow<()> = Visit::visit(statement, &mut highest);
    }
    highest.0
}

fn sql_of(statement: &Statement) -> Option<&SqlStatement> {
    match statement {
        Statement::Statement(statement) => Some(statement.as_ref()),
        Statement::Explain(explain) => sql_of(&explain.statement),
        _ => None,
    }
}

fn sql_of_mut(statement: &mut Statement) -> Option<&mut SqlStatement> {
    match statement {
        Statement::Statement(statement) => Some(statement.as_mut()),
        Statement::Explain(explain) => sql_of_mut(&mut explain.statement),
        _ => None,
    }
}

struct Highest(usize);

impl Visitor for Highest {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0 = self.0.max(parameter(expr).unwrap_or_default());
        ControlFlow::Continue(())
    }
}

/// The number of a parameter `$n`.
fn parameter(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Writes `AT TIME ZONE` as the function that it stands for.
pub(crate) fn call_at_time_zone(statement: &mut Statement) {
    if let Some(statement) = sql_of_mut(statement) {
        let _: ControlFlow<std::convert::Infallible> = VisitMut::visit(statement, &mut AtTimeZoneCalls);
    }
}

/// Gives different names to what the library would call the same.
pub(crate) fn name_apart(statement: &mut Statement) {
    if let Some(statement) = sql_of_mut(statement) {
        let _: ControlFlow<std::convert::Infallible> = VisitMut::visit(statement, &mut Apart);
    }
}

/// Binds `IS [NOT] DISTINCT FROM` tighter than AND and OR: the parser takes all that follows for its right side (sqlparser 0.62).
pub(crate) fn bind_distinct(statement: &mut Statement) {
    if let Some(statement) = sql_of_mut(statement) {
        let _: ControlFlow<std::convert::Infallible> = VisitMut::visit(statement, &mut DistinctFrom);
    }
}

struct DistinctFrom;

impl VisitorMut for DistinctFrom {
    type Break = std::convert::Infallible;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if swallows(expr) {
            let (first, rest) = terms(std::mem::replace(expr, Expr::Value(Value::Null.into())));
            *expr = by_precedence(first, rest);
        }
        ControlFlow::Continue(())
    }
}

fn is_junction(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

/// Whether something in a chain of AND and OR has taken what follows it for its own.
fn swallows(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { left, op, right } if is_junction(op) => swallows(left) || swallows(right),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => swallows(expr),
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => {
            matches!(right.as_ref(), Expr::BinaryOp { op, .. } if is_junction(op)) || swallows(right)
        }
        _ => false,
    }
}

/// A chain of AND and OR as its terms: the first, and each other with what comes before it.
fn terms(expr: Expr) -> (Expr, Vec<(BinaryOperator, Expr)>) {
    let around = |inner: Expr, wrap: &dyn Fn(Box<Expr>) -> Expr| {
        let (first, rest) = terms(inner);
        (wrap(Box::new(first)), rest)
    };
    match expr {
        Expr::BinaryOp { left, op, right } if is_junction(&op) => {
            let (first, mut rest) = terms(*left);
            let (next, more) = terms(*right);
            rest.push((op, next));
            rest.extend(more);
            (first, rest)
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            around(*expr, &|expr| Expr::UnaryOp { op: UnaryOperator::Not, expr })
        }
        Expr::IsDistinctFrom(left, right) => around(*right, &|right| Expr::IsDistinctFrom(left.clone(), right)),
        Expr::IsNotDistinctFrom(left, right) => around(*right, &|right| Expr::IsNotDistinctFrom(left.clone(), right)),
        term => (term, Vec::new()),
    }
}

/// Puts terms together again: AND before OR.
fn by_precedence(first: Expr, rest: Vec<(BinaryOperator, Expr)>) -> Expr {
    let joined = |left: Expr, op: BinaryOperator, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    };
    let mut whole: Option<Expr> = None;
    let mut group = first;
    for (op, term) in rest {
        if op == BinaryOperator::And {
            group = joined(group, op, term);
            continue;
        }
        let done = std::mem::replace(&mut group, term);
        whole = Some(match whole {
            Some(whole) => joined(whole, BinaryOperator::Or, done),
            None => done,
        });
    }
    match whole {
        Some(whole) => joined(whole, BinaryOperator::Or, group),
        None => group,
    }
}

/// Calls table functions by their names in small letters, as tables are, and has times in their arguments read by the function, in
/// the session's zone: `timestamptz '…'`, `timestamp '…'`, `date '…'` and casts to these are left as their text.
pub(crate) fn plain_functions(statement: &mut Statement) {
    if let Some(statement) = sql_of_mut(statement) {
        let _: ControlFlow<std::convert::Infallible> = VisitMut::visit(statement, &mut PlainFunctions);
    }
}

struct PlainFunctions;

impl VisitorMut for PlainFunctions {
    type Break = std::convert::Infallible;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } = factor {
            for part in &mut name.0 {
                if let ObjectNamePart::Identifier(part) = part
                    && part.quote_style.is_none()
                {
                    part.value = part.value.to_lowercase();
                }
            }
        }
        for argument in function_arguments(factor) {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument
                && let Some(text) = time_text(expr)
            {
                *expr = Expr::Value(Value::SingleQuotedString(text).into());
            }
        }
        ControlFlow::Continue(())
    }
}

/// The text of a constant that is written as a time or a date.
fn time_text(expr: &Expr) -> Option<String> {
    let is_time = |kind: &DataType| matches!(kind, DataType::Timestamp(..) | DataType::Date);
    match expr {
        Expr::TypedString(typed) if is_time(&typed.data_type) => typed.value.clone().into_string(),
        Expr::Cast { expr, data_type, .. } if is_time(data_type) => match expr.as_ref() {
            Expr::Value(value) => value.clone().into_string(),
            _ => None,
        },
        _ => None,
    }
}

/// The arguments of a table function.
fn function_arguments(factor: &mut TableFactor) -> &mut [FunctionArg] {
    match factor {
        TableFactor::Table { args: Some(arguments), .. } => &mut arguments.args,
        TableFactor::Function { args, .. } => args,
        _ => &mut [],
    }
}

/// Replaces `$n` in the arguments of table functions by their values.
pub(crate) fn bind_function_arguments(statement: &mut Statement, parameters: &[ScalarValue]) -> Result<(), QueryError> {
    let Some(statement) = sql_of_mut(statement) else { return Ok(()) };
    let bound: ControlFlow<QueryError> = VisitMut::visit(statement, &mut Binder { parameters });
    match bound {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Binder<'a> {
    parameters: &'a [ScalarValue],
}

impl VisitorMut for Binder<'_> {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        for argument in function_arguments(factor) {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                let mut inside = ArgumentBinder { parameters: self.parameters };
                if let ControlFlow::Break(error) = VisitMut::visit(expr, &mut inside) {
                    return ControlFlow::Break(error);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

struct ArgumentBinder<'a> {
    parameters: &'a [ScalarValue],
}

impl VisitorMut for ArgumentBinder<'_> {
    type Break = QueryError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        let Some(number) = parameter(expr) else { return ControlFlow::Continue(()) };
        let Some(value) = number.checked_sub(1).and_then(|index| self.parameters.get(index)) else {
            let message = format!("the parameter ${number} has no value; {} were given", self.parameters.len());
            return ControlFlow::Break(QueryError::Statement { message, at: None });
        };
        *expr = Expr::Value(constant(value).into());
        ControlFlow::Continue(())
    }
}

/// A value as an SQL constant; a time as text with its zone.
fn constant(value: &ScalarValue) -> Value {
    if value.is_null() {
        return Value::Null;
    }
    if let Some((us, _)) = micros(value) {
        return Value::SingleQuotedString(oee::calendar::timestamp(us).to_string());
    }
    match value {
        ScalarValue::Boolean(Some(flag)) => Value::Boolean(*flag),
        other if other.data_type().is_numeric() => Value::Number(other.to_string(), false),
        other => Value::SingleQuotedString(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
