//! OEE of a serial line from the reports of its machines.
//!
//! The bottleneck, the machine with the largest ideal cycle time, sets the pace: its time losses are the line's.
//! Pieces rejected at the bottleneck or downstream are quality loss; good pieces are those that leave the last
//! machine; speed loss is the remainder. So
//! line OEE = good pieces of the last machine · ideal cycle time of the bottleneck / its planned production time,
//! and never a product or a mean of machine OEEs.
//!
//! Fall-off ratio (ISO 22400-2: SQ / PQ of the first operation of the sequence) is that of the whole line: what is scrapped
//! behind the first machine, of what the first machine made.

use crate::machine::{Counts, FallOff, OrderCount, Report, ScrapByReason, add_scrap, sum_of_known};

/// The report of a serial line.
#[derive(Debug, Clone, PartialEq)]
pub struct SerialLine {
    /// Index of the bottleneck among the machines.
    pub bottleneck: usize,
    /// The line's report.
    pub report: Report,
}

/// Rolls up the reports of a line's machines, in flow order, over one window; none without machines.
///
/// `ideal_cycle_s(machine, order)` answers where a machine's own report does not know the order, because it was not
/// in force there within the window.
pub fn serial(reports: &[Report], ideal_cycle_s: impl Fn(usize, &OrderCount) -> Option<f64>) -> Option<SerialLine> {
    let last = reports.last()?;
    let ideal = |machine: usize, order: &OrderCount| {
        let own = reports.get(machine).into_iter().flat_map(|report| &report.orders);
        let same = |own: &&OrderCount| own.work_order == order.work_order && own.product == order.product;
        own.filter(same).find_map(|own| own.ideal_cycle_s).or_else(|| ideal_cycle_s(machine, order))
    };
    let orders = orders_of(reports);
    let bottleneck = bottleneck(reports.len(), &orders, last, &ideal);
    let slowest = reports.get(bottleneck)?;
    let behind = || reports.iter().skip(bottleneck);
    let fall_off = reports.first().map(|first| FallOff {
        first_total: first.counts.total,
        scrap: reports.iter().skip(1).map(|report| report.counts.scrap).sum(),
    });
    // Every machine takes and costs what it does, whichever sets the pace.
    let mut all = Report::default();
    for report in reports {
        all.add_resources(report);
        all.elements += &report.elements;
    }
    let rework = behind().fold(None, |sum, report| sum_of_known(sum, report.counts.rework));
    let mut scrap = ScrapByReason::new();
    behind().for_each(|report| add_scrap(&mut scrap, &report.scrap));
    let mut report = Report {
        scrap,
        unjudged: last.unjudged.clone(),
        counts: Counts { uncounted: last.counts.uncounted, rework, ..Counts::default() },
        missing_ideal: if last.counts.total == 0.0 { last.missing_ideal.clone() } else { None },
        ideal_total_s: 0.0,
        ideal_good_s: 0.0,
        ideal_startup_scrap_s: 0.0,
        // What is planned to be scrapped where scrap is the line's.
        planned_scrap: behind().map(|report| report.planned_scrap).sum(),
        missing_inspection: behind().any(|report| report.missing_inspection),
        missing_planned_scrap: behind().any(|report| report.missing_planned_scrap),
        fall_off,
        energy: all.energy,
        cost: all.cost,
        orders: Vec::new(),
        ..slowest.clone()
    };
    for order in orders {
        let good = sum(last, &order, OrderCount::good);
        let scrap = behind().map(|report| sum(report, &order, |count| count.scrap)).sum();
        let startup_scrap = behind().map(|report| sum(report, &order, |count| count.startup_scrap)).sum();
        let ideal_cycle_s = ideal(bottleneck, &order);
        let line = OrderCount { ideal_cycle_s, total: good + scrap, scrap, startup_scrap, ..order };
        report.counts.total += line.total;
        report.counts.good += good;
        report.counts.scrap += scrap;
        match ideal_cycle_s {
            Some(ideal) => {
                report.ideal_total_s += ideal * line.total;
                report.ideal_good_s += ideal * good;
                report.ideal_startup_scrap_s += ideal * line.startup_scrap;
            }
            None if line.total != 0.0 => {
                let product = line.product.as_deref().unwrap_or("(none)");
                report.missing_ideal.get_or_insert_with(|| {
                    format!("no ideal cycle time for product {product} on the line's bottleneck")
                });
            }
            None => {}
        }
        report.orders.push(line);
    }
    Some(SerialLine { bottleneck, report })
}

/// Every (work order, product) of any machine, once.
fn orders_of(reports: &[Report]) -> Vec<OrderCount> {
    let mut orders: Vec<OrderCount> = Vec::new();
    for order in reports.iter().flat_map(|report| &report.orders) {
        if !orders.iter().any(|known| known.work_order == order.work_order && known.product == order.product) {
            orders.push(OrderCount {
                ideal_cycle_s: None,
                total: 0.0,
                scrap: 0.0,
                startup_scrap: 0.0,
                ..order.clone()
            });
        }
    }
    orders
}

fn sum(report: &Report, like: &OrderCount, value: impl Fn(&OrderCount) -> f64) -> f64 {
    let same = |order: &&OrderCount| order.work_order == like.work_order && order.product == like.product;
    report.orders.iter().filter(same).map(value).sum()
}

/// The machine that would take longest for what the line made; over an idle window, for one piece of every order.
fn bottleneck(
    machines: usize,
    orders: &[OrderCount],
    last: &Report,
    ideal: &impl Fn(usize, &OrderCount) -> Option<f64>,
) -> usize {
    let idle = last.counts.total == 0.0;
    let weight = |order: &OrderCount| if idle { 1.0 } else { sum(last, order, |count| count.total) };
    let load = |machine: usize| -> f64 {
        orders.iter().map(|order| weight(order) * ideal(machine, order).unwrap_or(0.0)).sum()
    };
    let loads = (0..machines).map(|machine| (machine, load(machine)));
    // The first of equals: the line waits for it longest.
    loads.reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0, |(machine, _)| machine)
}

#[cfg(test)]
mod tests;
