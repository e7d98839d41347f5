//! Statistical process control over SQL: the reference cases through `measurements` and `counts`, limits that were frozen,
//! values that were taken out, signals that are reduced, and questions that cannot be answered.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::harness::{Server, root};
use crate::readme::blocks;

const PLANT: &str = r#"
[plant]
name = "spc"
zone = "UTC"

[[equipment]]
path = "lab"
[[equipment]]
path = "lab/gauge"

[[signals]]
equipment = "lab/gauge"
signal = "force"
interpolation = "sloped"

[[characteristics]]
characteristic = "bore"
lower_limit = 9
upper_limit = 11
target = 10
"#;

pub fn start(folder: &Path) -> Server {
    start_with(folder, &[])
}

/// With a gauge of its own for each of `names`.
fn start_with(folder: &Path, names: &[&str]) -> Server {
    let more: String = names.iter().map(|name| format!("[[equipment]]\npath = \"lab/{name}\"\n")).collect();
    fs::write(folder.join("plant.toml"), format!("{PLANT}\n{more}")).unwrap();
    Server::start(folder)
}

/// Second `number` of 14 January 2025.
fn second(number: usize) -> String {
    Timestamp::from_second(1_736_812_800 + i64::try_from(number).unwrap()).unwrap().to_string()
}

pub fn cases(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("oee/tests/golden").join(name)).unwrap();
    let mut golden: Value = serde_json::from_str(&text).unwrap();
    golden["cases"].take().as_array().unwrap().clone()
}

pub fn measurement(characteristic: &Value, number: usize, value: &Value, more: Value) -> Value {
    let mut row = json!({"time": second(number), "equipment": "lab/gauge", "operation": "test", "unit": format!("U{number}"),
                         "characteristic": characteristic, "value": value});
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// One figure for all points, or one for each.
fn each(value: &Value, points: usize) -> Vec<Option<f64>> {
    match value {
        Value::Array(values) => values.iter().map(Value::as_f64).collect(),
        one => vec![one.as_f64(); points],
    }
}

pub fn assert_near(what: &str, found: &[Option<f64>], expected: &[Option<f64>]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            (found, expected) => found == expected,
        };
        assert!(near, "{what} at {place}: {found:?}, expected {expected:?}");
    }
}

