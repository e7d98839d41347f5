//! The data itself: every value, the points made of them, and what is excluded.

use std::collections::HashMap;

use super::super::Gathered;
use super::super::asked;
use super::super::data::{Excluded, Measured};
use super::super::document::{Block, CHART_DATA, Cell, Column, Place, Table, reading};
use super::super::points::Point;
use super::{in_brackets, plotted_brackets, plotted_places, table_or};

/// Points that paper lists; the workbook has all.
const POINTS_ON_PAPER: usize = 2_000;

/// Adds what is excluded, and why.
pub(super) fn exclusions(gathered: &Gathered, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading("Excluded measurements".to_owned()));
    let about = |excluded: &Excluded| gathered.values.iter().find(|value| excluded.is_about(value));
    let rows: Vec<Vec<Cell>> = gathered
        .excluded
        .iter()
        .map(|excluded| {
            let value = about(excluded);
            vec![
                Cell::Time(excluded.time),
                Cell::text(excluded.unit.as_deref().or_else(|| value.and_then(|value| value.unit.as_deref()))),
                excluded.piece.map_or_else(|| Cell::from("all"), Cell::Integer),
                value.and_then(|value| value.value).map_or_else(
                    || Cell::missing("not among the values charted"),
                    |value| Cell::Phrase(value, reading(value, 6)),
                ),
                value.and_then(|value| value.point).map_or(Cell::None, Cell::Integer),
                Cell::text(excluded.reason.as_deref()),
                Cell::time(excluded.recorded),
                Cell::text(excluded.recorded_by.as_deref()),
            ]
        })
        .collect();
    if !rows.is_empty() {
        blocks.push(Block::Note(
            "They are charted and judged; limits are not estimated from their subgroups.".to_owned(),
        ));
    }
    let columns = vec![
        Column::left("Measured"),
        Column::left("Unit"),
        Column::right("Piece"),
        Column::right(format!("Value{}", in_brackets(gathered))),
        Column::right("Point"),
        Column::left("Why"),
        Column::left("Recorded"),
        Column::left("by"),
    ];
    table_or(blocks, Place::Sheet("Exclusions"), columns, rows, "No measurement in this period is excluded.");
}

/// Adds the points with their limits: to the workbook always, to paper where points are not the values themselves.
pub(super) fn points(gathered: &Gathered, blocks: &mut Vec<Block>) {
    blocks.push(Block::Table(chart_data(gathered)));
    if gathered.subject.kind.name() == "i_mr" {
        return;
    }
    blocks.push(Block::Heading("Points".to_owned()));
    let cut = gathered.points.len().saturating_sub(POINTS_ON_PAPER);
    if cut > 0 {
        blocks.push(Block::Note(format!("The last {POINTS_ON_PAPER} points; the workbook (XLSX) has all.")));
    }
    let places = plotted_places(gathered);
    let of_products = gathered.subject.mixes_products();
    let row = |point: &Point| {
        vec![
            Cell::Integer(point.number),
            Cell::Time(point.time),
            Cell::text(point.product.as_deref().filter(|_| of_products)),
            Cell::text(point.subgroup.as_deref()),
            Cell::Integer(point.n),
            Cell::number(point.main.value, places, ""),
            Cell::number(point.main.lcl, places, ""),
            Cell::number(point.main.centre, places, ""),
            Cell::number(point.main.ucl, places, ""),
            Cell::number(point.below.value, places, ""),
            Cell::text(point.rules.as_deref()),
        ]
    };
    let (main, below) = titles(gathered);
    let columns = vec![
        Column::right("No."),
        Column::left("Last value"),
        Column::left("Product"),
        Column::left("Subgroup"),
        Column::right("n"),
        Column::right(format!("{main}{}", plotted_brackets(gathered))),
        Column::right("LCL"),
        Column::right("Centre"),
        Column::right("UCL"),
        Column::right(below),
        Column::left("Rules"),
    ];
    let (columns, rows) = filled(columns, gathered.points.iter().skip(cut).map(row).collect());
    blocks.push(Block::Table(Table { place: Place::Paper, columns, rows }));
}

/// What is plotted above and below.
fn titles(gathered: &Gathered) -> (&'static str, String) {
    let below = gathered.points.iter().rev().find_map(|point| point.companion.clone());
    (asked::statistic(gathered.subject.kind), below.unwrap_or_else(|| "Companion".to_owned()))
}

