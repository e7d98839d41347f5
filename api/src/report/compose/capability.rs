//! Indices of capability with their intervals, and what they rest on.

use super::super::Gathered;
use super::super::capability::{Capability, Index, Ppm};
use super::super::document::{
    Block, Cell, Column, Fact, NONE, Place, Table, exact, grouped, placed, places_for, reading,
};
use super::super::histogram::called;
use super::{EACH_ITS_OWN, with_uom};

/// Adds the section.
pub(super) fn add(gathered: &Gathered, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading("Process capability".to_owned()));
    if gathered.subject.mixes_products() {
        blocks.push(Block::Note(EACH_ITS_OWN.to_owned()));
        return;
    }
    let Some(found) = gathered.capability.as_ref().filter(|found| found.mean.is_some()) else {
        let reason = gathered.capability.as_ref().and_then(|found| found.reason.as_deref());
        blocks.push(Block::Note(format!("No capability: {NONE} ({}).", reason.unwrap_or("there are no numbers"))));
        return;
    };
    if found.looks_normal.as_deref() == Some("no") && found.distribution == "normal" {
        blocks.push(Block::Warning(
            "The values do not look normal: the indices of the normal distribution can mislead.".to_owned(),
        ));
    }
    blocks.push(Block::Table(indices(found)));
    blocks.push(Block::Facts(facts(gathered, found)));
}

/// Why an index is missing.
fn why<'a>(found: &'a Capability, name: &str) -> &'a str {
    // Percentiles of another distribution have no sigma within subgroups, and so no Cp and Cpk; transformed values no Cpm.
    let lacks = found.distribution != "normal"
        && found.ppk.value.is_some()
        && (name == "cpm" || (found.cpk.value.is_none() && name.starts_with("cp")));
    if lacks {
        return "not by this method";
    }
    // Of one limit there is no tolerance.
    let one_sided = found.lower.is_some() != found.upper.is_some();
    if one_sided && (name == "cp" || name == "pp") {
        return "there is one limit only";
    }
    found.reason.as_deref().unwrap_or("not known")
}

fn indices(found: &Capability) -> Table {
    let row = |name: &str, title: &str, words: &str, index: Index| {
        vec![
            Cell::from(title),
            Cell::from(words),
            Cell::number(index.value, 2, why(found, name)),
            Cell::number(index.low, 2, ""),
            Cell::number(index.high, 2, ""),
        ]
    };
    Table {
        place: Place::Summary,
        columns: vec![
            Column::left("Index"),
            Column::left("What it says"),
            Column::right("Value"),
            Column::right("95 % from"),
            Column::right("95 % to"),
        ],
        rows: vec![
            row("cp", "Cp", "tolerance over 6 sigma within subgroups", found.cp),
            row("cpk", "Cpk", "the same to the nearer limit", found.cpk),
            row("pp", "Pp", "tolerance over 6 sigma of all values", found.pp),
            row("ppk", "Ppk", "the same to the nearer limit", found.ppk),
            row("cpm", "Cpm", "with the distance from the target", found.cpm),
        ],
    }
}

/// How many values there are, and of how many Cp and Cpk are where that is not all.
fn of_values(found: &Capability) -> String {
    let (all, within) = (grouped(found.n), grouped(found.n_within));
    if found.n_within == found.n { all } else { format!("{all}; Cp and Cpk of the {within} in whole subgroups") }
}

fn facts(gathered: &Gathered, found: &Capability) -> Vec<Fact> {
    let uom = with_uom(gathered);
    let places = places_for(found.sigma_overall);
    let value = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), |value| placed(value, places));
    let read = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), |value| reading(value, 5));
    let figure = |number: Option<f64>, text: String| match number {
        Some(number) => Cell::Phrase(number, text),
        None => Cell::missing(found.reason.as_deref().unwrap_or("not known")),
    };
    let limit = |limit: Option<f64>| limit.map_or_else(|| "none".to_owned(), exact);
    let target = found.target.map_or_else(String::new, |target| format!(", target {}", exact(target)));
    let method = match found.sigma_method.as_deref() {
        Some("rbar_d2") => "R\u{304}/d2",
        Some("sbar_c4") => "S\u{304}/c4",
        Some("mrbar_d2") => "MR\u{304}/d2",
        other => other.unwrap_or(NONE),
    };
    let mut facts = vec![
        Fact::new("Specification", format!("{} … {}{uom}{target}", limit(found.lower), limit(found.upper))),
        Fact::new("Method", found.method.as_deref().unwrap_or(NONE)),
        Fact::new("Values", Cell::Phrase(found.n as f64, of_values(found))),
        Fact::new("Mean", figure(found.mean, format!("{}{uom}", value(found.mean)))),
        Fact::new("Least … most", format!("{} … {}{uom}", value(found.min), value(found.max))),
        Fact::new(
            format!("Sigma within subgroups ({method})"),
            figure(found.sigma_within, format!("{}{uom}", read(found.sigma_within))),
        ),
        Fact::new("Sigma of all values", figure(found.sigma_overall, format!("{}{uom}", read(found.sigma_overall)))),
        Fact::new("Outside, observed", ppm(found, found.observed)),
        Fact::new("Outside, expected of all values", ppm(found, found.expected)),
        Fact::new(
            "Outside, expected within subgroups",
            match found.expected_within {
                Some(value) => Cell::Phrase(value, format!("{} ppm", as_ppm(value))),
                None => Cell::missing(why(found, "cpk")),
            },
        ),
        Fact::new("Anderson-Darling, normal", anderson_darling(found)),
        Fact::new("Looks normal", found.looks_normal.as_deref().unwrap_or("too few values to tell")),
    ];
    if let (Some(shape), (Some(a2), p)) = (&found.fitted, found.fit) {
        facts.push(Fact::new(format!("Anderson-Darling, {}", called(shape.family())), a_squared(a2, p)));
    }
    facts
}

fn as_ppm(value: f64) -> String {
    if value > 0.0 && value < 0.001 {
        return "< 0.001".to_owned();
    }
    if value < 1.0 { reading(value, 3) } else { reading(value, 4) }
}

fn ppm(found: &Capability, ppm: Ppm) -> Cell {
    let Some(all) = ppm.all else { return Cell::missing(found.reason.as_deref().unwrap_or("not known")) };
    let sides = ppm
        .below
        .zip(ppm.above)
        .map_or_else(String::new, |(below, above)| format!(" ({} below, {} above)", as_ppm(below), as_ppm(above)));
    Cell::Phrase(all, format!("{} ppm{sides}", as_ppm(all)))
}

fn anderson_darling(found: &Capability) -> Cell {
    let Some(a2) = found.anderson_darling else { return Cell::missing("too few values, or all are equal") };
    a_squared(a2, found.anderson_darling_p)
}

fn a_squared(a2: f64, p: Option<f64>) -> Cell {
    let p = p.map_or_else(String::new, |p| if p < 0.001 { ", p < 0.001".to_owned() } else { format!(", p {p:.3}") });
    Cell::Phrase(a2, format!("A² = {a2:.3}{p}"))
}
