//! `COPY … TO STDOUT`: rows in PostgreSQL's text, CSV and binary copy formats. Nothing is copied in, and
//! nothing to a path.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use datafusion::sql::sqlparser::tokenizer::Token;
use pgwire::messages::data::DataRow;

use super::failure::{Failure, sqlstate};
use super::lexeme::{Lexeme, Words};
use super::statement::{Command, slice};

#[cfg(test)]
mod tests;

/// How copied rows look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// One `COPY … TO STDOUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyOut {
    /// The query whose rows go out.
    pub(crate) query: String,
    /// Where the query begins, in characters of the query string; 0 where it was made from a table's name.
    pub(crate) start: usize,
    pub(crate) format: CopyFormat,
    pub(crate) delimiter: u8,
    pub(crate) null: String,
    pub(crate) header: bool,
    pub(crate) quote: u8,
    pub(crate) escape: u8,
    /// Quote every value that is not NULL.
    pub(crate) force_quote: bool,
}

/// What stands at the beginning of a binary copy: signature, flags, length of the header's extension.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

impl CopyOut {
    /// Reads what follows the word `COPY`.
    pub(crate) fn parse(sql: &str, words: &mut Words<'_>) -> Result<Command, Failure> {
        let (query, start) = source(sql, words)?;
        if words.take("from") || !words.take("to") || !words.take("stdout") {
            return Ok(Command::Write);
        }
        let mut options = Options::default();
        words.take("with");
        if words.take_token(&Token::LParen) {
            options.read_list(words)?;
        } else {
            options.read_legacy(words)?;
        }
        words.end()?;
        options.finish(query, start).map(|copy| Command::Copy(Box::new(copy)))
    }

    /// Whether the rows have to be encoded in PostgreSQL's binary format.
    pub(crate) fn is_binary(&self) -> bool {
        self.format == CopyFormat::Binary
    }

    /// The line that goes out before the first row.
    pub(crate) fn column_names(&self, columns: &[String]) -> Option<Bytes> {
        if self.is_binary() || !self.header {
            return None;
        }
        let mut line = BytesMut::new();
        for (index, column) in columns.iter().enumerate() {
            self.put_value(&mut line, index, Some(column.as_bytes()));
        }
        line.put_u8(b'\n');
        Some(line.freeze())
    }

    /// What goes out after the last row, where that is also what comes first.
    pub(crate) fn ending(&self, is_first: bool) -> Option<Bytes> {
        let header = if is_first { BINARY_HEADER } else { &[] };
        self.is_binary().then(|| Bytes::from([header, &[0xff, 0xff]].concat()))
    }

    /// One row, encoded as for a query's result, in the copy's own frame. The header of the binary format comes in the message of
    /// the first row, as from PostgreSQL: clients look for it there.
    pub(crate) fn row(&self, row: DataRow, is_first: bool) -> Bytes {
        let mut out = BytesMut::with_capacity(BINARY_HEADER.len() + row.data.len() + 2);
        if self.is_binary() {
            if is_first {
                out.put_slice(BINARY_HEADER);
            }
            out.put_i16(row.field_count);
            out.put_slice(&row.data);
            return out.freeze();
        }
        let mut fields = row.data.freeze();
        for index in 0..usize::try_from(row.field_count).unwrap_or_default() {
            self.put_value(&mut out, index, take_field(&mut fields).as_deref());
        }
        out.put_u8(b'\n');
        out.freeze()
    }

    fn put_value(&self, out: &mut BytesMut, index: usize, value: Option<&[u8]>) {
        if index > 0 {
            out.put_u8(self.delimiter);
        }
        match (value, self.format) {
            (None, _) => out.put_slice(self.null.as_bytes()),
            (Some(value), CopyFormat::Csv) => self.put_csv(out, value),
            (Some(value), _) => self.put_text(out, value),
        }
    }

