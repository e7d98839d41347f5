//! The SPC report: its figures are those of SQL in every form, it says what was there when a rule was violated, and where
//! there is no report it says why.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{Server, python, takt, wait_for};
use crate::oee_page::drawn;

const PLANT: &str = r#"
[plant]
name = "spc"
zone = "Europe/Berlin"

[[equipment]]
path = "lab"
[[equipment]]
path = "lab/gauge"
name = "Gauge & bench"

[[signals]]
equipment = "lab/gauge"
signal = "oil"
uom = "°C"

[[products]]
product = "P"
name = "Pumpe <groß>"
ideal_cycle_s = 60

[[characteristics]]
characteristic = "bore"
uom = "mm"
lower_limit = 9
upper_limit = 11
target = 10
"#;
/// 14 January 2025, 00:00 UTC: 01:00 in Berlin.
const START: i64 = 1_736_812_800;
const VALUES: usize = 500;

fn minute(number: usize) -> String {
    Timestamp::from_second(START + 60 * i64::try_from(number).unwrap()).unwrap().to_string()
}

fn measurement(characteristic: &str, number: usize, value: &Value) -> Value {
    json!({"time": minute(number), "equipment": "lab/gauge", "operation": "test", "product": "P", "unit": format!("U{number}"),
           "work_order": "W-7", "operator": "Ann", "characteristic": characteristic, "value": value, "run": format!("R{number}")})
}

/// Bores of a day, one of them far out: with its execution, its lots and a signal.
fn filled(folder: &Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder);
    let bore = |place: usize| match place {
        140 => 10.9,
        _ => 10.0 + ((place * 7919) % 101) as f64 / 1000.0 - 0.05,
    };
    let rows: Vec<Value> = (0..VALUES).map(|place| measurement("bore", place, &json!(bore(place)))).collect();
    server.send("measurements", &rows);
    let run = json!({"run": "R140", "equipment": "lab/gauge", "operation": "test", "unit": "U140", "work_order": "W-7",
                      "started": minute(139), "completed": minute(141)});
    server.send("operations", &[run]);
    let lot = |id: &str, lot: &str, time: usize, removed: Option<String>| json!({"event_id": id, "parent": lot, "child": "U140", "quantity": 2, "kind": "consumed", "time": minute(time), "removed": removed});
    server.send(
        "materials",
        &[
            lot("a", "LOT-17", 100, None),
            // Taken out before, and put in afterwards: neither was in the unit.
            lot("b", "LOT-18", 100, Some(minute(120))),
            lot("c", "LOT-19", 300, None),
        ],
    );
    server.send(
        "units",
        &[json!({"unit": "LOT-17", "item": "seal", "kind": "lot", "supplier_lot": "S-9", "uom": "pcs"})],
    );
    let lines: String = (0..20)
        .map(|at| format!("press,equipment=lab/gauge oil={} {}\n", 40 + at, START + 60 * 139 + 6 * at))
        .collect();
    assert_eq!(server.post("/api/v2/write?precision=s", lines).0, 204);
    server
}

