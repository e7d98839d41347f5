//! Settings of the server: defaults, `takt.toml`, environment and flags, in rising precedence.
//!
//! The shipped `takt.toml` carries every key with its default; a test holds the two together.

mod age;
mod document;
mod file;
mod mistake;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use document::nearest;
pub use file::load;
pub use mistake::{ConfigError, Mistake};

/// Address of the MQTT listener where nothing else is said.
pub const MQTT_LISTEN: &str = "127.0.0.1:1883";
/// Address of the HTTP listener where nothing else is said.
pub const HTTP_LISTEN: &str = "127.0.0.1:8080";
/// Address of the PostgreSQL listener where nothing else is said.
pub const POSTGRES_LISTEN: &str = "127.0.0.1:5433";

/// Everything a server is told before it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Folder of the data; created on first start.
    pub data: PathBuf,
    /// The plant file; without one `plant.toml` in the current folder is taken where it exists.
    pub plant: Option<PathBuf>,
    /// Addresses to listen on.
    pub listen: Listen,
    /// Certificate and key, where all listeners speak TLS.
    pub tls: Option<TlsFiles>,
    /// How rows reach the disk.
    pub storage: StorageSettings,
    /// How long rows of a table are kept, by its name; those of the others for ever.
    pub retention: Ages,
    /// Where old files go.
    pub tiering: Option<TieringSettings>,
    /// What is let in.
    pub admission: AdmissionSettings,
    /// What a query may use.
    pub query: QuerySettings,
    /// External MQTT brokers to subscribe to.
    pub brokers: Vec<Broker>,
}

/// Addresses to listen on, `host:port`; port 0 takes any free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// MQTT 3.1.1 and 5.
    pub mqtt: String,
    /// HTTP: page, API, metrics.
    pub http: String,
    /// PostgreSQL wire protocol.
    pub postgres: String,
}

/// PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How rows reach the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSettings {
    /// Hot rows go to segments at least this often, seconds.
    pub flush_interval_s: u64,
    /// … or as soon as this many rows are waiting; four times as many where they come four times a second.
    pub flush_rows: u64,
    /// How long a group of writes waits for company before its fsync, microseconds.
    pub wal_linger_us: u64,
    /// Size of one file of the write-ahead log, bytes.
    pub wal_file_bytes: u64,
}

/// Ages of rows, by the name of their table.
pub type Ages = BTreeMap<&'static str, Duration>;

/// Where old files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TieringSettings {
    /// The cold folder.
    pub folder: PathBuf,
    /// How old files of a table are when they move there.
    pub ages: Ages,
}

/// What is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// Source times further ahead than this are refused, seconds.
    pub max_ahead_s: u32,
    /// Source times before this year are refused.
    pub earliest_year: i16,
    /// Refused messages are kept up to this size, bytes.
    pub quarantine_bytes: u64,
}

/// What a query may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySettings {
    /// Memory of all running queries together, bytes.
    pub memory_bytes: u64,
    /// A query is ended after this time, seconds.
    pub timeout_s: u64,
    /// A query is ended after this many result rows.
    pub max_rows: u64,
}

/// An external MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Name in logs, metrics and quarantine.
    pub name: String,
    /// `mqtt://host:1883` or `mqtts://host:8883`.
    pub url: String,
    /// Topic filters to subscribe to, at QoS 1.
    pub topics: Vec<String>,
    /// Client id; the session is kept under it, so it must be unique on the broker.
    pub client_id: String,
    /// Login name, where the broker asks for one.
    pub user: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Certificate (PEM) to trust instead of the system's, for `mqtts://`.
    pub ca: Option<PathBuf>,
    /// Protocol version to speak.
    pub protocol: MqttProtocol,
}

/// Version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MqttProtocol {
    /// 3.1.1.
    #[default]
    V4,
    /// 5.
    V5,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("takt-data"),
            plant: None,
            listen: Listen::default(),
            tls: None,
            storage: StorageSettings::default(),
            retention: Ages::new(),
            tiering: None,
            admission: AdmissionSettings::default(),
            query: QuerySettings::default(),
            brokers: Vec::new(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { mqtt: MQTT_LISTEN.to_owned(), http: HTTP_LISTEN.to_owned(), postgres: POSTGRES_LISTEN.to_owned() }
    }
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self { flush_interval_s: 30, flush_rows: 250_000, wal_linger_us: 2_000, wal_file_bytes: 64 << 20 }
    }
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { max_ahead_s: 600, earliest_year: 2000, quarantine_bytes: 256 << 20 }
    }
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, timeout_s: 60, max_rows: 10_000_000 }
    }
}

/// What flags and environment say; it wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Folder of the data.
    pub data: Option<PathBuf>,
    /// The plant file.
    pub plant: Option<PathBuf>,
    /// Address of the MQTT listener.
    pub mqtt: Option<String>,
    /// Address of the HTTP listener.
    pub http: Option<String>,
    /// Address of the PostgreSQL listener.
    pub postgres: Option<String>,
}

impl Config {
    /// These settings with `overrides` laid over them.
    #[must_use]
    pub fn with(mut self, overrides: Overrides) -> Self {
        let Overrides { data, plant, mqtt, http, postgres } = overrides;
        if let Some(data) = data {
            self.data = data;
        }
        self.plant = plant.or(self.plant);
        let addresses =
            [(&mut self.listen.mqtt, mqtt), (&mut self.listen.http, http), (&mut self.listen.postgres, postgres)];
        for (address, given) in addresses {
            if let Some(given) = given {
                *address = given;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
