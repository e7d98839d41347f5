//! Violations of rules in words, with what was there at that moment.

use super::super::Gathered;
use super::super::document::{Block, Cell, Column, NONE, Place, Table, grouped, placed, reading};
use super::super::points::Point;
use super::super::violations::{Lot, MOST_LISTED, Reading};
use super::{plotted_brackets, plotted_places};

/// Lots and signals that paper names of a violation; the workbook has all.
const NAMED_ON_PAPER: usize = 10;

/// Adds the section.
pub(super) fn add(gathered: &Gathered, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading("Rule violations".to_owned()));
    let flagged: Vec<&Point> = gathered.points.iter().filter(|point| point.is_flagged()).collect();
    let judged = gathered.points.iter().any(|point| point.main.centre.is_some());
    if flagged.is_empty() {
        let words = if judged { "No rule is violated." } else { "Without limits nothing is judged." };
        blocks.push(Block::Note(words.to_owned()));
        return;
    }
    let cut = flagged.len().saturating_sub(MOST_LISTED);
    let mut words = format!(
        "{} of {} points violate rules. Unit, order and operator are those of the last value of a point; signals are of \
         its machine while the operation on that unit ran.",
        grouped(flagged.len() as i64),
        grouped(gathered.points.len() as i64)
    );
    if cut > 0 {
        words.push_str(&format!(" The last {MOST_LISTED} are listed; all are marked in the chart and in the data."));
    }
    blocks.push(Block::Note(words));
    let listed = flagged.get(cut..).unwrap_or_default();
    blocks.push(Block::Table(on_paper(gathered, listed)));
    blocks.push(Block::Table(sheet(gathered, listed)));
    lots(gathered, listed, blocks);
    signals(gathered, listed, blocks);
}

fn operator<'a>(gathered: &'a Gathered, point: &'a Point) -> Option<&'a str> {
    let of_execution = || gathered.contexts.execution(point).and_then(|one| one.operator.as_deref());
    point.operator.as_deref().or_else(of_execution)
}

fn on_paper(gathered: &Gathered, points: &[&Point]) -> Table {
    let places = plotted_places(gathered);
    let row = |point: &&Point| {
        let who = [
            ("unit", point.unit.as_deref()),
            ("order", point.work_order.as_deref()),
            ("operator", operator(gathered, point)),
            ("gauge", point.gauge.as_deref()),
        ];
        let named = |(name, value): (&str, Option<&str>)| match (name, value) {
            ("gauge", None) => None,
            (name, value) => Some(format!("{name} {}", value.unwrap_or(NONE))),
        };
        let who: Vec<String> = who.into_iter().filter_map(named).collect();
        vec![
            Cell::Integer(point.number),
            Cell::Time(point.time),
            Cell::number(point.main.value, places, ""),
            Cell::Text(in_words(point, places)),
            Cell::Text(who.join("\n")),
            Cell::Text(lots_in_words(&gathered.contexts.lots(point))),
            match gathered.contexts.readings(point) {
                Ok(readings) => Cell::Text(signals_in_words(readings)),
                Err(why) => Cell::missing(why),
            },
        ]
    };
    Table {
        place: Place::Paper,
        columns: vec![
            Column::right("No."),
            Column::left("Time"),
            Column::right(format!("Value{}", plotted_brackets(gathered))),
            Column::left("Rule and what it says"),
            Column::left("Unit, order, operator"),
            Column::left("Lots in the unit"),
            Column::left("Signals: mean, last"),
        ],
        rows: points.iter().map(row).collect(),
    }
}

/// Which rules, what they say, and of a violation of the chart below its value: the other column has that of the main chart.
fn in_words(point: &Point, places: usize) -> String {
    let below = point.companion.as_deref().zip(point.below.value).filter(|_| point.mark_below().is_some());
    let below = below.map_or_else(String::new, |(name, value)| format!(" ({name} {})", placed(value, places)));
    let (rules, message) = (point.rules.as_deref().unwrap_or_default(), point.message.as_deref().unwrap_or_default());
    format!("{rules}: {message}{below}{}", if point.excluded { " (excluded from limits)" } else { "" })
}

fn lots_in_words(lots: &[&Lot]) -> String {
    if lots.is_empty() {
        return format!("{NONE} (none recorded)");
    }
    let words = |lot: &&&Lot| {
        let item = lot.item.as_ref().map_or_else(String::new, |item| format!(" {item}"));
        format!("{}{item}", lot.lot)
    };
    let mut named: Vec<String> = lots.iter().take(NAMED_ON_PAPER).map(|lot| words(&lot)).collect();
    if lots.len() > NAMED_ON_PAPER {
        named.push(format!("and {} more", lots.len() - NAMED_ON_PAPER));
    }
    named.join("\n")
}

