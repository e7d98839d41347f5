//! Stops are explained on the page: touched, given a reason, split, put together, taken back; SQL says the same at once.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{Server, wait_for};

const PLANT: &str = r#"
[plant]
name = "stops"
zone = "Europe/Berlin"
microstop_threshold_s = 120

[[equipment]]
path = "site"
[[equipment]]
path = "site/press"
name = "Press"
state_source = "mes"
[[equipment]]
path = "site/weld"

[[reasons]]
reason = "mechanical"
name = "Mechanical"
category = "unplanned"
[[reasons]]
reason = "jam"
name = "Jammed part"
parent = "mechanical"
category = "unplanned"
[[reasons]]
reason = "setup"
name = "Set up"
category = "changeover"
"#;

/// The press stood three times in the last hours, and stands now; the browser shows its stops.
fn looking(folder: &Path) -> (Server, Browser) {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder);
    let now = jiff::Timestamp::now().as_second();
    let state = |minutes: i64, state: &str, reason: Option<&str>| json!({"equipment": "site/press", "source": "mes", "start": now - 60 * minutes, "state": state, "reason": reason});
    let states = [
        state(300, "RUN", None),
        state(240, "STOP", None),
        state(180, "RUN", None),
        state(150, "STOP", Some("jam")),
        state(140, "RUN", None),
        state(100, "STOP", None),
        state(90, "RUN", None),
        state(10, "STOP", None),
    ];
    let answer = server.post("/api/v1/states", json!(states).to_string());
    assert_eq!(answer.0, 200, "{}", answer.1);
    let browser = Browser::open(&folder.join("browser"), 1280, 800);
    browser.go(&server.url("/stops?equipment=site%2Fpress"));
    (server, browser)
}

/// The reasons of the stops as the page lists them, with how many of them want one.
fn listed(browser: &Browser) -> Value {
    browser.script(
        "return {open: document.querySelector('#summary').dataset.open, \
         reasons: [...document.querySelectorAll('.stop')].map((stop) => stop.dataset.reason)}",
    )
}

fn wait_until(browser: &Browser, what: &str, wanted: &Value) {
    let mut last = Value::Null;
    wait_for(what, Duration::from_secs(15), || {
        last = listed(browser);
        (last == *wanted).then_some(())
    });
}

/// Touches the stop at a place of the list, then does `then`, then touches a reason.
fn explain(browser: &Browser, place: usize, then: &str, reason: &str) {
    let touched = format!(
        "document.querySelectorAll('.stop')[{place}].click(); {then}; \
         const choice = document.querySelector('#reasons button[data-code={reason}]'); choice.click(); \
         return choice.getBoundingClientRect().height"
    );
    // A gloved finger needs room.
    assert!(browser.script(&touched).as_f64() >= Some(60.0));
}

/// Reason and length in whole minutes of the press's stops, the oldest first; none of the one that lasts.
fn stops(server: &Server) -> Value {
    let sql = "SELECT reason, CASE WHEN \"end\" IS NULL THEN NULL ELSE round(duration_s / 60) END FROM stops() \
               WHERE time > now() - interval '10 hours' AND equipment = 'site/press' ORDER BY start";
    json!(server.sql(sql))
}

