//! The OEE page in a real browser: its figures are those of SQL, and a loss leads to its stops and to the signals then.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::wait_for;
use crate::stops::{at, filled};

/// Waits until the page has drawn what it was asked for.
pub fn drawn(browser: &Browser, what: &str) {
    let ready = "return document.querySelector('#window').dataset.from !== undefined \
                 && !document.body.hasAttribute('aria-busy') && !document.querySelector('[data-panel][aria-busy]')";
    wait_for(what, Duration::from_secs(20), || (browser.script(ready) == json!(true)).then_some(()));
}

/// Numbers as one kind: a browser writes 60.0 as 60.
pub fn plain(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other,
    }
}

pub fn all(browser: &Browser, selector: &str, fields: &str) -> Value {
    let script = format!("return [...document.querySelectorAll('{selector}')].map((node) => {fields})");
    plain(browser.script(&script))
}

#[test]
fn from_a_loss_to_its_stops_with_the_figures_of_sql() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let sample = "samples,equipment=site/press,signal=force value=7.5 1736841600000000000\n\
                  samples,equipment=site/press,signal=force value=8.5 1736841610000000000";
    assert_eq!(server.post("/api/v2/write?precision=ns", sample).0, 204);
    // 6 kWh while it runs, 4 in the quarter of an hour before the break, 2 in the break.
    let meter = [("05:00", 0), ("05:10", 6), ("08:00", 10), ("08:10", 12)].map(|(clock, kwh)| {
        let time: jiff::Timestamp = at(&format!("{clock}:00")).parse().unwrap();
        format!("samples,equipment=site/press,signal=meter value={kwh} {}\n", time.as_second())
    });
    assert_eq!(server.post("/api/v2/write?precision=s", meter.concat()).0, 204);
    let browser = Browser::open(&folder.path().join("browser"), 1280, 800);
    let (from, to) = (at("04:00:00"), at("13:00:00"));
    browser.go(&server.url(&format!("/oee?equipment=site%2Fpress&from={from}&to={to}")));
    drawn(&browser, "the figures");

    let window = format!("'{from}', '{to}'");
    let losses = format!(
        "SELECT loss, lost_s, left_s FROM losses('10000 days', {window}) WHERE equipment = 'site/press' ORDER BY step"
    );
    let fields = "[node.dataset.loss, Number(node.dataset.lost), Number(node.dataset.left)]";
    assert_eq!(all(&browser, "#waterfall button[data-loss]", fields), json!(server.sql(&losses)));
    let ratios = format!(
        "SELECT oee, availability, performance, quality FROM oee('10000 days', {window}) WHERE equipment = 'site/press'"
    );
    let tiles = ["oee", "availability", "performance", "quality"].map(|ratio| {
        all(&browser, &format!(".tile[data-ratio={ratio}]"), "Number(node.dataset.value)")[0].as_f64().unwrap()
    });
    assert_eq!(json!([tiles]), json!(server.sql(&ratios)));
    assert_eq!(all(&browser, "#shifts tr[data-shift=early]", "node.dataset.shift"), json!(["early"]));
    let energy = all(&browser, "#energy .cause", "[node.dataset.reason, Number(node.dataset.value)]");
    assert_eq!(energy, json!([["run", 6.0], ["unplanned", 4.0], ["planned_break", 2.0]]));
    let causes = all(&browser, "#pareto button[data-reason]", "node.dataset.value");
    assert!(!causes.as_array().unwrap().is_empty(), "a Pareto of nothing");

    browser.script("document.querySelector('#waterfall button[data-loss=unplanned]').click()");
    drawn(&browser, "the stops of the loss");
    let stops = all(
        &browser,
        "#stops tr[data-stop]",
        "[node.dataset.category, node.dataset.microstop, Number(node.dataset.counted)]",
    );
    assert_eq!(stops, json!([["unplanned", "false", 9_000.0]]));
    assert!(browser.script("return location.search").as_str().unwrap().contains("loss=unplanned"));
    browser.script(
        "const row = document.querySelector('#stops tr[data-stop]'); (row.querySelector('button') ?? row).click()",
    );
    drawn(&browser, "the signals of the stop");
    let shown = || browser.script("return !document.querySelector('#signals').hidden");
    wait_for("the panel of signals", Duration::from_secs(10), || (shown() == json!(true)).then_some(()));

    // Another reason shows when the page asks again.
    let given = json!([{"equipment": "site/press", "start": at("06:00:00"), "end": at("09:00:00"), "reason": "setup"}]);
    assert_eq!(server.post("/api/v1/stop_reasons", given.to_string()).0, 200);
    browser.go(&server.url(&format!("/oee?equipment=site%2Fpress&from={from}&to={to}")));
    drawn(&browser, "the figures again");
    assert_eq!(all(&browser, "#waterfall button[data-loss=unplanned]", "node.dataset.lost"), json!(["0"]));

    browser.go(&server.url("/oee?equipment=site%2Fnowhere"));
    let words = "return document.querySelector('#choice-trouble').innerText";
    wait_for("words of what is wrong", Duration::from_secs(10), || {
        browser.script(words).as_str().filter(|words| words.contains("site/nowhere")).map(drop)
    });
}
