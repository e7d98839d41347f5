//! SPC leaves nothing out of a figure without saying so, and ignores no word that it was given.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Server;

const PLANT: &str = r#"
[plant]
name = "spc"
zone = "UTC"

[[equipment]]
path = "lab"
[[equipment]]
path = "lab/gauge"
results = { gut = "pass", skipped = "rework" }

[[products]]
product = "P1"
[[products]]
product = "P2"

[[characteristics]]
characteristic = "length"
product = "P1"
target = 100
[[characteristics]]
characteristic = "length"
product = "P2"
target = 50
"#;

fn start(folder: &Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    Server::start(folder)
}

/// Second `number` of 14 January 2025.
fn second(number: usize) -> String {
    jiff::Timestamp::from_second(1_736_812_800 + i64::try_from(number).unwrap()).unwrap().to_string()
}

fn measurement(characteristic: &str, number: usize, more: Value) -> Value {
    let mut row = json!({"time": second(number), "equipment": "lab/gauge", "operation": "test", "unit": format!("U{number}"),
                         "characteristic": characteristic});
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

fn refusal(server: &Server, sql: &str) -> String {
    let (status, answer) = server.post("/api/v1/sql?format=json", sql);
    assert_eq!(status, 400, "{sql}: {answer}");
    answer
}

/// Four bad values behind ten whole subgroups are delivered all the same.
#[test]
fn capability_is_of_all_values() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let good = |number: usize| 10.0 + (number % 5) as f64 / 100.0;
    let value = |number: usize| if number < 50 { good(number) } else { 12.5 };
    let row = |number: usize| {
        let mut more = json!({"value": value(number), "lower_limit": 9, "upper_limit": 11});
        if number < 40 {
            more["subgroup"] = json!(format!("S{}", number / 5));
        }
        measurement("tail", number, more)
    };
    server.send("measurements", &(0..54).map(row).collect::<Vec<_>>());
    let columns = "n, max, observed_ppm, round(ppk, 9), n_within, reason";
    let of = |words: &str| server.sql(&format!("SELECT {columns} FROM capability({words})"))[0].clone();
    let (single, fives, named, large) = (of("'subgroup=1'"), of("'subgroup=5'"), of(""), of("'subgroup=200'"));
    for (row, within) in [(&single, 54), (&fives, 50), (&named, 40), (&large, 0)] {
        assert_eq!(row[..4], single[..4]);
        assert_eq!(row[..2], [json!(54), json!(12.5)]);
        assert_eq!(row[4], within, "{row:?}");
    }
    assert!((single[2].as_f64().unwrap() - 4e6 / 54.0).abs() < 1e-6);
    assert!(fives[5].as_str().unwrap().contains("4 of 54 values are in no whole subgroup"), "{fives:?}");
    assert!(large[5].as_str().unwrap().contains("54 of 54"), "{large:?}");
    assert!(!single[5].as_str().unwrap_or_default().contains("subgroup"));
    let told = |words: &str| server.sql(&format!("SELECT DISTINCT limits, reason FROM spc('xbar_r', {words})"));
    assert!(told("'subgroup=5'")[0][0].as_str().unwrap().contains("; 4 of 54 values are in no whole subgroup"));
    assert!(
        refusal(&server, "SELECT * FROM spc('xbar_r', 'subgroup=200')")
            .contains("54 values make no whole subgroup of 200")
    );
    // Figures that cannot be calculated leave what was counted.
    assert_eq!(
        server.sql("SELECT n, ppk FROM capability('lower=9', 'distribution=weibull', 'upper=9.5')")[0][0],
        json!(54)
    );
}

