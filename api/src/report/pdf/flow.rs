//! Flows a report over pages: what belongs together stays so, tables break between rows and repeat their head, and every
//! page says which it is.

use super::super::document::{Block, Cell, Document, Fact, Table};
use super::super::figure::{Anchor, Figure, Ink, Shape, Text, bold, line, rectangle, text};
use super::columns;
use super::face::Faces;

/// A4, points.
pub(super) const WIDE: f64 = 595.28;
pub(super) const HIGH: f64 = 841.89;
const SIDE: f64 = 36.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 46.0;
const INSIDE: f64 = WIDE - 2.0 * SIDE;
const FLOOR: f64 = HIGH - BOTTOM;

const TITLE: f64 = 18.0;
const SUBJECT: f64 = 11.0;
const HEADING: f64 = 11.5;
const BODY: f64 = 8.5;
const SMALL: f64 = 7.2;
/// A line is so much higher than its letters.
const LEADING: f64 = 1.32;
/// Below the heading there is at least this much of what it heads.
const COMPANY: f64 = 124.0;
const CELL_ROOM: f64 = 8.0;
const ROW_ROOM: f64 = 1.2;
/// Of a cell with more lines the rest is left out: no row is higher than a page.
const MOST_LINES: usize = 60;

/// A report on pages.
pub(super) struct Flowed {
    pub(super) sheets: Vec<Vec<Shape>>,
    /// Words, page from 0 and place of each heading.
    pub(super) headings: Vec<(String, usize, f64)>,
}

struct Flow<'a> {
    document: &'a Document,
    faces: &'a Faces,
    sheets: Vec<Vec<Shape>>,
    headings: Vec<(String, usize, f64)>,
    y: f64,
}

pub(super) fn flow(document: &Document, faces: &Faces) -> Flowed {
    let mut flow = Flow { document, faces, sheets: vec![Vec::new()], headings: Vec::new(), y: TOP };
    flow.title();
    for block in &document.blocks {
        flow.add(block);
    }
    flow.margins();
    Flowed { sheets: flow.sheets, headings: flow.headings }
}

