//! Drawings of how values spread: a histogram with the specification and the curve of the fitted distribution, and a
//! probability plot.

use oee::spc::distribution::{normal_cdf, normal_quantile};
use oee::spc::nonnormal::{Family, Shape as Distribution};

use super::capability::Capability;
use super::document::{exact, grouped, reading};
use super::figure::{Anchor, Figure, Ink, Shape, area, bold, corners, dashed, line, rectangle, text};
use super::scale::Scale;
use super::spread::Spread;

const WIDTH: f64 = 255.0;
const HEIGHT: f64 = 176.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = 6.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 16.0;
const LETTERS: f64 = 6.6;
/// Points of the curve.
const SMOOTH: u32 = 120;
/// Shares that a probability plot names.
const SHARES: [f64; 13] = [0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];
const SPEC_DASH: &[f64] = &[1.6, 2.2];

/// The specification.
#[derive(Debug, Clone, Copy, Default)]
struct Spec {
    lower: Option<f64>,
    upper: Option<f64>,
    target: Option<f64>,
}

impl Spec {
    fn of(capability: Option<&Capability>) -> Self {
        capability.map_or_else(Self::default, |found| Self {
            lower: found.lower,
            upper: found.upper,
            target: found.target,
        })
    }

    fn known(self) -> impl Iterator<Item = f64> {
        [self.lower, self.upper, self.target].into_iter().flatten()
    }

    /// What of it lies between two values.
    fn within(self, scale: &Scale) -> Self {
        let inside = |value: &f64| (scale.low()..=scale.high()).contains(value);
        Self { lower: self.lower.filter(inside), upper: self.upper.filter(inside), target: self.target.filter(inside) }
    }

    /// Its lines and what they are called, above the plot.
    fn draw(self, across: &Scale, shapes: &mut Vec<Shape>) {
        let bottom = HEIGHT - BOTTOM;
        let mut free = f64::NEG_INFINITY;
        let mut named =
            [("LSL", self.lower, Ink::Spec), ("target", self.target, Ink::Centre), ("USL", self.upper, Ink::Spec)];
        named.sort_by(|one, other| one.1.unwrap_or(0.0).total_cmp(&other.1.unwrap_or(0.0)));
        // Names of limits before that of the target: it is the one that may be left out.
        let room = |value: f64, words: &str| {
            let half = words.len() as f64 * LETTERS * 0.27;
            let middle = across.at(value).clamp(LEFT + half, WIDTH - RIGHT - half);
            (middle - half, middle, middle + half)
        };
        let upper = self.upper.map(|value| room(value, &format!("USL {}", exact(value))).0);
        for (name, value, ink) in named {
            let Some(value) = value else { continue };
            let at = across.at(value);
            let dash = if ink == Ink::Spec { SPEC_DASH } else { &[] };
            shapes.push(dashed(ink, 1.0, dash, [(at, TOP), (at, bottom)]));
            let words = format!("{name} {}", exact(value));
            let (start, middle, end) = room(value, &words);
            let in_the_way = name == "target" && upper.is_some_and(|upper| end + 3.0 > upper);
            if start < free || in_the_way {
                continue;
            }
            free = end + 3.0;
            shapes.push(bold((middle, TOP - 4.0), words, LETTERS, ink, Anchor::Middle));
        }
    }
}

fn across(low: f64, high: f64) -> Scale {
    let room = (high - low) * 0.03;
    Scale::new(low - room, high + room, (LEFT, WIDTH - RIGHT))
}

/// Frame and the scale below.
fn frame(across: &Scale, shapes: &mut Vec<Shape>) {
    let bottom = HEIGHT - BOTTOM;
    for (level, name) in across.levels(6) {
        let at = across.at(level);
        if at > LEFT + 8.0 && at < WIDTH - RIGHT - 8.0 {
            shapes.push(line(Ink::Edge, 0.4, [(at, bottom), (at, bottom + 2.5)]));
            shapes.push(text((at, bottom + 9.5), name, LETTERS, Ink::Quiet, Anchor::Middle));
        }
    }
    shapes.push(rectangle((LEFT, TOP), (WIDTH - LEFT - RIGHT, bottom - TOP), None, Some(Ink::Edge)));
}

/// The distribution that is drawn: the one of capability, else the normal one of mean and sigma of all values.
pub(crate) fn drawn(spread: &Spread, capability: Option<&Capability>) -> Distribution {
    let normal = Distribution::Normal { mean: spread.mean, sigma: spread.sigma };
    capability.and_then(|found| found.fitted).unwrap_or(normal)
}

/// The share of values that lie below one of a rank: Hazen's plotting position, as on the page.
pub(crate) fn plotted_at(rank: i64, n: i64) -> f64 {
    (rank as f64 - 0.5) / n as f64
}

/// What people call a family of distributions.
pub(crate) fn called(family: Family) -> &'static str {
    match family {
        Family::Normal => "normal",
        Family::Lognormal => "lognormal",
        Family::Weibull => "Weibull",
        Family::Gamma => "gamma",
        Family::Exponential => "exponential",
        Family::BoxCox => "Box-Cox",
        Family::Johnson => "Johnson",
    }
}

