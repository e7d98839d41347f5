use std::sync::Arc;

use jiff::civil::date;

use super::{Inputs, Job, Machine, Report};
use crate::calendar::Shift;
use crate::count::{Detail, Piece};
use crate::energy::{Consumption, Rates};
use crate::loss::Loss;
use crate::seeded::Seeded;
use crate::state::{Category, RecordKind, StateRecord, StateSpan, StateValue, timeline};
use crate::{OPEN, SECOND_US};

const MINUTE_US: i64 = 60 * SECOND_US;

fn value(state: &str, category: Option<Category>, reason: Option<&str>) -> StateValue {
    StateValue::new(state, category, reason.map(Arc::from))
}

fn stop(start: i64, end: i64, category: Category, reason: &str) -> StateSpan {
    StateSpan { start, end, value: value("stop", Some(category), Some(reason)) }
}

fn run(start: i64, end: i64) -> StateSpan {
    StateSpan { start, end, value: value("run", Some(Category::Run), None) }
}

fn shift(start: i64, end: i64, breaks: &[(i64, i64)]) -> Shift {
    Shift { name: "early".to_owned(), production_day: date(2025, 1, 14), start, end, breaks: breaks.to_vec() }
}

fn job(start: i64, end: i64, product: &str, ideal_cycle_s: Option<f64>) -> Job {
    let product = Some(Arc::from(product));
    Job { start, end, work_order: Some(Arc::from("WO1")), product, ideal_cycle_s, planned_scrap_ratio: Some(0.25) }
}

fn inputs(states: Vec<StateSpan>) -> Inputs {
    Inputs {
        shifts: vec![shift(0, 480 * MINUTE_US, &[(100 * MINUTE_US, 115 * MINUTE_US)])],
        states,
        jobs: vec![job(0, OPEN, "P", Some(10.0))],
        pieces: Some(Vec::new()),
        energy: None,
        rates: Rates::default(),
        microstop_threshold_us: 2 * MINUTE_US,
        startup_us: 0,
    }
}

fn any_inputs(random: &mut Seeded) -> Inputs {
    let mut t = random.within(-50, 50) * MINUTE_US;
    let mut shifts = Vec::new();
    for _ in 0..random.within(0, 4) {
        let end = t + random.within(60, 300) * MINUTE_US;
        let rest = t + random.within(0, 30) * MINUTE_US;
        let breaks = [(rest, rest + random.within(1, 20) * MINUTE_US)];
        shifts.push(shift(t, end, &breaks[..usize::from(random.chance(70))]));
        t = end + random.within(0, 2) * random.within(0, 200) * MINUTE_US;
    }
    let categories = [
        Some(Category::Run),
        Some(Category::Unplanned),
        Some(Category::Planned),
        Some(Category::Changeover),
        Some(Category::NoOrder),
        None,
    ];
    let records = (0..random.within(0, 60)).map(|_| StateRecord {
        start: random.within(-100, 1000) * MINUTE_US + random.within(0, 5) * 7_000_001,
        end: None,
        recorded: 0,
        value: value("s", random.pick(&categories), random.chance(50).then_some("R")),
    });
    let states = timeline(RecordKind::Change, records.collect());
    let mut jobs = Vec::new();
    let mut t = 0;
    for product in ["A", "B", "A"] {
        t += random.within(0, 50) * MINUTE_US;
        let end = t + random.within(1, 300) * MINUTE_US;
        jobs.push(job(t, end, product, Some(random.within(1, 50) as f64 / 2.0)));
        t = end;
    }
    let count = random.within(0, 200);
    let pieces = (0..count).map(|_| {
        let time = random.within(-100, 1000) * MINUTE_US;
        let (total, scrap) = (random.within(0, 20) as f64, random.within(0, 3) as f64);
        Piece::new(time, total, scrap).with(Detail {
            rework: random.chance(50).then(|| random.within(0, 2) as f64),
            reason: random.chance(50).then(|| random.pick(&["BURR", "SIZE"]).into()),
            uninspected: random.chance(5),
            unjudged: random.chance(5).then(|| crate::count::Unjudged::Result("SORT".into())),
        })
    });
    let pieces = Some(pieces.collect());
    let mut read = -100 * MINUTE_US;
    let steps = random.within(0, 200);
    let energy = (0..steps).map(|_| {
        let previous = read;
        read += random.within(1, 20 * MINUTE_US);
        Consumption::between(previous, read, random.within(1, 50) as f64)
    });
    let energy = Some(energy.collect());
    Inputs {
        shifts,
        states,
        jobs,
        pieces,
        energy,
        rates: Rates { cost_per_hour: Some(60.0), energy_price_per_kwh: Some(0.25) },
        microstop_threshold_us: random.within(0, 10) * MINUTE_US,
        startup_us: random.within(0, 30) * MINUTE_US,
    }
}

