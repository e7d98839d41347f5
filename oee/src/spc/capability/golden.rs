//! The golden capabilities: indices to a relative 1e-8, parts per million to 1e-6.
//!
//! `tests/golden/capability.json` was computed independently of this crate.

use serde_json::Value;

use super::{Capability, Indices, Interval, Ppm, Spec};
use crate::spc::SigmaMethod;
use crate::spc::expected::{Fields, Tolerance};

const TOLERANCE: Tolerance = Tolerance { relative: 1e-8, absolute: 1e-13 };

fn check_interval(expected: &Fields<'_>, name: &str, got: Option<Interval>) {
    match expected.get(name) {
        None => {}
        Some(Value::Null) => assert_eq!(got, None, "{} {name}", expected.place()),
        Some(_) => expected.figures(name, [got.map(|one| one.low), got.map(|one| one.high)]),
    }
}

fn check_ppm(expected: &Fields<'_>, name: &str, got: &Ppm) {
    let place = expected.place().to_owned();
    let Some(ppm) = expected.object(name) else {
        assert!(expected.get(name).is_none() || got.total.is_none(), "{place} {name}: {got:?}");
        return;
    };
    let tolerance = Tolerance { relative: 1e-6, absolute: 0.0 };
    ppm.within("below_lsl", got.below, tolerance);
    ppm.within("above_usl", got.above, tolerance);
    ppm.within("total", got.total, tolerance);
    ppm.all_seen(&[]);
}

fn check_indices(expected: &Fields<'_>, letters: &str, got: &Indices) {
    let name = |rest: &str| format!("{letters}{rest}");
    expected.figure(&name("p"), got.potential);
    expected.figure(&name("pl"), got.lower);
    expected.figure(&name("pu"), got.upper);
    expected.figure(&name("pk"), got.smaller);
    expected.figure("df", Some(got.df));
    check_interval(expected, &name("p_ci95"), got.potential_95);
    check_interval(expected, &name("pk_ci95"), got.smaller_95);
    check_ppm(expected, "expected_ppm", &got.expected_ppm);
    expected.all_seen(&[]);
}

/// Every method that the case has a sigma or indices of.
fn methods(expected: &Fields<'_>) -> Vec<SigmaMethod> {
    let named = ["sigma_within", "within"].map(|name| expected.get(name).and_then(Value::as_object));
    let mut names: Vec<&String> = named.into_iter().flatten().flat_map(|object| object.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| SigmaMethod::parse(name).expect("a known method")).collect()
}

fn check_within(expected: &Fields<'_>, method: SigmaMethod, got: &Capability) {
    let (sigma, indices) = match &got.within {
        Ok((sigma, indices)) => (Some(sigma.value), *indices),
        Err(_) => (None, Indices::default()),
    };
    if let Some(sigmas) = expected.object("sigma_within") {
        sigmas.figure(method.name(), sigma);
    }
    let null = expected.object("within").is_some_and(|within| within.is_null(method.name()));
    assert!(!null || indices.smaller.is_none(), "{}: {indices:?}", expected.place());
    if let Some(within) = expected.object("within").and_then(|within| within.object(method.name())) {
        check_indices(&within, "C", &indices);
    }
}

fn check_all(expected: &Fields<'_>, got: &Capability) {
    expected.figure("n", Some(got.n as f64));
    expected.figure("mean", Some(got.mean));
    expected.figure("min", Some(got.min));
    expected.figure("max", Some(got.max));
    expected.figure("sigma_overall", got.overall.as_ref().ok().map(|(sigma, _)| *sigma));
    expected.figure("Cpm", got.cpm.map(|(index, _)| index));
    check_ppm(expected, "observed_ppm", &got.observed_ppm);
    if let Some(overall) = expected.object("overall") {
        check_indices(&overall, "P", &got.overall.as_ref().map(|(_, indices)| *indices).unwrap_or_default());
    }
    let none = got.overall.as_ref().map_or(None, |(_, indices)| indices.smaller).is_none();
    assert!(none || !expected.is_null("overall"), "{}: {:?}", expected.place(), got.overall);
    let none = got.normality.is_none();
    assert!(none || !expected.is_null("anderson_darling"), "{}: {:?}", expected.place(), got.normality);
    if let Some(test) = expected.object("anderson_darling") {
        test.figure("A2", got.normality.map(|test| test.a2));
        test.figure("A2_star", got.normality.map(|test| test.a2_star));
        test.figure("p_value", got.normality.map(|test| test.p));
        test.all_seen(&[]);
    }
}

fn check_case(case: &Value) {
    let id = case["id"].as_str().expect("an id");
    let input = Fields::new(format!("{id} input"), &case["input"], TOLERANCE);
    let expected = Fields::new(id, &case["expected"], TOLERANCE);
    let subgroups = input.get("subgroups").and_then(Value::as_array).expect("subgroups");
    let numbers = |values: &Value| -> Vec<f64> {
        values.as_array().expect("an array").iter().map(|value| value.as_f64().expect("a number")).collect()
    };
    let subgroups: Vec<Vec<f64>> = subgroups.iter().map(numbers).collect();
    let sizes: Vec<usize> = subgroups.iter().map(Vec::len).collect();
    let spec = Spec::new(input.number("lsl"), input.number("usl"), input.number("target")).expect("a specification");
    input.all_seen(&[]);
    let methods = methods(&expected);
    for method in methods.iter().copied().chain(methods.is_empty().then_some(SigmaMethod::Pooled)) {
        let got = Capability::of(&subgroups.concat(), &sizes, spec, method).expect("a capability");
        check_within(&expected, method, &got);
        check_all(&expected, &got);
    }
    expected.all_seen(&[]);
}

#[test]
fn golden_capability() {
    crate::golden::check("capability.json", 5, check_case);
}
