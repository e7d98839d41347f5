//! Putting a server together.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use api::Faces;
use ingest::listener::Notices;
use ingest::subscriber::{self, Protocol};
use ingest::{Authenticate, Intake};
use jiff::Timestamp;
use oee::plant::Plant;
use query::Engine;
use rustls::ServerConfig;
use storage::{LocalDisk, Options, Store, Tiering};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::addresses::{Addresses, AddressesFile};
use super::administration::Administration;
use super::crew::Crew;
use super::listen::{Face, ListenError, bind, resolve};
use super::plant::PlantFile;
use super::{master, metrics, quarantine};
use crate::config::{Ages, Broker, Config, MqttProtocol, QuerySettings};
use crate::tls;
use crate::users::Directory;

/// Unflushed rows in memory at which writers wait for the flusher, bytes.
const HOT_BYTES: usize = 64 << 20;
/// Rows after which a merged file ends: some ten megabytes, of some of the equipment.
const SEGMENT_ROWS: u64 = 4 << 20;
/// Violations of control charts that a listener may be behind.
const VIOLATIONS: usize = 1_024;
/// Folder, within the data folder, for what queries cannot hold in memory.
const SPILL: &str = "spill";

/// Everything that runs.
pub(super) struct Parts {
    pub(super) sources: Crew,
    pub(super) faces: Crew,
    pub(super) engine: Arc<Engine>,
    pub(super) store: Arc<Store>,
    pub(super) addresses: Addresses,
    pub(super) addresses_file: Option<AddressesFile>,
}

/// The three sockets, bound and not yet served.
struct Sockets {
    mqtt: TcpListener,
    http: TcpListener,
    postgres: TcpListener,
}

impl Parts {
    /// Opens, recovers and starts everything.
    pub(super) fn assemble(
        config: Config,
        plant: PlantFile,
        directory: Directory,
        network: &Runtime,
        queries: &Handle,
    ) -> anyhow::Result<Self> {
        let tls = config.tls.as_ref().map(tls::server).transpose()?;
        let sockets = Sockets::open(&config, &directory, network)?;
        let store = Arc::new(Store::open(&config.data, ingest::table_specs(), options(&config))?);
        AddressesFile::forget(&config.data).context("cannot remove the addresses of an earlier server")?;
        plant.keep(&config.data)?;
        let plant = Arc::new(plant.plant);
        let limits = query_limits(&config.query, clean_spill(&config.data)?);
        let engine =
            Arc::new(Engine::new(Arc::clone(&store) as Arc<dyn query::SnapshotSource>, Arc::clone(&plant), limits)?);
        let recorder = metrics::recorder().context("metrics cannot be recorded")?;
        let intake = Intake::start(Arc::clone(&store), Arc::clone(&plant), admission_limits(&config))?;
        network.block_on(quarantine::count(&intake, &engine)).context("the quarantine cannot be counted")?;
        let applied = network.block_on(master::apply_unless_full(&intake, &engine, &plant));
        let applied = applied.context("the plant cannot be applied")?;

        let directory = Arc::new(directory);
        let auth = Arc::clone(&directory) as Arc<dyn Authenticate>;
        let addresses = sockets.addresses(tls.is_some())?;
        let face = Arc::new(Faces {
            engine: Arc::clone(&engine),
            intake: Arc::clone(&intake),
            plant: Arc::clone(&plant),
            auth: Arc::clone(&auth),
            administration: Arc::new(Administration::new(Arc::clone(&store))),
            queries: queries.clone(),
            violations: broadcast::Sender::new(VIOLATIONS),
            metrics: recorder,
            version: env!("CARGO_PKG_VERSION"),
        });
        let expires = config.retention.contains_key(oee::tables::QUARANTINE.name);
        let notices = Notices::default();
        let sources = Sources {
            intake,
            engine: Arc::clone(&engine),
            plant,
            applied,
            expires,
            auth,
            tls: tls.clone(),
            notices: notices.clone(),
        };
        let Sockets { mqtt, http, postgres } = sockets;
        let sources = sources.start(network.handle(), mqtt, &config.brokers)?;
        let mut faces = Crew::new();
        let followed = api::live::follow(Arc::clone(&face), notices, config.data.clone(), faces.stopping());
        faces.add(queries, "live OEE", async move {
            followed.await;
            anyhow::Ok(())
        });
        let stop = faces.stopping();
        faces.add(network.handle(), "HTTP", api::http::serve(http, tls.clone(), Arc::clone(&face), stop.clone()));
        faces.add(network.handle(), "PostgreSQL", async move {
            api::postgres::serve(postgres, tls, face, stop).await;
            anyhow::Ok(())
        });
        let stop = faces.stopping();
        faces.add(network.handle(), "users", async move {
            directory.watch(stop).await;
            anyhow::Ok(())
        });
        let addresses_file = match AddressesFile::write(&config.data, &addresses) {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                tracing::warn!(%error, "the disk is full: where takt listens is not noted in the data folder");
                None
            }
            written => {
                Some(written.with_context(|| format!("cannot write to the data folder {}", config.data.display()))?)
            }
        };
        info!(data = %config.data.display(), version = env!("CARGO_PKG_VERSION"), "running");
        Ok(Self { sources, faces, engine, store, addresses, addresses_file })
    }
}