fn assert_partition(report: &Report, place: &str) {
    let time = &report.elements;
    assert_eq!(time.calendar_us, report.end - report.start, "{place}");
    assert_eq!(time.calendar_us, time.not_scheduled_us + time.scheduled_us, "{place}");
    let planned = time.planned_break_us + time.planned_downtime_us + time.planned_production_us;
    assert_eq!(time.scheduled_us, planned, "{place}");
    let parts =
        [time.run_us, time.microstop_us, time.changeover_us, time.unplanned_us, time.no_order_us, time.unknown_us];
    assert_eq!(time.planned_production_us, parts.iter().sum::<i64>(), "{place}");
    assert_eq!(time.planned_production_us, time.busy_us() + time.down_us(), "{place}");
    assert!(parts.iter().all(|us| *us >= 0) && time.delay_us() >= 0, "{place}: {time:?}");
}

fn assert_same_resources(sum: &Report, whole: &Report, place: &str) {
    let (one, other) = sum.energy.zip(whole.energy).expect("a meter");
    let (cost, whole_cost) = sum.cost.zip(whole.cost).expect("rates");
    for (one, other) in [(one.total_kwh, other.total_kwh), (cost, whole_cost)] {
        assert!((one - other).abs() < 1e-6, "{place}: {one} {other}");
    }
    for loss in Loss::ALL {
        let (one, other) = (one.lost_kwh(loss), other.lost_kwh(loss));
        assert_eq!(one.is_some(), loss.is_of_idle_time(), "{place}");
        assert!((one.unwrap_or(0.0) - other.unwrap_or(0.0)).abs() < 1e-6, "{place} {loss:?}: {one:?} {other:?}");
    }
}

#[test]
fn time_elements_partition_every_window() {
    for seed in 0..300 {
        let mut random = Seeded::new(seed);
        let machine = Machine::new(any_inputs(&mut random));
        for _ in 0..10 {
            let from = random.within(-200, 1100) * MINUTE_US + random.within(0, MINUTE_US);
            let (to, now) = (from + random.within(0, 500) * MINUTE_US, random.within(0, 1100) * MINUTE_US);
            let report = machine.report(from, to, now);
            assert_partition(&report, &format!("seed {seed}"));
            let left_s = report.waterfall().last().and_then(|step| step.left_s).expect("ideal times are known");
            assert!((left_s - report.ideal_good_s).abs() < 1e-6, "seed {seed}: {left_s}");
        }
    }
}

#[test]
fn reports_add_up_over_any_split() {
    for seed in 0..300 {
        let mut random = Seeded::new(seed);
        let machine = Machine::new(any_inputs(&mut random));
        let (from, to, now) = (-150 * MINUTE_US, 1050 * MINUTE_US, random.within(0, 1100) * MINUTE_US);
        let whole = machine.report(from, to, now);
        let mut cuts: Vec<i64> = (0..random.within(1, 20)).map(|_| random.within(from, to)).collect();
        cuts.extend([from, to]);
        cuts.sort_unstable();
        let mut sum = machine.report(from, from, now);
        for pair in cuts.windows(2) {
            sum.merge(&machine.report(pair[0], pair[1], now));
        }
        assert_eq!(sum.elements, whole.elements, "seed {seed}");
        assert_eq!(sum.counts, whole.counts, "seed {seed}");
        assert!((sum.ideal_total_s - whole.ideal_total_s).abs() < 1e-6, "seed {seed}");
        assert!((sum.ideal_good_s - whole.ideal_good_s).abs() < 1e-6, "seed {seed}");
        assert_eq!(sum.planned_scrap, whole.planned_scrap, "seed {seed}: quarters of whole pieces are exact");
        assert_same_resources(&sum, &whole, &format!("seed {seed}"));
        assert_eq!(sum.missing_planned_scrap, whole.missing_planned_scrap, "seed {seed}");
        for order in &whole.orders {
            let parts =
                sum.orders.iter().filter(|o| o.product == order.product && o.ideal_cycle_s == order.ideal_cycle_s);
            assert_eq!(parts.map(|o| o.total).sum::<f64>(), order.total, "seed {seed}");
        }
        assert!(sum.unplanned_stops >= whole.unplanned_stops || sum.microstops >= whole.microstops, "seed {seed}");
    }
}

