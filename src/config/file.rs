//! `takt.toml`: from text to settings, with every mistake found at once.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ingest::subscriber::address;
use rumqttc::valid_filter;
use toml::de::DeTable;

use super::age;
use super::document::Section;
use super::mistake::{ConfigError, Mistake, Mistakes};
use super::{AdmissionSettings, Broker, Config, MqttProtocol, QuerySettings, StorageSettings, TlsFiles};

/// Reads the settings file at `path`. Relative paths in it start at its own folder.
///
/// # Errors
/// The file cannot be read, or has mistakes.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map_err(|mistakes| ConfigError::Mistakes { path: path.to_owned(), mistakes })
}

/// The settings that `text` says, its relative paths taken from `folder`.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Config, Vec<Mistake>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut mistakes = Mistakes::new(text);
    for error in errors {
        mistakes.add(&error.span().unwrap_or(0..0), error.message());
    }
    let config = read(Section::root(&document), folder, &mut mistakes);
    let mistakes = mistakes.finish();
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

fn read(mut root: Section<'_>, folder: &Path, mistakes: &mut Mistakes<'_>) -> Config {
    let mut config = Config::default();
    config.data = folder.join(root.path("data", mistakes).unwrap_or(config.data));
    config.plant = root.path("plant", mistakes).map(|plant| folder.join(plant));
    let addresses = [
        ("mqtt", &mut config.listen.mqtt),
        ("http", &mut config.listen.http),
        ("postgres", &mut config.listen.postgres),
    ];
    for (name, address) in addresses {
        let mut section = root.section(name, mistakes);
        if let Some(listen) = section.text("listen", mistakes) {
            *address = listen;
        }
        section.finish(mistakes);
    }
    config.tls = tls(root.section("tls", mistakes), folder, mistakes);
    config.storage = storage(root.section("storage", mistakes), mistakes);
    config.retention = age::retention(root.section("retention", mistakes), mistakes);
    config.tiering = age::tiering(root.section("tiering", mistakes), folder, &config.retention, mistakes);
    config.admission = admission(root.section("admission", mistakes), mistakes);
    config.query = query(root.section("query", mistakes), mistakes);
    for section in root.sections("brokers", mistakes) {
        let (name_span, id_span) = (section.span_of("name"), section.span_of("client_id"));
        let Some(broker) = broker(section, folder, mistakes) else { continue };
        if config.brokers.iter().any(|other| other.name == broker.name) {
            mistakes.add(&name_span, format!("two brokers are named `{}`; give each a name of its own", broker.name));
        } else if config.brokers.iter().any(|other| other.client_id == broker.client_id && other.url == broker.url) {
            let id = &broker.client_id;
            mistakes.add(
                &id_span,
                format!("two subscriptions have the client id `{id}`; the broker keeps only one of them"),
            );
        }
        config.brokers.push(broker);
    }
    root.finish(mistakes);
    config
}

fn tls(mut section: Section<'_>, folder: &Path, mistakes: &mut Mistakes<'_>) -> Option<TlsFiles> {
    let certificate = section.path("certificate", mistakes);
    let key = section.path("key", mistakes);
    let (present, span) = (section.present(), section.span().clone());
    section.finish(mistakes);
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some(TlsFiles { certificate: folder.join(certificate), key: folder.join(key) })
        }
        // Half a pair must never end as plain text.
        _ if present => {
            mistakes.add(&span, "`tls` needs both `certificate` and `key`, or must be removed");
            None
        }
        _ => None,
    }
}

fn storage(mut section: Section<'_>, mistakes: &mut Mistakes<'_>) -> StorageSettings {
    let default = StorageSettings::default();
    let settings = StorageSettings {
        flush_interval_s: section.count("flush_interval_s", 1, mistakes).unwrap_or(default.flush_interval_s),
        flush_rows: section.count("flush_rows", 1, mistakes).unwrap_or(default.flush_rows),
        wal_linger_us: section.count("wal_linger_us", 0, mistakes).unwrap_or(default.wal_linger_us),
        wal_file_bytes: section.count("wal_file_bytes", 1 << 20, mistakes).unwrap_or(default.wal_file_bytes),
    };
    section.finish(mistakes);
    settings
}

fn admission(mut section: Section<'_>, mistakes: &mut Mistakes<'_>) -> AdmissionSettings {
    let default = AdmissionSettings::default();
    let max_ahead_s = section.integer("max_ahead_s", 0..=i64::from(u32::MAX), mistakes);
    let year = section.integer("earliest_year", 1..=9999, mistakes);
    let settings = AdmissionSettings {
        max_ahead_s: max_ahead_s.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(default.max_ahead_s),
        earliest_year: year.and_then(|year| i16::try_from(year).ok()).unwrap_or(default.earliest_year),
        quarantine_bytes: section.count("quarantine_bytes", 1 << 20, mistakes).unwrap_or(default.quarantine_bytes),
    };
    section.finish(mistakes);
    settings
}

fn query(mut section: Section<'_>, mistakes: &mut Mistakes<'_>) -> QuerySettings {
    let default = QuerySettings::default();
    let settings = QuerySettings {
        memory_bytes: section.count("memory_bytes", 16 << 20, mistakes).unwrap_or(default.memory_bytes),
        timeout_s: section.count("timeout_s", 1, mistakes).unwrap_or(default.timeout_s),
        max_rows: section.count("max_rows", 1, mistakes).unwrap_or(default.max_rows),
    };
    section.finish(mistakes);
    settings
}

fn broker(mut section: Section<'_>, folder: &Path, mistakes: &mut Mistakes<'_>) -> Option<Broker> {
    let name = section.text("name", mistakes);
    let url = section.text("url", mistakes);
    let topics = section.texts("topics", mistakes);
    let client_id = section.text("client_id", mistakes);
    let user = section.text("user", mistakes);
    let password_file = section.path("password_file", mistakes);
    let ca = section.path("ca", mistakes);
    let protocol = match section.text("protocol", mistakes).as_deref() {
        None | Some("3.1.1") => MqttProtocol::V4,
        Some("5") => MqttProtocol::V5,
        Some(other) => {
            let message = format!("`brokers.protocol` is \"{other}\"; it can be \"3.1.1\" or \"5\"");
            mistakes.add(&section.span_of("protocol"), message);
            MqttProtocol::V4
        }
    };
    if let Some(Err(error)) = url.as_deref().map(address) {
        mistakes.add(&section.span_of("url"), error.to_string());
    }
    if let Some(topics) = &topics {
        check_topics(topics, &section.span_of("topics"), mistakes);
    }
    // What is there and wrong has been told already.
    for key in ["name", "url", "topics"].into_iter().filter(|key| !section.has(key)) {
        mistakes.add(section.span(), format!("a broker needs `{key}`"));
    }
    section.finish(mistakes);
    let name = name?;
    Some(Broker {
        client_id: client_id.unwrap_or_else(|| format!("takt-{name}")),
        name,
        url: url?,
        topics: topics?,
        user,
        password_file: password_file.map(|file: PathBuf| folder.join(file)),
        ca: ca.map(|file: PathBuf| folder.join(file)),
        protocol,
    })
}

fn check_topics(topics: &[String], span: &Range<usize>, mistakes: &mut Mistakes<'_>) {
    if topics.is_empty() {
        mistakes.add(span, "`brokers.topics` is empty; [\"#\"] subscribes to everything");
    }
    for topic in topics.iter().filter(|topic| !valid_filter(topic)) {
        let message = format!(
            "`{topic}` is no topic filter; `+` and `#` stand for whole levels, `#` only for the last: plant/+/state"
        );
        mistakes.add(span, message);
    }
}
