//! The SPC page in a real browser: its figures are those of SQL, a violation leads to the unit, limits are frozen and
//! measurements excluded on it, and where there is nothing it says why.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{Server, wait_for};
use crate::oee_page::{all, drawn, plain};

const PLANT: &str = r#"
[plant]
name = "spc"
zone = "UTC"

[[equipment]]
path = "lab"
[[equipment]]
path = "lab/gauge"
name = "Gauge"

[[signals]]
equipment = "lab/gauge"
signal = "force"
interpolation = "sloped"

[[characteristics]]
characteristic = "bore"
uom = "mm"
lower_limit = 9
upper_limit = 11
target = 10
"#;

/// Minute `number` of 14 January 2025.
fn minute(number: usize) -> String {
    Timestamp::from_second(1_736_812_800 + 60 * i64::try_from(number).unwrap()).unwrap().to_string()
}

fn measurement(characteristic: &str, number: usize, value: &Value) -> Value {
    json!({"time": minute(number), "equipment": "lab/gauge", "operation": "test", "product": "P", "unit": format!("U{number}"),
           "work_order": "W", "operator": "Ann", "characteristic": characteristic, "value": value})
}

/// Sixty bores, one of them far out, and the execution and the signal of that one.
fn filled(folder: &Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder);
    let bore = |place: usize| match place {
        40 => 10.9,
        _ => 10.0 + ((place * 7) % 5) as f64 / 20.0,
    };
    let mut rows: Vec<Value> = (0..60).map(|place| measurement("bore", place, &json!(bore(place)))).collect();
    rows.push(measurement("depth", 40, &json!(3.5)));
    server.send("measurements", &rows);
    let run = json!({"run": "R40", "equipment": "lab/gauge", "operation": "test", "unit": "U40", "work_order": "W",
                      "started": minute(39), "completed": minute(41)});
    server.send("operations", &[run]);
    let lines: String = (0..20)
        .map(|at| format!("press,equipment=lab/gauge force={at} {}\n", 1_736_812_800 + 60 * 39 + 6 * at))
        .collect();
    let (status, answer) = server.post("/api/v2/write?precision=s", lines);
    assert_eq!(status, 204, "{answer}");
    server
}

fn until(browser: &Browser, what: &str, script: &str) {
    let script = format!("return Boolean({script})");
    wait_for(what, Duration::from_secs(20), || (browser.script(&script) == json!(true)).then_some(()));
}

/// Fills in the question that is open, and answers it.
fn answer(browser: &Browser, fields: &[(&str, &str)]) {
    until(browser, "the question", "document.querySelector('#act').open");
    for (name, value) in fields {
        browser.script(&format!("document.querySelector('#act [name={name}]').value = '{value}'"));
    }
    browser.script("document.querySelector('#act-do').click()");
    until(browser, "the answer", "!document.querySelector('#act').open");
}

const CHART: &str = "FROM spc('i_mr') WHERE characteristic = 'bore'";

/// The upper limit that the page says holds now, and the one that SQL says.
fn upper_limits(browser: &Browser, server: &Server) -> (f64, f64) {
    let shown = all(browser, "#used [data-fact=limits]", "Number(node.dataset.value)");
    (shown[0].as_f64().unwrap(), server.number("SELECT ucl FROM spc_limits('i_mr') WHERE characteristic = 'bore'"))
}

#[test]
fn a_chart_with_the_figures_of_sql_leads_to_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let browser = Browser::open(&folder.path().join("browser"), 1280, 800);
    // Without a choice: the first characteristic, and all there is, for it is long ago.
    browser.go(&server.url("/spc"));
    drawn(&browser, "the chart");
    let address = browser.script("return location.search");
    let address = address.as_str().unwrap();
    assert!(address.contains("characteristic=bore") && address.contains("period=all"), "{address}");
    assert_eq!(all(&browser, ".control", "node.dataset.points"), json!(["60"]));
    let (shown, asked) = upper_limits(&browser, &server);
    assert!((shown - asked).abs() < 1e-9, "{shown}, SQL says {asked}");

    let listed = all(&browser, "#violations tr[data-point]", "[Number(node.dataset.point), node.dataset.rules]");
    let violated = server.sql(&format!("SELECT point, rules {CHART} AND violated ORDER BY point DESC"));
    assert!(violated.iter().any(|row| row[0] == json!(41)), "{violated:?}");
    assert_eq!(listed, plain(json!(violated)));
    let indices = all(&browser, "#capability tr[data-index]", "Number(node.dataset.value)");
    let capability = "SELECT cp, cpk, pp, ppk, cpm FROM capability() WHERE characteristic = 'bore'";
    assert_eq!(json!([indices]), plain(json!(server.sql(capability))));
    assert_eq!(all(&browser, "#spreads figure[data-counted]", "node.dataset.counted"), json!(["60"]));
    // Curve and line are those of the distribution that is chosen.
    let curves = || {
        let label = "node.getAttribute('aria-label').split(': ').at(-1)";
        let path = "node.querySelector('.fitted-curve').getAttribute('d')";
        all(&browser, "#spreads .spread", &format!("[{label}, {path}]"))
    };
    let normal = curves();
    browser.script(
        "const it = document.querySelector('#distribution'); it.value = 'weibull'; it.dispatchEvent(new Event('change'))",
    );
    until(&browser, "the distribution", "document.querySelector('#spreads').textContent.includes('weibull')");
    let weibull = curves();
    for (place, fitted) in [("normal", &normal), ("weibull", &weibull)] {
        let said = format!("SELECT fitted FROM capability('distribution={place}') WHERE characteristic = 'bore'");
        let said = &server.sql(&said)[0][0];
        assert_eq!((&fitted[0][0], &fitted[1][0]), (said, said), "{place}");
    }
    assert_ne!(normal[0][1], weibull[0][1]);
    assert!(weibull[0][1].as_str().unwrap().len() > 500 && weibull[1][1].as_str().unwrap().len() > 500);
    browser.script("history.back()");
    until(&browser, "the normal one", "!document.querySelector('#spreads').textContent.includes('weibull')");

    browser.script("document.querySelector('#violations tr[data-point=\"41\"] button').click()");
    until(&browser, "the point", "document.querySelector('#point table')");
    drawn(&browser, "its unit");
    let measured =
        all(&browser, "#point tr[data-characteristic]", "[node.dataset.characteristic, Number(node.dataset.value)]");
    assert_eq!(measured, json!([["bore", 10.9], ["depth", 3.5]]));
    assert_eq!(all(&browser, "#point tr[data-operation]", "node.dataset.operation"), json!(["test"]));
    assert_eq!(all(&browser, "#point .trend", "node.dataset.signal"), json!(["force"]));
    assert_eq!(all(&browser, "#violations tr[data-chosen]", "node.dataset.point"), json!(["41"]));

    // A zoom by key is in the address, and back is back.
    browser.script(
        "document.querySelector('.control-main').dispatchEvent(new KeyboardEvent('keydown', {key: '+', bubbles: true}))",
    );
    until(&browser, "the zoom", "location.search.includes('zoom_from')");
    assert_eq!(all(&browser, ".control", "node.dataset.last - node.dataset.first + 1"), json!([30.0]));
    browser.script("history.back()");
    until(&browser, "all points", "document.querySelector('.control').dataset.last === '60'");
}