/// The report as the command line writes it.
fn report(server: &Server, file: &Path, words: &[&str]) -> Vec<u8> {
    let done = asked(server, &[words, &["-o", file.to_str().unwrap()]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read(file).unwrap()
}

fn asked(server: &Server, words: &[&str]) -> Output {
    takt().args(["report", "spc", "--url", &server.url("")]).args(words).output().unwrap()
}

/// What the command says where there is no report.
fn refused(server: &Server, words: &[&str]) -> String {
    let done = asked(server, &[words, &["-o", "-"]].concat());
    assert_eq!(done.status.code(), Some(1), "{words:?}");
    assert!(done.stdout.is_empty(), "{words:?}");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// Figures that stand in the HTML beside how they are shown.
fn shown(html: &str, value: &Value) -> bool {
    let value = value.as_f64().unwrap();
    html.match_indices("data-value=\"").any(|(at, start)| {
        let rest = &html[at + start.len()..];
        let figure: f64 = rest[..rest.find('"').unwrap()].parse().unwrap();
        (figure - value).abs() <= 1e-12 * value.abs()
    })
}

fn holds(html: &str, part: &str) {
    assert!(html.contains(part), "no {part} in the report");
}

#[test]
fn html_has_the_figures_of_sql_and_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    server.send(
        "exclusions",
        &[json!({"characteristic": "bore", "equipment": "lab/gauge", "operation": "test",
        "unit": "U140", "run": "R140", "time": minute(140), "piece": 1, "reason": "gauge fell down"})],
    );
    let words = ["bore", "--from", "2025-01-14 01:00", "--to", "2025-01-14T08:20Z"];
    let html = String::from_utf8(report(&server, &folder.path().join("r.html"), &words)).unwrap();
    let of = "WHERE characteristic = 'bore'";
    for columns in [
        "cp, cp_low, cp_high, cpk, cpk_low, cpk_high, pp, ppk, cpm, sigma_within, sigma_overall, observed_ppm, expected_ppm, anderson_darling",
    ] {
        for figure in &server.sql(&format!("SELECT {columns} FROM capability() {of}"))[0] {
            assert!(shown(&html, figure), "{figure} of {columns}");
        }
    }
    for figure in
        &server.sql(&format!("SELECT lcl, centre, ucl, mean, sigma, estimated_from FROM spc_limits('i_mr') {of}"))[0]
    {
        assert!(shown(&html, figure), "{figure} of the limits");
    }
    let violations = server.sql(&format!("SELECT value, message FROM spc('i_mr') {of} AND violated"));
    assert!(!violations.is_empty());
    for row in &violations {
        assert!(shown(&html, &row[0]), "{row:?}");
        holds(&html, row[1].as_str().unwrap());
    }
    for row in server.sql("SELECT value FROM measurements") {
        assert!(shown(&html, &row[0]), "{row:?}");
    }
    // The machine's wall time, with its offset.
    holds(&html, "2025-01-14 01:00 +01:00 – 2025-01-14 09:20 +01:00");
    holds(&html, "Europe/Berlin (UTC+01:00)");
    holds(&html, "2025-01-14 03:20:00");
    for part in ["unit U140", "order W-7", "operator Ann", "LOT-17 seal", "gauge fell down", "excluded from limits"] {
        holds(&html, part);
    }
    // 20 samples from 40 on, in the two minutes of the execution.
    holds(&html, "oil 49.5, 59\u{a0}°C");
    assert!(!html.contains("LOT-18") && !html.contains("LOT-19"));
    holds(&html, "Pumpe &lt;groß&gt; (P)");
    holds(&html, "Gauge &amp; bench (lab/gauge)");
    holds(&html, &format!("takt {} · local", env!("CARGO_PKG_VERSION")));
    for part in ["Prepared", "Reviewed", "Approved", "normal distribution", "Freedman-Diaconis", "data-value"] {
        holds(&html, part);
    }
    assert!(!html.contains("NaN") && !html.contains("inf ") && !html.contains("<script"));
    // The statements that it names give the same points.
    let at = html.find("SELECT * FROM spc(").unwrap();
    let statement = html[at..].split("</dd>").next().unwrap().replace("&#39;", "'");
    assert_eq!(server.sql(&statement).len(), VALUES);
}

#[test]
fn frozen_limits_say_who_when_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    server.send("control_limits", &[json!({"characteristic": "bore", "chart": "xbar_r", "valid_from": minute(250), "centre": 10.01,
        "sigma": 0.03, "subgroup": "4", "subgroups": 50, "rules": "nelson", "approved_by": "A. Quality", "reason": "after the new spindle"})]);
    let file = folder.path().join("r.html");
    let html = String::from_utf8(report(&server, &file, &["bore", "--chart", "xbar_r"])).unwrap();
    holds(&html, "frozen from 2025-01-14 05:10:00, approved by A. Quality: after the new spindle");
    holds(&html, "estimated from these 62 subgroups");
    for part in ["A. Quality", "after the new spindle", "local", "4 values in a row"] {
        holds(&html, part);
    }
    assert!(shown(&html, &json!(10.01)) && shown(&html, &json!(0.03)));
    for row in server.sql("SELECT value, companion_value FROM spc('xbar_r') WHERE characteristic = 'bore'") {
        assert!(shown(&html, &row[0]) && shown(&html, &row[1]), "{row:?}");
    }
    let own = ["bore", "--chart", "xbar_r", "--limits", "own", "--force"];
    let html = String::from_utf8(report(&server, &file, &own)).unwrap();
    assert!(!html.contains("A. Quality"));
}

#[test]
fn what_was_signed_can_be_made_again_after_a_correction() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let words = ["bore", "--to", "2025-01-15"];
    let page =
        |name: &str, words: &[&str]| String::from_utf8(report(&server, &folder.path().join(name), words)).unwrap();
    let signed = page("signed.html", &words);
    let recorded = server.sql("SELECT max(recorded) FROM measurements")[0][0].as_str().unwrap().to_owned();
    assert!(shown(&signed, &json!(10.9)));
    server.send("measurements", &[measurement("bore", 140, &json!(10.03125))]);
    server.send(
        "control_limits",
        &[json!({"characteristic": "bore", "chart": "i_mr", "valid_from": minute(0), "centre": 10.5, "sigma": 0.25,
            "approved_by": "A. Quality", "reason": "new"})],
    );

    let now = page("now.html", &words);
    assert!(!shown(&now, &json!(10.9)) && shown(&now, &json!(10.5)));
    let as_of: Timestamp = recorded.parse().unwrap();
    let as_of = as_of.to_string();
    let again = page("again.html", &[&words[..], &["--as-of", &as_of]].concat());
    assert!(shown(&again, &json!(10.9)) && !again.contains("A. Quality"));
    holds(&again, "what was recorded later is left out");
    let figures = |html: &str| -> Vec<String> {
        let parts = html.split("data-value=\"").skip(1);
        parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
    };
    assert!(figures(&signed).len() > VALUES);
    assert_eq!(figures(&again), figures(&signed));
    assert!(refused(&server, &["bore", "--as-of", "2025-01-15 10:00"]).contains("with its offset"));
}

