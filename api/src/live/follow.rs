//! OEE as it happens, on MQTT: `takt/<equipment>/oee`, retained.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::listener::Notices;
use ingest::{Committed, now_us};
use query::{LiveOee, QueryError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

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
    // Side by side: a look waits for what is still to be noted.
    tokio::select! {
        () = stop.cancelled() => {}
        () = note(live, writes) => {}
        () = tell_on(&faces, &notices) => {}
    }
    live.starve();
}

/// Hands writes in until the store is closed.
async fn note(live: &LiveOee, mut writes: Receiver<Arc<Committed>>) {
    loop {
        match writes.recv().await {
            Ok(write) => live.note(write.position, &write.rows),
            Err(RecvError::Lagged(_)) => live.lose(),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell_on(faces: &Faces, notices: &Notices) {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = HashMap::new();
    let mut trouble = None;
    loop {
        ticks.tick().await;
        let failed = tell(faces, notices, &mut told).await.err().map(|error| error.to_string());
        if let Some(error) = failed.as_deref().filter(|_| failed != trouble) {
            tracing::warn!(error, "live OEE");
        }
        trouble = failed;
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
