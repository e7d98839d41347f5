//! The drawing of a control chart: points with centre line, limits and zones, and on the same axis its companion below.
//! Points stand side by side in the order of production; the axis says when they were.

use super::clock::Clock;
use super::document::placed;
use super::figure::{Anchor, Figure, Ink, Shape, Step, area, bold, corners, dashed, line, outline, rectangle, text};
use super::points::{Mark, Plotted, Point};
use super::scale::Scale;

const WIDTH: f64 = 523.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 78.0;
const TOP: f64 = 16.0;
const MAIN_HEIGHT: f64 = 190.0;
const BELOW_HEIGHT: f64 = 78.0;
const GAP: f64 = 10.0;
const TIMES_HEIGHT: f64 = 26.0;
const LETTERS: f64 = 6.6;
/// Of more points per point of width only the lowest and the highest are drawn.
const DENSE: f64 = 2.0;
/// Dots are drawn where points are at least so far apart.
const DOTTED: f64 = 2.5;
/// Labels beside the plot keep so far apart.
const LABEL_APART: f64 = 8.5;
/// Room above and below, of the height.
const SPACE: f64 = 0.07;

/// What a control chart shows beside its points.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(crate) caption: String,
    /// Names of what is plotted, above and below.
    pub(crate) titles: (&'a str, &'a str),
    pub(crate) places: usize,
    pub(crate) clock: &'a Clock,
}

/// One of the two plots.
struct Plot<'a> {
    points: &'a [Point],
    of: fn(&Point) -> Plotted,
    mark: fn(&Point) -> Option<Mark>,
    top: f64,
    high: f64,
    scale: Scale,
}

fn across(points: usize) -> f64 {
    (WIDTH - LEFT - RIGHT) / points.max(1) as f64
}

/// Where the middle of a point lies; halves are between points.
fn x(points: usize, place: f64) -> f64 {
    LEFT + (place + 0.5) * across(points)
}

/// Draws the chart of points in order.
pub(crate) fn draw(points: &[Point], look: &Look<'_>) -> Figure {
    let has_below = points.iter().any(|point| point.below != Plotted::default());
    let mut shapes = Vec::new();
    let main = Plot::new(points, |point| point.main, Point::mark, TOP, MAIN_HEIGHT);
    main.zones(&mut shapes);
    main.draw(look.titles.0, look.places, &mut shapes);
    let mut bottom = TOP + MAIN_HEIGHT;
    if has_below {
        let below = Plot::new(points, |point| point.below, Point::mark_below, bottom + GAP, BELOW_HEIGHT);
        below.draw(look.titles.1, look.places, &mut shapes);
        bottom += GAP + BELOW_HEIGHT;
    }
    boundaries(points, look.clock, bottom, &mut shapes);
    times(points, look.clock, bottom, &mut shapes);
    let flagged = points.iter().filter(|point| point.is_flagged()).count();
    Figure {
        caption: look.caption.clone(),
        says: format!("{}: {} points, {flagged} of them violate rules", look.caption, points.len()),
        width: WIDTH,
        height: bottom + TIMES_HEIGHT,
        shapes,
    }
}

