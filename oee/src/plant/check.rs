//! Checks what the sections of a plant file say about each other.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use jiff::civil::{Time, Weekday};

use super::draft::{Draft, ShiftDraft, SignalDraft, is_machine, leads_to};
use super::mistake::{Located, Mistakes};
use super::{Role, Rollup};
use crate::path::{is_within, parent};
use crate::spelling::is_like;

const DAY_S: i64 = 86_400;
const WEEK_S: i64 = 7 * DAY_S;

pub(super) fn check(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    tree(draft, mistakes);
    references(draft, mistakes);
    topics(draft, mistakes);
    signals(draft, mistakes);
    states(draft, mistakes);
    duplicates(draft, mistakes);
    reasons(draft, mistakes);
    for (name, shifts) in &draft.calendars {
        calendar(&name.value, shifts, mistakes);
    }
}

/// Reports every name that was declared before.
fn once<'a, K: Eq + Hash>(
    what: &str,
    names: impl Iterator<Item = (K, &'a str, usize)>,
    remedy: &str,
    mistakes: &mut Mistakes<'_>,
) {
    let mut seen: HashMap<K, usize> = HashMap::new();
    for (key, name, at) in names {
        if let Some(&first) = seen.get(&key) {
            let line = mistakes.line(first);
            mistakes.add(at, format!("{what} `{name}` is declared twice; line {line} has it already"), remedy);
        } else {
            seen.insert(key, at);
        }
    }
}

fn tree(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    if draft.equipment.is_empty() {
        mistakes.absent(0, "no equipment is declared", "add [[equipment]] with a path");
    }
    let paths: HashSet<&str> = draft.equipment.iter().map(|e| e.path.value.as_str()).collect();
    let mut reported: HashSet<&str> = HashSet::new();
    for equipment in &draft.equipment {
        let path = &equipment.path;
        if path.value.split('/').any(|level| level.trim() != level || level.is_empty()) {
            continue;
        }
        let mut missing = parent(&path.value);
        while let Some(ancestor) = missing {
            if !paths.contains(ancestor) && reported.insert(ancestor) {
                let message = format!("`{}` stands below `{ancestor}`, which is not declared", path.value);
                mistakes.absent(path.at, message, format!("add [[equipment]] path = \"{ancestor}\""));
            }
            missing = parent(ancestor);
        }
        if equipment.rollup == Rollup::Serial && !draft.has_children(&path.value) {
            let message = format!("`{}` is a serial line without machines below it", path.value);
            mistakes.absent(path.at, message, "declare its machines in order of flow, or leave rollup out");
        }
        let is_above = || !is_machine(equipment.level, draft.has_children(&path.value));
        if let Some(cost) = equipment.cost_per_hour.as_ref().filter(|_| is_above()) {
            let message = format!("`cost_per_hour` is of one machine, and `{}` has equipment below it", path.value);
            mistakes.add(cost.at, message, "write it at each machine");
        }
    }
    let names = draft.equipment.iter().map(|e| (e.path.value.as_str(), e.path.value.as_str(), e.path.at));
    once("equipment", names, "keep one of them", mistakes);
}