/// Rows of an answer by column.
pub struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Answer {
    pub fn of(server: &Server, sql: &str) -> Self {
        let (status, body) = server.post("/api/v1/sql?format=json", sql);
        assert_eq!(status, 200, "{sql}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let columns = answer["columns"].as_array().unwrap();
        let name = |column: &Value| column.get("name").unwrap_or(column).as_str().unwrap().to_owned();
        Self {
            columns: columns.iter().map(name).collect(),
            rows: serde_json::from_value(answer["rows"].clone()).unwrap(),
        }
    }

    pub fn column(&self, name: &str) -> Vec<&Value> {
        let place = self.columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"));
        self.rows.iter().map(|row| &row[place]).collect()
    }

    pub fn numbers(&self, name: &str) -> Vec<Option<f64>> {
        self.column(name).into_iter().map(Value::as_f64).collect()
    }

    fn number(&self, name: &str) -> f64 {
        self.numbers(name)[0].unwrap_or_else(|| panic!("{name} is NULL: {:?}", self.column("reason")))
    }

    /// Points that violate a rule.
    fn flagged(&self, rule: &str) -> Vec<usize> {
        let has = |rules: &&Value| rules.as_str().is_some_and(|rules| rules.split(", ").any(|name| name == rule));
        let rules = self.column("rules");
        rules.iter().enumerate().filter(|(_, rules)| has(rules)).map(|(place, _)| place).collect()
    }
}

fn words(words: &[String]) -> String {
    words.iter().map(|word| format!(", '{word}'")).collect()
}

/// Rows of `measurements`, or of `counts`, that a chart's input stands for, and the words that chart it.
fn rows_of(case: &Value) -> (&'static str, Vec<Value>, Vec<String>) {
    let (id, input) = (&case["id"], &case["input"]);
    if let Some(subgroups) = input["subgroups"].as_array() {
        let mut rows = Vec::new();
        for (place, values) in subgroups.iter().enumerate() {
            for value in values.as_array().unwrap() {
                rows.push(measurement(id, rows.len(), value, json!({"subgroup": format!("{place}")})));
            }
        }
        return ("measurements", rows, vec![format!("phase_i={}", input["phase1_subgroups"])]);
    }
    let values = input["x"].as_array().unwrap();
    let phase = |words: &mut Vec<String>| {
        if let Some(points) = input["phase1_points"].as_u64() {
            words.push(format!("phase_i={points}"));
        }
    };
    let mut chart = Vec::new();
    phase(&mut chart);
    let areas = input["n"].as_array().filter(|_| case["chart"] != "c");
    if let Some(areas) = areas.filter(|_| case["chart"] == "u") {
        // A measurement counts the nonconformities of one unit.
        let mut rows = Vec::new();
        for (place, (x, n)) in values.iter().zip(areas).enumerate() {
            for unit in 0..n.as_f64().unwrap() as usize {
                let value = if unit == 0 { x.clone() } else { json!(0) };
                rows.push(measurement(id, rows.len(), &value, json!({"subgroup": place.to_string()})));
            }
        }
        return ("measurements", rows, chart);
    }
    if let Some(areas) = areas {
        let row = |(place, (x, n)): (usize, (&Value, &Value))| json!({"equipment": format!("lab/{}", id.as_str().unwrap()), "source": "test", "time": second(place), "total": n, "scrap": x});
        let rows = values.iter().zip(areas).enumerate().map(row).collect();
        chart.push("source=counts".to_owned());
        return ("counts", rows, chart);
    }
    for (name, word) in [
        ("mu0", "target"),
        ("sigma", "sigma"),
        ("lambda", "lambda"),
        ("L", "width"),
        ("k", "k"),
        ("h", "h"),
        ("headstart", "headstart"),
    ] {
        if let Some(number) = input[name].as_f64() {
            chart.push(format!("{word}={number}"));
        }
    }
    let rows = values.iter().enumerate().map(|(place, x)| measurement(id, place, x, json!({}))).collect();
    ("measurements", rows, chart)
}

/// Whether records can say it: not more scrap than pieces, and whole units where nonconformities are counted.
fn is_countable(case: &Value) -> bool {
    let Some(areas) = case["input"]["n"].as_array().filter(|_| case["chart"] != "c") else { return true };
    let areas = areas.iter().map(|n| n.as_f64().unwrap());
    match case["chart"] == "u" {
        true => areas.into_iter().all(|n| n.fract() == 0.0),
        false => floats(&case["input"]["x"]).iter().zip(areas).all(|(x, n)| *x <= n),
    }
}

fn assert_flags(answer: &Answer, id: &str, rules: &Map<String, Value>) {
    for (rule, expected) in rules {
        let expected: Vec<usize> =
            expected.as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect();
        assert_eq!(answer.flagged(rule), expected, "{id}: {rule}");
    }
}

fn assert_chart(server: &Server, case: &Value, table: &str, chart: &[String]) {
    let (id, kind, expected) = (case["id"].as_str().unwrap(), case["chart"].as_str().unwrap(), &case["expected"]);
    let of = if table == "counts" { format!("equipment = 'lab/{id}'") } else { format!("characteristic = '{id}'") };
    let ask = |rules: &str| {
        let mut words_of = chart.to_vec();
        words_of.push(format!("rules={rules}"));
        Answer::of(server, &format!("SELECT * FROM spc('{kind}'{}) WHERE {of} ORDER BY point", words(&words_of)))
    };
    let answer = ask("nelson");
    if kind == "cusum" {
        assert_near(id, &answer.numbers("value"), &each(&expected["C_plus"], 0));
        assert_near(id, &answer.numbers("companion_value"), &each(&expected["C_minus"], 0));
        return;
    }
    let values = each(&expected["values"], 0);
    let points = values.len();
    assert_near(&format!("{id}: values"), &answer.numbers("value"), &values);
    for (column, name) in [("centre", "CL"), ("lcl", "LCL"), ("ucl", "UCL")] {
        assert_near(&format!("{id}: {name}"), &answer.numbers(column), &each(&expected[name], points));
    }
    if let Some(rules) = expected["nelson"].as_object() {
        assert_near(&format!("{id}: z"), &answer.numbers("z"), &each(&expected["z"], points));
        assert_flags(&answer, id, rules);
        assert_flags(&ask("western_electric"), id, expected["western_electric"].as_object().unwrap());
    }
    if let Some(below) = expected["dispersion"].as_object() {
        let mut values = each(&below["values"], points);
        let missing = points - values.len();
        // The first value has no moving range.
        values.splice(0..0, vec![None; missing]);
        assert_near(&format!("{id}: dispersion"), &answer.numbers("companion_value"), &values);
        let limits = each(&below["UCL"], points);
        let found = answer.numbers("companion_ucl");
        assert_near(&format!("{id}: its UCL"), &found[missing..], &limits[limits.len() - (points - missing)..]);
    }
}

#[test]
fn charts_are_those_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let cases: Vec<Value> = cases("spc_charts.json").into_iter().filter(is_countable).collect();
    let names: Vec<&str> = cases.iter().map(|case| case["id"].as_str().unwrap()).collect();
    let server = start_with(folder.path(), &names);
    let mut kinds = BTreeSet::new();
    assert!(cases.len() >= 22, "{} cases", cases.len());
    for case in &cases {
        let (table, rows, chart) = rows_of(case);
        server.send(table, &rows);
        assert_chart(&server, case, table, &chart);
        kinds.insert(case["chart"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["c", "cusum", "ewma", "i_mr", "laney_p", "laney_u", "np", "p", "u", "xbar_r", "xbar_s"]
    );
    // All of one kind in one answer, each with limits of its own; the same again from files.
    let limits = "SELECT characteristic, centre, lcl, ucl, companion_ucl, subgroups FROM spc_limits('xbar_r') \
                  WHERE characteristic LIKE 'xbar_r%' ORDER BY characteristic";
    let hot = server.sql(limits);
    assert_eq!(hot.len(), 3, "{hot:?}");
    assert_eq!(server.post("/api/v1/compact", "").0, 200);
    assert_eq!(server.sql(limits), hot);
}

#[test]
fn capability_is_that_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for case in cases("capability.json") {
        let (id, input, expected) = (case["id"].as_str().unwrap(), &case["input"], &case["expected"]);
        let mut rows = Vec::new();
        let single = input["subgroups"].as_array().unwrap().iter().all(|values| values.as_array().unwrap().len() == 1);
        for (place, values) in input["subgroups"].as_array().unwrap().iter().enumerate() {
            for value in values.as_array().unwrap() {
                let mut more =
                    json!({"lower_limit": input["lsl"], "upper_limit": input["usl"], "target": input["target"]});
                if !single {
                    more["subgroup"] = json!(place.to_string());
                }
                rows.push(measurement(&case["id"], rows.len(), value, more));
            }
        }
        server.send("measurements", &rows);
        for (method, within) in expected["within"].as_object().unwrap() {
            let sql = format!("SELECT * FROM capability('sigma_method={method}') WHERE characteristic = '{id}'");
            let answer = Answer::of(&server, &sql);
            assert_eq!(answer.rows.len(), 1, "{id}");
            for (column, of, name) in [
                ("cp", within, "Cp"),
                ("cpl", within, "Cpl"),
                ("cpu", within, "Cpu"),
                ("cpk", within, "Cpk"),
                ("pp", &expected["overall"], "Pp"),
                ("ppk", &expected["overall"], "Ppk"),
                ("cpm", expected, "Cpm"),
                ("anderson_darling", &expected["anderson_darling"], "A2"),
                ("anderson_darling_p", &expected["anderson_darling"], "p_value"),
                ("observed_ppm", &expected["observed_ppm"], "total"),
            ] {
                let found = answer.numbers(column)[0];
                let expected = of[name].as_f64();
                let near = match (found, expected) {
                    (Some(found), Some(expected)) => (found - expected).abs() <= 1e-8 * expected.abs().max(1e-3),
                    (found, expected) => found == expected,
                };
                assert!(near, "{id}, {method}: {name} is {found:?}, expected {expected:?}");
            }
            if let Some(interval) = within["Cpk_ci95"].as_array() {
                assert!((answer.number("cpk_low") - interval[0].as_f64().unwrap()).abs() < 1e-8, "{id}");
            }
        }
    }
}

fn bores(values: &[f64]) -> Vec<Value> {
    let name = json!("bore");
    values.iter().enumerate().map(|(place, value)| measurement(&name, place, &json!(value), json!({}))).collect()
}

#[test]
fn frozen_limits_do_not_move_and_exclusions_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let values: Vec<f64> = (0..30).map(|place| 10.0 + f64::from(place % 5) / 10.0).collect();
    server.send("measurements", &bores(&values));
    let chart = || Answer::of(&server, "SELECT * FROM spc('i_mr') WHERE characteristic = 'bore' ORDER BY point");
    let own = chart();
    assert_eq!(own.column("limits")[0], "estimated from these 30 subgroups");
    assert_eq!(
        (own.number("lower_limit"), own.number("upper_limit")),
        (9.0, 11.0),
        "as the characteristic is declared"
    );

    // An outlier widens the limits until it is taken out.
    server.send("measurements", &[measurement(&json!("bore"), 30, &json!(20.0), json!({}))]);
    let wide = chart();
    assert!(wide.number("ucl") > own.number("ucl") + 1.0);
    let exclusion = json!({"characteristic": "bore", "time": second(30), "reason": "gauge fell down"});
    server.send("exclusions", &[exclusion]);
    let narrow = chart();
    assert_near("without the outlier", &narrow.numbers("ucl")[..30], &own.numbers("ucl")[..30]);
    assert_eq!(narrow.column("excluded")[30], &json!(true));
    assert!(narrow.flagged("N1").contains(&30), "it is still judged");

    let frozen = json!({"characteristic": "bore", "chart": "i_mr", "valid_from": second(10), "centre": 10.2, "sigma": 0.1,
                        "rules": "N1", "approved_by": "quality", "reason": "after the new spindle"});
    server.send("control_limits", &[frozen]);
    let both = chart();
    assert_eq!(both.numbers("ucl")[10..].iter().flatten().filter(|ucl| (*ucl - 10.5).abs() < 1e-12).count(), 21);
    let limits = both.column("limits");
    assert_eq!(limits[10], "frozen from 2025-01-14T00:00:10Z, approved by quality: after the new spindle");
    assert!(limits[9].as_str().unwrap().starts_with("estimated from these 10"), "{}", limits[9]);
    assert_eq!((both.column("phase")[9], both.column("phase")[10]), (&json!("I"), &json!("II")));
    // Rules that were frozen too stay, whatever is asked for.
    let sql =
        "SELECT limits FROM spc('i_mr', 'rules=nelson') WHERE characteristic = 'bore' ORDER BY point DESC LIMIT 1";
    let told = server.sql(sql)[0][0].clone();
    assert!(told.as_str().unwrap().ends_with("; its rules are N1(3)"), "{told}");
    // More values move nothing that is frozen.
    server.send("measurements", &[measurement(&json!("bore"), 31, &json!(50.0), json!({}))]);
    assert_near("frozen", &chart().numbers("ucl")[10..31], &both.numbers("ucl")[10..]);
    let own =
        Answer::of(&server, "SELECT * FROM spc('i_mr', 'limits=own') WHERE characteristic = 'bore' ORDER BY point");
    assert!(own.column("limits").iter().all(|limits| limits.as_str().unwrap().starts_with("estimated")));
    let now = Answer::of(&server, "SELECT * FROM spc_limits('i_mr') WHERE characteristic = 'bore'");
    assert!((now.number("ucl") - 10.5).abs() < 1e-12 && now.number("sigma") == 0.1);
    // Limits of an EWMA open up with its first points, unless they are frozen as steady ones.
    let ewma = |steady: Option<bool>| {
        server.send(
            "control_limits",
            &[json!({"characteristic": "bore", "chart": "ewma", "valid_from": second(0), "centre": 10.2, "sigma": 0.1,
            "lambda": 0.2, "steady": steady, "reason": "study"})],
        );
        Answer::of(&server, "SELECT * FROM spc('ewma') WHERE characteristic = 'bore' ORDER BY point").numbers("ucl")[0]
            .unwrap()
    };
    let wide = 10.2 + 3.0 * 0.1 * (0.2_f64 / 1.8).sqrt();
    assert!((ewma(None) - (10.2 + 3.0 * 0.1 * 0.2)).abs() < 1e-12 && (ewma(Some(true)) - wide).abs() < 1e-12);
    let (status, answer) = server.post(
        "/api/v1/control_limits",
        json!([{"characteristic": "bore", "chart": "i-mr", "valid_from": second(0), "centre": 1, "sigma": 1, "reason": "x"}]).to_string(),
    );
    assert!(status == 400 && answer.contains("i_mr"), "{answer}");
}