impl Flow<'_> {
    fn draw(&mut self, shape: Shape) {
        if let Some(sheet) = self.sheets.last_mut() {
            sheet.push(shape);
        }
    }

    fn turn(&mut self) {
        self.sheets.push(Vec::new());
        self.y = TOP;
    }

    /// Turns the page where there is no room for something of this height. What is higher than a page begins at its top.
    fn need(&mut self, high: f64) {
        if self.y + high > FLOOR && self.y > TOP {
            self.turn();
        }
    }

    fn title(&mut self) {
        self.y += TITLE * 0.6;
        self.draw(bold((SIDE, self.y), self.document.title.clone(), TITLE, Ink::Text, Anchor::Start));
        self.y += TITLE * 0.4 + 4.0;
        self.paragraph(&self.document.subject.clone(), SUBJECT, false, Ink::Text);
        self.y += 6.0;
    }

    fn add(&mut self, block: &Block) {
        match block {
            Block::Heading(words) => self.heading(words),
            Block::Note(words) => {
                self.paragraph(words, BODY, false, Ink::Quiet);
                self.y += 4.0;
            }
            Block::Warning(words) => {
                self.paragraph(words, BODY, true, Ink::Warning);
                self.y += 4.0;
            }
            Block::Facts(facts) => self.facts(facts),
            Block::Figures(figures) => self.figures(figures),
            Block::Table(table) if table.place.is_on_paper() => self.table(table),
            Block::Table(_) => {}
            Block::Signatures(signers) => self.signatures(signers),
        }
    }

    fn heading(&mut self, words: &str) {
        if self.y > TOP {
            self.y += 10.0;
        }
        self.need(HEADING + COMPANY);
        self.headings.push((words.to_owned(), self.sheets.len() - 1, self.y));
        self.y += HEADING;
        self.draw(bold((SIDE, self.y), words, HEADING, Ink::Text, Anchor::Start));
        self.y += 4.0;
        self.draw(line(Ink::Edge, 0.6, [(SIDE, self.y), (WIDE - SIDE, self.y)]));
        self.y += 6.0;
    }

    fn paragraph(&mut self, words: &str, size: f64, is_bold: bool, ink: Ink) {
        for words in self.faces.of(is_bold).lines(words, size, INSIDE) {
            self.need(size * LEADING);
            self.y += size * LEADING;
            let at = (SIDE, self.y - size * (LEADING - 1.0));
            self.draw(Shape::Text(Text { at, words, size, bold: is_bold, ink, anchor: Anchor::Start }));
        }
    }

    /// Names and values in two columns, from left to right; what is long has a row of its own.
    fn facts(&mut self, facts: &[Fact]) {
        const NAME: f64 = 0.34;
        let half = INSIDE / 2.0 - 8.0;
        let name_wide = half * NAME * 1.12;
        let lines_of = |fact: &Fact, wide: f64| {
            let shown = fact.cell.shown(&self.document.clock);
            let names = self.faces.of(false).lines(&fact.name, BODY, name_wide - 6.0);
            (names, self.faces.of(false).lines(&shown, BODY, wide - name_wide))
        };
        let mut rows: Vec<Vec<(Vec<String>, Vec<String>)>> = Vec::new();
        let mut is_open = false;
        for fact in facts {
            let short = lines_of(fact, half);
            if short.1.len() > 2 {
                rows.push(vec![lines_of(fact, INSIDE)]);
                is_open = false;
            } else if let Some(row) = rows.last_mut().filter(|_| is_open) {
                row.push(short);
                is_open = false;
            } else {
                rows.push(vec![short]);
                is_open = true;
            }
        }
        for row in rows {
            let lines = row.iter().map(|(names, values)| names.len().max(values.len())).max().unwrap_or(1);
            // Short rows stay whole; a long one goes on over the page.
            self.need(lines.min(3) as f64 * BODY * LEADING + 2.0);
            for line in 0..lines {
                self.need(BODY * LEADING + 2.0);
                let y = self.y + BODY;
                for (place, (names, values)) in row.iter().enumerate() {
                    let left = SIDE + place as f64 * (half + 16.0);
                    for (lines, left, ink) in [(names, left, Ink::Quiet), (values, left + name_wide, Ink::Text)] {
                        if let Some(words) = lines.get(line) {
                            self.draw(text((left, y), words.as_str(), BODY, ink, Anchor::Start));
                        }
                    }
                }
                self.y += BODY * LEADING;
            }
            self.y += 2.0;
        }
        self.y += 4.0;
    }

    /// Drawings side by side, whole.
    fn figures(&mut self, figures: &[Figure]) {
        let caption = if figures.iter().any(|figure| !figure.caption.is_empty()) { BODY + 5.0 } else { 0.0 };
        let high = figures.iter().map(|figure| figure.height).fold(0.0, f64::max) + caption;
        self.need(high);
        let wide: f64 = figures.iter().map(|figure| figure.width).sum();
        let gap = if figures.len() > 1 { (INSIDE - wide) / (figures.len() - 1) as f64 } else { 0.0 };
        let mut left = SIDE;
        for figure in figures {
            if caption > 0.0 {
                self.draw(bold((left, self.y + BODY), figure.caption.clone(), BODY, Ink::Text, Anchor::Start));
            }
            let top = self.y + caption;
            for shape in figure.shapes.iter().cloned() {
                self.draw(shape.moved((left, top)));
            }
            left += figure.width + gap;
        }
        self.y += high + 5.0;
    }

    fn table(&mut self, table: &Table) {
        let faces = (self.faces.of(false), self.faces.of(true));
        let widths = columns::widths(table, &self.document.clock, faces, SMALL, INSIDE, CELL_ROOM);
        let titles: Vec<Vec<String>> = table
            .columns
            .iter()
            .zip(&widths)
            .map(|(column, wide)| self.faces.of(true).lines(&column.title, SMALL, wide - CELL_ROOM))
            .collect();
        let mut is_headed = false;
        for row in &table.rows {
            let cells: Vec<Vec<String>> =
                row.iter().zip(&widths).map(|(cell, wide)| self.cell(cell, wide - CELL_ROOM)).collect();
            let high = row_height(&cells);
            let head = if is_headed { 0.0 } else { row_height(&titles) };
            if self.y + head + high > FLOOR && self.y > TOP {
                self.turn();
                is_headed = false;
            }
            if !is_headed {
                let high = row_height(&titles);
                self.draw(rectangle((SIDE, self.y), (INSIDE, high), Some(Ink::Head), None));
                self.row(table, &titles, &widths, true);
                is_headed = true;
            }
            self.row(table, &cells, &widths, false);
        }
        self.y += 6.0;
    }

    fn cell(&self, cell: &Cell, wide: f64) -> Vec<String> {
        let mut lines = self.faces.of(false).lines(&cell.shown(&self.document.clock), SMALL, wide);
        if lines.len() > MOST_LINES {
            lines.truncate(MOST_LINES);
            lines.push("…".to_owned());
        }
        lines
    }

    fn row(&mut self, table: &Table, cells: &[Vec<String>], widths: &[f64], is_bold: bool) {
        let mut left = SIDE;
        for ((lines, wide), column) in cells.iter().zip(widths).zip(&table.columns) {
            let (x, anchor) = if column.right {
                (left + wide - CELL_ROOM / 2.0, Anchor::End)
            } else {
                (left + CELL_ROOM / 2.0, Anchor::Start)
            };
            for (place, words) in lines.iter().enumerate() {
                let y = self.y + ROW_ROOM / 2.0 + SMALL + place as f64 * SMALL * LEADING;
                let words = words.clone();
                self.draw(Shape::Text(Text { at: (x, y), words, size: SMALL, bold: is_bold, ink: Ink::Text, anchor }));
            }
            left += wide;
        }
        self.y += row_height(cells);
        self.draw(line(Ink::Edge, if is_bold { 0.6 } else { 0.25 }, [(SIDE, self.y), (WIDE - SIDE, self.y)]));
    }

    fn signatures(&mut self, signers: &[&str]) {
        const ROW: f64 = 34.0;
        let columns = [("", 0.16), ("Name", 0.34), ("Date", 0.18), ("Signature", 0.32)];
        self.need(ROW * signers.len() as f64 + 14.0);
        let mut left = SIDE;
        for (name, share) in columns {
            self.draw(text((left + 4.0, self.y + BODY), name, BODY, Ink::Quiet, Anchor::Start));
            left += share * INSIDE;
        }
        self.y += BODY + 4.0;
        for signer in signers {
            let mut left = SIDE;
            for (place, (_, share)) in columns.into_iter().enumerate() {
                let wide = share * INSIDE;
                if place == 0 {
                    let at = (left + 4.0, self.y + ROW - 6.0);
                    self.draw(bold(at, *signer, BODY, Ink::Text, Anchor::Start));
                } else {
                    let y = self.y + ROW - 4.0;
                    self.draw(line(Ink::Text, 0.6, [(left + 4.0, y), (left + wide - 6.0, y)]));
                }
                left += wide;
            }
            self.y += ROW;
        }
    }

    /// Head and foot of every page, once it is known how many there are.
    fn margins(&mut self) {
        let pages = self.sheets.len();
        let face = self.faces.of(false);
        let fit = |words: &str, wide: f64| face.lines(words, SMALL, wide).into_iter().next().unwrap_or_default();
        let head = fit(&format!("{} · {}", self.document.title, self.document.subject), INSIDE);
        let foot = fit(&self.document.foot, INSIDE - 80.0);
        for (place, sheet) in self.sheets.iter_mut().enumerate() {
            if place > 0 {
                sheet.push(text((SIDE, TOP - 20.0), head.clone(), SMALL, Ink::Quiet, Anchor::Start));
                sheet.push(line(Ink::Edge, 0.4, [(SIDE, TOP - 14.0), (WIDE - SIDE, TOP - 14.0)]));
            }
            let y = HIGH - 26.0;
            sheet.push(line(Ink::Edge, 0.4, [(SIDE, y - 10.0), (WIDE - SIDE, y - 10.0)]));
            sheet.push(text((SIDE, y), foot.clone(), SMALL, Ink::Quiet, Anchor::Start));
            let page = format!("Page {} of {pages}", place + 1);
            sheet.push(text((WIDE - SIDE, y), page, SMALL, Ink::Quiet, Anchor::End));
        }
    }
}

fn row_height(cells: &[Vec<String>]) -> f64 {
    let lines = cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
    SMALL + (lines - 1) as f64 * SMALL * LEADING + ROW_ROOM + SMALL * (LEADING - 1.0)
}