/// Names in one section that another must declare.
fn references(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    let calendars: Vec<&str> = draft.calendars.iter().map(|(name, _)| name.value.as_str()).collect();
    let declared_maps = draft.state_maps.iter().map(|(name, _)| name.value.as_str());
    let maps: Vec<&str> = declared_maps.chain(super::state_map::STANDARD).collect();
    let products: Vec<&str> = draft.products.iter().map(|product| product.product.value.as_str()).collect();
    let equipment: Vec<&str> = draft.equipment.iter().map(|e| e.path.value.as_str()).collect();
    let reasons: Vec<&str> = draft.reasons.iter().map(|reason| reason.reason.value.as_str()).collect();
    let mut refer = |what: &str, name: Option<&Located<String>>, known: &[&str], declare: &str| {
        if let Some(name) = name.filter(|name| !known.contains(&name.value.as_str())) {
            mistakes.unknown(what, name, known.iter().copied(), &declare.replace('%', &name.value));
        }
    };
    for e in &draft.equipment {
        refer("calendar", e.calendar.as_ref(), &calendars, "add [[calendars.%.shifts]]");
        refer("product", e.default_product.as_ref(), &products, "add [[products]] product = \"%\"");
        refer("state map", e.state_map.as_ref(), &maps, "add [state_maps.%]");
    }
    let add_equipment = "add [[equipment]] path = \"%\"";
    for signal in &draft.signals {
        refer("equipment", Some(&signal.equipment), &equipment, add_equipment);
    }
    for rule in &draft.reason_rules {
        refer("equipment", Some(&rule.equipment), &equipment, add_equipment);
        refer("reason", Some(&rule.reason), &reasons, "add [[reasons]] reason = \"%\"");
    }
    for product in &draft.products {
        refer("equipment", product.equipment.as_ref(), &equipment, add_equipment);
    }
    for characteristic in &draft.characteristics {
        refer("product", characteristic.product.as_ref(), &products, "add [[products]] product = \"%\"");
    }
    let add_reason = "add [[reasons]] reason = \"%\"";
    for reason in &draft.reasons {
        refer("reason", reason.parent.as_ref(), &reasons, add_reason);
    }
    for state in draft.state_maps.iter().flat_map(|(_, states)| states) {
        refer("reason", state.reason.as_ref(), &reasons, add_reason);
    }
}

fn topics(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    let topics = draft.topics.iter().map(|(mapping, text)| (&mapping.equipment, text));
    let lines = draft.lines.iter().map(|(mapping, text)| (&mapping.equipment, text));
    for (template, text) in topics.chain(lines) {
        if draft.equipment.iter().any(|equipment| leads_to(template, equipment)) {
            continue;
        }
        if text.value.contains('{') {
            let message = format!("no declared equipment looks like `{}`", text.value);
            mistakes.absent(text.at, message, "declare the equipment, or correct the path");
        } else {
            let known = draft.equipment.iter().map(|e| e.path.value.as_str());
            let declare = format!("add [[equipment]] path = \"{}\"", text.value);
            mistakes.unknown("equipment", text, known, &declare);
        }
    }
}

