//! The golden charts: figures to a relative 1e-9, flags exact.
//!
//! `tests/golden/spc_charts.json` was computed independently of this crate; many cases reproduce published tables.

use std::sync::Arc;

use serde_json::Value;

use super::Chart;
use crate::spc::expected::{Fields, Tolerance};
use crate::spc::{ChartKind, Limits, Parameters, Point, RuleSet, Subgroup};

const TOLERANCE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-11 };
const SETS: [&str; 5] = ["nelson", "western_electric", "aiag", "montgomery", "juran"];

fn array(value: &Value) -> Vec<f64> {
    let values = value.as_array().expect("an array").iter().filter(|value| !value.is_null());
    values.map(|value| value.as_f64().expect("a number")).collect()
}

/// `n` of each of `count`: one for all, one for each, or none.
fn sizes(input: &Fields<'_>, count: usize) -> Vec<f64> {
    match input.get("n") {
        Some(Value::Array(sizes)) => {
            assert_eq!(sizes.len(), count, "{}: sizes", input.place());
            sizes.iter().map(|n| n.as_f64().unwrap_or(0.0)).collect()
        }
        Some(n) => vec![n.as_f64().expect("a size"); count],
        None => vec![1.0; count],
    }
}

fn subgroups(kind: ChartKind, input: &Fields<'_>) -> Vec<Subgroup> {
    if let Some(subgroups) = input.get("subgroups") {
        let subgroups = subgroups.as_array().expect("subgroups").iter();
        return subgroups.map(|values| Subgroup::of(&array(values)).expect("numbers")).collect();
    }
    let values = input.get("x").and_then(Value::as_array).expect("subgroups or x");
    let one = |(value, n): (&Value, f64)| match value.as_f64() {
        None => Subgroup::of(&[]),
        Some(count) if kind.is_attribute() => Subgroup::count(count, n),
        Some(mean) => Subgroup::mean(mean, n),
    };
    values.iter().zip(sizes(input, values.len())).map(|one_of| one(one_of).expect("numbers")).collect()
}

fn exclude(input: &Fields<'_>, subgroups: &mut [Subgroup]) {
    for name in ["excluded", "exclude", "exclusions"] {
        for place in input.get(name).map(array).unwrap_or_default() {
            subgroups[place as usize].excluded = true;
        }
    }
}

fn parameters(input: &Fields<'_>) -> Parameters {
    let usual = Parameters::default();
    let number = |name: &str, usual: f64| input.number(name).unwrap_or(usual);
    Parameters {
        width: number("L", usual.width),
        lambda: number("lambda", usual.lambda),
        k: number("k", usual.k),
        h: number("h", usual.h),
        headstart: number("headstart", usual.headstart),
        span: number("span", number("w", usual.span as f64)) as usize,
        target: input.number("mu0"),
        sigma: input.number("sigma"),
        ..usual
    }
}

/// Places of the flagged ones.
fn places(points: &[Point], flagged: impl Fn(&Point) -> bool) -> Vec<usize> {
    points.iter().enumerate().filter(|(_, point)| flagged(point)).map(|(place, _)| place).collect()
}

fn check_points(expected: &Fields<'_>, points: &[Point]) {
    expected.figures("values", points.iter().map(|point| point.plotted));
    expected.figures("CL", points.iter().map(|point| point.centre));
    expected.figures("UCL", points.iter().map(|point| point.ucl));
    expected.figures("LCL", points.iter().map(|point| point.lcl));
    expected.figures("sigma", points.iter().map(|point| point.sigma));
    expected.figures("z", points.iter().map(|point| point.z));
}

fn check_sums(expected: &Fields<'_>, chart: &Chart) {
    let runs = |points: &[Point]| points.iter().map(|point| point.run.map(f64::from)).collect::<Vec<_>>();
    let (upper, lower) = (&chart.points, &chart.companion);
    expected.figures("C_plus", upper.iter().map(|point| point.plotted));
    expected.figures("C_minus", lower.iter().map(|point| point.plotted));
    expected.figures("N_plus", runs(upper));
    expected.figures("N_minus", runs(lower));
    let limits = &chart.limits;
    expected.figure("K", Some(limits.parameters.k * limits.sigma));
    expected.figure("H", upper.first().and_then(|point| point.ucl));
    expected.indices("signal_up", places(upper, |point| point.flags.contains(0)));
    expected.indices("signal_down", places(lower, |point| point.flags.contains(0)));
}