#[test]
fn every_second_lands_where_the_rule_says() {
    for seed in 0..60 {
        let mut random = Seeded::new(seed);
        let inputs = any_inputs(&mut random);
        let machine = Machine::new(inputs.clone());
        let now = 900 * MINUTE_US;
        for t in (0..1000).map(|minute| minute * MINUTE_US + 500_000) {
            let covers = |start: i64, end: i64| start <= t && t < end;
            let shift = inputs.shifts.iter().find(|shift| covers(shift.start, shift.end));
            let rest = shift.is_some_and(|shift| shift.breaks.iter().any(|&(start, end)| covers(start, end)));
            let span = inputs.states.iter().find(|span| covers(span.start, span.end));
            let short = span.is_some_and(|span| span.end.min(now) - span.start < inputs.microstop_threshold_us);
            let time = machine.report(t, t + 1, now).elements;
            let found = match (t < now, shift.is_some(), rest, span.and_then(|span| span.value.category)) {
                (false, ..) => 1 - time.calendar_us,
                (_, false, ..) => time.not_scheduled_us,
                (_, _, true, _) => time.planned_break_us,
                (.., Some(Category::Planned)) => time.planned_downtime_us,
                (.., Some(Category::Run)) => time.run_us,
                (.., Some(Category::Changeover)) => time.changeover_us,
                (.., Some(Category::NoOrder)) => time.no_order_us,
                (.., Some(Category::Unplanned)) if short => time.microstop_us,
                (.., Some(Category::Unplanned)) => time.unplanned_us,
                (.., None) => time.unknown_us,
            };
            assert_eq!(found, 1, "seed {seed} at {t}: {time:?}");
        }
    }
}

#[test]
fn the_threshold_is_strict_and_tests_the_whole_stop() {
    let at = 200 * MINUTE_US;
    let exact = Machine::new(inputs(vec![run(0, at), stop(at, at + 2 * MINUTE_US, Category::Unplanned, "JAM")]));
    assert_eq!(exact.report(at, at + MINUTE_US, OPEN).elements.unplanned_us, MINUTE_US);
    let short = Machine::new(inputs(vec![run(0, at), stop(at, at + 2 * MINUTE_US - 1, Category::Unplanned, "JAM")]));
    assert_eq!(short.report(at, at + MINUTE_US, OPEN).elements.microstop_us, MINUTE_US);
}

#[test]
fn an_open_stop_is_measured_to_now() {
    let at = 200 * MINUTE_US;
    let machine = Machine::new(inputs(vec![run(0, at), stop(at, OPEN, Category::Unplanned, "JAM")]));
    let early = machine.report(0, OPEN, at + MINUTE_US);
    assert_eq!((early.microstops, early.unplanned_stops, early.provisional), (1, 0, true));
    let late = machine.report(0, OPEN, at + 2 * MINUTE_US);
    assert_eq!((late.microstops, late.unplanned_stops, late.provisional), (0, 1, false));
}

#[test]
fn a_stop_within_a_break_is_no_stop() {
    let states = vec![
        run(0, 100 * MINUTE_US),
        stop(100 * MINUTE_US, 110 * MINUTE_US, Category::Unplanned, "JAM"),
        run(110 * MINUTE_US, OPEN),
    ];
    let report = Machine::new(inputs(states)).report(0, 200 * MINUTE_US, OPEN);
    assert_eq!(report.unplanned_stops, 0);
    assert_eq!(report.elements.planned_break_us, 15 * MINUTE_US);
    assert_eq!(report.elements.run_outside_planned_production_us, 5 * MINUTE_US);
}

