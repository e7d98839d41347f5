//! The text the planner is given for a statement, and the way back from a place in it to the character the
//! client typed there.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::failure::{Failure, sqlstate};
use super::lexeme::{Lexeme, lex};
use super::rewrite::rewrite;

#[cfg(test)]
mod tests;

/// A statement's text on its way to the planner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    text: String,
    /// Where the statement begins in what the client sent, in characters.
    start: usize,
    /// Where the text differs from what was typed, in order.
    edits: Vec<Edit>,
    /// False where the text was rewritten as a whole: then no place leads back.
    exact: bool,
}

/// One placeholder that became a literal; all in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edit {
    at: usize,
    length: usize,
    typed_at: usize,
    typed_length: usize,
}

impl Source {
    pub(crate) fn new(text: &str, start: usize) -> Source {
        Source { text: text.to_owned(), start, edits: Vec::new(), exact: true }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Puts literals in the place of `$1`, `$2`, …; `None` leaves the placeholder.
    pub(crate) fn bind(&self, literals: &[Option<String>]) -> Result<Source, Failure> {
        let lexemes = lex(&self.text)?;
        let mut text = String::with_capacity(self.text.len());
        let mut edits = Vec::new();
        let mut copied = 0;
        for lexeme in &lexemes {
            let Some(number) = placeholder(lexeme)? else { continue };
            let literal = literals.get(number - 1).ok_or_else(|| undefined(number))?;
            let Some(literal) = literal else { continue };
            text.push_str(self.text.get(copied..lexeme.start).unwrap_or_default());
            edits.push(Edit {
                at: characters(&text),
                length: characters(literal),
                typed_at: characters(self.text.get(..lexeme.start).unwrap_or_default()),
                typed_length: characters(self.text.get(lexeme.start..lexeme.end).unwrap_or_default()),
            });
            text.push_str(literal);
            copied = lexeme.end;
        }
        text.push_str(self.text.get(copied..).unwrap_or_default());
        Ok(Source { text, start: self.start, edits, exact: self.exact })
    }

    /// Rewrites what PostgreSQL's clients write and the planner does not know.
    pub(crate) fn rewritten(self) -> Result<Source, Failure> {
        match rewrite(&self.text)? {
            Some(text) => Ok(Source { text, edits: Vec::new(), exact: false, ..self }),
            None => Ok(self),
        }
    }

    /// Gives a failure the character it happened at, where that is known.
    pub(crate) fn place(&self, failure: Failure) -> Failure {
        failure.positioned(&self.text, |character| self.exact.then(|| self.start + self.typed(character)))
    }

    /// The character of the typed statement that a character of the text came from.
    fn typed(&self, character: usize) -> usize {
        let before = self.edits.iter().take_while(|edit| edit.at <= character).last();
        match before {
            None => character,
            Some(edit) if character < edit.at + edit.length => edit.typed_at,
            Some(edit) => edit.typed_at + edit.typed_length + (character - edit.at - edit.length),
        }
    }
}

/// How many parameters a statement has: the highest number in it.
pub(crate) fn parameter_count(text: &str) -> Result<usize, Failure> {
    let mut count = 0;
    for lexeme in lex(text)? {
        if let Some(number) = placeholder(&lexeme)? {
            count = count.max(number);
        }
    }
    Ok(count)
}

/// The number of a `$n`.
fn placeholder(lexeme: &Lexeme) -> Result<Option<usize>, Failure> {
    let Token::Placeholder(name) = &lexeme.token else { return Ok(None) };
    let number = name.strip_prefix('$').and_then(|digits| digits.parse::<u16>().ok()).filter(|number| *number > 0);
    match number {
        Some(number) => Ok(Some(usize::from(number))),
        None => Err(Failure::new(sqlstate::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
            .hint("parameters are $1, $2, …")),
    }
}

fn undefined(number: usize) -> Failure {
    Failure::new(sqlstate::UNDEFINED_PARAMETER, format!("there is no parameter ${number}"))
}

fn characters(text: &str) -> usize {
    text.chars().count()
}
