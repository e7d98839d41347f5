//! Cuts what a client sends into statements and says what each one is, before anything is planned:
//! the planner only ever sees statements that read.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::copy::CopyOut;
use super::failure::{Failure, sqlstate};
use super::lexeme::{Lexeme, Words, lex};

#[cfg(test)]
mod tests;

/// One statement of a query string.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    /// The statement without its semicolon.
    pub(crate) text: String,
    /// Where it begins, in characters of the query string.
    pub(crate) start: usize,
    pub(crate) command: Command,
}

/// What a statement asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Rows: to be planned and run. The tag completes the command.
    Query {
        tag: &'static str,
    },
    Begin,
    Commit,
    Rollback,
    RollbackTo(String),
    Savepoint(String),
    Release(String),
    /// `SET name = value`; without a value the default.
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    /// `SET TRANSACTION …`, `SET CONSTRAINTS …`: accepted, there is nothing to set.
    Accepted(&'static str),
    /// `RESET name`; without a name everything.
    Reset(Option<String>),
    /// `SHOW name`, or `all`.
    Show(String),
    Discard {
        what: String,
    },
    /// `DEALLOCATE name`; without a name everything.
    Deallocate(Option<String>),
    /// `SHOW TABLES`, as people type it who know other databases.
    ShowTables,
    /// `DECLARE name CURSOR FOR query`; held ones outlive their transaction.
    Declare {
        cursor: String,
        query: Box<Statement>,
        hold: bool,
    },
    /// `FETCH` and `MOVE`; `rows` of 0 means all.
    Fetch {
        cursor: String,
        rows: usize,
        moves: bool,
    },
    /// `CLOSE cursor`; without a name every cursor.
    Close(Option<String>),
    Copy(Box<CopyOut>),
    /// Changes something: always refused.
    Write,
    /// Known to PostgreSQL, not to this server.
    Unsupported(&'static str),
}

impl Command {
    /// Whether the command may run in a failed transaction: only its end may.
    pub(crate) fn ends_failure(&self) -> bool {
        matches!(self, Command::Commit | Command::Rollback | Command::RollbackTo(_))
    }
}

/// Cuts a query string at its semicolons. Empty statements and comments disappear.
pub(crate) fn split(sql: &str) -> Result<Vec<Statement>, Failure> {
    let lexemes = lex(sql).map_err(|failure| failure.positioned(sql, Some))?;
    lexemes
        .split(|lexeme| lexeme.token == Token::SemiColon)
        .filter(|statement| !statement.is_empty())
        .map(|statement| parse(sql, statement))
        .collect()
}

fn parse(sql: &str, lexemes: &[Lexeme]) -> Result<Statement, Failure> {
    let (text, start) = slice(sql, lexemes);
    let command = classify(sql, lexemes)?;
    Ok(Statement { text, start, command })
}

/// The text the lexemes cover, and its first character's position in `sql`.
pub(crate) fn slice(sql: &str, lexemes: &[Lexeme]) -> (String, usize) {
    let start = lexemes.first().map_or(0, |lexeme| lexeme.start);
    let end = lexemes.last().map_or(start, |lexeme| lexeme.end);
    let text = sql.get(start..end).unwrap_or_default().to_owned();
    (text, sql.get(..start).unwrap_or_default().chars().count())
}

fn classify(sql: &str, lexemes: &[Lexeme]) -> Result<Command, Failure> {
    let mut words = Words::new(lexemes);
    let Some(first) = words.next().and_then(Lexeme::word) else {
        return Ok(query(lexemes, "SELECT"));
    };
    match first.as_str() {
        "begin" => Ok(Command::Begin),
        "start" if words.take("transaction") => Ok(Command::Begin),
        "commit" | "end" if words.take("prepared") => Ok(Command::Unsupported("two-phase commit")),
        "commit" | "end" => Ok(Command::Commit),
        "rollback" | "abort" => rollback(&mut words),
        "savepoint" => named(&mut words, Command::Savepoint),
        "release" => {
            words.take("savepoint");
            named(&mut words, Command::Release)
        }
        "set" => set(&mut words),
        "reset" => reset(&mut words),
        "show" => show(&mut words),
        "discard" => {
            let what = words.name()?;
            words.end()?;
            Ok(Command::Discard { what })
        }
        "deallocate" => {
            words.take("prepare");
            all_or_name(&mut words, Command::Deallocate)
        }
        "declare" => declare(sql, &mut words),
        "fetch" => fetch(&mut words, false),
        "move" => fetch(&mut words, true),
        "close" => all_or_name(&mut words, Command::Close),
        "copy" => CopyOut::parse(sql, &mut words),
        "explain" => Ok(explain(lexemes)),
        "unlisten" => Ok(Command::Accepted("UNLISTEN")),
        "listen" | "notify" => Ok(Command::Unsupported("LISTEN and NOTIFY")),
        "prepare" | "execute" => Ok(Command::Unsupported("SQL-level PREPARE and EXECUTE")),
        "call" | "do" => Ok(Command::Unsupported("procedures")),
        word if WRITING.contains(&word) => Ok(Command::Write),
        _ => Ok(query(lexemes, "SELECT")),
    }
}

/// First words of statements that change data, structure or the server.
const WRITING: &[&str] = &[
    "alter",
    "analyze",
    "attach",
    "checkpoint",
    "cluster",
    "comment",
    "create",
    "delete",
    "detach",
    "drop",
    "grant",
    "import",
    "insert",
    "load",
    "lock",
    "merge",
    "reassign",
    "refresh",
    "reindex",
    "replace",
    "revoke",
    "security",
    "truncate",
    "update",
    "vacuum",
];

fn query(lexemes: &[Lexeme], tag: &'static str) -> Command {
    if hides_write(lexemes) { Command::Write } else { Command::Query { tag } }
}

/// Whether a writing statement sits inside: after `WITH …`, or in its parentheses.
fn hides_write(lexemes: &[Lexeme]) -> bool {
    lexemes.windows(3).any(|window| {
        let [before, verb, after] = window else { return false };
        matches!(before.token, Token::LParen | Token::RParen)
            && ((verb.is("insert") && after.is("into"))
                || (verb.is("merge") && after.is("into"))
                || (verb.is("delete") && after.is("from")))
    }) || lexemes.windows(4).any(|window| {
        let [before, verb, _, after] = window else { return false };
        matches!(before.token, Token::LParen | Token::RParen) && verb.is("update") && after.is("set")
    })
}

/// `EXPLAIN ANALYZE` runs its statement, so what it explains counts.
fn explain(lexemes: &[Lexeme]) -> Command {
    let mut words = Words::new(lexemes);
    words.next();
    let mut depth = 0_usize;
    while let Some(lexeme) = words.peek() {
        match &lexeme.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if depth == 0 && !EXPLAIN_OPTIONS.iter().any(|option| lexeme.is(option)) => break,
            _ => {}
        }
        words.next();
    }
    let explained = words.rest();
    let writes =
        explained.first().and_then(Lexeme::word).is_some_and(|word| word == "copy" || WRITING.contains(&word.as_str()));
    if writes { Command::Write } else { query(lexemes, "EXPLAIN") }
}

