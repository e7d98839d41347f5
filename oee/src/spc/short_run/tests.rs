use std::sync::Arc;

use super::*;
use crate::spc::{Chart, RuleSet, constant};

fn of(values: &[&[f64]]) -> Vec<Subgroup> {
    values.iter().map(|values| Subgroup::of(values).expect("numbers")).collect()
}

#[test]
fn a_part_from_what_was_made_of_it() {
    let subgroups = of(&[&[1.0, 2.0], &[3.0, 6.0]]);
    let part = Part::estimate(None, &subgroups).expect("a part");
    assert!((part.nominal - 3.0).abs() < 1e-12 && (part.sigma - 2.0 / constant::d2(2)).abs() < 1e-12);
    assert_eq!(Part::estimate(Some(2.5), &subgroups).expect("a part").nominal, 2.5);
    let single = Part::estimate(None, &of(&[&[1.0], &[2.0], &[4.0]])).expect("a part");
    assert!((single.sigma - 1.5 / constant::d2(2)).abs() < 1e-12);
    assert!(Part::estimate(None, &of(&[&[1.0]])).is_err());
    assert!(Part::estimate(None, &of(&[&[1.0, 1.0]])).expect_err("none").to_string().contains("all values are equal"));
}

/// The same process in millimetres and in inches is one chart.
#[test]
fn parts_that_vary_unlike_are_alike_in_z() {
    let millimetres = of(&[&[10.0, 10.2, 9.9], &[10.1, 10.3, 10.0], &[9.8, 10.0, 10.1]]);
    let scaled = |one: &Subgroup| Subgroup {
        value: one.value / 25.4,
        range: one.range / 25.4,
        squares: one.squares / 25.4_f64.powi(2),
        ..*one
    };
    let inches: Vec<Subgroup> = millimetres.iter().map(scaled).collect();
    let mut together = Vec::new();
    for subgroups in [&millimetres, &inches] {
        let part = Part::estimate(None, subgroups).expect("a part");
        together.extend(subgroups.iter().map(|one| part.apply(*one).expect("a subgroup")));
    }
    let rules = Arc::new(RuleSet::nelson());
    let chart = Chart::estimate(ChartKind::ShortRunZ, Parameters::default(), &rules, &together, None).expect("a chart");
    for (one, other) in chart.points[..3].iter().zip(&chart.points[3..]) {
        assert!(one.z.zip(other.z).is_some_and(|(one, other)| (one - other).abs() < 1e-9));
        assert_eq!(one.ucl, other.ucl);
    }
    assert!(chart.points[0].ucl.is_some_and(|ucl| (ucl - 3.0_f64.sqrt()).abs() < 1e-12));
}
