use std::sync::Arc;

use super::*;
use crate::seeded::Seeded;
use crate::spc::{Chart, ChartKind, Limits, Parameters, Subgroup};

/// What the rules say, window by window, without state. A window must have a value at every point.
fn naive(test: &Test, z: &[Option<f64>], last: usize) -> bool {
    let window = |points: u32| -> Option<Vec<f64>> {
        let first = (last + 1).checked_sub(points as usize)?;
        z[first..=last].iter().copied().collect()
    };
    let all = |points: u32, holds: &dyn Fn(f64) -> bool| window(points).is_some_and(|z| z.into_iter().all(holds));
    let steps = |points: u32| {
        window(points).map(|z| z.windows(2).map(|pair| (pair[1] - pair[0]).partial_cmp(&0.0)).collect::<Vec<_>>())
    };
    let (up, down) = (Some(std::cmp::Ordering::Greater), Some(std::cmp::Ordering::Less));
    match *test {
        Test::Beyond { sigmas } => all(1, &|z| z.abs() > sigmas),
        Test::Run { points } => all(points, &|z| z > 0.0) || all(points, &|z| z < 0.0),
        Test::Trend { points } => {
            steps(points).is_some_and(|steps| [up, down].iter().any(|way| steps.iter().all(|step| step == way)))
        }
        Test::Alternating { points } => steps(points).is_some_and(|steps| {
            let other = |pair: &[_]| (pair[0] == up && pair[1] == down) || (pair[0] == down && pair[1] == up);
            steps.windows(2).all(other)
        }),
        Test::Zone { hits, points, sigmas } => [1.0, -1.0].iter().any(|side| {
            let hit = |z: &f64| z * side > sigmas;
            let enough = |z: Vec<f64>| z.iter().filter(|z| hit(z)).count() >= hits as usize;
            window(points).is_some_and(enough) && z[last].as_ref().is_some_and(hit)
        }),
        Test::Inside { points, sigmas } => all(points, &|z| z.abs() < sigmas),
        Test::Outside { points, sigmas, both_sides } => {
            let both = |z: Vec<f64>| z.iter().any(|z| *z > 0.0) && z.iter().any(|z| *z < 0.0);
            all(points, &|z| z.abs() > sigmas) && (!both_sides || window(points).is_some_and(both))
        }
        Test::Limits => all(1, &|z| z.abs() > 3.0),
    }
}

/// Few different values, so that ties, borders and long runs are frequent; now and then none.
fn scores(random: &mut Seeded) -> Vec<Option<f64>> {
    let levels =
        random.pick(&[[0.0, 0.5, 1.5, 2.5], [-1.5, 1.5, 1.2, -1.2], [-3.5, 0.0, 1.0, 2.0], [0.2, 0.3, -0.3, 0.4]]);
    let gaps = random.pick(&[0, 0, 3]);
    (0..120).map(|_| (!random.chance(gaps)).then(|| random.pick(&levels))).collect()
}

fn chart(rules: &Arc<RuleSet>, z: &[Option<f64>]) -> Chart {
    let limits = Limits::known(ChartKind::IMr, 0.0, 1.0, Parameters::default()).expect("limits");
    let values = z.iter().map(|z| z.map(|z| vec![z]).unwrap_or_default());
    let subgroups: Vec<_> = values.map(|values| Subgroup::of(&values).expect("numbers")).collect();
    Chart::draw(limits, rules, &subgroups).expect("a chart")
}

#[test]
fn windows_in_one_pass_are_the_windows_looked_at_one_by_one() {
    let sets = ["nelson", "western_electric", "aiag,limits", "montgomery", "juran"];
    let others = ["N2(2),N3(3),N4(3),N5(2,2,1),N6(3,4,0.5),N7(3),N8(2),A8(3,1.2)", "N2(64),N5(30,64,0),N3(2),N8(64,0)"];
    let mut flagged = [0; 64];
    for (seed, set) in (0..400).flat_map(|seed| sets.iter().chain(&others).map(move |set| (seed, *set))) {
        let z = scores(&mut Seeded::new(seed));
        let rules = Arc::new(RuleSet::parse(set).expect("rules"));
        let chart = chart(&rules, &z);
        for (last, point) in chart.points.iter().enumerate() {
            for (place, rule) in rules.rules().iter().enumerate() {
                let wanted = naive(&rule.test, &z, last);
                assert_eq!(point.flags.contains(place), wanted, "seed {seed}, {rule} at {last} of {z:?}");
                flagged[place] += usize::from(wanted);
            }
        }
    }
    assert!(flagged[..8].iter().all(|&count| count > 100), "{flagged:?}");
}

