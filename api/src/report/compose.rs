//! Makes the document of an SPC report out of what SQL said.

mod capability;
mod distribution;
mod limits;
mod listing;
mod violation;

use jiff::Timestamp;
use oee::spc::nonnormal::{Family, Shape};

use super::Gathered;
use super::asked::{self, Choice};
use super::control::{self, Look};
use super::document::{Block, Cell, Column, Document, Fact, Place, Table, grouped, places_for, reading};
use super::histogram::{called, drawn, histogram, probability_plot};
use super::points::Point;

const EACH_ITS_OWN: &str =
    "The chart is of several products, each with its own specification: a report of one product shows it.";
const SIGNERS: &[&str] = &["Prepared", "Reviewed", "Approved"];

/// Who makes a report, with what, when.
pub(crate) struct Making<'a> {
    pub(crate) user: &'a str,
    pub(crate) version: &'a str,
    pub(crate) made: Timestamp,
    /// The recorded time whose knowledge it shows, where that is an earlier one.
    pub(crate) as_of: Option<Timestamp>,
}

/// The whole report.
pub(crate) fn compose(gathered: &Gathered, making: &Making<'_>) -> Document {
    let subject = &gathered.subject;
    let made = making.made.as_microsecond();
    let mut blocks = vec![Block::Facts(head(gathered, making))];
    chart(gathered, &mut blocks);
    limits::add(gathered, &mut blocks);
    capability::add(gathered, &mut blocks);
    spread(gathered, &mut blocks);
    violation::add(gathered, &mut blocks);
    listing::exclusions(gathered, &mut blocks);
    blocks.push(Block::Heading("About this report".to_owned()));
    blocks.push(Block::Facts(about(gathered, making)));
    blocks.push(Block::Heading("Signatures".to_owned()));
    blocks.push(Block::Signatures(SIGNERS));
    // What was found is signed; what it was found in follows.
    listing::points(gathered, &mut blocks);
    listing::values(gathered, &mut blocks);
    Document {
        title: "SPC report".to_owned(),
        subject: heading(gathered),
        foot: format!("takt {} · {} · {}", making.version, making.user, subject.clock.minute_and_offset(made)),
        clock: subject.clock.clone(),
        author: making.user.to_owned(),
        made,
        blocks,
    }
}

/// Characteristic, machine, product and operation in one line.
fn heading(gathered: &Gathered) -> String {
    let subject = &gathered.subject;
    let of = [machine(gathered), product(gathered), operation(gathered)];
    let named = of.into_iter().filter(|name| !name.starts_with("none named"));
    [subject.characteristic.clone()].into_iter().chain(named).collect::<Vec<_>>().join(" · ")
}

fn named(choice: &Choice, all: &str, name: Option<&str>) -> String {
    match (choice, name.filter(|name| !name.is_empty())) {
        (Choice::All, _) => all.to_owned(),
        (Choice::Nameless, _) => "none named by the measurements".to_owned(),
        (Choice::Named(code), Some(name)) if name != code => format!("{name} ({code})"),
        (Choice::Named(code), _) => code.clone(),
    }
}

fn machine(gathered: &Gathered) -> String {
    named(&gathered.subject.of[0], "every machine", gathered.subject.machine.as_deref())
}

fn product(gathered: &Gathered) -> String {
    named(&gathered.subject.of[1], "every product", gathered.subject.product.as_deref())
}

fn operation(gathered: &Gathered) -> String {
    named(&gathered.subject.of[2], "every operation", None)
}

/// " mm", or nothing where there is no unit of measure.
fn with_uom(gathered: &Gathered) -> String {
    gathered.subject.uom.as_ref().map_or_else(String::new, |uom| format!(" {uom}"))
}

/// " [mm]" for the head of a column.
fn in_brackets(gathered: &Gathered) -> String {
    gathered.subject.uom.as_ref().map_or_else(String::new, |uom| format!(" [{uom}]"))
}

/// The same of what is plotted: of counts and sums it is none.
fn plotted_brackets(gathered: &Gathered) -> String {
    if asked::plots_values(gathered.subject.kind) { in_brackets(gathered) } else { String::new() }
}

/// When the first and the last of the points were measured.
fn measured(points: &[Point]) -> (i64, i64) {
    let first = points.iter().map(|point| point.start).min().unwrap_or(0);
    (first, points.iter().map(|point| point.time).max().unwrap_or(0))
}

/// Places of plotted values.
fn plotted_places(gathered: &Gathered) -> usize {
    let sigma = gathered.points.iter().rev().find_map(|point| point.sigma.filter(|sigma| *sigma > 0.0));
    let largest = || gathered.points.iter().filter_map(|point| point.main.value).map(f64::abs).fold(0.0, f64::max);
    places_for(sigma.or_else(|| Some(largest() / 100.0)))
}

