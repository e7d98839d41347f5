//! Expected figures are those of scipy 1.17, its maximum likelihood estimates refined by solving their equations.

use super::*;
use crate::spc::normality::plotting_position;

const VALUES: [f64; 60] = [
    5.1, 8.386, 12.893, 2.006, 3.44, 26.329, 2.59, 4.549, 5.866, 9.81, 6.478, 10.689, 12.164, 3.657, 15.105, 14.399,
    21.703, 22.712, 16.657, 14.283, 8.297, 8.542, 9.302, 11.425, 19.893, 11.021, 14.179, 26.992, 1.787, 7.971, 12.655,
    6.305, 23.24, 7.906, 6.589, 13.657, 5.119, 8.933, 3.972, 2.342, 6.361, 6.844, 13.01, 10.817, 23.052, 8.492, 0.459,
    6.119, 5.571, 2.346, 0.946, 5.306, 22.821, 8.577, 11.412, 5.137, 4.329, 2.259, 11.097, 9.016,
];

fn fitted(family: Family) -> Fit {
    fit(family, &VALUES).expect("a fit")
}

fn of(spec: Spec, family: Family) -> Nonnormal {
    Nonnormal::of(&VALUES, &[5; 12], spec, SigmaMethod::Pooled, family).expect("a capability")
}

fn spec(lower: Option<f64>, upper: Option<f64>) -> Spec {
    Spec::new(lower, upper, None).expect("a specification")
}

#[track_caller]
fn near(got: f64, wanted: f64) {
    assert!((got / wanted - 1.0).abs() < 1e-9, "{got:e} for {wanted:e}");
}

#[test]
fn weibull() {
    let Fit { shape, goodness, log_likelihood } = fitted(Family::Weibull);
    let Shape::Weibull { shape: k, scale } = shape else { panic!("{shape:?}") };
    near(k, 1.545_975_384_541_858);
    near(scale, 10.995_690_724_188_721);
    near(log_likelihood, -189.839_979_517_578_12);
    near(shape.quantile(0.001_35), 0.153_177_493_223_669_78);
    near(shape.quantile(1.0 - 0.001_35), 37.296_016_362_178_01);
    near(shape.upper(40.0), 0.000_634_441_881_059_306);
    near(goodness.a2, 0.269_130_371_049_612_9);
    near(goodness.p.expect("a p"), fit::weibull_p(goodness.a2 * (1.0 + 0.2 / 60.0_f64.sqrt())));
    assert_eq!(goodness.fits, Some(true));
}

#[test]
fn gamma() {
    let Fit { shape, goodness, log_likelihood } = fitted(Family::Gamma);
    let Shape::Gamma { shape: k, scale } = shape else { panic!("{shape:?}") };
    near(k, 2.048_876_556_705_717_4);
    near(scale, 4.823_082_175_281_752);
    near(log_likelihood, -190.062_094_333_712_05);
    near(shape.quantile(0.001_35), 0.280_260_294_814_878_1);
    near(shape.quantile(1.0 - 0.001_35), 43.416_329_113_556_97);
    near(goodness.a2, 0.234_379_838_164_372_25);
    assert_eq!((goodness.p, goodness.fits), (None, Some(true)));
    let two_heaps: Vec<f64> = (0..60).map(|i| f64::from(i % 2 * 50 + 10 + i / 10)).collect();
    assert_eq!(fit(Family::Gamma, &two_heaps).expect("a fit").goodness.fits, Some(false));
}

#[test]
fn lognormal_and_exponential() {
    let Fit { shape, log_likelihood, .. } = fitted(Family::Lognormal);
    let Shape::Lognormal { mu, sigma } = shape else { panic!("{shape:?}") };
    near(mu, 2.027_246_379_621_255_6);
    near(sigma, 0.810_371_177_342_436_1);
    near(log_likelihood, -194.155_321_210_881_8);
    near(shape.quantile(0.001_35), 0.667_745_271_703_065_4);
    let Fit { shape, goodness, .. } = fitted(Family::Exponential);
    assert!(matches!(shape, Shape::Exponential { mean } if (mean - 9.8819).abs() < 1e-12));
    near(goodness.a2, 2.931_496_407_364_228_7);
    assert_eq!(goodness.fits, Some(false));
    near(goodness.p.expect("a p"), fit::exponential_p(goodness.a2 * 1.01));
}

