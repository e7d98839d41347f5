//! One look at the plant: a question in SQL, live OEE, and a frame of JSON out of both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use ingest::now_us;
use oee::live::Now;
use oee::plant::Equipment;
use query::{QueryError, Session};

use super::Eye;
use super::message::{ContextNow, MachineNow, PlantNow, Sign, SignalNow};
use super::newest::{Newest, Value};
use super::running::{RunningOrder, RunningShift, StateNow};
use crate::columns::{Doubles, Integers, Texts, Times, instant, rfc3339};
use crate::faces::Faces;

/// Who asks, as far as the engine is concerned.
const USER: &str = "live";

/// Looks at the plant, and remembers from look to look what need not be asked again.
pub(super) struct Look {
    faces: Arc<Faces>,
    session: Session,
    /// Paths of the machines, in the order of the plant file.
    machines: Vec<String>,
    newest: Newest,
    running: HashMap<String, Now>,
}

impl Eye for Look {
    fn look(&mut self) -> BoxFuture<'_, Result<String, QueryError>> {
        Box::pin(async move {
            let now = now_us();
            self.look_at_signals(now).await?;
            if !self.machines.is_empty() {
                self.look_at_oee(now).await?;
            }
            serde_json::to_string(&self.plant(now)).map_err(|error| QueryError::Execution(error.to_string()))
        })
    }
}

impl Look {
    /// A first look at the server behind `faces`.
    pub(super) fn new(faces: Arc<Faces>) -> Self {
        let machines = faces.plant.machines().map(|machine| machine.path.clone()).collect();
        Self {
            session: faces.engine.session(USER),
            machines,
            newest: Newest::default(),
            running: HashMap::new(),
            faces,
        }
    }

    async fn look_at_signals(&mut self, now: i64) -> Result<(), QueryError> {
        const SQL: &str = "SELECT equipment, signal, max(time) AS time, last_value(value ORDER BY time) AS value, \
                           last_value(text ORDER BY time) AS text, last_value(quality ORDER BY time) AS quality \
                           FROM samples WHERE time >= $1 AND time < $2 GROUP BY equipment, signal";
        let (from_s, to_s) = self.newest.reach_s(self.machines.iter().all(|machine| self.newest.knows(machine)));
        // Sources' clocks may run ahead: a look at the present has no end.
        let to = if to_s == 0 { i64::MAX } else { now - 1_000_000 * to_s };
        let rows = self.ask(SQL, &[instant(now - 1_000_000 * from_s), instant(to)]).await?;
        for batch in &rows {
            let (equipment, signal) = (Texts::of(batch, "equipment")?, Texts::of(batch, "signal")?);
            let (time, value) = (Times::of(batch, "time")?, Doubles::of(batch, "value")?);
            let (text, quality) = (Texts::of(batch, "text")?, Integers::of(batch, "quality")?);
            for row in 0..batch.num_rows() {
                let (Some(equipment), Some(signal)) = (equipment.at(row), signal.at(row)) else { continue };
                let Some(time_us) = time.at(row) else { continue };
                let value = Value { time_us, value: value.at(row), text: text.owned(row), quality: quality.at(row) };
                self.newest.note(equipment, signal, value);
            }
        }
        Ok(())
    }

    async fn look_at_oee(&mut self, now: i64) -> Result<(), QueryError> {
        let shown: HashSet<&str> = self.machines.iter().map(String::as_str).collect();
        let machines = self.faces.engine.live().look_at(now, |path, _| shown.contains(path)).await?;
        self.running = machines.into_iter().map(|machine| (machine.equipment, machine.now)).collect();
        Ok(())
    }

    async fn ask(
        &self,
        sql: &str,
        parameters: &[datafusion::common::ScalarValue],
    ) -> Result<Vec<arrow::array::RecordBatch>, QueryError> {
        use futures::TryStreamExt;

        let statement = self.session.plan_with(sql, parameters).await?;
        Ok(self.session.execute(statement).await?.try_collect::<Vec<_>>().await?)
    }

    fn plant(&self, now: i64) -> PlantNow {
        let plant = &self.faces.plant;
        PlantNow {
            time: rfc3339(now),
            plant: Sign { name: plant.name().unwrap_or("Plant").to_owned(), zone: plant.plant_zone_name().to_owned() },
            equipment: plant.machines().map(|machine| self.machine(machine, now)).collect(),
        }
    }

    fn machine(&self, machine: &Equipment, now: i64) -> MachineNow {
        let path = machine.path.as_str();
        let running = self.running.get(path);
        MachineNow {
            path: path.to_owned(),
            name: machine.name.clone().unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path).to_owned()),
            state: running.and_then(|now| now.state.as_ref()).map(StateNow::from).unwrap_or_default(),
            context: self.context(path, now),
            shift: running.and_then(|now| now.shift.as_ref()).map(RunningShift::from),
            order: running.and_then(|now| now.order.as_ref()).map(RunningOrder::from),
            signals: self.signals(path),
        }
    }

    /// What the machine works on, by the rule that keys samples.
    fn context(&self, path: &str, now: i64) -> ContextNow {
        let executions = self.faces.intake.keyer().executions();
        let key = executions.key_at(path, now);
        let span = executions.order_spans(path, now, now + 1).into_iter().next();
        let product = span.and_then(|span| span.product);
        ContextNow {
            work_order: key.work_order.map(str::to_owned),
            operation: key.operation.map(str::to_owned),
            unit: key.unit.map(str::to_owned),
            product: product.or_else(|| self.faces.plant.default_product(path).map(str::to_owned)),
        }
    }

    /// Process signals first, then those that states and counts are made of.
    fn signals(&self, path: &str) -> Vec<SignalNow> {
        let plant = &self.faces.plant;
        let mut signals = self.newest.of(path, |signal| plant.signal(path, signal).uom.clone());
        for newest in &mut signals {
            newest.bound = plant.signal(path, &newest.signal).role.is_some();
        }
        signals.sort_by_key(|newest| newest.bound);
        signals
    }
}