fn signals_in_words(readings: &[Reading]) -> String {
    if readings.is_empty() {
        return format!("{NONE} (no process signal)");
    }
    let number = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), |value| reading(value, 4));
    let words = |one: &Reading| {
        let uom = one.uom.as_ref().map_or_else(String::new, |uom| format!("\u{a0}{uom}"));
        format!("{} {}, {}{uom}", one.signal, number(one.mean), number(one.last))
    };
    let mut named: Vec<String> = readings.iter().take(NAMED_ON_PAPER).map(words).collect();
    if readings.len() > NAMED_ON_PAPER {
        named.push(format!("and {} more", readings.len() - NAMED_ON_PAPER));
    }
    named.join("\n")
}

fn sheet(gathered: &Gathered, points: &[&Point]) -> Table {
    let places = plotted_places(gathered);
    let row = |point: &&Point| {
        let execution = gathered.contexts.execution(point);
        vec![
            Cell::Integer(point.number),
            Cell::Time(point.time),
            Cell::Utc(point.time),
            Cell::number(point.main.value, places, ""),
            Cell::number(point.z, 2, ""),
            Cell::text(point.rules.as_deref()),
            Cell::text(point.message.as_deref()),
            Cell::text(point.unit.as_deref()),
            Cell::text(point.work_order.as_deref()),
            Cell::text(operator(gathered, point)),
            Cell::text(point.gauge.as_deref()),
            Cell::text(point.equipment.as_deref()),
            Cell::text(point.operation.as_deref()),
            Cell::text(execution.map(|one| one.run.as_str())),
            Cell::time(execution.map(|one| one.started)),
            Cell::time(execution.and_then(|one| one.completed)),
            Cell::from(if point.excluded { "yes" } else { "no" }),
        ]
    };
    let left = ["Rules", "What they say", "Unit", "Order", "Operator", "Gauge", "Machine", "Operation", "Execution"];
    let times = ["Started", "Completed", "Excluded from limits"];
    let mut columns = vec![
        Column::right("No."),
        Column::left("Time"),
        Column::left("Time (UTC)"),
        Column::right(format!("Value{}", plotted_brackets(gathered))),
        Column::right("z"),
    ];
    columns.extend(left.into_iter().chain(times).map(Column::left));
    Table { place: Place::SheetOnly("Violations"), columns, rows: points.iter().map(row).collect() }
}

fn lots(gathered: &Gathered, points: &[&Point], blocks: &mut Vec<Block>) {
    let mut rows = Vec::new();
    for point in points {
        for lot in gathered.contexts.lots(point) {
            rows.push(vec![
                Cell::Integer(point.number),
                Cell::text(point.unit.as_deref()),
                Cell::from(lot.lot.as_str()),
                Cell::text(lot.item.as_deref()),
                Cell::text(lot.supplier_lot.as_deref()),
                lot.quantity.map_or(Cell::None, |quantity| Cell::Phrase(quantity, reading(quantity, 6))),
                Cell::text(lot.uom.as_deref()),
                Cell::text(lot.kind.as_deref()),
            ]);
        }
    }
    if rows.is_empty() {
        return;
    }
    let columns = vec![
        Column::right("No."),
        Column::left("Unit"),
        Column::left("Lot"),
        Column::left("Item"),
        Column::left("Supplier's lot"),
        Column::right("Quantity"),
        Column::left("Unit of measure"),
        Column::left("How"),
    ];
    blocks.push(Block::Table(Table { place: Place::SheetOnly("Lots"), columns, rows }));
}

fn signals(gathered: &Gathered, points: &[&Point], blocks: &mut Vec<Block>) {
    let mut rows = Vec::new();
    for point in points {
        for one in gathered.contexts.readings(point).unwrap_or_default() {
            let number = |value: Option<f64>| value.map_or(Cell::None, |value| Cell::Phrase(value, reading(value, 6)));
            rows.push(vec![
                Cell::Integer(point.number),
                Cell::text(point.unit.as_deref()),
                Cell::text(point.equipment.as_deref()),
                Cell::from(one.signal.as_str()),
                number(one.mean),
                number(one.last),
                Cell::text(one.uom.as_deref()),
            ]);
        }
    }
    if rows.is_empty() {
        return;
    }
    let columns = vec![
        Column::right("No."),
        Column::left("Unit"),
        Column::left("Machine"),
        Column::left("Signal"),
        Column::right("Mean"),
        Column::right("Last"),
        Column::left("Unit of measure"),
    ];
    blocks.push(Block::Table(Table { place: Place::SheetOnly("Signals"), columns, rows }));
}
