//! The live page in a real browser: every machine, the numbers that SQL gives, within seconds, on every screen.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::equipment::{Equipment, Version};
use crate::harness::{PLANT, Server, wait_for};

/// Machines of the test plant.
const MACHINES: [&str; 3] = ["cologne/line-1/press", "cologne/line-1/weld", "cologne/line-1/pack"];

/// A server whose one shift is the whole day, whatever the time of the test.
fn start(folder: &Path) -> Server {
    let plant = PLANT.replace("start = \"06:00\"\nend = \"14:00\"", "start = \"00:00\"\nend = \"00:00\"");
    let plant = plant.replace("breaks = [[\"09:00\", \"09:15\"], [\"11:30\", \"12:00\"]]\n", "");
    // The shift began this morning wherever it is about noon: Etc/GMT-5 lies five hours east.
    let east = 12 - i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour());
    let plant = plant.replace("zone = \"Europe/Berlin\"", &format!("zone = \"Etc/GMT{:+}\"", -east));
    assert!(plant.contains("00:00") && plant.contains("Etc/GMT") && !plant.contains("breaks"));
    fs::write(folder.join("plant.toml"), plant).unwrap();
    Server::start(folder)
}

/// What the page shows of every machine.
fn cards(browser: &Browser) -> Vec<Value> {
    let script = "return [...document.querySelectorAll('.machine')].map((card) => ({ \
        path: card.dataset.equipment, category: card.dataset.category, state: card.dataset.state, \
        oee: card.dataset.oee, shown: card.querySelector('[data-field=oee]').textContent, \
        word: card.querySelector('[data-field=word]').textContent, \
        good: card.querySelector('[data-field=good]').dataset.value, \
        order: card.querySelector('[data-field=work_order]').textContent, \
        unit: card.querySelector('[data-field=unit]').textContent, \
        bars: [...card.querySelectorAll('[data-bar]')].map((bar) => bar.dataset.value), \
        signals: [...card.querySelectorAll('[data-signal]')].map((row) => [row.dataset.signal, row.lastChild.textContent]) }))";
    browser.script(script).as_array().unwrap().clone()
}

fn card(browser: &Browser, path: &str) -> Option<Value> {
    cards(browser).into_iter().find(|card| card["path"] == path)
}

/// Waits until the page shows of a machine what `wanted` looks for.
fn shown(browser: &Browser, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, Duration::from_secs(15), || card(browser, path).filter(|card| wanted(card)))
}

fn say(machine: &mut Equipment, topic: &str, payload: &Value) {
    machine.publish(topic, 1, false, payload.to_string().as_bytes()).unwrap();
}

/// The weld has run for 100 minutes of which it stood 20, with 400 good pieces and 20 scrapped ones.
fn shift_so_far(server: &Server) {
    let now = jiff::Timestamp::now().as_second();
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    let minute = |minute: i64| now - 60 * (100 - minute);
    for (at, state) in [(0, "RUN"), (40, "JAM"), (60, "RUN")] {
        say(&mut machine, "flat/weld", &json!({"state": state, "ts": minute(at)}));
    }
    for (at, total, scrap) in [(0, 1_000, 10), (30, 1_200, 15), (90, 1_420, 30)] {
        say(&mut machine, "flat/weld", &json!({"total": total, "scrap": scrap, "ts": minute(at)}));
    }
    say(&mut machine, "flat/weld", &json!({"temperature": 71.4, "ts": now}));
    let operation = json!({"run": "r1", "equipment": MACHINES[1], "work_order": "WO-0724671", "product": "P-1",
                           "unit": "CP054350798", "operation": "weld", "started": minute(95)});
    say(&mut machine, "takt/records/operations", &operation);
}

const FIGURES: [&str; 4] = ["availability", "performance", "quality", "oee"];

/// A, P, Q and OEE of the running shift, as SQL says.
fn figures(server: &Server, path: &str) -> Vec<Option<f64>> {
    let sql = format!(
        "SELECT {} FROM oee('shift') WHERE time > now() - interval '26 hours' AND equipment = '{path}' \
         ORDER BY time DESC LIMIT 1",
        FIGURES.join(", ")
    );
    server.sql(&sql)[0].iter().map(Value::as_f64).collect()
}

