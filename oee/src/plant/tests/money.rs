//! Meters, and what machines and energy cost.

use super::{PLANT, PRESS, WELD, check, check_added};
use crate::SECOND_US;
use crate::energy::Rates;
use crate::plant::{Plant, Role};

fn meter(keys: &str) -> String {
    format!("[[signals]]\nequipment = \"tokyo\"\nsignal = \"meter\"\nrole = \"energy\"\n{keys}")
}

#[test]
fn meters_count_in_units_of_energy() {
    for uom in ["kWh", "Wh", "MWh", "J"] {
        let added = meter(&format!("uom = \"{uom}\"\nmodulus = 1000"));
        let plant = Plant::parse(&format!("{PLANT}\n{added}\n")).unwrap_or_else(|found| panic!("{found:#?}"));
        let roles: Vec<Role> = plant.role_signals("tokyo").iter().map(|(role, _)| *role).collect();
        assert_eq!(roles, [Role::Energy]);
        assert_eq!(plant.margin_us("tokyo"), 900 * SECOND_US);
    }
    check_added(&meter(""), "a meter needs a unit of measure", "uom = \"kWh\", or another of kWh, Wh, MWh, J");
    check_added(&meter("uom = \"kwh\""), "`kwh` is no unit of energy", "did you mean `kWh`?");
    check_added(&meter("uom = \"bar\""), "`bar` is no unit of energy", "Write one of kWh");
}

#[test]
fn a_meter_is_no_source_of_counts() {
    let added = format!("[[equipment]]\npath = \"bonn\"\ncount_source = \"signal\"\n{}", meter("uom = \"J\""));
    check_added(&added.replace("tokyo", "bonn"), "`count_source` is \"signal\", but no signal", "total_count");
    for (key, word, meant) in [("count_source", "operation", "operations"), ("state_source", "Signal", "signal")] {
        let added = format!("[[equipment]]\npath = \"bonn\"\n{key} = \"{word}\"\n");
        check_added(
            &added,
            &format!("`{key}` is \"{word}\", which is taken for a source"),
            &format!("write \"{meant}\""),
        );
    }
}

#[test]
fn a_machine_costs_by_itself_and_energy_by_the_place() {
    let text = PLANT
        .replace("zone = \"Europe/Berlin\"", "zone = \"Europe/Berlin\"\nenergy_price_per_kwh = 0.3")
        .replace("count_source = \"signal\"", "count_source = \"signal\"\ncost_per_hour = 80")
        .replace("state_map = \"packml\"", "state_map = \"packml\"\nenergy_price_per_kwh = 0.25");
    let plant = Plant::parse(&text).unwrap_or_else(|found| panic!("{found:#?}"));
    let rates = |path: &str| plant.equipment(path).expect("declared").rates;
    let expected = |cost, price| Rates { cost_per_hour: cost, energy_price_per_kwh: price };
    assert_eq!(rates(PRESS), expected(Some(80.0), Some(0.25)));
    assert_eq!(rates(WELD), expected(None, Some(0.25)));
    assert_eq!(rates("tokyo"), expected(None, Some(0.3)));
    assert_eq!(Plant::parse(PLANT).expect("a plant").equipment(PRESS).map(|press| press.rates), Some(Rates::default()));
}

#[test]
fn costs_must_make_sense() {
    let press = "count_source = \"signal\"";
    check(press, &format!("{press}\ncost_per_hour = -8"), "-8", "`cost_per_hour` is -8", "0 or more");
    let price = format!("{press}\nenergy_price_per_kwh = -0.1");
    check(press, &price, "-0.1", "`energy_price_per_kwh` is -0.1", "0 or more");
    let line = "rollup = \"serial\"";
    let message = "`cost_per_hour` is of one machine, and `cologne/line-1` has equipment below it";
    check(line, &format!("{line}\ncost_per_hour = 77"), "77", message, "write it at each machine");
}