    /// A value is quoted when it could be read as something else, NULL included.
    fn put_csv(&self, out: &mut BytesMut, value: &[u8]) {
        let special = |byte: &u8| [self.delimiter, self.quote, b'\n', b'\r'].contains(byte);
        if !self.force_quote && value != self.null.as_bytes() && !value.iter().any(special) && value != b"\\." {
            out.put_slice(value);
            return;
        }
        out.put_u8(self.quote);
        for byte in value {
            if *byte == self.quote || *byte == self.escape {
                out.put_u8(self.escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(self.quote);
    }

    fn put_text(&self, out: &mut BytesMut, value: &[u8]) {
        for byte in value {
            match byte {
                b'\\' => out.put_slice(b"\\\\"),
                b'\n' => out.put_slice(b"\\n"),
                b'\r' => out.put_slice(b"\\r"),
                b'\t' => out.put_slice(b"\\t"),
                byte if *byte == self.delimiter => out.put_slice(&[b'\\', *byte]),
                byte => out.put_u8(*byte),
            }
        }
    }
}

/// Takes one length-prefixed field off an encoded row; a negative length is NULL.
fn take_field(fields: &mut Bytes) -> Option<Bytes> {
    if fields.remaining() < 4 {
        return None;
    }
    let length = usize::try_from(fields.get_i32()).ok()?;
    Some(fields.split_to(length.min(fields.len())))
}

/// `( query )`, or a table with or without its columns.
fn source(sql: &str, words: &mut Words<'_>) -> Result<(String, usize), Failure> {
    let rest = words.rest();
    if words.take_token(&Token::LParen) {
        let length = parenthesised(words)?;
        return Ok(slice(sql, rest.get(1..=length).unwrap_or_default()));
    }
    words.name()?;
    let mut length = 1;
    while words.take_token(&Token::Period) {
        words.name()?;
        length += 2;
    }
    let (table, _) = slice(sql, rest.get(..length).unwrap_or_default());
    let columns_begin = words.rest();
    if words.take_token(&Token::LParen) {
        let length = parenthesised(words)?;
        let (columns, _) = slice(sql, columns_begin.get(1..=length).unwrap_or_default());
        return Ok((format!("SELECT {columns} FROM {table}"), 0));
    }
    Ok((format!("SELECT * FROM {table}"), 0))
}

/// Reads up to the matching parenthesis; gives the number of words before it.
fn parenthesised(words: &mut Words<'_>) -> Result<usize, Failure> {
    let mut depth = 1_usize;
    let mut length = 0;
    while let Some(lexeme) = words.next() {
        match lexeme.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(length);
        }
        length += 1;
    }
    Err(Failure::syntax("syntax error: a parenthesis is not closed"))
}

#[derive(Default)]
struct Options {
    format: Option<CopyFormat>,
    delimiter: Option<u8>,
    null: Option<String>,
    header: bool,
    quote: Option<u8>,
    escape: Option<u8>,
    force_quote: bool,
}

impl Options {
    /// `(FORMAT csv, HEADER, …)`.
    fn read_list(&mut self, words: &mut Words<'_>) -> Result<(), Failure> {
        loop {
            let option = words.name()?.to_ascii_lowercase();
            if option == "force_quote" {
                if !words.take_token(&Token::Mul) {
                    return Err(Failure::unsupported("COPY quotes every column or none: use FORCE_QUOTE *"));
                }
                self.force_quote = true;
            } else {
                let ends = matches!(words.peek().map(|lexeme| &lexeme.token), Some(Token::Comma | Token::RParen));
                let value = if ends { None } else { Some(words.value()?) };
                self.put(&option, value)?;
            }
            if words.take_token(&Token::RParen) {
                return Ok(());
            }
            if !words.take_token(&Token::Comma) {
                return Err(Failure::syntax("syntax error: expected , or ) in the options of COPY"));
            }
        }
    }

    /// `BINARY`, `CSV HEADER`, `DELIMITER AS ';'`: as clients wrote it before PostgreSQL 9.
    fn read_legacy(&mut self, words: &mut Words<'_>) -> Result<(), Failure> {
        while let Some(option) = words.next().and_then(Lexeme::word) {
            match option.as_str() {
                "binary" | "csv" => self.put("format", Some(option))?,
                "header" => self.header = true,
                "force" if words.take("quote") && words.take_token(&Token::Mul) => self.force_quote = true,
                "delimiter" | "null" | "quote" | "escape" => {
                    words.take("as");
                    let value = words.value()?;
                    self.put(&option, Some(value))?;
                }
                _ => return Err(Failure::syntax(format!("syntax error: unknown option of COPY: {option}"))),
            }
        }
        Ok(())
    }

    fn put(&mut self, option: &str, value: Option<String>) -> Result<(), Failure> {
        match (option, value) {
            ("format", Some(format)) => {
                self.format = Some(match format.to_ascii_lowercase().as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    _ => return Err(invalid(format!("COPY format \"{format}\" not recognized"))),
                });
            }
            ("header", value) => {
                self.header =
                    !matches!(value.map(|value| value.to_ascii_lowercase()).as_deref(), Some("false" | "off" | "0"));
            }
            ("delimiter", Some(value)) => self.delimiter = Some(one_byte("delimiter", &value)?),
            ("quote", Some(value)) => self.quote = Some(one_byte("quote", &value)?),
            ("escape", Some(value)) => self.escape = Some(one_byte("escape", &value)?),
            ("null", Some(value)) => self.null = Some(value),
            ("encoding", Some(value)) if value.to_ascii_lowercase().replace('-', "") == "utf8" => {}
            (option, _) => return Err(Failure::unsupported(format!("COPY option {option} is not supported"))),
        }
        Ok(())
    }

    fn finish(self, query: String, start: usize) -> Result<CopyOut, Failure> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let csv = format == CopyFormat::Csv;
        let quote = self.quote.unwrap_or(b'"');
        let copy = CopyOut {
            query,
            start,
            format,
            delimiter: self.delimiter.unwrap_or(if csv { b',' } else { b'\t' }),
            null: self.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() }),
            header: self.header,
            quote,
            escape: self.escape.unwrap_or(quote),
            force_quote: self.force_quote,
        };
        if copy.is_binary() && copy.header {
            return Err(Failure::unsupported("a binary COPY has no HEADER"));
        }
        Ok(copy)
    }
}

fn one_byte(option: &str, value: &str) -> Result<u8, Failure> {
    match value.as_bytes() {
        [byte] if !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err(invalid(format!("COPY {option} must be a single one-byte character"))),
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}
