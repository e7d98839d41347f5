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

#[test]
fn jobs_say_at_each_moment_what_the_plant_says_then() {
    let dates = ["2025-07-01T00:20:00Z", "2025-07-01T00:40:00Z", "2025-07-01T01:10:00Z"];
    let dated = dates.iter().enumerate().map(|(at, date)| {
        product(&format!("valid_from = \"{date}\"\nideal_cycle_s = {}\nplanned_scrap_ratio = 0.{at}", at + 2))
    });
    let rows: String = dated.chain([product("ideal_cycle_s = 9")]).collect();
    let plant = Plant::parse(&format!("{PLANT}\n{rows}")).unwrap_or_else(|found| panic!("{found:#?}"));
    let minute = 60_000_000;
    let (from, to) = (us("2025-07-01T00:00:00Z"), us("2025-07-01T02:00:00Z"));
    let orders: HashMap<String, WorkOrder> =
        [("A", None, Some(7.0)), ("B", Some("X"), None), ("C", Some("P-200"), None)]
            .map(|(name, product, ideal_cycle_s)| {
                (name.to_owned(), WorkOrder { product: product.map(str::to_owned), ideal_cycle_s })
            })
            .into();
    let (mut compared, mut cut) = (0, 0);
    for seed in 0..64_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        // More orders than are remembered, with and without a product, and pauses between them.
        let (mut spans, mut t) = (Vec::new(), from - 5 * minute);
        while t < to {
            let start = t + i64::try_from(below(3)).unwrap() * minute;
            let end = start + i64::try_from(1 + below(25)).unwrap() * minute;
            let work_order = ["A", "B", "C", "D", "E", "F", "G"].get(usize::try_from(below(8)).unwrap());
            let product = ["X", "P-200"].get(usize::try_from(below(3)).unwrap());
            spans.push(OrderSpan {
                work_order: work_order.map(|order| (*order).to_owned()),
                product: product.map(|product| (*product).to_owned()),
                start,
                end,
            });
            t = end;
        }
        for equipment in [PRESS, "tokyo"] {
            let jobs = plant.jobs(equipment, &spans, &orders, from, to);
            let default = plant.default_product(equipment);
            for at in (from..to).step_by(usize::try_from(minute).unwrap()) {
                let span = spans.iter().find(|span| span.start <= at && at < span.end);
                let order = span.and_then(|span| span.work_order.as_deref());
                let known = order.and_then(|order| orders.get(order));
                let product = span.and_then(|span| span.product.as_deref());
                let product = product.or(known.and_then(|known| known.product.as_deref())).or(default);
                let expected = (span.is_some() || default.is_some()).then(|| {
                    let ideal = product.and_then(|product| plant.ideal_cycle_s(product, equipment, at));
                    let planned = product.and_then(|product| plant.planned_scrap_ratio(product, equipment, at));
                    (order, product, known.and_then(|known| known.ideal_cycle_s).or(ideal), planned)
                });
                let mut there = jobs.iter().filter(|job| job.start <= at && at < job.end);
                let found = there.next().map(|job| {
                    (job.work_order.as_deref(), job.product.as_deref(), job.ideal_cycle_s, job.planned_scrap_ratio)
                });
                assert_eq!(found, expected, "seed {seed}, {equipment}, at {at}");
                assert!(there.next().is_none(), "seed {seed}: two jobs at {at}");
                compared += 1;
            }
            cut += jobs.windows(2).filter(|pair| pair[0].work_order == pair[1].work_order).count();
        }
    }
    assert!(compared == 64 * 2 * 120 && cut > 64, "{compared} moments, {cut} cuts");
}
