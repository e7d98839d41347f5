use super::*;
use crate::seeded::Seeded;
use crate::spc::{Companion, Reason, constant};

fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::nelson())
}

fn of(values: &[&[f64]]) -> Vec<Subgroup> {
    values.iter().map(|values| Subgroup::of(values).expect("numbers")).collect()
}

fn single(values: &[f64]) -> Vec<Subgroup> {
    values.iter().map(|&value| Subgroup::of(&[value]).expect("a number")).collect()
}

fn counts(counts: &[(f64, f64)]) -> Vec<Subgroup> {
    counts.iter().map(|&(count, n)| Subgroup::count(count, n).expect("a count")).collect()
}

fn chart(kind: ChartKind, subgroups: &[Subgroup]) -> Chart {
    Chart::estimate(kind, Parameters::default(), &rules(), subgroups, None).expect("a chart")
}

fn error(kind: ChartKind, subgroups: &[Subgroup]) -> String {
    Chart::estimate(kind, Parameters::default(), &rules(), subgroups, None).expect_err("no chart").to_string()
}

#[track_caller]
fn near(got: Option<f64>, wanted: f64) {
    assert!(got.is_some_and(|got| (got - wanted).abs() <= 1e-12 * wanted.abs().max(1.0)), "{got:?} for {wanted}");
}

/// Rounded as gauges round, so that ties are frequent.
fn measured(random: &mut Seeded, sizes: &[i64]) -> Vec<Vec<f64>> {
    let one = |random: &mut Seeded| (0..4).map(|_| random.within(-300, 301) as f64).sum::<f64>() / 1_000.0;
    (0..60)
        .map(|_| {
            let (n, shift) = (random.pick(sizes), if random.chance(10) { 0.5 } else { 0.0 });
            (0..n).map(|_| ((one(random) + shift) * 100.0).round() / 100.0).collect()
        })
        .collect()
}

fn groups(values: &[Vec<f64>]) -> Vec<Subgroup> {
    values.iter().map(|values| Subgroup::of(values).expect("numbers")).collect()
}

fn flags(chart: &Chart) -> Vec<(crate::spc::Flags, Option<crate::spc::Flags>)> {
    let below = |place: usize| chart.companion.get(place).map(|point| point.flags);
    chart.points.iter().enumerate().map(|(place, point)| (point.flags, below(place))).collect()
}

const OF_VALUES: [(ChartKind, &[i64]); 8] = [
    (ChartKind::XbarR, &[5]),
    (ChartKind::XbarR, &[2, 3, 7]),
    (ChartKind::XbarS, &[4]),
    (ChartKind::XbarS, &[2, 5, 30]),
    (ChartKind::IMr, &[1]),
    (ChartKind::Ewma, &[3]),
    (ChartKind::Cusum, &[1]),
    (ChartKind::MovingAverage, &[1]),
];

#[test]
fn adding_a_constant_shifts_the_chart_and_keeps_the_flags() {
    let mut flagged = 0;
    for (seed, (kind, sizes)) in (0..40).flat_map(|seed| OF_VALUES.map(|kind| (seed, kind))) {
        let mut random = Seeded::new(seed);
        let values = measured(&mut random, sizes);
        let by = random.pick(&[0.5, -3.25, 100.0, 1e4]);
        let shifted: Vec<Vec<f64>> = values.iter().map(|one| one.iter().map(|value| value + by).collect()).collect();
        let (before, after) = (chart(kind, &groups(&values)), chart(kind, &groups(&shifted)));
        assert_eq!(flags(&before), flags(&after), "{kind:?}, seed {seed}, by {by}");
        flagged += before.points.iter().filter(|point| !point.flags.is_empty()).count();
        for (before, after) in before.points.iter().zip(&after.points) {
            let by = if kind == ChartKind::Cusum { 0.0 } else { by };
            for (before, after) in [(before.plotted, after.plotted), (before.ucl, after.ucl), (before.lcl, after.lcl)] {
                assert!(before.zip(after).is_none_or(|(before, after)| (after - before - by).abs() < 1e-9), "{kind:?}");
                assert_eq!(before.is_some(), after.is_some());
            }
        }
    }
    assert!(flagged > 500, "{flagged}");
}

