//! Products and what is planned of them.

use std::collections::HashMap;

use super::{PLANT, PRESS, check_added, us};
use crate::execution::OrderSpan;
use crate::plant::{Plant, WorkOrder};

fn product(keys: &str) -> String {
    format!("[[products]]\nproduct = \"X\"\n{keys}\n")
}

#[test]
fn scrap_is_planned_per_product_like_its_cycle_time() {
    let added = [
        product("ideal_cycle_s = 5\nplanned_scrap_ratio = 0.1"),
        product("equipment = \"cologne\"\nplanned_scrap_ratio = 0"),
        product("equipment = \"cologne\"\nvalid_from = \"2025-07-01T00:00:00Z\"\nplanned_scrap_ratio = 0.05"),
    ];
    let text = format!("{PLANT}\n{}", added.concat());
    let plant = Plant::parse(&text).unwrap_or_else(|found| panic!("{found:#?}"));
    let (july, from, to) = (us("2025-07-01T00:00:00Z"), us("2025-06-30T00:00:00Z"), us("2025-07-03T00:00:00Z"));
    assert_eq!(plant.planned_scrap_ratio("X", "tokyo", july), Some(0.1));
    assert_eq!(plant.planned_scrap_ratio("X", PRESS, july - 1), Some(0.0));
    assert_eq!(plant.planned_scrap_ratio("P-200", PRESS, july), None);
    assert_eq!(plant.ideal_cycle_s("X", PRESS, july), Some(5.0), "a row without a cycle time says nothing of it");
    // The order's own cycle time does not change with the date, what is planned of its product does.
    let span = OrderSpan { work_order: Some("WO".to_owned()), product: Some("X".to_owned()), start: from, end: to };
    let orders = HashMap::from([("WO".to_owned(), WorkOrder { product: None, ideal_cycle_s: Some(7.0) })]);
    let jobs = plant.jobs(PRESS, &[span], &orders, from, to);
    let found: Vec<_> = jobs.iter().map(|j| (j.start, j.end, j.ideal_cycle_s, j.planned_scrap_ratio)).collect();
    assert_eq!(found, [(from, july, Some(7.0), Some(0.0)), (july, to, Some(7.0), Some(0.05))]);
}

#[test]
fn planned_scrap_is_a_share() {
    for (value, shown) in [("1", "1"), ("-0.1", "-0.1"), ("2.5", "2.5")] {
        let message = format!("`planned_scrap_ratio` is {shown}");
        check_added(&product(&format!("planned_scrap_ratio = {value}")), &message, "0.02 for two of a hundred");
    }
}
