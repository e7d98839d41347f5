//! The golden studies, to a relative 1e-8. `tests/golden/gage_rr.json` was computed independently of this crate.

use serde_json::Value;

use super::{Anova, AnovaRow, AverageRange, Components, Constants, Model, Shares, Study};
use crate::spc::expected::{Fields, Tolerance};

const TOLERANCE: Tolerance = Tolerance { relative: 1e-8, absolute: 1e-28 };

fn check_components(expected: &Fields<'_>, got: &Components) {
    let share = |name: &str, of: fn(&Shares) -> f64, shares: Option<Shares>, expected: &Fields<'_>| {
        expected.figure(name, shares.as_ref().map(of));
    };
    for (name, got) in [("EV", got.ev), ("AV", got.av), ("GRR", got.grr), ("PV", got.pv), ("TV", got.tv)] {
        expected.figure(name, Some(got));
    }
    let names: [(&str, fn(&Shares) -> f64); 4] =
        [("EV", |one| one.ev), ("AV", |one| one.av), ("GRR", |one| one.grr), ("PV", |one| one.pv)];
    for (name, of) in names {
        share(&format!("pct_{name}"), of, got.percent(), expected);
    }
    if let Some(contribution) = expected.object("pct_contribution") {
        names.into_iter().for_each(|(name, of)| share(name, of, got.contribution(), &contribution));
        contribution.all_seen(&[]);
    }
    expected.figure("ndc_raw", got.categories().map(|one| one.raw));
    expected.figure("ndc", got.categories().map(|one| one.ndc as f64));
}

fn check_average_range(expected: &Fields<'_>, study: &Study) {
    let got = study.average_range(Constants::Exact);
    expected.figure("R_double_bar", Some(got.mean_range));
    expected.figure("UCL_R", Some(got.range_ucl));
    expected.figure("X_diff", Some(got.appraiser_range));
    expected.figure("R_p", Some(got.part_range));
    expected.figures("appraiser_means", study.appraiser_means().into_iter().map(Some));
    expected.figures("part_means", study.part_means().into_iter().map(Some));
    for (name, constants) in [("aiag_rounded_K", Constants::Manual), ("exact_K", Constants::Exact)] {
        let Some(expected) = expected.object(name) else { continue };
        let AverageRange { k1, k2, k3, components, .. } = study.average_range(constants);
        expected.figure("K1", Some(k1));
        expected.figure("K2", Some(k2));
        expected.figure("K3", Some(k3));
        check_components(&expected, &components);
        expected.all_seen(&[]);
    }
    expected.all_seen(&[]);
}

fn check_table(expected: &Fields<'_>, anova: &Anova) {
    let Some(rows) = expected.get("table").map(|table| table.as_array().expect("an array")) else { return };
    assert_eq!(rows.len(), 5, "{}: rows", expected.place());
    for wanted in rows {
        let wanted = Fields::new(expected.place(), wanted, TOLERANCE);
        let model = &anova.with_interaction;
        let source = wanted.get("source").and_then(Value::as_str).expect("a source");
        let AnovaRow { df, ss, ms, f, p } = match source {
            "appraiser" => model.appraiser,
            "part" => model.part,
            "appraiser*part" => anova.interaction,
            "equipment" => model.error,
            "total" => anova.total,
            source => panic!("unknown source {source}"),
        };
        wanted.figure("df", Some(df));
        wanted.figure("SS", Some(ss));
        wanted.figure("MS", Some(ms).filter(|_| source != "total"));
        wanted.figure("F", f);
        wanted.figure("p", p);
        wanted.all_seen(&[]);
    }
}

fn check_model(expected: &Fields<'_>, got: &Model) {
    if let Some(variances) = expected.object("variance_components") {
        let reproducibility = got.appraiser_variance + got.interaction_variance;
        variances.figure("repeatability", Some(got.repeatability));
        variances.figure("appraiser", Some(got.appraiser_variance));
        variances.figure("interaction", Some(got.interaction_variance));
        variances.figure("reproducibility", Some(reproducibility));
        variances.figure("grr", Some(got.repeatability + reproducibility));
        variances.figure("part", Some(got.part_variance));
        variances.figure("total", Some(got.repeatability + reproducibility + got.part_variance));
        variances.all_seen(&[]);
    }
    check_components(expected, &got.components);
}

fn check_anova(expected: &Fields<'_>, anova: &Anova) {
    expected.figure("interaction_p", anova.interaction.p);
    expected.text("selected_model_alpha_0_25", anova.chosen_name());
    if let Some(expected) = expected.object("with_interaction") {
        check_table(&expected, anova);
        check_model(&expected, &anova.with_interaction);
        expected.all_seen(&[]);
    }
    if let Some(expected) = expected.object("pooled") {
        expected.figure("df", Some(anova.pooled.error.df));
        expected.figure("MS_pooled", Some(anova.pooled.error.ms));
        expected.figure("F_appraiser", anova.pooled.appraiser.f);
        expected.figure("F_part", anova.pooled.part.f);
        expected.figure("p_appraiser", anova.pooled.appraiser.p);
        expected.figure("p_part", anova.pooled.part.p);
        check_model(&expected, &anova.pooled);
        expected.all_seen(&[]);
    }
    expected.all_seen(&[]);
}

fn check_tolerance(expected: &Fields<'_>, tolerance: Option<f64>, study: &Study) {
    let Some(expected) = expected.object("pct_tolerance_GRR") else { return };
    let percent = |components: &Components| tolerance.map(|all| components.percent_of_tolerance(all).expect("above 0"));
    expected.figure("multiplier", Some(6.0));
    expected.figure("xbar_r_aiag_K", percent(&study.average_range(Constants::Manual).components));
    expected.figure("xbar_r_exact_K", percent(&study.average_range(Constants::Exact).components));
    expected.figure("anova_selected", percent(&study.anova().chosen().components));
    expected.all_seen(&[]);
}

fn data(value: &Value) -> Vec<Vec<Vec<f64>>> {
    let array = |value: &Value| value.as_array().expect("an array").clone();
    let numbers = |cell: &Value| array(cell).iter().map(|value| value.as_f64().expect("a number")).collect();
    let parts = |appraiser: &Value| array(appraiser).iter().map(numbers).collect();
    array(value).iter().map(parts).collect()
}

fn check_case(case: &Value) {
    let id = case["id"].as_str().expect("an id");
    let input = Fields::new(format!("{id} input"), &case["input"], TOLERANCE);
    let expected = Fields::new(id, &case["expected"], TOLERANCE);
    let study = Study::new(&data(input.get("data").expect("data"))).expect("a study");
    input.text("layout", "data[appraiser][part][trial]");
    if let Some(expected) = expected.object("xbar_r") {
        check_average_range(&expected, &study);
    }
    if let Some(expected) = expected.object("anova") {
        check_anova(&expected, &study.anova());
    }
    check_tolerance(&expected, input.number("tolerance"), &study);
    input.all_seen(&[]);
    expected.all_seen(&[]);
}

#[test]
fn golden_gage() {
    crate::golden::check("gage_rr.json", 2, check_case);
}