#[test]
fn tails_of_the_exponential_test_are_those_of_simulated_samples() {
    // 200,000 samples of 30: how large A²(1 + 0.6/n) is at these tails.
    let p = fit::exponential_p;
    for (tail, a) in [(0.75, 0.3492), (0.5, 0.503), (0.25, 0.7427), (0.1, 1.0718), (0.05, 1.3304), (0.01, 1.9626)] {
        assert!((p(a) / tail - 1.0).abs() < 0.03, "{} for {tail}", p(a));
    }
    // MIL-HDBK-17 and D'Agostino & Stephens, table 4.17: 5 % at 0.757, 1 % at 1.038.
    assert!((fit::weibull_p(0.757) - 0.05).abs() < 1e-3 && (fit::weibull_p(1.038) - 0.01).abs() < 1e-3);
}

#[test]
fn box_cox_finds_the_power_and_rounds_it_within_its_interval() {
    let power = box_cox(&VALUES).expect("a power");
    assert!((power.best - 0.381_338_770_069_151_46).abs() < 1e-6, "{power:?}");
    assert!((power.interval.0 - 0.117_641_809).abs() < 1e-6 && (power.interval.1 - 0.669_338_775).abs() < 1e-6);
    assert_eq!(power.used, 0.5);
    // Logarithms, and not those of minus nothing.
    let values: Vec<f64> = (1..=99).map(|i| (0.3 * plotting_position(i, 99).1).exp()).collect();
    assert_eq!(fit(Family::BoxCox, &values).expect("a fit").shape.parameters()[0].1.to_string(), "0");
    // A root has no values below 0.
    let root = fitted(Family::BoxCox).shape;
    assert!([1e-9, 1e-4, 1e-3].into_iter().all(|p| root.quantile(p) >= 0.0) && root.quantile(1e-3) < 0.1);
    // A rounded power outside of the interval is not used.
    let values: Vec<f64> = (1..400).map(|i| (f64::from(i) / 400.0).powi(4)).collect();
    let power = box_cox(&values).expect("a power");
    assert_eq!(power.used, power.best);
}

#[test]
fn indices_by_percentiles() {
    let got = of(spec(Some(0.1), Some(40.0)), Family::Weibull);
    let [low, median, high] = got.percentiles;
    near(got.overall.potential.expect("both limits"), 39.9 / (high - low));
    near(got.overall.lower.expect("a lower limit"), (median - 0.1) / (median - low));
    near(got.overall.upper.expect("an upper limit"), (40.0 - median) / (high - median));
    assert_eq!(got.overall.smaller, got.overall.lower.map(|lower| lower.min(got.overall.upper.unwrap_or(lower))));
    near(got.expected_ppm.above.expect("an upper limit"), 634.441_881_059_306);
    assert_eq!(got.method, "weibull distribution by maximum likelihood; percentiles by ISO 22514-4");
    assert!(got.transformed.is_none() && got.reason.is_none());
}

#[test]
fn a_normal_fit_gives_the_normal_indices() {
    let spec = spec(Some(-20.0), Some(45.0));
    let normal = Capability::of(&VALUES, &[5; 12], spec, SigmaMethod::Pooled).expect("a capability");
    let (_, wanted) = normal.overall.expect("a sigma");
    let got = of(spec, Family::Normal).overall;
    for (got, wanted) in [(got.potential, wanted.potential), (got.lower, wanted.lower), (got.upper, wanted.upper)] {
        // X₀.₁₃₅ is at −2.99998 sigma.
        assert!(got.zip(wanted).is_some_and(|(got, wanted)| (got / wanted - 1.0).abs() < 1e-5));
    }
}