#[test]
fn a_chart_takes_its_parameters_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    for (name, words, call) in [
        ("ewma", vec!["--lambda", "0.1", "--width", "2.7"], "'lambda=0.1', 'width=2.7'"),
        ("cusum", vec!["--k", "0.75", "--h", "4.5", "--headstart", "2"], "'k=0.75', 'h=4.5', 'headstart=2'"),
        ("moving_average", vec!["--span", "7", "--steady"], "'span=7', 'steady=true'"),
    ] {
        let words = [vec!["bore", "--chart", name], words].concat();
        let html = String::from_utf8(report(&server, &folder.path().join(format!("{name}.html")), &words)).unwrap();
        let values = |call: &str| {
            server.sql(&format!("SELECT value FROM spc('{name}'{call}) WHERE characteristic = 'bore' ORDER BY point"))
        };
        let rows = values(&format!(", {call}"));
        assert_eq!(rows.len(), VALUES);
        for row in &rows {
            assert!(shown(&html, &row[0]), "{name} {row:?}");
        }
        for word in call.split(", ") {
            holds(&html, &word.replace('\'', "&#39;"));
        }
        assert_ne!(values(""), rows, "{name}: the parameters change nothing");
    }
}

#[test]
fn curves_are_those_of_the_distribution_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let lines = |html: &str| -> Vec<String> {
        html.split("<figure").skip(1).map(|figure| figure.split("</figure>").next().unwrap().to_owned()).collect()
    };
    let mut before: Option<String> = None;
    for (name, called) in [("normal", "normal"), ("weibull", "Weibull"), ("gamma", "gamma"), ("johnson", "Johnson")] {
        let words = ["bore", "--distribution", name];
        let html = String::from_utf8(report(&server, &folder.path().join(format!("{name}.html")), &words)).unwrap();
        let fitted = server.sql(&format!(
            "SELECT fitted, fit_anderson_darling FROM capability('distribution={name}') WHERE characteristic = 'bore'"
        ));
        holds(&html, fitted[0][0].as_str().unwrap());
        holds(&html, called);
        assert_eq!(fitted[0][1].is_null(), name == "normal");
        assert!(fitted[0][1].is_null() || shown(&html, &fitted[0][1]));
        let histogram = lines(&html).into_iter().find(|figure| figure.contains("Histogram")).unwrap();
        assert_ne!(before.as_ref(), Some(&histogram), "{name}");
        before = Some(histogram);
    }
}

