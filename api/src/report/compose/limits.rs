//! The limits used, and where they come from.

use super::super::Gathered;
use super::super::asked;
use super::super::clock::Clock;
use super::super::document::{Block, Cell, Column, Fact, NONE, Place, grouped, placed, places_for};
use super::super::points::{Plotted, Point, frozen_from};
use super::{plotted_brackets, plotted_places, table_or};

/// Adds the section.
pub(super) fn add(gathered: &Gathered, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading("Limits used".to_owned()));
    blocks.push(Block::Facts(facts(gathered)));
    stretches(gathered, blocks);
    frozen(gathered, blocks);
}

fn facts(gathered: &Gathered) -> Vec<Fact> {
    let places = plotted_places(gathered);
    let last = gathered.points.last();
    let reason = || {
        let said = gathered.now.as_ref().and_then(|now| now.reason.as_deref());
        said.or_else(|| last.and_then(|point| point.reason.as_deref())).unwrap_or("there are no limits").to_owned()
    };
    let three = |shown: Plotted| {
        let one = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), |value| placed(value, places));
        format!("{} / {} / {}", one(shown.lcl), one(shown.centre), one(shown.ucl))
    };
    let mut facts = Vec::new();
    let now = gathered.now.as_ref();
    let main = now.map_or_else(Plotted::default, |now| now.main);
    let limits = if main.centre.is_some() { Cell::Text(three(main)) } else { Cell::Missing(reason()) };
    let uom = plotted_brackets(gathered);
    facts.push(Fact::new(format!("{}: LCL / centre / UCL{uom}", asked::statistic(gathered.subject.kind)), limits));
    if let Some((name, below)) = now.and_then(|now| Some((now.companion.as_deref()?, now.below))) {
        let name = name.replace('-', "−");
        facts.push(Fact::new(format!("{name}: LCL / centre / UCL"), three(below)));
    }
    if !gathered.subject.kind.is_attribute() {
        let figure = |value: Option<f64>| match value {
            // A place more than what is plotted has.
            Some(value) => Cell::Phrase(value, placed(value, places_for(now.and_then(|now| now.sigma)) + 1)),
            None => Cell::Missing(reason()),
        };
        facts.push(Fact::new("Mean", figure(now.and_then(|now| now.mean))));
        facts.push(Fact::new("Sigma of a single value", figure(now.and_then(|now| now.sigma))));
    }
    let estimated = now.and_then(|now| now.estimated_from);
    facts.push(Fact::new(
        "Estimated from",
        match estimated {
            Some(0) => Cell::from("none: mean and sigma were given"),
            Some(count) => Cell::Phrase(count as f64, format!("{} subgroups", grouped(count))),
            None => Cell::Missing(reason()),
        },
    ));
    facts.push(Fact::new("Points", sizes(gathered)));
    let parameters = now.and_then(|now| now.parameters.as_deref()).filter(|words| !words.is_empty());
    facts.extend(parameters.map(|words| Fact::new("Parameters", words)));
    let rules = now.and_then(|now| now.rules.as_deref()).filter(|rules| !rules.is_empty()).unwrap_or("none");
    facts.push(Fact::new("Rules", rules.replace("),", "), ")));
    let use_of_frozen = if gathered.subject.own_limits {
        "not used, as was chosen"
    } else if gathered.frozen.is_empty() {
        "none for this chart and period"
    } else {
        "used, each from its time on"
    };
    facts.push(Fact::new("Frozen limits", use_of_frozen));
    facts
}

fn sizes(gathered: &Gathered) -> String {
    let points = &gathered.points;
    let least = points.iter().map(|point| point.n).min().unwrap_or(0);
    let most = points.iter().map(|point| point.n).max().unwrap_or(0);
    let phase_i = points.iter().filter(|point| point.phase.as_deref() == Some("I")).count();
    let size = if least == most { format!("n = {least}") } else { format!("n = {least} to {most}") };
    let count = grouped(points.len() as i64);
    format!(
        "{count}, {size}; {} in phase I, {} in phase II",
        grouped(phase_i as i64),
        grouped((points.len() - phase_i) as i64)
    )
}

/// Which points each limits judge.
fn stretches(gathered: &Gathered, blocks: &mut Vec<Block>) {
    let mut stretches: Vec<(&Point, &Point)> = Vec::new();
    for point in &gathered.points {
        match stretches.last_mut() {
            Some((first, last)) if first.limits == point.limits => *last = point,
            _ => stretches.push((point, point)),
        }
    }
    let places = plotted_places(gathered);
    let rows = stretches.iter().map(|(first, last)| {
        let why = first.reason.as_deref().unwrap_or("");
        let number = |value: Option<f64>| Cell::number(value, places, "");
        vec![
            Cell::Integer(first.number),
            Cell::Integer(last.number),
            Cell::Time(first.start),
            number(last.main.lcl),
            Cell::number(last.main.centre, places, why),
            number(last.main.ucl),
            Cell::Text(in_zone(&first.limits, &gathered.subject.clock)),
        ]
    });
    let columns = vec![
        Column::right("From no."),
        Column::right("to no."),
        Column::left("First value"),
        Column::right("LCL"),
        Column::right("Centre"),
        Column::right("UCL"),
        Column::left("Where they come from"),
    ];
    table_or(blocks, Place::Summary, columns, rows.collect(), "No limits were used.");
}

/// Words of the server, with their time in the zone of the report.
fn in_zone(limits: &str, clock: &Clock) -> String {
    if limits == "none" {
        return "no limits".to_owned();
    }
    match frozen_from(limits).zip(limits.split_once('Z')) {
        Some((from, (_, rest))) => format!("frozen from {}{rest}", clock.wall(from)),
        None => limits.to_owned(),
    }
}

/// Who froze limits, when and why.
fn frozen(gathered: &Gathered, blocks: &mut Vec<Block>) {
    if gathered.frozen.is_empty() {
        return;
    }
    let rows = gathered.frozen.iter().map(|row| {
        vec![
            Cell::Time(row.valid_from),
            Cell::number(row.centre, plotted_places(gathered) + 1, ""),
            Cell::number(row.sigma, plotted_places(gathered) + 2, ""),
            row.subgroups.map_or(Cell::None, Cell::Integer),
            Cell::text(row.approved_by.as_deref()),
            Cell::text(row.reason.as_deref()),
            Cell::time(row.recorded),
            Cell::text(row.recorded_by.as_deref()),
        ]
    });
    let columns = vec![
        Column::left("Frozen, valid from"),
        Column::right("Mean"),
        Column::right("Sigma"),
        Column::right("Subgroups"),
        Column::left("Approved by"),
        Column::left("Why"),
        Column::left("Recorded"),
        Column::left("by"),
    ];
    table_or(blocks, Place::Summary, columns, rows.collect(), "");
}
