use super::*;

fn near(got: f64, wanted: f64) {
    assert!((got - wanted).abs() <= 1e-10 * wanted.abs().max(1e-2), "{got} for {wanted}");
}

/// The manual's example: 15 readings of a part of 6.0; it prints a mean of 6.0067. Figures are scipy's 1.17.
#[test]
fn the_example_of_the_manual() {
    let readings = [5.8, 5.7, 5.9, 5.9, 6.0, 6.1, 6.0, 6.1, 6.4, 6.3, 6.0, 6.1, 6.2, 5.6, 6.0];
    let got = Bias::of(&readings, 6.0).expect("a bias");
    near(got.bias, 0.006_666_666_666_665_044);
    near(got.sigma, 0.212_019_765_475_723_88);
    near(got.t.expect("a t"), 0.121_780_575_111_834_04);
    near(got.p.expect("a p"), 0.904_803_536_227_977);
    near(got.interval.low, -0.110_745_965_900_703_07);
    near(got.interval.high, 0.124_079_299_234_033_16);
    assert!(!got.is_significant());
    let (bias, sigma) = got.percent_of(2.5).expect("percent");
    near(bias, 100.0 * got.bias / 2.5);
    near(sigma, 100.0 * got.sigma / 2.5);
    assert_eq!(got.percent_of(0.0), None);
}

#[test]
fn too_little_and_no_spread() {
    assert!(Bias::of(&[1.0], 1.0).expect_err("none").to_string().contains("bias needs 2 or more"));
    assert!(Bias::of(&[1.0, f64::NAN], 1.0).is_err() && Bias::of(&[1.0, 2.0], f64::NAN).is_err());
    let equal = Bias::of(&[2.0, 2.0, 2.0], 1.5).expect("a bias");
    assert_eq!((equal.t, equal.p, equal.interval.low, equal.interval.high), (None, None, 0.5, 0.5));
    assert!(equal.is_significant());
}
