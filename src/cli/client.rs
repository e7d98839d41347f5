//! Talking HTTP to a running server.

use std::io;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tracing::debug;

use crate::tls;

// Which server, and as whom. No doc comment: it would become the help text of every command that has these flags.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerArgs {
    /// Address of the running server
    #[arg(long, value_name = "URL", global = true, env = "TAKT_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Token of a user, made by `takt user token NAME`
    #[arg(long, value_name = "TOKEN", global = true, env = "TAKT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Trust this certificate (PEM) instead of the system's
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
}

/// One request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) content_type: &'static str,
    pub(super) accept: &'static str,
    pub(super) body: Bytes,
}

/// A connection to a server, opened when first used and again when it was lost.
pub(super) struct Client {
    url: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    token: Option<String>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(super) fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        let url = args.url.trim_end_matches('/').to_owned();
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is not an address like http://127.0.0.1:8080"))?;
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(TlsConnector::from(tls::client(args.ca.as_deref())?)),
            _ => bail!("`{url}` must start with http:// or https://"),
        };
        let host = uri.host().ok_or_else(|| anyhow!("`{url}` names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Self { url, host, port, tls, token: args.token.clone(), sender: None })
    }

    /// Sends one request and returns the answer, whatever its status.
    pub(super) async fn send(&mut self, call: Call<'_>) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(CONTENT_TYPE, call.content_type)
            .header(ACCEPT, call.accept);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request =
            request.body(Full::new(call.body)).context("the token holds characters that HTTP cannot carry")?;
        let sent = self.sender().await?.send_request(request).await;
        sent.map_err(|error| self.broken_off(error))
    }

    /// A server that speaks TLS answers a request in plain HTTP with an alert, which is no HTTP.
    fn broken_off(&self, error: hyper::Error) -> anyhow::Error {
        if self.tls.is_none() && error.is_parse() {
            return anyhow!(
                "the server at {} does not answer in plain HTTP; where it has TLS, write https:// instead of http://",
                self.url
            );
        }
        anyhow::Error::from(error).context(format!("the server at {} broke off", self.url))
    }

    /// Sends one request and returns its JSON answer; a refusal is an error.
    pub(super) async fn json(&mut self, call: Call<'_>) -> anyhow::Result<Value> {
        let response = self.send(call).await?;
        let response = accepted(response).await?;
        let body = collect(response).await?;
        serde_json::from_slice(&body).context("the server's answer is not JSON; is --url a takt server?")
    }

    /// As [`Client::json`], for a request that may be answered without a body.
    pub(super) async fn done(&mut self, call: Call<'_>) -> anyhow::Result<Value> {
        let response = self.send(call).await?;
        let body = collect(accepted(response).await?).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).context("the server's answer is not JSON; is --url a takt server?")
    }

    async fn sender(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let mut usable = self.sender.take();
        if let Some(sender) = &mut usable
            && sender.ready().await.is_err()
        {
            usable = None;
        }
        let sender = match usable {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        Ok(self.sender.insert(sender))
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.with_context(|| {
            format!("no takt server answers at {}; start one with `takt serve`, or name it with --url", self.url)
        })?;
        stream.set_nodelay(true)?;
        let Some(connector) = &self.tls else { return speak(stream).await };
        let name =
            ServerName::try_from(self.host.clone()).with_context(|| format!("`{}` is not a host name", self.host))?;
        let stream = connector.connect(name, stream).await.map_err(|error| self.no_tls(error))?;
        speak(stream).await
    }

    fn no_tls(&self, error: io::Error) -> anyhow::Error {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        if matches!(cause, Some(rustls::Error::InvalidMessage(_))) || error.kind() == io::ErrorKind::UnexpectedEof {
            return anyhow!(
                "the server at {} does not speak TLS; where it has no [tls] in its settings, write http:// instead of \
                 https://",
                self.url
            );
        }
        anyhow::Error::from(error)
            .context(format!("no trusted TLS connection to {}; for a certificate of your own give --ca FILE", self.url))
    }
}

async fn speak<S>(stream: S) -> anyhow::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // The request that was under way reports the loss to the user.
        if let Err(error) = connection.await {
            debug!(%error, "connection ended");
        }
    });
    Ok(sender)
}

/// The whole body of an answer.
pub(super) async fn collect(response: Response<Incoming>) -> anyhow::Result<Bytes> {
    Ok(response.into_body().collect().await.context("the server broke off in its answer")?.to_bytes())
}

/// The answer, where the server did what was asked; its refusal where not.
pub(super) async fn accepted(response: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = collect(response).await?;
    Err(Refusal::read(status, &body).into())
}

/// Code of a refusal that concerns single rows; the others of the request are stored.
const ROWS_REFUSED: &str = "rows_refused";

/// Why a server did not do what was asked: its `{"error": {"message", "position", "accepted", "refused"}}`, or the
/// `{"code", "message"}` that line protocol is answered with.
#[derive(Debug, Error)]
#[error("{message}")]
pub(super) struct Refusal {
    pub(super) message: String,
    /// Line and column of the SQL text, from 1.
    pub(super) position: Option<(usize, usize)>,
    /// What became of a request of which only a part was refused.
    pub(super) partial: Option<Partial>,
}

/// A request of which only a part was refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Partial {
    /// Rows that were stored.
    pub(super) accepted: u64,
    /// The others, the first of them where they are many.
    pub(super) refused: Vec<RefusedRow>,
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct RefusedRow {
    /// Its place in the request, from 0.
    pub(super) row: usize,
    pub(super) reason: String,
}

impl Refusal {
    fn read(status: StatusCode, body: &[u8]) -> Self {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = if answer["error"].is_null() { &answer } else { &answer["error"] };
        let text = String::from_utf8_lossy(body);
        let words = error["message"].as_str().or_else(|| error.as_str()).unwrap_or(text.trim());
        let mut message = if words.is_empty() { status.to_string() } else { words.to_owned() };
        if status == StatusCode::UNAUTHORIZED {
            message.push_str("; give --token TOKEN or TAKT_TOKEN, made by `takt user token NAME`");
        }
        let place = |name: &str| error["position"][name].as_u64().and_then(|place| usize::try_from(place).ok());
        let position = place("line").zip(place("column"));
        let partial = if error["code"] == ROWS_REFUSED { Partial::deserialize(error).ok() } else { None };
        Self { message, position, partial }
    }
}

/// `text` as a value in a query string.
pub(super) fn query_value(text: &str) -> String {
    let mut value = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => value.push(char::from(byte)),
            byte => value.push_str(&format!("%{byte:02X}")),
        }
    }
    value
}

/// Runs `task` on a runtime of its own.
pub(super) fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(task)
}

#[cfg(test)]
mod tests;