impl<'a> Plot<'a> {
    fn new(
        points: &'a [Point],
        of: fn(&Point) -> Plotted,
        mark: fn(&Point) -> Option<Mark>,
        top: f64,
        high: f64,
    ) -> Self {
        let shown = points.iter().map(of);
        let all = shown.flat_map(|one| [one.value, one.lcl, one.ucl, one.centre]).flatten();
        let (low, most) =
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, most), one| (low.min(one), most.max(one)));
        let (low, most) = if low > most { (0.0, 1.0) } else { (low, most) };
        let room = (most - low) * SPACE;
        let scale = Scale::new(low - room, most + room, (top + high, top));
        Self { points, of, mark, top, high, scale }
    }

    fn x(&self, place: f64) -> f64 {
        x(self.points.len(), place)
    }

    /// Stretches of points in which something is the same, with their first and last place.
    fn stretches<T: PartialEq>(&self, what: impl Fn(&Point) -> Option<T>) -> Vec<(usize, usize, T)> {
        let mut found: Vec<(usize, usize, T)> = Vec::new();
        for (place, point) in self.points.iter().enumerate() {
            let Some(now) = what(point) else { continue };
            match found.last_mut() {
                Some((_, last, before)) if *last + 1 == place && *before == now => *last = place,
                _ => found.push((place, place, now)),
            }
        }
        found
    }

    /// Bands around the centre line, 1 and 2 sigma wide, never beyond the limits.
    fn zones(&self, shapes: &mut Vec<Shape>) {
        for (sigmas, ink) in [(2.0, Ink::Far), (1.0, Ink::Near)] {
            let band = |point: &Point| {
                let (shown, sigma) = ((self.of)(point), point.sigma.filter(|sigma| *sigma > 0.0)?);
                let centre = shown.centre?;
                let low = shown.lcl.map_or(centre - sigmas * sigma, |lcl| lcl.max(centre - sigmas * sigma));
                let high = shown.ucl.map_or(centre + sigmas * sigma, |ucl| ucl.min(centre + sigmas * sigma));
                Some((low, high))
            };
            let mut steps = Vec::new();
            for (first, last, (low, high)) in self.stretches(band) {
                let (left, right) = (self.x(first as f64 - 0.5), self.x(last as f64 + 0.5));
                let (top, bottom) = (self.scale.at(high), self.scale.at(low));
                steps.extend(corners(left, top, right - left, bottom - top));
            }
            if !steps.is_empty() {
                shapes.push(area(ink, steps));
            }
        }
    }

    fn draw(&self, title: &str, places: usize, shapes: &mut Vec<Shape>) {
        for (level, name) in self.scale.levels((self.high / 28.0) as usize) {
            let y = self.scale.at(level);
            if y > self.top + 3.0 && y < self.top + self.high - 3.0 {
                shapes.push(text((LEFT - 4.0, y + 2.3), name, LETTERS, Ink::Quiet, Anchor::End));
                shapes.push(line(Ink::Edge, 0.4, [(LEFT - 2.5, y), (LEFT, y)]));
            }
        }
        shapes.push(bold((2.0, self.top + self.high / 2.0 + 2.5), title, LETTERS + 0.8, Ink::Text, Anchor::Start));
        // Dense values would cover the lines.
        let is_dense = across(self.points.len()) < 1.0;
        if is_dense {
            self.values(shapes);
        }
        self.levels(|shown| shown.centre, Ink::Centre, &[], shapes);
        self.levels(|shown| shown.lcl, Ink::Limit, &[4.0, 2.2], shapes);
        self.levels(|shown| shown.ucl, Ink::Limit, &[4.0, 2.2], shapes);
        if !is_dense {
            self.values(shapes);
        }
        self.marks(shapes);
        shapes.push(rectangle((LEFT, self.top), (WIDTH - LEFT - RIGHT, self.high), None, Some(Ink::Edge)));
        self.labels(places, shapes);
    }

    /// A line that steps where limits do, and breaks where there are none.
    fn levels(&self, of: impl Fn(&Plotted) -> Option<f64>, ink: Ink, dash: &'static [f64], shapes: &mut Vec<Shape>) {
        for (first, last, value) in self.stretches(|point| of(&(self.of)(point))) {
            let y = self.scale.at(value);
            shapes.push(dashed(ink, 0.9, dash, [(self.x(first as f64 - 0.5), y), (self.x(last as f64 + 0.5), y)]));
        }
    }

    /// The line from value to value. Where points are dense it goes through the lowest and the highest of each column.
    fn values(&self, shapes: &mut Vec<Shape>) {
        let mut steps = Vec::new();
        let mut pen_is_up = true;
        for place in self.drawn() {
            let Some(value) = self.points.get(place).and_then(|point| (self.of)(point).value) else {
                pen_is_up = true;
                continue;
            };
            let (x, y) = (self.x(place as f64), self.scale.at(value));
            steps.push(if pen_is_up { Step::Move(x, y) } else { Step::Line(x, y) });
            pen_is_up = false;
        }
        shapes.push(outline(Ink::Dot, 0.7, steps));
    }

    /// Places that the line goes through.
    fn drawn(&self) -> Vec<usize> {
        let count = self.points.len();
        let columns = WIDTH - LEFT - RIGHT;
        if (count as f64) <= columns * DENSE {
            return (0..count).collect();
        }
        let columns = columns as usize;
        let mut places = Vec::with_capacity(4 * columns);
        for column in 0..columns {
            let (begin, end) = (count * column / columns, count * (column + 1) / columns);
            let value = |place: &usize| self.points.get(*place).and_then(|point| (self.of)(point).value);
            let known = || (begin..end).filter(|place| value(place).is_some());
            let order =
                |one: &usize, other: &usize| value(one).partial_cmp(&value(other)).unwrap_or(std::cmp::Ordering::Equal);
            let mut of_column: Vec<usize> =
                known().next().into_iter().chain(known().min_by(order)).chain(known().max_by(order)).collect();
            of_column.extend(known().next_back());
            of_column.sort_unstable();
            of_column.dedup();
            places.extend(of_column);
        }
        places
    }

    fn marks(&self, shapes: &mut Vec<Shape>) {
        let apart = across(self.points.len());
        let big = if apart < 1.0 { 1.7 } else { (apart * 0.6).clamp(2.2, 3.4) };
        let (mut dots, mut beyond, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        let mut excluded = Vec::new();
        for (place, point) in self.points.iter().enumerate() {
            let Some(value) = (self.of)(point).value else { continue };
            let at = (self.x(place as f64), self.scale.at(value));
            match (self.mark)(point) {
                Some(Mark::Limit) => beyond.extend(diamond(at, big)),
                Some(Mark::Pattern) => patterns.extend(triangle(at, big)),
                None if point.excluded => {}
                None if apart >= DOTTED => dots.extend(octagon(at, (apart * 0.28).clamp(0.9, 1.5))),
                None => {}
            }
            if point.excluded {
                excluded.extend(octagon(at, big + 0.8));
            }
        }
        let filled = [(Ink::Dot, dots), (Ink::Flag, patterns), (Ink::Flag, beyond)];
        shapes.extend(filled.into_iter().filter(|(_, steps)| !steps.is_empty()).map(|(ink, steps)| area(ink, steps)));
        if !excluded.is_empty() {
            shapes.push(outline(Ink::Dot, 0.9, excluded));
        }
    }

    /// What the lines are called at the right end, where they are what holds last.
    fn labels(&self, places: usize, shapes: &mut Vec<Shape>) {
        let Some(last) = self.points.last() else { return };
        let shown = (self.of)(last);
        let mut labels: Vec<(f64, String, Ink)> =
            [("UCL", shown.ucl, Ink::Limit), ("CL", shown.centre, Ink::Centre), ("LCL", shown.lcl, Ink::Limit)]
                .into_iter()
                .filter_map(|(name, value, ink)| {
                    let value = value?;
                    Some((self.scale.at(value), format!("{name} {}", placed(value, places)), ink))
                })
                .collect();
        settle(&mut labels, self.top + self.high);
        for (y, words, ink) in labels {
            shapes.push(bold((WIDTH - RIGHT + 4.0, y + 2.3), words, LETTERS, ink, Anchor::Start));
        }
    }
}

