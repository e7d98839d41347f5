//! Cancel requests: they come on a connection of their own, and name the session they mean by a number and
//! a secret that only its client was told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::SecretKey;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// Every session that can be asked to stop its statement.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sessions {
    sessions: Arc<Mutex<HashMap<i32, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    secret: SecretKey,
    /// Stops the statement that runs now, if one does.
    running: Option<CancellationToken>,
}

impl Sessions {
    /// Makes a session known until the guard is dropped.
    pub(crate) fn register(&self, pid: i32, secret: SecretKey) -> Registered {
        self.lock().insert(pid, Entry { secret, running: None });
        Registered { sessions: self.clone(), pid }
    }

    /// Stops the statement of the named session. A wrong secret does nothing, and tells nothing.
    pub(crate) fn cancel(&self, request: &CancelRequest) {
        if let Some(entry) = self.lock().get(&request.pid)
            && entry.secret.eq_value(&request.secret_key)
            && let Some(running) = &entry.running
        {
            running.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that can be cancelled.
#[derive(Debug)]
pub(crate) struct Registered {
    sessions: Sessions,
    pid: i32,
}

impl Registered {
    /// A statement begins; `stop` ends it. A request that came before does not reach it.
    pub(crate) fn begin(&self, stop: CancellationToken) {
        self.put(Some(stop));
    }

    /// The statement has ended.
    pub(crate) fn end(&self) {
        self.put(None);
    }

    fn put(&self, running: Option<CancellationToken>) {
        if let Some(entry) = self.sessions.lock().get_mut(&self.pid) {
            entry.running = running;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.pid);
    }
}
