//! How the values spread, as numbers: a workbook draws its own histogram and probability plot of them.

use oee::spc::distribution::normal_quantile;

use super::super::capability::Capability;
use super::super::document::{Block, Cell, Column, HISTOGRAM, PROBABILITY, Place, Table, places_for};
use super::super::histogram::{drawn, plotted_at};
use super::super::spread::Spread;

/// Adds the bins with what the fitted distribution expects in them, and the ranked values with where it expects those.
pub(super) fn add(spread: &Spread, capability: Option<&Capability>, blocks: &mut Vec<Block>) {
    let distribution = drawn(spread, capability);
    let places = places_for(Some(spread.sigma));
    let bins = &spread.bins;
    let edge = |bin: i64| bins.start + bins.width * bin as f64;
    let expected = |bin: i64| spread.n as f64 * (distribution.lower(edge(bin + 1)) - distribution.lower(edge(bin)));
    let count = |bin: i64| spread.counts.iter().find(|(known, _)| *known == bin).map_or(0, |(_, count)| *count);
    let bin = |bin: i64| {
        vec![
            Cell::Number(edge(bin), places),
            Cell::Number(edge(bin + 1), places),
            Cell::Integer(count(bin)),
            Cell::Number(expected(bin), 1),
        ]
    };
    let right = |names: &[&str]| names.iter().map(|name| Column::right(*name)).collect();
    blocks.push(Block::Table(Table {
        place: Place::SheetOnly(HISTOGRAM),
        columns: right(&["From", "Below", "Values", "Expected"]),
        rows: (0..bins.bins).map(bin).collect(),
    }));
    let ranked = |(value, rank): &(f64, i64)| {
        let share = plotted_at(*rank, spread.n);
        vec![
            Cell::Number(*value, places),
            Cell::Integer(*rank),
            Cell::Number(share * 100.0, 3),
            Cell::Number(normal_quantile(share), 4),
            Cell::Number(distribution.quantile(share), places),
        ]
    };
    blocks.push(Block::Table(Table {
        place: Place::SheetOnly(PROBABILITY),
        columns: right(&["Value", "Rank", "Below, %", "Normal score", "Expected value"]),
        rows: spread.ranked.iter().map(ranked).collect(),
    }));
}
