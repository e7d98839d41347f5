//! A plant file and rows, from the lines of a worked table.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::civil::{Date, Time, date};

use super::Line;
use crate::OPEN;
use crate::calendar::instant;
use crate::count::{CountRecord, Piece};
use crate::execution::{Execution, OrderSpan};
use crate::line::serial;
use crate::machine::{Inputs, Machine, Report};
use crate::plant::{Plant, Source};
use crate::reason::{GivenReason, explained};
use crate::state::{RecordKind, StateRecord, timeline};
use crate::symptom::told;
use crate::track::{Reading, Tracks};

/// Reasons that every table may use.
const REASONS: &str = "[[reasons]]\nreason = \"JAM\"\ncategory = \"unplanned\"\n\
                       [[reasons]]\nreason = \"DOOR\"\ncategory = \"unplanned\"\n\
                       [[reasons]]\nreason = \"MAINT\"\ncategory = \"planned\"\n";
const BAD: i64 = 0x8000_0000;

/// What happens on one machine.
#[derive(Debug, Default)]
struct Happens {
    kind: RecordKind,
    states: Vec<StateRecord>,
    orders: Vec<OrderSpan>,
    pieces: Vec<Piece>,
    counted: bool,
    reasons: Vec<GivenReason>,
    samples: Vec<(String, i64, f64, i64)>,
}

/// A worked table without its results.
pub(super) struct Case {
    day: Date,
    plant: Plant,
    machines: Vec<(String, Happens)>,
}

/// Two parts of a text that stand around another.
fn parted<'t>(text: &'t str, by: &str) -> (&'t str, &'t str) {
    text.split_once(by).map_or((text, ""), |(one, other)| (one.trim(), other.trim()))
}

fn number(text: &str) -> f64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