/// Each value is one of its own product.
#[test]
fn short_runs_are_cut_where_the_product_changes() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let row = |number: usize| {
        let (product, nominal) = if number / 10 % 2 == 0 { ("P1", 100.0) } else { ("P2", 50.0) };
        let value = nominal + [0.1, -0.1, 0.2, 0.0, -0.2][number % 5];
        measurement("length", number, json!({"product": product, "value": value}))
    };
    server.send("measurements", &(0..40).map(row).collect::<Vec<_>>());
    for chart in ["short_run_deviation", "short_run_z"] {
        let points = server.sql(&format!(
            "SELECT value, product, target, n, violated FROM spc('{chart}', 'subgroup=4') ORDER BY point"
        ));
        assert_eq!(points.len(), 8, "two whole ones of each ten");
        for (place, point) in points.iter().enumerate() {
            let (product, target) = if place / 2 % 2 == 0 { ("P1", 100.0) } else { ("P2", 50.0) };
            assert!(point[0].as_f64().unwrap().abs() < 1.0, "{point:?}");
            assert_eq!(point[1..], [json!(product), json!(target), json!(4), json!(false)]);
        }
        let told = &server.sql(&format!("SELECT limits FROM spc_limits('{chart}', 'subgroup=4')"))[0][0];
        assert!(told.as_str().unwrap().contains("8 of 40 values are in no whole subgroup"), "{told}");
    }
    // A target that changes is that of its time.
    server.send(
        "measurements",
        &[50, 51].map(|number| measurement("length", number, json!({"product": "P1", "value": 111.0, "target": 111}))),
    );
    let last =
        server.sql("SELECT value, target FROM spc('short_run_deviation', 'subgroup=2') ORDER BY point DESC LIMIT 1");
    assert_eq!(json!(last), json!([[0.0, 111.0]]));
    let first = server.sql("SELECT target FROM spc('short_run_deviation', 'subgroup=2') ORDER BY point LIMIT 1");
    assert_eq!(json!(first), json!([[100.0]]));
    server.send("measurements", &[measurement("length", 41, json!({"product": "P2", "value": 50.1}))]);
    server.send("measurements", &[measurement("length", 42, json!({"product": "P9", "value": 70.5, "target": 70}))]);
    let refused = refusal(&server, "SELECT * FROM spc('short_run_z', 'subgroup=1')");
    assert!(refused.contains("of P9 it is not known"), "{refused}");
    assert_eq!(server.number("SELECT count(*) FROM spc('short_run_deviation', 'subgroup=1')"), 44.0);
}

#[test]
fn results_are_read_as_the_plant_means_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let words = ["pass", "PASS", "gut", "Ok", "FAIL", "nok", "skipped", "unheard of"];
    let row = |number: usize| {
        measurement("look", number, json!({"result": words[number % 8], "work_order": format!("W{}", number / 40)}))
    };
    server.send("measurements", &(0..80).map(row).collect::<Vec<_>>());
    let points = server.sql("SELECT n, value FROM spc('p', 'subgroup=work_order')");
    assert_eq!(json!(points), json!([[35, 3.0 / 7.0], [35, 3.0 / 7.0]]));
    let told = &server.sql("SELECT limits FROM spc_limits('p', 'subgroup=work_order')")[0][0];
    assert!(told.as_str().unwrap().contains("10 rows are left out that say neither pass nor fail"), "{told}");
    // Limits that cross tell nothing of a value, and texts are told.
    let crossed =
        |number: usize| measurement("crossed", number, json!({"value": 10, "lower_limit": 11, "upper_limit": 9}));
    server.send("measurements", &[crossed(1), crossed(2)]);
    let rows = server.sql("SELECT value FROM spc('p', 'subgroup=operation') WHERE characteristic = 'crossed'");
    assert!(rows.is_empty(), "{rows:?}");
    let texts = [1, 2, 3, 4].map(|number| {
        measurement("texts", number, if number < 4 { json!({"value": number}) } else { json!({"text": "OVERRANGE"}) })
    });
    server.send("measurements", &texts);
    let told =
        |sql: &str| server.sql(&format!("{sql} WHERE characteristic = 'texts'"))[0][0].as_str().unwrap().to_owned();
    assert!(told("SELECT limits FROM spc_limits('i_mr')").contains("1 rows are left out that hold no number"));
    assert!(told("SELECT reason FROM capability()").contains("1 rows are left out that hold no number"));
    // Half a unit is none.
    let half = measurement("half", 1, json!({"value": 0.5}));
    server.send(
        "measurements",
        &[half, measurement("half", 2, json!({"value": 1})), measurement("half", 3, json!({"value": 0}))],
    );
    let points = server.sql("SELECT n, value FROM spc('np', 'subgroup=operation') WHERE characteristic = 'half'");
    assert_eq!(json!(points), json!([[2, 1.0]]));
}

