//! Where a running server listens, for people and for programs.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// File in the data folder that names the addresses of the server running on it.
pub const FILE: &str = "listening.json";

/// The actual addresses, with the ports that the system chose where port 0 was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// MQTT.
    pub mqtt: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
    /// PostgreSQL wire protocol; named like its flag.
    #[serde(rename = "pg")]
    pub postgres: SocketAddr,
    /// Whether they speak TLS.
    pub tls: bool,
    /// Process id of the server.
    pub pid: u32,
}

impl Addresses {
    /// Address of the page and the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, reachable(self.http))
    }

    /// The command that connects psql.
    #[must_use]
    pub fn psql(&self) -> String {
        let address = reachable(self.postgres);
        format!("psql -h {} -p {} -U takt takt", address.ip(), address.port())
    }
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(any) if any.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], any.port())),
        SocketAddr::V6(any) if any.ip().is_unspecified() => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], any.port())),
        address => address,
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mqtt = if self.tls { "mqtts" } else { "mqtt" };
        writeln!(out, "MQTT        {mqtt}://{}", self.mqtt)?;
        writeln!(out, "HTTP        {}", self.url())?;
        write!(out, "PostgreSQL  postgres://{}/takt", self.postgres)
    }
}

/// The addresses file of a running server; removed when dropped.
#[derive(Debug)]
pub(super) struct AddressesFile {
    path: PathBuf,
}

impl AddressesFile {
    /// Removes the file of a server that was killed.
    pub(super) fn forget(data: &Path) -> io::Result<()> {
        match fs::remove_file(data.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes the file. Its presence says that every address is bound, so it appears whole or not at all.
    pub(super) fn write(data: &Path, addresses: &Addresses) -> io::Result<Self> {
        let path = data.join(FILE);
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        serde_json::to_writer_pretty(&mut file, addresses)?;
        file.write_all(b"\n")?;
        fs::rename(&new, &path)?;
        Ok(Self { path })
    }
}

impl Drop for AddressesFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "the file stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Addresses, AddressesFile, FILE};

    #[test]
    fn the_file_says_where_and_goes_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let addresses = Addresses {
            mqtt: "0.0.0.0:1883".parse().unwrap(),
            http: "0.0.0.0:8080".parse().unwrap(),
            postgres: "[::1]:5433".parse().unwrap(),
            tls: true,
            pid: 7,
        };
        let file = AddressesFile::write(folder.path(), &addresses).unwrap();
        let text = std::fs::read(folder.path().join(FILE)).unwrap();
        assert_eq!(serde_json::from_slice::<Addresses>(&text).unwrap(), addresses);
        drop(file);
        assert!(!folder.path().join(FILE).exists());
        assert_eq!(addresses.url(), "https://127.0.0.1:8080");
        assert_eq!(addresses.psql(), "psql -h ::1 -p 5433 -U takt takt");
    }
}
