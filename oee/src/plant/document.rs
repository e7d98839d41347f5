//! TOML tables with places: every getter reports what does not fit and goes on.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Located, Mistakes, nearest};
use super::value_text;

type Entry<'d> = Spanned<DeValue<'d>>;

/// One table of the file, read key by key; [`Section::finish`] reports the keys nobody asked for.
pub(super) struct Section<'d> {
    /// What it is called in messages: `[[equipment]]`.
    title: String,
    pub(super) at: usize,
    table: &'d DeTable<'d>,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    pub(super) fn new(title: &str, at: usize, table: &'d DeTable<'d>) -> Self {
        Self { title: title.to_owned(), at, table, known: Vec::new() }
    }

    fn get(&mut self, key: &'static str) -> Option<&'d Entry<'d>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Text.
    pub(super) fn text(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Located<String>> {
        let entry = self.get(key)?;
        let text = text_of(entry);
        match &text {
            None => mismatch(key, "text in quotes", entry, mistakes),
            Some(text) if text.value.trim().is_empty() => {
                mistakes.add(text.at, format!("`{key}` is empty"), "write a name, or leave the key out");
                return None;
            }
            Some(_) => {}
        }
        text
    }

    /// Text that must be there.
    pub(super) fn required(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Located<String>> {
        self.demand(key, mistakes);
        self.text(key, mistakes)
    }

    /// Text that must be one of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Located<T>> {
        let text = self.text(key, mistakes)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let remedy = match nearest(&text.value, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? It is one of {}", names.join(", ")),
                None => format!("write one of {}", names.join(", ")),
            };
            mistakes.add(text.at, format!("`{key}` cannot be `{}`", text.value), remedy);
        }
        found.map(|&(_, value)| Located { value, at: text.at })
    }

    /// Text, or a number or truth value by its text.
    pub(super) fn scalar(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Located<String>> {
        let entry = self.get(key)?;
        match entry.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => {
                self.number(key, mistakes).map(|number| Located { value: value_text(number.value), at: number.at })
            }
            DeValue::Boolean(truth) => Some(Located { value: truth.to_string(), at: entry.span().start }),
            DeValue::String(_) => self.text(key, mistakes),
            _ => {
                mismatch(key, "text in quotes, a number or true or false", entry, mistakes);
                None
            }
        }
    }

    /// A finite number.
    pub(super) fn number(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Located<f64>> {
        let entry = self.get(key)?;
        let value = match entry.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|i| i as f64),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let value = value.filter(|value| value.is_finite());
        if value.is_none() {
            mismatch(key, "a number", entry, mistakes);
        }
        value.map(|value| Located { value, at: entry.span().start })
    }

    /// A number above zero.
    pub(super) fn positive(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Located<f64>> {
        let number = self.number(key, mistakes)?;
        if number.value > 0.0 {
            return Some(number);
        }
        mistakes.add(
            number.at,
            format!("`{key}` is {}", number.value),
            "write a number above zero, or leave the key out",
        );
        None
    }

    /// Text, or a TOML date or time taken as its text.
    pub(super) fn moment(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Located<String>> {
        let entry = self.get(key)?;
        let text = moment_of(entry);
        if text.is_none() {
            mismatch(key, "text in quotes", entry, mistakes);
        }
        text
    }

    /// A list.
    pub(super) fn list(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<&'d [Entry<'d>]> {
        let entry = self.get(key)?;
        let list = entry.get_ref().as_array();
        if list.is_none() {
            mismatch(key, "a list in square brackets", entry, mistakes);
        }
        list.map(|list| list.as_ref())
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Vec<Section<'d>> {
        let Some(entry) = self.get(key) else { return Vec::new() };
        let title = if self.title.is_empty() { format!("[[{key}]]") } else { format!("{} {key}", self.title) };
        let Some(array) = entry.get_ref().as_array() else {
            let message = format!("`{key}` is one {}, but there can be many", entry.get_ref().type_str());
            mistakes.add(entry.span().start, message, format!("write {title} with double brackets"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => sections.push(Section::new(&title, item.span().start, table)),
                None => mismatch(key, "a table", item, mistakes),
            }
        }
        sections
    }

    /// The table of `[key]`.
    pub(super) fn table(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Section<'d>> {
        let entry = self.get(key)?;
        let table = entry.get_ref().as_table();
        if table.is_none() {
            mismatch(key, "a table", entry, mistakes);
        }
        table.map(|table| Section::new(&format!("[{key}]"), entry.span().start, table))
    }

    /// The table of `key = { … }`, which looks like `example`.
    pub(super) fn inline_table(
        &mut self,
        key: &'static str,
        example: &str,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Section<'d>> {
        let entry = self.get(key)?;
        let table = entry.get_ref().as_table();
        if table.is_none() {
            mismatch(key, &format!("a table such as {example}"), entry, mistakes);
        }
        table.map(|table| Section::new(&format!("`{key}`"), entry.span().start, table))
    }

    /// Every key with its value: for tables whose keys are names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Located<String>, &'d Entry<'d>)> {
        let table: &'d DeTable<'d> = self.table;
        table.iter().map(|(key, value)| (Located { value: key.get_ref().to_string(), at: key.span().start }, value))
    }

    /// What it is called in messages.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Whether every key was asked for by now.
    pub(super) fn is_understood(&self) -> bool {
        self.table.iter().all(|(key, _)| self.known.contains(&key.get_ref().as_ref()))
    }

    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Reports a key that must be there and is not.
    pub(super) fn demand(&self, key: &str, mistakes: &mut Mistakes<'_>) {
        if !self.has(key) {
            mistakes.absent(self.at, format!("{} has no `{key}`", self.title), format!("add `{key} = …`"));
        }
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self, mistakes: &mut Mistakes<'_>) {
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let place = if self.title.is_empty() { "the plant file".to_owned() } else { self.title.clone() };
            let remedy = match nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("remove it; known keys are {}", self.known.join(", ")),
            };
            mistakes.add(key.span().start, format!("{place} has no key `{name}`"), remedy);
        }
    }
}

/// The text of a value that is text.
pub(super) fn text_of(entry: &Entry<'_>) -> Option<Located<String>> {
    let text = entry.get_ref().as_str()?;
    Some(Located { value: text.to_owned(), at: entry.span().start })
}

/// The text of a value that is text, a date or a time.
pub(super) fn moment_of(entry: &Entry<'_>) -> Option<Located<String>> {
    match entry.get_ref() {
        DeValue::Datetime(moment) => Some(Located { value: moment.to_string(), at: entry.span().start }),
        _ => text_of(entry),
    }
}

/// Reports a value of the wrong type.
pub(super) fn mismatch(key: &str, wanted: &str, entry: &Entry<'_>, mistakes: &mut Mistakes<'_>) {
    let is = match entry.get_ref() {
        // What is no finite number is a float to TOML.
        DeValue::Float(float) => float.as_str(),
        other => other.type_str(),
    };
    let message = format!("`{key}` must be {wanted}, not {is}");
    mistakes.add(entry.span().start, message, format!("write {wanted}"));
}
