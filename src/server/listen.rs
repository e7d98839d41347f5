//! Sockets to listen on: opened before anything else starts, refused in one line that says what to change.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use thiserror::Error;

/// One of the three faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// MQTT.
    Mqtt,
    /// HTTP.
    Http,
    /// PostgreSQL wire protocol.
    Postgres,
}

impl Face {
    fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "MQTT",
            Self::Http => "HTTP",
            Self::Postgres => "PostgreSQL",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Mqtt => "--mqtt",
            Self::Http => "--http",
            Self::Postgres => "--pg",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt.listen",
            Self::Http => "http.listen",
            Self::Postgres => "postgres.listen",
        }
    }
}

impl fmt::Display for Face {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Why takt cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is none.
    #[error("`{given}` is no address for {face}: {reason}; give host:port with {flag} or `{key}` in takt.toml", flag = .face.flag(), key = .face.key())]
    Address {
        /// Whose.
        face: Face,
        /// What was given.
        given: String,
        /// What the system said.
        reason: String,
    },
    /// The port is taken.
    #[error("{address} is taken by another program; choose another address for {face} with {flag} or `{key}` in takt.toml", flag = .face.flag(), key = .face.key())]
    Taken {
        /// Whose.
        face: Face,
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses.
    #[error("cannot listen on {address} for {face}: {source}; choose another address with {flag} or `{key}` in takt.toml", flag = .face.flag(), key = .face.key())]
    Refused {
        /// Whose.
        face: Face,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Others could connect, and nobody has to log in.
    #[error(
        "{address} for {face} can be reached from other machines, but there is no user yet; add one with `takt user add NAME --role admin --data {data}`, or listen on 127.0.0.1"
    )]
    Open {
        /// Whose.
        face: Face,
        /// The address.
        address: SocketAddr,
        /// The data folder.
        data: String,
    },
}

/// The socket address that `given` names.
///
/// # Errors
/// It names none.
pub(super) fn resolve(face: Face, given: &str) -> Result<SocketAddr, ListenError> {
    let wrong = |reason: String| ListenError::Address { face, given: given.to_owned(), reason };
    let mut found = given.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("the name has no address".to_owned()))
}

/// Opens a listening socket on `address`.
///
/// # Errors
/// The port is taken, or the system refuses.
pub(super) fn bind(face: Face, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { face, address },
        _ => ListenError::Refused { face, address, source },
    };
    let listener = TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::{Face, ListenError, bind, resolve};

    #[test]
    fn a_taken_port_is_one_line_with_address_key_and_flag() {
        let first = bind(Face::Http, resolve(Face::Http, "127.0.0.1:0").unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(Face::Http, address).unwrap_err();
        assert!(matches!(error, ListenError::Taken { .. }));
        let line = error.to_string();
        for part in [&address.to_string(), "--http", "`http.listen`"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains('\n'));
    }

    #[test]
    fn wrong_addresses_are_named() {
        let line = resolve(Face::Mqtt, "1883").unwrap_err().to_string();
        assert!(line.contains("`1883`") && line.contains("--mqtt"), "{line}");
    }
}