#[test]
fn order_within_a_subgroup_does_not_matter() {
    for (seed, (kind, sizes)) in (0..40).flat_map(|seed| OF_VALUES.map(|kind| (seed, kind))) {
        let mut random = Seeded::new(seed);
        let values = measured(&mut random, sizes);
        let turned: Vec<Vec<f64>> = values
            .iter()
            .map(|one| {
                let mut one = one.clone();
                let by = random.within(0, one.len() as i64) as usize;
                one.rotate_left(by);
                one.reverse();
                one
            })
            .collect();
        let (before, after) = (chart(kind, &groups(&values)), chart(kind, &groups(&turned)));
        assert_eq!(flags(&before), flags(&after), "{kind:?}, seed {seed}");
        for (before, after) in before.points.iter().zip(&after.points) {
            near(after.plotted, before.plotted.expect("a value"));
            near(after.ucl, before.ucl.expect("a limit"));
        }
    }
}

#[test]
fn frozen_limits_do_not_move() {
    for (seed, (kind, sizes)) in (0..20).flat_map(|seed| OF_VALUES.map(|kind| (seed, kind))) {
        let mut random = Seeded::new(seed);
        let subgroups = groups(&measured(&mut random, sizes));
        let first = Chart::estimate(kind, Parameters::default(), &rules(), &subgroups[..30], None).expect("a chart");
        let all = Chart::estimate(kind, Parameters::default(), &rules(), &subgroups, Some(30)).expect("a chart");
        assert_eq!(first.limits, all.limits);
        assert_eq!(first.points[..], all.points[..30]);
        assert_eq!(Chart::draw(first.limits, &rules(), &subgroups).expect("a chart"), all);
        // An excluded subgroup is plotted as it was.
        let mut excluded = subgroups.clone();
        excluded[40].excluded = true;
        assert_eq!(Chart::draw(first.limits, &rules(), &excluded).expect("a chart"), all);
    }
}

#[test]
fn excluded_subgroups_are_plotted_and_not_estimated_from() {
    let mut subgroups = of(&[&[1.0, 2.0], &[90.0, 50.0], &[2.0, 3.0], &[1.0, 3.0]]);
    subgroups[1].excluded = true;
    let drawn = chart(ChartKind::XbarR, &subgroups);
    near(Some(drawn.limits.centre), 2.0);
    near(Some(drawn.limits.sigma), 4.0 / 3.0 / constant::d2(2));
    assert_eq!(drawn.limits.subgroups, 3);
    assert_eq!(drawn.points[1].plotted, Some(70.0));
    assert!(drawn.points[1].flags.contains(0) && drawn.companion[1].flags.contains(0));
}

#[test]
fn each_subgroup_has_limits_of_its_own_size() {
    let drawn = chart(ChartKind::XbarR, &of(&[&[1.0, 2.0, 3.0, 4.0], &[2.0, 3.0], &[0.0, 2.0, 4.0, 6.0]]));
    let half = |place: usize| drawn.points[place].ucl.map(|ucl| ucl - drawn.limits.centre);
    near(half(1).zip(half(0)).map(|(two, four)| two / four), 2.0_f64.sqrt());
    near(drawn.companion[1].centre, drawn.limits.sigma * constant::d2(2));
    near(drawn.companion[2].ucl, drawn.limits.sigma * (constant::d2(4) + 3.0 * constant::d3(4)));
    // A mean of all values: each weighs as many as it has.
    near(Some(drawn.limits.centre), 27.0 / 10.0);
}

