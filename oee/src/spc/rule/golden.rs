//! The golden rules: z-scores and the flagged places, exactly. `tests/golden/spc_rules_unit.json` was written
//! independently of this crate.

use std::sync::Arc;

use serde_json::Value;

use super::RuleSet;
use crate::spc::expected::{Fields, Tolerance};
use crate::spc::{Chart, ChartKind, Limits, Parameters, Subgroup};

const SETS: [&str; 5] = ["nelson", "western_electric", "aiag", "montgomery", "juran"];

fn check_case(case: &Value) {
    let case = Fields::new(case["id"].as_str().expect("an id"), case, Tolerance { relative: 0.0, absolute: 0.0 });
    let z = case.get("z").and_then(Value::as_array).expect("z-scores");
    let values = z.iter().map(|z| z.as_f64().map(|z| vec![z]).unwrap_or_default());
    let subgroups: Vec<_> = values.map(|values| Subgroup::of(&values).expect("numbers")).collect();
    let limits = Limits::known(ChartKind::IMr, 0.0, 1.0, Parameters::default()).expect("limits");
    for name in SETS {
        let Some(wanted) = case.object(name) else { continue };
        let rules = Arc::new(RuleSet::parse(name).expect("a set"));
        let chart = Chart::draw(limits, &rules, &subgroups).expect("a chart");
        for (place, rule) in rules.rules().iter().enumerate() {
            let flagged = chart.points.iter().enumerate().filter(|(_, point)| point.flags.contains(place));
            wanted.indices(rule.name, flagged.map(|(place, _)| place));
        }
        wanted.all_seen(&[]);
    }
    case.all_seen(&["id", "provenance"]);
}

#[test]
fn golden_rules() {
    crate::golden::check("spc_rules_unit.json", 14, check_case);
}
