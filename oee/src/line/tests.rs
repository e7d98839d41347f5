use std::sync::Arc;

use super::serial;
use crate::SECOND_US;
use crate::energy::Energy;
use crate::machine::{Counts, OrderCount, Report};
use crate::time_element::Elements;

fn order(product: &str, ideal_cycle_s: Option<f64>, total: f64, scrap: f64) -> OrderCount {
    let work_order = Some(Arc::from(format!("WO-{product}")));
    OrderCount { work_order, product: Some(Arc::from(product)), ideal_cycle_s, total, scrap, startup_scrap: 0.0 }
}

fn report(orders: Vec<OrderCount>) -> Report {
    let us = 1000 * SECOND_US;
    let sum = |value: fn(&OrderCount) -> f64| orders.iter().map(value).sum::<f64>();
    Report {
        elements: Elements {
            calendar_us: us,
            scheduled_us: us,
            planned_production_us: us,
            run_us: us,
            ..Elements::default()
        },
        counts: Counts {
            total: sum(|o| o.total),
            good: sum(OrderCount::good),
            scrap: sum(|o| o.scrap),
            uncounted: 0.0,
            rework: None,
        },
        orders,
        ..Report::default()
    }
}

#[test]
fn rejects_at_the_bottleneck_and_downstream_are_quality_loss() {
    let machines = [
        report(vec![order("A", Some(4.0), 110.0, 5.0)]),
        report(vec![order("A", Some(8.0), 105.0, 2.0)]),
        report(vec![order("A", Some(5.0), 103.0, 3.0)]),
    ];
    let line = serial(&machines, |_, _| None).expect("machines");
    assert_eq!(line.bottleneck, 1);
    assert_eq!((line.report.counts.total, line.report.counts.good, line.report.counts.scrap), (105.0, 100.0, 5.0));
    let kpi = line.report.kpi();
    assert_eq!(kpi.oee, Some(0.8));
    assert_eq!(kpi.quality, Some(100.0 / 105.0));
    assert_eq!(kpi.fall_off_ratio, Some(5.0 / 110.0), "behind the first machine");
}

#[test]
fn scrap_is_planned_where_it_is_the_lines() {
    let machine = |planned_scrap: f64, missing: bool| Report {
        planned_scrap,
        missing_planned_scrap: missing,
        ..report(vec![order("A", Some(2.0), 100.0, 1.0)])
    };
    let mut machines = [machine(9.0, true), machine(2.0, false), machine(3.0, false)];
    machines[1].orders[0].ideal_cycle_s = Some(4.0);
    let line = serial(&machines, |_, _| None).expect("machines");
    assert_eq!((line.bottleneck, line.report.planned_scrap()), (1, Some(5.0)));
    machines[2].missing_planned_scrap = true;
    assert_eq!(serial(&machines, |_, _| None).expect("machines").report.planned_scrap(), None);
}

#[test]
fn the_bottleneck_is_where_the_mix_takes_longest() {
    let machines = [
        report(vec![order("A", Some(10.0), 90.0, 0.0), order("B", Some(1.0), 10.0, 0.0)]),
        report(vec![order("A", Some(2.0), 90.0, 0.0), order("B", Some(50.0), 10.0, 0.0)]),
    ];
    assert_eq!(serial(&machines, |_, _| None).map(|line| line.bottleneck), Some(0));
    let idle = machines.map(|m| report(m.orders.into_iter().map(|o| OrderCount { total: 0.0, ..o }).collect()));
    assert_eq!(serial(&idle, |_, _| None).map(|line| line.bottleneck), Some(1));
}

#[test]
fn an_order_that_left_the_bottleneck_is_looked_up() {
    let machines = [report(vec![]), report(vec![order("A", Some(2.0), 10.0, 0.0)])];
    let known = serial(&machines, |machine, _| (machine == 0).then_some(8.0)).expect("machines");
    assert_eq!((known.bottleneck, known.report.ideal_good_s), (0, 80.0));
    assert_eq!(serial(&[], |_, _| None), None);
}

#[test]
fn a_missing_ideal_cycle_time_is_named() {
    let machines = [report(vec![order("A", None, 10.0, 0.0)])];
    let line = serial(&machines, |_, _| None).expect("machines");
    assert_eq!(line.report.kpi().oee, None);
    assert!(line.report.kpi().reason.is_some_and(|reason| reason.contains("product A")));
}

#[test]
fn every_machine_of_a_line_takes_energy() {
    let machine = |ideal: f64, kwh: f64| Report {
        energy: Some(Energy::of(kwh)),
        cost: Some(10.0 * kwh),
        ..report(vec![order("A", Some(ideal), 100.0, 0.0)])
    };
    let mut machines = [machine(2.0, 3.0), machine(4.0, 5.0), machine(1.0, 7.0)];
    let line = |machines: &[Report]| serial(machines, |_, _| None).expect("machines").report;
    assert_eq!(line(&machines).energy, Some(Energy::of(15.0)));
    assert_eq!(line(&machines).kpi().cost_per_good_piece, Some(1.5));
    assert_eq!(line(&machines).elements.calendar_us, 1000 * SECOND_US, "time is that of the bottleneck");
    machines[2].energy = None;
    assert_eq!((line(&machines).energy, line(&machines).cost), (None, Some(150.0)));
}
