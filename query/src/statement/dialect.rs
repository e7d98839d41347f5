//! What PostgreSQL's dialect says in words that the library does not know, in words that it does.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval,
    LimitClause, ObjectNamePart, Query, UnaryOperator, Value, VisitMut, VisitorMut,
};

use super::sql_of_mut;

/// Functions, and what the library calls them.
const FUNCTIONS: [(&str, &str); 2] = [("sign", "signum"), ("variance", "var_samp")];

/// Writes FETCH FIRST as LIMIT, some functions by other names, and the clock times of intervals in words.
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
        // The library takes the minus for the beginning of the text, where it is that of days alone.
        if let Expr::UnaryOp { op: UnaryOperator::Minus, expr: negated } = expr
            && matches!(negated.as_ref(), Expr::Interval(_))
        {
            let interval = std::mem::replace(negated.as_mut(), Expr::Value(Value::Null.into()));
            **negated = Expr::Nested(Box::new(interval));
        }
        if let Some(Value::SingleQuotedString(span)) = interval_text(expr)
            && let Some(words) = in_words(span)
        {
            *span = words;
        }
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

/// The text that is read as an interval.
fn interval_text(expr: &mut Expr) -> Option<&mut Value> {
    let text = match expr {
        Expr::Interval(Interval { value, leading_field: None, .. }) => value,
        Expr::Cast { expr, data_type: DataType::Interval { .. }, .. } => expr,
        _ => return None,
    };
    match text.as_mut() {
        Expr::Value(value) => Some(&mut value.value),
        _ => None,
    }
}

/// An interval whose clock times, `04:05:06`, `-04:05` or `05:06.5`, are written in words; `None` where it has none.
pub(crate) fn in_words(span: &str) -> Option<String> {
    if !span.contains(':') {
        return None;
    }
    let word = |word: &str| if word.contains(':') { clock(word) } else { Some(word.to_owned()) };
    Some(span.split_whitespace().map(word).collect::<Option<Vec<String>>>()?.join(" "))
}

/// Hours and minutes, hours, minutes and seconds, or minutes and seconds with a fraction. Its sign is that of all of them.
fn clock(word: &str) -> Option<String> {
    let (sign, time) = match word.strip_prefix(['-', '+']) {
        Some(time) if word.starts_with('-') => ("-", time),
        Some(time) => ("", time),
        None => ("", word),
    };
    let parts: Vec<&str> = time.split(':').collect();
    let units: &[&str] = match parts.as_slice() {
        [_, seconds] if seconds.contains('.') => &["minutes", "seconds"],
        [_, _] => &["hours", "minutes"],
        [_, _, _] => &["hours", "minutes", "seconds"],
        _ => return None,
    };
    let is_number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && part.parse::<f64>().is_ok();
    let words = parts.iter().zip(units).map(|(part, unit)| is_number(part).then(|| format!("{sign}{part} {unit}")));
    Some(words.collect::<Option<Vec<String>>>()?.join(" "))
}

/// The two arguments of a function that has two.
fn operands(function: &Function) -> Option<[Box<Expr>; 2]> {
    let Function { args: FunctionArguments::List(list), filter: None, over: None, .. } = function else { return None };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
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
    fn clock_times_of_intervals_are_words() {
        for (written, meant) in [
            ("04:05:06.789", "04 hours 05 minutes 06.789 seconds"),
            ("1 day -02:30", "1 day -02 hours -30 minutes"),
            ("05:06.5", "05 minutes 06.5 seconds"),
        ] {
            assert_eq!(translated(&format!("SELECT INTERVAL '{written}'")), format!("SELECT INTERVAL '{meant}'"));
            assert_eq!(translated(&format!("SELECT '{written}'::INTERVAL")), format!("SELECT '{meant}'::INTERVAL"));
        }
        for untouched in
            ["SELECT INTERVAL '1 day'", "SELECT INTERVAL '1:2:3:4'", "SELECT INTERVAL 'a:b'", "SELECT '04:05'"]
        {
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
