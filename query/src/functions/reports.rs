//! Reports of equipment: for each node of the tree and each group of its time, what its machines add up to.

mod stages;

use std::collections::HashMap;
use std::sync::Arc;

use ::oee::machine::Report;
use arrow::record_batch::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use futures::{Stream, stream};

use super::arguments::Grouping;
use super::columns::{Column, Value};
use super::cut::{Bucket, BucketsAhead, buckets};
use super::gather::{Gather, Machines};
use super::rollup::Tree;
use crate::error::QueryError;
use stages::{Stage, Stages};

/// The report of an equipment for one group of its time.
pub(super) struct Reported {
    pub(super) equipment: String,
    pub(super) group: Group,
    pub(super) report: Report,
}

/// Of which time a report is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) shift: Option<String>,
    pub(super) production_day: Option<String>,
    pub(super) work_order: Option<String>,
    pub(super) product: Option<String>,
}

impl Group {
    /// An order, with its product where its report is of one only.
    pub(super) fn of_order(work_order: String, report: &Report) -> Self {
        let mut made = report.orders.iter().filter(|order| order.work_order.as_deref() == Some(work_order.as_str()));
        let product = made.next().and_then(|order| order.product.as_deref());
        let product = product.filter(|product| made.all(|order| order.product.as_deref() == Some(product)));
        Self { product: product.map(str::to_owned), work_order: Some(work_order), ..Self::default() }
    }
}

/// A row that tells of an equipment in one group of its time.
pub(super) trait Grouped {
    fn equipment(&self) -> &str;
    fn group(&self) -> &Group;
    /// When the time begins and ends that it tells of.
    fn bounds(&self) -> (i64, i64);
}

/// The columns that such rows begin with.
pub(super) fn head<R: Grouped>() -> [Column<R>; 7] {
    [
        Column { name: "time", value: Value::Time(|row| row.bounds().0) },
        Column { name: "end", value: Value::Time(|row| row.bounds().1) },
        Column { name: "equipment", value: Value::Text(|row| Some(row.equipment())) },
        Column { name: "shift", value: Value::Text(|row| row.group().shift.as_deref()) },
        Column { name: "production_day", value: Value::Text(|row| row.group().production_day.as_deref()) },
        Column { name: "work_order", value: Value::Text(|row| row.group().work_order.as_deref()) },
        Column { name: "product", value: Value::Text(|row| row.group().product.as_deref()) },
    ]
}

/// Reports of one batch of the answer.
const BATCH_REPORTS: usize = 1_024;

/// Batches that `batch` makes of reports, made as they are asked for: a fine bucket over a long window is long.
pub(super) async fn batches<F>(
    gather: Arc<Gather>,
    equipment: Arc<[String]>,
    grouping: Grouping,
    window: (i64, i64),
    batch: F,
) -> Result<impl Stream<Item = Result<RecordBatch, QueryError>> + Send, QueryError>
where
    F: Fn(Vec<Reported>) -> Result<RecordBatch, QueryError> + Send + Copy,
{
    let mut stages = Stages::new(Arc::clone(&gather), Arc::clone(&equipment), grouping, window);
    let walk = move |stage: Stage| {
        let Stage { machines, stretches } = stage;
        let basis = Basis { gather: Arc::clone(&gather), machines, stretches, grouping, window };
        Walk { basis: Arc::new(basis), equipment: Arc::clone(&equipment), place: 0, ahead: None }
    };
    let first = stages.next().await?.map(&walk);
    // The next stage is gathered while the present one is reported on.
    let coming = first.as_ref().map(|_| ahead(stages));
    Ok(stream::try_unfold((first, coming, walk), move |(mut open, mut coming, walk)| async move {
        while let Some(present) = &mut open {
            let parts = present.parts()?;
            if parts.is_empty() {
                open = None;
                if let Some(gathering) = coming.take() {
                    let (stages, stage) =
                        gathering.await.map_err(|error| QueryError::Execution(error.to_string()))??;
                    open = stage.map(&walk);
                    coming = open.as_ref().map(|_| ahead(stages));
                }
                continue;
            }
            let reports = present.basis.reports(parts).await?;
            if !reports.is_empty() {
                return Ok(Some((batch(reports)?, (open, coming, walk))));
            }
        }
        Ok(None)
    }))
}

/// Gathers the next stage.
fn ahead(mut stages: Stages) -> SpawnedTask<Result<(Stages, Option<Stage>), QueryError>> {
    SpawnedTask::spawn(async move {
        let stage = stages.next().await?;
        Ok((stages, stage))
    })
}

/// What reports are made from.
struct Basis {
    gather: Arc<Gather>,
    machines: Machines,
    /// Of each equipment the stretch whose buckets are reported.
    stretches: Vec<(i64, i64)>,
    grouping: Grouping,
    window: (i64, i64),
}

/// Goes through the groups of one equipment after another.
struct Walk {
    basis: Arc<Basis>,
    equipment: Arc<[String]>,
    /// The equipment that comes next.
    place: usize,
    /// The present equipment, and what is left of its groups.
    ahead: Option<(String, Ahead)>,
}

/// Groups that are still to come.
enum Ahead {
    Buckets(BucketsAhead),
    /// Values of what jobs are grouped by, and the time of each value by machine.
    Jobs(std::vec::IntoIter<Option<String>>, Arc<TimeOfValues>),
}

/// By machine and value: stretches of time.
type TimeOfValues = HashMap<String, HashMap<Option<String>, Vec<(i64, i64)>>>;

