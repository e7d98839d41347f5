//! Brings the messages of a [`Simulation`] to an MQTT listener, over the socket like any equipment.
//!
//! QoS 1. A message leaves the window only when its PUBACK has come; after a lost connection everything in the
//! window goes out again, in order. The window bounds what is in flight, so a slow listener slows the plant
//! down and never fills memory.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use super::{Message, SECOND_US, Simulation, seconds_us};

/// Messages in flight at most.
const WINDOW: u16 = 2_000;

/// Process messages per simulated second while history is brought in: a tenth of the live rate.
const HISTORY_SLOWDOWN: f64 = 10.0;

/// Simulated time between two looks at the clock: bounds what is made before it is sent.
const STEP_US: i64 = 30 * SECOND_US;

/// Breaks that touch this time after the start are worked through.
const RELIEF_US: i64 = 600 * SECOND_US;

/// How long a time lapse takes at most until it has caught up with the clock, seconds of real time.
const TIME_LAPSE_S: f64 = 600.0;

const LIVE_TICK: Duration = Duration::from_millis(50);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);
const FINAL_ACKNOWLEDGEMENTS: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(1);

/// Publishes the demo plant.
#[derive(Debug, Clone)]
pub struct Publisher {
    address: SocketAddr,
    login: Option<(String, String)>,
    speed: f64,
}

/// How far publishing is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Messages handed to the connection.
    pub sent: u64,
    /// Messages that the listener has acknowledged.
    pub acknowledged: u64,
    /// Share of the history that is sent; 1 when the plant is live.
    pub history: f64,
}

/// What was published, all in all.
///
/// MQTT 3.1.1 cannot refuse a single message: a listener that does not want one acknowledges it and keeps it
/// aside, or closes the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DemoTotals {
    /// Messages handed to the connection, each counted once.
    pub messages: u64,
    /// How many of them were history.
    pub history_messages: u64,
    /// Messages that the listener has acknowledged.
    pub acknowledged: u64,
    /// Connections lost or refused on the way.
    pub reconnects: u64,
}

impl Publisher {
    /// A publisher to the listener at `address`, without a login.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, login: None, speed: 1.0 }
    }

    /// Logs in.
    #[must_use]
    pub fn with_login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((user.into(), password.into()));
        self
    }

    /// How fast simulated time passes once history is in; 1 is real time.
    ///
    /// Above 1 it is a time lapse: the last stretch of history, as much as ten minutes of real time replay, is
    /// played at that speed until it has caught up with the clock. Source times never run ahead of the clock.
    #[must_use]
    pub fn with_speed(mut self, speed: f64) -> Self {
        self.speed = speed.max(0.0);
        self
    }

    /// Publishes until `shutdown`: first, as fast as acknowledgements allow and with fewer process readings,
    /// from where the simulation stands up to now, then as it happens. Fails only when the listener refuses
    /// the login; everything else is tried again.
    pub async fn run(
        self,
        mut simulation: Simulation,
        mut progress: impl FnMut(Progress),
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<DemoTotals> {
        let mut delivery = Delivery::open(self.options());
        tokio::select! {
            ended = self.publish(&mut simulation, &mut delivery, &mut progress) => ended?,
            () = shutdown => {}
        }
        delivery.close().await
    }

    fn options(&self) -> MqttOptions {
        let host = match self.address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let mut options = MqttOptions::new("demo-plant", host, self.address.port());
        options.set_keep_alive(KEEP_ALIVE).set_inflight(WINDOW).set_max_packet_size(64 * 1024, 64 * 1024);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        options
    }

    async fn publish(
        &self,
        simulation: &mut Simulation,
        delivery: &mut Delivery,
        progress: &mut impl FnMut(Progress),
    ) -> anyhow::Result<()> {
        self.publish_history(simulation, delivery, progress).await?;
        self.publish_live(simulation, delivery, progress).await
    }

    async fn publish_history(
        &self,
        simulation: &mut Simulation,
        delivery: &mut Delivery,
        progress: &mut impl FnMut(Progress),
    ) -> anyhow::Result<()> {
        let (start_us, first_now_us) = (simulation.now_us(), now_us());
        let time_lapse_s = if self.speed > 1.0 { (self.speed - 1.0) * TIME_LAPSE_S } else { 0.0 };
        let left_to_replay_us = seconds_us(time_lapse_s);
        simulation.relieve_breaks(first_now_us, first_now_us + RELIEF_US);
        simulation.set_bare_scalars(false);
        simulation.set_rate(Simulation::live_rate_hz() / HISTORY_SLOWDOWN);
        loop {
            // The clock goes on meanwhile: history ends where live can take over without a gap.
            let end_us = now_us() - left_to_replay_us;
            if simulation.now_us() + SECOND_US >= end_us {
                break;
            }
            let until_us = (simulation.now_us() + STEP_US).min(end_us);
            for message in simulation.advance_to(until_us) {
                delivery.send(message).await?;
            }
            let history = (until_us - start_us) as f64 / (end_us - start_us) as f64;
            progress(delivery.progress(history.clamp(0.0, 1.0)));
        }
        delivery.totals.history_messages = delivery.totals.messages;
        simulation.set_bare_scalars(true);
        simulation.set_rate(Simulation::live_rate_hz());
        Ok(())
    }

    async fn publish_live(
        &self,
        simulation: &mut Simulation,
        delivery: &mut Delivery,
        progress: &mut impl FnMut(Progress),
    ) -> anyhow::Result<()> {
        let (start_us, started) = (simulation.now_us(), Instant::now());
        let mut tick = interval(LIVE_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                event = delivery.next_event() => {
                    event?;
                    continue;
                }
            }
            let target_us = self.live_target_us(start_us, started.elapsed());
            while simulation.now_us() < target_us {
                let until_us = (simulation.now_us() + STEP_US).min(target_us);
                for message in simulation.advance_to(until_us) {
                    delivery.send(message).await?;
                }
            }
            progress(delivery.progress(1.0));
        }
    }

    fn live_target_us(&self, start_us: i64, elapsed: Duration) -> i64 {
        if self.speed == 1.0 {
            return now_us();
        }
        (start_us + seconds_us(elapsed.as_secs_f64() * self.speed)).min(now_us())
    }
}

