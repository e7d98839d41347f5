//! The worked tables of `docs/oee.md`: every line that is not a result says what happens, the results say what comes out.
//!
//! [`check`] takes a table at its word: it writes a plant file and rows from the lines, asks the engine, and compares what
//! it says with the document, text by text.

mod case;
mod outcome;

use crate::markdown::{OEE, Table, tables};
use case::Case;

const TITLES: [&str; 4] = ["what", "from", "to", "says"];

fn worked() -> impl Iterator<Item = Table<'static>> {
    tables(OEE).into_iter().filter(|table| table.titles == TITLES)
}

/// A line of a worked table.
#[derive(Debug, Clone, Copy)]
struct Line<'d> {
    what: &'d str,
    from: &'d str,
    to: &'d str,
    says: &'d str,
}

impl Line<'_> {
    /// Results are set in bold type.
    fn is_result(&self) -> bool {
        self.what.starts_with("**")
    }
}

fn lines<'d>(table: &Table<'d>) -> Vec<Line<'d>> {
    let line = |row: &Vec<&'d str>| match row.as_slice() {
        [what, from, to, says] => Line { what, from, to, says },
        _ => panic!("{}: four cells, not {row:?}", table.heading),
    };
    table.rows.iter().map(line).collect()
}

/// What the engine says where the document has results.
fn results(lines: &[Line<'_>]) -> Vec<String> {
    let (results, given): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.is_result());
    let case = Case::of(&given);
    results.iter().map(|line| outcome::says(&case, line)).collect()
}

fn check(table: &Table<'_>) {
    let lines = lines(table);
    let documented: Vec<&str> = lines.iter().filter(|line| line.is_result()).map(|line| line.says).collect();
    assert!(!documented.is_empty(), "{}: no result", table.heading);
    assert_eq!(results(&lines), documented, "{}", table.heading);
}

#[test]
fn the_document_is_right() {
    worked().for_each(|table| check(&table));
}

#[test]
fn every_convention_is_worked_out() {
    let headings: Vec<&str> = worked().map(|table| table.heading).collect();
    let expected = [
        "Which element comes first",
        "Change records",
        "Interval records",
        "Unknown time",
        "A micro-stop is judged whole",
        "An open stop is provisional",
        "A break within a stop",
        "Running outside shifts",
        "A state from a rule",
        "Counters",
        "Results of operations",
        "Scrap by reason",
        "Pieces and orders",
        "Pieces and the default product",
        "Another product in mid-shift",
        "Reasons, corrections, as of",
        "A reason from a signal",
        "Start-up scrap",
        "The waterfall",
        "Performance above 100 %",
        "Energy and cost",
        "Machines side by side",
        "A serial line",
        "The day with 23 hours",
        "The day with 25 hours",
    ];
    assert_eq!(headings, expected);
}

/// Lines that are there because nothing comes of them: heading, when, and what they say.
const OF_NO_EFFECT: [(&str, &str, &str); 8] = [
    ("A state from a rule", "08:00:00", "0"),
    ("Counters", "06:40", "60,000 bad"),
    // What is not the bottleneck's time.
    ("A serial line", "", "A, 30 s"),
    ("A serial line", "06:00", "run"),
    ("A serial line", "", "A, 20 s"),
    ("A serial line", "06:00", "run"),
    ("A serial line", "06:40", "stop JAM"),
    ("A serial line", "07:00", "run"),
];

/// Any other line that could be left out without a change would not be worth reading.
#[test]
fn every_line_matters() {
    let mut idle = Vec::new();
    for table in worked() {
        let lines = lines(&table);
        let whole = results(&lines);
        for (at, left_out) in lines.iter().enumerate().filter(|(_, line)| !line.is_result()) {
            let mut rest = lines.clone();
            rest.remove(at);
            let without = std::panic::catch_unwind(|| results(&rest));
            if without.is_ok_and(|without| without == whole) {
                idle.push((table.heading, left_out.from, left_out.says));
            }
        }
    }
    assert_eq!(idle, OF_NO_EFFECT);
}

#[test]
fn a_result_that_is_changed_is_noticed() {
    for mut table in worked() {
        for row in 0..table.rows.len() {
            if !table.rows[row][0].starts_with("**") {
                continue;
            }
            let said = table.rows[row][3];
            let digit = said.rfind(|c: char| c.is_ascii_digit());
            let changed = digit.map_or_else(
                || format!("{said} not"),
                |at| format!("{}{}{}", &said[..at], if &said[at..=at] == "1" { "2" } else { "1" }, &said[at + 1..]),
            );
            table.rows[row][3] = changed.leak();
            let noticed = std::panic::catch_unwind(|| check(&table)).is_err();
            assert!(noticed, "{}: {said}", table.heading);
            table.rows[row][3] = said;
        }
    }
}