#[test]
fn a_stop_counts_from_a_second_of_planned_production_on() {
    let (at, break_at) = (200 * MINUTE_US, 100 * MINUTE_US);
    let stops = |start: i64, end: i64| {
        let states = vec![run(0, start), stop(start, end, Category::Unplanned, "JAM"), run(end, OPEN)];
        Machine::new(inputs(states)).report(0, 300 * MINUTE_US, OPEN).microstops
    };
    assert_eq!((stops(at, at + SECOND_US - 1), stops(at, at + SECOND_US)), (0, 1));
    assert_eq!(stops(break_at - SECOND_US + 1, break_at + MINUTE_US), 0);
}

#[test]
fn stops_say_where_the_time_went() {
    let minutes = |start: i64, end: i64, category, reason| stop(start * MINUTE_US, end * MINUTE_US, category, reason);
    let machine = Machine::new(inputs(vec![
        minutes(10, 20, Category::Unplanned, "JAM"),
        minutes(20, 21, Category::Unplanned, "SHORT"),
        minutes(30, 50, Category::Planned, "CLEANING"),
        minutes(95, 120, Category::Unplanned, "JAM"),
        run(120 * MINUTE_US, 470 * MINUTE_US),
        minutes(470, 500, Category::Changeover, "SETUP"),
    ]));
    let stops = machine.stops(15 * MINUTE_US, 600 * MINUTE_US, 490 * MINUTE_US);
    let found: Vec<_> =
        stops.iter().map(|s| (s.start / MINUTE_US, s.in_window_us / MINUTE_US, s.counted_us / MINUTE_US)).collect();
    assert_eq!(found, [(10, 5, 5), (20, 1, 1), (30, 20, 20), (95, 25, 10), (470, 20, 10)]);
    assert_eq!(stops.iter().map(|stop| stop.microstop).collect::<Vec<_>>(), [false, true, false, false, false]);
    assert_eq!(stops[4].end, None);
    let report = machine.report(15 * MINUTE_US, 600 * MINUTE_US, 490 * MINUTE_US);
    let unplanned = stops.iter().filter(|stop| stop.value.category == Some(Category::Unplanned) && !stop.microstop);
    assert_eq!(unplanned.map(|stop| stop.counted_us).sum::<i64>(), report.elements.unplanned_us);
}

#[test]
fn state_intervals_fill_the_window() {
    let lost = StateSpan { start: 30, end: 40, value: value("?", None, None) };
    let machine = Machine::new(inputs(vec![run(10, 30), lost, run(40, OPEN)]));
    let found = machine.state_intervals(0, 100, 50);
    let bounds: Vec<_> = found.iter().map(|i| (i.start, i.end, i.value.is_some(), i.open)).collect();
    assert_eq!(bounds, [(0, 10, false, false), (10, 30, true, false), (30, 40, true, false), (40, 50, true, true)]);
    assert_eq!(machine.state_intervals(60, 100, 50), []);
    assert_eq!(machine.state_intervals(15, 20, 50)[0].start, 15);
}

#[test]
fn pieces_outside_orders_are_uncounted() {
    let mut given = inputs(vec![run(0, OPEN)]);
    given.jobs = vec![job(10, 20, "P", Some(10.0))];
    let at = |time| Piece::new(time, 2.0, 1.0);
    given.pieces = Some([5, 10, 19, 20].map(at).to_vec());
    let report = Machine::new(given).report(0, 100, 100);
    assert_eq!((report.counts.total, report.counts.good, report.counts.scrap), (4.0, 2.0, 2.0));
    assert_eq!(report.counts.uncounted, 4.0);
    assert_eq!(report.planned_scrap(), Some(1.0), "a quarter of what was counted");
    assert!(report.kpi().reason.is_some_and(|reason| reason.starts_with("4 pieces were made while no order")));
}

#[test]
fn without_an_ideal_cycle_time_there_is_no_performance() {
    let mut given = inputs(vec![run(0, OPEN)]);
    given.jobs = vec![job(0, 1000, "A", Some(10.0)), job(1000, OPEN, "B", None)];
    given.pieces = Some([500, 1500].map(|time| Piece::new(time, 10.0, 1.0)).to_vec());
    let machine = Machine::new(given);
    let known = machine.report(0, 1000, OPEN).kpi();
    assert!(known.oee.is_some() && known.reason.is_none());
    let unknown = machine.report(0, 2000, OPEN);
    let kpi = unknown.kpi();
    assert_eq!((kpi.performance, kpi.oee, kpi.ooe, kpi.teep, kpi.quality), (None, None, None, None, None));
    assert_eq!(kpi.reason.as_deref(), Some("no ideal cycle time for product B"));
    assert_eq!((kpi.availability, kpi.quality_ratio), (Some(1.0), Some(0.9)));
    assert_eq!(unknown.lost_s(Loss::ReducedSpeed), None);
    assert_eq!(unknown.waterfall().last().and_then(|step| step.left_s), None);
    // With one product the ideal cycle time cancels out of quality.
    assert_eq!(machine.report(1000, 2000, OPEN).kpi().quality, Some(0.9));
}