#[test]
fn one_value_is_no_subgroup() {
    assert!(error(ChartKind::XbarR, &single(&[1.0, 2.0, 3.0])).contains("for single values use i_mr"));
    assert!(error(ChartKind::XbarS, &single(&[1.0, 2.0, 3.0])).contains("for single values use i_mr"));
    assert!(error(ChartKind::IMr, &single(&[1.0])).contains("i_mr needs 2 or more values"));
    assert!(error(ChartKind::XbarR, &[]).contains("xbar_r needs 1 or more"));
    // One among others is plotted, without a spread.
    let drawn = chart(ChartKind::XbarR, &of(&[&[1.0, 2.0], &[2.0], &[1.0, 3.0]]));
    near(drawn.points[1].ucl, drawn.limits.centre + 3.0 * drawn.limits.sigma);
    assert_eq!((drawn.companion[1].plotted, drawn.companion[1].reason), (None, Some(Reason::OneValue)));
    let drawn = chart(ChartKind::XbarS, &of(&[&[1.0, 2.0], &[2.0], &[1.0, 3.0]]));
    assert_eq!((drawn.points[1].ucl, drawn.points[1].reason), (None, Some(Reason::OneValue)));
    assert_eq!(drawn.points[1].plotted, Some(2.0));
}

#[test]
fn means_as_single_values_are_judged_by_how_they_move() {
    let drawn = chart(ChartKind::IMr, &of(&[&[1.0, 3.0], &[2.0, 4.0], &[1.0, 2.0, 3.0]]));
    near(Some(drawn.limits.centre), 7.0 / 3.0);
    near(drawn.points[0].ucl, drawn.limits.centre + 3.0 * drawn.limits.sigma);
    near(Some(drawn.limits.sigma), 1.0 / constant::d2(2));
}

#[test]
fn a_range_of_millions_is_not_plotted() {
    let limits = Limits::known(ChartKind::XbarR, 0.0, 1.0, Parameters::default()).expect("limits");
    let huge = Subgroup { n: 2e6, ..Subgroup::of(&[1.0, 2.0]).expect("numbers") };
    let drawn = Chart::draw(limits, &rules(), &[huge]).expect("a chart");
    assert_eq!((drawn.companion[0].plotted, drawn.companion[0].reason), (None, Some(Reason::RangeOfTooMany)));
    assert_eq!(drawn.points[0].plotted, Some(1.5));
}

#[test]
fn equal_values_have_limits_on_the_centre_and_no_z() {
    let drawn = chart(ChartKind::XbarR, &of(&[&[0.1, 0.1, 0.1][..]; 20]));
    for point in &drawn.points {
        assert_eq!((point.ucl, point.lcl, point.z), (Some(0.1), Some(0.1), None));
        assert_eq!(point.reason, Some(Reason::NoSpread));
        assert!(point.flags.is_empty());
    }
    assert!(drawn.companion.iter().all(|point| point.plotted == Some(0.0) && point.flags.is_empty()));
    let p = chart(ChartKind::P, &counts(&[(0.0, 10.0); 5]));
    assert!(p.points.iter().all(|point| point.ucl == Some(0.0) && point.z.is_none() && point.reason.is_some()));
    let laney = chart(ChartKind::LaneyP, &counts(&[(0.0, 10.0); 5]));
    assert!(laney.points.iter().all(|point| point.ucl == Some(0.0) && point.z.is_none()));
}

#[test]
fn nothing_inspected_is_a_point_without_figures() {
    let drawn = chart(ChartKind::P, &counts(&[(1.0, 10.0), (0.0, 0.0), (2.0, 10.0)]));
    near(Some(drawn.limits.centre), 0.15);
    let point = &drawn.points[1];
    assert_eq!((point.plotted, point.ucl, point.reason), (None, None, Some(Reason::Empty)));
    let drawn = chart(ChartKind::IMr, &of(&[&[1.0], &[2.0], &[], &[9.0], &[8.0]]));
    assert_eq!(drawn.companion[3].reason, Some(Reason::NoValueBefore));
    near(Some(drawn.limits.sigma), 1.0 / constant::d2(2));
}

