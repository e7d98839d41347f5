//! What the engine says to the results of a worked table.

use super::Line;
use super::case::Case;
use crate::OPEN;
use crate::loss::Loss;
use crate::machine::{Machine, Report};

/// Long after everything.
const LATER: i64 = OPEN - 1;

/// The text that the document should have: the same names with what the engine says to them.
pub(super) fn says(case: &Case, line: &Line<'_>) -> String {
    let kind = line.what.trim_matches('*');
    let at = |prefix: &str| kind.strip_prefix(prefix).map(|time| case.at(time));
    let (as_of, now) = (at("as of "), at("at "));
    let known = ["result", "sum", "line"].contains(&kind) || as_of.is_some() || now.is_some();
    assert!(known, "nothing is known about `{kind}`");
    let (from, to) = (case.at(line.from), case.at(line.to));
    let now = now.unwrap_or(LATER);
    let machines: Vec<Machine> =
        case.machines((from, to), as_of.unwrap_or(OPEN), now).into_iter().map(|(_, machine)| machine).collect();
    let reports: Vec<Report> = machines.iter().map(|machine| machine.report(from, to, now)).collect();
    let (bottleneck, report) = match kind {
        "line" => case.line(&reports),
        _ => {
            let mut sum = reports[0].clone();
            reports.iter().skip(1).for_each(|report| sum.merge(report));
            (String::new(), sum)
        }
    };
    let value = |name: &str| match name {
        "bottleneck" => bottleneck.clone(),
        name => of_report(&report, name).unwrap_or_else(|| of_name(&machines, &report, name, (from, to), now)),
    };
    let items = line.says.split("; ").map(|item| {
        let name = name_of(item);
        format!("{name} {}", value(name))
    });
    items.collect::<Vec<_>>().join("; ")
}

/// What stands before the value.
fn name_of(item: &str) -> &str {
    let words = ["NULL", "yes", "no"];
    let is_value = |word: &str| word.starts_with(|c: char| c.is_ascii_digit() || c == '−') || words.contains(&word);
    let value = item.split(' ').skip(1).find(|word| is_value(word)).and_then(|word| item.find(&format!(" {word}")));
    let end = value.or_else(|| item.rfind(' ')).unwrap_or(item.len());
    &item[..end]
}

fn of_report(report: &Report, name: &str) -> Option<String> {
    let (time, counts, kpi) = (&report.elements, &report.counts, report.kpi());
    let us = match name {
        "calendar" => time.calendar_us,
        "not scheduled" => time.not_scheduled_us,
        "scheduled" => time.scheduled_us,
        "break" => time.planned_break_us,
        "planned downtime" => time.planned_downtime_us,
        "planned production" => time.planned_production_us,
        "run" => time.run_us,
        "micro-stop" => time.microstop_us,
        "changeover" => time.changeover_us,
        "unplanned" => time.unplanned_us,
        "no order" => time.no_order_us,
        "unknown" => time.unknown_us,
        "run outside" => time.run_outside_planned_production_us,
        _ => i64::MIN,
    };
    if us != i64::MIN {
        return Some(seconds(Some(crate::seconds(us))));
    }
    Some(match name {
        "pieces" => grouped(counts.total),
        "good" => grouped(counts.good),
        "scrap" => grouped(counts.scrap),
        "rework" => counts.rework.map_or_else(|| "NULL".to_owned(), grouped),
        "first pass yield" => percent(kpi.first_pass_yield),
        "uncounted" => grouped(counts.uncounted),
        "unplanned stops" => report.unplanned_stops.to_string(),
        "micro-stops" => report.microstops.to_string(),
        "provisional" => if report.provisional { "yes" } else { "no" }.to_owned(),
        "availability" => percent(kpi.availability),
        "performance" => percent(kpi.performance),
        "quality" => percent(kpi.quality),
        "quality ratio" => percent(kpi.quality_ratio),
        "OEE" => percent(kpi.oee),
        "fall-off" => percent(kpi.fall_off_ratio),
        "energy" => unit(report.energy.map(|energy| energy.total_kwh), "kWh"),
        "while not running" => unit(report.energy.map(|energy| energy.idle_kwh()), "kWh"),
        "energy per good piece" => unit(kpi.energy_per_good_piece_kwh, "kWh"),
        "cost" => unit(report.cost, "€"),
        "cost per good piece" => unit(kpi.cost_per_good_piece, "€"),
        "reduced speed" => seconds(report.lost_s(Loss::ReducedSpeed)),
        "start-up rejects" => seconds(report.lost_s(Loss::StartupRejects)),
        "production rejects" => seconds(report.lost_s(Loss::ProductionRejects)),
        "left" => seconds(report.waterfall().last().and_then(|step| step.left_s)),
        _ => return None,
    })
}

/// Pieces of an order, scrap of a reason, or stopped time of a reason.
fn of_name(machines: &[Machine], report: &Report, name: &str, (from, to): (i64, i64), now: i64) -> String {
    if let Some(order) = name.strip_suffix(" pieces") {
        let mine = report.orders.iter().filter(|count| count.work_order.as_deref() == Some(order));
        return grouped(mine.map(|count| count.total).sum());
    }
    if let Some(reason) = name.strip_prefix("scrap for ") {
        let because = Some(reason).filter(|reason| *reason != "nothing").map(Into::into);
        return grouped(report.scrap.get(&because).map_or(0.0, |scrapped| scrapped.pieces));
    }
    if let Some(loss) = name.strip_prefix("energy lost to ") {
        let loss = Loss::ALL.into_iter().find(|known| known.name() == loss);
        return unit(report.energy.zip(loss).and_then(|(energy, loss)| energy.lost_kwh(loss)), "kWh");
    }
    let stops = machines.iter().flat_map(|machine| machine.stops(from, to, now));
    let mine = stops.filter(|stop| stop.value.reason.as_deref() == Some(name));
    seconds(Some(crate::seconds(mine.map(|stop| stop.in_window_us).sum())))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "NULL".to_owned(), |ratio| format!("{:.2} %", 100.0 * ratio))
}

fn unit(number: Option<f64>, unit: &str) -> String {
    number.map_or_else(|| "NULL".to_owned(), |number| format!("{number:.2} {unit}"))
}

fn seconds(s: Option<f64>) -> String {
    s.map_or_else(|| "NULL".to_owned(), |s| format!("{} s", grouped(s)))
}

/// A number with its thousands set apart.
fn grouped(number: f64) -> String {
    let digits = number.abs().to_string();
    let (whole, fraction) =
        digits.split_once('.').map_or((digits.as_str(), String::new()), |(w, f)| (w, format!(".{f}")));
    let mut shown = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    format!("{}{shown}{fraction}", if number < 0.0 { "−" } else { "" })
}
