//! What was there when a rule was violated: the execution of the unit, the lots that went into it, and the signals of the
//! machine while it ran.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Failure;
use super::asked::quoted;
use super::points::Point;
use super::source::Source;
use super::subject::instant_sql;
use crate::columns::{Doubles, Texts, Times};

/// Violations that are listed; of more the newest.
pub(crate) const MOST_LISTED: usize = 100;

/// What is known of the units of violations.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    executions: HashMap<String, Vec<Execution>>,
    lots: HashMap<String, Vec<Lot>>,
    readings: HashMap<String, Vec<Reading>>,
}

/// An execution of an operation on a unit.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) run: String,
    pub(crate) equipment: Option<String>,
    pub(crate) operator: Option<String>,
    pub(crate) started: i64,
    pub(crate) completed: Option<i64>,
}

/// Something that went into a unit.
#[derive(Debug, Clone)]
pub(crate) struct Lot {
    pub(crate) lot: String,
    pub(crate) item: Option<String>,
    pub(crate) supplier_lot: Option<String>,
    pub(crate) quantity: Option<f64>,
    pub(crate) uom: Option<String>,
    pub(crate) kind: Option<String>,
    time: i64,
    removed: Option<i64>,
}

/// What a signal was while an execution ran.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) signal: String,
    pub(crate) uom: Option<String>,
    pub(crate) mean: Option<f64>,
    pub(crate) last: Option<f64>,
}

impl Contexts {
    /// The execution in which a point was measured: of its run, else of its unit at its machine at that time.
    pub(crate) fn execution(&self, point: &Point) -> Option<&Execution> {
        let of_unit = self.executions.get(point.unit.as_deref()?)?;
        let of_run = of_unit.iter().find(|one| Some(one.run.as_str()) == point.run.as_deref());
        of_run.or_else(|| {
            of_unit.iter().rev().find(|one| {
                one.equipment == point.equipment
                    && one.started <= point.time
                    && one.completed.is_none_or(|completed| completed >= point.time)
            })
        })
    }

    /// What was in the unit when it was measured.
    pub(crate) fn lots(&self, point: &Point) -> Vec<&Lot> {
        let Some(lots) = point.unit.as_ref().and_then(|unit| self.lots.get(unit)) else { return Vec::new() };
        let was_in = |lot: &&Lot| lot.time <= point.time && lot.removed.is_none_or(|removed| removed > point.time);
        lots.iter().filter(was_in).collect()
    }

    /// Signals during the execution, or why there are none.
    pub(crate) fn readings(&self, point: &Point) -> Result<&[Reading], &'static str> {
        if point.unit.is_none() {
            return Err("the measurement names no unit");
        }
        let execution = self.execution(point).ok_or("no operation of this unit is recorded at that time")?;
        self.readings.get(&execution.run).map(Vec::as_slice).ok_or("the machine sent no signals during the operation")
    }
}

/// What is known of the units of these points.
pub(crate) async fn read(source: &Source, points: &[&Point]) -> Result<Contexts, Failure> {
    let units: BTreeSet<&str> = points.iter().filter_map(|point| point.unit.as_deref()).collect();
    if units.is_empty() {
        return Ok(Contexts::default());
    }
    let listed = list(units);
    let mut contexts = Contexts {
        executions: executions(source, &listed).await?,
        lots: lots(source, &listed).await?,
        readings: HashMap::new(),
    };
    let mut wanted: BTreeMap<&str, &Execution> = BTreeMap::new();
    for point in points {
        wanted.extend(contexts.execution(point).map(|execution| (execution.run.as_str(), execution)));
    }
    contexts.readings = readings(source, &wanted, &listed).await?;
    Ok(contexts)
}

fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

async fn executions(source: &Source, units: &str) -> Result<HashMap<String, Vec<Execution>>, Failure> {
    let found = source
        .ask(&format!(
            "SELECT unit, run, equipment, operator, started, completed FROM operations \
             WHERE unit IN ({units}) AND started IS NOT NULL ORDER BY started"
        ))
        .await?;
    let texts = |name: &str| Texts::of(&found, name);
    let [unit, run, equipment] = [texts("unit")?, texts("run")?, texts("equipment")?];
    let operator = texts("operator")?;
    let (started, completed) = (Times::of(&found, "started")?, Times::of(&found, "completed")?);
    let mut executions: HashMap<String, Vec<Execution>> = HashMap::new();
    for row in 0..found.num_rows() {
        let (Some(unit), Some(run), Some(started)) = (unit.owned(row), run.owned(row), started.at(row)) else {
            continue;
        };
        executions.entry(unit).or_default().push(Execution {
            run,
            equipment: equipment.owned(row),
            operator: operator.owned(row),
            started,
            completed: completed.at(row),
        });
    }
    Ok(executions)
}

