//! External brokers: takt subscribes at QoS 1 and acknowledges after its own fsync.
//!
//! Three tasks for each broker: one polls the connection and nothing else, one decodes and hands batches to the store,
//! one waits for the store and acknowledges. The queue of acknowledgements holds more than a broker may leave
//! unacknowledged (65,535 packet ids), so acknowledging never waits for the polling task, which may itself be waiting.
//!
//! The session is persistent. After a reconnect, acknowledgements for messages of the old connection are dropped: the
//! broker sends those messages again, perhaps under other ids. Retained messages count when the session begins; a broker
//! that still knows it sends them again at each subscription, and then they say nothing new: a value without a time would
//! look as if it were of now.

mod link;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use storage::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::intake::{Feed, Intake, Source, Submitted, now_us};
use link::{Acks, Event, Link, Received};

/// Messages between the polling task and the decoder.
const WAITING: usize = 4_096;
/// Messages of one batch.
const BATCH: usize = 256;
/// Batches on their way to the disk.
const COMMITS: usize = 32;
/// Bytes of messages of one broker in memory.
const BUDGET_BYTES: usize = 32 << 20;
/// What a message takes beyond its payload, roughly.
const MESSAGE_BYTES: usize = 256;
/// First wait before a reconnect; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Which MQTT to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// MQTT 3.1.1.
    #[default]
    V4,
    /// MQTT 5.
    V5,
}

/// A broker to subscribe at. Holds a password, so it cannot be printed.
#[derive(Clone)]
pub struct Broker {
    /// Name in logs, metrics, `quarantine` and `recorded_by`.
    pub name: Arc<str>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Topic filters.
    pub topics: Vec<String>,
    /// Client id; it names the persistent session, so it must be stable and used by nobody else.
    pub client_id: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// TLS; plain where there is none.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Protocol version.
    pub protocol: Protocol,
}

/// What a broker's address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
}

/// An address that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no broker's address; write mqtt://host:1883, or mqtts://host:8883 for TLS")]
pub struct BadAddress(String);

/// Reads `mqtt://host[:port]` or `mqtts://host[:port]`.
///
/// # Errors
/// Where it is anything else.
pub fn address(url: &str) -> Result<Address, BadAddress> {
    let bad = || BadAddress(url.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
    let (tls, default_port) = match scheme {
        "mqtt" | "tcp" => (false, 1883),
        "mqtts" | "ssl" => (true, 8883),
        _ => return Err(bad()),
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']').ok_or_else(bad)?;
            (host, port.strip_prefix(':'))
        }
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(default_port), str::parse).map_err(|_| bad())?;
    if host.is_empty() || host.contains(['/', '@', ':']) && !rest.starts_with('[') {
        return Err(bad());
    }
    Ok(Address { host: host.to_owned(), port, tls })
}

/// A message on its way, with the connection it came by.
struct Arrived {
    received: Received,
    /// It was there before: stored then, and only sent again because takt subscribed again.
    known: bool,
    epoch: u64,
    _bytes: OwnedSemaphorePermit,
}

/// A batch on its way to the disk, and the messages to acknowledge for it.
struct Committing {
    submitted: Submitted,
    messages: Vec<Arrived>,
}

/// The number of the present connection. Held while acknowledging, so that a connection cannot end in between.
type Epoch = Arc<Mutex<u64>>;

/// Takes in everything that the broker sends, until `shutdown`. Reconnects for ever, with growing waits.
///
/// # Errors
/// Why the store takes no more; what was not acknowledged, the broker sends again after a restart.
pub async fn run(broker: Broker, intake: Arc<Intake>, shutdown: CancellationToken) -> Result<(), StoreError> {
    let (link, acks) = Link::new(&broker);
    let epoch = Epoch::default();
    let (arrived, arriving) = mpsc::channel(WAITING);
    let (commits, committing) = mpsc::channel(COMMITS);
    let failed = CancellationToken::new();
    let feed = intake.feed(Source::new("broker", &broker.name));
    let deciding = tokio::spawn(decode(feed, Arc::clone(&intake), arriving, commits));
    let acknowledging = tokio::spawn(acknowledge(committing, acks, Arc::clone(&epoch), failed.clone()));
    tokio::select! {
        () = poll(link, &broker, arrived, &epoch) => {}
        () = shutdown.cancelled() => {}
        () = failed.cancelled() => {}
    }
    // The connection is gone with its future; what was received is stored all the same, and sent again by the broker.
    *epoch.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    let stopped = |_| StoreError::Closed;
    let decoded = deciding.await.map_err(stopped)?;
    acknowledging.await.map_err(stopped)?.and(decoded)
}

