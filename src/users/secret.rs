//! Derived secrets: salted passwords and token digests.

use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::UsersError;

/// Rounds of PBKDF2 for new passwords: about 10 ms. PostgreSQL clients repeat them at each connection, so more of them
/// would be felt by every dashboard.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(20_479);
const SALT_BYTES: usize = 16;
const TOKEN_BYTES: usize = 32;
const TOKEN_PREFIX: &str = "takt_";

/// A salted password, SCRAM's `SaltedPassword` with SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SaltedPassword {
    #[serde(with = "as_base64")]
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    #[serde(with = "as_base64")]
    pub(super) salted_password: Vec<u8>,
}

impl SaltedPassword {
    /// Salts a new password.
    pub(super) fn new(password: &str) -> Result<Self, UsersError> {
        if password.is_empty() {
            return Err(UsersError::Password("an empty password protects nothing; give one"));
        }
        let prepared = prepare(password.as_bytes()).ok_or(UsersError::Password(
            "the password holds characters that SCRAM does not allow, such as control characters",
        ))?;
        let salt = random::<SALT_BYTES>()?.to_vec();
        let salted_password = derive(&salt, ITERATIONS, &prepared);
        Ok(Self { salt, iterations: ITERATIONS, salted_password })
    }

    /// Whether it was made from `password`.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        prepare(password).is_some_and(|prepared| {
            pbkdf2::verify(PBKDF2_HMAC_SHA256, self.iterations, &self.salt, &prepared, &self.salted_password).is_ok()
        })
    }
}

/// Spends the time of one password check, so that an unknown name answers as slowly as a wrong password.
pub(super) fn spend_a_check(password: &[u8]) {
    derive(&[0; SALT_BYTES], ITERATIONS, password);
}

fn derive(salt: &[u8], iterations: NonZeroU32, password: &[u8]) -> Vec<u8> {
    let mut salted = vec![0; ring::digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(PBKDF2_HMAC_SHA256, iterations, salt, password, &mut salted);
    salted
}

/// SASLprep (RFC 4013), as SCRAM clients apply it before they hash.
fn prepare(password: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(password).ok()?;
    let prepared = stringprep::saslprep(text).ok()?;
    Some(prepared.into_owned().into_bytes())
}

/// A new token, in clear; only its digest is ever kept.
pub(super) fn new_token() -> Result<String, UsersError> {
    let bytes = random::<TOKEN_BYTES>()?;
    Ok(format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

/// SHA-256 of a token, in hexadecimal. A token has 256 random bits: no salt or stretching is needed.
pub(super) fn token_digest(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random<const N: usize>() -> Result<[u8; N], UsersError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| UsersError::Random)?;
    Ok(bytes)
}

mod as_base64 {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{BASE64_STANDARD, Engine};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}
