//! Reads a plant file section by section; what does not fit is a mistake and is left out.

mod calendar;
mod compression;
mod condition;
mod curve;
mod results;
mod state_map;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use toml::de::DeTable;

use super::document::Section;
use super::draft::{
    CharacteristicDraft, Draft, EquipmentDraft, ProductDraft, ReasonDraft, ReasonRuleDraft, SignalDraft, ValidFrom,
    Zone,
};
use super::mistake::{Located, Mistakes, nearest};
use super::pattern::{Pattern, PatternError, Template};
use super::route::{Format, LineMapping, TopicMapping};
use super::{Characteristic, Interpolation, Level, Role, Rollup, SignalDef};
use crate::counter::CounterRule;
use crate::energy::{kwh_per, units};
use crate::state::{Category, RecordKind};

/// Categories that a stop can have.
const STOP_CATEGORIES: [(&str, Category); 4] = [
    ("unplanned", Category::Unplanned),
    ("changeover", Category::Changeover),
    ("planned", Category::Planned),
    ("no_order", Category::NoOrder),
];

/// What a violation of a control chart does, and whether it holds the unit.
pub(super) const ON_VIOLATION: [(&str, bool); 2] = [("tell", false), ("hold", true)];

const RECORD_KINDS: [(&str, RecordKind); 2] = [("change", RecordKind::Change), ("interval", RecordKind::Interval)];

pub(super) fn read(text: &str, mistakes: &mut Mistakes<'_>) -> Draft {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        mistakes.syntax(error.span().map_or(0, |span| span.start), error.message());
    }
    let mut root = Section::new("", 0, document.get_ref());
    let mut draft = Draft::default();
    plant(&mut root, &mut draft, mistakes);
    draft.equipment = each(&mut root, "equipment", mistakes, equipment);
    draft.topics = each(&mut root, "topics", mistakes, topic);
    draft.lines = each(&mut root, "line_protocol", mistakes, line);
    draft.signals = each(&mut root, "signals", mistakes, signal);
    draft.products = each(&mut root, "products", mistakes, product);
    draft.characteristics = each(&mut root, "characteristics", mistakes, characteristic);
    draft.reasons = each(&mut root, "reasons", mistakes, reason);
    draft.reason_rules = each(&mut root, "reason_rules", mistakes, reason_rule);
    draft.calendars = calendar::calendars(&mut root, mistakes);
    draft.state_maps = state_map::state_maps(&mut root, mistakes);
    root.finish(mistakes);
    draft
}

/// Reads every table of `[[key]]`.
fn each<T>(
    root: &mut Section<'_>,
    key: &'static str,
    mistakes: &mut Mistakes<'_>,
    read: fn(&mut Section<'_>, &mut Mistakes<'_>) -> Option<T>,
) -> Vec<T> {
    let mut rows = Vec::new();
    for mut section in root.tables(key, mistakes) {
        rows.extend(read(&mut section, mistakes));
        section.finish(mistakes);
    }
    rows
}

fn plain(text: Option<Located<String>>) -> Option<String> {
    text.map(|text| text.value)
}

fn plant(root: &mut Section<'_>, draft: &mut Draft, mistakes: &mut Mistakes<'_>) {
    let Some(mut section) = root.table("plant", mistakes) else {
        let remedy = "begin the file with [plant], name = \"…\" and zone = \"Europe/Berlin\"";
        mistakes.absent(0, "the file has no [plant]", remedy);
        return;
    };
    draft.name = plain(section.text("name", mistakes));
    section.demand("zone", mistakes);
    draft.zone = zone(&mut section, mistakes);
    draft.microstop_threshold_s = threshold(&mut section, mistakes);
    draft.startup_s = startup(&mut section, mistakes);
    draft.energy_price_per_kwh = money(&mut section, "energy_price_per_kwh", mistakes).map(|price| price.value);
    section.finish(mistakes);
}