fn head(gathered: &Gathered, making: &Making<'_>) -> Vec<Fact> {
    let subject = &gathered.subject;
    let (first, last) = measured(&gathered.points);
    let clock = &subject.clock;
    let period = match subject.period {
        Some((from, to)) => format!("{} – {}", clock.minute_and_offset(from), clock.minute_and_offset(to)),
        None => "all there is".to_owned(),
    };
    let uom = subject.uom.as_ref().map_or_else(String::new, |uom| format!(", in {uom}"));
    let as_of = making.as_of.map(|time| clock.minute_and_offset(time.as_microsecond()));
    let mut facts = vec![
        Fact::new("Characteristic", format!("{}{uom}", subject.characteristic)),
        Fact::new("Machine", machine(gathered)),
        Fact::new("Product", product(gathered)),
        Fact::new("Operation", operation(gathered)),
        Fact::new("Period", period),
        Fact::new("Measured", format!("{} – {}", clock.minute_and_offset(first), clock.minute_and_offset(last))),
        Fact::new("Times", clock.offset_words(subject.period.map_or(first, |(from, _)| from), last)),
        Fact::new("Chart", format!("{}, subgroups: {}", asked::title(subject.kind), subject.subgroup_words())),
    ];
    facts.extend(as_of.map(|time| Fact::new("Known at", format!("{time}: what was recorded later is left out"))));
    facts
}

fn chart(gathered: &Gathered, blocks: &mut Vec<Block>) {
    let subject = &gathered.subject;
    let title = asked::title(subject.kind);
    blocks.push(Block::Heading("Control chart".to_owned()));
    let Some(first) = gathered.points.first() else { return };
    if let Some(reason) = &first.reason {
        let words = if first.main.centre.is_none() {
            format!("No limits: {reason}. The values are drawn as they are.")
        } else {
            format!("{reason}.")
        };
        blocks.push(Block::Warning(words));
    }
    let companion = gathered.points.last().and_then(|point| point.companion.as_deref()).unwrap_or_default();
    let below = companion.replace("C-", "C−");
    let look = Look {
        caption: format!("{title} chart of {}{}", subject.characteristic, plotted_brackets(gathered)),
        titles: (asked::statistic(subject.kind), &below),
        places: plotted_places(gathered),
        clock: &subject.clock,
    };
    blocks.push(Block::Figures(vec![control::draw(&gathered.points, &look)]));
    blocks.push(Block::Figures(vec![control::legend()]));
}

fn spread(gathered: &Gathered, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading("How the values spread".to_owned()));
    if gathered.subject.mixes_products() {
        blocks.push(Block::Note(EACH_ITS_OWN.to_owned()));
        return;
    }
    match &gathered.spread {
        Ok(spread) => {
            let capability = gathered.capability.as_ref();
            let figures = vec![histogram(spread, capability), probability_plot(spread, capability)];
            blocks.push(Block::Figures(figures));
            distribution::add(spread, capability, blocks);
            let digits = |value: f64| reading(value, 5);
            blocks.push(Block::Note(format!(
                "{} values, mean {} and sigma {}{}; the curve and the line are {}. Bins of {} ({}).",
                grouped(spread.n),
                digits(spread.mean),
                digits(spread.sigma),
                with_uom(gathered),
                fitted(&drawn(spread, capability)),
                digits(spread.bins.width),
                spread.bins.rule
            )));
        }
        Err(reason) => blocks.push(Block::Note(format!("Histogram and probability plot: – ({reason})."))),
    }
}

/// A distribution in words.
fn fitted(shape: &Shape) -> String {
    let family = called(shape.family());
    let words = match shape.family() {
        Family::BoxCox | Family::Johnson => format!("the normal distribution behind the {family} transformation"),
        _ => format!("the {family} distribution"),
    };
    let parameters = shape.parameters().into_iter().map(|(name, value)| format!("{name} {}", reading(value, 5)));
    format!("{words} of {}", parameters.collect::<Vec<_>>().join(", "))
}

fn about(gathered: &Gathered, making: &Making<'_>) -> Vec<Fact> {
    let subject = &gathered.subject;
    let (first, last) = measured(&gathered.points);
    let clock = &subject.clock;
    let known = making.as_of.map_or_else(String::new, |time| format!("SET as_of = '{time}'; "));
    vec![
        Fact::new("Made by", making.user),
        Fact::new(
            "Made",
            format!("{} ({})", clock.written(making.made.as_microsecond(), "%Y-%m-%d %H:%M:%S %:z"), clock.name()),
        ),
        Fact::new("Made with", format!("takt {}", making.version)),
        Fact::new("First and last value", format!("{} – {}", clock.wall(first), clock.wall(last))),
        Fact::new(
            "Values and points",
            format!(
                "{} values, {} points",
                grouped(gathered.values.len() as i64),
                grouped(gathered.points.len() as i64)
            ),
        ),
        Fact::new("Points in SQL", format!("{known}SELECT * FROM {} ORDER BY point", subject.spc())),
        Fact::new("Capability in SQL", format!("{known}SELECT * FROM {}", subject.capability())),
        Fact::new(
            "Definitions",
            "Montgomery, Introduction to Statistical Quality Control; AIAG, SPC; ISO 7870; ISO 22514",
        ),
    ]
}

/// A table that is shown only where it has rows; else a note in its place.
fn table_or(blocks: &mut Vec<Block>, place: Place, columns: Vec<Column>, rows: Vec<Vec<Cell>>, nothing: &str) {
    if rows.is_empty() {
        blocks.push(Block::Note(nothing.to_owned()));
    } else {
        blocks.push(Block::Table(Table { place, columns, rows }));
    }
}