#[test]
fn a_short_run_is_of_all_products_with_their_nominals() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let row = |number: usize| {
        let (product, target) = [("A", 10.0), ("B", 20.0)][number / 5 % 2];
        let mut row = measurement("width", number, &json!(target + ((number * 7) % 11) as f64 / 64.0));
        row["product"] = json!(product);
        row["target"] = json!(target);
        row
    };
    server.send("measurements", &(0..40).map(row).collect::<Vec<_>>());
    for chart in ["short_run_deviation", "short_run_z"] {
        let file = folder.path().join(format!("{chart}.html"));
        let html = String::from_utf8(report(&server, &file, &["width", "--chart", chart])).unwrap();
        let points = server.sql(&format!("SELECT value FROM spc('{chart}') WHERE characteristic = 'width'"));
        assert_eq!(points.len(), 40);
        assert!(points.iter().all(|point| shown(&html, &point[0])), "{chart}");
        holds(&html, "every product");
        assert_eq!(html.matches("each with its own specification").count(), 2, "capability and spread");
        let words = ["width", "--chart", chart, "--product", "A", "--force"];
        let one = String::from_utf8(report(&server, &file, &words)).unwrap();
        assert!(!one.contains("each with its own specification") && one.contains("Histogram"));
    }
}

#[test]
fn pdf_is_small_numbered_and_reads_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let bytes = report(&server, &folder.path().join("r.pdf"), &["bore", "--chart", "xbar_s"]);
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    let pdf = lopdf::Document::load_mem(&bytes).unwrap();
    let pages: Vec<u32> = pdf.get_pages().into_keys().collect();
    assert!(pages.len() > 4, "{} pages", pages.len());
    for page in &pages {
        let text = pdf.extract_text(&[*page]).unwrap();
        assert!(text.contains(&format!("Page {page} of {}", pages.len())), "{text}");
    }
    let text = pdf.extract_text(&pages).unwrap();
    let cpk =
        server.sql("SELECT cpk FROM capability('subgroup=5') WHERE characteristic = 'bore'")[0][0].as_f64().unwrap();
    for part in
        ["SPC report", "Control chart", &format!("{cpk:.2}"), "σ".trim(), "Anderson-Darling", "U499", "Approved", "UCL"]
    {
        if part != "σ" {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
    }
}