#[test]
fn without_counts_there_is_no_performance() {
    let mut given = inputs(vec![run(0, OPEN)]);
    given.pieces = None;
    let kpi = Machine::new(given).report(0, MINUTE_US, OPEN).kpi();
    assert_eq!((kpi.availability, kpi.performance, kpi.oee), (Some(1.0), None, None));
    assert!(kpi.reason.is_some_and(|reason| reason.starts_with("nothing counts pieces here")));
}

#[test]
fn a_window_in_the_future_is_empty() {
    let report = Machine::new(inputs(vec![run(0, OPEN)])).report(100, 200, 50);
    assert_eq!((report.start, report.end, report.elements.calendar_us), (100, 100, 0));
    assert_eq!(report.kpi().reason.as_deref(), Some("the window is empty or lies in the future"));
}

#[test]
fn groups_by_job_add_up_to_the_window() {
    for seed in 0..300 {
        let mut random = Seeded::new(seed);
        let mut given = any_inputs(&mut random);
        for job in given.jobs.iter_mut().skip(1) {
            job.work_order = random.chance(70).then(|| Arc::from(random.pick(&["WO1", "WO2"]).to_string()));
        }
        let machine = Machine::new(given);
        let from = random.within(-200, 600) * MINUTE_US;
        let to = from + random.within(1, 900) * MINUTE_US;
        let whole = machine.report(from, to, to);
        let values: [fn(&Job) -> Option<&str>; 2] = [|job| job.work_order.as_deref(), |job| job.product.as_deref()];
        for value in values {
            let groups = machine.by_job(from, to, value);
            let mut sum: Option<Report> = None;
            for (_, stretches) in &groups {
                let report = machine.report_over(stretches, to).expect("a stretch");
                assert_partition(&report_of_length(&report), &format!("seed {seed}"));
                match &mut sum {
                    Some(sum) => sum.merge(&report),
                    None => sum = Some(report),
                }
            }
            let sum = sum.expect("a group");
            assert_eq!((&sum.elements, sum.counts), (&whole.elements, whole.counts), "seed {seed}");
            assert!((sum.ideal_total_s - whole.ideal_total_s).abs() < 1e-6, "seed {seed}");
            assert!((sum.ideal_startup_scrap_s - whole.ideal_startup_scrap_s).abs() < 1e-6, "seed {seed}");
            assert_same_resources(&sum, &whole, &format!("seed {seed}"));
            let mut values: Vec<_> = groups.iter().map(|(value, _)| value).collect();
            values.sort();
            values.dedup();
            assert_eq!(values.len(), groups.len(), "seed {seed}: each value once");
        }
    }
}

/// The report of stretches as that of one window as long as they are together.
fn report_of_length(report: &Report) -> Report {
    Report { start: 0, end: report.elements.calendar_us, ..report.clone() }
}

#[test]
fn scrap_after_a_changeover_or_another_product_is_that_of_starting_up() {
    let changeover = StateSpan { start: 100, end: 200, value: value("setup", Some(Category::Changeover), None) };
    let mut given = inputs(vec![run(0, 100), changeover, run(200, OPEN)]);
    given.startup_us = 50;
    given.jobs = vec![job(0, 400, "A", Some(1.0)), job(400, 600, "A", Some(1.0)), job(600, OPEN, "B", Some(2.0))];
    // Before; in the changeover, which is no start-up yet; in the first instant; in the first after it; at an order of the
    // same product; at another product.
    let at = |time| Piece::new(time, 3.0, 1.0);
    given.pieces = Some([99, 150, 200, 250, 410, 649, 650].map(at).to_vec());
    let report = Machine::new(given.clone()).report(0, 1_000, OPEN);
    assert_eq!(report.lost_s(Loss::StartupRejects), Some(1.0 + 2.0));
    assert_eq!(report.lost_s(Loss::ProductionRejects), Some(4.0 + 2.0));
    given.startup_us = 0;
    assert_eq!(Machine::new(given).report(0, 1_000, OPEN).lost_s(Loss::StartupRejects), Some(0.0));
}