fn threshold(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<f64> {
    let threshold = section.number("microstop_threshold_s", mistakes)?;
    not_negative("microstop_threshold_s", threshold, "0 means that no stop is a micro-stop", mistakes)
}

fn startup(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<f64> {
    let startup = section.number("startup_s", mistakes)?;
    not_negative("startup_s", startup, "0 means that no scrap is that of starting up", mistakes)
}

fn not_negative(name: &str, seconds: Located<f64>, nought: &str, mistakes: &mut Mistakes<'_>) -> Option<f64> {
    if seconds.value < 0.0 {
        mistakes.add(seconds.at, format!("`{name}` is {}", seconds.value), format!("write seconds; {nought}"));
        return None;
    }
    Some(seconds.value)
}

fn money(section: &mut Section<'_>, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Located<f64>> {
    let money = section.number(key, mistakes)?;
    if money.value < 0.0 {
        mistakes.add(money.at, format!("`{key}` is {}", money.value), "write 0 or more, in the plant's currency");
        return None;
    }
    Some(money)
}

fn zone(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<Zone> {
    let name = section.text("zone", mistakes)?;
    if let Ok(zone) = TimeZone::get(&name.value) {
        return Some(Zone { name: name.value, zone });
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    let remedy = match nearest(&name.value, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write an IANA zone such as Europe/Berlin".to_owned(),
    };
    mistakes.add(name.at, format!("unknown time zone `{}`", name.value), remedy);
    None
}

fn equipment(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<EquipmentDraft> {
    let path = section.required("path", mistakes);
    if let Some(path) = &path {
        check_path(path, mistakes);
    }
    let draft = EquipmentDraft {
        level: section.word("level", &Level::WORDS, mistakes).map(|level| level.value),
        name: plain(section.text("name", mistakes)),
        zone: zone(section, mistakes),
        calendar: section.text("calendar", mistakes),
        rollup: section.word("rollup", &Rollup::WORDS, mistakes).map_or(Rollup::Sum, |rollup| rollup.value),
        default_product: section.text("default_product", mistakes),
        state_map: section.text("state_map", mistakes),
        state_source: section.text("state_source", mistakes),
        state_kind: section.word("state_kind", &RECORD_KINDS, mistakes).map(|kind| kind.value),
        count_source: section.text("count_source", mistakes),
        results: results::results(section, mistakes),
        microstop_threshold_s: threshold(section, mistakes),
        startup_s: startup(section, mistakes),
        cost_per_hour: money(section, "cost_per_hour", mistakes),
        energy_price_per_kwh: money(section, "energy_price_per_kwh", mistakes).map(|price| price.value),
        path: Located { value: String::new(), at: section.at },
    };
    path.map(|path| EquipmentDraft { path, ..draft })
}

fn check_path(path: &Located<String>, mistakes: &mut Mistakes<'_>) {
    let text = &path.value;
    if text.split('/').any(|level| level.is_empty() || level.trim() != level) {
        let message = format!("`{text}` has an empty level or spaces around one");
        mistakes.add(path.at, message, "write levels divided by single slashes: site/area/line/cell");
    }
    if text.contains(['+', '#', '{', '}']) || text.chars().any(char::is_control) {
        mistakes.add(path.at, format!("`{text}` contains + # {{ }} or a control character"), "leave them out");
    }
}

fn pattern_mistake(text: &Located<String>, error: PatternError, mistakes: &mut Mistakes<'_>) {
    mistakes.add(text.at, format!("`{}`: {}", text.value, error.message), error.remedy);
}

fn topic(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<(TopicMapping, Located<String>)> {
    let pattern_text = section.required("pattern", mistakes);
    let equipment_text = section.required("equipment", mistakes);
    let signal_text = section.text("signal", mistakes);
    let format = section.word("format", &Format::WORDS, mistakes).map_or(Format::Auto, |format| format.value);
    let pattern_text = pattern_text?;
    let pattern = match Pattern::parse(&pattern_text.value) {
        Ok(pattern) => pattern,
        Err(error) => {
            pattern_mistake(&pattern_text, error, mistakes);
            return None;
        }
    };
    let names = pattern.names();
    let mut template = |text: &Located<String>| {
        let compiled = Template::parse(&text.value, |name| names.iter().position(|known| *known == name));
        compiled.map_err(|error| pattern_mistake(text, error, mistakes)).ok()
    };
    let signal = signal_text.as_ref().map(&mut template);
    let equipment_text = equipment_text?;
    let equipment = template(&equipment_text);
    let signal = match signal {
        Some(None) => return None,
        Some(signal) => signal,
        None => None,
    };
    Some((TopicMapping { equipment: equipment?, signal, format, pattern }, equipment_text))
}

fn line(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<(LineMapping, Located<String>)> {
    let measurement = section.required("measurement", mistakes);
    let equipment_text = section.required("equipment", mistakes);
    let signal_text = section.text("signal", mistakes);
    let mut tags: Vec<String> = Vec::new();
    let mut template = |text: &Located<String>| {
        let compiled = Template::parse(&text.value, |name| {
            let known = tags.iter().position(|tag| tag == name);
            Some(known.unwrap_or_else(|| {
                tags.push(name.to_owned());
                tags.len() - 1
            }))
        });
        compiled.map_err(|error| pattern_mistake(text, error, mistakes)).ok()
    };
    let signal = signal_text.as_ref().map(&mut template);
    let equipment_text = equipment_text?;
    let equipment = template(&equipment_text)?;
    let signal = match signal {
        Some(None) => return None,
        Some(signal) => signal,
        None => None,
    };
    Some((LineMapping { measurement: measurement?.value, tags, equipment, signal }, equipment_text))
}

fn signal(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<SignalDraft> {
    let equipment = section.required("equipment", mistakes);
    let signal = section.required("signal", mistakes);
    let uom = section.text("uom", mistakes);
    let interpolation = section.word("interpolation", &Interpolation::WORDS, mistakes);
    let role = section.word("role", &Role::WORDS, mistakes);
    if let Some(role) = role.as_ref().filter(|role| role.value == Role::Energy) {
        check_meter(role.at, uom.as_ref(), mistakes);
    }
    let modulus = section.positive("modulus", mistakes);
    let max_step = section.positive("max_step", mistakes);
    let description = plain(section.text("description", mistakes));
    let counts = role.as_ref().is_some_and(|role| role.value != Role::State);
    for (key, number) in [("modulus", &modulus), ("max_step", &max_step)] {
        if let (Some(number), false) = (number, counts) {
            let remedy = "give it a count role or the role energy, or leave the key out";
            mistakes.add(number.at, format!("`{key}` is for counters, and this signal is none"), remedy);
        }
    }
    if let (Some(modulus), Some(max_step)) = (&modulus, &max_step)
        && max_step.value >= modulus.value
    {
        let message = format!("`max_step` {} is not below `modulus` {}", max_step.value, modulus.value);
        mistakes.add(max_step.at, message, "write the largest step that is plausible between two readings");
    }
    let reason = section.text("reason", mistakes);
    if let Some(reason) = reason.as_ref().filter(|_| role.as_ref().map(|role| role.value) != Some(Role::ScrapCount)) {
        let message = "`reason` is for counters of scrapped pieces, and this signal is none";
        mistakes.add(reason.at, message, "give it the role scrap_count, or leave the key out");
    }
    let compression = compression::compression(section, mistakes);
    if let Some(compression) = &compression {
        let interpolation = interpolation.as_ref().map(|interpolation| interpolation.value);
        compression::check(compression, role.as_ref().map(|role| role.value), interpolation, mistakes);
    }
    let running = condition::running(section, role.as_ref().map(|role| role.value), mistakes);
    let usual = match &compression {
        _ if role.is_some() => Interpolation::Stepped,
        Some(compression) => compression.value.method.interpolation(),
        None => Interpolation::Sloped,
    };
    let counter = CounterRule { modulus: modulus.map(|m| m.value), max_step: max_step.map(|m| m.value) };
    let (equipment, signal) = (equipment?, signal?);
    let def = SignalDef {
        equipment: equipment.value.clone(),
        signal: signal.value.clone(),
        uom: plain(uom),
        interpolation: interpolation.map_or(usual, |interpolation| interpolation.value),
        role: role.map(|role| role.value),
        running: running.as_ref().map(|running| running.value.clone()),
        counter,
        reason: plain(reason),
        compression: compression.map(|compression| compression.value),
        description,
    };
    Some(SignalDraft { equipment, signal, def, running_at: running.map(|running| running.at) })
}

fn check_meter(at: usize, uom: Option<&Located<String>>, mistakes: &mut Mistakes<'_>) {
    let units = || units().collect::<Vec<_>>().join(", ");
    match uom {
        None => {
            mistakes.absent(
                at,
                "a meter needs a unit of measure",
                format!("add uom = \"kWh\", or another of {}", units()),
            );
        }
        Some(uom) if kwh_per(&uom.value).is_none() => {
            let near = nearest(&uom.value, crate::energy::units());
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            mistakes.add(
                uom.at,
                format!("`{}` is no unit of energy", uom.value),
                format!("{near}Write one of {}", units()),
            );
        }
        Some(_) => {}
    }
}

fn product(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<ProductDraft> {
    let product = section.required("product", mistakes);
    let name = plain(section.text("name", mistakes));
    let ideal_cycle_s = section.positive("ideal_cycle_s", mistakes).map(|ideal| ideal.value);
    let planned_scrap_ratio = section.number("planned_scrap_ratio", mistakes);
    if let Some(ratio) = planned_scrap_ratio.as_ref().filter(|ratio| !(0.0..1.0).contains(&ratio.value)) {
        let message = format!("`planned_scrap_ratio` is {}", ratio.value);
        mistakes.add(ratio.at, message, "write the share of all pieces, such as 0.02 for two of a hundred");
    }
    let planned_scrap_ratio = planned_scrap_ratio.map(|ratio| ratio.value);
    let equipment = section.text("equipment", mistakes);
    let valid_from = section.moment("valid_from", mistakes).and_then(|text| valid_from(&text, mistakes));
    Some(ProductDraft { product: product?, name, ideal_cycle_s, planned_scrap_ratio, equipment, valid_from })
}

fn valid_from(text: &Located<String>, mistakes: &mut Mistakes<'_>) -> Option<ValidFrom> {
    let text_value = text.value.as_str();
    let date = || text_value.parse::<Date>().ok().map(|date| ValidFrom::Local(date.to_datetime(Time::midnight())));
    let instant = || text_value.parse::<Timestamp>().ok().map(|t| ValidFrom::Instant(t.as_microsecond()));
    let local = || text_value.parse::<DateTime>().ok().map(ValidFrom::Local);
    let found = instant().or_else(local).or_else(date);
    if found.is_none() {
        mistakes.add(text.at, format!("`{text_value}` is not a date"), "write \"2025-01-31\", or RFC 3339 with a zone");
    }
    found
}

fn characteristic(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<CharacteristicDraft> {
    let at = section.at;
    let name = section.required("characteristic", mistakes);
    let product = section.text("product", mistakes);
    let operation = plain(section.text("operation", mistakes));
    let uom = plain(section.text("uom", mistakes));
    let lower = section.number("lower_limit", mistakes);
    let upper = section.number("upper_limit", mistakes);
    let target = section.number("target", mistakes);
    let hold = section.word("on_violation", &ON_VIOLATION, mistakes).is_some_and(|word| word.value);
    let reaction_plan = plain(section.text("reaction_plan", mistakes));
    let curve = curve::curve(section, mistakes);
    if let (Some(lower), Some(upper)) = (&lower, &upper)
        && lower.value >= upper.value
    {
        let message = format!("`lower_limit` {} is not below `upper_limit` {}", lower.value, upper.value);
        mistakes.add(lower.at, message, "exchange or correct them");
    } else if let Some(target) = &target
        && (lower.as_ref().is_some_and(|lower| target.value < lower.value)
            || upper.as_ref().is_some_and(|upper| target.value > upper.value))
    {
        let message = format!("`target` {} lies outside the limits", target.value);
        mistakes.add(target.at, message, "correct the target or the limits");
    }
    let characteristic = Characteristic {
        characteristic: name?.value,
        product: product.as_ref().map(|product| product.value.clone()),
        operation,
        uom,
        lower_limit: lower.map(|limit| limit.value),
        upper_limit: upper.map(|limit| limit.value),
        target: target.map(|target| target.value),
        hold_on_violation: hold,
        reaction_plan,
        curve,
    };
    Some(CharacteristicDraft { at, product, characteristic })
}

fn reason(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<ReasonDraft> {
    let reason = section.required("reason", mistakes);
    let name = plain(section.text("name", mistakes));
    let category = section.word("category", &STOP_CATEGORIES, mistakes).map(|category| category.value);
    // A word that is none is a mistake by itself; anything will do so that nothing follows from it.
    let category = category.or(section.has("category").then_some(Category::Unplanned));
    let parent = section.text("parent", mistakes);
    Some(ReasonDraft { reason: reason?, name, parent, category })
}

fn reason_rule(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<ReasonRuleDraft> {
    let equipment = section.required("equipment", mistakes);
    let signal = section.required("signal", mistakes);
    let reason = section.required("reason", mistakes);
    let condition = condition::condition(section, mistakes);
    Some(ReasonRuleDraft { equipment: equipment?, signal: signal?, condition: condition?, reason: reason? })
}