#[test]
fn a_workbook_has_numbers_and_dates() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let bytes = report(&server, &folder.path().join("r.xlsx"), &["bore", "--rules", "limits"]);
    let mut workbook: Xlsx<_> = open_workbook_from_rs(Cursor::new(bytes)).unwrap();
    let names = workbook.sheet_names();
    for name in ["Summary", "Chart data", "Violations", "Lots", "Signals", "Data", "Chart"] {
        assert!(names.iter().any(|known| known == name), "no {name} in {names:?}");
    }
    let mut sheet = |name: &str| workbook.worksheet_range(name).unwrap();
    let number = |cell: Option<&Data>| match cell {
        Some(Data::Float(value)) => *value,
        other => panic!("{other:?} is no number"),
    };
    let data = sheet("Data");
    let values = server.sql("SELECT value FROM measurements ORDER BY time");
    assert_eq!(data.height(), VALUES + 1);
    for (row, value) in values.iter().enumerate() {
        assert_eq!(Some(number(data.get((row + 1, 2)))), value[0].as_f64());
    }
    // The first was measured at 01:00 of the wall in Berlin.
    let Some(Data::DateTime(time)) = data.get((1, 1)) else { panic!("{:?} is no date", data.get((1, 1))) };
    assert!((time.as_f64() - (START as f64 + 3600.0) / 86_400.0 - 25_569.0).abs() < 1e-9, "{time:?}");

    let chart = sheet("Chart data");
    let points = server.sql("SELECT value, lcl, centre, ucl, z FROM spc('i_mr', 'rules=limits') WHERE characteristic = 'bore' ORDER BY point");
    assert_eq!(chart.height(), points.len() + 1);
    for (row, point) in points.iter().enumerate() {
        for (column, value) in point.iter().enumerate() {
            assert_eq!(Some(number(chart.get((row + 1, column + 6)))), value.as_f64(), "{row} {column}");
        }
    }
    // What Excel draws is what stands there: the plotted value and its limits, bins, and ranked values with the fitted line.
    let script = "import re, sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nfor n in sorted(z.namelist()):\n    \
                  if n.startswith('xl/charts/chart'): print(*re.findall('<c:f>([^<]*)</c:f>', z.read(n).decode()))";
    let ranges = python().args(["-c", script]).arg(folder.path().join("r.xlsx")).output().unwrap();
    assert!(ranges.status.success(), "{ranges:?}");
    let ranges = String::from_utf8(ranges.stdout).unwrap();
    let last = points.len() + 1;
    for (sheet, column, rows) in [
        ("'Chart data'", 'G', last),
        ("'Chart data'", 'H', last),
        ("'Chart data'", 'J', last),
        ("Histogram", 'C', sheet("Histogram").height()),
        ("Histogram", 'D', sheet("Histogram").height()),
        ("'Probability plot'", 'D', sheet("Probability plot").height()),
        ("'Probability plot'", 'E', sheet("Probability plot").height()),
    ] {
        let range = format!("{sheet}!${column}$2:${column}${rows}");
        assert!(ranges.contains(&range), "{range} is not in {ranges}");
    }
    let titles = |column: usize| chart.get((0, column)).unwrap().to_string();
    assert!([titles(7), titles(8), titles(9)] == ["LCL", "Centre", "UCL"], "{:?}", chart.rows().next());
    let bins = sheet("Histogram");
    let total: f64 = (1..bins.height()).map(|row| number(bins.get((row, 2)))).sum();
    let expected: f64 = (1..bins.height()).map(|row| number(bins.get((row, 3)))).sum();
    assert!(total == VALUES as f64 && (0.7..=1.0).contains(&(expected / total)), "{total} {expected}");

    let summary = sheet("Summary");
    let indices = server.sql("SELECT cp, cpk, pp, ppk, cpm FROM capability() WHERE characteristic = 'bore'");
    for (name, value) in ["Cp", "Cpk", "Pp", "Ppk", "Cpm"].into_iter().zip(&indices[0]) {
        let row = summary.rows().find(|row| row[0] == Data::String(name.to_owned())).unwrap();
        assert_eq!(Some(number(row.get(2))), value.as_f64(), "{name}");
    }
    let violations = sheet("Violations");
    assert_eq!(violations.get((1, 7)), Some(&Data::String("U140".to_owned())));
    assert_eq!(number(sheet("Signals").get((1, 4))), 49.5);
    assert_eq!(sheet("Lots").get((1, 2)), Some(&Data::String("LOT-17".to_owned())));
}

