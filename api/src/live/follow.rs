//! What becomes durable, as it happens: OEE on MQTT (`takt/<equipment>/oee`, retained), violations of control charts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ingest::listener::Notices;
use ingest::{Committed, now_us};
use query::QueryError;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::alarm::raise;
use super::curves::measure;
use super::mark::Mark;
use super::release::Decisions;
use super::running::Running;
use crate::faces::Faces;

/// Time between two looks at what came in.
const PACE: Duration = Duration::from_millis(500);
/// How long something that fails is left alone.
const REST: Duration = Duration::from_secs(5);
/// Equipment of which nothing comes is told of again after this time: its availability goes on.
const STANDSTILL: Duration = Duration::from_secs(10);

/// What lies above machines changes whenever one of them does, and takes them all to add up: it is told of no sooner again.
const LINE_PACE: Duration = Duration::from_secs(5);

/// What was told last of an equipment.
struct Told {
    changes: u64,
    at: Instant,
    /// There was nothing to tell.
    nothing: bool,
    /// It was what lies below it.
    rolled_up: bool,
}

/// Keeps live OEE and SPC up to date with what becomes durable, and tells `notices` of it, until `stop`.
/// What it has to remember it keeps in `folder`.
pub async fn follow(faces: Arc<Faces>, notices: Notices, folder: PathBuf, stop: CancellationToken) {
    let writes = faces.intake.follow();
    faces.engine.live().feed();
    let decisions = Arc::new(Decisions::default());
    // Tasks of their own: what judges for long holds up neither the figures nor what is noted for them.
    let mut tasks = JoinSet::new();
    tasks.spawn(note(Arc::clone(&faces), writes, Arc::clone(&decisions)));
    tasks.spawn(measure_on(Arc::clone(&faces), Mark::new(&folder)));
    tasks.spawn(judge_on(Arc::clone(&faces), notices.clone()));
    tasks.spawn(release_on(Arc::clone(&faces), decisions));
    tasks.spawn(tell_on(Arc::clone(&faces), notices));
    tokio::select! {
        () = stop.cancelled() => {}
        // All go on for ever, but for one that panics, or a closed store.
        ended = tasks.join_next() => tracing::error!(?ended, "nothing is live any more until takt is restarted"),
    }
    tasks.shutdown().await;
    faces.engine.live().starve();
}

/// Hands writes in until the store is closed.
async fn note(faces: Arc<Faces>, mut writes: Receiver<Arc<Committed>>, decisions: Arc<Decisions>) {
    let (oee, spc, curves) = (faces.engine.live(), faces.engine.spc(), faces.engine.curves());
    loop {
        match writes.recv().await {
            Ok(write) => {
                oee.note(write.position, &write.rows);
                spc.note(write.position, &write.rows);
                curves.note(&write.rows, now_us());
                decisions.note(&write.rows);
            }
            Err(RecvError::Lagged(_)) => {
                oee.lose();
                spc.lose();
                curves.lose();
                decisions.lose();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn measure_on(faces: Arc<Faces>, mut mark: Mark) {
    let watch = faces.engine.curves();
    if !watch.is_needed() {
        return std::future::pending().await;
    }
    watch.begin_at(mark.read()).await;
    let (mut ticks, mut trouble) = (ticks(), Trouble::new("characteristics of signals"));
    loop {
        ticks.tick().await;
        let measured = measure(&faces).await;
        let kept = watch.through().await.map_or(Ok(()), |through| mark.keep(through));
        let kept = kept.map_err(|error| QueryError::Execution(format!("how far they are cannot be kept: {error}")));
        if trouble.note(measured.and(kept)) {
            tokio::time::sleep(REST).await;
        }
    }
}

async fn judge_on(faces: Arc<Faces>, notices: Notices) {
    let (mut ticks, mut trouble) = (ticks(), Trouble::new("live SPC"));
    loop {
        ticks.tick().await;
        if trouble.note(raise(&faces, &notices).await) {
            tokio::time::sleep(REST).await;
        }
    }
}

async fn release_on(faces: Arc<Faces>, decisions: Arc<Decisions>) {
    let (mut ticks, mut trouble) = (ticks(), Trouble::new("releases"));
    loop {
        ticks.tick().await;
        if trouble.note(decisions.act(&faces).await) {
            tokio::time::sleep(REST).await;
            continue;
        }
        decisions.come().await;
    }
}

async fn tell_on(faces: Arc<Faces>, notices: Notices) {
    let (mut ticks, mut trouble) = (ticks(), Trouble::new("live OEE"));
    let mut told = HashMap::new();
    loop {
        ticks.tick().await;
        if trouble.note(tell(&faces, &notices, &mut told).await) {
            tokio::time::sleep(REST).await;
        }
    }
}

/// What went wrong last, so that it is not logged again and again.
struct Trouble {
    what: &'static str,
    last: Option<String>,
}

impl Trouble {
    fn new(what: &'static str) -> Self {
        Self { what, last: None }
    }

    /// Whether there is some.
    fn note(&mut self, outcome: Result<(), QueryError>) -> bool {
        let failed = outcome.err().map(|error| error.to_string());
        if let Some(error) = failed.as_deref().filter(|_| failed != self.last) {
            tracing::warn!(error, "{}", self.what);
        }
        self.last = failed;
        self.last.is_some()
    }
}

async fn tell(faces: &Faces, notices: &Notices, told: &mut HashMap<String, Told>) -> Result<(), QueryError> {
    let (now, started) = (now_us(), Instant::now());
    // What is asked for, by path.
    let asked: Mutex<HashMap<String, u64>> = Mutex::default();
    let due = |path: &str, changes: u64| {
        let last: Option<&Told> = told.get(path);
        let rested = |rest: Duration| last.is_none_or(|last| started.duration_since(last.at) >= rest);
        let is_line = last.is_some_and(|last| last.rolled_up);
        let changed = last.is_none_or(|last| last.changes != changes) && (!is_line || rested(LINE_PACE));
        let due = changed || rested(STANDSTILL);
        if due {
            asked.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), changes);
        }
        due
    };
    let machines = faces.engine.live().look_at(now, due).await?;
    let mut asked = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    asked.retain(|path, _| machines.iter().all(|machine| machine.equipment != *path));
    // Of what was asked for and is not there, nothing is known: it rests, and what was told of it is taken back.
    for (path, changes) in asked {
        let rolled_up = faces.plant.children(&path).next().is_some();
        let last = told.insert(path.clone(), Told { changes, at: started, nothing: true, rolled_up });
        if last.is_some_and(|last| !last.nothing) {
            notices.tell(&format!("takt/{path}/oee"), Vec::new());
        }
    }
    for machine in machines {
        let running = Running::of(&machine.equipment, &machine.now, now);
        let json = serde_json::to_vec(&running).map_err(|error| QueryError::Execution(error.to_string()))?;
        notices.tell(&format!("takt/{}/oee", machine.equipment), json);
        told.insert(
            machine.equipment,
            Told { changes: machine.changes, at: started, nothing: false, rolled_up: machine.rolled_up },
        );
    }
    Ok(())
}
