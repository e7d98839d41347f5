//! What takt itself has to say to subscribers.

use std::sync::Arc;

use bytes::Bytes;

use super::hub::{Hub, Message};

/// Messages of takt's own: they are told, not stored. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    pub(super) hub: Arc<Hub>,
}

impl Notices {
    /// Tells those who subscribed, and keeps the message for those who will. An empty one takes the last one back.
    pub fn tell(&self, topic: &str, payload: impl Into<Bytes>) {
        self.publish(topic, payload.into(), true);
    }

    /// Tells those who subscribe now.
    pub fn call(&self, topic: &str, payload: impl Into<Bytes>) {
        self.publish(topic, payload.into(), false);
    }

    fn publish(&self, topic: &str, payload: Bytes, retain: bool) {
        let message = Message { topic: topic.into(), payload, retain };
        self.hub.publish(self.hub.number(), &[Arc::new(message)]);
    }
}