async fn lots(source: &Source, units: &str) -> Result<HashMap<String, Vec<Lot>>, Failure> {
    let found = source
        .ask(&format!(
            "SELECT m.child AS child, m.parent AS parent, m.quantity AS quantity, m.kind AS kind, m.time AS time, \
               m.removed AS removed, u.item AS item, u.supplier_lot AS supplier_lot, u.uom AS uom \
             FROM materials m LEFT JOIN units u ON u.unit = m.parent WHERE m.child IN ({units}) ORDER BY m.time, m.parent"
        ))
        .await?;
    let texts = |name: &str| Texts::of(&found, name);
    let [child, parent, kind] = [texts("child")?, texts("parent")?, texts("kind")?];
    let [item, supplier_lot, uom] = [texts("item")?, texts("supplier_lot")?, texts("uom")?];
    let (quantity, time, removed) =
        (Doubles::of(&found, "quantity")?, Times::of(&found, "time")?, Times::of(&found, "removed")?);
    let mut lots: HashMap<String, Vec<Lot>> = HashMap::new();
    for row in 0..found.num_rows() {
        let (Some(child), Some(lot)) = (child.owned(row), parent.owned(row)) else { continue };
        lots.entry(child).or_default().push(Lot {
            lot,
            item: item.owned(row),
            supplier_lot: supplier_lot.owned(row),
            quantity: quantity.at(row),
            uom: uom.owned(row),
            kind: kind.owned(row),
            time: time.at(row).unwrap_or(i64::MIN),
            removed: removed.at(row),
        });
    }
    Ok(lots)
}

/// Mean and last value of each signal that is no state, count or meter, during each execution.
async fn readings(
    source: &Source,
    executions: &BTreeMap<&str, &Execution>,
    units: &str,
) -> Result<HashMap<String, Vec<Reading>>, Failure> {
    let first = executions.values().map(|one| one.started).min();
    let Some(first) = first else { return Ok(HashMap::new()) };
    let last = executions.values().map(|one| one.completed.unwrap_or(i64::MAX)).max().unwrap_or(i64::MAX);
    let until = if last < i64::MAX { format!(" AND s.time <= {}", instant_sql(last)) } else { String::new() };
    let runs = list(executions.keys().copied());
    let machines: BTreeSet<&str> = executions.values().filter_map(|one| one.equipment.as_deref()).collect();
    // Samples are found by their unit: the keys that executions gave them.
    let found = source
        .ask(&format!(
            "SELECT o.run AS run, s.equipment AS equipment, s.signal AS signal, avg(s.value) AS mean, \
               last_value(s.value ORDER BY s.time) AS last \
             FROM samples s JOIN operations o ON o.unit = s.unit AND o.equipment = s.equipment \
             WHERE s.unit IN ({units}) AND s.equipment IN ({}) AND s.value IS NOT NULL AND s.time >= {}{until} \
               AND o.run IN ({runs}) AND s.time >= o.started AND (o.completed IS NULL OR s.time <= o.completed) \
             GROUP BY 1, 2, 3 ORDER BY 1, 3",
            list(machines.iter().copied()),
            instant_sql(first)
        ))
        .await?;
    let declared = declared(source, &machines).await?;
    let texts = |name: &str| Texts::of(&found, name);
    let [run, equipment, signal] = [texts("run")?, texts("equipment")?, texts("signal")?];
    let (mean, last) = (Doubles::of(&found, "mean")?, Doubles::of(&found, "last")?);
    let mut readings: HashMap<String, Vec<Reading>> = HashMap::new();
    for row in 0..found.num_rows() {
        let (Some(run), Some(machine), Some(signal)) = (run.owned(row), equipment.at(row), signal.owned(row)) else {
            continue;
        };
        let uom = match declared.get(&(machine.to_owned(), signal.clone())) {
            Some(Declared { has_role: true, .. }) => continue,
            Some(Declared { uom, .. }) => uom.clone(),
            None => None,
        };
        readings.entry(run).or_default().push(Reading { signal, uom, mean: mean.at(row), last: last.at(row) });
    }
    Ok(readings)
}

/// What is declared of a signal.
struct Declared {
    uom: Option<String>,
    /// A state, a count or a meter: its mean says nothing.
    has_role: bool,
}

/// Declarations for machines and their signals: of ancestors too, and what is closer comes last.
async fn declared(source: &Source, machines: &BTreeSet<&str>) -> Result<HashMap<(String, String), Declared>, Failure> {
    let found = source.ask("SELECT equipment, signal, uom, role FROM signals ORDER BY equipment").await?;
    let texts = |name: &str| Texts::of(&found, name);
    let [equipment, signal, uom, role] = [texts("equipment")?, texts("signal")?, texts("uom")?, texts("role")?];
    let mut declared = HashMap::new();
    for row in 0..found.num_rows() {
        let (Some(at), Some(signal)) = (equipment.at(row), signal.at(row)) else { continue };
        let below =
            |machine: &&&str| **machine == at || machine.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'));
        for machine in machines.iter().filter(below) {
            let has_role = role.at(row).is_some_and(|role| !role.is_empty() && role != "none");
            declared.insert(((*machine).to_owned(), signal.to_owned()), Declared { uom: uom.owned(row), has_role });
        }
    }
    Ok(declared)
}