#[test]
fn a_signal_is_reduced_to_a_value_per_unit_and_operation() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut lines = String::new();
    for unit in 0..12 {
        let operation = json!({"run": unit.to_string(), "equipment": "lab/gauge", "operation": "press", "unit": format!("U{unit}"),
                               "work_order": "W", "started": second(unit * 10), "completed": second(unit * 10 + 5)});
        server.send("operations", &[operation]);
        for (at, value) in [(0, 0.0), (1, 4.0 + unit as f64), (3, 4.0 + unit as f64), (4, 0.0)] {
            let at = 1_736_812_800 + unit * 10 + at;
            lines.push_str(&format!("press,equipment=lab/gauge force={value} {at}\n"));
        }
    }
    let (status, answer) = server.post("/api/v2/write?precision=s", lines);
    assert_eq!(status, 204, "{answer}");
    let values = |reduce: &str| {
        let sql = format!(
            "SELECT value, unit, characteristic, operation FROM spc('i_mr', 'signal=force', 'reduce={reduce}') \
             WHERE equipment = 'lab/gauge' ORDER BY point"
        );
        server.sql(&sql)
    };
    let found = values("max");
    assert_eq!(found.len(), 12);
    assert_eq!(json!(found[3]), json!([7.0, "U3", "force", "press"]));
    // A trapezoid of 4 + unit over 4 s with flanks of a second.
    assert_eq!(values("integral")[3][0], json!(21.0));
    assert_eq!(values("mean")[3][0], json!(5.25));
    assert_eq!(values("last")[3][0], json!(0.0));
    // It comes back to the press.
    let again = json!({"run": "again", "equipment": "lab/gauge", "operation": "press", "unit": "U3", "work_order": "W",
                       "started": second(7_200), "completed": second(7_210)});
    server.send("operations", &[again]);
    let line = format!("press,equipment=lab/gauge force=2 {}", 1_736_812_800 + 7_201);
    assert_eq!(server.post("/api/v2/write?precision=s", line).0, 204);
    let stays =
        server.sql("SELECT value FROM spc('i_mr', 'signal=force', 'reduce=max') WHERE unit = 'U3' ORDER BY point");
    assert_eq!(json!(stays), json!([[7.0], [2.0]]));
    let only = server.sql("SELECT count(*) FROM spc('i_mr', 'signal=force') WHERE unit IN ('U1', 'U2')");
    assert_eq!(only[0][0], json!(2));
}