fn check_estimate(expected: &Fields<'_>, limits: &Limits, subgroups: &[Subgroup]) {
    let n = subgroups.iter().find(|subgroup| !subgroup.excluded && subgroup.n > 0.0).map_or(0, |one| one.n as u32);
    for name in ["Rbar", "Sbar", "MRbar", "sbar_pooled"] {
        expected.figure(name, limits.mean_spread(n));
    }
    expected.figure("sigma_within", Some(limits.sigma));
    expected.figure("sigma_z", Some(limits.sigma));
}

/// EWMA with the limits of many points.
fn check_steady(expected: &Fields<'_>, limits: Limits, subgroups: &[Subgroup]) {
    let steady = Limits { parameters: Parameters { steady: true, ..limits.parameters }, ..limits };
    let chart = Chart::draw(steady, &Arc::new(RuleSet::nelson()), subgroups).expect("a chart");
    let last = chart.points.last();
    expected.figure("UCL_asymptotic", last.and_then(|point| point.ucl));
    expected.figure("LCL_asymptotic", last.and_then(|point| point.lcl));
    expected.indices("flagged_asymptotic", places(&chart.points, |point| !point.flags.is_empty()));
}

fn check_rules(expected: &Fields<'_>, limits: Limits, subgroups: &[Subgroup]) {
    for name in SETS {
        let Some(wanted) = expected.object(name) else { continue };
        let rules = Arc::new(RuleSet::parse(name).expect("a set"));
        let chart = Chart::draw(limits, &rules, subgroups).expect("a chart");
        for (place, rule) in rules.rules().iter().enumerate() {
            wanted.indices(rule.name, places(&chart.points, |point| point.flags.contains(place)));
        }
        wanted.all_seen(&[]);
    }
}

fn check_companion(expected: &Fields<'_>, chart: &Chart) {
    assert!(!expected.is_null("dispersion") || chart.companion.is_empty(), "{}", expected.place());
    let Some(dispersion) = expected.object("dispersion") else { return };
    dispersion.text("statistic", chart.limits.companion.expect("a companion chart").name());
    check_points(&dispersion, &chart.companion);
    dispersion.indices("beyond_limits", places(&chart.companion, |point| point.flags.contains(0)));
    dispersion.all_seen(&[]);
}

fn check_case(case: &Value) {
    let id = case["id"].as_str().expect("an id");
    let input = Fields::new(format!("{id} input"), &case["input"], TOLERANCE);
    let expected = Fields::new(id, &case["expected"], TOLERANCE);
    let kind = ChartKind::parse(case["chart"].as_str().expect("a chart")).expect("a known chart");
    let mut subgroups = subgroups(kind, &input);
    exclude(&input, &mut subgroups);
    let first = input.number("phase1_subgroups").or(input.number("phase1_points")).map(|first| first as usize);
    // Both names are the same thing.
    input.get("phase1_points");
    let parameters = parameters(&input);
    input.all_seen(&[]);

    let rules = Arc::new(RuleSet::nelson());
    let chart = Chart::estimate(kind, parameters, &rules, &subgroups, first).expect("a chart");
    expected.text("statistic", kind.statistic());
    check_points(&expected, &chart.points);
    check_estimate(&expected, &chart.limits, &subgroups);
    check_rules(&expected, chart.limits, &subgroups);
    check_companion(&expected, &chart);
    match kind {
        ChartKind::Cusum => check_sums(&expected, &chart),
        ChartKind::Ewma => check_steady(&expected, chart.limits, &subgroups),
        ChartKind::LaneyP | ChartKind::LaneyU => {
            let unadjusted = Limits { sigma: 1.0, ..chart.limits };
            let plain = Chart::draw(unadjusted, &rules, &subgroups).expect("a chart");
            expected.figures("z_unadjusted", plain.points.iter().map(|point| point.z));
        }
        _ => {}
    }
    if kind.is_judged_by_limits_only() {
        expected.indices("flagged", places(&chart.points, |point| !point.flags.is_empty()));
    }
    expected.all_seen(&["formula"]);
}

#[test]
fn golden_charts() {
    crate::golden::check("spc_charts.json", 26, check_case);
}
