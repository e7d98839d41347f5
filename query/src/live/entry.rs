//! One machine on the board: what is known of it, and what it takes to know it again.

use std::collections::{HashMap, HashSet};

use oee::live::{Evidence, Live, Now, Rules, Surroundings};
use oee::path::lineage;
use oee::plant::{Equipment, Plant, Source, WorkOrder};

use super::committed::Row;
use super::unknown;
use crate::context::Context;
use crate::error::QueryError;
use crate::functions::Gather;

/// A machine is begun anew this often in one look at most: what makes it late a second time comes again.
const ATTEMPTS: usize = 3;

/// A machine.
#[derive(Debug)]
pub(super) struct Entry {
    path: String,
    rules: Rules,
    /// None where nothing is known of it, or it has to be begun anew.
    live: Option<Live>,
    /// Whether it was looked for in the tables: where nothing was found, rows will tell.
    looked: bool,
    /// Writes up to this place in the log are in it.
    position: u64,
    /// The order that was running, and when it began here.
    order: Option<(String, i64)>,
    /// Orders that its figures depend on.
    orders: HashSet<String>,
    /// How often something came that concerns it.
    changes: u64,
    counts_operations: bool,
}

impl Entry {
    pub(super) fn new(plant: &Plant, machine: &Equipment) -> Self {
        let rules = Rules {
            kind: plant.record_kind(&machine.path),
            microstop_threshold_us: machine.microstop_threshold_us,
            startup_us: machine.startup_us,
            rates: machine.rates,
        };
        Self {
            path: machine.path.clone(),
            rules,
            live: None,
            looked: false,
            position: 0,
            order: None,
            orders: HashSet::new(),
            changes: 0,
            counts_operations: plant.count_source(&machine.path) == Source::Operations,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether something is known of it, so that it is a machine.
    pub(super) fn is_known(&self) -> bool {
        self.live.is_some()
    }

    /// Whether what operations made is what it made.
    pub(super) fn counts_operations(&self) -> bool {
        self.counts_operations
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// It has to be begun anew.
    pub(super) fn forget(&mut self) {
        self.live = None;
        self.looked = false;
        self.order = None;
        self.orders.clear();
    }

    /// What `work_orders` says of an order has changed.
    pub(super) fn forget_order(&mut self, order: &str) {
        if self.orders.contains(order) {
            self.changes += 1;
            self.forget();
        }
    }

    /// Executions changed what was in force here from some time on.
    pub(super) fn executions_changed(&mut self, from: i64) {
        self.changes += 1;
        self.order = None;
        if self.live.as_ref().is_some_and(|live| from < live.cut()) {
            self.forget();
        }
    }

    pub(super) fn take(&mut self, plant: &Plant, position: u64, row: Row<'_>) {
        if position <= self.position && self.looked {
            return;
        }
        self.changes += 1;
        let Some(live) = &mut self.live else {
            self.looked = false;
            return;
        };
        match row {
            Row::State(record) => live.state(record),
            Row::Pieces(pieces) => live.pieces(pieces),
            Row::Reason(reason) => live.reason(reason),
            Row::Sample(signal, reading) if live.listens_to(signal) => live.sample(plant, signal, &reading),
            Row::Sample(..) => {}
            Row::Retracted => live.forget(),
        }
    }

    /// From when on it has to be begun anew; none where it goes on, or is known to be no machine.
    pub(super) fn begins(&mut self, gather: &Gather, context: &Context) -> Option<i64> {
        let order = self.running_order(context, gather.now);
        let begun = |live: &Live| {
            !live.is_late() && order.as_ref().is_none_or(|(order, start)| live.knows_order(order, *start))
        };
        if self.live.as_ref().is_some_and(begun) || (self.live.is_none() && self.looked) {
            self.order = order;
            return None;
        }
        let shift = shifts(gather, &self.path, gather.now).into_iter().find(|shift| gather.now < shift.end);
        let shift = shift.map_or(gather.now, |shift| shift.start.min(gather.now));
        Some(order.as_ref().map_or(shift, |(_, start)| shift.min(*start)))
    }

    /// Begins it with what is known from `from` on, up to a place in the log.
    pub(super) fn begin(&mut self, evidence: Option<Evidence>, from: i64, position: u64) {
        self.forget();
        self.live = evidence.map(|evidence| Live::new(self.rules, from, evidence));
        (self.looked, self.position) = (true, position);
    }

    /// The machine now; none where nothing is known of it.
    pub(super) async fn look(
        &mut self,
        gather: &Gather,
        context: &Context,
        orders: &mut HashMap<String, Option<WorkOrder>>,
        position: u64,
    ) -> Result<Option<Now>, QueryError> {
        for _ in 0..ATTEMPTS {
            if let Some(from) = self.begins(gather, context) {
                let paths = [self.path.clone()];
                let evidence = gather.evidence(&paths, from).await?.remove(&self.path);
                self.begin(evidence, from, position);
                self.order = self.running_order(context, gather.now);
            }
            let Some(live) = &mut self.live else { return Ok(None) };
            let surroundings = surroundings(gather, context, orders, (&self.path, live.reach())).await?;
            self.orders.extend(surroundings.jobs.iter().filter_map(|job| job.work_order.as_deref()).map(str::to_owned));
            let now = live.now(&surroundings, gather.now);
            if !live.is_late() {
                return Ok(Some(now));
            }
        }
        Err(QueryError::Execution(format!("the rows of {} change faster than they can be read", self.path)))
    }

    /// The order in force now, and when it was first in force here.
    fn running_order(&self, context: &Context, now: i64) -> Option<(String, i64)> {
        let span = context.executions.order_spans(&self.path, now.saturating_sub(1), now).pop()?;
        let order = span.work_order?;
        match &self.order {
            Some((known, start)) if *known == order => Some((order, *start)),
            _ => {
                let here: Vec<&str> = lineage(&self.path).collect();
                let start = context.first_start(&order, &here)?;
                Some((order, start))
            }
        }
    }
}

/// Shift instances around `[from, now]`.
fn shifts(gather: &Gather, path: &str, from: i64) -> Vec<oee::calendar::Shift> {
    gather.shifts(path, from, gather.now.saturating_add(1))
}

async fn surroundings(
    gather: &Gather,
    context: &Context,
    orders: &mut HashMap<String, Option<WorkOrder>>,
    (path, reach): (&str, i64),
) -> Result<Surroundings, QueryError> {
    let spans = context.executions.order_spans(path, reach, gather.now);
    let names = spans.iter().filter_map(|span| span.work_order.as_deref());
    let unknown = unknown(orders, names);
    if !unknown.is_empty() {
        let mut found = gather.work_orders(&unknown).await?;
        orders.extend(unknown.into_iter().map(|name| {
            let order = found.remove(&name);
            (name, order)
        }));
    }
    let known = spans.iter().filter_map(|span| span.work_order.as_ref());
    let known = known.filter_map(|name| Some((name.clone(), orders.get(name)?.clone()?))).collect();
    let jobs = gather.plant.jobs(path, &spans, &known, reach, gather.now);
    let executed = gather.executed(&context.executions, path, reach, gather.now);
    Ok(Surroundings { shifts: shifts(gather, path, reach), jobs, executed })
}