impl Walk {
    /// The next groups of equipment with machines.
    fn parts(&mut self) -> Result<Vec<(String, Group, Part)>, QueryError> {
        let mut parts = Vec::new();
        while parts.len() < BATCH_REPORTS {
            let Some((path, mut ahead)) = self.ahead.take() else {
                let place = self.place;
                let Some(path) = self.equipment.get(place) else { break };
                self.place += 1;
                self.ahead = self.basis.has_machine(path).then(|| (path.clone(), self.basis.groups(path, place)));
                continue;
            };
            let next = match &mut ahead {
                Ahead::Buckets(buckets) => {
                    buckets.next().transpose()?.map(|bucket| (Group::from(&bucket), Part::Time(bucket)))
                }
                Ahead::Jobs(values, times) => {
                    values.next().map(|value| (self.basis.grouping.group(&value), Part::Jobs(value, Arc::clone(times))))
                }
            };
            let Some((group, part)) = next else { continue };
            parts.push((path.clone(), group, part));
            self.ahead = Some((path, ahead));
        }
        Ok(parts)
    }
}

impl Basis {
    fn has_machine(&self, path: &str) -> bool {
        let mut below = self.gather.plant.descendants(path).map(|below| below.path.as_str());
        self.machines.contains_key(path) || below.any(|below| self.machines.contains_key(below))
    }

    /// The groups of the equipment at a place.
    fn groups(&self, path: &str, place: usize) -> Ahead {
        let plant = &self.gather.plant;
        let (from, to) = self.stretches.get(place).copied().unwrap_or_default();
        match self.grouping {
            // Its last bucket was reported with the stage before.
            Grouping::Time(_) if from >= to => Ahead::Buckets(Box::new(std::iter::empty())),
            Grouping::Time(cut) => Ahead::Buckets(buckets(plant, path, cut, from, to)),
            Grouping::WorkOrder | Grouping::Product => {
                let below = plant.descendants(path).map(|below| below.path.as_str());
                let mut firsts: HashMap<Option<String>, i64> = HashMap::new();
                let mut times = TimeOfValues::new();
                for path in std::iter::once(path).chain(below) {
                    let Some(machine) = self.machines.get(path) else { continue };
                    let of_machine = times.entry(path.to_owned()).or_default();
                    for (value, stretches) in machine.by_job(from, to, |job| self.grouping.value(job)) {
                        let value = value.map(str::to_owned);
                        let start = stretches.first().map_or(from, |stretch| stretch.0);
                        firsts.entry(value.clone()).and_modify(|first| *first = start.min(*first)).or_insert(start);
                        of_machine.insert(value, stretches);
                    }
                }
                let mut values: Vec<(i64, Option<String>)> =
                    firsts.into_iter().map(|(value, first)| (first, value)).collect();
                values.sort();
                let values: Vec<Option<String>> = values.into_iter().map(|(_, value)| value).collect();
                Ahead::Jobs(values.into_iter(), Arc::new(times))
            }
        }
    }

    /// The reports of some parts, in their order; of several at a time, off the async threads.
    async fn reports(self: &Arc<Self>, mut parts: Vec<(String, Group, Part)>) -> Result<Vec<Reported>, QueryError> {
        let share = parts.len().div_ceil(self.gather.session.config().target_partitions()).max(1);
        let mut tasks = Vec::new();
        while !parts.is_empty() {
            let rest = parts.split_off(share.min(parts.len()));
            let (some, basis) = (std::mem::replace(&mut parts, rest), Arc::clone(self));
            let reported = move |(equipment, group, part): (String, Group, Part)| {
                let report = basis.report(&equipment, &part)?;
                let group = match group.work_order {
                    Some(work_order) => Group::of_order(work_order, &report),
                    None => group,
                };
                Some(Reported { equipment, group, report })
            };
            tasks.push(SpawnedTask::spawn_blocking(move || some.into_iter().filter_map(reported).collect::<Vec<_>>()));
        }
        let mut reports = Vec::new();
        for task in tasks {
            reports.extend(task.await.map_err(|error| QueryError::Execution(error.to_string()))?);
        }
        Ok(reports)
    }

    fn report(&self, path: &str, part: &Part) -> Option<Report> {
        let (from, now) = (self.window.0, self.gather.now);
        let at = match part {
            Part::Time(bucket) => bucket.start,
            Part::Jobs(..) => from,
        };
        let machine = |path: &str| match part {
            Part::Time(bucket) => Some(self.machines.get(path)?.report(bucket.start, bucket.end, now)),
            Part::Jobs(value, times) => self.machines.get(path)?.report_over(times.get(path)?.get(value)?, now),
        };
        let is_machine = |path: &str| self.machines.contains_key(path);
        let tree = Tree { plant: &self.gather.plant, at, is_machine: &is_machine, machine: &machine };
        tree.report(path)
    }
}

/// Which part of the time of a machine a report is of.
enum Part {
    Time(Bucket),
    Jobs(Option<String>, Arc<TimeOfValues>),
}

impl From<&Bucket> for Group {
    fn from(bucket: &Bucket) -> Self {
        Self { shift: bucket.shift.clone(), production_day: bucket.production_day.clone(), ..Self::default() }
    }
}

impl Grouping {
    /// What it groups jobs by.
    fn value(self, job: &::oee::machine::Job) -> Option<&str> {
        match self {
            Self::Time(_) => None,
            Self::WorkOrder => job.work_order.as_deref(),
            Self::Product => job.product.as_deref(),
        }
    }

    fn group(self, value: &Option<String>) -> Group {
        match self {
            Self::Time(_) => Group::default(),
            Self::WorkOrder => Group { work_order: value.clone(), ..Group::default() },
            Self::Product => Group { product: value.clone(), ..Group::default() },
        }
    }
}