#[test]
fn a_touch_explains_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (server, browser) = looking(folder.path());
    // Without a reason first, the longest of them first.
    wait_until(&browser, "the stops", &json!({"open": "3", "reasons": ["", "", "", "jam"]}));
    explain(&browser, 0, "", "setup");
    wait_until(&browser, "the set up", &json!({"open": "2", "reasons": ["", "", "jam", "setup"]}));
    assert_eq!(stops(&server), json!([["setup", 60.0], ["jam", 10.0], [null, 10.0], [null, null]]));

    // The one that lasts.
    let lasts = "[...document.querySelectorAll('.stop')].findIndex((stop) => stop.textContent.includes('now'))";
    let place = browser.script(&format!("return {lasts}")).as_u64().unwrap();
    explain(&browser, usize::try_from(place).unwrap(), "", "jam");
    wait_until(&browser, "the jam", &json!({"open": "1", "reasons": ["", "jam", "jam", "setup"]}));
    let open = server.sql("SELECT count(*) FROM stop_reasons WHERE \"end\" IS NULL AND reason = 'jam'");
    assert_eq!(json!(open), json!([[1]]));

    // Split: the first fifteen minutes of the hour were a jam.
    let split = "for (let times = 0; times < 9; times++) document.querySelector('.steps [data-step=\"-300\"]').click()";
    explain(&browser, 3, split, "jam");
    wait_until(&browser, "both parts", &json!({"open": "1", "reasons": ["", "jam", "jam", "setup", "jam"]}));
    let parts = json!([["jam", 15.0], ["setup", 45.0], ["jam", 10.0], [null, 10.0], ["jam", null]]);
    assert_eq!(stops(&server), parts);

    // Together: the jam of before and the stop after it.
    explain(&browser, 2, "document.querySelector('#merge').click()", "setup");
    wait_until(&browser, "two together", &json!({"open": "0", "reasons": ["jam", "setup", "setup", "setup", "jam"]}));
    // Taken back, for both.
    browser.script("document.querySelectorAll('.stop')[1].click(); document.querySelector('#back').click()");
    wait_until(&browser, "what was before", &json!({"open": "1", "reasons": ["", "jam", "jam", "setup", "jam"]}));
    assert_eq!(stops(&server), parts);

    // The most frequent reason of this machine stands first.
    browser.script("document.querySelectorAll('.stop')[0].click()");
    let first = browser.script("return document.querySelector('#reasons [data-group=frequent] button').dataset.code");
    assert_eq!(first, "jam");

    // A reason without an end holds until the machine runs: what is taken back of a later stop leaves it.
    let bare = server.sql("SELECT start FROM stops() WHERE time > now() - interval '10 hours' AND equipment = 'site/press' AND reason IS NULL");
    let row = json!([{"equipment": "site/press", "start": bare[0][0], "end": null, "reason": "jam"}]);
    assert_eq!(server.post("/api/v1/stop_reasons", row.to_string()).0, 200);
    wait_until(&browser, "the jam before", &json!({"open": "0", "reasons": ["jam", "jam", "jam", "setup", "jam"]}));
    let back = format!("document.querySelectorAll('.stop')[{lasts}].click(); document.querySelector('#back').click()");
    browser.script(&back);
    wait_until(&browser, "none that lasts", &json!({"open": "1", "reasons": ["", "jam", "jam", "setup", "jam"]}));
    assert_eq!(stops(&server), json!([["jam", 15.0], ["setup", 45.0], ["jam", 10.0], ["jam", 10.0], [null, null]]));
}

/// What was given to the site is shown on its machine and cannot be taken back there; longer ago takes a longer period.
#[test]
fn a_reason_of_the_site_says_where_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (server, browser) = looking(folder.path());
    wait_until(&browser, "the stops", &json!({"open": "3", "reasons": ["", "", "", "jam"]}));
    let now = jiff::Timestamp::now().as_second();
    let row = |more: Value| {
        let mut row = json!({"equipment": "site"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([row]).to_string()
    };
    let given = row(json!({"start": now - 60 * 250, "end": now - 60 * 170, "reason": "setup"}));
    assert_eq!(server.post("/api/v1/stop_reasons", given).0, 200);
    wait_until(&browser, "the set up", &json!({"open": "2", "reasons": ["", "", "jam", "setup"]}));
    browser.script("document.querySelectorAll('.stop')[3].click()");
    let shown =
        "return [document.querySelector('#explain-detail').textContent, document.querySelector('#back').hidden]";
    let shown = browser.script(shown);
    assert!(shown[0].as_str().unwrap().ends_with("said of all of site") && shown[1] == true, "{shown}");

    let states = [(3 * 1440, "RUN"), (3 * 1440 - 60, "STOP"), (3 * 1440 - 90, "RUN")];
    let states = states.map(|(minutes, state)| json!({"equipment": "site/press", "source": "mes", "start": now - 60 * minutes, "state": state}));
    assert_eq!(server.post("/api/v1/states", json!(states).to_string()).0, 200);
    browser.script("const period = document.querySelector('#period'); period.value = 168; period.onchange()");
    wait_until(&browser, "the older stop", &json!({"open": "3", "reasons": ["", "", "", "jam", "setup"]}));
}

#[test]
fn a_stop_page_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, browser) = looking(folder.path());
    let says = |part: &str| {
        wait_for(part, Duration::from_secs(15), || {
            let text = browser.script("return document.querySelector('main').innerText");
            text.as_str().unwrap().contains(part).then_some(())
        });
    };
    browser.go(&server.url("/stops?equipment=site%2Fweld"));
    says("No stop in this time.");
    browser.go(&server.url("/stops?equipment=site%2Fnowhere"));
    says("There is no machine site/nowhere: choose one.");
}