#[test]
fn each_cavity_of_a_tool_has_a_chart_of_its_own_or_is_a_subgroup() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    // 12 shots of a tool with 4 cavities; the first piece of a shot need not say that it is the first.
    let rows = (0..48).map(|at: usize| {
        let (shot, cavity) = (at / 4, at % 4);
        let value = 10.0 + cavity as f64 + (shot % 3) as f64 / 10.0;
        let piece = if cavity == 0 { Value::Null } else { json!(cavity + 1) };
        let more = json!({"run": format!("S{shot}"), "unit": format!("S{shot}-{cavity}"), "piece": piece});
        measurement(&json!("bore"), shot, &json!(value), more)
    });
    server.send("measurements", &rows.collect::<Vec<_>>());
    let by_cavity = server
        .sql("SELECT piece, measurements, centre FROM spc_limits('i_mr', 'by=characteristic,piece') ORDER BY piece");
    let cavity = |number: u32| (number, 12, 9.1 + f64::from(number));
    for (row, (piece, values, mean)) in by_cavity.iter().zip([1, 2, 3, 4].map(cavity)) {
        assert_eq!(json!(row[..2]), json!([piece, values]));
        assert!((row[2].as_f64().unwrap() - mean).abs() < 1e-12, "{row:?}");
    }
    assert_eq!(by_cavity.len(), 4);
    let points = "SELECT DISTINCT piece, n FROM spc('xbar_s', 'by=characteristic,piece', 'subgroup=3') ORDER BY 1";
    assert_eq!(json!(server.sql(points)), json!([[1, 3], [2, 3], [3, 3], [4, 3]]));
    let compared = server.sql("SELECT subgroup, n, round(value, 9) FROM spc('xbar_s', 'subgroup=piece') ORDER BY 1");
    assert_eq!(json!(compared), json!([["1", 12, 10.1], ["2", 12, 11.1], ["3", 12, 12.1], ["4", 12, 13.1]]));
    // A shot as a subgroup, as it was without.
    let shots = server.sql("SELECT count(*), max(n) FROM spc('xbar_r', 'subgroup=run')");
    assert_eq!(json!(shots), json!([[12, 4]]));
}