#[test]
fn no_word_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let row = |number: usize| measurement("bore", number, json!({"value": 10.0 + (number * 7 % 11) as f64 / 10.0}));
    server.send("measurements", &(0..60).map(row).collect::<Vec<_>>());
    let refused = |words: &str| refusal(&server, &format!("SELECT * FROM spc({words})"));
    assert!(
        refused("'xbar_r', 'subgroup=5', 'lambda=0.2'").contains("xbar_r has no lambda=; its parameters are width")
    );
    assert!(refused("'cusum', 'width=3'").contains("its parameters are k, h, headstart"));
    assert!(refused("'i_mr', 'subgroup=5', 'subgroup=7'").contains("subgroup= is said twice"));
    assert!(refused("'xbar_r', 'subgroup=200000 months'").contains("subgroup=\\\"200000 months\\\" is not known"));
    assert!(refused("'c', 'source=counts'").contains("source=counts is for charts of counts"));
    assert_eq!(
        server.number("SELECT count(*) FROM spc('i_mr', 'rules=none', 'target=0', 'sigma=0.001') WHERE violated"),
        0.0
    );
    let one = server.sql("SELECT n, reason FROM spc('xbar_r', 'subgroup=unit', 'target=10', 'sigma=1') LIMIT 1");
    assert!(one[0][0] == 1 && one[0][1].as_str().is_some_and(|why| why.contains("its spread needs two")), "{one:?}");
    // Limits as they are in the long run are those of the newest points.
    for span in [2, 10] {
        let of = |function: &str| format!("SELECT lcl, ucl FROM {function}('moving_average', 'span={span}')");
        let last = server.sql(&format!("{} ORDER BY point DESC LIMIT 1", of("spc")));
        let [limits, last] = [&server.sql(&of("spc_limits"))[0], &last[0]]
            .map(|row| row.iter().map(|number| number.as_f64().unwrap()).collect::<Vec<_>>());
        assert!(
            limits.iter().zip(&last).all(|(one, other)| (one - other).abs() < 1e-12),
            "{span}: {limits:?} {last:?}"
        );
    }
    let limits = |more: Value| {
        let mut row = json!({"characteristic": "bore", "chart": "xbar_r", "valid_from": second(0), "centre": 10.5, "sigma": 0.3,
                             "subgroup": "5", "approved_by": "quality", "reason": "study"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([row])
    };
    for (more, said) in [
        (json!({"subgroup": "foo"}), "subgroup=\\\"foo\\\" is not known"),
        (json!({"chart": "moving_average", "span": 0}), "span is 0: it must be 1 to 1000"),
        (json!({"subgroups": -3}), "`subgroups` is -3"),
        (json!({"companion": "S"}), "xbar_r has no chart S below it; it has R"),
        (json!({"sigma": 0}), "limits without a width judge nothing"),
        (json!({"chart": "short_run_z", "centre": 0, "sigma": 1}), "freeze short_run_deviation"),
    ] {
        let (status, answer) = server.post("/api/v1/control_limits", limits(more).to_string());
        // The reason comes as JSON within JSON.
        assert!(status == 400 && answer.contains(said), "{status} {answer}");
    }
    assert_eq!(server.number("SELECT count(*) FROM control_limits"), 0.0);
    let (status, answer) = server.post("/api/v1/control_limits", limits(json!({})).to_string());
    assert_eq!(status, 200, "{answer}");
    let reason = |words: &str| server.sql(&format!("SELECT DISTINCT reason FROM spc('xbar_r', {words})"))[0][0].clone();
    let limits_of =
        |words: &str| server.sql(&format!("SELECT DISTINCT limits FROM spc('xbar_r', {words})"))[0][0].clone();
    assert!(!limits_of("'rules=nelson'").as_str().unwrap().contains("its rules"));
    let told = reason("'target=25'");
    assert!(told.as_str().unwrap().contains("target= is about limits of the chart's own"), "{told}");
    assert_eq!(reason("'subgroup=5'"), Value::Null);
    assert_eq!(
        server.sql("SELECT DISTINCT centre FROM spc('xbar_r', 'subgroup=5', 'target=25', 'limits=own')")[0][0],
        json!(25.0)
    );
}
