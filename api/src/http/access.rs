//! Who asks, and whether they may: Bearer and Basic logins, roles, and the guard for a server without users.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingest::{Login, Role};

use super::Front;
use super::door::Peer;
use super::refusal::Refusal;

/// A client that may read.
pub(super) struct Reader(pub(super) Login);
/// A client that may write.
pub(super) struct Writer(pub(super) Login);
/// A client that may run the server.
pub(super) struct Admin(pub(super) Login);

impl FromRequestParts<Arc<Front>> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, front: &Arc<Front>) -> Result<Self, Refusal> {
        require(parts, front, Role::Read).await.map(Self)
    }
}

impl FromRequestParts<Arc<Front>> for Writer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, front: &Arc<Front>) -> Result<Self, Refusal> {
        require(parts, front, Role::Write).await.map(Self)
    }
}

impl FromRequestParts<Arc<Front>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, front: &Arc<Front>) -> Result<Self, Refusal> {
        require(parts, front, Role::Admin).await.map(Self)
    }
}

async fn require(parts: &Parts, front: &Arc<Front>, needed: Role) -> Result<Login, Refusal> {
    let login = match front.faces.auth.local() {
        None => match credentials(&parts.headers)? {
            Credentials::Token(token) => front.faces.auth.token(&token),
            Credentials::Password { user, password } => check_password(front, user, password).await?,
        }
        .ok_or_else(|| Refusal::unauthenticated("unknown login, or a wrong password or token"))?,
        Some(login) => {
            let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|info| info.0.0.ip());
            check_local(peer, &parts.uri, &parts.headers)?;
            login
        }
    };
    if login.role < needed {
        let name = &login.name;
        return Err(Refusal::forbidden(format!(
            "{name} has the role {}, this needs {needed}; on the server's machine, `takt user remove {name}` and \
             `takt user add {name} --role {needed}` give it",
            login.role
        )));
    }
    Ok(login)
}

/// What a client shows to prove who it is.
#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    Token(String),
    Password { user: String, password: Vec<u8> },
}

/// Reads the `Authorization` header: `Bearer TOKEN`, `Token TOKEN` (InfluxDB clients) or `Basic`.
fn credentials(headers: &HeaderMap) -> Result<Credentials, Refusal> {
    const HOW: &str = "log in with `Authorization: Bearer TOKEN` (`takt user token NAME` makes one) \
                       or with HTTP Basic user and password";
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(Refusal::unauthenticated(HOW));
    };
    let value = value.to_str().map_err(|_| Refusal::unauthenticated(HOW))?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(|| Refusal::unauthenticated(HOW))?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Ok(Credentials::Token(rest.to_owned())),
        "basic" => basic(rest).ok_or_else(|| Refusal::unauthenticated(HOW)),
        _ => Err(Refusal::unauthenticated(HOW)),
    }
}

fn basic(encoded: &str) -> Option<Credentials> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let (user, password) = decoded.split_at(colon);
    let user = std::str::from_utf8(user).ok()?.to_owned();
    Some(Credentials::Password { user, password: password.get(1..)?.to_vec() })
}

/// Hashing a password costs milliseconds of CPU on purpose: it runs off the reactor, a few at a time, so
/// that guessing passwords cannot starve ingest.
async fn check_password(front: &Arc<Front>, user: String, password: Vec<u8>) -> Result<Option<Login>, Refusal> {
    let _permit =
        front.password_checks.acquire().await.map_err(|_| Refusal::unavailable("the server is shutting down"))?;
    let auth = Arc::clone(&front.faces.auth);
    tokio::task::spawn_blocking(move || auth.password(&user, &password))
        .await
        .map_err(|error| Refusal::internal("the login could not be checked", &error))
}

/// While no user exists, only this machine is served, and no web page of another site may ask through the
/// user's browser: neither by posting to the loopback address nor by pointing its own name at it.
fn check_local(peer: Option<IpAddr>, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    if !peer.is_some_and(|ip| ip.to_canonical().is_loopback()) {
        return Err(Refusal::forbidden(
            "no user exists yet, so only this machine is served; run `takt user add NAME --role admin` there",
        ));
    }
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| headers.get(HOST).and_then(|value| value.to_str().ok()));
    if let Some(host) = host
        && !is_loopback_name(host)
    {
        return Err(Refusal::forbidden(format!(
            "no user exists yet, so the server answers to its loopback address only, not to `{host}`; \
             use http://127.0.0.1 or run `takt user add NAME --role admin`"
        )));
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let same = origin.split_once("://").map(|(_, authority)| authority) == host;
        if !same {
            return Err(Refusal::forbidden(format!(
                "requests from pages of `{origin}` are not served without a login"
            )));
        }
    }
    Ok(())
}

/// Refuses what a client asked for while its login stood and that is not done yet.
pub(super) fn check_stands(login: &Login) -> Result<(), Refusal> {
    if login.stands() { Ok(()) } else { Err(ended()) }
}

/// 401: the login was good when the request began.
pub(super) fn ended() -> Refusal {
    Refusal::unauthenticated(
        "the login ended before the request did: its user was removed or changed, or users exist now",
    )
}

fn is_loopback_name(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let named = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    named || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
