//! Influx line protocol: `measurement,tag=v field=1.5,n=3i,s="text" 1795248000123000000`.
//!
//! A line that cannot be read costs itself only. The rules are those of InfluxDB 1.8 and 2.x: a backslash escapes
//! comma, space and (in keys and tag values) the equals sign; string fields may hold line breaks; `i` and `u` mark
//! integers; NaN and infinities are errors; lines that start with `#` are comments.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The unit of the times in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Nanoseconds, the protocol's default.
    #[default]
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// A word that names no precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no precision; use ns, us, ms or s")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        match name {
            "ns" | "n" => Ok(Self::Nanoseconds),
            "us" | "u" | "µ" => Ok(Self::Microseconds),
            "ms" => Ok(Self::Milliseconds),
            "s" => Ok(Self::Seconds),
            other => Err(UnknownPrecision(other.to_owned())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        })
    }
}

impl Precision {
    /// Microseconds of a time in this unit; `None` where it does not fit.
    pub(crate) fn microseconds(self, time: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => Some(time.div_euclid(1_000)),
            Self::Microseconds => Some(time),
            Self::Milliseconds => time.checked_mul(1_000),
            Self::Seconds => time.checked_mul(1_000_000),
        }
    }
}

/// Value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field<'a> {
    /// A finite double.
    Float(f64),
    /// A signed integer.
    Integer(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// True or false.
    Flag(bool),
    /// Text.
    Text(Cow<'a, str>),
}

/// One line. Its head, which says what it is of, is read by [`Head`]: few heads come again and again.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Line<'a> {
    /// Measurement and tags as they stand in the body.
    pub(crate) head: &'a str,
    /// Fields, in their order; at least one.
    pub(crate) fields: Vec<(Cow<'a, str>, Field<'a>)>,
    /// Time, in the unit of the body.
    pub(crate) time: Option<i64>,
}

impl Line<'_> {
    /// Whether it may go on over line breaks: only texts do.
    fn is_broken(&self) -> bool {
        self.fields.iter().any(|(_, value)| matches!(value, Field::Text(_)))
    }
}

/// A line's place in the body, and whether it could be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbered<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// As it stands in the body.
    pub(crate) raw: &'a str,
    /// What is wrong with it.
    pub(crate) read: Result<(), String>,
}

/// The lines of a body; comments and empty lines are passed over.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(body: &'a str) -> Self {
        Self { rest: body, number: 1 }
    }

    /// Takes `bytes` off the body, counting line breaks.
    fn advance(&mut self, bytes: usize) -> &'a str {
        let taken = self.pass(bytes);
        self.number += memchr::memchr_iter(b'\n', taken.as_bytes()).count();
        taken
    }

    /// Takes `bytes` without a line break off the body.
    fn pass(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn skip_blank(&mut self) {
        // Most lines end with a line break, and the next one begins behind it.
        if let Some(rest) = self.rest.strip_prefix('\n') {
            (self.rest, self.number) = (rest, self.number + 1);
        }
        while self.rest.starts_with(|first: char| first == '#' || first.is_whitespace()) {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if self.rest.starts_with('#') {
                let comment = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(comment);
            }
        }
    }

    /// Reads the next line into `line`, whose room is used again; `None` at the end of the body. A line that cannot be
    /// read leaves half of itself there.
    pub(crate) fn next(&mut self, line: &mut Line<'a>) -> Option<Numbered<'a>> {
        self.skip_blank();
        if self.rest.is_empty() {
            return None;
        }
        let number = self.number;
        let mut parser = Parser { text: self.rest, place: 0 };
        let read = parser.line(line);
        if read.is_err() {
            parser.skip_line();
        }
        let raw = if read.is_err() || line.is_broken() { self.advance(parser.place) } else { self.pass(parser.place) }
            .trim_end();
        Some(Numbered { number, raw, read })
    }
}

/// What a line is of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head<'a> {
    /// Measurement.
    pub(crate) measurement: Cow<'a, str>,
    /// Tags, in their order.
    pub(crate) tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Head<'a> {
    /// Reads the head of a line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(head: &'a str) -> Result<Self, String> {
        let mut parser = Parser { text: head, place: 0 };
        let measurement = parser.word(&VALUE_ENDS, ", ");
        if measurement.is_empty() {
            return Err("the measurement is missing".into());
        }
        let mut tags = Vec::new();
        while parser.eat(b',') {
            tags.push(parser.tag()?);
        }
        match parser.excerpt() {
            "" => Ok(Self { measurement, tags }),
            rest => Err(format!("unexpected `{rest}` behind the tags")),
        }
    }

    /// Value of a tag.
    pub(crate) fn tag(&self, name: &str) -> Option<&Cow<'a, str>> {
        self.tags.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// A set of bytes, asked for every byte of a body.