#[test]
fn what_cannot_be_counted() {
    assert!(error(ChartKind::P, &counts(&[(11.0, 10.0)])).contains("11 nonconforming units of 10 inspected"));
    assert!(Subgroup::count(-1.0, 10.0).is_err() && Subgroup::count(1.0, -10.0).is_err());
    assert!(Subgroup::of(&[1.0, f64::NAN]).is_err() && Subgroup::of(&[f64::INFINITY]).is_err());
    let limits = Limits::known(ChartKind::Np, 0.2, 1.0, Parameters::default()).expect("limits");
    let drawn = Chart::draw(limits, &rules(), &counts(&[(11.0, 10.0), (3.0, 10.0)])).expect("a chart");
    assert_eq!((drawn.points[0].plotted, drawn.points[0].reason), (None, Some(Reason::MoreThanInspected)));
    assert_eq!(drawn.points[1].plotted, Some(3.0));
}

#[test]
fn limits_of_shares_end_at_0_and_1_and_z_does_not() {
    let drawn = chart(ChartKind::P, &counts(&[(9.0, 10.0), (9.0, 10.0), (10.0, 10.0), (0.0, 10.0)]));
    near(drawn.points[0].ucl, 1.0);
    near(drawn.points[0].sigma, (0.7_f64 * 0.3 / 10.0).sqrt());
    near(drawn.points[3].z, -0.7 / (0.7_f64 * 0.3 / 10.0).sqrt());
    let drawn = chart(ChartKind::Np, &counts(&[(9.0, 10.0), (18.0, 20.0), (10.0, 10.0)]));
    assert_eq!((drawn.points[0].ucl, drawn.points[1].ucl), (Some(10.0), Some(20.0)));
}

#[test]
fn moving_averages_of_as_many_as_there_are() {
    let parameters = Parameters { span: 3, target: Some(10.0), sigma: Some(1.0), ..Parameters::default() };
    let values = single(&[9.0, 11.0, 12.0, 10.0, 15.0]);
    let drawn = Chart::estimate(ChartKind::MovingAverage, parameters, &rules(), &values, None).expect("a chart");
    let wanted = [(9.0, 3.0), (10.0, 3.0 / 2.0_f64.sqrt()), (32.0 / 3.0, 3.0_f64.sqrt()), (11.0, 3.0_f64.sqrt())];
    for ((mean, half), point) in wanted.into_iter().zip(&drawn.points) {
        near(point.plotted, mean);
        near(point.ucl, 10.0 + half);
        near(point.lcl, 10.0 - half);
    }
    let flagged: Vec<usize> = (0..5).filter(|&place| drawn.points[place].flags.contains(0)).collect();
    assert_eq!(flagged, [4]);
}

#[test]
fn ewma_of_several_sizes_carries_its_variance() {
    let limits = Limits::known(ChartKind::Ewma, 0.0, 2.0, Parameters::default()).expect("limits");
    let drawn = Chart::draw(limits, &rules(), &of(&[&[1.0; 4], &[1.0]])).expect("a chart");
    // Var = λ² σ²/n₂ + λ² (1−λ)² σ²/n₁.
    near(drawn.points[1].sigma, (0.04 * 4.0 + 0.04 * 0.64 * 1.0_f64).sqrt());
    near(drawn.points[1].plotted, 0.2 + 0.8 * 0.2);
}