const EXPLAIN_OPTIONS: &[&str] = &["analyze", "verbose", "format", "tree", "indent", "pgjson", "graphviz"];

fn named(words: &mut Words<'_>, command: impl FnOnce(String) -> Command) -> Result<Command, Failure> {
    let name = words.name()?;
    words.end()?;
    Ok(command(name))
}

fn all_or_name(words: &mut Words<'_>, command: impl FnOnce(Option<String>) -> Command) -> Result<Command, Failure> {
    let name = if words.take("all") { None } else { Some(words.name()?) };
    words.end()?;
    Ok(command(name))
}

fn rollback(words: &mut Words<'_>) -> Result<Command, Failure> {
    if words.take("prepared") {
        return Ok(Command::Unsupported("two-phase commit"));
    }
    let _optional = words.take("work") || words.take("transaction");
    if words.take("to") {
        words.take("savepoint");
        return named(words, Command::RollbackTo);
    }
    Ok(Command::Rollback)
}

fn set(words: &mut Words<'_>) -> Result<Command, Failure> {
    let session = words.take("session");
    if session && words.take("authorization") {
        return Ok(Command::Unsupported("SET SESSION AUTHORIZATION"));
    }
    if session && words.take("characteristics") {
        return Ok(Command::Accepted("SET"));
    }
    let local = !session && words.take("local");
    if words.take("transaction") || words.take("constraints") {
        return Ok(Command::Accepted("SET"));
    }
    if words.take("role") {
        return Ok(Command::Unsupported("SET ROLE"));
    }
    if words.take("names") {
        return Ok(Command::Set { name: "client_encoding".to_owned(), value: Some(words.value()?), local });
    }
    if words.take("time") {
        if !words.take("zone") {
            return Err(Failure::syntax("syntax error: expected SET TIME ZONE"));
        }
        words.take("interval");
        let value = setting_value(words)?.filter(|zone| !zone.eq_ignore_ascii_case("local"));
        return Ok(Command::Set { name: "timezone".to_owned(), value, local });
    }
    let name = setting_name(words)?;
    if !words.take("to") && !words.take_token(&Token::Eq) {
        return Err(Failure::syntax(format!("syntax error: expected SET {name} TO value")));
    }
    let value = setting_value(words)?;
    words.end()?;
    Ok(Command::Set { name, value, local })
}

