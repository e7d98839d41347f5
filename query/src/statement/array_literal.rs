//! Arrays that are written as texts, as PostgreSQL writes them: `'{a,"b c",NULL}'::text[]`, `= ANY('{a,"b c"}')`.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Value, VisitMut, VisitorMut,
};

use super::sql_of_mut;
use crate::error::QueryError;

/// The items of a text such as `{a,"b c",NULL}`, as PostgreSQL reads it.
///
/// # Errors
/// [`QueryError::Statement`] where it is none, or one of more than one dimension.
pub fn array_items(text: &str) -> Result<Vec<Option<String>>, QueryError> {
    let wrong = |message: String| QueryError::Statement { message, at: None };
    let malformed = || wrong(format!("malformed array literal: \"{text}\"; write it like {{a,\"b c\",NULL}}"));
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(malformed)?;
    if inner.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    let mut rest = inner;
    loop {
        let (item, after) = next_item(rest).ok_or_else(malformed)?;
        items.push(item);
        rest = match after.chars().next() {
            None => return Ok(items),
            Some(',') => after.get(1..).unwrap_or_default(),
            Some('{' | '}') => return Err(wrong("arrays of more than one dimension are not supported".to_owned())),
            Some(_) => return Err(malformed()),
        };
    }
}

/// The first item of a list and what follows it; `None` where it is not one.
fn next_item(list: &str) -> Option<(Option<String>, &str)> {
    let list = list.trim_start();
    let mut item = String::new();
    let mut characters = list.char_indices();
    if list.starts_with('"') {
        characters.next();
        loop {
            match characters.next()? {
                (_, '\\') => item.push(characters.next()?.1),
                (at, '"') => return Some((Some(item), list.get(at + 1..)?.trim_start())),
                (_, character) => item.push(character),
            }
        }
    }
    let (mut end, mut escaped) = (list.len(), false);
    // Spaces around an item are not of it, unless they are escaped.
    let mut kept = 0;
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                item.push(characters.next()?.1);
                (kept, escaped) = (item.len(), true);
            }
            ',' | '{' | '}' => {
                end = at;
                break;
            }
            '"' => return None,
            character => {
                item.push(character);
                if !character.is_whitespace() {
                    kept = item.len();
                }
            }
        }
    }
    item.truncate(kept);
    // Of `{,a}` and `{a {b}}` the first is no item, and the second no list.
    if item.is_empty() && !list.get(end..)?.starts_with('{') {
        return None;
    }
    let is_null = !escaped && item.eq_ignore_ascii_case("null");
    Some(((!is_null).then_some(item), list.get(end..)?))
}

/// Writes arrays that are given as texts as `ARRAY[…]`, and asks whether something is in a list by `IN`: of a list with a NULL the
/// library's functions know only whether it holds a value, not that it may.
pub(crate) fn spell_arrays(statement: &mut Statement) -> Result<(), QueryError> {
    match sql_of_mut(statement).map(|statement| VisitMut::visit(statement, &mut Texts)) {
        Some(ControlFlow::Break(error)) => Err(error),
        _ => Ok(()),
    }
}

struct Texts;

impl VisitorMut for Texts {
    type Break = QueryError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match respelled(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn respelled(expr: &mut Expr) -> Result<(), QueryError> {
    match expr {
        Expr::Cast { expr: text, data_type: DataType::Array(element), .. } => {
            let Some(array) = spelled(text, element_type(element))? else { return Ok(()) };
            // Its items have their type; without any, the type is that of the cast.
            match array.elem.is_empty() {
                true => **text = Expr::Array(array),
                false => *expr = Expr::Array(array),
            }
        }
        Expr::AnyOp { left, compare_op, right, .. } => {
            let list = listed(right)?;
            if !list.is_empty() && *compare_op == BinaryOperator::Eq {
                *expr = Expr::InList { expr: left.clone(), list, negated: false };
            }
        }
        Expr::AllOp { left, compare_op, right } => {
            let list = listed(right)?;
            if !list.is_empty() && *compare_op == BinaryOperator::NotEq {
                *expr = Expr::InList { expr: left.clone(), list, negated: true };
            }
        }
        _ => {}
    }
    Ok(())
}

/// The items of an array that is spelled out, also where it is given as a text; none of another one.
fn listed(array: &mut Expr) -> Result<Vec<Expr>, QueryError> {
    if let Some(spelled) = spelled(array, None)? {
        *array = Expr::Array(spelled);
    }
    Ok(items_of(array))
}

fn items_of(array: &Expr) -> Vec<Expr> {
    match array {
        Expr::Array(array) => array.elem.clone(),
        Expr::Nested(inner) => items_of(inner),
        Expr::Cast { expr, data_type: DataType::Array(element), .. } => {
            let cast = |item: Expr| match element_type(element) {
                Some(kind) => cast(item, kind),
                None => item,
            };
            items_of(expr).into_iter().map(cast).collect()
        }
        _ => Vec::new(),
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(expr), data_type, array: false, format: None }
}

fn element_type(element: &ArrayElemTypeDef) -> Option<DataType> {
    match element {
        ArrayElemTypeDef::None => None,
        ArrayElemTypeDef::AngleBracket(kind)
        | ArrayElemTypeDef::SquareBracket(kind, _)
        | ArrayElemTypeDef::Parenthesis(kind) => Some(kind.as_ref().clone()),
    }
}

/// `None` where it is not given as a text.
fn spelled(expr: &Expr, element: Option<DataType>) -> Result<Option<Array>, QueryError> {
    let text = match expr {
        Expr::Nested(inner) => return spelled(inner, element),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let item = |item: Option<String>| {
        let value = Expr::Value(item.map_or(Value::Null, Value::SingleQuotedString).into());
        match &element {
            Some(kind) => cast(value, kind.clone()),
            None => value,
        }
    };
    let elem = array_items(text)?.into_iter().map(item).collect();
    Ok(Some(Array { elem, named: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_as_postgresql_reads_them() {
        let items = |text: &str| -> Vec<Option<String>> { array_items(text).expect(text) };
        let some =
            |texts: &[&str]| -> Vec<Option<String>> { texts.iter().map(|text| Some((*text).to_owned())).collect() };
        assert_eq!(items("{}"), []);
        assert_eq!(items("  { } "), []);
        assert_eq!(items("{a,b c}"), some(&["a", "b c"]));
        assert_eq!(items(r#"{ a , "b c" ,"d,e" , "x\"y\\z","{}"}"#), some(&["a", "b c", "d,e", r#"x"y\z"#, "{}"]));
        assert_eq!(items(r#"{"",a\,b,\ c\ ,"NULL",N\ULL}"#), some(&["", "a,b", " c ", "NULL", "NULL"]));
        assert_eq!(items("{NULL,null,größe}"), [None, None, Some("größe".to_owned())]);
        for wrong in [
            "",
            "a",
            "{a",
            "a}",
            "{a,}",
            "{,a}",
            "{a,,b}",
            r#"{"a}"#,
            r#"{"a" b}"#,
            r#"{a"b"}"#,
            r"{a\}",
            "{a}}",
            "{\"a\"\"b\"}",
        ] {
            assert!(array_items(wrong).is_err(), "{wrong}");
        }
        let nested = array_items("{{1,2},{3,4}}").expect_err("two dimensions").to_string();
        assert!(nested.contains("more than one dimension"), "{nested}");
    }
}
