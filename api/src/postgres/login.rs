//! Who a client is: SCRAM-SHA-256 where users exist, else trust on this machine alone.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ingest::{Authenticate, Login, ScramSecret};
use pgwire::api::auth::Password;
use pgwire::api::auth::sasl::SCRAM_SHA_256_METHOD;
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::failure::{Failure, Trouble, sqlstate};
use super::wire::Wire;

#[cfg(test)]
mod tests;

/// Lets a client in, or says why not.
pub(crate) async fn authenticate(
    wire: &mut Wire,
    auth: &dyn Authenticate,
    strangers: &Strangers,
    user: &str,
) -> Result<Login, Trouble> {
    if let Some(local) = auth.local() {
        return trust(wire, user, local).map_err(Trouble::from);
    }
    let secret = match auth.scram(user) {
        Some(secret) => {
            strangers.resemble(&secret);
            Challenge::of(secret)
        }
        None => strangers.challenge(user),
    };
    exchange(wire, secret, user).await
}

/// Without users there is nobody to be: this machine's clients are the operator.
fn trust(wire: &Wire, user: &str, local: Login) -> Result<Login, Failure> {
    if wire.peer().ip().to_canonical().is_loopback() {
        return Ok(local);
    }
    Err(Failure::new(
        sqlstate::INVALID_AUTHORIZATION,
        format!("no user \"{user}\" may connect from {}: no users exist yet", wire.peer().ip()),
    )
    .hint("create one on the server with `takt user add`")
    .fatal())
}

/// What a client has to prove that it knows.
struct Challenge {
    /// `None` for a name nobody has: the exchange runs all the same, and fails.
    login: Option<Login>,
    salt: Vec<u8>,
    iterations: u32,
    salted_password: Vec<u8>,
}

impl Challenge {
    fn of(secret: ScramSecret) -> Challenge {
        Challenge {
            login: Some(secret.login),
            salt: secret.salt,
            iterations: secret.iterations,
            salted_password: secret.salted_password,
        }
    }
}

/// RFC 5802: two messages each way. Every refusal reads the same.
async fn exchange(wire: &mut Wire, challenge: Challenge, user: &str) -> Result<Login, Trouble> {
    wire.send(authentication(Authentication::SASL(vec![SCRAM_SHA_256_METHOD.to_owned()]))).await?;
    let first = receive(wire).await?.into_sasl_initial_response().map_err(|_| malformed())?;
    if first.auth_method != SCRAM_SHA_256_METHOD {
        return Err(Failure::protocol("client selected an invalid SASL authentication mechanism").fatal().into());
    }
    let mut server = ScramServerAuth::new();
    server.set_iterations(usize::try_from(challenge.iterations).unwrap_or(usize::MAX));
    let expected = Password::new(Some(challenge.salt), challenge.salted_password);
    let client_first = first.data.unwrap_or_default();
    let (server_first, waiting) = server.on_client_first_message(&client_first, expected).map_err(|_| malformed())?;
    wire.send(authentication(Authentication::SASLContinue(server_first.into()))).await?;

    let last = receive(wire).await?.into_sasl_response().map_err(|_| malformed())?;
    match (waiting.on_client_final_message(&last.data), challenge.login) {
        (Ok(server_final), Some(login)) => {
            wire.feed(authentication(Authentication::SASLFinal(server_final.into()))).await?;
            Ok(login)
        }
        _ => Err(wrong_password(user).into()),
    }
}

async fn receive(wire: &mut Wire) -> Result<PasswordMessageFamily, Trouble> {
    match wire.receive().await.map_err(|error| Failure::from(error).fatal())? {
        Some(PgWireFrontendMessage::PasswordMessageFamily(message)) => Ok(message),
        Some(_) => Err(malformed().into()),
        None => Err(Trouble::Gone(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

fn authentication(message: Authentication) -> PgWireBackendMessage {
    PgWireBackendMessage::Authentication(message)
}

fn malformed() -> Failure {
    Failure::protocol("malformed SCRAM message").fatal()
}

fn wrong_password(user: &str) -> Failure {
    Failure::new(sqlstate::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\"")).fatal()
}

/// Challenges for names that nobody has. They look like a user's, and the same name always gets the same one:
/// otherwise connecting twice would tell who exists.
#[derive(Debug)]
pub(crate) struct Strangers {
    key: RandomState,
    iterations: AtomicU32,
    salt_bytes: AtomicUsize,
}

impl Default for Strangers {
    fn default() -> Strangers {
        // RFC 7677's iterations and PostgreSQL's salt, until a real user shows what is usual here.
        Strangers { key: RandomState::new(), iterations: AtomicU32::new(4096), salt_bytes: AtomicUsize::new(16) }
    }
}

impl Strangers {
    fn resemble(&self, secret: &ScramSecret) {
        self.iterations.store(secret.iterations, Ordering::Relaxed);
        self.salt_bytes.store(secret.salt.len(), Ordering::Relaxed);
    }

    fn challenge(&self, user: &str) -> Challenge {
        Challenge {
            login: None,
            salt: self.bytes("salt", user, self.salt_bytes.load(Ordering::Relaxed)),
            iterations: self.iterations.load(Ordering::Relaxed),
            salted_password: self.bytes("password", user, 32),
        }
    }

    /// Bytes that follow from the name and a key that only this process knows.
    fn bytes(&self, purpose: &str, user: &str, length: usize) -> Vec<u8> {
        (0_u64..).flat_map(|block| self.key.hash_one((purpose, user, block)).to_be_bytes()).take(length).collect()
    }
}
