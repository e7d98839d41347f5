//! Measurement systems over SQL: repeatability and reproducibility, bias, linearity.

use serde_json::{Value, json};

use crate::spc::{Answer, assert_near, cases, measurement, start};

#[test]
fn repeatability_and_reproducibility_are_those_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for case in cases("gage_rr.json") {
        let (id, expected) = (case["id"].as_str().unwrap(), &case["expected"]);
        let mut rows = Vec::new();
        for (appraiser, parts) in case["input"]["data"].as_array().unwrap().iter().enumerate() {
            for (part, trials) in parts.as_array().unwrap().iter().enumerate() {
                for value in trials.as_array().unwrap() {
                    let more = json!({"operator": format!("A{appraiser}"), "unit": format!("P{part}")});
                    rows.push(measurement(&case["id"], rows.len(), value, more));
                }
            }
        }
        server.send("measurements", &rows);
        let ask = |constants: &str, method: &str| {
            Answer::of(
                &server,
                &format!(
                    "SELECT component, sigma, percent_study, ndc, chosen, reason FROM gage_rr('constants={constants}') \
                     WHERE characteristic = '{id}' AND method = '{method}' ORDER BY component"
                ),
            )
        };
        for (constants, name) in [("exact", "exact_K"), ("manual", "aiag_rounded_K")] {
            let found = ask(constants, "average_range");
            let expected = &expected["xbar_r"][name];
            // In the order of their names: gage_rr, part_to_part, repeatability, reproducibility, total.
            let sigmas = ["GRR", "PV", "EV", "AV", "TV"].map(|name| expected[name].as_f64());
            assert_near(id, &found.numbers("sigma"), &sigmas);
            assert_eq!(found.numbers("ndc")[0], expected["ndc"].as_f64(), "{id}");
        }
        let chosen = &expected["anova"]["selected_model_alpha_0_25"];
        let method = if chosen == "pooled" { "anova_pooled" } else { "anova" };
        let found = ask("exact", method);
        assert!(found.column("chosen").iter().all(|chosen| **chosen == json!(true)), "{id}");
    }
}

/// AIAG, Measurement Systems Analysis: 5 parts, 12 readings each. It prints bias = 0.7367 − 0.1317 · reference.
#[test]
fn bias_and_linearity_are_those_of_the_manual() {
    let parts: [(f64, [f64; 12]); 5] = [
        (2.0, [2.7, 2.5, 2.4, 2.5, 2.7, 2.3, 2.5, 2.5, 2.4, 2.4, 2.6, 2.4]),
        (4.0, [5.1, 3.9, 4.2, 5.0, 3.8, 3.9, 3.9, 3.9, 3.9, 4.0, 4.1, 3.8]),
        (6.0, [5.8, 5.7, 5.9, 5.9, 6.0, 6.1, 6.0, 6.1, 6.4, 6.3, 6.0, 6.1]),
        (8.0, [7.6, 7.7, 7.8, 7.7, 7.8, 7.8, 7.8, 7.7, 7.8, 7.5, 7.6, 7.7]),
        (10.0, [9.1, 9.3, 9.5, 9.3, 9.4, 9.5, 9.5, 9.5, 9.6, 9.2, 9.3, 9.4]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let readings = parts.iter().flat_map(|(reference, readings)| readings.map(|reading| (*reference, reading)));
    let rows: Vec<Value> = readings
        .enumerate()
        .map(|(at, (reference, reading))| measurement(&json!("msa"), at, &json!(reading), json!({"target": reference})))
        .collect();
    server.send("measurements", &rows);
    let near = |got: &Value, wanted: f64| {
        let got = got.as_f64().unwrap();
        assert!((got - wanted).abs() <= 1e-9 * wanted.abs(), "{got} for {wanted}");
    };
    let columns = "slope, intercept, r_squared, percent_linearity, n, \"references\", acceptable, slope_p";
    let line = server.sql(&format!("SELECT {columns} FROM gage_linearity() WHERE characteristic = 'msa'"));
    let wanted = [-0.131_666_666_666_666_65, 0.736_666_666_666_666_7, 0.714_318_415_932_242_3, 13.166_666_666_666_665];
    line[0].iter().zip(wanted).for_each(|(got, wanted)| near(got, wanted));
    assert_eq!(line[0][4..7], [json!(60), json!(5), json!("no")]);
    assert!(line[0][7].as_f64().unwrap() < 1e-16);
    let columns = "reference, n, bias, significant, percent_bias";
    let biases = server.sql(&format!("SELECT {columns} FROM gage_bias('process_sigma=2.5') ORDER BY reference"));
    let wanted = [0.491_666_666_666_666_7, 0.125, 0.025, -0.291_666_666_666_666_7, -0.616_666_666_666_666_7];
    assert_eq!(biases.len(), 5);
    for ((row, wanted), (reference, _)) in biases.iter().zip(wanted).zip(parts) {
        assert_eq!((&row[0], &row[1]), (&json!(reference), &json!(12)));
        assert!((row[2].as_f64().unwrap() - wanted).abs() < 1e-12, "{row:?}");
        assert!((row[4].as_f64().unwrap() - 40.0 * wanted.abs()).abs() < 1e-9, "{row:?}");
    }
    assert_eq!((&biases[0][3], &biases[2][3]), (&json!("yes"), &json!("no")));

    // One reference for all, and what cannot be told.
    let all = server.sql("SELECT n, reference, mean FROM gage_bias('target=6') WHERE time < '2025-01-14T00:00:12Z'");
    assert_eq!((&all[0][0], &all[0][1]), (&json!(12), &json!(6.0)));
    server.send("measurements", &[measurement(&json!("bare"), 0, &json!(1.0), json!({}))]);
    let bare = |function: &str| {
        let sql = format!("SELECT reason FROM {function} WHERE characteristic = 'bare'");
        server.sql(&sql)[0][0].as_str().unwrap().to_owned()
    };
    assert!(bare("gage_bias()").contains("no target"), "{}", bare("gage_bias()"));
    assert!(bare("gage_linearity()").contains("no target"));
    assert!(bare("gage_bias('target=1')").contains("2 or more"));
    let (status, answer) = server.post("/api/v1/sql?format=json", "SELECT * FROM gage_bias('process_sigma=0')");
    assert!(status == 400 && answer.contains("above 0"), "{answer}");
}
