//! Writes a report as PDF on A4. Text is laid out by [`flow`], and drawn as it is; fonts are embedded, as much of them as
//! is used.

mod columns;
mod face;
mod flow;

use krilla::Document as Pdf;
use krilla::color::rgb;
use krilla::destination::XyzDestination;
use krilla::geom::{Path, PathBuilder, Point};
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, LineCap, Stroke as Pen, StrokeDash};
use krilla::surface::Surface;

use super::document::Document;
use super::figure::{Anchor, Ink, Shape, Step, Stroke, Text};
use face::Faces;
use flow::{HIGH, WIDE};

/// The file, or why it cannot be written.
pub(crate) fn write(document: &Document) -> Result<Vec<u8>, String> {
    let faces = Faces::load()?;
    let flowed = flow::flow(document, &faces);
    let mut pdf = Pdf::new();
    pdf.set_metadata(metadata(document));
    for sheet in &flowed.sheets {
        let settings = PageSettings::from_wh(WIDE as f32, HIGH as f32).ok_or("A4 is no size of a page")?;
        let mut page = pdf.start_page_with(settings);
        let mut surface = page.surface();
        for shape in sheet {
            draw(&mut surface, &faces, shape);
        }
        surface.finish();
        page.finish();
    }
    let mut outline = Outline::new();
    for (words, sheet, y) in flowed.headings {
        outline.push_child(OutlineNode::new(words, XyzDestination::new(sheet, Point::from_xy(0.0, y as f32))));
    }
    pdf.set_outline(outline);
    pdf.finish().map_err(|error| format!("{error:?}"))
}

fn metadata(document: &Document) -> Metadata {
    let metadata = Metadata::new()
        .title(format!("{}: {}", document.title, document.subject))
        .authors(vec![document.author.clone()])
        .creator(document.foot.clone())
        .language("en".to_owned());
    let Ok(made) = jiff::Timestamp::from_microsecond(document.made) else { return metadata };
    let made = made.to_zoned(jiff::tz::TimeZone::UTC);
    let part = |value: i8| u8::try_from(value).unwrap_or_default();
    metadata.creation_date(
        DateTime::new(u16::try_from(made.year()).unwrap_or_default())
            .month(part(made.month()))
            .day(part(made.day()))
            .hour(part(made.hour()))
            .minute(part(made.minute()))
            .second(part(made.second()))
            .utc_offset_hour(0)
            .utc_offset_minute(0),
    )
}

fn colour(ink: Ink) -> rgb::Color {
    let [red, green, blue] = ink.rgb();
    rgb::Color::new(red, green, blue)
}

fn draw(surface: &mut Surface<'_>, faces: &Faces, shape: &Shape) {
    match shape {
        Shape::Path { steps, fill, stroke } => {
            let Some(path) = path(steps) else { return };
            surface.set_fill(fill.map(|ink| Fill { paint: colour(ink).into(), ..Fill::default() }));
            surface.set_stroke(stroke.map(pen));
            if fill.is_some() || stroke.is_some() {
                surface.draw_path(&path);
            }
        }
        Shape::Text(text) => write_text(surface, faces, text),
    }
}

fn path(steps: &[Step]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for step in steps {
        match *step {
            Step::Move(x, y) => builder.move_to(x as f32, y as f32),
            Step::Line(x, y) => builder.line_to(x as f32, y as f32),
            Step::Close => builder.close(),
        }
    }
    builder.finish()
}

fn pen(stroke: Stroke) -> Pen {
    let array: Vec<f32> = stroke.dash.iter().map(|length| *length as f32).collect();
    Pen {
        paint: colour(stroke.ink).into(),
        width: stroke.width as f32,
        line_cap: LineCap::Butt,
        dash: (!array.is_empty()).then_some(StrokeDash { array, offset: 0.0 }),
        ..Pen::default()
    }
}

fn write_text(surface: &mut Surface<'_>, faces: &Faces, text: &Text) {
    let Text { at, words, size, bold, ink, anchor } = text;
    if words.trim().is_empty() {
        return;
    }
    let face = faces.of(*bold);
    let wide = face.width(words, *size);
    let left = match anchor {
        Anchor::Start => at.0,
        Anchor::Middle => at.0 - wide / 2.0,
        Anchor::End => at.0 - wide,
    };
    surface.set_fill(Some(Fill { paint: colour(*ink).into(), ..Fill::default() }));
    surface.set_stroke(None);
    let start = Point::from_xy(left as f32, at.1 as f32);
    surface.draw_glyphs(start, &face.glyphs(words), face.font(), words, *size as f32, false);
}

#[cfg(test)]
mod tests;
