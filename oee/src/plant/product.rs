//! Products, their ideal cycle times, and the jobs that executions and products make together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Plant;
use crate::execution::OrderSpan;
use crate::machine::Job;
use crate::path::lineage;

/// A product with one ideal cycle time, where and from when it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Product number.
    pub product: String,
    /// Name for people.
    pub name: Option<String>,
    /// Ideal cycle time, seconds per piece.
    pub ideal_cycle_s: Option<f64>,
    /// Share of the pieces that is planned to be scrapped, 0 to 1.
    pub planned_scrap_ratio: Option<f64>,
    /// Equipment or ancestor where it holds; none for everywhere.
    pub equipment: Option<String>,
    /// From when it holds; none for ever.
    pub valid_from: Option<i64>,
}

/// What an order adds to the executions that name it: a row of `work_orders`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkOrder {
    /// What is made.
    pub product: Option<String>,
    /// Ideal cycle time that overrides the product's, seconds per piece.
    pub ideal_cycle_s: Option<f64>,
}

impl Plant {
    /// The ideal cycle time of a product: of the nearest equipment up the tree, the newest that is valid by then.
    #[must_use]
    pub fn ideal_cycle_s(&self, product: &str, equipment: &str, at_us: i64) -> Option<f64> {
        self.of_product(product, equipment, at_us, |row| row.ideal_cycle_s)
    }

    /// The share of a product's pieces that is planned to be scrapped, found like [`Plant::ideal_cycle_s`].
    #[must_use]
    pub fn planned_scrap_ratio(&self, product: &str, equipment: &str, at_us: i64) -> Option<f64> {
        self.of_product(product, equipment, at_us, |row| row.planned_scrap_ratio)
    }

    fn of_product(
        &self,
        product: &str,
        equipment: &str,
        at_us: i64,
        value: impl Fn(&Product) -> Option<f64>,
    ) -> Option<f64> {
        let valid = |row: &&Product| row.valid_from.is_none_or(|from| from <= at_us) && value(row).is_some();
        let rows = || self.products.iter().filter(|row| row.product == product).filter(valid);
        let newest = |place: Option<&str>| {
            let here = rows().filter(|row| row.equipment.as_deref() == place);
            here.max_by_key(|row| row.valid_from).and_then(&value)
        };
        lineage(equipment).find_map(|path| newest(Some(path))).or_else(|| newest(None))
    }

    /// The jobs of an equipment over `[from, to)`: the order spans of its executions, completed by what `work_orders`
    /// knows, with the default product in the gaps, cut where an ideal cycle time or a planned scrap ratio changes.
    #[must_use]
    pub fn jobs(
        &self,
        equipment: &str,
        spans: &[OrderSpan],
        work_orders: &HashMap<String, WorkOrder>,
        from: i64,
        to: i64,
    ) -> Vec<Job> {
        let mut jobs = Jobs { plant: self, equipment, found: Vec::new(), met: VecDeque::new() };
        let default_product = self.default_product(equipment);
        let between = default_product.map(|product| Said { product: Some(product), ..Said::default() });
        let mut t = from;
        for span in spans.iter().filter(|span| span.end > from && span.start < to) {
            let (start, end) = (span.start.max(from), span.end.min(to));
            if let Some(said) = &between {
                jobs.add(said, t, start);
            }
            let order = span.work_order.as_ref().and_then(|order| work_orders.get(order));
            let product = span.product.as_deref().or_else(|| order.and_then(|order| order.product.as_deref()));
            let said = Said {
                work_order: span.work_order.as_deref(),
                // Without any word on the product the default one is what the machine makes.
                product: product.or(default_product),
                ideal_cycle_s: order.and_then(|order| order.ideal_cycle_s),
            };
            jobs.add(&said, start, end);
            t = end;
        }
        if let Some(said) = &between {
            jobs.add(said, t, to);
        }
        jobs.found
    }
}

/// What executions and orders say of a job.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Said<'a> {
    work_order: Option<&'a str>,
    product: Option<&'a str>,
    /// What the order says.
    ideal_cycle_s: Option<f64>,
}

/// What was met last comes again: the same order goes on behind each pause.
const REMEMBERED: usize = 4;

/// The jobs of an equipment as they are put together, from one to the next.
struct Jobs<'a> {
    plant: &'a Plant,
    equipment: &'a str,
    found: Vec<Job>,
    /// What was made of what was said, the newest first, and from when till when that holds.
    met: VecDeque<(Said<'a>, Job)>,
}

impl<'a> Jobs<'a> {
    /// Adds `[start, end)`, cut where what the plant says of the product changes.
    fn add(&mut self, said: &Said<'a>, mut start: i64, end: i64) {
        while start < end {
            let holds = |(known, job): &(Said<'_>, Job)| known == said && job.start <= start && start < job.end;
            let known = self.met.iter().find(|met| holds(met)).map(|(_, job)| job.clone());
            let known = known.unwrap_or_else(|| self.meet(said, start));
            let job = Job { start, end: end.min(known.end), ..known };
            start = job.end;
            match self.found.last_mut() {
                Some(last) if last.end == job.start && is_same(last, &job) => last.end = job.end,
                _ => self.found.push(job),
            }
        }
    }

    /// A job as what is said has it at `at`, and as long as the plant says nothing else.
    fn meet(&mut self, said: &Said<'a>, at: i64) -> Job {
        let Said { work_order, product, ideal_cycle_s } = *said;
        let (plant, equipment) = (self.plant, self.equipment);
        let later = plant.products.iter().filter(|row| Some(row.product.as_str()) == product);
        let later = later.filter_map(|row| row.valid_from).filter(|&from| at < from);
        let known = || product.and_then(|product| plant.ideal_cycle_s(product, equipment, at));
        let job = Job {
            start: at,
            end: later.min().unwrap_or(i64::MAX),
            work_order: work_order.map(Arc::from),
            product: product.map(Arc::from),
            ideal_cycle_s: ideal_cycle_s.or_else(known),
            planned_scrap_ratio: product.and_then(|product| plant.planned_scrap_ratio(product, equipment, at)),
        };
        self.met.truncate(REMEMBERED - 1);
        self.met.push_front((*said, job.clone()));
        job
    }
}

/// Whether jobs are the same but for their time.
fn is_same(one: &Job, other: &Job) -> bool {
    one.work_order == other.work_order
        && one.product == other.product
        && one.ideal_cycle_s == other.ideal_cycle_s
        && one.planned_scrap_ratio == other.planned_scrap_ratio
}
