//! How wide the columns of a table are: as wide as what is in them, and where there is no room for that, text is broken.

use super::super::clock::Clock;
use super::super::document::Table;
use super::face::Face;

/// Rows that are measured; of more some of all.
const MEASURED: usize = 400;
/// No word makes a column wider than this share of the table.
const WIDEST_WORD: f64 = 0.22;

/// Widths that add up to `wide`. `room` is between the columns, and is part of each.
pub(super) fn widths(
    table: &Table,
    clock: &Clock,
    (regular, bold): (&Face, &Face),
    size: f64,
    wide: f64,
    room: f64,
) -> Vec<f64> {
    let step = table.rows.len().div_ceil(MEASURED).max(1);
    let mut natural = Vec::with_capacity(table.columns.len());
    let mut least = Vec::with_capacity(table.columns.len());
    for (place, column) in table.columns.iter().enumerate() {
        let longest_word =
            |text: &str, face: &Face| text.split([' ', '\n']).map(|word| face.width(word, size)).fold(0.0, f64::max);
        // A head may be broken between words: it makes a column no wider than its longest one.
        let mut word = longest_word(&column.title, bold);
        let mut line = word;
        for cell in table.rows.iter().step_by(step).filter_map(|row| row.get(place)) {
            let text = cell.shown(clock);
            line = text.split('\n').map(|part| regular.width(part, size)).fold(line, f64::max);
            // Figures and times are not broken.
            let is_text =
                matches!(cell, super::super::document::Cell::Text(_) | super::super::document::Cell::Missing(_));
            word = word.max(if is_text { longest_word(&text, regular).min(wide * WIDEST_WORD) } else { line });
        }
        natural.push(line + room);
        least.push(word.min(line) + room);
    }
    fit(&natural, &least, wide)
}

/// Between the least and the natural widths, so that they add up.
fn fit(natural: &[f64], least: &[f64], wide: f64) -> Vec<f64> {
    let (all, must): (f64, f64) = (natural.iter().sum(), least.iter().sum());
    if all <= 0.0 {
        return vec![wide / natural.len().max(1) as f64; natural.len()];
    }
    if must >= wide {
        return least.iter().map(|one| one * wide / must).collect();
    }
    if all >= wide {
        // One width for all that are wider by nature: what is short keeps its own, what is long shares the rest.
        let under = |level: f64| -> Vec<f64> {
            natural.iter().zip(least).map(|(natural, least)| level.clamp(least.min(*natural), *natural)).collect()
        };
        let (mut low, mut high) = (0.0, wide);
        for _ in 0..50 {
            let middle = (low + high) / 2.0;
            if under(middle).iter().sum::<f64>() > wide { high = middle } else { low = middle }
        }
        return under(low);
    }
    // Room that is left goes to all alike.
    let each = (wide - all) / natural.len() as f64;
    natural.iter().map(|one| one + each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_add_up() {
        for (natural, least) in [
            (vec![10.0, 20.0], vec![10.0, 20.0]),
            (vec![50.0, 400.0], vec![50.0, 30.0]),
            (vec![500.0, 400.0], vec![300.0, 100.0]),
            (vec![0.0, 0.0], vec![0.0, 0.0]),
        ] {
            let found = fit(&natural, &least, 100.0);
            assert!((found.iter().sum::<f64>() - 100.0).abs() < 1e-6, "{found:?}");
        }
        // What may not be broken keeps its width.
        let found = fit(&[20.0, 400.0], &[20.0, 30.0], 100.0);
        assert!((found[0] - 20.0).abs() < 1e-6 && (found[1] - 80.0).abs() < 1e-6, "{found:?}");
    }
}