#[test]
fn what_cannot_be_answered_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let refused = |sql: &str| -> String {
        let (status, answer) = server.post("/api/v1/sql?format=json", sql);
        assert_ne!(status, 200, "{sql}: {answer}");
        answer
    };
    assert!(refused("SELECT * FROM spc('xbar')").contains("did you mean xbar_"));
    assert!(refused("SELECT * FROM spc('xbar_r', 'subgroups=5')").contains("its words are subgroup"));
    assert!(refused("SELECT * FROM spc('xbar_r', 'subgroup=five')").contains("subgroup=5"));
    assert!(refused("SELECT * FROM spc('xbar_r', 'rules=nelso')").contains("nelson"));
    assert!(refused("SELECT * FROM spc('p', 'signal=force')").contains("write i_mr or xbar_r"));
    assert!(refused("SELECT * FROM capability('lower=11', 'upper=9')").contains("not below"));
    assert!(
        refused("SELECT * FROM spc('i_mr', 'signal=force') WHERE characteristic = 'x'")
            .contains("rows of samples know no")
    );
    server.send("measurements", &bores(&[10.0, 10.0, 10.0]));
    let until =
        |last: usize| server.number(&format!("SELECT count(*) FROM spc('i_mr') WHERE time <= '{}'", second(last)));
    assert_eq!((until(1), until(2)), (2.0, 3.0), "a last instant that is named belongs to it");
    assert_eq!(server.number("SELECT n FROM capability() WHERE unit = 'U1'"), 1.0);
    let (status, answer) = server.post("/api/v1/sql?format=json", "SELECT * FROM spc('xbar_r')");
    assert!(status == 400 && answer.contains("'subgroup=5'"), "{status} {answer}");
    let reason = |sql: &str| server.sql(sql)[0][0].as_str().unwrap_or_default().to_owned();
    assert!(reason("SELECT reason FROM spc('xbar_r', 'subgroup=1')").contains("i_mr"));
    assert!(reason("SELECT reason FROM spc('i_mr') ORDER BY point DESC").contains("sigma is zero"));
    assert!(reason("SELECT reason FROM capability()").contains("all values are equal"));
    let one = measurement(&json!("one"), 0, &json!(1.5), json!({}));
    let text = json!({"time": second(0), "equipment": "lab/gauge", "operation": "test", "unit": "U", "characteristic": "look", "text": "scratched"});
    server.send("measurements", &[one, text]);
    assert!(reason("SELECT reason FROM spc_limits('i_mr') WHERE characteristic = 'one'").contains("2 or more values"));
    assert!(
        reason("SELECT reason FROM capability() WHERE characteristic = 'look'")
            .contains("none of 1 measurements is a number")
    );
    let within = "SELECT reason FROM capability() WHERE characteristic = 'look' AND time >= '2025-01-01T00:00:00Z'";
    assert!(reason(within).contains("none of 1"), "a bound on time keeps what says why there is nothing");
    assert!(reason("SELECT reason FROM gage_rr() WHERE characteristic = 'one'").contains("no operator"));
    let nan = server.sql("SELECT * FROM capability() UNION ALL SELECT * FROM capability('upper=3')");
    assert!(!json!(nan).to_string().contains("NaN"));
}

#[test]
fn the_examples_of_the_document_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let document = fs::read_to_string(root().join("docs/sql.md")).unwrap();
    let (_, section) = document.split_once("\n### Statistical process control").unwrap();
    let section = section.split("\n### trace_back(").next().unwrap();
    let examples = blocks(section);
    assert_eq!(examples.len(), 8);
    for (language, example) in examples {
        assert_eq!(language, "sql");
        server.sql(example);
    }
    let document = fs::read_to_string(root().join("docs/spc.md")).unwrap();
    let limits: Vec<&str> = document.split("control_limits -d \\\n  '").skip(1).collect();
    assert_eq!(limits.len(), 2);
    for limits in limits {
        let rows: Vec<Value> = serde_json::from_str(limits.split('\'').next().unwrap()).unwrap();
        server.send("control_limits", &rows);
    }
}
