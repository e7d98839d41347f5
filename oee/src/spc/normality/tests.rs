use super::*;

#[test]
fn outliers_are_not_normal_and_too_few_are_not_judged() {
    let far = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1e6];
    let mean = far.iter().sum::<f64>() / 8.0;
    let sigma = (far.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 7.0).sqrt();
    let test = anderson_darling(&far, mean, sigma).expect("a test");
    assert!(test.p < 1e-6 && test.normal == Some(false), "{test:?}");
    assert_eq!(anderson_darling(&far[..5], 0.2, 0.16).expect("a test").normal, None);
    assert_eq!(anderson_darling(&far[..2], 0.05, 0.07), None);
    assert_eq!(anderson_darling(&[1.0; 9], 1.0, 0.0), None);
}

#[test]
fn p_falls_as_the_statistic_grows_and_is_a_probability() {
    let p: Vec<f64> = (0..40_000).map(|i| p_value(f64::from(i) * 0.01)).collect();
    assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
    // The four pieces meet within a thousandth.
    assert!(p.windows(2).all(|pair| pair[1] <= pair[0] + 1e-3));
}

#[test]
fn plotting_positions_are_symmetrical() {
    let (low, high) = (plotting_position(1, 9), plotting_position(9, 9));
    assert!((low.0 + high.0 - 1.0).abs() < 1e-15 && (low.1 + high.1).abs() < 1e-12);
    assert!((low.0 - 0.7 / 9.4).abs() < 1e-15 && plotting_position(5, 9).1.abs() < 1e-12);
}