fn signals(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    let declared = draft
        .signals
        .iter()
        .map(|s| ((s.equipment.value.as_str(), s.signal.value.as_str()), s.signal.value.as_str(), s.signal.at));
    once("signal", declared, "keep one of them", mistakes);
    // Counters of scrap may each stand for a reason of their own.
    let mut bound: HashMap<(&str, Role, Option<&str>), &str> = HashMap::new();
    for signal in &draft.signals {
        let Some(role) = signal.def.role else { continue };
        let (equipment, name) = (signal.equipment.value.as_str(), signal.signal.value.as_str());
        match bound.insert((equipment, role, signal.def.reason.as_deref()), name) {
            Some(other) if other != name => {
                let message = format!("`{other}` already has the role {} on `{equipment}`", role.name());
                let remedy = match role {
                    Role::ScrapCount => "give each of them the `reason` of what it counts",
                    _ => "one signal per role; parallel counters are child equipment",
                };
                mistakes.add(signal.signal.at, message, remedy);
            }
            _ => {}
        }
    }
    for rule in &draft.reason_rules {
        let (name, node) = (&rule.signal.value, &rule.equipment.value);
        let reaches = |path: &str| is_within(path, node) || is_within(node, path);
        let named = draft.signals.iter().filter(|signal| signal.signal.value == *name);
        if named.filter(|signal| reaches(&signal.equipment.value)).any(|signal| signal.def.compression.is_some()) {
            let message = format!("samples of `{name}` may be left out, and a reason rule needs every one");
            mistakes.add(rule.signal.at, message, "leave out the `compression` of the signal, or the rule");
        }
    }
    for signal in &draft.signals {
        if let Some(at) = signal.running_at {
            state_map_beside(draft, signal, at, mistakes);
        }
    }
    for equipment in &draft.equipment {
        let declared =
            [("state_source", &equipment.state_source, true), ("count_source", &equipment.count_source, false)];
        for (key, source, state) in declared {
            if let Some(source) = source.as_ref().filter(|source| state && source.value == "operations") {
                let message = "operations say no states";
                mistakes.add(source.at, message, "write `signal` or the source of records, or leave the key out");
            }
            // Sources of records have names of their own, but hardly ones like these.
            let words: &[&str] = if state { &["signal"] } else { &["signal", "operations"] };
            if let Some(source) = source.as_ref().filter(|source| !words.contains(&source.value.as_str()))
                && let Some(meant) = words.iter().find(|word| is_like(&source.value, word))
            {
                let message = format!("`{key}` is \"{}\", which is taken for a source of records", source.value);
                mistakes.add(
                    source.at,
                    message,
                    format!("write \"{meant}\", or give the source a name that is not so like it"),
                );
            }
            let Some(source) = source.as_ref().filter(|source| source.value == "signal") else { continue };
            let reaches = |signal: &&SignalDraft| {
                is_within(&equipment.path.value, &signal.equipment.value)
                    || is_within(&signal.equipment.value, &equipment.path.value)
            };
            let fits = |role: Role| if state { role == Role::State } else { role.counts_pieces() };
            let mut bound = draft.signals.iter().filter(reaches).filter_map(|signal| signal.def.role);
            if !bound.any(fits) {
                let role = if state { "state" } else { "total_count" };
                let message =
                    format!("`{key}` is \"signal\", but no signal of `{}` has such a role", equipment.path.value);
                mistakes.absent(source.at, message, format!("add [[signals]] with role = \"{role}\""));
            }
        }
    }
}

/// A rule tells states by itself, so a state map of the equipment that it holds for would be written in vain. One that is
/// inherited may be meant for others.
fn state_map_beside(draft: &Draft, ruled: &SignalDraft, at: usize, mistakes: &mut Mistakes<'_>) {
    let is_nearer = |signal: &SignalDraft, path: &str| {
        signal.def.role == Some(Role::State)
            && signal.equipment.value.len() > ruled.equipment.value.len()
            && is_within(path, &signal.equipment.value)
    };
    let mapped = draft.equipment.iter().find(|equipment| {
        let path = &equipment.path.value;
        let by_signal = equipment.state_source.as_ref().is_none_or(|source| source.value == "signal");
        let holds = is_within(path, &ruled.equipment.value) && !draft.signals.iter().any(|s| is_nearer(s, path));
        equipment.state_map.is_some() && by_signal && holds
    });
    if let Some(mapped) = mapped {
        let message = format!("`{}` has both a rule and a state map, on `{}`", ruled.signal.value, mapped.path.value);
        mistakes.add(at, message, "leave out `running` or `state_map`");
    }
}

fn states(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    for (name, states) in &draft.state_maps {
        if states.is_empty() {
            let message = format!("state map `{}` has no states", name.value);
            mistakes.absent(name.at, message, "add lines such as \"6\" = \"run\"");
        }
    }
}

fn duplicates(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    let products = draft.products.iter().map(|p| {
        let place = p.equipment.as_ref().map(|equipment| equipment.value.as_str());
        (
            (p.product.value.as_str(), place, p.valid_from.map(|from| format!("{from:?}"))),
            p.product.value.as_str(),
            p.product.at,
        )
    });
    once("product", products, "give it another valid_from or equipment, or keep one of them", mistakes);
    let characteristics = draft.characteristics.iter().map(|draft| {
        let c = &draft.characteristic;
        ((&c.characteristic, &c.product, &c.operation), c.characteristic.as_str(), draft.at)
    });
    once("characteristic", characteristics, "give it another product or operation, or keep one of them", mistakes);
    let reasons = draft.reasons.iter().map(|r| (r.reason.value.as_str(), r.reason.value.as_str(), r.reason.at));
    once("reason", reasons, "keep one of them", mistakes);
}

