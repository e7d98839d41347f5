//! Who a client is and what it may do: one trait, checked wherever a client connects.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// What a login may do. Each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Query and subscribe.
    Read,
    /// Also publish and write records.
    Write,
    /// Also replay and discard the quarantine, and take backups.
    Admin,
}

impl Role {
    /// The name in files, on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; use read, write or admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        match name {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            other => Err(UnknownRole(other.to_owned())),
        }
    }
}

/// A client that has shown who it is.
///
/// A login stands until whoever gave it takes it back: because its user is gone, or has another password or role.
/// What outlives a single request (a connection, a session, a stream, a long answer) ends with it.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name; it appears as `recorded_by`.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    taken_back: CancellationToken,
}

impl Login {
    /// A login that stands as long as the process.
    pub fn new(name: impl Into<Arc<str>>, role: Role) -> Self {
        Self { name: name.into(), role, taken_back: CancellationToken::new() }
    }

    /// Whoever is on this machine.
    pub fn local() -> Self {
        Self::new("local", Role::Admin)
    }

    /// The same login, which stands until `taken_back` is cancelled.
    #[must_use]
    pub fn until(self, taken_back: CancellationToken) -> Self {
        Self { taken_back, ..self }
    }

    /// Whether it still stands.
    pub fn stands(&self) -> bool {
        !self.taken_back.is_cancelled()
    }

    /// Resolves once it stands no longer. Cancel-safe.
    pub async fn ended(&self) {
        self.taken_back.cancelled().await;
    }
}

/// What a SCRAM-SHA-256 exchange needs to know of a user (RFC 5802).
#[derive(Clone)]
pub struct ScramSecret {
    /// Who it will be.
    pub login: Login,
    /// The salt.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// `SaltedPassword` of RFC 5802.
    pub salted_password: Vec<u8>,
}

impl fmt::Debug for ScramSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScramSecret").field("login", &self.login).finish_non_exhaustive()
    }
}

/// Knows the users. The same one stands behind MQTT, HTTP and PostgreSQL.
pub trait Authenticate: Send + Sync {
    /// The login of clients on this machine that show nothing, until a user exists. `None` from then on: every
    /// client has to say who it is.
    fn local(&self) -> Option<Login>;

    /// The login of a name and password. May take some 10 ms: call it off the reactor.
    fn password(&self, user: &str, password: &[u8]) -> Option<Login>;

    /// The login of an access token.
    fn token(&self, token: &str) -> Option<Login>;

    /// What SCRAM needs for this user.
    fn scram(&self, user: &str) -> Option<ScramSecret>;
}

#[cfg(test)]
mod tests;
