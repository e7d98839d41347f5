//! Who is connected, who listens to what, and what was retained.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::filter::matches;
use super::packet::{Retained, Wish};

/// Topics that may hold a retained message.
const RETAINED_TOPICS: usize = 10_000;
/// Bytes of all retained messages together.
const RETAINED_BYTES: usize = 16 << 20;

/// A message for subscribers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: Box<str>,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
}

/// A message on its way to one subscriber.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) message: Arc<Message>,
    /// The retain flag that this subscriber sees.
    pub(super) retain: bool,
}

/// Where a subscriber's deliveries go. A full one loses them: they are QoS 0.
pub(super) type Outbox = mpsc::Sender<Delivery>;

#[derive(Debug)]
struct Subscriber {
    outbox: Outbox,
    no_local: bool,
    retain_as_published: bool,
}

/// A level of the filters' tree; wildcards are levels like any other.
#[derive(Debug, Default)]
struct Node {
    below: HashMap<Box<str>, Node>,
    here: HashMap<u64, Subscriber>,
}

#[derive(Debug)]
struct Client {
    connection: u64,
    displaced: CancellationToken,
}

#[derive(Debug, Default)]
struct Kept {
    messages: HashMap<Box<str>, Arc<Message>>,
    bytes: usize,
}

/// What the connections of one listener share.
#[derive(Debug, Default)]
pub(super) struct Hub {
    connections: AtomicU64,
    clients: Mutex<HashMap<Arc<str>, Client>>,
    filters: RwLock<Node>,
    subscriptions: AtomicUsize,
    retained: Mutex<Kept>,
}

impl Hub {
    /// A number for a new connection.
    pub(super) fn number(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a client; an older connection of the same name is displaced. The token says when this one is.
    pub(super) fn enter(&self, client: &Arc<str>, connection: u64) -> CancellationToken {
        let displaced = CancellationToken::new();
        let entry = Client { connection, displaced: displaced.clone() };
        let older = self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(client), entry);
        if let Some(older) = older {
            older.displaced.cancel();
        }
        displaced
    }

    /// Forgets a client, unless a newer connection has taken its place.
    pub(super) fn leave(&self, client: &Arc<str>, connection: u64) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.get(client).is_some_and(|entry| entry.connection == connection) {
            clients.remove(client);
        }
    }

    /// Whether anybody would get a message, now or later.
    pub(super) fn wants(&self, retain: bool) -> bool {
        retain || self.subscriptions.load(Ordering::Relaxed) > 0
    }

    /// Subscribes a connection and sends it what is retained. Says whether the subscription is new.
    pub(super) fn subscribe(&self, connection: u64, wish: &Wish, outbox: &Outbox) -> bool {
        let subscriber = Subscriber {
            outbox: outbox.clone(),
            no_local: wish.no_local,
            retain_as_published: wish.retain_as_published,
        };
        let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        let mut node = &mut *filters;
        for level in wish.filter.split('/') {
            node = node.below.entry(level.into()).or_default();
        }
        let new = node.here.insert(connection, subscriber).is_none();
        drop(filters);
        if new {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
        }
        if wish.retained == Retained::Always || (wish.retained == Retained::IfNew && new) {
            self.send_retained(&wish.filter, outbox);
        }
        new
    }

    fn send_retained(&self, filter: &str, outbox: &Outbox) {
        let retained = self.retained.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = retained.messages.values().filter(|message| matches(filter, &message.topic));
        for message in fitting {
            send(outbox, Delivery { message: Arc::clone(message), retain: true });
        }
    }

    /// Ends a subscription; says whether there was one.
    pub(super) fn unsubscribe(&self, connection: u64, filter: &str) -> bool {
        let levels: Vec<&str> = filter.split('/').collect();
        let existed = self.filters.write().unwrap_or_else(PoisonError::into_inner).remove(&levels, connection);
        if existed {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
        existed
    }

    /// Sends stored messages of a connection to their subscribers, and keeps those to be retained.
    pub(super) fn publish(&self, connection: u64, messages: &[Arc<Message>]) {
        for message in messages.iter().filter(|message| message.retain) {
            self.retained.lock().unwrap_or_else(PoisonError::into_inner).keep(message);
        }
        if self.subscriptions.load(Ordering::Relaxed) == 0 {
            return;
        }
        let filters = self.filters.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<(u64, &Subscriber)> = Vec::new();
        for message in messages {
            found.clear();
            let levels: Vec<&str> = message.topic.split('/').collect();
            filters.collect(&levels, message.topic.starts_with('$'), &mut found);
            // A connection gets a message once, however many of its filters cover it.
            found.sort_by_key(|(connection, _)| *connection);
            found.dedup_by_key(|(connection, _)| *connection);
            for (subscribed, subscriber) in &found {
                if subscriber.no_local && *subscribed == connection {
                    continue;
                }
                let retain = message.retain && subscriber.retain_as_published;
                send(&subscriber.outbox, Delivery { message: Arc::clone(message), retain });
            }
        }
    }
}

fn send(outbox: &Outbox, delivery: Delivery) {
    match outbox.try_send(delivery) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => metrics::counter!("takt_mqtt_deliveries_dropped_total").increment(1),
        // The subscriber has just left.
        Err(mpsc::error::TrySendError::Closed(_)) => {}
    }
}

impl Node {
    fn remove(&mut self, levels: &[&str], connection: u64) -> bool {
        let Some((level, rest)) = levels.split_first() else { return self.here.remove(&connection).is_some() };
        let Some(node) = self.below.get_mut(*level) else { return false };
        let removed = node.remove(rest, connection);
        if node.here.is_empty() && node.below.is_empty() {
            self.below.remove(*level);
        }
        removed
    }

    /// Subscribers of a topic; `reserved` topics (`$…`) are out of reach for wildcards at the first level.
    fn collect<'n>(&'n self, levels: &[&str], reserved: bool, found: &mut Vec<(u64, &'n Subscriber)>) {
        if !reserved && let Some(rest) = self.below.get("#") {
            found.extend(rest.here.iter().map(|(connection, subscriber)| (*connection, subscriber)));
        }
        let Some((level, below)) = levels.split_first() else {
            found.extend(self.here.iter().map(|(connection, subscriber)| (*connection, subscriber)));
            return;
        };
        if let Some(node) = self.below.get(*level) {
            node.collect(below, false, found);
        }
        if !reserved && let Some(node) = self.below.get("+") {
            node.collect(below, false, found);
        }
    }
}

impl Kept {
    /// Keeps the newest message of a topic; an empty one deletes.
    fn keep(&mut self, message: &Arc<Message>) {
        let cost = |message: &Message| message.topic.len() + message.payload.len();
        if let Some(older) = self.messages.remove(&message.topic) {
            self.bytes -= cost(&older);
        }
        if message.payload.is_empty() {
            return;
        }
        if self.messages.len() >= RETAINED_TOPICS || self.bytes + cost(message) > RETAINED_BYTES {
            metrics::counter!("takt_mqtt_retained_dropped_total").increment(1);
            return;
        }
        self.bytes += cost(message);
        self.messages.insert(message.topic.clone(), Arc::clone(message));
    }
}

#[cfg(test)]
mod tests;
