use super::*;

/// The manual's example: 5 parts, 12 readings each; it prints bias = 0.7367 − 0.1317 · reference, s = 0.2395 and
/// R² = 71.4 %. Further digits are those of statsmodels 0.15.
fn example() -> Linearity {
    let parts = [
        (2.0, vec![2.7, 2.5, 2.4, 2.5, 2.7, 2.3, 2.5, 2.5, 2.4, 2.4, 2.6, 2.4]),
        (4.0, vec![5.1, 3.9, 4.2, 5.0, 3.8, 3.9, 3.9, 3.9, 3.9, 4.0, 4.1, 3.8]),
        (6.0, vec![5.8, 5.7, 5.9, 5.9, 6.0, 6.1, 6.0, 6.1, 6.4, 6.3, 6.0, 6.1]),
        (8.0, vec![7.6, 7.7, 7.8, 7.7, 7.8, 7.8, 7.8, 7.7, 7.8, 7.5, 7.6, 7.7]),
        (10.0, vec![9.1, 9.3, 9.5, 9.3, 9.4, 9.5, 9.5, 9.5, 9.6, 9.2, 9.3, 9.4]),
    ];
    Linearity::of(&parts).expect("a line")
}

#[track_caller]
fn near(got: f64, wanted: f64) {
    assert!((got / wanted - 1.0).abs() < 1e-10, "{got:e} for {wanted:e}");
}

#[test]
fn the_example_of_the_manual() {
    let got = example();
    near(got.intercept.value, 0.736_666_666_666_666_7);
    near(got.intercept.standard_error, 0.072_524_272_591_612_63);
    near(got.intercept.t.expect("a t"), 10.157_518_860_132_1);
    near(got.intercept.p.expect("a p"), 1.733_799_595_462_300_7e-14);
    near(got.slope.value, -0.131_666_666_666_666_65);
    near(got.slope.standard_error, 0.010_933_445_471_810_683);
    near(got.slope.t.expect("a t"), -12.042_559_411_499_164);
    near(got.slope.p.expect("a p"), 2.037_715_582_285_798_6e-17);
    assert!((got.slope.interval.low + 0.153_552_34).abs() < 1e-8 && (got.slope.interval.high + 0.109_781).abs() < 1e-6);
    near(got.r_squared.expect("variation"), 0.714_318_415_932_242_3);
    near(got.sigma, 0.239_539_788_646_536_88);
    near(got.percent, 13.166_666_666_666_665);
    let biases: Vec<f64> = got.biases.iter().map(|(_, bias)| bias.clone().expect("a bias").bias).collect();
    for (got, wanted) in biases.into_iter().zip([0.491_666_666_7, 0.125, 0.025, -0.291_666_666_7, -0.616_666_666_7]) {
        assert!((got - wanted).abs() < 1e-9);
    }
}

#[test]
fn the_band_at_a_reference() {
    let got = example();
    let (bias, band) = got.at(7.0);
    near(bias, 0.736_666_666_666_666_7 - 7.0 * 0.131_666_666_666_666_65);
    assert!((band.low + 0.250_657_01).abs() < 1e-8 && (band.high + 0.119_342_99).abs() < 1e-8);
    assert!(!got.is_acceptable());
    let without = [(1.0, vec![0.9, 1.1]), (2.0, vec![2.1, 1.9]), (3.0, vec![2.95, 3.05])];
    assert!(Linearity::of(&without).expect("a line").is_acceptable());
}

#[test]
fn what_makes_no_line() {
    let error = |parts: &[(f64, Vec<f64>)]| Linearity::of(parts).expect_err("no line").to_string();
    assert!(error(&[(1.0, vec![1.0, 1.1])]).contains("linearity needs 3"));
    assert!(error(&[(1.0, vec![1.0, 1.1, 1.2])]).contains("2 or more different references"));
    assert!(error(&[(1.0, vec![1.0, f64::NAN]), (2.0, vec![2.0])]).contains("finite"));
    let exact = Linearity::of(&[(1.0, vec![1.0]), (2.0, vec![2.0]), (3.0, vec![3.0])]).expect("a line");
    assert_eq!((exact.slope.value, exact.slope.t, exact.r_squared), (0.0, None, None));
    assert!(exact.biases.iter().all(|(_, bias)| bias.is_err()));
}

/// The mean of ten times 0.1 is not 0.1.
#[test]
fn one_reference_is_no_line() {
    let readings = vec![0.1, 0.11, 0.09, 0.1, 0.12, 0.1, 0.1, 0.08, 0.1, 0.1];
    assert_eq!(Linearity::of(&[(0.1, readings)]), Err(Error::OneReference));
}