/// Puts labels under each other where they would cover one another.
fn settle(labels: &mut [(f64, String, Ink)], floor: f64) {
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut least = f64::NEG_INFINITY;
    for label in labels.iter_mut() {
        label.0 = label.0.max(least);
        least = label.0 + LABEL_APART;
    }
    let mut most = floor;
    for label in labels.iter_mut().rev() {
        label.0 = label.0.min(most);
        most = label.0 - LABEL_APART;
    }
}

/// Where phase I ends and where other limits begin to judge.
fn boundaries(points: &[Point], clock: &Clock, bottom: f64, shapes: &mut Vec<Shape>) {
    let name = |point: &Point| match super::points::frozen_from(&point.limits) {
        Some(from) => format!("frozen {}", clock.short(from)),
        None if point.limits == "none" => "no limits".to_owned(),
        None => format!("phase {}", point.phase.as_deref().unwrap_or_default()),
    };
    let mut free = 0.0;
    for (place, point) in points.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| points.get(before));
        let is_new = before.is_none_or(|before| before.limits != point.limits || before.phase != point.phase);
        if !is_new {
            continue;
        }
        let left = x(points.len(), place as f64 - 0.5);
        if place > 0 {
            shapes.push(dashed(Ink::Boundary, 0.7, &[6.0, 2.0, 1.0, 2.0], [(left, TOP - 10.0), (left, bottom)]));
        }
        let words = name(point);
        if left >= free && left < WIDTH - RIGHT {
            // A letter is about half as wide as it is high.
            free = left + words.len() as f64 * LETTERS * 0.56 + 6.0;
            shapes.push(text((left + 2.0, TOP - 4.0), words, LETTERS, Ink::Boundary, Anchor::Start));
        }
    }
}