impl Case {
    pub(super) fn of(lines: &[&Line<'_>]) -> Self {
        let (mut plant, mut calendar, mut below) = (String::from("[plant]\n"), String::new(), String::from(REASONS));
        let mut day = date(2025, 1, 14);
        let mut machines: Vec<&str> = Vec::new();
        let named = lines.iter().any(|line| line.what == "machine");
        if !named {
            machines.push("machine");
        }
        let mut equipment: Vec<(&str, String)> = machines.iter().map(|name| (*name, String::new())).collect();
        for line in lines {
            let here = equipment.last().map_or("line".to_owned(), |(name, _)| format!("line/{name}"));
            let says = line.says;
            match line.what {
                "day" => day = says.parse().expect("a date"),
                "zone" => _ = writeln!(plant, "zone = \"{says}\""),
                "threshold" => _ = writeln!(plant, "microstop_threshold_s = {}", parted(says, " ").0),
                "starting up" => _ = writeln!(plant, "startup_s = {}", parted(says, " ").0),
                "machine" => equipment.push((says, String::new())),
                "shift" => {
                    let (from, to) = (clock(line.from), clock(line.to));
                    let days = "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]";
                    let head = "[[calendars.c.shifts]]";
                    _ = writeln!(
                        calendar,
                        "{head}\nname = \"{says}\"\ndays = {days}\nstart = \"{from}\"\nend = \"{to}\""
                    );
                }
                "break" => _ = writeln!(calendar, "breaks = [[\"{}\", \"{}\"]]", clock(line.from), clock(line.to)),
                "product" => {
                    let (product, cycle) = parted(says, ",");
                    let cycle = parted(cycle, " ").0;
                    let head = "[[products]]";
                    _ = writeln!(
                        below,
                        "{head}\nproduct = \"{product}\"\nideal_cycle_s = {cycle}\nequipment = \"{here}\""
                    );
                }
                "default product" => {
                    if let Some((_, keys)) = equipment.last_mut() {
                        _ = writeln!(keys, "default_product = \"{says}\"");
                    }
                }
                "counts" => {
                    if let Some((_, keys)) = equipment.last_mut() {
                        _ = writeln!(keys, "count_source = \"{says}\"");
                    }
                }
                "meaning" => {
                    let (result, verdict) = parted(says, " is ");
                    if let Some((_, keys)) = equipment.last_mut() {
                        _ = writeln!(keys, "results = {{ {result} = \"{verdict}\" }}");
                    }
                }
                "meter" if line.from.is_empty() => {
                    let uom = says.trim_start_matches("counts ");
                    let head = format!("[[signals]]\nequipment = \"{here}\"\nsignal = \"meter\"");
                    _ = writeln!(below, "{head}\nrole = \"energy\"\nuom = \"{uom}\"");
                }
                "cost" => {
                    let (cost, per) = parted(says, " per ");
                    match (per, equipment.last_mut()) {
                        ("hour", Some((_, keys))) => _ = writeln!(keys, "cost_per_hour = {cost}"),
                        _ => _ = writeln!(plant, "energy_price_per_kwh = {cost}"),
                    }
                }
                "counter" if line.from.is_empty() => {
                    let (_, rule) = parted(says, "starts again at");
                    let (modulus, step) = parted(rule, ", steps up to");
                    let head =
                        format!("[[signals]]\nequipment = \"{here}\"\nsignal = \"counter\"\nrole = \"total_count\"");
                    _ = writeln!(below, "{head}\nmodulus = {}\nmax_step = {}", number(modulus), number(step));
                }
                "runs" => {
                    let (limit, for_s) = parted(says.trim_start_matches("speed above"), "for");
                    let for_s = parted(for_s, " ").0;
                    let head = format!("[[signals]]\nequipment = \"{here}\"\nsignal = \"speed\"\nrole = \"state\"");
                    _ = writeln!(below, "{head}\nrunning = {{ above = {limit}, for_s = {for_s} }}");
                }
                "reason rule" => {
                    let (condition, reason) = parted(says, "means");
                    let (signal, value) = parted(condition, "=");
                    let head = format!("[[reason_rules]]\nequipment = \"{here}\"\nsignal = \"{signal}\"");
                    _ = writeln!(below, "{head}\nequals = {value}\nreason = \"{reason}\"");
                }
                _ => {}
            }
        }
        let tree = equipment.iter().map(|(name, keys)| format!("[[equipment]]\npath = \"line/{name}\"\n{keys}"));
        let tree = tree.collect::<String>();
        let zone = if plant.contains("zone") { "" } else { "zone = \"UTC\"\n" };
        let with_calendar = if calendar.is_empty() { "" } else { "calendar = \"c\"\n" };
        let text = format!("{plant}{zone}[[equipment]]\npath = \"line\"\n{with_calendar}{tree}{calendar}{below}");
        let plant = Plant::parse(&text).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:#?}"));
        let mut case = Self { day, plant, machines: Vec::new() };
        if !named {
            case.machines.push(("line/machine".to_owned(), Happens::default()));
        }
        lines.iter().for_each(|line| case.take(line));
        case
    }

    /// An instant, as tables write it: a time of the day, or of a later one after `+1`.
    pub(super) fn at(&self, text: &str) -> i64 {
        let (days, time) = text.strip_prefix('+').map_or((0, text), |text| {
            let (days, time) = parted(text, " ");
            (days.parse().expect("days"), time)
        });
        let day = (0..days).fold(self.day, |day, _| day.tomorrow().expect("a day"));
        let time: Time = time.parse().unwrap_or_else(|_| panic!("`{text}` is no time"));
        instant(self.plant.plant_zone(), day, time)
    }

    fn take(&mut self, line: &Line<'_>) {
        let (from, to) = (|| self.at(line.from), || (!line.to.is_empty()).then(|| self.at(line.to)));
        let (says, recorded) = parted(line.says, ", recorded");
        let known = |start: i64| if recorded.is_empty() { start } else { self.at(recorded) };
        if line.what == "machine" {
            return self.machines.push((format!("line/{says}"), Happens::default()));
        }
        let (path, _) = self.machines.last().expect("a machine");
        let mut more = Happens::default();
        match line.what {
            "change" | "interval" => {
                let (state, reason) = parted(says, " ");
                let reason = Some(reason).filter(|reason| !reason.is_empty() && says != "no order");
                let state = if says == "no order" { "no_order" } else { state };
                let value = self.plant.classify(path, Some(state), None, reason);
                let end = if line.what == "interval" { to() } else { None };
                more.kind = if line.what == "interval" { RecordKind::Interval } else { RecordKind::Change };
                more.states.push(StateRecord { start: from(), end, recorded: known(from()), value });
            }
            "order" => {
                let (order, product) = parted(says, ",");
                let product = Some(product).filter(|product| !product.is_empty()).map(str::to_owned);
                let end = to().unwrap_or(OPEN);
                more.orders.push(OrderSpan { work_order: Some(order.to_owned()), product, start: from(), end });
            }
            "pieces" => {
                let (total, scrap) = parted(says, ",");
                let (scrap, reason) = parted(scrap, " scrap");
                let scrap = Some(scrap).filter(|scrap| !scrap.is_empty()).map(number);
                let reason = Some(reason).filter(|reason| !reason.is_empty()).map(Into::into);
                let record =
                    CountRecord { time: from(), total: Some(number(total)), scrap, reason, ..CountRecord::default() };
                more.pieces.extend(record.piece());
                more.counted = true;
            }
            "execution" => {
                let (unit, says) = parted(says, ",");
                let (result, quantity) = parted(says, ",");
                let quantity = quantity.strip_suffix(" pieces").map(number);
                let execution = Execution {
                    run: unit.into(),
                    equipment: path.as_str().into(),
                    work_order: None,
                    product: None,
                    operation: None,
                    unit: Some(unit.into()),
                    started: from(),
                    completed: to(),
                    result: Some(result.into()),
                    operator: None,
                    quantity,
                    recorded: known(from()),
                };
                more.counted = self.plant.count_source(path) == Source::Operations;
                more.pieces.extend(self.plant.executed(&execution).filter(|_| more.counted));
            }
            "reason" => {
                let category = self.plant.reason_category(says).expect("a reason");
                let (start, end) = (from(), to());
                more.reasons.push(GivenReason {
                    equipment: "machine".into(),
                    start,
                    end,
                    recorded: known(start),
                    reason: says.into(),
                    category,
                });
            }
            "counter" | "meter" if line.from.is_empty() => {}
            "counter" | "meter" | "speed" | "door" => {
                let (value, quality) = parted(says, " ");
                let quality = if quality == "bad" { BAD } else { 0 };
                more.samples.push((line.what.to_owned(), from(), number(value), quality));
            }
            "day" | "zone" | "threshold" | "cost" | "starting up" | "shift" | "break" | "product"
            | "default product" | "counts" | "meaning" | "runs" | "reason rule" => {}
            other => panic!("nothing is known about `{other}`"),
        }
        let (_, happens) = self.machines.last_mut().expect("a machine");
        happens.kind = if more.states.is_empty() { happens.kind } else { more.kind };
        happens.states.extend(more.states);
        happens.orders.extend(more.orders);
        happens.pieces.extend(more.pieces);
        happens.counted |= more.counted;
        happens.reasons.extend(more.reasons);
        happens.samples.extend(more.samples);
    }

    /// The machines, by what is recorded by `as_of` and has happened by `now`.
    pub(super) fn machines(&self, (from, to): (i64, i64), as_of: i64, now: i64) -> Vec<(&str, Machine)> {
        self.machines
            .iter()
            .map(|(path, happens)| (path.as_str(), self.machine(path, happens, (from, to), as_of, now)))
            .collect()
    }

    fn machine(&self, path: &str, happens: &Happens, (from, to): (i64, i64), as_of: i64, now: i64) -> Machine {
        let mut tracks = Tracks::of(&self.plant, path);
        for (signal, time, value, quality) in happens.samples.iter().filter(|sample| sample.1 <= now) {
            let reading = Reading { time: *time, value: Some(*value), text: None, quality: *quality };
            tracks.push(&self.plant, signal, &reading);
        }
        let said = tracks.take(now.min(to));
        let known = happens.states.iter().filter(|record| record.recorded <= as_of).cloned();
        let states = timeline(happens.kind, known.chain(said.states).collect());
        let reasons = happens.reasons.iter().filter(|reason| reason.recorded <= as_of).cloned().collect();
        let equipment = self.plant.equipment(path).expect("declared");
        Machine::new(Inputs {
            shifts: self.plant.calendar(path).expect("declared").instances(from, to),
            states: explained(told(states, &said.symptoms), reasons),
            jobs: self.plant.jobs(path, &happens.orders, &HashMap::new(), from, to),
            pieces: said.pieces.or_else(|| happens.counted.then(|| happens.pieces.clone())),
            energy: said.energy,
            rates: equipment.rates,
            microstop_threshold_us: equipment.microstop_threshold_us,
            startup_us: equipment.startup_us,
        })
    }

    /// The reports of several machines as that of a serial line.
    pub(super) fn line(&self, reports: &[Report]) -> (String, Report) {
        let line = serial(reports, |_, _| None).expect("machines");
        let (path, _) = &self.machines[line.bottleneck];
        (path.trim_start_matches("line/").to_owned(), line.report)
    }
}

/// A time of the day as plant files write it.
fn clock(text: &str) -> &str {
    text.rsplit_once(' ').map_or(text, |(_, time)| time)
}
