//! What PostgreSQL's dialect says in words that the library does not know, in words that it does.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments, LimitClause,
    ObjectNamePart, Query, Value, VisitMut, VisitorMut,
};

use super::sql_of_mut;

/// Functions, and what the library calls them.
const FUNCTIONS: [(&str, &str); 2] = [("sign", "signum"), ("variance", "var_samp")];

/// Writes FETCH FIRST as LIMIT, and some functions by other names.
pub(crate) fn translate(statement: &mut Statement) {
    if let Some(statement) = sql_of_mut(statement) {
        let _: ControlFlow<Infallible> = VisitMut::visit(statement, &mut Translation);
    }
}

struct Translation;

impl VisitorMut for Translation {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        // The others are refused by the library, which says so.
        if let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch {
            let rows = quantity.clone().unwrap_or_else(|| Expr::Value(Value::Number("1".to_owned(), false).into()));
            match &mut query.limit_clause {
                Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
                None => {
                    let (limit, offset, limit_by) = (Some(rows), None, Vec::new());
                    query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by });
                }
                Some(_) => return ControlFlow::Continue(()),
            }
            query.fetch = None;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_mut_slice() else {
            return ControlFlow::Continue(());
        };
        if let Some((_, known)) = FUNCTIONS.iter().find(|(other, _)| name.value.eq_ignore_ascii_case(other)) {
            name.value = (*known).to_owned();
        } else if name.value.eq_ignore_ascii_case("mod")
            && let Some([left, right]) = operands(function)
        {
            let operation = Expr::BinaryOp { left, op: BinaryOperator::Modulo, right };
            *expr = Expr::Nested(Box::new(operation));
        }
        ControlFlow::Continue(())
    }
}

/// The two arguments of a function that has two.
fn operands(function: &Function) -> Option<[Box<Expr>; 2]> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(left)), FunctionArg::Unnamed(FunctionArgExpr::Expr(right))] =
        list.args.as_slice()
    else {
        return None;
    };
    let nested = |side: &Expr| Box::new(Expr::Nested(Box::new(side.clone())));
    Some([nested(left), nested(right)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    fn translated(sql: &str) -> String {
        let mut statement = parse(sql);
        translate(&mut statement);
        statement.to_string()
    }

    #[test]
    fn fetch_is_a_limit() {
        for (written, meant) in [
            ("SELECT a FROM t FETCH FIRST 3 ROWS ONLY", "SELECT a FROM t LIMIT 3"),
            (
                "SELECT a FROM t ORDER BY a OFFSET 2 ROWS FETCH NEXT ROW ONLY",
                "SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 2 ROWS",
            ),
            ("SELECT (SELECT a FROM t FETCH FIRST ROW ONLY)", "SELECT (SELECT a FROM t LIMIT 1)"),
        ] {
            assert_eq!(translated(written), meant);
        }
        for untouched in ["SELECT a FROM t FETCH FIRST 3 ROWS WITH TIES", "SELECT a FROM t LIMIT 5"] {
            assert_eq!(translated(untouched), untouched);
        }
    }

    #[test]
    fn functions_have_other_names() {
        let written = "SELECT Variance(a), mod(a + 1, mod(b, 3)), sign(-a), s.sign(a), mod(a) FROM t";
        let meant = "SELECT var_samp(a), ((a + 1) % (((b) % (3)))), signum(-a), s.sign(a), mod(a) FROM t";
        assert_eq!(translated(written), meant);
    }
}
