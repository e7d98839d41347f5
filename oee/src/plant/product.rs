//! Products, their ideal cycle times, and the jobs that executions and products make together.

use std::collections::HashMap;
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
        let mut jobs = Vec::new();
        let default_product = self.default_product(equipment);
        let gap = |start: i64, end: i64, jobs: &mut Vec<Job>| {
            if let Some(product) = default_product {
                self.cut(equipment, None, Some(product), None, (start, end), jobs);
            }
        };
        let mut t = from;
        for span in spans.iter().filter(|span| span.end > from && span.start < to) {
            let (start, end) = (span.start.max(from), span.end.min(to));
            gap(t, start, &mut jobs);
            let order = span.work_order.as_ref().and_then(|order| work_orders.get(order));
            let product = span.product.as_deref().or_else(|| order.and_then(|order| order.product.as_deref()));
            // Without any word on the product the default one is what the machine makes.
            let product = product.or(default_product);
            let ideal = order.and_then(|order| order.ideal_cycle_s);
            self.cut(equipment, span.work_order.as_deref(), product, ideal, (start, end), &mut jobs);
            t = end;
        }
        gap(t, to, &mut jobs);
        jobs
    }

    fn cut(
        &self,
        equipment: &str,
        work_order: Option<&str>,
        product: Option<&str>,
        ideal: Option<f64>,
        (start, end): (i64, i64),
        jobs: &mut Vec<Job>,
    ) {
        let mut cuts = vec![start];
        if let Some(product) = product {
            let dates = self.products.iter().filter(|row| row.product == product).filter_map(|row| row.valid_from);
            cuts.extend(dates.filter(|&date| start < date && date < end));
            cuts.sort_unstable();
            cuts.dedup();
        }
        let ends = cuts.iter().copied().skip(1).chain([end]).collect::<Vec<i64>>();
        for (&start, end) in cuts.iter().zip(ends).filter(|&(&start, end)| start < end) {
            let planned = product.and_then(|product| self.planned_scrap_ratio(product, equipment, start));
            let known = || product.and_then(|product| self.ideal_cycle_s(product, equipment, start));
            let job = Job {
                start,
                end,
                work_order: work_order.map(Arc::from),
                product: product.map(Arc::from),
                ideal_cycle_s: ideal.or_else(known),
                planned_scrap_ratio: planned,
            };
            match jobs.last_mut() {
                Some(last)
                    if last.end == start
                        && last.work_order == job.work_order
                        && last.product == job.product
                        && last.ideal_cycle_s == job.ideal_cycle_s
                        && last.planned_scrap_ratio == job.planned_scrap_ratio =>
                {
                    last.end = end;
                }
                _ => jobs.push(job),
            }
        }
    }
}
