//! Statements about the catalogs, as psql and drivers send them, in words the planner knows. A statement
//! about the plant's own tables is left as it was typed wherever that is possible: a rewrite for catalogs may
//! trade exactness for an answer.

use std::sync::{Arc, LazyLock};

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_pg_catalog::sql::rules::{
    CurrentUserVariableToSessionUserFunctionCall, FixVersionColumnName, RewritePgCatalogOperator,
    SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};

use super::failure::{Failure, parse_failure};
use super::lexeme::{Lexeme, lex};

#[cfg(test)]
mod tests;

/// Knows whole statements of well-known clients besides its rules; expensive to build.
static CATALOG_PARSER: LazyLock<PostgresCompatibilityParser> = LazyLock::new(PostgresCompatibilityParser::new);

/// Rules that keep a statement's meaning, whatever it asks.
static EXACT_RULES: LazyLock<Vec<Arc<dyn SqlStatementRewriteRule>>> = LazyLock::new(|| {
    let rules: Vec<Arc<dyn SqlStatementRewriteRule>> = vec![
        Arc::new(StripCallableQualifier),
        Arc::new(CurrentUserVariableToSessionUserFunctionCall),
        Arc::new(StripCollate),
        Arc::new(RewritePgCatalogOperator),
        Arc::new(FixVersionColumnName),
    ];
    rules
});

/// Words without which no exact rule has anything to do.
const EXACT_WORDS: &[&str] = &[
    "current_user",
    "current_role",
    "user",
    "session_user",
    "current_catalog",
    "current_schema",
    "collate",
    "operator",
    "version",
    "public",
];

/// Types that name catalog objects.
const CATALOG_TYPES: &[&str] = &["regclass", "regtype", "regproc", "regnamespace", "regrole", "regprocedure", "oid"];

/// The subquery in which Grafana asks what the search path holds.
const SEARCH_PATH: &str = r#"SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
    FROM generate_series(
        array_lower(string_to_array(current_setting('search_path'),','),1),
        array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
    string_to_array(current_setting('search_path'),',') s"#;
const SEARCH_PATH_ANSWER: &str = "'public'";

/// The rewritten statement, or `None` where it can stay as it is.
pub(crate) fn rewrite(text: &str) -> Result<Option<String>, Failure> {
    let lexemes = lex(text)?;
    if asks_catalogs(&lexemes) {
        return for_catalogs(text, &lexemes).map(Some);
    }
    let touched = lexemes.iter().any(|lexeme| lexeme.word().is_some_and(|word| EXACT_WORDS.contains(&word.as_str())));
    Ok(if touched { exactly(text) } else { None })
}

fn asks_catalogs(lexemes: &[Lexeme]) -> bool {
    lexemes.iter().any(|lexeme| match &lexeme.token {
        Token::Word(word) => {
            let word = word.value.to_ascii_lowercase();
            word.starts_with("pg_") || word == "information_schema" || CATALOG_TYPES.contains(&word.as_str())
        }
        _ => false,
    })
}

fn for_catalogs(text: &str, lexemes: &[Lexeme]) -> Result<String, Failure> {
    let text = answer_search_path(text, lexemes)?;
    let mut statements = CATALOG_PARSER.parse(&text).map_err(|error| parse_failure(&error))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement.to_string()),
        _ => Err(Failure::syntax("syntax error: expected one statement")),
    }
}

/// What does not parse is left to the planner, which says where.
fn exactly(text: &str) -> Option<String> {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    let typed = statements.pop().filter(|_| statements.is_empty())?;
    let rewritten: Statement = EXACT_RULES.iter().fold(typed.clone(), |statement, rule| rule.rewrite(statement));
    (rewritten != typed).then(|| rewritten.to_string())
}

/// Replaces every [`SEARCH_PATH`] by what it would find.
fn answer_search_path(text: &str, lexemes: &[Lexeme]) -> Result<String, Failure> {
    let pattern = lex(SEARCH_PATH)?;
    let mut answered = String::with_capacity(text.len());
    let mut copied = 0;
    for window in lexemes.windows(pattern.len()) {
        let same = window.iter().zip(&pattern).all(|(found, wanted)| found.token == wanted.token);
        if let (true, [first, .., last]) = (same, window)
            && first.start >= copied
        {
            answered.push_str(text.get(copied..first.start).unwrap_or_default());
            answered.push_str(SEARCH_PATH_ANSWER);
            copied = last.end;
        }
    }
    answered.push_str(text.get(copied..).unwrap_or_default());
    Ok(answered)
}