#[test]
fn the_waterfall_goes_from_calendar_time_to_fully_productive_time() {
    let stopped = stop(0, 10 * MINUTE_US, Category::Unplanned, "R");
    let mut given = inputs(vec![stopped, run(10 * MINUTE_US, OPEN)]);
    given.pieces =
        Some(vec![Piece::new(20 * MINUTE_US, 60.0, 6.0).with(Detail { rework: Some(2.0), ..Detail::default() })]);
    let report = Machine::new(given).report(-60 * MINUTE_US, 60 * MINUTE_US, OPEN);
    let steps: Vec<(&str, f64, f64)> = report
        .waterfall()
        .iter()
        .map(|step| (step.loss.name(), step.lost_s.expect("known"), step.left_s.expect("known")))
        .filter(|(_, lost_s, _)| *lost_s != 0.0)
        .collect();
    let expected = [
        ("not_scheduled", 3_600.0, 3_600.0),
        ("unplanned", 600.0, 3_000.0),
        ("reduced_speed", 2_400.0, 600.0),
        ("production_rejects", 60.0, 540.0),
    ];
    assert_eq!(steps, expected);
    let kpi = report.kpi();
    assert_eq!((kpi.rework_ratio, kpi.first_pass_yield), (Some(2.0 / 60.0), Some(52.0 / 60.0)));
    // The order began with the shift.
    assert_eq!((report.elements.order_us, kpi.throughput_per_h), (60 * MINUTE_US, Some(60.0)));
    assert_eq!(kpi.production_process_ratio, Some(50.0 / 60.0));
    assert_eq!(kpi.allocation_ratio, Some(1.0));
}

#[test]
fn energy_belongs_to_the_order_and_the_state_of_its_time() {
    let mut given = inputs(vec![run(0, 60 * MINUTE_US), stop(60 * MINUTE_US, OPEN, Category::Unplanned, "JAM")]);
    given.jobs =
        vec![job(0, 50 * MINUTE_US, "A", Some(1.0)), Job { work_order: None, ..job(50 * MINUTE_US, OPEN, "B", None) }];
    let minutes = |minute: i64| minute * MINUTE_US;
    given.energy = Some(vec![
        Consumption::between(minutes(45), minutes(55), 10.0),
        Consumption::between(minutes(55), minutes(65), 20.0),
    ]);
    given.rates = Rates { cost_per_hour: Some(30.0), energy_price_per_kwh: Some(0.5) };
    let machine = Machine::new(given);
    let whole = machine.report(0, minutes(120), OPEN);
    let energy = whole.energy.expect("a meter");
    assert_eq!((energy.total_kwh, energy.idle_kwh(), energy.lost_kwh(Loss::Unplanned)), (30.0, 10.0, Some(10.0)));
    assert_eq!(whole.cost, Some(2.0 * 30.0 + 30.0 * 0.5));
    let orders = machine.by_job(0, minutes(120), |job| job.work_order.as_deref());
    let kwh = orders.iter().map(|(order, stretches)| {
        let energy = machine.report_over(stretches, OPEN).and_then(|report| report.energy);
        (*order, energy.map(|energy| energy.total_kwh))
    });
    assert_eq!(kwh.collect::<Vec<_>>(), [(Some("WO1"), Some(5.0)), (None, Some(25.0))]);
    let unmetered = Machine::new(inputs(vec![run(0, OPEN)])).report(0, MINUTE_US, OPEN);
    assert_eq!((unmetered.energy, unmetered.cost), (None, None));
}