fn now_us() -> i64 {
    Timestamp::now().as_microsecond()
}

/// What happened on a connection.
#[derive(Debug)]
enum Delivered {
    /// The oldest message in the window was acknowledged. MQTT has PUBACKs come in the order of the messages.
    Acknowledged,
    /// The connection could not be made, or is lost.
    Lost(Box<ConnectionError>),
}

/// The window of messages in flight, over as many connections as it takes.
struct Delivery {
    options: MqttOptions,
    connection: Connection,
    window: VecDeque<Message>,
    totals: DemoTotals,
    retry: Duration,
}

impl Delivery {
    fn open(options: MqttOptions) -> Self {
        let connection = Connection::open(options.clone(), Duration::ZERO);
        Self { options, connection, window: VecDeque::new(), totals: DemoTotals::default(), retry: FIRST_RETRY }
    }

    fn progress(&self, history: f64) -> Progress {
        Progress { sent: self.totals.messages, acknowledged: self.totals.acknowledged, history }
    }

    /// Sends a message as soon as the window has room.
    async fn send(&mut self, message: Message) -> anyhow::Result<()> {
        while self.window.len() >= usize::from(WINDOW) {
            self.next_event().await?;
        }
        self.connection.publish(&message);
        self.window.push_back(message);
        self.totals.messages += 1;
        Ok(())
    }

    /// Waits for the next thing to happen on the connection and answers it. Safe to cancel: nothing is waited
    /// for after the event was taken.
    async fn next_event(&mut self) -> anyhow::Result<()> {
        match self.connection.events.recv().await {
            Some(Delivered::Acknowledged) => {
                self.retry = FIRST_RETRY;
                if self.window.pop_front().is_some() {
                    self.totals.acknowledged += 1;
                }
            }
            Some(Delivered::Lost(error)) => self.reconnect(&error)?,
            None => bail!("the demo plant's connection ended without a reason; please report this as a defect"),
        }
        Ok(())
    }

    /// Connects anew, after a while, and sends the window again.
    fn reconnect(&mut self, error: &ConnectionError) -> anyhow::Result<()> {
        use ConnectReturnCode::{BadUserNamePassword, NotAuthorized};
        let (host, port) = self.options.broker_address();
        if let ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized) = error {
            bail!("the MQTT listener at {host}:{port} refused the demo plant's login; give it a user that may write");
        }
        tracing::warn!(%error, host, port, in_flight = self.window.len(), "demo plant lost its connection, trying again");
        self.connection = Connection::open(self.options.clone(), self.retry);
        self.retry = (self.retry * 2).min(LAST_RETRY);
        self.totals.reconnects += 1;
        for message in &self.window {
            self.connection.publish(message);
        }
        Ok(())
    }

    /// Waits for the last acknowledgements and says goodbye.
    async fn close(mut self) -> anyhow::Result<DemoTotals> {
        let deadline = Instant::now() + FINAL_ACKNOWLEDGEMENTS;
        while !self.window.is_empty() {
            match timeout_at(deadline, self.next_event()).await {
                Ok(event) => event?,
                Err(_) => {
                    tracing::warn!(
                        messages = self.window.len(),
                        "the demo plant's last messages were not acknowledged"
                    );
                    break;
                }
            }
        }
        self.connection.disconnect().await;
        Ok(self.totals)
    }
}

/// One connection. A new one is made after each loss: the client library forgets what was in flight when the
/// listener did not keep the session, the window does not.
struct Connection {
    client: AsyncClient,
    events: mpsc::Receiver<Delivered>,
    task: JoinHandle<()>,
}

impl Connection {
    fn open(options: MqttOptions, delay: Duration) -> Self {
        // Room for a whole window both ways, so that neither side ever waits for the other.
        let capacity = usize::from(WINDOW) + 16;
        let (client, event_loop) = AsyncClient::new(options, capacity);
        let (sender, events) = mpsc::channel(capacity);
        let task = tokio::spawn(drive(event_loop, sender, delay));
        Self { client, events, task }
    }

    fn publish(&self, message: &Message) {
        let sent =
            self.client.try_publish(message.topic.clone(), QoS::AtLeastOnce, message.retain, message.payload.clone());
        if let Err(error) = sent {
            // The connection is gone: that is the next event, and the message stays in the window.
            tracing::debug!(%error, "publish on a lost connection");
        }
    }

    async fn disconnect(&mut self) {
        let asked = self.client.try_disconnect();
        if asked.is_err() || timeout(FAREWELL, &mut self.task).await.is_err() {
            tracing::debug!("the demo plant's connection ended without a goodbye");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a connection until it is lost or has said goodbye.
async fn drive(mut event_loop: EventLoop, events: mpsc::Sender<Delivered>, delay: Duration) {
    sleep(delay).await;
    loop {
        let event = match event_loop.poll().await {
            Ok(Event::Incoming(Packet::PubAck(_))) => Delivered::Acknowledged,
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(_) => continue,
            Err(error) => Delivered::Lost(Box::new(error)),
        };
        let lost = matches!(event, Delivered::Lost(_));
        if events.send(event).await.is_err() || lost {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
