//! Names for what the library would call the same.
//!
//! It names columns after their expressions, leaves casts out of the names (DataFusion 55), and refuses a name that comes twice: `time`
//! and `time::date` in one list, or the sums of `value` and of `value::int`. A subquery is called as its column is, and so as that beside it. In a statement that is refused so each cast is written
//! as `cast_to(cast, type)`, a function that is gone once names are given, and what a list calls the same gets the text that was
//! written as its name.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result, SchemaError, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr as PlanExpr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, UnaryOperator, Value, VisitMut, VisitorMut};

use super::call::call;

const NAME: &str = "cast_to";

/// The function, ready to be registered.
pub(super) fn cast_to() -> ScalarUDF {
    ScalarUDF::new_from_impl(CastTo { signature: Signature::any(2, Volatility::Immutable) })
}

/// Whether a statement was refused because a name comes twice in it.
pub(crate) fn is_named_twice(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::Plan(message) => message.contains("require unique expression names"),
        DataFusionError::SchemaError(error, _) => matches!(
            error.as_ref(),
            SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. }
        ),
        _ => false,
    }
}

/// Gives different names to what the library would call the same.
pub(crate) struct Apart;

impl VisitorMut for Apart {
    type Break = Infallible;

    /// Before the casts of the list are written otherwise.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Infallible> {
        name_apart(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Expr::Cast { expr: inner, data_type, .. } = expr
            && !is_constant(inner)
        {
            let kind = Value::SingleQuotedString(data_type.to_string());
            let cast = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            *expr = call(NAME, [cast, Expr::Value(kind.into())]);
        }
        ControlFlow::Continue(())
    }
}

/// The type of a constant is asked for where it stands: it stays as it is written.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => is_constant(inner),
        _ => false,
    }
}

fn name_apart(items: &mut [SelectItem]) {
    let bare: Vec<Option<Bare>> = items.iter().map(|item| unnamed(item).map(Bare::of)).collect();
    let mut of_one_name: HashMap<&str, usize> = HashMap::new();
    for bare in bare.iter().flatten() {
        *of_one_name.entry(&bare.text).or_default() += 1;
    }
    let all = items.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut taken: HashSet<String> = items.iter().filter_map(known_name).collect();
    let mut columns: Vec<(Option<String>, String)> = Vec::new();
    for (item, bare) in items.iter_mut().zip(&bare) {
        let (SelectItem::UnnamedExpr(expr), Some(bare)) = (&mut *item, bare) else { continue };
        let is_told_apart = match column(expr) {
            Some(name) => {
                let known = (table(expr), folded(name));
                // A column without its table may be that of any.
                let is_same = |other: &(Option<String>, String)| {
                    other.1 == known.1 && (other.0.is_none() || known.0.is_none() || other.0 == known.0)
                };
                let is_new = !all && !columns.iter().any(is_same);
                columns.push(known);
                is_new
            }
            // A subquery is called as its column is.
            None if matches!(expr, Expr::Subquery(_)) => false,
            None => !bare.has_cast && of_one_name.get(bare.text.as_str()).is_none_or(|items| *items < 2),
        };
        if is_told_apart {
            continue;
        }
        let written = column(expr).map_or_else(|| expr.to_string(), |name| name.value.clone());
        let name = (2..).map(|number| format!("{written}_{number}"));
        let name = std::iter::once(written.clone()).chain(name).find(|name| taken.insert(name.clone()));
        if let Some(name) = name {
            let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) };
        }
    }
}

fn unnamed(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(expr),
        _ => None,
    }
}

/// The name of an item that is a column, or has been given one.
fn known_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(expr) => column(expr).map(|name| name.value.clone()),
        _ => None,
    }
}

fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

fn table(expr: &Expr) -> Option<String> {
    match expr {
        Expr::CompoundIdentifier(parts) => parts.iter().rev().nth(1).map(folded),
        _ => None,
    }
}

/// Without quotes letter case does not count.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// An expression as the library names it: without casts, and without the tables of columns, which it adds everywhere.
struct Bare {
    text: String,
    has_cast: bool,
}

impl Bare {
    fn of(expr: &Expr) -> Self {
        let (mut expr, mut bare) = (expr.clone(), Baring { has_cast: false });
        let _: ControlFlow<Infallible> = VisitMut::visit(&mut expr, &mut bare);
        Self { text: expr.to_string().to_lowercase(), has_cast: bare.has_cast }
    }
}

struct Baring {
    has_cast: bool,
}

impl VisitorMut for Baring {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        let inner = match expr {
            Expr::Cast { expr: inner, .. } => {
                self.has_cast |= !is_constant(inner);
                inner
            }
            Expr::Nested(inner) => inner,
            Expr::CompoundIdentifier(parts) => {
                if let Some(name) = parts.pop() {
                    *expr = Expr::Identifier(name);
                }
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        let inner = std::mem::replace(inner.as_mut(), Expr::Value(Value::Null.into()));
        *expr = inner;
        ControlFlow::Continue(())
    }
}

/// Its first argument, under a name that tells the type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CastTo {
    signature: Signature,
}

impl ScalarUDFImpl for CastTo {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [cast, _] => Ok(cast.clone()),
            _ => plan_err!("{NAME} takes a cast and its type"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [cast, _] => Ok(FieldRef::clone(cast)),
            _ => plan_err!("{NAME} takes a cast and its type"),
        }
    }

    fn simplify(&self, args: Vec<PlanExpr>, _context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match <[PlanExpr; 2]>::try_from(args) {
            Ok([cast, _]) => Ok(ExprSimplifyResult::Simplified(cast)),
            Err(args) => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match <[ColumnarValue; 2]>::try_from(args.args) {
            Ok([cast, _]) => Ok(cast),
            Err(_) => plan_err!("{NAME} takes a cast and its type"),
        }
    }
}

#[cfg(test)]
mod tests;
