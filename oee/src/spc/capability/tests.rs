use super::*;

const VALUES: [f64; 10] = [2.1, 1.9, 2.0, 2.4, 2.2, 1.7, 2.3, 2.05, 1.95, 2.6];

fn spec(lower: Option<f64>, upper: Option<f64>, target: Option<f64>) -> Spec {
    Spec::new(lower, upper, target).expect("a specification")
}

fn of(values: &[f64], sizes: &[usize], spec: Spec, method: SigmaMethod) -> Capability {
    Capability::of(values, sizes, spec, method).expect("a capability")
}

fn singles(values: &[f64], spec: Spec) -> Capability {
    of(values, &vec![1; values.len()], spec, SigmaMethod::MovingRange)
}

#[test]
fn cpm_and_its_interval() {
    // scipy 1.17, by Boyles' formula.
    let (index, interval) = singles(&VALUES, spec(Some(1.5), Some(2.5), Some(2.0))).cpm.expect("a Cpm");
    for (got, wanted) in [
        (index, 0.577_119_467_553_703),
        (interval.low, 0.332_412_343_127_772_85),
        (interval.high, 0.822_332_654_847_347),
    ] {
        assert!((got / wanted - 1.0).abs() < 1e-12, "{got} for {wanted}");
    }
}

#[test]
fn a_one_sided_specification_has_one_side() {
    let got = singles(&VALUES, spec(None, Some(2.5), Some(2.0)));
    let (sigma, indices) = got.overall.expect("a sigma");
    assert_eq!((indices.potential, indices.potential_95, indices.lower, got.cpm), (None, None, None, None));
    assert_eq!((indices.smaller, indices.upper), (indices.upper, Some((2.5 - got.mean) / sigma / 3.0)));
    assert_eq!((got.observed_ppm.below, got.observed_ppm.above), (None, Some(1e5)));
    assert_eq!(got.reason, Some("Cp, Pp and Cpm need both specification limits"));
}

#[test]
fn a_value_on_a_limit_is_within() {
    let got = singles(&VALUES, spec(Some(1.7), Some(2.6), None));
    assert_eq!(got.observed_ppm.total, Some(0.0));
    assert_eq!(got.reason, Some("Cpm needs a target"));
}

#[test]
fn what_is_missing_is_said() {
    let both = spec(Some(1.0), Some(3.0), None);
    let none = singles(&VALUES, Spec::default());
    assert_eq!(none.reason, Some("there are no specification limits"));
    assert_eq!(none.overall.expect("a sigma").1.smaller, None);
    assert_eq!(none.observed_ppm, Ppm::default());

    let equal = singles(&[2.0; 9], both);
    assert_eq!(equal.reason, Some("all values are equal: sigma is zero"));
    assert_eq!(equal.overall.expect("a sigma").1, Indices { df: 8.0, ..Indices::default() });
    assert_eq!((equal.normality, equal.cpm), (None, None));

    let one = singles(&[2.0], both);
    assert_eq!(one.reason, Some("one value has no spread"));
    assert!(one.overall.is_err() && one.within.is_err());
}

#[test]
fn what_cannot_be_is_refused() {
    let error = |values: &[f64], sizes: &[usize]| {
        Capability::of(values, sizes, Spec::default(), SigmaMethod::Pooled).expect_err("no capability").to_string()
    };
    assert!(error(&[], &[]).contains("needs 1 or more"));
    assert!(error(&[1.0, 2.0], &[3]).contains("3 values in all were announced, and there are 2"));
    assert!(error(&[1.0, f64::NAN], &[2]).contains("not a finite number"));
    let refused = |lower, upper| Spec::new(lower, upper, None).expect_err("no specification").to_string();
    assert!(refused(Some(3.0), Some(1.0)).contains("the lower specification limit 3 is not below the upper one 1"));
    assert!(refused(Some(1.0), Some(1.0)).contains("not below"));
    assert!(refused(Some(f64::NAN), None).contains("finite"));
}

#[test]
fn what_is_in_no_subgroup_counts_in_all_but_sigma_within() {
    let spec = Spec::new(Some(0.0), Some(4.0), None).expect("a specification");
    let of = |values: &[f64]| Capability::of(values, &[2, 2], spec, SigmaMethod::Pooled).expect("a capability");
    let (all, whole) = (of(&[1.0, 2.0, 2.0, 3.0, 9.0]), of(&[1.0, 2.0, 2.0, 3.0]));
    let sigma = |found: &Capability| found.within.as_ref().map(|(sigma, _)| sigma.value).expect("a sigma");
    assert_eq!((all.n, all.n_within, all.max), (5, 4, 9.0));
    assert_eq!((sigma(&all), all.observed_ppm.above), (sigma(&whole), Some(200_000.0)));
    let none = Capability::of(&[1.0, 2.0], &[], spec, SigmaMethod::Pooled).expect("a capability");
    assert!(none.within.is_err() && none.overall.is_ok());
}

#[test]
fn the_method_must_suit_the_subgroups() {
    let said = |sizes: &[usize], method| {
        of(&VALUES, sizes, Spec::default(), method).within.map(|_| ()).expect_err("none").to_string()
    };
    assert!(said(&[5, 5], SigmaMethod::MovingRange).contains("use pooled"));
    assert!(said(&[1; 10], SigmaMethod::Range).contains("subgroups of 2 or more"));
    assert_eq!(
        (SigmaMethod::usual(&[1, 1]), SigmaMethod::usual(&[1, 4])),
        (SigmaMethod::MovingRange, SigmaMethod::Pooled)
    );
}
