mod money;
mod products;
mod rules;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{
    Format, Interpolation, LineRoute, Mistake, Plant, Role, Rollup, Route, Source, Value, WorkOrder, value_text,
};
use crate::execution::OrderSpan;
use crate::state::{Category, RecordKind};
use crate::tables::TABLES;
use crate::thinning::{Compression, Limits, Method};
use crate::{OPEN, SECOND_US};

const PLANT: &str = include_str!("tests/plant.toml");
const PRESS: &str = "cologne/line-1/press";
const WELD: &str = "cologne/line-1/weld";

fn plant() -> Plant {
    Plant::parse(PLANT).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

fn us(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("RFC 3339").as_microsecond()
}

fn mistakes(text: &str) -> Vec<Mistake> {
    Plant::parse(text).map(|_| ()).expect_err("mistakes")
}

/// The plant file with one text replaced: exactly this mistake, at the place of `at` in the new file.
fn check(old: &str, new: &str, at: &str, message: &str, remedy: &str) {
    assert_eq!(PLANT.matches(old).count(), 1, "`{old}` must stand in the file once");
    let text = PLANT.replace(old, new);
    let found = mistakes(&text);
    assert_eq!(found.len(), 1, "{old} -> {new}: {found:#?}");
    assert!(found[0].message.contains(message), "{old} -> {new}: {}", found[0]);
    assert!(found[0].remedy.contains(remedy), "{old} -> {new}: {}", found[0]);
    let offset = text.find(at).unwrap_or_else(|| panic!("`{at}` must stand in the new file"));
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    assert_eq!((found[0].line, found[0].column), (line, column), "{old} -> {new}: {}", found[0]);
}

/// The plant file with lines added at its end: exactly this mistake.
fn check_added(added: &str, message: &str, remedy: &str) {
    let found = mistakes(&format!("{PLANT}\n{added}\n"));
    assert_eq!(found.len(), 1, "{added}: {found:#?}");
    assert!(found[0].message.contains(message) && found[0].remedy.contains(remedy), "{added}: {}", found[0]);
    assert!(found[0].line > PLANT.matches('\n').count(), "{added}: {}", found[0]);
}

#[test]
fn what_is_inherited_is_filled_in() {
    let plant = plant();
    let press = plant.equipment(PRESS).expect("declared");
    assert_eq!(press.calendar.as_deref(), Some("three_shift"));
    assert_eq!((plant.default_product(PRESS), plant.default_product(WELD)), (Some("P-100"), Some("P-200")));
    assert_eq!(plant.default_product("cologne"), None);
    assert_eq!(press.microstop_threshold_us, 120 * SECOND_US);
    assert_eq!(plant.equipment(WELD).map(|e| e.microstop_threshold_us), Some(60 * SECOND_US));
    assert_eq!(plant.equipment(WELD).map(|e| e.state_kind), Some(RecordKind::Interval));
    assert_eq!(plant.zone("tokyo").iana_name(), Some("Asia/Tokyo"));
    assert_eq!(plant.zone(PRESS).iana_name(), Some("Europe/Berlin"));
    assert_eq!(plant.zone("nowhere").iana_name(), Some("Europe/Berlin"));
    assert_eq!(plant.equipment("cologne/line-1").map(|e| e.rollup), Some(Rollup::Serial));
}

#[test]
fn the_tree_is_walked_in_declared_order() {
    let plant = plant();
    let paths = |equipment: Vec<&super::Equipment>| equipment.into_iter().map(|e| e.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(plant.tree().collect()), ["cologne", "cologne/line-1", PRESS, WELD, "tokyo"]);
    assert_eq!(paths(plant.descendants("cologne").collect()), ["cologne/line-1", PRESS, WELD]);
    assert_eq!(paths(plant.children("cologne/line-1").collect()), [PRESS, WELD]);
    assert_eq!(paths(plant.ancestors(PRESS).collect()), [PRESS, "cologne/line-1", "cologne"]);
}

#[test]
fn calendars_are_listed_once_per_zone() {
    let plant = plant();
    let names: Vec<&str> = plant.calendars().map(|(name, _)| name).collect();
    assert_eq!(names, ["three_shift", "three_shift@Asia/Tokyo"]);
    assert_eq!(plant.calendar_name("tokyo").as_deref(), Some("three_shift@Asia/Tokyo"));
    let (from, to) = (us("2025-01-14T05:00:00Z"), us("2025-01-14T13:00:00Z"));
    let shifts = plant.calendar(PRESS).expect("declared").instances(from, to);
    assert_eq!((shifts.len(), shifts[0].start, shifts[0].end), (1, from, to));
    assert_eq!(shifts[0].breaks.len(), 2);
}

#[test]
fn topics_lead_to_signals() {
    let plant = plant();
    let mapped = |equipment: &str, signal: Option<&str>, format| Route::Mapped {
        equipment: equipment.to_owned(),
        signal: signal.map(str::to_owned),
        format,
    };
    let unknown = |equipment: &str| Route::UnknownEquipment { equipment: equipment.to_owned() };
    let cases = [
        ("plant/line-1/press/temperature", mapped(PRESS, Some("temperature"), Format::Auto)),
        ("plant/line-1/press/drive/1/speed", mapped(PRESS, Some("drive.1.speed"), Format::Auto)),
        ("plant/line-1/press", Route::Unmapped),
        ("plant/line-1/press/", Route::Unmapped),
        ("plant/line-2/press/x", unknown("cologne/line-2/press")),
        ("raw/x/weld", mapped(WELD, None, Format::Auto)),
        ("raw/x/weld/a/b", mapped(WELD, None, Format::Auto)),
        ("raw/weld", Route::Unmapped),
        ("tokyo/temperature", mapped("tokyo", Some("temperature"), Format::Auto)),
        ("tokyo/temperature/x", Route::Unmapped),
        ("umh/v1/cologne/line-1/press/_historian/drive/speed", mapped(PRESS, Some("drive.speed"), Format::Umh)),
        ("umh/v1/cologne/line-1/press/_historian", mapped(PRESS, None, Format::Umh)),
        ("umh/v1/acme/press/_historian/x", unknown("acme/press")),
        ("umh/v1/_historian/x", Route::Unmapped),
        ("", Route::Unmapped),
    ];
    for (topic, expected) in cases {
        assert_eq!(plant.route(topic), expected, "{topic}");
    }
}

#[test]
fn a_tail_can_name_the_equipment() {
    let text = format!("{PLANT}\n[[topics]]\npattern = \"by-path/{{path...}}\"\nequipment = \"{{path}}\"\n");
    let plant = Plant::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let expected = Route::Mapped { equipment: PRESS.to_owned(), signal: None, format: Format::Auto };
    assert_eq!(plant.route("by-path/cologne/line-1/press"), expected);
}

#[test]
fn lines_lead_to_signals() {
    let plant = plant();
    let mapped = |equipment: &str, signal: Option<&str>| LineRoute::Mapped {
        equipment: equipment.to_owned(),
        signal: signal.map(str::to_owned),
    };
    let missing = |tag: &str| LineRoute::Unmapped { missing_tag: tag.to_owned() };
    let (line, machine) = (("line", "line-1"), ("machine", "press"));
    assert_eq!(plant.line_route("machine", &[machine, line, ("site", "x")]), mapped(PRESS, None));
    assert_eq!(plant.line_route("machine", &[line]), missing("machine"));
    let unknown = LineRoute::UnknownEquipment { equipment: "cologne/line-1/saw".to_owned() };
    assert_eq!(plant.line_route("machine", &[line, ("machine", "saw")]), unknown);
    assert_eq!(plant.line_route("energy", &[("equipment", PRESS)]), mapped(PRESS, None));
    assert_eq!(plant.line_route("energy", &[("equipment", PRESS), ("signal", "kwh")]), mapped(PRESS, Some("kwh")));
    assert_eq!(plant.line_route("energy", &[]), missing("equipment"));
}

#[test]
fn a_proposal_maps_the_topic() {
    for topic in [
        "acme/line-1/press/temperature",
        "press/a/b",
        "acme/halle/säge \"7\"/speed",
        "temperature",
        "/lead/ing/slash",
        "odd/{x}/press/y",
        "plant/line-2/saw/speed",
        "umh/v1/acme/saw/_historian/x",
    ] {
        let proposal = plant().proposal(topic);
        let extended = Plant::parse(&format!("{PLANT}\n{proposal}"));
        let extended = extended.unwrap_or_else(|mistakes| panic!("{topic}: {mistakes:#?}\n{proposal}"));
        assert!(matches!(extended.route(topic), Route::Mapped { .. }), "{topic}: {proposal}");
    }
    let expected = "[[topics]]\npattern = \"acme/line-1/press/{signal...}\"\nequipment = \"cologne/line-1/press\"\nsignal = \"{signal}\"\n";
    assert_eq!(plant().proposal("acme/line-1/press/temperature"), expected);
    assert_eq!(plant().proposal("tokyo/temperature"), "");
}

#[test]
fn signals_come_from_the_nearest_declaration() {
    let plant = plant();
    let total = plant.signal(PRESS, "total");
    assert_eq!((total.role, total.interpolation), (Some(Role::TotalCount), Interpolation::Stepped));
    assert_eq!((total.counter.modulus, total.counter.max_step), (Some(65_536.0), Some(100.0)));
    assert_eq!(plant.signal(PRESS, "temperature").uom.as_deref(), Some("°C"));
    assert_eq!(plant.signal(WELD, "temperature").uom, None);
    assert_eq!(plant.signal(WELD, "temperature").interpolation, Interpolation::Sloped);
    let roles = |equipment| plant.role_signals(equipment).iter().map(|(role, _)| *role).collect::<Vec<_>>();
    assert_eq!(roles(PRESS), [Role::State, Role::TotalCount]);
    // The weld's own declaration of `state` has no role.
    assert_eq!(roles(WELD), [Role::TotalCount]);
    assert_eq!(roles("tokyo"), []);
}

#[test]
fn sources_follow_what_is_bound() {
    let plant = plant();
    assert_eq!((plant.state_source(PRESS), plant.count_source(PRESS)), (Source::Signal, Source::Signal));
    assert_eq!(plant.state_source(WELD), Source::Records("mes".to_owned()));
    assert_eq!(plant.count_source(WELD), Source::Signal);
    assert_eq!((plant.state_source("tokyo"), plant.count_source("tokyo")), (Source::AnyRecords, Source::AnyRecords));
}

#[test]
fn states_are_mapped() {
    let plant = plant();
    let mapped = |value| plant.state(PRESS, value).map(|s| (s.state.as_str(), s.category, s.reason.as_deref()));
    assert_eq!(mapped("6"), Some(("run", Category::Run, None)));
    assert_eq!(mapped("2"), Some(("stop", Category::Unplanned, Some("JAM"))));
    assert_eq!(mapped("11"), Some(("HELD", Category::Planned, Some("JAM"))));
    assert_eq!(mapped("7"), None);
    let bit = |value| plant.state("tokyo", value).map(|s| s.category);
    assert_eq!(bit("1"), Some(Category::Run));
    assert_eq!((bit("RUNNING"), bit("0"), bit("?")), (Some(Category::Run), Some(Category::Unplanned), None));
    assert_eq!((value_text(6.0), value_text(-0.5), value_text(1e300)), ("6".into(), "-0.5".into(), 1e300.to_string()));
}

#[test]
fn records_are_classified() {
    let plant = plant();
    let category = |state, category, reason| plant.classify(PRESS, state, category, reason).category;
    assert_eq!(category(Some("STOP"), None, Some("SETUP")), Some(Category::Changeover));
    assert_eq!(category(Some("STOP"), None, Some("nobody knows")), Some(Category::Unplanned));
    assert_eq!(category(Some("STOP"), None, None), Some(Category::Unplanned));
    assert_eq!(category(Some("RUN"), None, Some("SETUP")), Some(Category::Run));
    assert_eq!(category(Some("own word"), Some("planned"), None), Some(Category::Planned));
    assert_eq!(category(Some("own word"), None, None), None);
    assert_eq!(category(Some("own word"), None, Some("SETUP")), Some(Category::Changeover));
    assert_eq!(category(None, None, Some("JAM")), Some(Category::Unplanned));
    assert_eq!(category(None, None, None), None);
    let value = plant.classify(PRESS, Some("2"), None, None);
    assert_eq!((value.state.as_ref(), value.reason.as_deref()), ("stop", Some("JAM")));
    // A corrected reason takes the place of the one that the map gives.
    assert_eq!(category(Some("2"), None, Some("SETUP")), Some(Category::Changeover));
}

#[test]
fn ideal_cycle_times_hold_by_place_and_date() {
    let plant = plant();
    let ideal = |equipment, at| plant.ideal_cycle_s("P-100", equipment, us(at));
    assert_eq!(ideal("tokyo", "2025-06-01T00:00:00Z"), Some(12.0));
    assert_eq!(ideal(PRESS, "2025-06-01T00:00:00Z"), Some(10.0));
    assert_eq!(ideal(PRESS, "2025-07-01T00:00:00Z"), Some(9.0));
    // Local midnight in Berlin, an hour before midnight UTC.
    assert_eq!(ideal(PRESS, "2024-12-31T23:00:00Z"), Some(10.0));
    assert_eq!(ideal(PRESS, "2024-12-31T22:59:59Z"), Some(12.0));
    assert_eq!(plant.ideal_cycle_s("P-200", PRESS, 0), None);
}

#[test]
fn jobs_fill_gaps_and_cut_at_new_cycle_times() {
    let plant = plant();
    let (from, to) = (us("2025-06-30T00:00:00Z"), us("2025-07-03T00:00:00Z"));
    let span = |work_order: &str, product: Option<&str>, start, end| OrderSpan {
        work_order: Some(work_order.to_owned()),
        product: product.map(str::to_owned),
        start,
        end,
    };
    let second = us("2025-07-02T00:00:00Z");
    let spans = [span("WO1", None, second, second + 10), span("WO2", Some("P-200"), second + 10, OPEN)];
    let order = WorkOrder { product: Some("P-100".to_owned()), ideal_cycle_s: Some(7.5) };
    let orders = HashMap::from([("WO1".to_owned(), order)]);
    let jobs = plant.jobs(PRESS, &spans, &orders, from, to);
    let found: Vec<_> =
        jobs.iter().map(|j| (j.start, j.end, j.work_order.as_deref(), j.product.as_deref(), j.ideal_cycle_s)).collect();
    let july = us("2025-07-01T00:00:00Z");
    let expected = [
        (from, july, None, Some("P-100"), Some(10.0)),
        (july, second, None, Some("P-100"), Some(9.0)),
        (second, second + 10, Some("WO1"), Some("P-100"), Some(7.5)),
        (second + 10, to, Some("WO2"), Some("P-200"), None),
    ];
    assert_eq!(found, expected);
    assert_eq!(plant.jobs("tokyo", &[], &orders, from, to), []);
}

#[test]
fn master_rows_fit_the_tables() {
    let rows = plant().master_rows();
    for (name, rows) in &rows {
        let table = TABLES.iter().find(|table| table.name == *name).expect("a table");
        for row in rows {
            assert!(row.iter().all(|(column, _)| table.columns.iter().any(|c| c.name == *column)), "{name}: {row:?}");
        }
    }
    let counts: BTreeMap<&str, usize> = rows.iter().map(|(name, rows)| (*name, rows.len())).collect();
    let expected =
        [("characteristics", 1), ("equipment", 5), ("plant_files", 1), ("products", 4), ("reasons", 3), ("signals", 4)];
    assert_eq!(counts, BTreeMap::from(expected));
    let reasons = &rows.iter().find(|(name, _)| *name == "reasons").expect("reasons").1;
    assert!(reasons[0].contains(&("category", Value::Text("unplanned".to_owned()))), "{:?}", reasons[0]);
}

#[test]
fn names_that_nobody_declares() {
    check(
        "default_product = \"P-200\"",
        "default_product = \"P-20\"",
        "\"P-20\"",
        "unknown product `P-20`",
        "did you mean `P-200`?",
    );
    check(
        "state_map = \"packml\"",
        "state_map = \"packm\"",
        "\"packm\"",
        "unknown state map `packm`",
        "[state_maps.packm]",
    );
    check(
        "calendar = \"three_shift\"\n\n[[equipment]]\npath = \"cologne/line-1\"",
        "calendar = \"x\"\n\n[[equipment]]\npath = \"cologne/line-1\"",
        "\"x\"",
        "unknown calendar `x`",
        "[[calendars.x.shifts]]",
    );
    check("reason = \"JAM\" }\n\"11\"", "reason = \"JAMM\" }\n\"11\"", "\"JAMM\"", "unknown reason `JAMM`", "`JAM`");
    check(
        "parent = \"TECH\"",
        "parent = \"TEC\"\ncategory = \"unplanned\"",
        "\"TEC\"",
        "unknown reason `TEC`",
        "`TECH`",
    );
    check_added(
        "[[signals]]\nequipment = \"cologne/line-9\"\nsignal = \"x\"",
        "unknown equipment `cologne/line-9`",
        "did you mean `cologne/line-1`?",
    );
    check_added(
        "[[products]]\nproduct = \"X\"\nequipment = \"nowhere\"",
        "unknown equipment `nowhere`",
        "[[equipment]]",
    );
    check_added("[[characteristics]]\ncharacteristic = \"c\"\nproduct = \"P\"", "unknown product `P`", "[[products]]");
    check_added(
        "[[topics]]\npattern = \"x/{m}\"\nequipment = \"berlin/{m}\"",
        "no declared equipment looks like",
        "declare",
    );
    check_added(
        "[[topics]]\npattern = \"x\"\nequipment = \"tokio\"",
        "unknown equipment `tokio`",
        "did you mean `tokyo`?",
    );
}

#[test]
fn keys_that_nobody_knows() {
    check(
        "microstop_threshold_s = 120",
        "microstop_treshold_s = 120",
        "microstop_treshold_s",
        "no key `microstop_treshold_s`",
        "did you mean `microstop_threshold_s`?",
    );
    check("uom = \"°C\"", "unit = \"°C\"", "unit = \"°C\"", "no key `unit`", "");
    check("breaks = [[\"02:15\"", "brakes = [[\"02:15\"", "brakes", "no key `brakes`", "`breaks`");
    check_added("[topic]\nx = 1", "the plant file has no key `topic`", "did you mean `topics`?");
}

#[test]
fn the_tree_must_be_whole() {
    check_added("[[equipment]]\npath = \"bonn/line\"", "`bonn`, which is not declared", "path = \"bonn\"");
    check_added("[[equipment]]\npath = \"tokyo\"", "equipment `tokyo` is declared twice; line 33", "keep one");
    check_added("[[equipment]]\npath = \"a b/\"", "empty level", "single slashes");
    check_added("[[equipment]]\nname = \"x\"", "[[equipment]] has no `path`", "add `path");
    check_added("[[equipment]]\npath = \"x\"\nlevel = \"sitee\"", "`level` cannot be `sitee`", "did you mean `site`?");
    check_added("[[equipment]]\npath = \"x\"\nrollup = \"serial\"", "serial line without machines", "leave rollup out");
}

#[test]
fn zones_and_times_must_exist() {
    check(
        "zone = \"Europe/Berlin\"",
        "zone = \"Europe/Berln\"",
        "\"Europe/Berln\"",
        "unknown time zone",
        "did you mean `Europe/Berlin`?",
    );
    check("start = \"06:00\"", "start = \"25:00\"", "\"25:00\"", "not a time of day", "HH:MM");
    check("start = \"06:00\"", "start = 6", "6\nend", "`start` must be text", "in quotes");
    check("valid_from = \"2025-01-01\"", "valid_from = \"2025-13-01\"", "\"2025-13-01\"", "not a date", "2025-01-31");
    check("[\"09:00\", \"09:15\"]", "[\"09:00\"]", "[\"09:00\"]", "a break is a start and an end", "09:15");
}

#[test]
fn shifts_must_not_overlap() {
    check(
        "start = \"14:00\"",
        "start = \"13:00\"",
        "[[calendars.three_shift.shifts]]\nname = \"late\"",
        "shift `late` of calendar `three_shift` begins before shift `early`",
        "overlap",
    );
    check(
        "end = \"06:00\"",
        "end = \"06:30\"",
        "[[calendars.three_shift.shifts]]\nname = \"early\"",
        "shift `early` of calendar `three_shift` begins before shift `night`",
        "overlap",
    );
}

#[test]
fn breaks_lie_within_their_shift() {
    check(
        "[\"09:00\", \"09:15\"]",
        "[\"05:00\", \"05:15\"]",
        "[\"05:00\"",
        "break 05:00–05:15 is not within shift `early`",
        "06:00 to 14:00",
    );
    check(
        "[\"02:15\", \"02:45\"]",
        "[\"05:45\", \"06:15\"]",
        "[\"05:45\"",
        "is not within shift `night`",
        "22:00 to 06:00",
    );
    check("[\"11:30\", \"12:00\"]", "[\"09:10\", \"09:30\"]", "[\"09:10\"", "overlaps another", "join");
    check("[\"11:30\", \"12:00\"]", "[\"11:30\", \"11:30\"]", "[\"11:30\"", "has no length", "");
}

#[test]
fn numbers_must_make_sense() {
    check(
        "ideal_cycle_s = 12.0",
        "ideal_cycle_s = 0",
        "0\n\n[[products]]\nproduct = \"P-100\"\nideal_cycle_s = 10",
        "`ideal_cycle_s` is 0",
        "above zero",
    );
    check("ideal_cycle_s = 12.0", "ideal_cycle_s = -1.5", "-1.5", "`ideal_cycle_s` is -1.5", "above zero");
    check("ideal_cycle_s = 12.0", "ideal_cycle_s = nan", "nan", "must be a number, not nan", "a number");
    check(
        "microstop_threshold_s = 120",
        "microstop_threshold_s = \"2 min\"",
        "\"2 min\"",
        "must be a number, not string",
        "a number",
    );
    check("max_step = 100", "max_step = 70000", "70000", "not below `modulus`", "plausible");
    check("lower_limit = 0.0", "lower_limit = 3.0", "3.0", "`lower_limit` 3 is not below", "");
    check("target = 0.5", "target = 5", "5\n\n[[reasons]]\nreason = \"TECH\"", "outside the limits", "");
    check("uom = \"°C\"", "modulus = 10", "10\ndescription", "this signal is none", "count role");
}

#[test]
fn compression_goes_with_the_way_a_signal_is_read() {
    let signal = |keys: &str| format!("[[signals]]\nequipment = \"cologne\"\nsignal = \"c\"\n{keys}");
    let declared = |keys: &str| {
        let plant = Plant::parse(&format!("{PLANT}\n{}\n", signal(keys))).unwrap_or_else(|found| panic!("{found:#?}"));
        let def = plant.signal(PRESS, "c").clone();
        (plant.has_compression(), def.interpolation, def.compression)
    };
    let compression =
        |method, max_gap_us| Some(Compression { method, limits: Limits::new(0.5, max_gap_us).expect("limits") });
    let door = "compression = { method = \"swinging_door\", deviation = 0.5 }";
    let band = "compression = { method = \"dead_band\", deviation = 0.5, max_interval_s = 600 }";
    let minutes = Some(600 * SECOND_US);
    assert_eq!(declared(""), (false, Interpolation::Sloped, None));
    assert_eq!(declared(door), (true, Interpolation::Sloped, compression(Method::SwingingDoor, None)));
    assert_eq!(declared(band), (true, Interpolation::Stepped, compression(Method::DeadBand, minutes)));
    let refused = |keys: &str, message, remedy| check_added(&signal(keys), message, remedy);
    refused("compression = 0.5", "must be a table such as { method = \"swinging_door\"", "deviation = 0.5 }");
    refused("compression = { deviation = 1 }", "`compression` has no `method`", "method = …");
    refused("compression = { method = \"dead_band\" }", "`compression` has no `deviation`", "deviation = …");
    refused(
        "compression = { method = \"deadband\", deviation = 1 }",
        "cannot be `deadband`",
        "did you mean `dead_band`",
    );
    refused("compression = { method = \"dead_band\", deviation = -1 }", "`deviation` is -1", "0 or more");
    refused(&band.replace("max_interval_s", "max_interval"), "has no key `max_interval`", "`max_interval_s`");
    refused(&band.replace("600", "0"), "`max_interval_s` is 0", "above zero");
    refused(&band.replace("600", "1e-9"), "`max_interval_s` is 0.000000001", "millionth");
    refused(&format!("role = \"good_count\"\n{band}"), "with the role good_count", "leave out `compression` or `role`");
    refused(
        &format!("interpolation = \"sloped\"\n{band}"),
        "`dead_band` is for stepped signals, and this one is sloped",
        "method = \"swinging_door\", or interpolation = \"stepped\"",
    );
    refused(&format!("interpolation = \"stepped\"\n{door}"), "for sloped signals", "method = \"dead_band\"");
}

#[test]
fn compression_shows_in_the_table_of_signals() {
    let added = "[[signals]]\nequipment = \"cologne\"\nsignal = \"c\"\n\
                 compression = { method = \"dead_band\", deviation = 0.5, max_interval_s = 600 }";
    let plant = Plant::parse(&format!("{PLANT}\n{added}\n")).unwrap_or_else(|found| panic!("{found:#?}"));
    let rows = plant.master_rows();
    let signals = &rows.iter().find(|(name, _)| *name == "signals").expect("signals").1;
    let shown: Vec<_> =
        signals.iter().flatten().filter(|(column, _)| column.starts_with("compression")).cloned().collect();
    let expected = [
        ("compression", Value::Text("dead_band".to_owned())),
        ("compression_deviation", Value::Number(0.5)),
        ("compression_max_interval_s", Value::Number(600.0)),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn patterns_must_be_usable() {
    let pattern = |text: &str, message: &str| {
        check_added(&format!("[[topics]]\npattern = \"{text}\"\nequipment = \"tokyo\""), message, "");
    };
    pattern("a/{x...}/b", "stands before the end");
    pattern("a/#/b", "stands before the end");
    pattern("a/{x}/{x}", "captured twice");
    pattern("a/b{x}", "mixes braces and text");
    pattern("a/b+", "mixes a wildcard and text");
    pattern("a//b", "a level is empty");
    pattern("a/{}", "is not a capture");
    check_added(
        "[[topics]]\npattern = \"a/{x}\"\nequipment = \"tokyo\"\nsignal = \"{y}\"",
        "nothing captures `{y}`",
        "",
    );
    check_added("[[topics]]\npattern = \"a/{x}\"\nequipment = \"tokyo\"\nsignal = \"{x\"", "`{` without `}`", "");
}

#[test]
fn nothing_is_declared_twice() {
    check_added(
        "[[signals]]\nequipment = \"cologne\"\nsignal = \"total\"",
        "signal `total` is declared twice",
        "keep one",
    );
    check_added(
        "[[signals]]\nequipment = \"cologne\"\nsignal = \"t2\"\nrole = \"total_count\"",
        "`total` already has the role total_count",
        "child equipment",
    );
    check_added("[[products]]\nproduct = \"P-200\"", "product `P-200` is declared twice", "valid_from");
    check_added("[[reasons]]\nreason = \"JAM\"\ncategory = \"planned\"", "reason `JAM` is declared twice", "keep one");
    check_added(
        "[[characteristics]]\ncharacteristic = \"leak_rate\"\noperation = \"leak_test\"",
        "characteristic `leak_rate` is declared twice",
        "",
    );
}

#[test]
fn reasons_have_a_category() {
    check_added("[[reasons]]\nreason = \"X\"", "reason `X` has no category", "unplanned");
    check_added(
        "[[reasons]]\nreason = \"X\"\ncategory = \"plannned\"",
        "cannot be `plannned`",
        "did you mean `planned`?",
    );
    let circle = "[[reasons]]\nreason = \"X\"\nparent = \"Y\"\n[[reasons]]\nreason = \"Y\"\nparent = \"X\"";
    let found = mistakes(&format!("{PLANT}\n{circle}\n"));
    assert_eq!(found.iter().filter(|m| m.message.contains("stands above itself")).count(), 2, "{found:#?}");
}

#[test]
fn states_must_be_run_or_stop() {
    check(
        "\"10\" = \"stop\"",
        "\"10\" = \"stopp\"",
        "\"stopp\"",
        "`stopp` is neither run nor stop",
        "did you mean `stop`?",
    );
    check("\"10\" = \"stop\"", "\"10\" = 5", "5\n\n[[calendars", "must be", "");
    check("\"10\" = \"stop\"", "\"10\" = {}", "{}", "says nothing", "");
}

#[test]
fn every_mistake_is_reported_in_file_order() {
    let text = "[plant]\nzone = \"Mars/Base\"\nnam = \"x\"\n[[equipment]]\npath = \"a/b\"\ncalendar = \"none\"\n\
                [[products]]\nproduct = \"P\"\nideal_cycle_s = -1\n[[calendars.c.shifts]]\nname = \"s\"\ndays = [\"mon\", \"xyz\"]\nstart = \"9\"\nend = \"10:00\"\n";
    let found = mistakes(text);
    let places: Vec<(usize, usize)> = found.iter().map(|m| (m.line, m.column)).collect();
    assert_eq!(places, [(2, 8), (3, 1), (5, 8), (6, 12), (9, 17), (12, 16), (13, 9)], "{found:#?}");
    assert!(found.iter().all(|m| !m.message.is_empty() && !m.remedy.is_empty()), "{found:#?}");
    let shown = found[1].to_string();
    assert_eq!(shown, "3:1: [plant] has no key `nam`; did you mean `name`?");
}

#[test]
fn what_is_not_toml_is_reported_with_the_rest() {
    let found = mistakes(
        &PLANT.replace("path = \"tokyo\"", "path = tokyo\nlevel = \"sit\"").replace("uom = \"°C\"", "uom = = 1"),
    );
    let syntax = found.iter().filter(|m| m.message.starts_with("this is not TOML")).count();
    assert!(syntax >= 2, "{found:#?}");
    assert!(found.iter().any(|m| m.message.contains("`level` cannot be `sit`")), "{found:#?}");
}

#[test]
fn an_empty_file_says_how_to_begin() {
    let found = mistakes("");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().any(|m| m.remedy.contains("[plant]")));
}

#[test]
fn tables_with_single_brackets_are_named() {
    let found = mistakes("[plant]\nzone = \"UTC\"\n[equipment]\npath = \"a\"\n");
    assert!(found.iter().any(|m| m.line == 3 && m.remedy.contains("[[equipment]] with double brackets")), "{found:#?}");
}
