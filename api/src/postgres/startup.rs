//! The beginning of a connection: the startup message, the login, the session's first settings.

use ingest::Login;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, Startup};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};

use super::Server;
use super::cancel::Registered;
use super::failure::{Failure, Trouble, sqlstate};
use super::login::authenticate;
use super::settings::Settings;
use super::wire::Wire;

#[cfg(test)]
mod tests;

/// A client that has been let in.
pub(crate) struct Started {
    /// Who it is; its queries count under that name.
    pub(crate) login: Login,
    pub(crate) settings: Settings,
    pub(crate) registered: Registered,
    pub(crate) pid: i32,
}

/// Reads what a client begins with. `None` where it wanted to cancel a statement, and that is done.
pub(crate) async fn greet(wire: &mut Wire, server: &Server) -> Result<Option<Startup>, Trouble> {
    match wire.receive().await.map_err(|error| Failure::from(error).fatal())? {
        Some(PgWireFrontendMessage::Startup(startup)) => Ok(Some(startup)),
        Some(PgWireFrontendMessage::CancelRequest(request)) => {
            server.sessions.cancel(&request);
            Ok(None)
        }
        Some(_) => Err(Failure::protocol("expected a startup message").fatal().into()),
        None => Ok(None),
    }
}

/// Lets a client in, and tells it what it needs to know.
pub(crate) async fn start(wire: &mut Wire, server: &Server, startup: &Startup) -> Result<Started, Trouble> {
    let version = negotiate(wire, startup).await?;
    wire.startup_done(version);
    let user = startup.parameters.get("user").map(String::as_str).filter(|user| !user.is_empty());
    let Some(user) = user else {
        return Err(Failure::new(sqlstate::INVALID_AUTHORIZATION, "no PostgreSQL user name specified").fatal().into());
    };
    if startup.parameters.get("replication").is_some_and(|wish| !["false", "off", "no", "0"].contains(&wish.as_str())) {
        return Err(Failure::unsupported("replication is not supported").fatal().into());
    }
    let login = authenticate(wire, server.faces.auth.as_ref(), &server.strangers, user).await?;
    wire.trust();

    let mut settings = Settings::new(user);
    settings
        .start_with(wishes(startup).iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map_err(|failure| failure.fatal())?;
    let (pid, secret) = wire.identify(&server.pids);
    let registered = server.sessions.register(pid, secret.clone());
    wire.feed(PgWireBackendMessage::Authentication(Authentication::Ok)).await?;
    for (name, value) in settings.reports() {
        wire.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name.to_owned(), value.to_owned())))
            .await?;
    }
    wire.feed(PgWireBackendMessage::BackendKeyData(BackendKeyData::new(pid, secret))).await?;
    tracing::debug!(user, login = %login.name, role = %login.role, peer = %wire.peer(), pid, "PostgreSQL client connected");
    Ok(Started { login, settings, registered, pid })
}

/// The last word of the startup: the session is there.
pub(crate) async fn ready(wire: &mut Wire) -> Result<(), Trouble> {
    wire.send(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle))).await?;
    Ok(())
}

/// Agrees on a version: a newer one than is known here becomes the newest known.
async fn negotiate(wire: &mut Wire, startup: &Startup) -> Result<ProtocolVersion, Trouble> {
    let (major, minor) = (startup.protocol_number_major, startup.protocol_number_minor);
    let known = ProtocolVersion::from_version_number(major, minor);
    let unknown_options: Vec<String> =
        startup.parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    let version = known.unwrap_or(ProtocolVersion::PROTOCOL3_2);
    if major != 3 {
        return Err(Failure::unsupported(format!("unsupported frontend protocol {major}.{minor}")).fatal().into());
    }
    if known.is_none() || !unknown_options.is_empty() {
        wire.send(PgWireBackendMessage::NegotiateProtocolVersion(NegotiateProtocolVersion::new(
            version.into(),
            unknown_options,
        )))
        .await?;
    }
    Ok(version)
}

/// Settings a client brings along: as parameters of their own, and inside `options` as `-c name=value`.
fn wishes(startup: &Startup) -> Vec<(String, String)> {
    let mut wishes = startup.parameters.get("options").map(|options| read_options(options)).unwrap_or_default();
    let named = startup.parameters.iter().filter(|(name, _)| {
        !["user", "database", "options", "replication"].contains(&name.as_str()) && !name.starts_with("_pq_.")
    });
    wishes.extend(named.map(|(name, value)| (name.clone(), value.clone())));
    wishes
}

/// `-c a=b -cc=d --e-f=g`, where a backslash keeps a space.
fn read_options(options: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                if let (Some(word), Some(kept)) = (words.last_mut(), characters.next()) {
                    word.push(kept);
                }
            }
            space if space.is_whitespace() => words.push(String::new()),
            character => {
                if let Some(word) = words.last_mut() {
                    word.push(character);
                }
            }
        }
    }
    let mut wishes = Vec::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            Some(setting) => Some(setting.to_owned()),
            None => None,
        };
        if let Some((name, value)) = setting.as_deref().and_then(|setting| setting.split_once('=')) {
            wishes.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    wishes
}