#[test]
fn indices_of_transformed_values() {
    let got = of(spec(Some(0.1), Some(40.0)), Family::BoxCox);
    assert_eq!(got.method, "Box-Cox transformation, lambda 0.5; indices of normal values");
    let transformed = got.transformed.expect("transformed values");
    // Any straight line of the powers gives the same indices: here √x.
    let roots: Vec<f64> = VALUES.iter().map(|value| value.sqrt()).collect();
    let wanted =
        Capability::of(&roots, &[5; 12], spec(Some(0.1_f64.sqrt()), Some(40.0_f64.sqrt())), SigmaMethod::Pooled);
    let wanted = wanted.expect("a capability");
    near(
        transformed.within.expect("a sigma").1.smaller.expect("an index"),
        wanted.within.expect("a sigma").1.smaller.expect("an index"),
    );
    let (_, overall) = wanted.overall.expect("a sigma");
    near(got.overall.potential.expect("both limits"), overall.potential.expect("both limits"));
    near(got.expected_ppm.total.expect("limits"), overall.expected_ppm.total.expect("limits"));

    let got = of(spec(None, Some(40.0)), Family::Johnson);
    assert!(got.method.starts_with("Johnson transformation S"), "{}", got.method);
    assert!(got.fit.goodness.p.is_some_and(|p| p > 0.3), "{:?}", got.fit);
}

#[test]
fn a_limit_beyond_reach_bounds_nothing() {
    for family in [Family::Weibull, Family::Gamma, Family::Exponential, Family::Lognormal, Family::BoxCox] {
        let got = of(spec(Some(-1.0), Some(40.0)), family);
        assert_eq!((got.overall.lower, got.overall.potential), (None, None), "{family:?}");
        assert_eq!(got.expected_ppm.below, Some(0.0), "{family:?}");
        assert!(got.overall.smaller.is_some() && got.reason.is_some());
    }
}

#[test]
fn quantiles_tails_and_densities_belong_together() {
    for family in Family::ALL {
        let shape = fitted(family).shape;
        assert_eq!(Family::parse(family.name()), Ok(shape.family()));
        // What a power above 0 leaves below 0 is a value of 0.
        let least = if family == Family::BoxCox { 0.01 } else { 1e-4 };
        for p in [least, 0.1, 0.5, 0.9, 0.999] {
            let x = shape.quantile(p);
            assert!((shape.lower(x) - p).abs() < 1e-9 && (shape.upper(x) - 1.0 + p).abs() < 1e-9, "{family:?} {p}");
        }
        let (from, to) = (shape.quantile(0.05), shape.quantile(0.95));
        let step = (to - from) / 2_000.0;
        let area: f64 = (0..2_000).map(|i| shape.density(from + (f64::from(i) + 0.5) * step) * step).sum();
        assert!((area - 0.9).abs() < 1e-5, "{family:?} {area}");
        assert!(shape.parameters().iter().all(|(_, value)| value.is_finite()));
    }
    assert!(plotting_position(1, 60).0 > 0.0);
}

#[test]
fn a_distribution_survives_being_written() {
    for family in Family::ALL {
        let shape = fitted(family).shape;
        assert_eq!(shape.to_string().parse(), Ok(shape), "{shape}");
    }
    assert_eq!(Shape::Weibull { shape: 2.5, scale: 10.0 }.to_string(), "weibull(shape=2.5, scale=10)");
    // However another program writes a number.
    let small = Ok(Shape::Normal { mean: 2e-7, sigma: 5e-8 });
    assert_eq!("normal(mean=2e-7, sigma=5e-8)".parse(), small);
    let wrong = [
        "",
        "weibull",
        "weibull()",
        "weibull(2.5, 10)",
        "weibull(scale=10, shape=2.5)",
        "weibull(shape=x, scale=10)",
        "johnson(gamma=1, eta=1, epsilon=1, lambda=1)",
        "normal(mean=1)",
        "pareto(shape=1, scale=2)",
        "normal(mean=0, sigma=-1)",
        "gamma(shape=0, scale=1)",
        "normal(mean=NaN, sigma=1)",
        "exponential(mean=0)",
    ];
    for text in wrong {
        assert!(text.parse::<Shape>().is_err(), "{text}");
    }
}

#[test]
fn what_cannot_be_fitted() {
    let error = |family, values: &[f64]| fit(family, values).expect_err("no fit").to_string();
    for family in [Family::Weibull, Family::Gamma, Family::Exponential, Family::Lognormal, Family::BoxCox] {
        assert!(error(family, &[1.0, 0.0, 2.0]).contains("above 0, and the smallest is 0"), "{family:?}");
    }
    for family in Family::ALL {
        assert!(error(family, &[2.0; 20]).contains("all values are equal"), "{family:?}");
        assert!(error(family, &[1.0, 2.0]).contains("needs 3 or more"), "{family:?}");
    }
    assert!(Family::parse("weibul").expect_err("unknown").to_string().contains("did you mean weibull?"));
}
