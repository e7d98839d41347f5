//! `[retention]` and `[tiering]`: ages of rows, table by table.

use std::path::Path;
use std::time::Duration;

use oee::tables::{TABLES, Table};

use super::document::Section;
use super::mistake::Mistakes;
use super::{Ages, TieringSettings};

const DAY_S: u64 = 86_400;
/// Units that an age may be given in, and their days.
const UNITS: [(&str, u64); 3] = [("day", 1), ("week", 7), ("year", 365)];
/// The longest age: so that times stay times.
const MOST_DAYS: u64 = 365_000;

/// How long rows of each table are kept.
pub(super) fn retention(mut section: Section<'_>, mistakes: &mut Mistakes<'_>) -> Ages {
    let ages = ages(&mut section, mistakes);
    section.finish(mistakes);
    ages
}

/// Where old files go, and how old they are then.
pub(super) fn tiering(
    mut section: Section<'_>,
    folder: &Path,
    retention: &Ages,
    mistakes: &mut Mistakes<'_>,
) -> Option<TieringSettings> {
    let cold = section.path("folder", mistakes);
    let ages = ages(&mut section, mistakes);
    for (table, age) in &ages {
        if let Some(kept) = retention.get(table).filter(|kept| *kept <= age) {
            let message = format!(
                "`tiering.{table}` is {}, and `retention.{table}` removes rows at {}: they would never move; give a \
                 smaller age, or remove the line",
                shown(*age),
                shown(*kept)
            );
            mistakes.add(&section.span_of(table), message);
        }
    }
    let (present, span) = (section.present(), section.span().clone());
    let (has_folder, has_age) = (section.has("folder"), TABLES.iter().any(|table| section.has(table.name)));
    section.finish(mistakes);
    if present && !(has_folder && has_age) {
        mistakes.add(
            &span,
            "`tiering` needs a `folder` on another disk and the age of at least one table, samples = \"90 days\"; or \
             remove the section",
        );
    }
    Some(TieringSettings { folder: folder.join(cold?), ages })
}

fn ages(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Ages {
    let mut ages = Ages::new();
    let names: Vec<&str> = aging().map(|table| table.name).collect();
    for table in TABLES {
        if table.age.is_none() {
            let what = format!("rows of `{}` are kept and stay", table.name);
            section.refuse(table.name, &format!("{what}: ages can be given for {}", names.join(", ")), mistakes);
        } else if let Some(text) = section.text(table.name, mistakes) {
            match parse(&text) {
                Some(age) => drop(ages.insert(table.name, age)),
                None => section.wrong(
                    table.name,
                    &format!("is \"{text}\"; write days, weeks or years of 365 days, at least a day: \"400 days\""),
                    mistakes,
                ),
            }
        }
    }
    ages
}

/// The tables whose rows have an age.
fn aging() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(|table| table.age.is_some())
}

fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.trim().split_once(' ')?;
    let unit = unit.trim();
    let (_, days) = UNITS.iter().find(|(name, _)| unit == *name || unit.strip_suffix('s') == Some(name))?;
    let days = number.parse::<u64>().ok()?.checked_mul(*days)?;
    (1..=MOST_DAYS).contains(&days).then(|| Duration::from_secs(days * DAY_S))
}

/// An age as it is written.
fn shown(age: Duration) -> String {
    let days = age.as_secs() / DAY_S;
    format!("{days} day{}", if days == 1 { "" } else { "s" })
}