struct Bytes([bool; 256]);

/// What ends a key; a backslash is looked at.
static KEY_ENDS: Bytes = Bytes::of(b",= \n\\");
/// What ends a measurement or the value of a tag.
static VALUE_ENDS: Bytes = Bytes::of(b", \n\\");

impl Bytes {
    const fn of(bytes: &[u8]) -> Self {
        let (mut set, mut place) = ([false; 256], 0);
        while place < bytes.len() {
            set[bytes[place] as usize] = true;
            place += 1;
        }
        Self(set)
    }

    fn holds(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }
}

struct Parser<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.place += usize::from(found);
        found
    }

    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn skip_line(&mut self) {
        let rest = self.text.get(self.place..).unwrap_or_default();
        self.place += rest.find('\n').unwrap_or(rest.len());
    }

    fn line(&mut self, line: &mut Line<'a>) -> Result<(), String> {
        line.head = self.head();
        let end = self.place;
        let read = self.behind_head(line);
        // What is wrong with the head came first, and a quote behind it does not reach over the lines that follow.
        if read.is_err() || line.is_broken() {
            Head::read(line.head).inspect_err(|_| self.place = end)?;
        }
        read
    }

    /// Everything up to the first space that is not escaped.
    fn head(&mut self) -> &'a str {
        let bytes = self.text.as_bytes();
        let mut from = 0;
        loop {
            let rest = bytes.get(from..).unwrap_or_default();
            self.place = memchr::memchr2(b' ', b'\n', rest).map_or(bytes.len(), |place| from + place);
            let escaped =
                self.peek() == Some(b' ') && self.place.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'\\');
            if !escaped {
                return self.slice(0, self.place);
            }
            from = self.place + 1;
        }
    }

    fn behind_head(&mut self, line: &mut Line<'a>) -> Result<(), String> {
        line.fields.clear();
        if !self.eat(b' ') {
            return Err(format!("`{}` has no fields", Head::read(line.head.trim_end())?.measurement));
        }
        self.spaces();
        loop {
            self.field(&mut line.fields)?;
            if !self.eat(b',') {
                break;
            }
        }
        self.spaces();
        line.time = self.time()?;
        self.spaces();
        self.eat(b'\r');
        match self.peek() {
            None | Some(b'\n') => Ok(()),
            Some(_) => Err(format!("unexpected `{}` at the end of the line", self.excerpt())),
        }
    }

    fn spaces(&mut self) {
        while self.eat(b' ') {}
    }

    /// Text up to an unescaped byte of `ends`; a backslash before one of `escaped` is dropped.
    fn word(&mut self, ends: &Bytes, escaped: &str) -> Cow<'a, str> {
        let start = self.place;
        let mut escapes = false;
        let bytes = self.text.as_bytes();
        loop {
            let rest = bytes.get(self.place..).unwrap_or_default();
            self.place += rest.iter().position(|byte| ends.holds(*byte)).unwrap_or(rest.len());
            if self.peek() != Some(b'\\') {
                break;
            }
            let escape = bytes.get(self.place + 1).is_some_and(|next| escaped.as_bytes().contains(next));
            escapes |= escape;
            self.place += if escape { 2 } else { 1 };
        }
        let raw = self.slice(start, self.place);
        if escapes { Cow::Owned(unescape(raw, escaped)) } else { Cow::Borrowed(raw) }
    }

    fn tag(&mut self) -> Result<(Cow<'a, str>, Cow<'a, str>), String> {
        let key = self.word(&KEY_ENDS, ",= ");
        if key.is_empty() || !self.eat(b'=') {
            return Err(format!("a tag is not of the form key=value, at `{}`", self.excerpt()));
        }
        let value = self.word(&VALUE_ENDS, ",= ");
        if value.is_empty() {
            return Err(format!("tag `{key}` has no value"));
        }
        Ok((key, value))
    }

    /// Reads one field and appends it: handed over piece by piece, it would be copied each time.
    fn field(&mut self, fields: &mut Vec<(Cow<'a, str>, Field<'a>)>) -> Result<(), String> {
        let key = self.word(&KEY_ENDS, ",= ");
        if key.is_empty() || !self.eat(b'=') {
            return Err(format!("a field is not of the form key=value, at `{}`", self.excerpt()));
        }
        let value = if self.eat(b'"') { self.string(&key)? } else { self.plain(&key)? };
        fields.push((key, value));
        Ok(())
    }

    /// A quoted string, behind its opening quote; `\"` and `\\` are escapes.
    fn string(&mut self, key: &str) -> Result<Field<'a>, String> {
        let start = self.place;
        let mut escapes = false;
        loop {
            match self.peek() {
                None => {
                    self.place = start;
                    return Err(format!("the string of field `{key}` does not end"));
                }
                Some(b'"') => break,
                Some(b'\\') if matches!(self.text.as_bytes().get(self.place + 1), Some(b'"' | b'\\')) => {
                    escapes = true;
                    self.place += 2;
                }
                Some(_) => self.place += 1,
            }
        }
        let raw = self.slice(start, self.place);
        self.place += 1;
        Ok(Field::Text(if escapes { Cow::Owned(unescape(raw, "\"\\")) } else { Cow::Borrowed(raw) }))
    }

    fn plain(&mut self, key: &str) -> Result<Field<'a>, String> {
        let start = self.place;
        while self.peek().is_some_and(|byte| !matches!(byte, b',' | b' ' | b'\n' | b'\r')) {
            self.place += 1;
        }
        let text = self.slice(start, self.place);
        number(text)
            .ok_or_else(|| format!("field `{key}` has the value `{text}`, which is no number, boolean or quoted text"))
    }

    fn time(&mut self) -> Result<Option<i64>, String> {
        let start = self.place;
        while self.peek().is_some_and(|byte| !matches!(byte, b' ' | b'\n' | b'\r')) {
            self.place += 1;
        }
        match self.slice(start, self.place) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| format!("`{text}` is no time: it must be an integer")),
        }
    }

    fn excerpt(&self) -> &'a str {
        let rest = self.text.get(self.place..).unwrap_or_default();
        super::time::excerpt(rest.lines().next().unwrap_or_default())
    }
}

fn number(text: &str) -> Option<Field<'static>> {
    match text.as_bytes() {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => Some(Field::Flag(true)),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => Some(Field::Flag(false)),
        [digits @ .., b'i'] => parse_ascii(digits).map(Field::Integer),
        [digits @ .., b'u'] => parse_ascii(digits).map(Field::Unsigned),
        // The standard parser also knows the words of infinities and NaN.
        [b'0'..=b'9' | b'.', ..] | [b'-' | b'+', b'0'..=b'9' | b'.', ..] => {
            text.parse().ok().filter(|value: &f64| value.is_finite()).map(Field::Float)
        }
        _ => None,
    }
}

fn parse_ascii<T: FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn unescape(raw: &str, escaped: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.next_if(|next| char == '\\' && escaped.contains(*next)) {
            Some(next) => text.push(next),
            None => text.push(char),
        }
    }
    text
}

#[cfg(test)]
mod tests;