impl Sockets {
    /// Binds all three, or says which one cannot be had.
    fn open(config: &Config, directory: &Directory, network: &Runtime) -> anyhow::Result<Self> {
        // Tokio's sockets belong to the runtime that is entered when they are made.
        let _entered = network.enter();
        let open = |face: Face, given: &str| -> anyhow::Result<TcpListener> {
            let address = resolve(face, given)?;
            if !address.ip().is_loopback() && !directory.required() {
                return Err(ListenError::Open { face, address, data: config.data.display().to_string() }.into());
            }
            Ok(TcpListener::from_std(bind(face, address)?)?)
        };
        Ok(Self {
            mqtt: open(Face::Mqtt, &config.listen.mqtt)?,
            http: open(Face::Http, &config.listen.http)?,
            postgres: open(Face::Postgres, &config.listen.postgres)?,
        })
    }

    fn addresses(&self, tls: bool) -> io::Result<Addresses> {
        let [mqtt, http, postgres]: [SocketAddr; 3] =
            [self.mqtt.local_addr()?, self.http.local_addr()?, self.postgres.local_addr()?];
        Ok(Addresses { mqtt, http, postgres, tls, pid: std::process::id() })
    }
}

/// What the ways in have in common.
struct Sources {
    intake: Arc<Intake>,
    engine: Arc<Engine>,
    plant: Arc<Plant>,
    /// Whether the plant's rows are stored.
    applied: bool,
    /// Whether messages leave the quarantine by their age.
    expires: bool,
    auth: Arc<dyn Authenticate>,
    tls: Option<Arc<ServerConfig>>,
    notices: Notices,
}

impl Sources {
    fn start(self, network: &Handle, mqtt: TcpListener, brokers: &[Broker]) -> anyhow::Result<Crew> {
        let Self { intake, engine, plant, applied, expires, auth, tls, notices } = self;
        let mut crew = Crew::new();
        let stop = crew.stopping();
        let tls = tls.map(tokio_rustls::TlsAcceptor::from);
        let listener = ingest::listener::serve(mqtt, tls, Arc::clone(&intake), auth, notices, stop.clone());
        crew.add(network, "MQTT", async move {
            listener.await;
            anyhow::Ok(())
        });
        for broker in brokers {
            let subscribed = subscribe(subscription(broker)?, Arc::clone(&intake), stop.clone());
            crew.add(network, "MQTT subscription", async move {
                subscribed.await;
                anyhow::Ok(())
            });
        }
        if expires {
            let watched = quarantine::watch(Arc::clone(&intake), Arc::clone(&engine), stop.clone());
            crew.add(network, "quarantine", watched);
        }
        crew.add(network, "shifts", master::keep(intake, engine, plant, applied, stop));
        Ok(crew)
    }
}