fn reasons(draft: &Draft, mistakes: &mut Mistakes<'_>) {
    let parents: HashMap<&str, &str> = draft
        .reasons
        .iter()
        .filter_map(|r| r.parent.as_ref().map(|parent| (r.reason.value.as_str(), parent.value.as_str())))
        .collect();
    for reason in &draft.reasons {
        let chain = std::iter::successors(Some(reason.reason.value.as_str()), |name| parents.get(name).copied());
        let mut above = chain.skip(1).take(draft.reasons.len() + 1);
        if above.any(|name| name == reason.reason.value) {
            let message = format!("reason `{}` stands above itself", reason.reason.value);
            mistakes.add(reason.reason.at, message, "correct its parent");
        } else if reason.category.is_none() && draft.reason_category(&reason.reason.value).is_none() {
            let message = format!("reason `{}` has no category, nor has one above it", reason.reason.value);
            mistakes.absent(reason.reason.at, message, "add category = \"unplanned\", changeover, planned or no_order");
        }
    }
}

fn second_of_day(time: Time) -> i64 {
    i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
}

/// From one wall time to the next time that the clock shows the other, up to a day.
fn until(from: Time, to: Time) -> i64 {
    let seconds = (second_of_day(to) - second_of_day(from)).rem_euclid(DAY_S);
    if seconds == 0 { DAY_S } else { seconds }
}

fn calendar(name: &str, shifts: &[ShiftDraft], mistakes: &mut Mistakes<'_>) {
    let mut starts: Vec<(i64, i64, &ShiftDraft)> = Vec::new();
    for shift in shifts {
        breaks(shift, mistakes);
        let length = until(shift.pattern.start, shift.pattern.end);
        let monday = |day: &Weekday| i64::from(day.to_monday_zero_offset()) * DAY_S;
        let offsets = shift.pattern.days.iter().map(monday);
        starts.extend(offsets.map(|day| (day + second_of_day(shift.pattern.start), length, shift)));
    }
    starts.sort_by_key(|&(start, length, _)| (start, length));
    let following = starts.iter().skip(1).copied();
    let wrapped = starts.first().map(|&(start, length, shift)| (start + WEEK_S, length, shift));
    for (&(start, length, shift), (next_start, _, next)) in starts.iter().zip(following.chain(wrapped)) {
        let repeats = starts.len() == 1;
        if start + length > next_start && !repeats {
            let message = format!(
                "shift `{}` of calendar `{name}` begins before shift `{}` (line {}) ends",
                next.pattern.name,
                shift.pattern.name,
                mistakes.line(shift.at)
            );
            mistakes.add(next.at, message, "shifts of one calendar may touch, not overlap: correct times or days");
        }
    }
}

fn breaks(shift: &ShiftDraft, mistakes: &mut Mistakes<'_>) {
    let pattern = &shift.pattern;
    let length = until(pattern.start, pattern.end);
    let from_start = |time: Time| (second_of_day(time) - second_of_day(pattern.start)).rem_euclid(DAY_S);
    let mut taken: Vec<(i64, i64)> = Vec::new();
    for (&(start, end), &at) in pattern.breaks.iter().zip(&shift.break_places) {
        let begins = from_start(start);
        let ends = begins + until(start, end);
        let text = format!("{}–{}", clock(start), clock(end));
        if start == end {
            mistakes.add(at, format!("break {text} has no length"), "write when it starts and when it ends");
        } else if ends > length {
            let message = format!("break {text} is not within shift `{}`", pattern.name);
            mistakes.add(
                at,
                message,
                format!("the shift lasts from {} to {}", clock(pattern.start), clock(pattern.end)),
            );
        } else if taken.iter().any(|&(other_start, other_end)| begins < other_end && other_start < ends) {
            let message = format!("break {text} overlaps another of shift `{}`", pattern.name);
            mistakes.add(at, message, "join or separate them");
        } else {
            taken.push((begins, ends));
        }
    }
}

fn clock(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}