fn times(points: &[Point], clock: &Clock, bottom: f64, shapes: &mut Vec<Shape>) {
    let most = 7;
    let step = points.len().div_ceil(most).max(1);
    let mut day = String::new();
    for (place, point) in points.iter().enumerate().step_by(step) {
        let at = x(points.len(), place as f64);
        shapes.push(line(Ink::Edge, 0.4, [(at, bottom), (at, bottom + 2.5)]));
        let number = format!("{} · {}", point.number, clock.written(point.time, "%H:%M"));
        shapes.push(text((at, bottom + 9.5), number, LETTERS, Ink::Quiet, Anchor::Middle));
        let today = clock.written(point.time, "%Y-%m-%d");
        if today != day {
            shapes.push(text((at, bottom + 18.0), today.clone(), LETTERS, Ink::Quiet, Anchor::Middle));
            day = today;
        }
    }
}

fn diamond((x, y): (f64, f64), r: f64) -> [Step; 5] {
    [Step::Move(x, y - r), Step::Line(x + r, y), Step::Line(x, y + r), Step::Line(x - r, y), Step::Close]
}

fn triangle((x, y): (f64, f64), r: f64) -> [Step; 4] {
    [Step::Move(x, y - r), Step::Line(x + r, y + r * 0.8), Step::Line(x - r, y + r * 0.8), Step::Close]
}

/// A dot, near enough to round on paper.
fn octagon((x, y): (f64, f64), r: f64) -> [Step; 9] {
    let s = r * std::f64::consts::FRAC_1_SQRT_2;
    [
        Step::Move(x, y - r),
        Step::Line(x + s, y - s),
        Step::Line(x + r, y),
        Step::Line(x + s, y + s),
        Step::Line(x, y + r),
        Step::Line(x - s, y + s),
        Step::Line(x - r, y),
        Step::Line(x - s, y - s),
        Step::Close,
    ]
}

/// What the marks of a chart mean.
pub(crate) fn legend() -> Figure {
    let mut shapes = Vec::new();
    let y = 6.0;
    let mut left = LEFT;
    let mut entry = |shape: Shape, words: &str, wide: f64| {
        shapes.push(shape);
        shapes.push(text((left + 8.0, y + 2.3), words, LETTERS, Ink::Text, Anchor::Start));
        left += wide;
        left
    };
    let mut at = LEFT + 2.0;
    at = entry(area(Ink::Flag, diamond((at, y), 3.0).to_vec()), "beyond a limit", 72.0) + 2.0;
    at = entry(area(Ink::Flag, triangle((at, y), 3.0).to_vec()), "end of a pattern", 78.0) + 2.0;
    at = entry(outline(Ink::Dot, 0.9, octagon((at, y), 3.0).to_vec()), "excluded from limits", 92.0);
    at = entry(rectangle((at - 2.0, y - 3.0), (8.0, 6.0), Some(Ink::Near), Some(Ink::Edge)), "within 1 sigma", 72.0);
    entry(rectangle((at - 2.0, y - 3.0), (8.0, 6.0), Some(Ink::Far), Some(Ink::Edge)), "within 2 sigma", 72.0);
    Figure {
        caption: String::new(),
        says: "marks: beyond a limit, end of a pattern, excluded from limits; bands of 1 and 2 sigma".to_owned(),
        width: WIDTH,
        height: 12.0,
        shapes,
    }
}

#[cfg(test)]
mod tests;