/// What the subscriber needs of a broker's settings.
fn subscription(broker: &Broker) -> anyhow::Result<subscriber::Broker> {
    let address = subscriber::address(&broker.url).with_context(|| format!("the broker {}", broker.name))?;
    let trust = if address.tls { Some(tls::client(broker.ca.as_deref())?) } else { None };
    Ok(subscriber::Broker {
        name: broker.name.as_str().into(),
        host: address.host,
        port: address.port,
        topics: broker.topics.clone(),
        client_id: broker.client_id.clone(),
        login: broker_login(broker)?,
        tls: trust,
        protocol: match broker.protocol {
            MqttProtocol::V4 => Protocol::V4,
            MqttProtocol::V5 => Protocol::V5,
        },
    })
}

fn broker_login(broker: &Broker) -> anyhow::Result<Option<(String, String)>> {
    let Some(user) = broker.user.clone() else { return Ok(None) };
    let Some(path) = &broker.password_file else { return Ok(Some((user, String::new()))) };
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the password file {} of the broker {}", path.display(), broker.name))?;
    Ok(Some((user, text.lines().next().unwrap_or_default().to_owned())))
}

/// Takes in what one broker sends. Where the store takes no more, the broker keeps the messages, and the server goes on
/// answering queries and says on `/ready` what is wrong.
async fn subscribe(broker: subscriber::Broker, intake: Arc<Intake>, stop: CancellationToken) {
    let name = Arc::clone(&broker.name);
    if let Err(error) = subscriber::run(broker, intake, stop).await {
        tracing::error!(broker = &*name, %error, "nothing more is taken from the broker until takt is restarted");
    }
}

fn options(config: &Config) -> Options {
    let settings = &config.storage;
    let by_name = |ages: &Ages| ages.iter().map(|(table, age)| ((*table).to_owned(), *age)).collect();
    let tiering = config.tiering.as_ref();
    Options {
        retention: by_name(&config.retention),
        tiering: tiering.map(|tiering| Tiering { folder: tiering.folder.clone(), ages: by_name(&tiering.ages) }),
        linger: Duration::from_micros(settings.wal_linger_us),
        wal_file_bytes: settings.wal_file_bytes,
        flush_interval: Duration::from_secs(settings.flush_interval_s),
        flush_rows: usize::try_from(settings.flush_rows).unwrap_or(usize::MAX),
        hot_bytes: HOT_BYTES,
        segment_rows: SEGMENT_ROWS,
        clock: Arc::new(|| Timestamp::now().as_microsecond()),
        disk: Arc::new(LocalDisk),
    }
}

fn admission_limits(config: &Config) -> ingest::Limits {
    let settings = &config.admission;
    ingest::Limits {
        retention: ingest::Retention::new(|table| config.retention.get(table).copied()),
        max_ahead_s: settings.max_ahead_s,
        earliest_year: settings.earliest_year,
        quarantine_bytes: settings.quarantine_bytes,
        ..ingest::Limits::default()
    }
}

fn query_limits(settings: &QuerySettings, spill: PathBuf) -> query::Limits {
    query::Limits {
        memory_bytes: usize::try_from(settings.memory_bytes).unwrap_or(usize::MAX),
        timeout: Duration::from_secs(settings.timeout_s),
        max_rows: settings.max_rows,
        spill: Some(spill),
        ..query::Limits::default()
    }
}

/// An empty folder for queries to spill to: what a killed server left there is of no use.
fn clean_spill(data: &Path) -> anyhow::Result<PathBuf> {
    let folder = data.join(SPILL);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", folder.display()));
        }
        _ => fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?,
    }
    Ok(folder)
}
