use super::*;
use crate::seeded::Seeded;
use crate::spc::{Chart, Parameters};

fn subgroups(random: &mut Seeded, kind: ChartKind) -> Vec<Subgroup> {
    let one = |random: &mut Seeded| {
        if random.chance(3) {
            return Subgroup::of(&[]);
        }
        if kind.is_attribute() {
            return Subgroup::count(random.within(0, 12) as f64, random.within(20, 60) as f64);
        }
        let n = if kind == ChartKind::IMr { 1 } else { random.within(1, 6) };
        let shift = if random.chance(15) { 40 } else { 0 };
        let values: Vec<f64> = (0..n).map(|_| (random.within(-30, 31) + shift) as f64 / 10.0).collect();
        Subgroup::of(&values)?.of_part(random.within(-1, 2) as f64, random.within(1, 4) as f64)
    };
    (0..80).map(|_| one(random).expect("a subgroup")).collect()
}

#[test]
fn live_and_after_a_restart_it_says_what_the_chart_says() {
    let rules = Arc::new(RuleSet::nelson());
    let mut flagged = 0;
    for (seed, kind) in (0..30).flat_map(|seed| ChartKind::ALL.map(|kind| (seed, kind))) {
        if kind == ChartKind::T2 {
            continue;
        }
        let mut random = Seeded::new(seed);
        let subgroups = subgroups(&mut random, kind);
        let limits = Limits::estimate(kind, Parameters::default(), &subgroups[..40]).expect("limits");
        let chart = Chart::draw(limits, &rules, &subgroups).expect("a chart");
        let restart = random.within(0, 80) as usize;
        let mut judge = Judge::new(limits, &rules).expect("a judge");
        for (place, subgroup) in subgroups.iter().enumerate() {
            if place == restart {
                judge = Judge::replay(limits, &rules, &subgroups[..place]).expect("a judge");
            }
            let verdict = judge.push(subgroup);
            assert_eq!(verdict.point, chart.points[place], "{kind:?}, seed {seed}");
            assert_eq!(verdict.companion, chart.companion.get(place).copied(), "{kind:?}, seed {seed}");
            flagged += usize::from(!verdict.is_clean());
            let figures = [verdict.point.plotted, verdict.point.ucl, verdict.point.lcl, verdict.point.z];
            assert!(figures.into_iter().flatten().all(f64::is_finite));
            assert!(
                verdict.point.plotted.is_some() && verdict.point.z.is_some()
                    || verdict.point.reason.is_some()
                    || kind == ChartKind::Cusum
            );
        }
    }
    assert!(flagged > 1_000, "{flagged}");
}

#[test]
fn thousands_of_them_are_small() {
    let rule = size_of::<Window>();
    assert!(rule <= 56, "{rule}");
    assert!(size_of::<Judge>() <= 320, "{}", size_of::<Judge>());
}

#[test]
fn without_rules_nothing_is_flagged_on_the_chart_itself() {
    let limits = Limits::known(ChartKind::Cusum, 0.0, 1.0, Parameters::default()).expect("limits");
    let far = Subgroup::of(&[-100.0]).expect("a number");
    let flagged = |rules: RuleSet| !Judge::new(limits, &Arc::new(rules)).expect("a judge").push(&far).is_clean();
    assert!(flagged(RuleSet::nelson()) && flagged(RuleSet::limits()) && !flagged(RuleSet::none()));
}

#[test]
fn limits_that_are_no_numbers_are_refused() {
    let rules = Arc::new(RuleSet::nelson());
    let limits = Limits::known(ChartKind::IMr, 0.0, 1.0, Parameters::default()).expect("limits");
    assert!(Judge::new(Limits { centre: f64::NAN, ..limits }, &rules).is_err());
    assert!(Judge::new(Limits { sigma: -1.0, ..limits }, &rules).is_err());
    assert!(Judge::new(Limits { kind: ChartKind::T2, ..limits }, &rules).is_err());
}
