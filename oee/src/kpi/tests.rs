use super::{INDICATORS, Kpi};
use crate::SECOND_US;
use crate::energy::Energy;
use crate::machine::{Counts, FallOff, Report};
use crate::markdown::{OEE, tables};
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

/// A report in which every indicator has a value.
fn full() -> Report {
    let elements = Elements {
        changeover_us: 5 * SECOND_US,
        unplanned_us: 3 * SECOND_US,
        order_us: 70 * SECOND_US,
        no_order_us: 2 * SECOND_US,
        order_production_us: 50 * SECOND_US,
        order_busy_us: 55 * SECOND_US,
        unknown_us: 10 * SECOND_US,
        ..report(80, 60, 5.0).elements
    };
    let counts = Counts { total: 5.0, good: 3.0, scrap: 2.0, rework: Some(1.0), uncounted: 0.0 };
    let fall_off = Some(FallOff { first_total: 8.0, scrap: 2.0 });
    let energy = Some(Energy::of(6.0));
    let resources = Report { energy, cost: Some(12.0), fall_off, ..report(80, 60, 5.0) };
    Report { elements, counts, unplanned_stops: 2, planned_scrap: 4.0, ..resources }
}

#[test]
fn every_ratio_is_among_the_indicators() {
    // Whoever adds a field has to add it here, and so to the list.
    let Kpi {
        availability,
        performance,
        quality,
        oee,
        ooe,
        teep,
        utilization,
        mttr_s,
        mtbf_s,
        mttf_s,
        allocation_efficiency,
        utilization_efficiency,
        technical_efficiency,
        setup_ratio,
        quality_ratio,
        scrap_ratio,
        rework_ratio,
        actual_to_planned_scrap_ratio,
        fall_off_ratio,
        first_pass_yield,
        throughput_per_h,
        production_process_ratio,
        allocation_ratio,
        oee_index,
        nee,
        equipment_load_ratio,
        energy_per_good_piece_kwh,
        energy_per_piece_kwh,
        cost_per_good_piece,
        reason: _,
    } = full().kpi();
    let fields = [
        ("availability", availability),
        ("performance", performance),
        ("quality", quality),
        ("oee", oee),
        ("ooe", ooe),
        ("teep", teep),
        ("utilization", utilization),
        ("mttr_s", mttr_s),
        ("mtbf_s", mtbf_s),
        ("mttf_s", mttf_s),
        ("allocation_efficiency", allocation_efficiency),
        ("utilization_efficiency", utilization_efficiency),
        ("technical_efficiency", technical_efficiency),
        ("setup_ratio", setup_ratio),
        ("quality_ratio", quality_ratio),
        ("scrap_ratio", scrap_ratio),
        ("rework_ratio", rework_ratio),
        ("actual_to_planned_scrap_ratio", actual_to_planned_scrap_ratio),
        ("fall_off_ratio", fall_off_ratio),
        ("first_pass_yield", first_pass_yield),
        ("throughput_per_h", throughput_per_h),
        ("production_process_ratio", production_process_ratio),
        ("allocation_ratio", allocation_ratio),
        ("oee_index", oee_index),
        ("nee", nee),
        ("equipment_load_ratio", equipment_load_ratio),
        ("energy_per_good_piece_kwh", energy_per_good_piece_kwh),
        ("energy_per_piece_kwh", energy_per_piece_kwh),
        ("cost_per_good_piece", cost_per_good_piece),
    ];
    let kpi = full().kpi();
    let listed = INDICATORS.map(|indicator| (indicator.name, (indicator.value)(&kpi)));
    assert_eq!(listed, fields);
    assert!(listed.iter().all(|(_, value)| value.is_some()), "{listed:?}");
}

#[test]
fn the_document_lists_the_indicators() {
    let documented = tables(OEE);
    let table = documented.iter().find(|table| table.heading == "Ratios").expect("a table of ratios");
    assert_eq!(table.titles, ["ratio", "formula", "unit", "source", "NULL when"]);
    let row = |indicator: &super::Indicator| {
        let texts = [indicator.formula, indicator.unit, indicator.source, indicator.null_when];
        std::iter::once(format!("`{}`", indicator.name)).chain(texts.map(str::to_owned)).collect::<Vec<_>>()
    };
    let expected: Vec<Vec<String>> = INDICATORS.iter().map(row).collect();
    for (row, expected) in table.rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    assert_eq!(table.rows.len(), expected.len());
}

#[test]
fn the_standards_elements_are_sums_of_time() {
    let time = full().elements;
    let seconds = |us: i64| us / SECOND_US;
    assert_eq!([time.production_us(), time.setup_us(), time.processing_us()].map(seconds), [60, 5, 65]);
    assert_eq!([time.delay_us(), time.busy_us(), time.down_us()].map(seconds), [3, 68, 12]);
    assert_eq!([time.planned_busy_us(), time.order_execution_us(), time.able_us()].map(seconds), [80, 70, 67]);
    assert_eq!(full().kpi().mttf_s, Some(67.0 / 2.0));
}

#[test]
fn planned_scrap_is_known_of_all_pieces_or_not_at_all() {
    assert_eq!(full().kpi().actual_to_planned_scrap_ratio, Some(0.5));
    let partly = Report { missing_planned_scrap: true, ..full() };
    assert_eq!((partly.planned_scrap(), partly.kpi().actual_to_planned_scrap_ratio), (None, None));
    let mut sum = full();
    sum.merge(&full());
    assert_eq!((sum.planned_scrap(), sum.kpi().actual_to_planned_scrap_ratio), (Some(8.0), Some(0.5)));
    sum.merge(&partly);
    assert_eq!(sum.planned_scrap(), None);
}

#[test]
fn only_lines_have_a_fall_off_ratio() {
    assert_eq!(full().kpi().fall_off_ratio, Some(0.25));
    let mut sum = full();
    sum.merge(&full());
    assert_eq!(sum.kpi().fall_off_ratio, Some(0.25));
    sum.merge(&report(80, 60, 5.0));
    assert_eq!(sum.kpi().fall_off_ratio, None);
}

#[test]
fn energy_and_cost_are_known_of_all_machines_or_not_at_all() {
    let per_piece = |report: &Report| (report.kpi().energy_per_good_piece_kwh, report.kpi().cost_per_good_piece);
    assert_eq!(per_piece(&full()), (Some(2.0), Some(4.0)));
    let mut sum = Report::default();
    sum.merge(&full());
    sum.merge(&Report::default());
    sum.merge(&full());
    assert_eq!(sum.energy, Some(Energy::of(12.0)), "an empty window takes nothing away");
    assert_eq!(per_piece(&sum), (Some(2.0), Some(4.0)));
    sum.merge(&report(80, 60, 5.0));
    assert_eq!((sum.energy, per_piece(&sum)), (None, (None, None)));
    let made = Report { counts: Counts { total: 4.0, good: 3.0, scrap: 1.0, ..Counts::default() }, ..full() };
    let energy = made.energy.expect("a meter").total_kwh;
    assert_eq!((per_piece(&made).0, made.kpi().energy_per_piece_kwh), (Some(energy / 3.0), Some(energy / 4.0)));
    let nothing_good = Report { counts: Counts::default(), ..full() };
    assert_eq!(per_piece(&nothing_good), (None, None));
}
