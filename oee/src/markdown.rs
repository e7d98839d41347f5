//! Tables of a Markdown document, for tests that take them at their word.

/// One table: the heading it stands under, the cells of its first line, and those of the others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table<'d> {
    pub(crate) heading: &'d str,
    pub(crate) titles: Vec<&'d str>,
    pub(crate) rows: Vec<Vec<&'d str>>,
}

/// The OEE document.
pub(crate) const OEE: &str = include_str!("../../docs/oee.md");

fn cells(line: &str) -> Vec<&str> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    line.split('|').map(str::trim).collect()
}

/// All tables of a document, in order.
pub(crate) fn tables(document: &str) -> Vec<Table<'_>> {
    let mut found: Vec<Table<'_>> = Vec::new();
    let (mut heading, mut within) = ("", false);
    for line in document.lines() {
        if let Some(text) = line.strip_prefix('#') {
            heading = text.trim_start_matches('#').trim();
        }
        let is_row = line.starts_with('|');
        match found.last_mut().filter(|_| is_row && within) {
            Some(_) if line.starts_with("|---") => {}
            Some(table) => table.rows.push(cells(line)),
            None if is_row => found.push(Table { heading, titles: cells(line), rows: Vec::new() }),
            None => {}
        }
        within = is_row;
    }
    found
}

#[test]
fn tables_are_found_under_their_headings() {
    let text = "# A\n| x | y |\n|---|---|\n| 1 | |\n\n## B\ntext\n| z |\n|---|\n| 2 |\n| 3 |\n";
    let found = tables(text);
    let shown: Vec<_> = found.iter().map(|table| (table.heading, table.titles.clone(), table.rows.clone())).collect();
    assert_eq!(shown, [("A", vec!["x", "y"], vec![vec!["1", ""]]), ("B", vec!["z"], vec![vec!["2"], vec!["3"]])]);
}
