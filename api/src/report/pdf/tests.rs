use super::super::clock::Clock;
use super::super::document::{Block, Cell, Column, Fact, Place, Table};
use super::super::figure::Figure;
use super::super::figure::rectangle;
use super::*;

fn document(blocks: Vec<Block>) -> Document {
    Document {
        title: "SPC report".to_owned(),
        subject: "bore".to_owned(),
        foot: "takt 0 · local".to_owned(),
        clock: Clock::utc(),
        author: "local".to_owned(),
        made: 1_795_586_400_000_000,
        blocks,
    }
}

fn table(rows: i64) -> Block {
    Block::Table(Table {
        place: Place::Sheet("Data"),
        columns: vec![Column::right("No."), Column::left("Time"), Column::left("Unit")],
        rows: (0..rows).map(|row| vec![Cell::Integer(row), Cell::Time(row * 1_000_000), Cell::None]).collect(),
    })
}

fn words(sheet: &[Shape]) -> Vec<&str> {
    let text = |shape: &'_ Shape| matches!(shape, Shape::Text(_));
    sheet
        .iter()
        .filter(|shape| text(shape))
        .map(|shape| match shape {
            Shape::Text(text) => text.words.as_str(),
            Shape::Path { .. } => "",
        })
        .collect()
}

#[test]
fn a_table_breaks_over_pages_under_its_head_and_loses_no_row() {
    let document = document(vec![Block::Heading("Data".to_owned()), table(500)]);
    let flowed = flow::flow(&document, &Faces::load().unwrap());
    assert!(flowed.sheets.len() > 5, "{} pages", flowed.sheets.len());
    let mut rows = 0;
    for (place, sheet) in flowed.sheets.iter().enumerate() {
        let words = words(sheet);
        assert_eq!(words.iter().filter(|word| **word == "Unit").count(), 1, "page {place}");
        assert!(words.contains(&format!("Page {} of {}", place + 1, flowed.sheets.len()).as_str()), "{words:?}");
        rows += words.iter().filter(|word| word.starts_with("1970-01-01")).count();
    }
    assert_eq!(rows, 500);
}

#[test]
fn nothing_lies_outside_the_page() {
    let long = "a measurement that somebody has excluded for many reasons ".repeat(400);
    let blocks = vec![
        Block::Facts(vec![Fact::new("Why", long.clone()), Fact::new("W", "X".repeat(900))]),
        Block::Note(long.clone()),
        Block::Table(Table {
            place: Place::Paper,
            columns: vec![Column::left("Why"), Column::left("Who")],
            rows: vec![vec![Cell::Text(long), Cell::Text("W".repeat(300))]],
        }),
        Block::Signatures(&["Prepared", "Approved"]),
    ];
    let faces = Faces::load().unwrap();
    for sheet in flow::flow(&document(blocks), &faces).sheets {
        for shape in sheet {
            let Shape::Text(text) = shape else { continue };
            let wide = faces.of(text.bold).width(&text.words, text.size);
            let right = if text.anchor == Anchor::End { text.at.0 } else { text.at.0 + wide };
            assert!(right < WIDE - 30.0 && text.at.1 < HIGH - 20.0 && text.at.1 > 20.0, "{text:?}");
        }
    }
}

#[test]
fn a_drawing_stays_whole_and_a_heading_is_not_alone() {
    let figure = || Figure {
        caption: "Chart".to_owned(),
        says: String::new(),
        width: 500.0,
        height: 400.0,
        shapes: vec![rectangle((0.0, 0.0), (500.0, 400.0), None, Some(Ink::Edge))],
    };
    let blocks =
        (0..3).flat_map(|_| [Block::Heading("Control chart".to_owned()), Block::Figures(vec![figure()])]).collect();
    let flowed = flow::flow(&document(blocks), &Faces::load().unwrap());
    assert_eq!(flowed.sheets.len(), 3);
    for sheet in &flowed.sheets {
        let lowest = sheet.iter().filter_map(|shape| match shape {
            Shape::Path { steps, .. } => steps
                .iter()
                .filter_map(|step| match step {
                    Step::Move(_, y) | Step::Line(_, y) => Some(*y),
                    Step::Close => None,
                })
                .reduce(f64::max),
            Shape::Text(_) => None,
        });
        assert!(lowest.reduce(f64::max).unwrap() < HIGH - 30.0);
    }
}

#[test]
fn a_file_is_small_and_the_same_each_time() {
    let document = document(vec![Block::Note("σ 中 ±".to_owned()), table(10)]);
    let file = write(&document).unwrap();
    assert!(file.starts_with(b"%PDF-"));
    assert!(file.len() < 60_000, "{} bytes: is the whole font in it?", file.len());
    assert_eq!(file, write(&document).unwrap());
}
