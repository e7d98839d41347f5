//! Drawings made of lines, areas and texts. Lengths are points (1/72 inch), y grows downwards.

/// A drawing.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) caption: String,
    /// What it shows, for those who cannot see it.
    pub(crate) says: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) shapes: Vec<Shape>,
}

/// A part of a drawing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Path { steps: Vec<Step>, fill: Option<Ink>, stroke: Option<Stroke> },
    Text(Text),
}

/// How a path goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    Move(f64, f64),
    Line(f64, f64),
    Close,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    /// Where it is anchored, on its base line.
    pub(crate) at: (f64, f64),
    pub(crate) words: String,
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) ink: Ink,
    pub(crate) anchor: Anchor,
}

/// Which end of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) ink: Ink,
    pub(crate) width: f64,
    pub(crate) dash: &'static [f64],
}

/// Colours, of paper: each is told from the others by shape too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Text,
    Quiet,
    Edge,
    Head,
    Centre,
    Limit,
    Spec,
    Near,
    Far,
    Flag,
    Dot,
    Bar,
    Boundary,
    Warning,
}

impl Ink {
    /// Red, green, blue.
    pub(crate) fn rgb(self) -> [u8; 3] {
        match self {
            Self::Text => [0, 0, 0],
            Self::Quiet => [0x4a, 0x52, 0x5a],
            Self::Edge => [0xb8, 0xc0, 0xc8],
            Self::Head => [0xee, 0xf1, 0xf4],
            Self::Centre => [0x0b, 0x61, 0x30],
            Self::Limit => [0xa0, 0x13, 0x18],
            Self::Spec => [0x5b, 0x36, 0x90],
            Self::Near => [0xd8, 0xe6, 0xf5],
            Self::Far => [0xeb, 0xf2, 0xfa],
            Self::Flag => [0xc3, 0x16, 0x1c],
            Self::Dot => [0x1d, 0x4f, 0x8f],
            Self::Bar => [0x7d, 0xa3, 0xcf],
            Self::Boundary => [0x17, 0x4f, 0x94],
            Self::Warning => [0x8a, 0x4b, 0x00],
        }
    }
}

/// A line through points.
pub(crate) fn line(ink: Ink, width: f64, points: impl IntoIterator<Item = (f64, f64)>) -> Shape {
    dashed(ink, width, &[], points)
}

/// A broken line through points.
pub(crate) fn dashed(
    ink: Ink,
    width: f64,
    dash: &'static [f64],
    points: impl IntoIterator<Item = (f64, f64)>,
) -> Shape {
    let steps = points
        .into_iter()
        .enumerate()
        .map(|(place, (x, y))| if place == 0 { Step::Move(x, y) } else { Step::Line(x, y) })
        .collect();
    Shape::Path { steps, fill: None, stroke: Some(Stroke { ink, width, dash }) }
}

/// A line along any way.
pub(crate) fn outline(ink: Ink, width: f64, steps: Vec<Step>) -> Shape {
    Shape::Path { steps, fill: None, stroke: Some(Stroke { ink, width, dash: &[] }) }
}

/// An area without an edge.
pub(crate) fn area(ink: Ink, steps: Vec<Step>) -> Shape {
    Shape::Path { steps, fill: Some(ink), stroke: None }
}

/// A rectangle, with an edge or filled or both.
pub(crate) fn rectangle(at: (f64, f64), size: (f64, f64), fill: Option<Ink>, edge: Option<Ink>) -> Shape {
    let ((x, y), (wide, high)) = (at, size);
    let stroke = edge.map(|ink| Stroke { ink, width: 0.6, dash: &[] });
    Shape::Path { steps: corners(x, y, wide, high), fill, stroke }
}

/// The way around a rectangle.
pub(crate) fn corners(x: f64, y: f64, wide: f64, high: f64) -> Vec<Step> {
    vec![
        Step::Move(x, y),
        Step::Line(x + wide, y),
        Step::Line(x + wide, y + high),
        Step::Line(x, y + high),
        Step::Close,
    ]
}

/// A text.
pub(crate) fn text(at: (f64, f64), words: impl Into<String>, size: f64, ink: Ink, anchor: Anchor) -> Shape {
    Shape::Text(Text { at, words: words.into(), size, bold: false, ink, anchor })
}

/// A bold text.
pub(crate) fn bold(at: (f64, f64), words: impl Into<String>, size: f64, ink: Ink, anchor: Anchor) -> Shape {
    Shape::Text(Text { at, words: words.into(), size, bold: true, ink, anchor })
}

impl Shape {
    /// The same elsewhere.
    pub(crate) fn moved(self, by: (f64, f64)) -> Self {
        let (dx, dy) = by;
        match self {
            Self::Path { mut steps, fill, stroke } => {
                for step in &mut steps {
                    match step {
                        Step::Move(x, y) | Step::Line(x, y) => (*x, *y) = (*x + dx, *y + dy),
                        Step::Close => {}
                    }
                }
                Self::Path { steps, fill, stroke }
            }
            Self::Text(text) => Self::Text(Text { at: (text.at.0 + dx, text.at.1 + dy), ..text }),
        }
    }
}
