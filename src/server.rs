//! The running server: every part started, joined, and stopped in the order that loses nothing.
//!
//! Start: sockets, certificate and plant are checked first, so that a mistake shows at once; then the store recovers,
//! the plant becomes rows, and only then does anything accept a connection. Stop: sources first, then the other faces,
//! then the store flushes and closes. Network and queries have runtimes of their own: a heavy query delays no
//! acknowledgement.

mod addresses;
mod administration;
mod ask;
mod crew;
mod listen;
mod master;
mod metrics;
mod parts;
mod plant;
mod quarantine;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use query::Engine;
use storage::Store;
use tokio::runtime::{Handle, Runtime};
use tracing::info;

use crate::config::Config;
use crate::users::Directory;

pub use addresses::{Addresses, FILE as ADDRESSES_FILE};
pub use listen::{Face, ListenError};
pub use plant::PlantError;

pub(crate) use administration::COMPANIONS;
pub(crate) use plant::PlantFile;

use addresses::AddressesFile;
use crew::Crew;
use parts::Parts;
use signals::Signals;

/// Runtimes get this long for what is left once everything has stopped.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// A running server.
pub struct Server {
    network: Runtime,
    queries: Runtime,
    signals: Signals,
    /// What brings rows in by itself: the MQTT listener, subscriptions, the calendar.
    sources: Crew,
    /// What answers: HTTP and PostgreSQL.
    faces: Crew,
    engine: Arc<Engine>,
    store: Arc<Store>,
    addresses: Addresses,
    addresses_file: Option<AddressesFile>,
}

impl Server {
    /// Starts a server with these settings and the plant file they name.
    ///
    /// # Errors
    /// What is wrong, in words that say what to change. Nothing is left running then.
    pub fn start(config: Config) -> anyhow::Result<Self> {
        let plant = PlantFile::find(config.plant.as_deref(), &config.data)?;
        let directory = Directory::open(&config.data)?;
        Self::start_with(config, plant, directory)
    }

    /// Starts a server with this plant and these users.
    pub(crate) fn start_with(config: Config, plant: PlantFile, directory: Directory) -> anyhow::Result<Self> {
        let network = runtime("takt-net")?;
        let queries = runtime("takt-query")?;
        let signals = network.block_on(async { Signals::take() }).context("SIGTERM and SIGINT cannot be caught")?;
        let parts = Parts::assemble(config, plant, directory, &network, queries.handle())?;
        let Parts { sources, faces, engine, store, addresses, addresses_file } = parts;
        Ok(Self { network, queries, signals, sources, faces, engine, store, addresses, addresses_file })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The runtime for network I/O.
    pub(crate) fn network(&self) -> &Handle {
        self.network.handle()
    }

    /// Asks the server's own tables.
    ///
    /// # Errors
    /// The query is wrong, or cannot be run.
    pub fn ask(&self, query: &str) -> anyhow::Result<(SchemaRef, Vec<RecordBatch>)> {
        Ok(self.queries.block_on(ask::ask(&self.engine, query))?)
    }

    /// Runs until SIGTERM or SIGINT, then stops cleanly.
    ///
    /// # Errors
    /// A part failed for good, or did not stop cleanly.
    pub fn run_until_signal(mut self) -> anyhow::Result<()> {
        let ended = self.wait(std::future::pending::<()>());
        self.stop().and(ended)
    }

    /// Waits for `work`, a signal, or a part that fails for good, whichever comes first.
    ///
    /// # Errors
    /// A part failed for good.
    pub(crate) fn wait(&mut self, work: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { network, signals, sources, faces, .. } = self;
        network.block_on(async {
            tokio::select! {
                () = work => Ok(()),
                name = signals.next() => {
                    info!(signal = name, "stopping; a second signal ends at once");
                    Ok(())
                }
                failed = sources.failure() => Err(failed),
                failed = faces.failure() => Err(failed),
            }
        })
    }

    /// Stops cleanly: sources, then faces, then the store with its last flush.
    ///
    /// # Errors
    /// A part failed while it stopped. What was acknowledged is on disk all the same.
    pub fn stop(self) -> anyhow::Result<()> {
        let Self { network, queries, signals, sources, faces, engine, store, addresses_file, .. } = self;
        let stopped = network.block_on(async {
            signals.end_at_next();
            let sources = sources.stop().await;
            let faces = faces.stop().await;
            sources.and(faces)
        });
        drop(engine);
        let closed = store.close().context("the last flush failed; the next start reads the log back");
        drop(addresses_file);
        queries.shutdown_timeout(LEFTOVERS);
        network.shutdown_timeout(LEFTOVERS);
        stopped.and(closed)?;
        info!("stopped");
        Ok(())
    }
}

/// Stack of a thread: address space, not memory. Statements are trees that are walked recursively, and the longest that
/// `query` takes must fit.
const STACK_BYTES: usize = 512 << 20;

/// A runtime with one thread per core.
fn runtime(name: &str) -> anyhow::Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("no threads for the server")
}