#[test]
fn what_rounding_does_is_a_tie() {
    let rules = Arc::new(RuleSet::parse("N1,N2(2),N3(2),limits").expect("rules"));
    let z = [Some(3.0 + 1e-12), Some(1e-13), Some(2e-13)];
    assert!(chart(&rules, &z).points[..].iter().skip(2).all(|point| point.flags.is_empty()));
    assert!(chart(&rules, &z).points[0].flags.is_empty());
}

#[test]
fn a_point_without_z_ends_runs_in_sigmas_and_no_trend() {
    let parameters = Parameters::default();
    let known = Limits::known(ChartKind::XbarS, 0.0, 1.0, parameters).expect("limits");
    // One value has no z where sigma is pooled.
    let of = |values: &[f64]| Subgroup::of(values).expect("numbers");
    let subgroups = [of(&[1.0, 1.1]), of(&[1.2, 1.2]), of(&[1.3]), of(&[1.4, 1.4]), of(&[1.5, 1.5])];
    let rules = Arc::new(RuleSet::parse("N2(3),N3(5)").expect("rules"));
    let chart = Chart::draw(Limits { pooled: true, ..known }, &rules, &subgroups).expect("a chart");
    assert!(chart.points[2].z.is_none() && chart.points[2].plotted.is_some());
    assert!(chart.points.iter().all(|point| !point.flags.contains(0)));
    assert!(chart.points[4].flags.contains(1));
}

#[test]
fn rules_are_read_and_written() {
    let parse = |text: &str| RuleSet::parse(text).expect("rules");
    assert_eq!(parse("nelson"), RuleSet::nelson());
    assert_eq!(parse("none"), RuleSet::none());
    assert_eq!(parse(""), RuleSet::none());
    assert_eq!(parse("N2(points=7)"), parse(" N2 ( 7 ) ".replace("N2 (", "N2(").trim()));
    assert_eq!(parse("N5(points=4, hits=3)").to_string(), "N5(3,4,2)");
    assert_eq!(parse("western_electric,N8").to_string(), "W1(3),W2(2,3,2),W3(4,5,1),W4(8),N8(8,1)");
    for set in ["nelson", "western_electric", "aiag", "montgomery", "juran", "limits", "none"] {
        assert_eq!(parse(&parse(set).to_string()), parse(set), "{set}");
    }
}

#[test]
fn what_is_no_rule_is_said_with_what_would_be_one() {
    let error = |text: &str| RuleSet::parse(text).expect_err("no rules").to_string();
    assert!(error("nelsons").starts_with("unknown rule or set of rules \"nelsons\" (did you mean nelson?)"));
    assert!(error("N9").contains("N1, N2"));
    assert!(error("N2(x)").contains("\"x\" is not a number"));
    assert!(error("N2(7,8)").contains("parameter of N2"));
    assert!(error("N2(hits=7)").contains("known are points"));
    assert!(error("N2(2.5)").contains("whole number"));
    assert!(error("N2(65)").contains("at most 64"));
    assert!(error("N2(0)").contains("at least 2"));
    assert!(error("N5(4,3,2)").contains("hits of a rule is 4"));
    assert!(error("N1(NaN)").contains("sigmas of a rule is NaN"));
    assert!(error("aiag,nelson,montgomery,juran,western_electric").contains("at most 32"));
}

#[test]
fn rules_in_words() {
    let words = |text: &str| RuleSet::parse(text).expect("rules").rules()[0].sentence();
    assert_eq!(words("N1"), "a point more than 3 sigma from the centre line");
    assert_eq!(words("N2"), "9 points in a row on one side of the centre line");
    assert_eq!(words("N2(7)"), "7 points in a row on one side of the centre line");
    assert_eq!(words("N5"), "2 of 3 points in a row more than 2 sigma from the centre line on the same side");
    assert_eq!(words("N8"), "8 points in a row more than 1 sigma from the centre line, on both sides");
    assert_eq!(words("A8"), "8 points in a row more than 1 sigma from the centre line, on either side");
}
