//! What is done to a store: written out, or drawn by a seed.

use rand::Rng;
use rand::rngs::StdRng;

use super::super::model::Model;
use super::super::*;
use super::keyed;

pub(super) const DAY: i64 = 86_400_000_000;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Write(Told),
    /// Writes that nobody waits for in between.
    Burst(Vec<Told>),
    Flush,
    Compact,
    /// So many days pass.
    Pass(i64),
    /// Old rows leave or move.
    Age,
}

/// Rows of a write, of one table or both.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    samples: Vec<(i64, &'static str, f64)>,
    order: Option<Record>,
}

/// Its key, what it says of product and quantity, and whether it retracts.
type Record = (&'static str, Option<Option<&'static str>>, Option<Option<f64>>, bool);

impl Told {
    /// As far as the store has these tables.
    pub(super) fn write(&self, store: &Store) -> Write {
        let samples = (!self.samples.is_empty()).then(|| keyed::rows(&self.samples));
        let order = self.order.map(|(order, product, quantity, deleted)| order_row(order, product, quantity, deleted));
        let placed = |(rows, name): (Option<Rows>, &str)| Some(Rows { table: store.table(name)?, ..rows? });
        write([(samples, "samples"), (order, "orders")].into_iter().filter_map(placed).collect())
    }

    pub(super) fn tell(&self, model: &mut Model) {
        self.samples.iter().for_each(|(time, equipment, value)| model.sample(equipment, *time, *value));
        if let Some((order, product, quantity, deleted)) = self.order {
            model.order(order, product, quantity, deleted);
        }
    }
}

pub(super) fn told(samples: &[(i64, &'static str, f64)]) -> Told {
    Told { samples: samples.to_vec(), order: None }
}

fn order(
    order: &'static str,
    product: Option<Option<&'static str>>,
    quantity: Option<Option<f64>>,
    deleted: bool,
) -> Told {
    Told { samples: vec![], order: Some((order, product, quantity, deleted)) }
}

/// What a store holds when the second part begins.
pub(super) fn first_part() -> Vec<Step> {
    vec![
        Step::Write(told(&[(DAY, "a", 1.0), (DAY + 1, "a", 2.0), (DAY, "b", 3.0)])),
        Step::Write(order("o1", Some(Some("x")), Some(Some(1.0)), false)),
        Step::Write(order("o2", Some(Some("y")), None, false)),
        Step::Flush,
    ]
}

/// Corrections, parts of records, retractions, late rows, repetitions; everything that the store does to files, but for
/// what it does to old ones.
pub(super) fn second_part() -> Vec<Step> {
    vec![
        Step::Write(Told {
            samples: vec![(DAY + 1, "a", 5.0), (DAY + 2, "a", 2.0)],
            order: Some(("o1", None, Some(Some(2.0)), false)),
        }),
        Step::Write(order("o2", None, None, true)),
        Step::Write(told(&[(3, "a", 1.0), (DAY, "b", 3.0)])),
        Step::Write(told(&[(3, "a", 2.0), (3, "a", 3.0), (-DAY, "b", 1.0)])),
        Step::Flush,
        Step::Write(order("o2", None, Some(Some(7.0)), false)),
        Step::Compact,
        Step::Write(Told { samples: vec![(DAY + 1, "a", 6.0)], order: Some(("o1", Some(None), None, false)) }),
    ]
}

/// Rows move to the cold folder, are corrected and merged there, and leave in the end: by whole segments, and one by one.
pub(super) fn third_part() -> Vec<Step> {
    vec![
        Step::Pass(12),
        Step::Age,
        Step::Write(told(&[(DAY + 1, "a", 7.0), (17 * DAY, "a", 1.0)])),
        Step::Compact,
        Step::Age,
        Step::Write(told(&[(DAY + 1, "a", 8.0), (3 * DAY, "c", 1.0), (17 * DAY, "a", 2.0)])),
        Step::Pass(15),
        Step::Age,
        Step::Write(told(&[(DAY, "b", 9.0), (32 * DAY, "b", 1.0)])),
        Step::Flush,
        Step::Age,
    ]
}

/// What is done once all is well again.
pub(super) fn afterwards() -> Vec<Step> {
    let write = Told {
        samples: vec![(3, "a", 9.0), (DAY + 1, "a", 9.0), (99, "c", 9.0)],
        order: Some(("o1", None, Some(Some(9.0)), false)),
    };
    vec![Step::Write(write), Step::Flush, Step::Compact]
}

fn some_told(random: &mut StdRng, today: i64) -> Told {
    let mut told = Told::default();
    if random.random_bool(0.7) {
        for _ in 0..random.random_range(1..6) {
            // Fresh, as old as what moves, and as old as what leaves.
            let day = today - [0, 0, 0, 1, 2, 11, 12, 31, 45][random.random_range(0..9)];
            let equipment = ["a", "b", "c"][random.random_range(0..3)];
            told.samples.push((day * DAY + random.random_range(0..4), equipment, f64::from(random.random_range(0..3))));
        }
    }
    if told.samples.is_empty() || random.random_bool(0.4) {
        told.order = Some((
            ["o0", "o1", "o2"][random.random_range(0..3)],
            [None, Some(None), Some(Some("x")), Some(Some("y"))][random.random_range(0..4)],
            [None, Some(None), Some(Some(1.0)), Some(Some(2.0))][random.random_range(0..4)],
            random.random_bool(0.2),
        ));
    }
    told
}

/// Some steps, of which the first is taken on the day `today`.
pub(super) fn some_steps(random: &mut StdRng, mut today: i64) -> Vec<Step> {
    let count = random.random_range(2..9);
    let mut step = || match random.random_range(0..24) {
        0..=12 => Step::Write(some_told(random, today)),
        13..=15 => Step::Burst((0..random.random_range(2..5)).map(|_| some_told(random, today)).collect()),
        16..=17 => Step::Flush,
        18 => Step::Compact,
        19..=21 => Step::Age,
        _ => {
            let days = random.random_range(1..20);
            today += days;
            Step::Pass(days)
        }
    };
    (0..count).map(|_| step()).collect()
}

/// Without what a store of these tables does not take.
pub(super) fn fitting(steps: Vec<Step>, specs: &[TableSpec]) -> Vec<Step> {
    let has = |name: &str| specs.iter().any(|spec| spec.name == name);
    let (samples, orders) = (has("samples"), has("orders"));
    let fit = |told: Told| Told {
        samples: if samples { told.samples } else { Vec::new() },
        order: told.order.filter(|_| orders),
    };
    let fit = |step: Step| match step {
        Step::Write(told) => Step::Write(fit(told)),
        Step::Burst(all) => Step::Burst(all.into_iter().map(fit).collect()),
        other => other,
    };
    steps.into_iter().map(fit).collect()
}
