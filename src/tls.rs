//! TLS for the listeners, and for the command line when it talks to a server.
//!
//! One `rustls::ServerConfig` serves MQTT, HTTP and PostgreSQL. Anything wrong with its files stops the start: a
//! server that was told to encrypt never speaks plain text.

mod trust;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use thiserror::Error;

use crate::config::TlsFiles;
use trust::Trust;

/// Why TLS cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} {path}: {source}")]
    Read {
        /// What it was to hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds nothing of the kind.
    #[error("{path} holds no {what} in PEM form (-----BEGIN …)")]
    Missing {
        /// What it was to hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file is not PEM.
    #[error("the {what} {path} is damaged: {source}")]
    Damaged {
        /// What it was to hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: PemError,
    },
    /// Certificate and key are of different pairs.
    #[error("the key {key} does not belong to the certificate {certificate}; give the pair that was made together")]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The pair cannot be used for another reason.
    #[error("the certificate {certificate} and its key cannot be used: {source}")]
    Unusable {
        /// The certificate.
        certificate: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No certificate of an authority is at hand.
    #[error("this system has no trusted certificates; name the server's with --ca FILE")]
    NoRoots,
}

/// Makes ring the provider of this process: two are linked, and rustls does not choose between them.
pub fn install_provider() {
    // A second call finds the provider of the first in place; that is what was wanted.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The server's side, from its certificate chain and key.
///
/// # Errors
/// A file is missing, damaged, or does not fit the other.
pub fn server(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.key)?;
    let unusable = |source: rustls::Error| match source {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        source => TlsError::Unusable { certificate: files.certificate.clone(), source },
    };
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(unusable)?;
    Ok(Arc::new(config))
}

/// The client's side: trusts the certificates in `authority`, or those of the system.
///
/// # Errors
/// The file is missing or damaged, or the system trusts nobody.
pub fn client(authority: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let trusted = match authority {
        Some(path) => certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(trusted.iter().cloned());
    if added == 0 {
        return Err(TlsError::NoRoots);
    }
    let unusable = |source| TlsError::Unusable { certificate: authority.unwrap_or(Path::new("")).to_owned(), source };
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(unusable)?;
    let trust = Trust::new(roots, trusted, provider());
    let trust = trust.map_err(|error| unusable(rustls::Error::General(error.to_string())))?;
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth()))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { what, path: path.to_owned(), source })
}

fn damaged(what: &'static str, path: &Path, source: PemError) -> TlsError {
    match source {
        PemError::NoItemsFound => TlsError::Missing { what, path: path.to_owned() },
        source => TlsError::Damaged { what, path: path.to_owned(), source },
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let pem = read(what, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|source| damaged(what, path, source))?;
    if chain.is_empty() { Err(damaged(what, path, PemError::NoItemsFound)) } else { Ok(chain) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "private key";
    let pem = read(what, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|source| damaged(what, path, source))
}

#[cfg(test)]
mod tests;
