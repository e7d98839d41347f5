//! The plant live: what every machine does now, once a second, for whoever is looking.
//!
//! One task asks for all listeners together, and only while there is one: a plant that nobody watches costs
//! nothing, and a hundred screens cost as much as one. Values come from SQL, states and OEE from where `oee_live()` has them, so
//! that a screen and a query never disagree. A listener that falls behind skips to the newest frame.

mod alarm;
mod curves;
mod follow;
mod look;
mod mark;
mod message;
mod newest;
mod release;
mod running;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{Stream, stream};
use query::QueryError;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::faces::Faces;
pub use follow::follow;
use look::Look;

/// Time between two frames.
const INTERVAL: Duration = Duration::from_secs(1);
/// A look that takes longer is given up, and listeners are told.
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// What listeners get.
#[derive(Debug, Clone)]
pub enum Frame {
    /// The whole plant as JSON.
    Plant(Arc<str>),
    /// Why there is no plant to show just now, as JSON `{"message": …}`.
    Trouble(Arc<str>),
}

/// The feed; cheap to clone.
#[derive(Clone)]
pub struct Live {
    hub: Arc<Hub>,
}

struct Hub {
    queries: Handle,
    open: Box<dyn Fn() -> Box<dyn Eye> + Send + Sync>,
    pace: Duration,
    frames: watch::Sender<Option<Frame>>,
    running: Mutex<bool>,
}

/// Looks at the plant, again and again.
trait Eye: Send {
    /// The plant of this moment, as JSON.
    fn look(&mut self) -> BoxFuture<'_, Result<String, QueryError>>;
}

impl Live {
    /// A feed of the server behind `faces`. It rests until somebody listens.
    pub fn new(faces: Arc<Faces>) -> Self {
        let queries = faces.queries.clone();
        Self::over(queries, INTERVAL, Box::new(move || -> Box<dyn Eye> { Box::new(Look::new(Arc::clone(&faces))) }))
    }

    fn over(queries: Handle, pace: Duration, open: Box<dyn Fn() -> Box<dyn Eye> + Send + Sync>) -> Self {
        let (frames, _) = watch::channel(None);
        Self { hub: Arc::new(Hub { queries, open, pace, frames, running: Mutex::new(false) }) }
    }

    /// Frames from now on; the first one comes within a second or so.
    pub fn listen(&self) -> impl Stream<Item = Frame> + Send + use<> {
        let receiver = self.hub.frames.subscribe();
        // Subscribed first: a task that is about to rest sees this listener, or rests before it is looked for here.
        self.hub.wake();
        stream::unfold(receiver, |mut receiver| async move {
            loop {
                receiver.changed().await.ok()?;
                let frame = receiver.borrow_and_update().clone();
                if let Some(frame) = frame {
                    return Some((frame, receiver));
                }
            }
        })
    }
}

impl Hub {
    fn wake(self: &Arc<Self>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *running, true) {
            let awake = Awake { hub: Arc::clone(self), holds: true };
            self.queries.spawn(awake.run());
        }
    }
}

/// The running task's hold on the hub: however the task ends, the next listener can start it again.
struct Awake {
    hub: Arc<Hub>,
    holds: bool,
}

impl Awake {
    async fn run(mut self) {
        let mut eye = (self.hub.open)();
        let mut ticks = interval(self.hub.pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.rests() {
                return;
            }
            let frame = match timeout(LOOK_TIMEOUT, eye.look()).await {
                Ok(Ok(json)) => Frame::Plant(json.into()),
                Ok(Err(error)) => trouble(&error.to_string()),
                Err(_elapsed) => trouble(&format!(
                    "the newest values could not be read within {} s: the server is overloaded",
                    LOOK_TIMEOUT.as_secs()
                )),
            };
            self.hub.frames.send_replace(Some(frame));
        }
    }

    /// Gives the hold back where nobody listens any more.
    fn rests(&mut self) -> bool {
        let mut running = self.hub.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.holds = self.hub.frames.receiver_count() > 0;
        *running = self.holds;
        !self.holds
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if self.holds {
            *self.hub.running.lock().unwrap_or_else(PoisonError::into_inner) = false;
        }
    }
}

fn trouble(message: &str) -> Frame {
    tracing::warn!(message, "live feed");
    Frame::Trouble(serde_json::json!({ "message": message }).to_string().into())
}

#[cfg(test)]
mod tests;