/// Drives the connection and passes its messages on.
async fn poll(mut link: Link, broker: &Broker, arrived: mpsc::Sender<Arrived>, epoch: &Epoch) {
    let budget = Arc::new(Semaphore::new(BUDGET_BYTES));
    let connected = metrics::gauge!("takt_broker_connected", "broker" => broker.name.to_string());
    let mut wait = FIRST_WAIT;
    let mut known_session = false;
    loop {
        match link.next().await {
            Ok(Event::Connected { resumed }) => {
                known_session = resumed;
                tracing::info!(broker = &*broker.name, "connected to the broker");
                connected.set(1.0);
                link.subscribe(&broker.topics);
            }
            Ok(Event::Message(received)) => {
                // Not earlier: a broker may let a client in and hang up at once.
                wait = FIRST_WAIT;
                let bytes = (received.payload().len() + MESSAGE_BYTES).min(BUDGET_BYTES);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let Ok(bytes) = Arc::clone(&budget).acquire_many_owned(bytes).await else { return };
                let epoch = *epoch.lock().unwrap_or_else(PoisonError::into_inner);
                // What was published while takt was away comes without the flag.
                let known = known_session && received.retained();
                if arrived.send(Arrived { received, known, epoch, _bytes: bytes }).await.is_err() {
                    return;
                }
            }
            Ok(Event::Refused(reason)) => {
                tracing::error!(broker = &*broker.name, reason, "the broker refused a subscription")
            }
            Ok(Event::Other) => {}
            Err(error) => {
                connected.set(0.0);
                tracing::warn!(broker = &*broker.name, %error, "the broker's connection ended; trying again");
                *epoch.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                // Acknowledgements queued between the end and the new number are for the old connection too.
                link.forget();
                // Spread, so that a broker that comes back is not met by all its clients at once.
                tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Decodes what is there, up to a batch, and hands it to the store.
async fn decode(
    mut feed: Feed,
    intake: Arc<Intake>,
    mut arriving: mpsc::Receiver<Arrived>,
    commits: mpsc::Sender<Committing>,
) -> Result<(), StoreError> {
    loop {
        let mut messages = Vec::with_capacity(BATCH);
        if arriving.recv_many(&mut messages, BATCH).await == 0 {
            return Ok(());
        }
        let (mut batch, arrival_us) = (feed.batch(), now_us());
        for message in messages.iter().filter(|message| !message.known) {
            intake.message(&mut feed, &message.received.topic(), message.received.payload(), arrival_us, &mut batch);
        }
        let submitted = intake.submit(batch).await?;
        if commits.send(Committing { submitted, messages }).await.is_err() {
            return Ok(());
        }
    }
}

/// Acknowledges what is durable, in order.
async fn acknowledge(
    mut committing: mpsc::Receiver<Committing>,
    acks: Acks,
    epoch: Epoch,
    failed: CancellationToken,
) -> Result<(), StoreError> {
    while let Some(mut commit) = committing.recv().await {
        if let Err(error) = commit.submitted.stored().await {
            tracing::error!(%error, "messages of a broker were not stored and are not acknowledged");
            failed.cancel();
            return Err(error);
        }
        let present = epoch.lock().unwrap_or_else(PoisonError::into_inner);
        for message in commit.messages.iter().filter(|message| message.epoch == *present) {
            if let Err(error) = acks.send(&message.received) {
                tracing::warn!(%error, "an acknowledgement was lost; the broker sends its message again");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
