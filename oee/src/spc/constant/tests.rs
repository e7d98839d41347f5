use super::*;
use crate::spc::distribution::normal_cdf;

/// d2 and d3 from P(W ≤ w) = n ∫ φ(x) (Φ(x+w) − Φ(x))ⁿ⁻¹ dx and E f(W) by parts. Both integrands are smooth and fall to
/// nothing within the bounds, so the trapezoid rule converges faster than any power of its step; the one over w starts
/// at 0, where Simpson's rule is enough.
fn integrated(n: u32) -> (f64, f64) {
    let step = 1.0 / 16.0;
    let at = |i: i32| f64::from(i) * step;
    let phi = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let within = |x: f64, w: f64| {
        if x > 0.0 { normal_cdf(-x) - normal_cdf(-x - w) } else { normal_cdf(x + w) - normal_cdf(x) }
    };
    let beyond = |w: f64| {
        let one = |i: i32| phi(at(i)) * within(at(i), w).powi(n as i32 - 1);
        1.0 - f64::from(n) * step * (-160..=160).map(one).sum::<f64>()
    };
    let (panels, width) = (1_600, 0.01);
    let weight = |i: i32| if i == 0 || i == panels { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    let tails: Vec<f64> = (0..=panels).map(|i| beyond(f64::from(i) * width)).collect();
    let sum = |f: &dyn Fn(f64) -> f64| {
        let one = |i: i32| weight(i) * f(f64::from(i) * width) * tails[i as usize];
        (0..=panels).map(one).sum::<f64>() * width / 3.0
    };
    let d2 = sum(&|_| 1.0);
    (d2, (d2 * d2 + sum(&|w| 2.0 * (w - d2))).sqrt())
}

#[test]
fn the_table_and_the_polynomial_are_the_integrals() {
    for n in [2, 3, 7, 25, 60, 99, 100, 101, 173] {
        let (wanted_d2, wanted_d3) = integrated(n);
        assert!((d2(n) - wanted_d2).abs() < 2e-9, "d2({n}) {} {wanted_d2}", d2(n));
        assert!((d3(n) - wanted_d3).abs() < 2e-9, "d3({n}) {} {wanted_d3}", d3(n));
    }
}

#[test]
fn where_closed_forms_are_known() {
    let pi = std::f64::consts::PI;
    assert!((d2(2) - 2.0 / pi.sqrt()).abs() < 1e-15);
    assert!((d3(2) - (2.0 - 4.0 / pi).sqrt()).abs() < 1e-15);
    assert!((d2(3) - 3.0 / pi.sqrt()).abs() < 1e-14);
    assert!((c4(2) - (2.0 / pi).sqrt()).abs() < 1e-15);
    assert!((c4(3) - pi.sqrt() / 2.0).abs() < 1e-15);
}

#[test]
fn large_numbers_go_on_where_the_table_ends() {
    // c4(n) c4(n+1) = √((n−1)/n), from Γ(x+1) = x Γ(x).
    for n in [50_u32, 99, 100, 101, 1_000, 100_000] {
        let wanted = (f64::from(n - 1) / f64::from(n)).sqrt();
        assert!((c4(n) * c4(n + 1) - wanted).abs() < 1e-14, "{n}");
    }
    // By Gauss-Legendre integration elsewhere.
    for (n, wanted_d2, wanted_d3) in
        [(1_000, 6.482_871_538_266_877, 0.496_735_185_782_064), (250_000, 9.160_685_797_874_153, 0.369_926_291_269_849)]
    {
        assert!((d2(n) / wanted_d2 - 1.0).abs() < 2e-11 && (d3(n) / wanted_d3 - 1.0).abs() < 2e-11, "{n}");
    }
}

#[test]
fn fewer_than_two_values_have_no_factors() {
    assert!(Factors::of(0).is_none() && Factors::of(1).is_none() && Factors::of(2).is_some());
}
