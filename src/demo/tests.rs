//! What the demo plant promises, held over days of simulated time.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::line::topic;
use super::station::{LINE, PRESS};
use super::{Message, PLANT, SECOND_US, Simulation, breaks, order, stock, stop};

/// 2026-11-20 07:00 UTC, 08:00 in Cologne.
const START_US: i64 = 1_795_158_000 * SECOND_US;
const HOUR_US: i64 = 3_600 * SECOND_US;

/// What happens in some hours, with few process readings in between.
fn run(seed: u64, hours: i64) -> Vec<Message> {
    Simulation::new(seed, START_US).with_rate(0.1).advance_to(START_US + hours * HOUR_US)
}

fn json(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).expect("payload is JSON")
}

/// The records of a table, in the order in which they were sent; arrays opened.
fn records(messages: &[Message], table: &str) -> Vec<Value> {
    let topic = format!("takt/records/{table}");
    messages
        .iter()
        .filter(|message| message.topic == topic)
        .flat_map(|message| match json(message) {
            Value::Array(records) => records,
            record => vec![record],
        })
        .collect()
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

/// Executions with what was said about them later merged in, in the order of their starts.
fn executions(messages: &[Message]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for record in records(messages, "operations") {
        let run = text(&record, "run").to_owned();
        match places.get(&run) {
            None => {
                assert!(record.get("started").is_some(), "{run} was closed before it was opened");
                places.insert(run, merged.len());
                merged.push(record);
            }
            Some(place) => {
                assert!(record.get("started").is_none(), "{run} was opened twice");
                let fields = record.as_object().expect("a record is an object").clone();
                merged[*place].as_object_mut().expect("a record is an object").extend(fields);
            }
        }
    }
    merged
}

/// Executions by equipment and kind: of units, or of orders.
fn executions_by_place(messages: &[Message]) -> HashMap<(String, bool), Vec<Value>> {
    let mut places: HashMap<(String, bool), Vec<Value>> = HashMap::new();
    for execution in executions(messages) {
        let place = (text(&execution, "equipment").to_owned(), execution.get("unit").is_some());
        places.entry(place).or_default().push(execution);
    }
    places
}

/// Every (topic, time, signal, value) of the stations' readings.
fn readings(messages: &[Message]) -> Vec<(String, i64, String, Value)> {
    let stations = messages.iter().filter(|message| message.topic.starts_with("plant/"));
    stations
        .flat_map(|message| {
            let Value::Object(fields) = json(message) else { panic!("a reading is an object") };
            let time_ms = fields["ts"].as_i64().expect("a reading has a time");
            let topic = message.topic.clone();
            let values = fields.into_iter().filter(|(name, _)| name != "ts");
            values.map(move |(name, value)| (topic.clone(), time_ms, name, value)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn same_seed_gives_the_same_messages() {
    assert_eq!(run(7, 2), run(7, 2));
    assert_ne!(run(7, 2), run(8, 2));
}

#[test]
fn steps_do_not_matter() {
    let whole = Simulation::new(3, START_US).advance_to(START_US + HOUR_US);
    for step_us in [137_000, 1_000_000, 61_234_567] {
        let mut simulation = Simulation::new(3, START_US);
        let mut stepped = Vec::new();
        let mut until_us = START_US;
        while until_us < START_US + HOUR_US {
            until_us = (until_us + step_us).min(START_US + HOUR_US);
            stepped.extend(simulation.advance_to(until_us));
        }
        assert!(stepped == whole, "steps of {step_us} µs change the messages");
    }
}

#[test]
fn the_rate_changes_readings_and_nothing_else() {
    let happenings = |rate_hz| {
        let messages = Simulation::new(5, START_US).with_rate(rate_hz).advance_to(START_US + HOUR_US);
        let happened = |message: &Message| {
            let payload = String::from_utf8_lossy(&message.payload);
            message.topic.starts_with("takt/") || payload.contains("\"state\"") || payload.contains("\"total\"")
        };
        messages.into_iter().filter(happened).collect::<Vec<_>>()
    };
    assert!(happenings(1.0) == happenings(39.0));
}

#[test]
fn rate_is_in_messages_per_second() {
    let mut simulation = Simulation::new(1, START_US).with_rate(400.0);
    simulation.advance_to(START_US + SECOND_US);
    let count = simulation.advance_to(START_US + 61 * SECOND_US).len() as f64 / 60.0;
    assert!((380.0..430.0).contains(&count), "{count} messages a second");
}

#[test]
fn messages_come_in_order_and_are_json() {
    let messages = run(11, 24);
    assert!(messages.windows(2).all(|pair| pair[0].time_us <= pair[1].time_us));
    for message in &messages {
        json(message);
        assert_eq!(message.time_us % 1_000, 0);
        assert!(message.payload.len() < 8 * 1024);
    }
}

#[test]
fn no_signal_has_two_values_at_one_time() {
    let mut seen = HashSet::new();
    for (topic, time_ms, signal, _) in readings(&run(2, 8)) {
        assert!(seen.insert((topic.clone(), time_ms, signal.clone())), "{topic} {signal} twice at {time_ms}");
    }
}

#[test]
fn meters_count_what_stations_take() {
    let mut shown: HashMap<String, f64> = HashMap::new();
    for message in run(4, 12).iter().filter(|message| message.topic.starts_with("plant/")) {
        let Some(kwh) = json(message)["energy"].as_f64() else { continue };
        let before = shown.insert(message.topic.clone(), kwh).unwrap_or(0.0);
        assert!(kwh >= before, "{} went back", message.topic);
    }
    assert_eq!(shown.len(), LINE.len());
    for (index, spec) in LINE.iter().enumerate() {
        let kwh = shown[&topic(index)];
        // It runs most of the time, and takes something while it stands.
        assert!((0.4..1.0).contains(&(kwh / (12.0 * spec.power_kw))), "{} took {kwh} kWh", spec.name);
    }
}

#[test]
fn counters_rise_and_add_up() {
    let messages = run(4, 12);
    let mut last: HashMap<String, i64> = HashMap::new();
    for message in messages.iter().filter(|message| message.topic.starts_with("plant/")) {
        let reading = json(message);
        let Some(total) = reading["total"].as_i64() else { continue };
        let of_scrap = reading.as_object().unwrap().iter().filter(|(signal, _)| signal.starts_with("scrap_"));
        let scrap: i64 = of_scrap.map(|(_, pieces)| pieces.as_i64().unwrap()).sum();
        let good = reading["good"].as_i64().unwrap();
        assert_eq!(good + scrap, total);
        let step = total - last.insert(message.topic.clone(), total).unwrap_or(total);
        assert!((0..=1).contains(&step), "{} counted {step} pieces at once", message.topic);
    }
    assert_eq!(last.len(), LINE.len());
    assert!(last.values().all(|total| *total > 1_500), "pieces in half a day: {last:?}");
}

#[test]
fn executions_close_before_the_next_opens() {
    let places = executions_by_place(&run(6, 16));
    // Six stations with units and orders, and the orders of the line itself.
    assert_eq!(places.len(), 13);
    for ((equipment, _), executions) in places {
        for pair in executions.windows(2) {
            let run = text(&pair[0], "run");
            let completed = pair[0].get("completed").and_then(Value::as_str);
            let completed = completed.unwrap_or_else(|| panic!("{run} on {equipment} is open, but not the newest"));
            // RFC 3339 in UTC with a varying number of places: compare as instants.
            let completed: jiff::Timestamp = completed.parse().unwrap();
            let next: jiff::Timestamp = text(&pair[1], "started").parse().unwrap();
            assert!(completed <= next, "{run} on {equipment} overlaps its successor");
        }
    }
}

#[test]
fn a_piece_counts_while_its_execution_runs() {
    let messages = run(9, 4);
    let press = executions_by_place(&messages).remove(&(stock::equipment(PRESS), true)).unwrap();
    let spans: Vec<(i64, i64)> = press
        .iter()
        .filter_map(|execution| {
            let started: jiff::Timestamp = text(execution, "started").parse().unwrap();
            let completed: jiff::Timestamp = execution.get("completed")?.as_str()?.parse().unwrap();
            Some((started.as_millisecond(), completed.as_millisecond()))
        })
        .collect();
    let counted: Vec<i64> = readings(&messages)
        .into_iter()
        .filter(|(topic, _, signal, value)| topic == "plant/line-1/press" && signal == "total" && *value != 0)
        .map(|(_, time_ms, ..)| time_ms)
        .collect();
    assert!(counted.len() > 500);
    for time_ms in &counted[..counted.len() - 1] {
        assert!(spans.iter().any(|(start, end)| start <= time_ms && time_ms < end), "nothing runs at {time_ms}");
    }
}

#[test]
fn measurements_judge_by_their_limits() {
    let measurements = records(&run(12, 12), "measurements");
    let mut failed = 0;
    for record in &measurements {
        let value = record["value"].as_f64().unwrap();
        let above = record["upper_limit"].as_f64().is_some_and(|limit| value > limit);
        let below = record["lower_limit"].as_f64().is_some_and(|limit| value < limit);
        assert_eq!(text(record, "result"), if above || below { "fail" } else { "pass" }, "{record}");
        failed += usize::from(above || below);
    }
    let share = failed as f64 / measurements.len() as f64;
    assert!((0.001..0.01).contains(&share), "share of failed measurements {share}");
}

#[test]
fn a_failed_measurement_fails_its_execution() {
    let messages = run(13, 12);
    let failed: HashSet<String> = records(&messages, "measurements")
        .iter()
        .filter(|record| text(record, "result") == "fail")
        .map(|record| text(record, "run").to_owned())
        .collect();
    let executions = executions(&messages);
    let closed =
        executions.iter().filter(|execution| execution.get("unit").is_some() && execution.get("completed").is_some());
    for execution in closed {
        let expected = if failed.contains(text(execution, "run")) { "fail" } else { "pass" };
        assert_eq!(text(execution, "result"), expected, "{execution}");
    }
}

#[test]
fn every_packed_piece_has_its_parts() {
    let messages = run(14, 6);
    let packed = records(&messages, "units").into_iter().filter(|unit| text(unit, "status") == "packed");
    let mut parts: HashMap<String, HashSet<String>> = HashMap::new();
    let mut on_pallet = HashSet::new();
    for edge in records(&messages, "materials") {
        match text(&edge, "kind") {
            "packed" => assert!(on_pallet.insert(text(&edge, "parent").to_owned())),
            _ => assert!(
                parts.entry(text(&edge, "child").to_owned()).or_default().insert(text(&edge, "event_id").to_owned())
            ),
        }
    }
    let feeds: usize = LINE.iter().map(|spec| spec.feeds.len()).sum();
    let mut count = 0;
    for unit in packed {
        count += 1;
        assert!(on_pallet.contains(text(&unit, "unit")));
        assert_eq!(parts[text(&unit, "unit")].len(), feeds);
    }
    assert!(count > 1_000, "{count} packed");
}

#[test]
fn orders_are_released_started_and_completed() {
    let mut steps: HashMap<String, Vec<String>> = HashMap::new();
    for record in records(&run(15, 24), "work_orders") {
        steps.entry(text(&record, "work_order").to_owned()).or_default().push(text(&record, "status").to_owned());
    }
    let whole = ["released", "running", "completed"];
    assert!(steps.values().all(|steps| whole.starts_with(&steps.iter().map(String::as_str).collect::<Vec<_>>())));
    let completed = steps.values().filter(|steps| steps.len() == whole.len()).count();
    assert!(completed >= 8, "{completed} orders completed in a day");
}

/// Seconds per state and station, from the state changes.
fn state_seconds(messages: &[Message], until_us: i64) -> HashMap<(String, i64), f64> {
    let mut open: HashMap<String, (i64, i64)> = HashMap::new();
    let mut seconds = HashMap::new();
    let mut add = |topic: &str, state: i64, from_ms: i64, to_ms: i64| {
        *seconds.entry((topic.to_owned(), state)).or_insert(0.0) += (to_ms - from_ms) as f64 / 1e3;
    };
    for (topic, time_ms, signal, value) in readings(messages) {
        if signal != "state" {
            continue;
        }
        let state = value.as_i64().expect("a state is a number");
        if let Some((last, since_ms)) = open.insert(topic.clone(), (state, time_ms)) {
            assert_ne!(last, state, "{topic} reports a state that it has");
            add(&topic, last, since_ms, time_ms);
        }
    }
    for (topic, (state, since_ms)) in open {
        add(&topic, state, since_ms, until_us / 1_000);
    }
    seconds
}

#[test]
fn stations_have_a_believable_oee() {
    let hours = 24;
    let messages = run(42, hours);
    let seconds = state_seconds(&messages, START_US + hours * HOUR_US);
    let places = executions_by_place(&messages);
    for (index, spec) in LINE.iter().enumerate() {
        let topic = format!("plant/line-1/{}", spec.name);
        let states = [stop::code::STOPPED, stop::code::EXECUTE, stop::code::ELECTRODE];
        let [stopped, run, electrode] =
            states.map(|code| seconds.get(&(topic.clone(), i64::from(code))).copied().unwrap_or(0.0));
        let planned = hours as f64 * 3_600.0 - stopped - electrode;
        let ideal: f64 = places[&(stock::equipment(index), true)]
            .iter()
            .filter(|execution| text(execution, "result") == "pass")
            .map(|execution| spec.ideal_cycle_s[usize::from(text(execution, "product") == order::PRODUCTS[1])])
            .sum();
        let (availability, oee) = (run / planned, ideal / planned);
        assert!((0.6..0.88).contains(&oee), "{}: OEE {oee:.3}, running {availability:.3}", spec.name);
        assert!((0.65..0.97).contains(&availability), "{}: running {availability:.3}", spec.name);
    }
}

#[test]
fn scrap_is_one_to_three_per_cent() {
    let units = records(&run(43, 24), "units");
    let count = |status: &str| units.iter().filter(|unit| text(unit, "status") == status).count() as f64;
    let share = count("scrap") / (count("scrap") + count("packed"));
    assert!((0.01..0.035).contains(&share), "scrap {share:.4}");
}

#[test]
fn stations_stand_still_in_breaks_unless_relieved() {
    // The break from 09:00 to 09:15 local time.
    let (start_us, end_us) = (START_US + HOUR_US, START_US + HOUR_US + 900 * SECOND_US);
    let pieces_in_break = |simulation: &mut Simulation| {
        // A cycle under way is finished, one that is interrupted a little later.
        simulation.advance_to(start_us + 60 * SECOND_US);
        let messages = simulation.advance_to(end_us - SECOND_US);
        readings(&messages).into_iter().filter(|(_, _, signal, _)| signal == "total").count()
    };
    let mut ordinary = Simulation::new(1, START_US);
    assert!(pieces_in_break(&mut ordinary) <= 2);
    let mut relieved = Simulation::new(1, START_US);
    relieved.relieve_breaks(start_us + 300 * SECOND_US, start_us + 301 * SECOND_US);
    assert!(pieces_in_break(&mut relieved) > 60);
}

#[test]
fn a_plant_goes_on_after_what_is_stored() {
    let newest_us = START_US - HOUR_US + 123_456;
    let continued = Simulation::with_history(1, START_US, 4.0, Some(newest_us)).advance_to(START_US);
    assert!(continued.iter().all(|message| message.time_us > newest_us));
    assert!(continued[0].time_us < newest_us + SECOND_US);

    let long_ago_us = START_US - 100 * HOUR_US;
    let resumed = Simulation::with_history(1, START_US, 4.0, Some(long_ago_us)).advance_to(START_US);
    let standstill = &resumed[..LINE.len()];
    assert!(standstill.iter().all(|message| message.time_us == long_ago_us + 1_000 && json(message)["state"] == 2));
    assert_eq!(resumed[LINE.len()].time_us, START_US - 4 * HOUR_US);
}

#[test]
fn a_later_plant_uses_no_identity_again() {
    let identities = |messages: &[Message]| -> HashSet<String> {
        let units = records(messages, "units").into_iter().map(|unit| text(&unit, "unit").to_owned());
        let orders = records(messages, "work_orders").into_iter().map(|order| text(&order, "work_order").to_owned());
        units.chain(orders).collect()
    };
    let first = run(1, 8);
    let second = Simulation::new(1, START_US + 8 * HOUR_US).advance_to(START_US + 9 * HOUR_US);
    let (first, second) = (identities(&first), identities(&second));
    assert!(!second.is_empty());
    assert!(first.is_disjoint(&second));
}

#[test]
fn bare_scalars_can_be_left_out() {
    let hall = |messages: &[Message]| messages.iter().filter(|message| message.topic.starts_with("hall/")).count();
    let mut simulation = Simulation::new(1, START_US);
    assert_eq!(hall(&simulation.advance_to(START_US + 60 * SECOND_US)), 12);
    simulation.set_bare_scalars(false);
    assert_eq!(hall(&simulation.advance_to(START_US + 120 * SECOND_US)), 0);
}

fn plant() -> toml::Table {
    PLANT.parse().expect("plant.toml is TOML")
}

#[test]
fn plant_file_knows_every_state() {
    let plant = plant();
    let map = plant["state_maps"]["packml"].as_table().unwrap();
    for (_, _, signal, value) in readings(&run(42, 24)) {
        assert!(signal != "state" || map.contains_key(&value.to_string()), "state {value} is not in plant.toml");
    }
}

#[test]
fn plant_file_has_the_breaks_and_cycle_times() {
    let plant = plant();
    let clock = |(hour, minute): (i8, i8)| format!("{hour:02}:{minute:02}");
    let mut expected: Vec<(String, String)> =
        breaks::BREAKS.iter().map(|(start, end)| (clock(*start), clock(*end))).collect();
    let shifts = plant["calendars"]["three_shift"]["shifts"].as_array().unwrap();
    let mut listed: Vec<(String, String)> = shifts
        .iter()
        .flat_map(|shift| shift["breaks"].as_array().unwrap())
        .map(|pause| (pause[0].as_str().unwrap().to_owned(), pause[1].as_str().unwrap().to_owned()))
        .collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);

    for (index, spec) in LINE.iter().enumerate() {
        for (product, ideal_cycle_s) in order::PRODUCTS.iter().zip(spec.ideal_cycle_s) {
            let entry = plant["products"].as_array().unwrap().iter().find(|entry| {
                entry["product"].as_str() == Some(product)
                    && entry["equipment"].as_str() == Some(&stock::equipment(index))
            });
            let entry = entry.unwrap_or_else(|| panic!("{product} on {} is not in plant.toml", spec.name));
            assert_eq!(entry["ideal_cycle_s"].as_float(), Some(ideal_cycle_s));
        }
    }
}

#[test]
fn plant_file_has_the_limits_that_stations_send() {
    let plant = plant();
    let entries = plant["characteristics"].as_array().unwrap();
    for record in records(&run(16, 12), "measurements") {
        let entry = entries.iter().find(|entry| {
            let product = entry.get("product").and_then(toml::Value::as_str);
            entry["characteristic"].as_str() == Some(text(&record, "characteristic"))
                && entry["operation"].as_str() == Some(text(&record, "operation"))
                && product.is_none_or(|product| product == text(&record, "product"))
        });
        let entry = entry.unwrap_or_else(|| panic!("{} is not in plant.toml", text(&record, "characteristic")));
        for field in ["lower_limit", "upper_limit", "target"] {
            assert_eq!(entry.get(field).and_then(toml::Value::as_float), record[field].as_f64(), "{field} of {record}");
        }
    }
}

#[test]
fn plant_file_declares_every_signal_that_stations_send() {
    let plant = plant();
    let declared: HashSet<(String, String)> = plant["signals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["equipment"].as_str().unwrap().to_owned(), entry["signal"].as_str().unwrap().to_owned()))
        .collect();
    for (topic, _, signal, _) in readings(&run(17, 2)) {
        let equipment = topic.replacen("plant", "cologne", 1);
        let on_line = declared.contains(&("cologne/line-1".to_owned(), signal.clone()));
        assert!(
            on_line || declared.contains(&(equipment.clone(), signal.clone())),
            "{equipment} {signal} is not in plant.toml"
        );
    }
}