fn setting_name(words: &mut Words<'_>) -> Result<String, Failure> {
    let mut name = words.name()?.to_ascii_lowercase();
    while words.take_token(&Token::Period) {
        name.push('.');
        name.push_str(&words.name()?.to_ascii_lowercase());
    }
    Ok(name)
}

/// A list keeps its commas; `DEFAULT` is no value.
fn setting_value(words: &mut Words<'_>) -> Result<Option<String>, Failure> {
    if words.take("default") {
        return Ok(None);
    }
    let mut value = words.value()?;
    while words.take_token(&Token::Comma) {
        value.push_str(", ");
        value.push_str(&words.value()?);
    }
    Ok(Some(value))
}

fn reset(words: &mut Words<'_>) -> Result<Command, Failure> {
    if words.take("all") {
        return Ok(Command::Reset(None));
    }
    if words.take("time") {
        words.take("zone");
        return Ok(Command::Reset(Some("timezone".to_owned())));
    }
    let name = setting_name(words)?;
    words.end()?;
    Ok(Command::Reset(Some(name)))
}

fn show(words: &mut Words<'_>) -> Result<Command, Failure> {
    if words.take("time") {
        words.take("zone");
        return Ok(Command::Show("timezone".to_owned()));
    }
    if words.take("transaction") {
        let read_only = words.take("read");
        let name = if read_only { "transaction_read_only" } else { "transaction_isolation" };
        return Ok(Command::Show(name.to_owned()));
    }
    if words.take("session") {
        words.take("authorization");
        return Ok(Command::Show("session_authorization".to_owned()));
    }
    let name = setting_name(words)?;
    words.end()?;
    Ok(if name == "tables" { Command::ShowTables } else { Command::Show(name) })
}

fn declare(sql: &str, words: &mut Words<'_>) -> Result<Command, Failure> {
    let cursor = words.name()?;
    let mut hold = false;
    while !words.take("for") {
        if words.take("with") {
            hold = true;
            continue;
        }
        let option = words.next().and_then(Lexeme::word).unwrap_or_default();
        if option == "binary" {
            return Ok(Command::Unsupported("binary cursors"));
        }
        if !["insensitive", "asensitive", "no", "scroll", "cursor", "without", "hold"].contains(&option.as_str()) {
            return Err(Failure::syntax("syntax error: expected DECLARE name CURSOR FOR query"));
        }
    }
    if words.is_done() {
        return Err(Failure::syntax("syntax error: expected a query after FOR"));
    }
    let query = parse(sql, words.rest())?;
    match query.command {
        Command::Query { .. } => Ok(Command::Declare { cursor, query: Box::new(query), hold }),
        Command::Write => Ok(Command::Write),
        _ => Err(Failure::syntax("syntax error: a cursor is declared for a query")),
    }
}

fn fetch(words: &mut Words<'_>, moves: bool) -> Result<Command, Failure> {
    let mut rows = 1;
    for backward in ["backward", "prior", "first", "last", "absolute", "relative"] {
        if words.take(backward) {
            return Err(
                Failure::new(sqlstate::OBJECT_NOT_IN_STATE, "cursor can only scan forward").hint("use FETCH FORWARD")
            );
        }
    }
    let _optional = words.take("next") || words.take("forward");
    if words.take("all") {
        rows = 0;
    } else if matches!(words.peek().map(|lexeme| &lexeme.token), Some(Token::Number(..))) {
        let count = words.value()?;
        rows = count.parse().map_err(|_| Failure::syntax(format!("syntax error: {count} is no number of rows")))?;
    }
    let _optional = words.take("from") || words.take("in");
    let cursor = words.name()?;
    words.end()?;
    Ok(Command::Fetch { cursor, rows, moves })
}
