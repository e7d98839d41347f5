use crate::SECOND_US;
use crate::machine::{Counts, Report};
use crate::time_element::Elements;

fn report(scheduled_s: i64, run_s: i64, total: f64) -> Report {
    let elements = Elements {
        calendar_us: 100 * SECOND_US,
        scheduled_us: scheduled_s * SECOND_US,
        not_scheduled_us: (100 - scheduled_s) * SECOND_US,
        planned_production_us: scheduled_s * SECOND_US,
        run_us: run_s * SECOND_US,
        unknown_us: (scheduled_s - run_s) * SECOND_US,
        ..Elements::default()
    };
    let counts = Counts { total, good: total, ..Counts::default() };
    Report { elements, counts, ideal_total_s: 10.0 * total, ideal_good_s: 10.0 * total, ..Report::default() }
}

#[test]
fn the_factors_multiply_to_oee() {
    let mut mixed = report(80, 60, 7.0);
    mixed.counts.good = 5.0;
    mixed.ideal_good_s = 45.0;
    let kpi = mixed.kpi();
    let product = kpi.availability.zip(kpi.performance).zip(kpi.quality).map(|((a, p), q)| a * p * q);
    assert!(product.zip(kpi.oee).is_some_and(|(product, oee)| (product - oee).abs() < 1e-12));
}

#[test]
fn performance_is_not_capped() {
    assert_eq!(report(80, 40, 8.0).kpi().performance, Some(2.0));
}

#[test]
fn a_zero_denominator_gives_none_and_says_why() {
    let why = |report: Report| report.kpi().reason.unwrap_or_default();
    assert_eq!(why(report(0, 0, 0.0)), "no planned production time in the window");
    assert_eq!(why(report(80, 0, 0.0)), "no production time in the window");
    assert_eq!(why(report(80, 60, 0.0)), "no pieces in the window");
    assert_eq!(why(report(80, 60, 6.0)), "");
    let kpi = report(80, 60, 0.0).kpi();
    assert_eq!((kpi.performance, kpi.quality, kpi.oee, kpi.mttr_s), (Some(0.0), None, Some(0.0), None));
}
