use super::*;

fn subgroups(values: &[&[f64]]) -> Vec<Subgroup> {
    values.iter().map(|values| Subgroup::of(values).expect("numbers")).collect()
}

fn estimate(method: SigmaMethod, values: &[&[f64]]) -> Sigma {
    method.estimate(&subgroups(values)).expect("a sigma")
}

fn near(got: f64, wanted: f64) {
    assert!((got - wanted).abs() < 1e-12 * wanted.abs(), "{got} for {wanted}");
}

#[test]
fn subgroups_of_one_size() {
    let values: [&[f64]; 2] = [&[1.0, 2.0, 4.0], &[5.0, 5.0, 8.0]];
    near(estimate(SigmaMethod::Range, &values).value, 3.0 / d2(3));
    let s = ((7.0_f64 / 3.0).sqrt() + 3.0_f64.sqrt()) / 2.0;
    near(estimate(SigmaMethod::Deviation, &values).value, s / c4(3));
    near(estimate(SigmaMethod::Pooled, &values).value, ((14.0_f64 / 3.0 + 6.0) / 4.0).sqrt());
}

#[test]
fn ranges_of_several_sizes_weigh_by_how_much_they_say() {
    let weight = |n: u32| (d2(n) / d3(n)).powi(2);
    let wanted = (weight(2) * (2.0 / d2(2)) + weight(3) * (5.0 / d2(3))) / (weight(2) + weight(3));
    near(estimate(SigmaMethod::Range, &[&[1.0, 3.0], &[1.0, 2.0, 6.0]]).value, wanted);
}

#[test]
fn deviations_of_several_sizes_weigh_by_how_much_they_say() {
    let weight = |n: u32| c4(n).powi(2) / (1.0 - c4(n).powi(2));
    let (two, three) = (2.0_f64.sqrt() / c4(2), 7.0_f64.sqrt() / c4(3));
    let wanted = (weight(2) * two + weight(3) * three) / (weight(2) + weight(3));
    near(estimate(SigmaMethod::Deviation, &[&[1.0, 3.0], &[1.0, 2.0, 6.0]]).value, wanted);
}

#[test]
fn a_range_of_millions_is_refused() {
    let huge = Subgroup { n: 2e6, ..Subgroup::of(&[1.0, 2.0]).expect("numbers") };
    assert_eq!(SigmaMethod::Range.estimate(&[huge]), Err(Error::RangeOfTooMany));
    assert!(SigmaMethod::Pooled.estimate(&[huge]).is_ok());
}

#[test]
fn excluded_and_missing_values_make_no_moving_range() {
    let mut values = subgroups(&[&[1.0], &[2.0], &[50.0], &[4.0], &[7.0], &[], &[100.0], &[101.0]]);
    values[2].excluded = true;
    // |2 − 1|, |7 − 4| and |101 − 100|.
    near(SigmaMethod::MovingRange.estimate(&values).expect("a sigma").value, 5.0 / 3.0 / d2(2));
}

#[test]
fn degrees_of_freedom() {
    let pairs: Vec<&[f64]> = vec![&[1.0, 2.0, 3.0, 4.0, 5.0]; 10];
    near(estimate(SigmaMethod::Range, &pairs).df, 36.0);
    near(estimate(SigmaMethod::Pooled, &pairs).df, 40.0);
    // The usual table says 0.95 k (n − 1) for n = 5, and 0.605 per range for long moving ranges.
    assert!((estimate(SigmaMethod::Deviation, &pairs).df / 40.0 - 0.95).abs() < 2e-3);
    let single: Vec<[f64; 1]> = (0..10_001).map(|i| [f64::from(i)]).collect();
    let single: Vec<&[f64]> = single.iter().map(|one| &one[..]).collect();
    assert!((estimate(SigmaMethod::MovingRange, &single).df / 10_000.0 - 0.605).abs() < 1e-3);
}

#[test]
fn too_little_is_said() {
    let error =
        |method: SigmaMethod, values: &[&[f64]]| method.estimate(&subgroups(values)).expect_err("no sigma").to_string();
    assert!(error(SigmaMethod::Range, &[&[1.0], &[2.0]]).contains("use i_mr"));
    assert!(error(SigmaMethod::Pooled, &[]).contains("pooled needs subgroups of 2"));
    assert!(error(SigmaMethod::MovingRange, &[&[1.0]]).contains("2 or more values"));
    assert!(SigmaMethod::parse("rbar").expect_err("unknown").to_string().contains("did you mean rbar_d2?"));
}