/// The histogram with the curve of the distribution.
pub(crate) fn histogram(spread: &Spread, capability: Option<&Capability>) -> Figure {
    let spec = Spec::of(capability);
    let (bins, n) = (&spread.bins, spread.n as f64);
    let stop = bins.start + bins.width * bins.bins as f64;
    let low = spec.known().fold(bins.start, f64::min);
    let across = across(low, spec.known().fold(stop, f64::max));
    let distribution = drawn(spread, capability);
    let density = |value: f64| n * bins.width * distribution.density(value);
    let fullest = spread.counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let on_curve = || {
        let place = |place: u32| across.low() + (across.high() - across.low()) * f64::from(place) / f64::from(SMOOTH);
        (0..=SMOOTH).map(place).map(|value| (value, density(value))).filter(|(_, height)| height.is_finite())
    };
    // A curve without bound at its end would leave no room for the bars.
    let top = on_curve().map(|(_, height)| height).fold(0.0, f64::max).min(2.0 * fullest as f64);
    let highest = top.max(fullest as f64) * 1.06;
    let up = Scale::new(0.0, highest, (HEIGHT - BOTTOM, TOP));
    let mut shapes = Vec::new();
    let mut bars = Vec::new();
    for (bin, count) in &spread.counts {
        let left = across.at(bins.start + *bin as f64 * bins.width);
        let right = across.at(bins.start + (*bin + 1) as f64 * bins.width);
        let top = up.at(*count as f64);
        bars.extend(corners(left, top, (right - left - 0.3).max(0.4), HEIGHT - BOTTOM - top));
    }
    shapes.push(area(Ink::Bar, bars));
    let curve = on_curve().map(|(value, height)| (across.at(value), up.at(height.min(highest))));
    shapes.push(line(Ink::Text, 1.0, curve));
    for (level, name) in up.levels(5) {
        if level.fract() == 0.0 && level < highest * 0.97 {
            shapes.push(text((LEFT - 4.0, up.at(level) + 2.3), name, LETTERS, Ink::Quiet, Anchor::End));
        }
    }
    frame(&across, &mut shapes);
    spec.draw(&across, &mut shapes);
    Figure {
        caption: "Histogram".to_owned(),
        says: format!(
            "Histogram of {} values in {} bins of {}; the fullest holds {}; curve: {distribution}",
            grouped(spread.n),
            bins.bins,
            reading(bins.width, 5),
            grouped(fullest)
        ),
        width: WIDTH,
        height: HEIGHT,
        shapes,
    }
}

/// Values against the quantile of the normal distribution where their rank lies: near the line of the fitted distribution,
/// which is straight where that is normal.
pub(crate) fn probability_plot(spread: &Spread, capability: Option<&Capability>) -> Figure {
    let position = |rank: i64| normal_quantile(plotted_at(rank, spread.n));
    let ends = [spread.ranked.first(), spread.ranked.last()].map(|one| one.copied().unwrap_or((0.0, 1)));
    let [(least, first), (most, last)] = ends;
    let edge = position(first).abs().max(position(last).abs()).max(2.5) * 1.05;
    let across = across(least, most);
    let up = Scale::new(-edge, edge, (HEIGHT - BOTTOM, TOP));
    let mut shapes = Vec::new();
    for share in SHARES {
        let quantile = normal_quantile(share);
        // Near the middle of a long scale 5 % and 10 % would cover each other.
        let is_close = share == 0.05 || share == 0.95;
        if quantile.abs() < edge * 0.98 && (!is_close || edge < 3.2) {
            let y = up.at(quantile);
            shapes.push(line(Ink::Edge, 0.4, [(LEFT, y), (WIDTH - RIGHT, y)]));
            let name = format!("{} %", reading(share * 100.0, 5));
            shapes.push(text((LEFT - 3.0, y + 2.3), name, LETTERS, Ink::Quiet, Anchor::End));
        }
    }
    // The line, as far as it lies in the plot.
    let distribution = drawn(spread, capability);
    let within = |value: &f64| (across.low()..=across.high()).contains(value);
    let on_line = (0..=SMOOTH).filter_map(|place| {
        let quantile = edge * (2.0 * f64::from(place) / f64::from(SMOOTH) - 1.0);
        let value = distribution.quantile(normal_cdf(quantile));
        Some((across.at(Some(value).filter(within)?), up.at(quantile)))
    });
    shapes.push(line(Ink::Text, 1.0, on_line));
    let mut dots = Vec::new();
    for (value, rank) in &spread.ranked {
        let (x, y) = (across.at(*value), up.at(position(*rank)));
        dots.extend(corners(x - 0.8, y - 0.8, 1.6, 1.6));
    }
    shapes.push(area(Ink::Dot, dots));
    frame(&across, &mut shapes);
    let spec = Spec { target: None, ..Spec::of(capability) };
    spec.within(&across).draw(&across, &mut shapes);
    Figure {
        caption: match distribution.family() {
            Family::Normal => "Normal probability plot".to_owned(),
            other => format!("Probability plot with the {} distribution", called(other)),
        },
        says: format!(
            "Normal probability plot of {} values from {} to {}; line: {distribution}",
            grouped(spread.n),
            reading(least, 5),
            reading(most, 5),
        ),
        width: WIDTH,
        height: HEIGHT,
        shapes,
    }
}