#[test]
fn limits_are_frozen_and_measurements_excluded() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let browser = Browser::open(&folder.path().join("browser"), 1280, 800);
    browser.go(&server.url(&format!("/spc?characteristic=bore&at={}", minute(40))));
    drawn(&browser, "the chart and the point that the address names");
    until(&browser, "the measurement", "document.querySelector('#point [data-act=exclude]')");
    let (wide, _) = upper_limits(&browser, &server);
    browser.script("document.querySelector('#point [data-act=exclude]').click()");
    answer(&browser, &[("reason", "gauge fell down")]);
    until(&browser, "the exclusion", "document.querySelector('#exclusions tr[data-exclusion]')");
    drawn(&browser, "limits without it");
    let (narrow, asked) = upper_limits(&browser, &server);
    assert!(narrow < wide && (narrow - asked).abs() < 1e-9, "{narrow} of {wide}, SQL says {asked}");
    assert_eq!(
        json!(server.sql("SELECT characteristic, equipment, unit, piece, reason FROM exclusions")),
        json!([["bore", "lab/gauge", "U40", 1, "gauge fell down"]])
    );

    browser.script("document.querySelector('#freeze').click()");
    // A reason has to be said.
    until(&browser, "the question", "document.querySelector('#act').open");
    let asks = "document.querySelector('#act-form').checkValidity()";
    assert_eq!(browser.script(&format!("return {asks}")), json!(false));
    let fields =
        [("valid_from", "2025-01-14T00:30"), ("approved_by", "A. Quality"), ("reason", "after the new spindle")];
    answer(&browser, &fields);
    until(&browser, "the frozen limits", "document.querySelector('#frozen tr[data-frozen]')");
    drawn(&browser, "the chart with them");
    let frozen =
        "SELECT equipment, product, operation, chart, valid_from, subgroups, approved_by, reason FROM control_limits";
    assert_eq!(
        json!(server.sql(frozen)),
        json!([[
            "lab/gauge",
            "P",
            "test",
            "i_mr",
            "2025-01-14T00:30:00.000000Z",
            59,
            "A. Quality",
            "after the new spindle"
        ]])
    );
    let marks = browser.script("return document.querySelector('.control-marks').innerText");
    assert!(marks.as_str().unwrap().contains("frozen 14 Jan"), "{marks}");
    assert_eq!(server.number(&format!("SELECT count(*) {CHART} AND limits LIKE 'frozen%'")), 30.0);

    browser.script("document.querySelector('#exclusions [data-act=include]').click()");
    answer(&browser, &[]);
    until(&browser, "no exclusion", "document.querySelector('#exclusions .nothing')");
    assert_eq!(server.number("SELECT count(*) FROM exclusions"), 0.0);
}

#[test]
fn a_chart_page_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder.path());
    let browser = Browser::open(&folder.path().join("browser"), 1280, 800);
    let says = |address: &str, part: &str| {
        browser.go(&server.url(address));
        wait_for(part, Duration::from_secs(15), || {
            let text = browser.script("return document.querySelector('main').innerText");
            text.as_str().unwrap().contains(part).then_some(())
        });
    };
    says("/spc", "Nothing has been measured yet.");
    let text = json!({"time": minute(0), "equipment": "lab/gauge", "operation": "test", "unit": "U", "characteristic": "look", "text": "scratched"});
    let equal = |place: usize| measurement("same", place, &json!(7));
    server.send("measurements", &[text, measurement("one", 0, &json!(1.5)), equal(0), equal(1), equal(2)]);
    says("/spc?characteristic=look", "none of 1 measurements is a number");
    says("/spc?characteristic=one", "i_mr needs 2 or more values");
    says("/spc?characteristic=same", "sigma is zero");
    says("/spc?characteristic=same", "All 3 values are 7");
    says("/spc?characteristic=same&period=day", "No measurement of “same” in this period.");
    says("/spc?characteristic=nothing", "“nothing” has not been measured.");
    says("/spc?characteristic=same&equipment=lab%2Fnowhere", "has not been measured at equipment “lab/nowhere”");
}
