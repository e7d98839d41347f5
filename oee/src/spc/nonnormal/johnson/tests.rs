use super::*;
use crate::seeded::Seeded;
use crate::spc::distribution::normal_quantile;

fn kinds() -> [Johnson; 4] {
    let of = |kind, gamma, eta, epsilon, lambda| Johnson { kind, gamma, eta, epsilon, lambda };
    [
        of(JohnsonKind::Su, 0.7, 1.3, 5.0, 2.0),
        of(JohnsonKind::Sb, -0.4, 0.9, 1.0, 6.0),
        of(JohnsonKind::Sb, 1.2, 1.6, -3.0, 0.5),
        of(JohnsonKind::Sl, 0.5, 1.8, 2.0, 1.0),
    ]
}

#[test]
fn four_exact_percentiles_give_the_parameters() {
    for wanted in kinds() {
        let got = Johnson::from_percentiles(0.6, [-1.8, -0.6, 0.6, 1.8].map(|z| wanted.value(z))).expect("a fit");
        assert_eq!(got.kind, wanted.kind);
        let pairs = [
            (got.gamma, wanted.gamma),
            (got.eta, wanted.eta),
            (got.epsilon, wanted.epsilon),
            (got.lambda, wanted.lambda),
        ];
        assert!(pairs.iter().all(|(got, wanted)| (got - wanted).abs() < 1e-6), "{got:?} for {wanted:?}");
    }
}

#[test]
fn scores_and_values_are_each_others_inverse() {
    for johnson in kinds() {
        for z in [-3.0, -1.0, 0.0, 0.5, 2.5] {
            let value = johnson.value(z);
            assert!((johnson.score(value) - z).abs() < 1e-9);
            let step = 1e-6;
            let slope = (johnson.score(value + step) - johnson.score(value - step)) / (2.0 * step);
            assert!((slope / johnson.slope(value) - 1.0).abs() < 1e-4, "{johnson:?} at {z}");
        }
    }
    let [_, sb, _, sl] = kinds();
    assert_eq!((sb.score(1.0), sb.score(7.0), sb.score(99.0)), (f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY));
    assert_eq!(sl.score(1.9), f64::NEG_INFINITY);
}

#[test]
fn values_of_a_johnson_distribution_become_normal() {
    let mut random = Seeded::new(5);
    for johnson in kinds() {
        let uniform = |random: &mut Seeded| (random.within(0, 1_000_000) as f64 + 0.5) / 1e6;
        let mut values: Vec<f64> = (0..500).map(|_| johnson.value(normal_quantile(uniform(&mut random)))).collect();
        values.sort_by(f64::total_cmp);
        let (fitted, test) = fit(&values).expect("a fit");
        assert!(test.p > 0.2, "{johnson:?}: {fitted:?} {test:?}");
        // The median to a tenth of the spread.
        let spread = johnson.value(1.0) - johnson.value(-1.0);
        assert!((fitted.value(0.0) - johnson.value(0.0)).abs() < 0.1 * spread);
    }
}

#[test]
fn percentiles_lie_between_neighbours() {
    let sorted = [1.0, 2.0, 4.0, 8.0];
    assert_eq!([0.5, 0.125, 0.0, 1.0].map(|p| percentile(&sorted, p)), [3.0, 1.0, 1.0, 8.0]);
}

#[test]
fn too_few_or_too_equal() {
    assert!(fit(&[1.0, 2.0, 3.0]).expect_err("none").to_string().contains("johnson needs 10"));
    let steps: Vec<f64> = (0..40).map(|i| f64::from(i / 39)).collect();
    assert_eq!(fit(&steps), Err(Error::NoTransformation));
}