fn chart_data(gathered: &Gathered) -> Table {
    let places = plotted_places(gathered);
    let (main, below) = titles(gathered);
    let row = |point: &Point| {
        let number = |value: Option<f64>| Cell::number(value, places, "");
        vec![
            Cell::Integer(point.number),
            Cell::Time(point.time),
            Cell::Utc(point.time),
            Cell::text(point.product.as_deref()),
            Cell::text(point.subgroup.as_deref()),
            Cell::Integer(point.n),
            number(point.main.value),
            number(point.main.lcl),
            number(point.main.centre),
            number(point.main.ucl),
            Cell::number(point.z, 3, ""),
            number(point.below.value),
            number(point.below.lcl),
            number(point.below.centre),
            number(point.below.ucl),
            Cell::text(point.phase.as_deref()),
            Cell::from(if point.excluded { "yes" } else { "no" }),
            Cell::text(point.rules.as_deref()),
            Cell::text(point.message.as_deref()),
            Cell::number(point.lower_limit, places, ""),
            Cell::number(point.upper_limit, places, ""),
            Cell::text(point.unit.as_deref()),
            Cell::text(point.work_order.as_deref()),
            Cell::text(point.operator.as_deref()),
            Cell::Text(point.limits.clone()),
            Cell::text(point.reason.as_deref()),
        ]
    };
    let left = |names: &[&str]| names.iter().map(|name| Column::left(*name)).collect::<Vec<_>>();
    let right = |names: &[&str]| names.iter().map(|name| Column::right(*name)).collect::<Vec<_>>();
    let mut columns = right(&["No."]);
    columns.extend(left(&["Last value", "Last value (UTC)", "Product", "Subgroup"]));
    columns.extend(right(&["n"]));
    columns.push(Column::right(format!("{main}{}", plotted_brackets(gathered))));
    columns.extend(right(&["LCL", "Centre", "UCL", "z"]));
    columns.push(Column::right(below.clone()));
    columns.extend(["LCL", "Centre", "UCL"].map(|name| Column::right(format!("{below} {name}"))));
    columns.extend(left(&["Phase", "Excluded", "Rules", "What they say"]));
    columns.extend(right(&["LSL", "USL"]));
    columns.extend(left(&["Unit", "Order", "Operator", "Limits", "Why a figure is missing"]));
    Table { place: Place::SheetOnly(CHART_DATA), columns, rows: gathered.points.iter().map(row).collect() }
}

/// Adds every value.
pub(super) fn values(gathered: &Gathered, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading("Data".to_owned()));
    let by_time = by_time(&gathered.excluded);
    let is_excluded =
        |value: &Measured| by_time.get(&value.time).is_some_and(|found| found.iter().any(|one| one.is_about(value)));
    // As many places as the values have.
    let places = gathered.values.iter().filter_map(|value| value.value).map(own_places).max().unwrap_or(0);
    let subgrouped = gathered.points.iter().any(|point| point.n > 1);
    let of_products = gathered.subject.mixes_products();
    let rows = gathered.values.iter().enumerate().map(|(place, value)| {
        let mut row =
            vec![Cell::Integer(place as i64 + 1), Cell::Time(value.time), Cell::number(value.value, places, "")];
        if subgrouped {
            row.push(value.point.map_or(Cell::None, Cell::Integer));
        }
        row.extend([
            Cell::text(value.product.as_deref().filter(|_| of_products)),
            Cell::text(value.unit.as_deref()),
            value.piece.map_or(Cell::None, Cell::Integer),
            Cell::text(value.work_order.as_deref()),
            Cell::text(value.operator.as_deref()),
            Cell::text(value.gauge.as_deref()),
            Cell::number(value.lower, places, ""),
            Cell::number(value.upper, places, ""),
            Cell::text(value.result.as_deref()),
            if is_excluded(value) { Cell::from("yes") } else { Cell::None },
        ]);
        row
    });
    let mut columns =
        vec![Column::right("No."), Column::left("Measured"), Column::right(format!("Value{}", in_brackets(gathered)))];
    if subgrouped {
        columns.push(Column::right("Point"));
    }
    columns.extend([
        Column::left("Product"),
        Column::left("Unit"),
        Column::right("Piece"),
        Column::left("Order"),
        Column::left("Operator"),
        Column::left("Gauge"),
        Column::right("LSL"),
        Column::right("USL"),
        Column::left("Result"),
        Column::left("Excluded"),
    ]);
    if subgrouped && gathered.values.iter().any(|value| value.point.is_none()) {
        blocks.push(Block::Note("A value without a point is in no whole subgroup.".to_owned()));
    }
    let (columns, rows) = filled(columns, rows.collect());
    blocks.push(Block::Table(Table { place: Place::Sheet("Data"), columns, rows }));
}

fn by_time(excluded: &[Excluded]) -> HashMap<i64, Vec<&Excluded>> {
    let mut by_time: HashMap<i64, Vec<&Excluded>> = HashMap::new();
    for one in excluded {
        by_time.entry(one.time).or_default().push(one);
    }
    by_time
}

/// Digits after the point, at most 6 or as many as make 6 that count.
fn own_places(value: f64) -> usize {
    let small =
        if value != 0.0 && value.is_finite() { (5.0 - value.abs().log10().floor()).clamp(6.0, 15.0) } else { 6.0 };
    let most = small as usize;
    let text = format!("{value:.most$}");
    text.trim_end_matches('0').split('.').nth(1).map_or(0, str::len)
}

/// The table without columns in which nothing is known.
fn filled(columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> (Vec<Column>, Vec<Vec<Cell>>) {
    let is_filled: Vec<bool> = (0..columns.len())
        .map(|place| rows.iter().any(|row| row.get(place).is_some_and(|cell| *cell != Cell::None)))
        .collect();
    let kept = |place: usize| is_filled.get(place).copied().unwrap_or(true);
    let columns = columns.into_iter().enumerate().filter(|(place, _)| kept(*place)).map(|(_, column)| column).collect();
    let keep = |row: Vec<Cell>| {
        row.into_iter().enumerate().filter(|(place, _)| kept(*place)).map(|(_, cell)| cell).collect::<Vec<_>>()
    };
    (columns, rows.into_iter().map(keep).collect())
}