/// A kWh is taken in each minute, and the minutes of each loss are as many as no other's.
#[test]
fn idle_energy_is_told_by_what_the_time_was_lost_to() {
    let stretch = |from: i64, to: i64, category| stop(from * MINUTE_US, to * MINUTE_US, category, "x");
    let given = inputs(vec![
        run(0, 10 * MINUTE_US),
        stretch(10, 13, Category::Changeover),
        stretch(13, 18, Category::NoOrder),
        stretch(18, 25, Category::Planned),
        // Nothing is known for 11 minutes; the break is from 100 to 115, in which it runs for 2.
        stretch(36, 37, Category::Unplanned),
        run(37 * MINUTE_US, 83 * MINUTE_US),
        stretch(83, 113, Category::Unplanned),
        run(113 * MINUTE_US, 470 * MINUTE_US),
        stretch(470, 500, Category::Planned),
    ]);
    let energy = Some(
        (0..600)
            .map(|minute| Consumption { start: minute * MINUTE_US, end: (minute + 1) * MINUTE_US, kwh: 1.0 })
            .collect(),
    );
    let report = Machine::new(Inputs { energy, ..given }).report(0, 500 * MINUTE_US, OPEN);
    let lost: Vec<(&str, Option<f64>)> =
        report.waterfall().iter().map(|step| (step.loss.name(), step.idle_kwh)).collect();
    let expected = [
        ("not_scheduled", Some(20.0)),
        ("planned_break", Some(13.0)),
        ("planned_downtime", Some(17.0)),
        ("unplanned", Some(17.0)),
        ("changeover", Some(3.0)),
        ("no_order", Some(5.0)),
        ("unknown", Some(11.0)),
        ("minor_stops", Some(1.0)),
        ("reduced_speed", None),
        ("startup_rejects", None),
        ("production_rejects", None),
    ];
    assert_eq!(lost, expected);
    let energy = report.energy.expect("a meter");
    assert_eq!((energy.total_kwh, energy.idle_kwh()), (500.0, 87.0));
}

#[test]
fn a_stop_that_reaches_over_a_pause_of_its_order_is_one() {
    let machine = Machine::new(inputs(vec![
        run(0, 30 * MINUTE_US),
        stop(30 * MINUTE_US, 90 * MINUTE_US, Category::Unplanned, "JAM"),
    ]));
    let stretches = [(0, 50 * MINUTE_US), (70 * MINUTE_US, 90 * MINUTE_US)];
    let report = machine.report_over(&stretches, 480 * MINUTE_US).expect("stretches");
    assert_eq!((report.unplanned_stops, report.elements.unplanned_us), (1, 40 * MINUTE_US));
    // Half a second here and there is a second.
    let short = [(29 * MINUTE_US, 30 * MINUTE_US + SECOND_US / 2), (90 * MINUTE_US - SECOND_US / 2, 90 * MINUTE_US)];
    assert_eq!(machine.report_over(&short, 480 * MINUTE_US).expect("stretches").unplanned_stops, 1);
}

#[test]
fn what_names_neither_order_nor_product_is_uncounted() {
    let nobody = Job { work_order: None, product: None, ideal_cycle_s: None, ..job(60 * MINUTE_US, OPEN, "P", None) };
    let jobs = vec![job(0, 60 * MINUTE_US, "P", Some(10.0)), nobody];
    let pieces = [50, 70].map(|minute| Piece::new(minute * MINUTE_US, 1.0, 0.0));
    let stands = stop(61 * MINUTE_US, 80 * MINUTE_US, Category::Unplanned, "JAM");
    let machine =
        Machine::new(Inputs { jobs, pieces: Some(pieces.into()), ..inputs(vec![run(0, 61 * MINUTE_US), stands]) });
    let report = machine.report(0, 80 * MINUTE_US, OPEN);
    assert_eq!((report.counts.total, report.counts.uncounted), (1.0, 1.0));
    assert!(report.kpi().oee.is_some() && report.kpi().reason.is_some_and(|reason| reason.contains("1 pieces")));
    // Nor is it busy for an order.
    assert_eq!(report.elements.unplanned_without_order_us, 19 * MINUTE_US);
}

#[test]
fn breaks_of_shifts_that_overlap_are_all_breaks() {
    let shifts = vec![
        shift(0, 480 * MINUTE_US, &[(420 * MINUTE_US, 430 * MINUTE_US)]),
        shift(
            240 * MINUTE_US,
            720 * MINUTE_US,
            &[(300 * MINUTE_US, 310 * MINUTE_US), (425 * MINUTE_US, 435 * MINUTE_US)],
        ),
    ];
    let machine = Machine::new(Inputs { shifts, ..inputs(vec![run(0, 720 * MINUTE_US)]) });
    assert_eq!(machine.report(0, 720 * MINUTE_US, OPEN).elements.planned_break_us, 25 * MINUTE_US);
}
