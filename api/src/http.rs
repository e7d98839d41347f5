//! HTTP: SQL, records, line protocol, import, quarantine, backup, reports, health, metrics, the live feed and the page.

mod access;
mod answer;
mod asked;
mod backup;
mod body;
mod compact;
mod door;
mod feed;
mod import;
mod line_protocol;
mod page;
mod quarantine;
mod records;
mod refusal;
mod report;
mod sql;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use ingest::Login;
use query::QueryError;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::faces::Faces;
use crate::live::Live;
use body::Budget;
use door::{Peer, TlsDoor};
use refusal::Refusal;

/// Requests under way get this long to finish once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// Passwords checked at once; each costs milliseconds of CPU.
const PASSWORD_CHECKS: usize = 2;
/// Reports made at once; each is held whole.
const REPORTS: usize = 2;
/// A body of this size is decoded away from the reactor.
const LARGE_BYTES: usize = 256 << 10;
/// The metrics recorder folds its histograms this often, scraped or not, so that they stay small.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// What the handlers share.
struct Front {
    faces: Arc<Faces>,
    live: Live,
    bodies: Budget,
    password_checks: Semaphore,
    reports: Semaphore,
    shutdown: CancellationToken,
}

impl Front {
    /// Runs the decoding and storing of a body of `size` bytes. A large one moves to the queries' threads, where it
    /// cannot delay other clients' acknowledgements; a small one stays, where a heavy query cannot delay it.
    async fn take_in<T>(&self, size: usize, work: impl Future<Output = T> + Send + 'static) -> Result<T, Refusal>
    where
        T: Send + 'static,
    {
        if size < LARGE_BYTES {
            return Ok(work.await);
        }
        let task = self.faces.queries.spawn(work);
        task.await.map_err(|error| Refusal::internal("the request broke off", &error))
    }

    /// Runs one of this crate's own statements on the queries' threads; a client that goes away stops it.
    async fn ask(&self, login: &Login, sql: String, parameters: Vec<ScalarValue>) -> Result<Vec<RecordBatch>, Refusal> {
        let (engine, user) = (Arc::clone(&self.faces.engine), Arc::clone(&login.name));
        let task = self.faces.queries.spawn(async move {
            let session = engine.session(&user);
            let statement = session.plan_with(&sql, &parameters).await?;
            session.execute(statement).await?.try_collect::<Vec<_>>().await.map_err(QueryError::from)
        });
        let answer = AbortOnDropHandle::new(task).await;
        Ok(answer.map_err(|error| Refusal::internal("the query broke off", &error))??)
    }
}

/// Serves HTTP/1.1 and HTTP/2 on `listener`, over TLS where a configuration is given, until `shutdown`; then
/// requests under way are finished and the function returns.
///
/// # Errors
///
/// Where the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    faces: Arc<Faces>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    match tls {
        Some(config) => serve_on(TlsDoor::new(listener, with_http(&config)), faces, shutdown).await,
        None => serve_on(listener, faces, shutdown).await,
    }
}

/// The configuration that all listeners share, with HTTP's protocols offered to clients that ask.
fn with_http(config: &rustls::ServerConfig) -> Arc<rustls::ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

async fn serve_on<L>(listener: L, faces: Arc<Faces>, shutdown: CancellationToken) -> io::Result<()>
where
    L: Listener<Addr = SocketAddr>,
    Peer: for<'a> Connected<IncomingStream<'a, L>>,
{
    let upkeep = tokio::spawn(keep_up(faces.metrics.clone(), shutdown.clone()));
    let service = router(faces, shutdown.clone()).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let ended = tokio::select! {
        ended = server.into_future() => ended,
        () = overdue => {
            tracing::warn!("HTTP requests still under way after {} s are cut off", GRACE.as_secs());
            Ok(())
        }
    };
    upkeep.abort();
    ended
}

async fn keep_up(metrics: metrics_exporter_prometheus::PrometheusHandle, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => metrics.run_upkeep(),
        }
    }
}

fn router(faces: Arc<Faces>, shutdown: CancellationToken) -> Router {
    let live = Live::new(Arc::clone(&faces));
    let front = Arc::new(Front {
        faces,
        live,
        bodies: Budget::default(),
        password_checks: Semaphore::new(PASSWORD_CHECKS),
        reports: Semaphore::new(REPORTS),
        shutdown,
    });
    Router::new()
        .merge(page::routes())
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::figures))
        .route("/report/spc", get(report::spc))
        .route("/api/v1/live", get(feed::follow))
        .route("/api/v1/sql", post(sql::run))
        .route("/api/v1/import/samples", post(import::samples))
        .route("/api/v1/quarantine", get(quarantine::list))
        .route("/api/v1/quarantine/replay", post(quarantine::replay))
        .route("/api/v1/quarantine/discard", post(quarantine::discard))
        .route("/api/v1/backup", post(backup::take))
        .route("/api/v1/compact", post(compact::run))
        .route("/api/v1/{table}", post(records::write))
        .route("/api/v2/write", post(line_protocol::write))
        .fallback(no_such_address)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(page::guard))
        .layer(middleware::from_fn(body::end_unread))
        .with_state(front)
}

async fn no_such_address(uri: Uri) -> Refusal {
    Refusal::not_found(format!("there is nothing at {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} does not answer to {method}", uri.path()),
    )
}
