//! A statement as its words, without white space and comments, each with its place in the text.

use std::iter::Peekable;
use std::str::CharIndices;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::failure::Failure;

/// One token and the bytes of the text it covers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Lexeme {
    /// The lower-case word, if this is one without quotes.
    pub(crate) fn word(&self) -> Option<String> {
        match &self.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
            _ => None,
        }
    }

    /// Whether this is the unquoted word `expected` (given in lower case).
    pub(crate) fn is(&self, expected: &str) -> bool {
        matches!(&self.token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    }
}

/// Cuts a text into its words. Comments and white space are left out.
pub(crate) fn lex(sql: &str) -> Result<Vec<Lexeme>, Failure> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().map_err(|error| {
        Failure::syntax(format!("syntax error: {}", error.message)).at(error.location.line, error.location.column)
    })?;
    let mut offsets = Offsets::new(sql);
    let mut lexemes = Vec::with_capacity(tokens.len());
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_) | Token::EOF) {
            continue;
        }
        let start = offsets.seek(token.span.start);
        let end = offsets.seek(token.span.end);
        lexemes.push(Lexeme { token: token.token, start, end });
    }
    Ok(lexemes)
}

/// Walks a text once, turning ascending lines and columns into byte offsets.
struct Offsets<'a> {
    text: &'a str,
    characters: Peekable<CharIndices<'a>>,
    line: u64,
    column: u64,
}

impl<'a> Offsets<'a> {
    fn new(text: &'a str) -> Offsets<'a> {
        Offsets { text, characters: text.char_indices().peekable(), line: 1, column: 1 }
    }

    fn seek(&mut self, to: Location) -> usize {
        while (self.line, self.column) < (to.line, to.column) {
            match self.characters.next() {
                Some((_, '\n')) => {
                    self.line += 1;
                    self.column = 1;
                }
                Some(_) => self.column += 1,
                None => break,
            }
        }
        self.characters.peek().map_or(self.text.len(), |(offset, _)| *offset)
    }
}

/// Reads a statement word by word.
pub(crate) struct Words<'a> {
    lexemes: &'a [Lexeme],
    next: usize,
}

impl<'a> Words<'a> {
    pub(crate) fn new(lexemes: &'a [Lexeme]) -> Words<'a> {
        Words { lexemes, next: 0 }
    }

    pub(crate) fn peek(&self) -> Option<&'a Lexeme> {
        self.lexemes.get(self.next)
    }

    pub(crate) fn next(&mut self) -> Option<&'a Lexeme> {
        let lexeme = self.lexemes.get(self.next)?;
        self.next += 1;
        Some(lexeme)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.lexemes.len()
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [Lexeme] {
        self.lexemes.get(self.next..).unwrap_or_default()
    }

    /// Reads `word` if it comes next.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|lexeme| lexeme.is(word));
        if found {
            self.next += 1;
        }
        found
    }

    /// Reads `token` if it comes next.
    pub(crate) fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|lexeme| lexeme.token == *token);
        if found {
            self.next += 1;
        }
        found
    }

    /// Reads a name: as written in quotes, in lower case without.
    pub(crate) fn name(&mut self) -> Result<String, Failure> {
        match self.next().map(|lexeme| &lexeme.token) {
            Some(Token::Word(word)) if word.quote_style.is_some() => Ok(word.value.clone()),
            Some(Token::Word(word)) => Ok(word.value.to_ascii_lowercase()),
            _ => Err(Failure::syntax("syntax error: expected a name")),
        }
    }

    /// Reads one literal or word as text; `-` before a number belongs to it.
    pub(crate) fn value(&mut self) -> Result<String, Failure> {
        let lexeme = self.next().ok_or_else(|| Failure::syntax("syntax error: expected a value"))?;
        match &lexeme.token {
            Token::Word(word) => Ok(word.value.clone()),
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Ok(text.clone()),
            Token::DoubleQuotedString(text) => Ok(text.clone()),
            Token::Number(number, _) => Ok(number.clone()),
            Token::Minus => Ok(format!("-{}", self.value()?)),
            Token::Plus => self.value(),
            other => Err(Failure::syntax(format!("syntax error: expected a value, found {other}"))),
        }
    }

    /// Fails unless everything has been read.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        match self.peek() {
            None => Ok(()),
            Some(lexeme) => Err(Failure::syntax(format!("syntax error at or near \"{}\"", lexeme.token))),
        }
    }
}
