//! Tasks that are stopped together.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long tasks get to finish what is under way.
const GRACE: Duration = Duration::from_secs(20);

type Ended = Result<anyhow::Result<()>, JoinError>;

/// Named tasks with one stop signal.
pub(super) struct Crew {
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Crew {
    pub(super) fn new() -> Self {
        Self { stop: CancellationToken::new(), tasks: JoinSet::new() }
    }

    /// The stop signal, for a task to follow.
    pub(super) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Adds a task; `name` is said with its errors.
    pub(super) fn add<E>(
        &mut self,
        runtime: &Handle,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<anyhow::Error> + Send + 'static,
    {
        self.tasks.spawn_on(
            async move { task.await.map_err(|error| -> anyhow::Error { error.into() }).context(name) },
            runtime,
        );
    }

    /// Waits until a task fails; does not return while all is well.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = outcome(ended) {
                return error;
            }
        }
        std::future::pending().await
    }

    /// Tells all tasks to stop and waits for them; gives the first failure.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let mut first = Ok(());
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                let ended = outcome(ended);
                if first.is_ok() {
                    first = ended;
                }
            }
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("tasks still running after {} s are cut off", GRACE.as_secs());
            self.tasks.shutdown().await;
        }
        first
    }
}

fn outcome(ended: Ended) -> anyhow::Result<()> {
    match ended {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(anyhow!(error).context("a part of the server panicked")),
    }
}
