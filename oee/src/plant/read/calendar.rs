//! `[[calendars.<name>.shifts]]`.

use jiff::civil::{Time, Weekday};
use toml::Spanned;
use toml::de::DeValue;

use crate::calendar::ShiftPattern;
use crate::plant::document::{Section, mismatch, moment_of, text_of};
use crate::plant::draft::ShiftDraft;
use crate::plant::mistake::{Located, Mistakes, nearest};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

pub(super) fn calendars(
    root: &mut Section<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<(Located<String>, Vec<ShiftDraft>)> {
    let Some(calendars) = root.table("calendars", mistakes) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, entry) in calendars.entries() {
        let title = format!("[calendars.{}]", name.value);
        let Some(table) = entry.get_ref().as_table() else {
            mismatch(&name.value, "a calendar with shifts", entry, mistakes);
            continue;
        };
        let mut calendar = Section::new(&title, name.at, table);
        let mut shifts = Vec::new();
        for mut section in calendar.tables("shifts", mistakes) {
            shifts.extend(shift(&mut section, mistakes));
            section.finish(mistakes);
        }
        calendar.demand("shifts", mistakes);
        calendar.finish(mistakes);
        found.push((name, shifts));
    }
    found
}

fn shift(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<ShiftDraft> {
    let at = section.at;
    let name = section.required("name", mistakes);
    let days = days(section, mistakes);
    let start = time(section, "start", mistakes);
    let end = time(section, "end", mistakes);
    let (breaks, break_places) = breaks(section, mistakes);
    let pattern = ShiftPattern { name: name?.value, days: days?, start: start?, end: end?, breaks };
    Some(ShiftDraft { at, pattern, break_places })
}

fn days(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<Vec<Weekday>> {
    section.demand("days", mistakes);
    let list = section.list("days", mistakes)?;
    let mut days = Vec::new();
    for entry in list {
        let Some(text) = text_of(entry) else {
            mismatch("days", "a list of weekdays", entry, mistakes);
            continue;
        };
        let lower = text.value.to_lowercase();
        match DAYS.iter().find(|(word, _)| *word == lower) {
            Some((_, day)) if days.contains(day) => {
                mistakes.add(text.at, format!("`{}` is listed twice", text.value), "list each weekday once");
            }
            Some((_, day)) => days.push(*day),
            None => {
                let near = nearest(&lower, DAYS.iter().map(|(word, _)| *word));
                let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
                let message = format!("`{}` is not a weekday", text.value);
                mistakes.add(text.at, message, format!("{near}Write mon, tue, wed, thu, fri, sat or sun"));
            }
        }
    }
    if list.is_empty() {
        mistakes.add(section.at, "the shift has no days", "list the weekdays it starts on, or remove it");
    }
    (!days.is_empty()).then_some(days)
}

fn time(section: &mut Section<'_>, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Time> {
    section.demand(key, mistakes);
    let text = section.moment(key, mistakes)?;
    wall_time(&text, mistakes)
}

/// `HH:MM` or `HH:MM:SS`; 24:00 is midnight.
fn wall_time(text: &Located<String>, mistakes: &mut Mistakes<'_>) -> Option<Time> {
    let number = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    let parts: Vec<Option<i8>> = text.value.split(':').map(number).collect();
    let time = match parts.as_slice() {
        [Some(24), Some(0)] | [Some(24), Some(0), Some(0)] => Some(Time::midnight()),
        [Some(hour), Some(minute)] => Time::new(*hour, *minute, 0, 0).ok(),
        [Some(hour), Some(minute), Some(second)] => Time::new(*hour, *minute, *second, 0).ok(),
        _ => None,
    };
    if time.is_none() {
        let message = format!("`{}` is not a time of day", text.value);
        mistakes.add(text.at, message, "write HH:MM between 00:00 and 24:00");
    }
    time
}

fn breaks(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> (Vec<(Time, Time)>, Vec<usize>) {
    let mut breaks = Vec::new();
    let mut places = Vec::new();
    for entry in section.list("breaks", mistakes).unwrap_or_default() {
        if let Some(bounds) = break_of(entry, mistakes) {
            breaks.push(bounds);
            places.push(entry.span().start);
        }
    }
    (breaks, places)
}

fn break_of(entry: &Spanned<DeValue<'_>>, mistakes: &mut Mistakes<'_>) -> Option<(Time, Time)> {
    let bounds = entry.get_ref().as_array().map(|array| array.iter().map(moment_of).collect::<Vec<_>>());
    match bounds.as_deref() {
        Some([Some(start), Some(end)]) => {
            let (start, end) = (wall_time(start, mistakes), wall_time(end, mistakes));
            start.zip(end)
        }
        _ => {
            let at = entry.span().start;
            mistakes.add(at, "a break is a start and an end", "write [\"09:00\", \"09:15\"]");
            None
        }
    }
}
