//! What becomes durable, as it happens: OEE on MQTT (`takt/<equipment>/oee`, retained), violations of control charts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ingest::listener::Notices;
use ingest::{Committed, now_us};
use query::QueryError;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::alarm::{Release, raise, release};
use super::running::Running;
use crate::faces::Faces;

/// Time between two looks at what came in.
const PACE: Duration = Duration::from_millis(500);
/// A machine of which nothing comes is told of again after this time: its availability goes on.
const STANDSTILL: Duration = Duration::from_secs(10);

/// What was told last of a machine.
struct Told {
    changes: u64,
    at: Instant,
}

/// Keeps the live OEE up to date with what becomes durable, and tells `notices` of it, until `stop`.
pub async fn follow(faces: Arc<Faces>, notices: Notices, stop: CancellationToken) {
    let live = faces.engine.live();
    let writes = faces.intake.follow();
    live.feed();
    let releases = Mutex::default();
    // Side by side: a look waits for what is still to be noted.
    tokio::select! {
        () = stop.cancelled() => {}
        () = note(&faces, writes, &releases) => {}
        () = tell_on(&faces, &notices, &releases) => {}
    }
    live.starve();
}

/// Hands writes in until the store is closed.
async fn note(faces: &Faces, mut writes: Receiver<Arc<Committed>>, releases: &Mutex<Vec<Release>>) {
    let (oee, spc) = (faces.engine.live(), faces.engine.spc());
    loop {
        match writes.recv().await {
            Ok(write) => {
                oee.note(write.position, &write.rows);
                spc.note(write.position, &write.rows);
                match Release::among(&write.rows) {
                    Ok(found) => releases.lock().unwrap_or_else(PoisonError::into_inner).extend(found),
                    Err(error) => tracing::warn!(%error, "a release could not be read"),
                }
            }
            Err(RecvError::Lagged(_)) => {
                oee.lose();
                spc.lose();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell_on(faces: &Faces, notices: &Notices, releases: &Mutex<Vec<Release>>) {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = HashMap::new();
    let (mut oee, mut spc) = (Trouble::new("live OEE"), Trouble::new("live SPC"));
    let mut held = Trouble::new("releases");
    loop {
        ticks.tick().await;
        spc.note(raise(faces, notices).await);
        let released = releases.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !released.is_empty() {
            let done = release(faces, &released).await;
            if done.is_ok() {
                releases.lock().unwrap_or_else(PoisonError::into_inner).drain(..released.len());
            }
            held.note(done);
        }
        oee.note(tell(faces, notices, &mut told).await);
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

    fn note(&mut self, outcome: Result<(), QueryError>) {
        let failed = outcome.err().map(|error| error.to_string());
        if let Some(error) = failed.as_deref().filter(|_| failed != self.last) {
            tracing::warn!(error, "{}", self.what);
        }
        self.last = failed;
    }
}

async fn tell(faces: &Faces, notices: &Notices, told: &mut HashMap<String, Told>) -> Result<(), QueryError> {
    let (now, started) = (now_us(), Instant::now());
    let due = |path: &str, changes: u64| {
        let last: Option<&Told> = told.get(path);
        last.is_none_or(|last| last.changes != changes || started.duration_since(last.at) >= STANDSTILL)
    };
    let machines = faces.engine.live().look_at(now, due).await?;
    for machine in machines {
        let running = Running::of(&machine.equipment, &machine.now, now);
        let json = serde_json::to_vec(&running).map_err(|error| QueryError::Execution(error.to_string()))?;
        notices.tell(&format!("takt/{}/oee", machine.equipment), json);
        told.insert(machine.equipment, Told { changes: machine.changes, at: started });
    }
    Ok(())
}
