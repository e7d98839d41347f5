//! Topic patterns and the templates that their captures fill, compiled once.

/// Why a pattern or template cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PatternError {
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

fn error<T>(message: impl Into<String>, remedy: &'static str) -> Result<T, PatternError> {
    Err(PatternError { message: message.into(), remedy })
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Literal(String),
    /// One level, captured.
    One,
    /// `+`.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// The topic ends with the levels.
    None,
    /// `{name...}`: one or more levels, captured.
    Captured,
    /// `#`: any number of levels, none included, as in MQTT.
    Any,
}

/// A topic pattern: `plant/{line}/{machine}/{signal...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    levels: Vec<Level>,
    tail: Tail,
    names: Vec<String>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pattern = Self { levels: Vec::new(), tail: Tail::None, names: Vec::new() };
        let levels: Vec<&str> = text.split('/').collect();
        for (i, level) in levels.iter().enumerate() {
            let last = i + 1 == levels.len();
            if let Some(inner) = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                pattern.capture(inner, last)?;
            } else if level.contains(['{', '}']) {
                return error(format!("`{level}` mixes braces and text"), "a capture is a whole level: `{name}`");
            } else if *level == "#" {
                if !last {
                    return error("`#` stands before the end", "`#` can only be the last level");
                }
                pattern.tail = Tail::Any;
            } else if *level == "+" {
                pattern.levels.push(Level::Any);
            } else if level.contains(['+', '#']) {
                return error(format!("`{level}` mixes a wildcard and text"), "`+` and `#` are whole levels");
            } else if level.is_empty() && !(i == 0 && levels.len() > 1) {
                return error("a level is empty", "remove the extra `/`");
            } else {
                pattern.levels.push(Level::Literal((*level).to_owned()));
            }
        }
        Ok(pattern)
    }

    fn capture(&mut self, inner: &str, last: bool) -> Result<(), PatternError> {
        let (name, rest) = match inner.strip_suffix("...") {
            Some(name) => (name, true),
            None => (inner, false),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            return error(format!("`{{{inner}}}` is not a capture"), "name it with letters, digits, `_` or `-`");
        }
        if self.names.iter().any(|known| known == name) {
            return error(format!("`{{{name}}}` is captured twice"), "give each capture its own name");
        }
        if rest && !last {
            return error(format!("`{{{name}...}}` stands before the end"), "`...` can only be in the last level");
        }
        self.names.push(name.to_owned());
        if rest {
            self.tail = Tail::Captured;
        } else {
            self.levels.push(Level::One);
        }
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// The captures, in the order of [`Pattern::names`], where the topic matches.
    pub(super) fn captures<'t>(&self, topic: &'t str) -> Option<Vec<&'t str>> {
        // Most patterns of a plant differ in their first level: tell them apart without taking the topic to pieces.
        if let Some(Level::Literal(first)) = self.levels.first()
            && !topic.starts_with(first.as_str())
        {
            return None;
        }
        let mut captures = Vec::new();
        let mut rest = Some(topic);
        for level in &self.levels {
            let text = rest?;
            let (head, tail) = match text.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (text, None),
            };
            match level {
                Level::Literal(literal) if literal == head => {}
                Level::Literal(_) => return None,
                Level::One if head.is_empty() => return None,
                Level::One => captures.push(head),
                Level::Any => {}
            }
            rest = tail;
        }
        match (self.tail, rest) {
            (Tail::None, None) | (Tail::Any, _) => Some(captures),
            (Tail::Captured, Some(rest)) if !rest.is_empty() => {
                captures.push(rest);
                Some(captures)
            }
            (Tail::None, Some(_)) | (Tail::Captured, _) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Index of a capture.
    Capture(usize),
}

/// Text with captures to fill in: `cologne/{line}/{machine}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Compiles a template; `index` knows the captures by name.
    pub(super) fn parse(text: &str, mut index: impl FnMut(&str) -> Option<usize>) -> Result<Self, PatternError> {
        const REMEDY: &str = "write a capture as `{name}`";
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if before.contains('}') {
                return error("`}` without `{`", REMEDY);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let Some((name, after)) = after.split_once('}') else { return error("`{` without `}`", REMEDY) };
            let name = name.strip_suffix("...").unwrap_or(name);
            let Some(at) = index(name) else {
                return error(format!("nothing captures `{{{name}}}`"), "use a name that the pattern captures");
            };
            parts.push(Part::Capture(at));
            rest = after;
        }
        if rest.contains('}') {
            return error("`}` without `{`", REMEDY);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Fills the captures in; levels that one capture spans are joined with `separator`.
    pub(super) fn fill(&self, captures: &[&str], separator: char) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Capture(at) => {
                    let capture = captures.get(*at).copied().unwrap_or_default();
                    filled.extend(capture.chars().map(|c| if c == '/' { separator } else { c }));
                }
            }
        }
        filled
    }

    /// Whether some filling of the captures gives this text.
    pub(super) fn could_give(&self, text: &str) -> bool {
        fn fits(parts: &[Part], text: &str) -> bool {
            match parts.split_first() {
                None => text.is_empty(),
                Some((Part::Text(literal), rest)) => text.strip_prefix(literal.as_str()).is_some_and(|t| fits(rest, t)),
                Some((Part::Capture(_), rest)) => {
                    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
                    ends.filter_map(|end| text.get(end..)).any(|left| fits(rest, left))
                }
            }
        }
        fits(&self.parts, text)
    }
}
