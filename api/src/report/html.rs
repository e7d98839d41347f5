//! Writes a report as one HTML file: nothing is loaded from elsewhere, drawings are SVG, and it prints on A4.

use super::document::{Block, Cell, Document, Fact, Table};
use super::figure::{Anchor, Figure, Ink, Shape, Step, Stroke, Text};

const STYLE: &str = "
:root { color-scheme: light; }
body { font: 13px/1.4 'Noto Sans', 'Segoe UI', system-ui, sans-serif; color: #000; background: #fff; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 0.4rem; border-bottom: 1px solid #b8c0c8; break-after: avoid; }
.subject { font-size: 1.05rem; margin: 0.1rem 0 0.8rem; overflow-wrap: anywhere; }
.note, .foot { color: #4a525a; }
.warning { color: #8a4b00; font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 0 1.5rem; margin: 0.3rem 0; }
dl > div { display: grid; grid-template-columns: 12rem minmax(0, 1fr); gap: 0.6rem; padding: 0.1rem 0; break-inside: avoid; }
dt { color: #4a525a; }
dd { margin: 0; overflow-wrap: anywhere; }
dl > .long { grid-column: 1 / -1; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; break-inside: avoid; }
figure { margin: 0.3rem 0; flex: 1 1 20rem; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; display: block; font-family: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.92em; margin: 0.3rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.12rem 0.5rem 0.12rem 0; border-bottom: 1px solid #dfe4e8; overflow-wrap: break-word; white-space: pre-line; }
th { background: #eef1f4; border-bottom: 1px solid #b8c0c8; overflow-wrap: normal; }
.right { text-align: right; }
td.right, .time { white-space: nowrap; }
tr { break-inside: avoid; }
.signatures { break-inside: avoid; }
.signatures td { height: 2.6rem; }
@page { size: A4; margin: 14mm 13mm 16mm; @bottom-right { content: 'Page ' counter(page) ' of ' counter(pages); font: 8px sans-serif; } }
@media print { body { max-width: none; margin: 0; padding: 0; font-size: 10px; } .scroll { overflow: visible; } thead { display: table-header-group; } .foot { display: none; } }
";

/// The whole file.
pub(crate) fn write(document: &Document) -> String {
    let mut out = String::with_capacity(1 << 16);
    let title = escaped(&format!("{} · {}", document.title, document.subject));
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push_str(&format!("<meta name=\"generator\" content=\"{}\">\n", escaped(&document.foot)));
    out.push_str(&format!("<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"));
    out.push_str(&format!(
        "<h1>{}</h1>\n<p class=\"subject\">{}</p>\n",
        escaped(&document.title),
        escaped(&document.subject)
    ));
    for block in &document.blocks {
        add(document, block, &mut out);
    }
    out.push_str(&format!("<p class=\"foot\">{}</p>\n</body>\n</html>\n", escaped(&document.foot)));
    out
}

fn add(document: &Document, block: &Block, out: &mut String) {
    match block {
        Block::Heading(words) => out.push_str(&format!("<h2>{}</h2>\n", escaped(words))),
        Block::Note(words) => out.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(words))),
        Block::Warning(words) => out.push_str(&format!("<p class=\"warning\">{}</p>\n", escaped(words))),
        Block::Facts(facts) => add_facts(document, facts, out),
        Block::Figures(figures) => {
            out.push_str("<div class=\"figures\">\n");
            figures.iter().for_each(|figure| add_figure(figure, out));
            out.push_str("</div>\n");
        }
        Block::Table(table) if table.place.is_on_paper() => add_table(document, table, out),
        Block::Table(_) => {}
        Block::Signatures(signers) => {
            out.push_str("<table class=\"signatures\"><thead><tr><th></th><th>Name</th><th>Date</th><th>Signature</th></tr></thead><tbody>\n");
            for signer in *signers {
                out.push_str(&format!("<tr><th scope=\"row\">{signer}</th><td></td><td></td><td></td></tr>\n"));
            }
            out.push_str("</tbody></table>\n");
        }
    }
}

/// Longer than so many letters a fact has a line of its own.
const LONG: usize = 70;

fn add_facts(document: &Document, facts: &[Fact], out: &mut String) {
    out.push_str("<dl>\n");
    for fact in facts {
        let shown = fact.cell.shown(&document.clock);
        let class = if shown.chars().count() > LONG { " class=\"long\"" } else { "" };
        out.push_str(&format!(
            "<div{class}><dt>{}</dt><dd{}>{}</dd></div>\n",
            escaped(&fact.name),
            value(&fact.cell),
            escaped(&shown)
        ));
    }
    out.push_str("</dl>\n");
}

/// The figure itself beside how it is shown, for programs.
fn value(cell: &Cell) -> String {
    match cell {
        Cell::Number(value, _) | Cell::Phrase(value, _) if value.is_finite() => format!(" data-value=\"{value:?}\""),
        _ => String::new(),
    }
}

fn add_table(document: &Document, table: &Table, out: &mut String) {
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    for column in &table.columns {
        let class = if column.right { " class=\"right\"" } else { "" };
        out.push_str(&format!("<th scope=\"col\"{class}>{}</th>", escaped(&column.title)));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (cell, column) in row.iter().zip(&table.columns) {
            let class = match cell {
                Cell::Time(_) | Cell::Utc(_) => " class=\"time\"",
                Cell::Missing(_) | Cell::Text(_) => "",
                _ if column.right => " class=\"right\"",
                _ => "",
            };
            out.push_str(&format!("<td{class}{}>{}</td>", value(cell), escaped(&cell.shown(&document.clock))));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn add_figure(figure: &Figure, out: &mut String) {
    out.push_str("<figure>");
    if !figure.caption.is_empty() {
        out.push_str(&format!("<figcaption>{}</figcaption>", escaped(&figure.caption)));
    }
    out.push_str(&format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
        figure.width,
        figure.height,
        escaped(&figure.says)
    ));
    figure.shapes.iter().for_each(|shape| add_shape(shape, out));
    out.push_str("</svg></figure>\n");
}

fn add_shape(shape: &Shape, out: &mut String) {
    match shape {
        Shape::Path { steps, fill, stroke } => {
            let mut d = String::new();
            for step in steps {
                match step {
                    Step::Move(x, y) => d.push_str(&format!("M{} {}", short(*x), short(*y))),
                    Step::Line(x, y) => d.push_str(&format!("L{} {}", short(*x), short(*y))),
                    Step::Close => d.push('z'),
                }
            }
            let fill = fill.map_or_else(|| "none".to_owned(), colour);
            let stroke = stroke.map_or_else(String::new, |Stroke { ink, width, dash }| {
                let dashes: Vec<String> = dash.iter().map(|length| length.to_string()).collect();
                let dash =
                    if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", dashes.join(" ")) };
                format!(" stroke=\"{}\" stroke-width=\"{width}\"{dash}", colour(ink))
            });
            out.push_str(&format!("<path fill=\"{fill}\"{stroke} d=\"{d}\"/>\n"));
        }
        Shape::Text(Text { at, words, size, bold, ink, anchor }) => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let weight = if *bold { " font-weight=\"600\"" } else { "" };
            out.push_str(&format!(
                "<text x=\"{}\" y=\"{}\" font-size=\"{}\" fill=\"{}\"{anchor}{weight}>{}</text>\n",
                short(at.0),
                short(at.1),
                short(*size),
                colour(*ink),
                escaped(words)
            ));
        }
    }
}

fn short(length: f64) -> f64 {
    (length * 100.0).round() / 100.0
}

fn colour(ink: Ink) -> String {
    let [red, green, blue] = ink.rgb();
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A text of HTML, whatever is in it. What no reader can show is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::*;

    #[test]
    fn what_a_sender_wrote_stays_text() {
        let document = Document {
            title: "SPC report".to_owned(),
            subject: "<script>alert(1)</script>".to_owned(),
            foot: "takt \"x\" & y".to_owned(),
            clock: Clock::utc(),
            author: "a".to_owned(),
            made: 0,
            blocks: vec![Block::Facts(vec![Fact::new("<b>", Cell::from("'\"<>&\u{7}"))])],
        };
        let html = write(&document);
        assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains('\u{7}'), "{html}");
        assert!(html.contains("&#39;&quot;&lt;&gt;&amp;"), "{html}");
    }
}