#[test]
fn short_runs_look_at_deviations() {
    let part = |values: &[f64], nominal: f64, sigma: f64| {
        Subgroup::of(values).and_then(|one| one.of_part(nominal, sigma)).expect("a part")
    };
    let subgroups = [
        part(&[50.0, 51.0, 49.0], 50.0, 1.0),
        part(&[25.5, 27.5, 26.0], 25.0, 0.5),
        part(&[50.0, 52.0, 51.0], 50.0, 1.0),
    ];
    let drawn = chart(ChartKind::ShortRunDeviation, &subgroups);
    near(drawn.points[1].plotted, 79.0 / 3.0 - 25.0);
    near(Some(drawn.limits.centre), (0.0 + 4.0 / 3.0 + 1.0) / 3.0);
    near(Some(drawn.limits.sigma), 2.0 / constant::d2(3));
    assert_eq!(drawn.limits.companion, Some(Companion::Range));

    let drawn = chart(ChartKind::ShortRunZ, &subgroups);
    assert_eq!((drawn.limits.centre, drawn.limits.sigma), (0.0, 1.0));
    near(drawn.points[1].z, 4.0 / 3.0 / 0.5 * 3.0_f64.sqrt());
    near(drawn.companion[1].plotted, 2.0 / 0.5);
    near(subgroups[1].for_kind(ChartKind::ShortRunZ).s(), subgroups[1].s().expect("a spread") / 0.5);
    near(drawn.companion[1].centre, constant::d2(3));

    let lone = [part(&[50.0], 49.0, 1.0), part(&[25.5], 25.0, 0.5), part(&[50.0], 50.0, 2.0)];
    let drawn = chart(ChartKind::ShortRunDeviation, &lone);
    assert_eq!(drawn.limits.companion, Some(Companion::MovingRange));
    near(drawn.companion[1].plotted, 0.5);
    assert!(Subgroup::of(&[1.0]).and_then(|one| one.of_part(1.0, 0.0)).is_err());
}

#[test]
fn names() {
    for kind in ChartKind::ALL {
        assert_eq!(ChartKind::parse(kind.name()), Ok(kind));
    }
    let message = ChartKind::parse("xbar-r").expect_err("unknown").to_string();
    assert!(
        message.starts_with("unknown chart \"xbar-r\" (did you mean xbar_r?); known are xbar_r, xbar_s"),
        "{message}"
    );
}

#[test]
fn parameters_that_cannot_be() {
    let usual = Parameters::default();
    let with = [
        Parameters { width: 0.0, ..usual },
        Parameters { lambda: 1.1, ..usual },
        Parameters { k: -1.0, ..usual },
        Parameters { h: f64::NAN, ..usual },
        Parameters { headstart: -0.1, ..usual },
        Parameters { span: 0, ..usual },
        Parameters { target: Some(f64::NAN), ..usual },
        Parameters { sigma: Some(-1.0), ..usual },
    ];
    for parameters in with {
        let values = single(&[1.0, 2.0]);
        assert!(parameters.check().is_err(), "{parameters:?}");
        assert!(Chart::estimate(ChartKind::Ewma, parameters, &rules(), &values, None).is_err(), "{parameters:?}");
    }
    assert!(error(ChartKind::T2, &single(&[1.0])).contains("several characteristics"));
    assert!(error(ChartKind::IMr, &single(&[1e308, -1e308])).contains("not a finite number"));
}

/// What is left of a sum of decimals is no sum.
#[test]
fn a_cusum_at_zero_begins_anew() {
    let parameters = Parameters { target: Some(0.3), sigma: Some(0.1), ..Parameters::default() };
    let runs = |parameters, values: &[f64]| -> Vec<Option<u32>> {
        let drawn = Chart::estimate(ChartKind::Cusum, parameters, &rules(), &single(values), None).expect("a chart");
        drawn.points.iter().map(|point| point.run).collect()
    };
    assert_eq!(runs(parameters, &[0.4, 0.3]), [Some(1), Some(0)]);
    let headstart = Parameters { target: Some(5.0), k: 1.0, headstart: 1.0, ..parameters };
    assert_eq!(runs(headstart, &[5.0]), [Some(0)]);
}

/// A centre line of large numbers is a digit off their mean: that is on no side of it.
#[test]
fn large_numbers_on_the_centre_line_are_on_it() {
    for (values, on_line) in [([10_000_000.3, 9_999_999.9], 10_000_000.1), ([293.150_07, 293.150_05], 293.150_06)] {
        let all: Vec<f64> = values.into_iter().chain([on_line; 9]).collect();
        let drawn = Chart::estimate(ChartKind::IMr, Parameters::default(), &rules(), &single(&all), Some(2));
        assert!(drawn.expect("a chart").points.iter().skip(2).all(|point| point.flags.is_empty()), "{on_line}");
    }
}
