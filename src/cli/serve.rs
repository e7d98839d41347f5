//! `takt serve`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tracing::info;

use super::terminal;
use crate::config::{self, Config, Overrides};
use crate::server::Server;

const CONFIG_FILE: &str = "takt.toml";

/// Run the server
///
/// Equipment publishes over MQTT, every message is on disk before it is acknowledged, and SQL and the live page answer
/// at once. Stops cleanly on SIGTERM and Ctrl-C: sources first, then what is under way is stored; a second signal ends
/// it at once, and nothing acknowledged is lost either way.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Settings file; without it takt.toml in the current folder, where there is one
    #[arg(long, value_name = "FILE", env = "TAKT_CONFIG")]
    config: Option<PathBuf>,
    /// Plant file: equipment, topics, signals, shifts, products
    #[arg(long, value_name = "FILE", env = "TAKT_PLANT")]
    plant: Option<PathBuf>,
    #[command(flatten)]
    addresses: AddressArgs,
}

// Where the data lies and where to listen. No doc comment: it would become the help text of the commands.
#[derive(Debug, Args)]
pub(super) struct AddressArgs {
    /// Folder of the data, created on first start
    #[arg(long, value_name = "DIR", env = "TAKT_DATA")]
    data: Option<PathBuf>,
    /// Listen for MQTT here [default: 127.0.0.1:1883]
    #[arg(long, value_name = "ADDR", env = "TAKT_MQTT")]
    mqtt: Option<String>,
    /// Listen for HTTP here [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "TAKT_HTTP")]
    http: Option<String>,
    /// Listen for PostgreSQL clients here [default: 127.0.0.1:5433]
    #[arg(long, value_name = "ADDR", env = "TAKT_PG")]
    pg: Option<String>,
}

impl AddressArgs {
    pub(super) fn overrides(self, plant: Option<PathBuf>) -> Overrides {
        Overrides { data: self.data, plant, mqtt: self.mqtt, http: self.http, postgres: self.pg }
    }
}

/// The settings: flags and environment over the file over the defaults.
fn settings(args: ServeArgs) -> anyhow::Result<Config> {
    let found = Path::new(CONFIG_FILE);
    let file = args.config.or_else(|| found.exists().then(|| found.to_owned()));
    let config = match file {
        Some(file) => {
            info!(file = %file.display(), "settings");
            config::load(&file)?
        }
        None => Config::default(),
    };
    Ok(config.with(args.addresses.overrides(args.plant)))
}

pub(super) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = settings(args)?;
    let server = Server::start(config)?;
    terminal::say(server.addresses())?;
    server.run_until_signal()?;
    Ok(ExitCode::SUCCESS)
}