#[test]
fn where_there_is_no_report_it_says_why() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder.path());
    assert!(refused(&server, &["bore"]).contains("nothing has been measured yet"));
    let text = json!({"time": minute(0), "equipment": "lab/gauge", "operation": "test", "unit": "U", "characteristic": "look", "text": "scratched"});
    let equal = |place: usize| measurement("same", place, &json!(7));
    let free = |place: usize| measurement("free", place, &json!(place % 3));
    let rows = [text, measurement("one", 0, &json!(1.5)), equal(0), equal(1), equal(2)];
    server.send("measurements", &rows);
    server.send("measurements", &(0..12).map(free).collect::<Vec<_>>());

    for (words, why) in [
        (vec!["nothing"], "“nothing” has not been measured; measured are free, look, one, same"),
        (vec!["same", "--equipment", "lab/nowhere"], "at equipment “lab/nowhere”"),
        (
            vec!["same", "--from", "2026-01-01"],
            "no measurement of “same” in this period; there are 3 from 2025-01-14 01:00 +01:00",
        ),
        (vec!["same", "--from", "2025-01-15", "--to", "2025-01-14"], "“from” must be before “to”"),
        (vec!["same", "--from", "yesterday"], "from=yesterday is no time"),
        (vec!["same", "--chart", "pie"], "pie"),
        (vec!["same", "--rules", "N99"], "N99"),
        (vec!["same", "--lambda", "0.2"], "i_mr has no parameter lambda; it has width"),
        (vec!["same", "--chart", "cusum", "--width", "2"], "cusum has no parameter width; it has k, h, headstart"),
        (vec!["same", "--zone", "Mars/Olympus"], "is no time zone"),
        (vec!["look"], "none of 1 measurements is a number"),
        (vec!["same", "--chart", "xbar_r", "--subgroup", "5"], "no whole subgroup"),
    ] {
        let said = refused(&server, &words);
        assert!(said.contains(why), "{words:?} says {said}");
    }
    let status = |query: &str| server.get(&format!("/report/spc?{query}")).0;
    assert_eq!(status("characteristic=nothing"), 404);
    assert_eq!(status(""), 400);
    assert_eq!(status("characteristic=same&format=doc"), 400);
    assert_eq!(status("characteristic=same&colour=red"), 400);
    assert_eq!(status("characteristic=look"), 422);

    // What there is is shown, and what there is not says why.
    for (characteristic, whys) in [
        ("one", ["i_mr needs 2 or more values", "one value has no spread"]),
        ("same", ["sigma is zero", "all 3 values are 7: there is no spread to draw"]),
        ("free", ["there are no specification limits", "Histogram"]),
    ] {
        for form in ["html", "pdf", "xlsx"] {
            let bytes = report(&server, &folder.path().join(format!("{characteristic}.{form}")), &[characteristic]);
            if form != "html" {
                continue;
            }
            let html = String::from_utf8(bytes).unwrap();
            for why in whys {
                holds(&html, why);
            }
            assert!(!html.contains("NaN") && !html.contains("<dd></dd>") && !html.contains("<dd>None"));
        }
    }
    let said = asked(&server, &["one", "-o", folder.path().join("one.pdf").to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("is there already"));
    let said = asked(&server, &["one", "-o", folder.path().join("one.doc").to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("--format"));
}

#[test]
fn the_page_gives_the_report_of_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    // Where nothing is chosen subgroups are those that the frozen limits are of, as in SQL.
    server.send(
        "control_limits",
        &[json!({"characteristic": "bore", "chart": "xbar_r", "valid_from": minute(250), "centre": 10.01,
        "sigma": 0.03, "subgroup": "4", "approved_by": "A. Quality", "reason": "after the new spindle"})],
    );
    let browser = Browser::open(&folder.path().join("browser"), 1280, 800);
    browser.go(&server.url("/spc?characteristic=bore&chart=xbar_r"));
    drawn(&browser, "the chart");
    browser.script(
        "window.made = []; window.asked = null; const make = URL.createObjectURL; const ask = window.fetch; \
         window.fetch = (address, options) => { window.asked = address; return ask(address, options); }; \
         URL.createObjectURL = (file) => { window.made.push([file.type, file.size]); return make.call(URL, file); };",
    );
    for (place, (form, kind)) in
        [("pdf", "application/pdf"), ("html", "text/html"), ("xlsx", "spreadsheetml")].into_iter().enumerate()
    {
        browser.script(&format!("document.querySelector('[data-report={form}]').click()"));
        let made = wait_for(form, Duration::from_secs(20), || {
            let made = browser.script("return window.made");
            made.get(place).cloned()
        });
        assert!(made[0].as_str().unwrap().contains(kind) && made[1].as_f64().unwrap() > 10_000.0, "{form}: {made}");
    }
    let address = browser.script("return window.asked");
    for part in [
        "characteristic=bore",
        "equipment=lab%2Fgauge",
        "product=P",
        "operation=test",
        "chart=xbar_r",
        "subgroup=4",
        "format=xlsx",
    ] {
        assert!(address.as_str().unwrap().contains(part), "no {part} in {address}");
    }
}