#[test]
fn every_machine_with_the_figures_of_sql() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    shift_so_far(&server);
    let browser = Browser::open(&folder.path().join("browser"), 1920, 1080);
    browser.go(&server.url("/"));
    let weld = shown(&browser, MACHINES[1], "the OEE of the weld", |card| !card["oee"].as_str().unwrap().is_empty());
    let order: Vec<Value> = cards(&browser).iter().map(|card| card["path"].clone()).collect();
    assert_eq!(json!(order), json!(MACHINES), "every machine, in the order of the plant file");

    assert_eq!((&weld["category"], &weld["word"]), (&json!("run"), &json!("Running")));
    assert_eq!((&weld["order"], &weld["unit"]), (&json!("WO-0724671"), &json!("CP054350798")));
    assert!(weld["signals"].as_array().unwrap().contains(&json!(["temperature", "71.4 °C"])), "{weld}");
    // The shift goes on between the page's question and ours; a few seconds move a figure by little.
    let figure = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let bars: Vec<f64> = weld["bars"].as_array().unwrap().iter().chain([&weld["oee"]]).map(figure).collect();
    for ((name, page), sql) in FIGURES.iter().zip(&bars).zip(figures(&server, MACHINES[1])) {
        let sql = sql.unwrap_or_else(|| panic!("{name} is NULL"));
        assert!(sql > 0.0 && (page - sql).abs() < 0.005 * sql, "{name}: {page} on the page, {sql} in SQL");
    }
    let percent = format!("{:.1}%", figure(&weld["oee"]) * 100.0);
    assert_eq!(weld["shown"], json!(percent));
    assert_eq!(weld["good"], json!("400"));

    // A machine that has said nothing: its time is unknown, which availability pays for, and the rest is no figure.
    let press = card(&browser, MACHINES[0]).unwrap();
    assert_eq!(figures(&server, MACHINES[0]), [Some(0.0), None, None, Some(0.0)]);
    assert_eq!(
        (&press["category"], &press["shown"], &press["bars"]),
        (&json!("unknown"), &json!("0.0%"), &json!(["0", "", ""]))
    );
}

#[test]
fn what_happens_is_on_the_page_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut machine = Equipment::of(Version::V5, server.mqtt);
    machine.publish("plant/press/state", 1, true, b"RUN").unwrap();
    let browser = Browser::open(&folder.path().join("browser"), 1280, 800);
    browser.go(&server.url("/"));
    shown(&browser, MACHINES[0], "the press to run", |card| card["category"] == "run");
    let within = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        wait_for(what, Duration::from_secs(6), || card(&browser, MACHINES[0]).filter(|card| wanted(card)));
    };
    machine.publish("plant/press/state", 1, true, b"JAM").unwrap();
    within("the press to stop", &|card| card["category"] == "unplanned" && card["word"] == "Stopped");
    for value in ["71.4", "72.5"] {
        machine.publish("plant/press/temperature", 1, false, value.as_bytes()).unwrap();
        let row = json!(["temperature", format!("{value} °C")]);
        within("the temperature", &|card| card["signals"].as_array().unwrap().contains(&row));
    }
    machine.publish("plant/press/state", 1, true, b"RUN").unwrap();
    within("the press to run again", &|card| card["category"] == "run");

    // Nobody looks at yesterday's numbers without being told.
    let said = || browser.script("return document.getElementById('connection').dataset.connection");
    assert_eq!(said(), "live");
    drop(server);
    wait_for("the page to say that it is cut off", Duration::from_secs(15), || (said() == "stale").then_some(()));
}

#[test]
fn it_fits_a_wall_screen_and_a_phone() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    shift_so_far(&server);
    for (width, height) in [(1920, 1080), (360, 800)] {
        let browser = Browser::open(&folder.path().join(format!("browser-{width}")), width, height);
        browser.go(&server.url("/"));
        shown(&browser, MACHINES[1], "the OEE of the weld", |card| !card["oee"].as_str().unwrap().is_empty());
        let sideways = "return [document.documentElement.scrollWidth > innerWidth, innerWidth]";
        assert_eq!(browser.script(sideways), json!([false, width]), "the page scrolls sideways");
        let outside = "return [...document.querySelectorAll('header *, .machine *')] \
            .filter((node) => { const box = node.getBoundingClientRect(); return box.width > 0 && (box.right > innerWidth + 1 || box.left < 0); }) \
            .map((node) => node.outerHTML.slice(0, 80))";
        assert_eq!(browser.script(outside), json!([]), "{width}");
        // Words that matter are whole.
        let cut = "return [...document.querySelectorAll('[data-field=word], [data-field=oee], [data-field=work_order], [data-field=unit], [data-bar] b')] \
            .filter((node) => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline') \
            .map((node) => node.textContent)";
        assert_eq!(browser.script(cut), json!([]), "{width}");
        let size =
            browser.script("return parseFloat(getComputedStyle(document.querySelector('[data-field=oee]')).fontSize)");
        assert!(size.as_f64().unwrap() >= 28.0, "the OEE is {size} px high at {width}");
    }
}
