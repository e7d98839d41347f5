//! What a session can `SET` and `SHOW`. Only a few settings have an effect (time zone, statement timeout, `as_of`);
//! the others are remembered because drivers set them and read them back.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::failure::{Failure, sqlstate};

#[cfg(test)]
mod tests;

/// The PostgreSQL release whose behaviour clients may expect.
pub(crate) const SERVER_VERSION: &str = "15.8";
/// The same as a number, as `server_version_num` says it.
pub(crate) const SERVER_VERSION_NUM: &str = "150008";

/// What `version()` answers: drivers parse its beginning.
pub(crate) fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} (takt {}) on {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH)
}

/// What may be done with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Fixed by the server.
    Fixed,
    /// Free text.
    Text,
    /// A duration in milliseconds, or with a unit.
    Duration,
    /// An IANA zone or a fixed offset.
    Zone,
    /// An instant, without an offset in the session's zone, or nothing.
    Instant,
    /// Only values that mean what the server does anyway.
    OneOf(&'static [&'static str]),
}

struct Known {
    /// As PostgreSQL spells it.
    name: &'static str,
    default: &'static str,
    kind: Kind,
    /// Told to the client whenever it changes.
    reported: bool,
}

const fn known(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known { name, default, kind, reported: false }
}

const fn reported(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known { name, default, kind, reported: true }
}

const SWITCH: Kind = Kind::OneOf(&["on", "off", "true", "false", "yes", "no", "1", "0"]);
const ON: Kind = Kind::OneOf(&["on", "true", "yes", "1"]);
const ISOLATION: Kind =
    Kind::OneOf(&["read committed", "read uncommitted", "repeatable read", "serializable", "default"]);

/// Every setting there is.
const KNOWN: &[Known] = &[
    reported("application_name", "", Kind::Text),
    // takt's own: the recorded time as of which tables are shown.
    known("as_of", "", Kind::Instant),
    known("backslash_quote", "safe_encoding", Kind::Text),
    known("bytea_output", "hex", Kind::OneOf(&["hex"])),
    reported("client_encoding", "UTF8", Kind::OneOf(&["utf8", "utf-8", "unicode", "auto"])),
    known("client_min_messages", "notice", Kind::Text),
    known("cursor_tuple_fraction", "0.1", Kind::Text),
    reported("DateStyle", "ISO, MDY", Kind::OneOf(&["iso", "iso, mdy", "iso, dmy", "iso, ymd"])),
    known("default_table_access_method", "heap", Kind::Fixed),
    known("default_tablespace", "", Kind::Text),
    known("default_transaction_deferrable", "off", SWITCH),
    known("default_transaction_isolation", "read committed", ISOLATION),
    reported("default_transaction_read_only", "on", SWITCH),
    known("escape_string_warning", "on", SWITCH),
    known("extra_float_digits", "1", Kind::Text),
    known("geqo", "on", SWITCH),
    known("idle_in_transaction_session_timeout", "0", Kind::Duration),
    known("idle_session_timeout", "0", Kind::Duration),
    reported("in_hot_standby", "off", Kind::Fixed),
    reported("integer_datetimes", "on", Kind::Fixed),
    reported("IntervalStyle", "postgres", Kind::OneOf(&["postgres"])),
    reported("is_superuser", "off", Kind::Fixed),
    known("jit", "off", SWITCH),
    known("lc_collate", "C.UTF-8", Kind::Fixed),
    known("lc_ctype", "C.UTF-8", Kind::Fixed),
    known("lc_messages", "C.UTF-8", Kind::Text),
    known("lc_monetary", "C.UTF-8", Kind::Text),
    known("lc_numeric", "C.UTF-8", Kind::Text),
    known("lc_time", "C.UTF-8", Kind::Text),
    known("lock_timeout", "0", Kind::Duration),
    known("max_connections", "200", Kind::Fixed),
    known("max_identifier_length", "63", Kind::Fixed),
    known("max_index_keys", "32", Kind::Fixed),
    known("quote_all_identifiers", "off", SWITCH),
    known("row_security", "on", SWITCH),
    known("search_path", "\"$user\", public", Kind::Text),
    reported("server_encoding", "UTF8", Kind::Fixed),
    reported("server_version", SERVER_VERSION, Kind::Fixed),
    known("server_version_num", SERVER_VERSION_NUM, Kind::Fixed),
    reported("session_authorization", "", Kind::Fixed),
    known("ssl", "off", Kind::Fixed),
    reported("standard_conforming_strings", "on", ON),
    known("statement_timeout", "0", Kind::Duration),
    known("synchronize_seqscans", "on", SWITCH),
    reported("TimeZone", "UTC", Kind::Zone),
    known("transaction_deferrable", "off", SWITCH),
    known("transaction_isolation", "read committed", ISOLATION),
    known("transaction_read_only", "on", SWITCH),
    known("xmloption", "content", Kind::Text),
];

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// One session's settings; SQL functions read them while its statements run.
#[derive(Debug, Clone)]
pub(crate) struct SharedSettings(Arc<RwLock<Settings>>);

impl SharedSettings {
    pub(crate) fn new(settings: Settings) -> SharedSettings {
        SharedSettings(Arc::new(RwLock::new(settings)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Settings> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Settings> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both are the same session's.
    pub(crate) fn is_same(&self, other: &SharedSettings) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A session's settings; names in lower case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
    /// What `RESET` goes back to: the server's defaults and what the client sent when it connected.
    defaults: BTreeMap<String, String>,
    /// What `ROLLBACK` goes back to.
    before_transaction: Option<BTreeMap<String, String>>,
    /// What a `SET LOCAL` goes back to at the transaction's end.
    before_local: BTreeMap<String, Option<String>>,
    zone: TimeZone,
    statement_timeout: Option<Duration>,
    as_of: Option<Timestamp>,
}

impl Settings {
    /// The settings of a session of `user`.
    pub(crate) fn new(user: &str) -> Settings {
        let mut defaults: BTreeMap<String, String> =
            KNOWN.iter().map(|known| (known.name.to_ascii_lowercase(), known.default.to_owned())).collect();
        defaults.insert("session_authorization".to_owned(), user.to_owned());
        Settings {
            values: defaults.clone(),
            defaults,
            before_transaction: None,
            before_local: BTreeMap::new(),
            zone: TimeZone::UTC,
            statement_timeout: None,
            as_of: None,
        }
    }

    /// Takes over what a client asked for when it connected. What the server does not know there is left
    /// out, as drivers send much; a known setting with a bad value is refused.
    pub(crate) fn start_with<'a>(
        &mut self,
        wishes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Failure> {
        for (name, value) in wishes {
            if find(name).is_some_and(|known| known.kind != Kind::Fixed) {
                self.assign(name, value)?;
            }
        }
        self.defaults = self.values.clone();
        Ok(())
    }

    /// `SET name = value`; without a value back to the default.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<(), Failure> {
        let name = name.to_ascii_lowercase();
        if local {
            let before = self.values.get(&name).cloned();
            self.before_local.entry(name.clone()).or_insert(before);
        } else {
            self.before_local.remove(&name);
        }
        match value {
            Some(value) => self.assign(&name, value),
            None => self.reset(&name),
        }
    }

    fn assign(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let name = name.to_ascii_lowercase();
        let Some(known) = find(&name) else {
            // Names with a dot belong to nobody here: PostgreSQL keeps them too.
            if name.contains('.') {
                self.values.insert(name, value.to_owned());
                return Ok(());
            }
            return Err(unrecognized(&name));
        };
        let value = value.trim();
        let value = match known.kind {
            Kind::Fixed => {
                return Err(Failure::new(
                    sqlstate::CANT_CHANGE_RUNTIME_PARAM,
                    format!("parameter \"{}\" cannot be changed", known.name),
                ));
            }
            Kind::Text => value.to_owned(),
            Kind::Duration => {
                parse_duration(value).ok_or_else(|| invalid(known.name, value))?;
                value.to_owned()
            }
            Kind::Zone => {
                let (zone, shown) = parse_zone(value).ok_or_else(|| invalid(known.name, value))?;
                self.zone = zone;
                shown
            }
            Kind::Instant if value.is_empty() => String::new(),
            Kind::Instant => {
                let instant = query::parse_as_of(value, &self.zone)
                    .map_err(|error| Failure::new(sqlstate::INVALID_PARAMETER_VALUE, error.to_string()))?;
                // With its offset, so that it stays the same in another zone.
                let shown = instant.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.f%:z").to_string();
                // It is read again from its text: a year before the first is no time that anything was recorded at.
                if query::parse_as_of(&shown, &TimeZone::UTC).ok() != Some(instant) {
                    return Err(invalid(known.name, value));
                }
                shown
            }
            Kind::OneOf(allowed) => {
                if !allowed.contains(&value.to_ascii_lowercase().as_str()) {
                    return Err(invalid(known.name, value));
                }
                canonical(known, value)
            }
        };
        self.values.insert(name, value);
        self.refresh();
        Ok(())
    }

    /// `RESET name`.
    pub(crate) fn reset(&mut self, name: &str) -> Result<(), Failure> {
        let name = name.to_ascii_lowercase();
        match self.defaults.get(&name) {
            Some(default) => {
                self.values.insert(name, default.clone());
            }
            None if name.contains('.') => {
                self.values.remove(&name);
            }
            None => return Err(unrecognized(&name)),
        }
        self.refresh();
        Ok(())
    }

    /// `RESET ALL`, `DISCARD ALL`.
    pub(crate) fn reset_all(&mut self) {
        self.values = self.defaults.clone();
        self.before_local.clear();
        self.refresh();
    }

    /// A setting's value, if there is such a setting.
    pub(crate) fn get(&self, name: &str) -> Result<&str, Failure> {
        let name = name.to_ascii_lowercase();
        self.values.get(&name).map(String::as_str).ok_or_else(|| unrecognized(&name))
    }

    /// The name a `SHOW` gives its column, and `SHOW ALL` its rows.
    pub(crate) fn display_name(name: &str) -> &str {
        find(name).map_or(name, |known| known.name)
    }

    /// Every setting and its value, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (Settings::display_name(name), value.as_str()))
    }

    /// What a client is told when it connects, and of every change.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (&'static str, &str)> {
        KNOWN.iter().filter(|known| known.reported).filter_map(|known| {
            self.values.get(&known.name.to_ascii_lowercase()).map(|value| (known.name, value.as_str()))
        })
    }

    /// The zone in which times with a zone are shown, and in which texts without one are read.
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// How long a statement may take.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    /// The recorded time as of which tables are shown.
    pub(crate) fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// A transaction begins: its rollback takes settings back.
    pub(crate) fn begin(&mut self) {
        self.before_transaction = Some(self.values.clone());
        self.before_local.clear();
    }

    /// The transaction ends.
    pub(crate) fn end(&mut self, committed: bool) {
        let before = self.before_transaction.take();
        let local = std::mem::take(&mut self.before_local);
        if committed {
            for (name, value) in local {
                match value {
                    Some(value) => self.values.insert(name, value),
                    None => self.values.remove(&name),
                };
            }
        } else if let Some(before) = before {
            self.values = before;
        }
        self.refresh();
    }

    /// Derives what is used often from the texts, which have been checked when they were set.
    fn refresh(&mut self) {
        if let Some((zone, _)) = self.values.get("timezone").and_then(|zone| parse_zone(zone)) {
            self.zone = zone;
        }
        self.statement_timeout = self
            .values
            .get("statement_timeout")
            .and_then(|value| parse_duration(value))
            .filter(|timeout| !timeout.is_zero());
        self.as_of = self.values.get("as_of").and_then(|value| query::parse_as_of(value, &TimeZone::UTC).ok());
    }
}

/// The one spelling a value is shown in.
fn canonical(known: &Known, value: &str) -> String {
    let lower = value.to_ascii_lowercase();
    match (known.name, lower.as_str()) {
        ("client_encoding", _) => "UTF8".to_owned(),
        ("DateStyle", "iso") => "ISO, MDY".to_owned(),
        ("DateStyle", _) => value.to_ascii_uppercase(),
        (_, "true" | "yes" | "1") => "on".to_owned(),
        (_, "false" | "no" | "0") => "off".to_owned(),
        _ => lower,
    }
}

fn unrecognized(name: &str) -> Failure {
    Failure::new(sqlstate::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

fn invalid(name: &str, value: &str) -> Failure {
    Failure::new(sqlstate::INVALID_PARAMETER_VALUE, format!("invalid value for parameter \"{name}\": \"{value}\""))
}

/// Milliseconds, or a number with one of PostgreSQL's units.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_us = match unit.trim() {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.checked_mul(unit_us).map(Duration::from_micros)
}

/// A zone and the text it is shown as. Fixed offsets count east of UTC, as in ISO 8601 and `SET TIME ZONE`.
fn parse_zone(text: &str) -> Option<(TimeZone, String)> {
    let text = text.trim();
    if ["utc", "z", "gmt", "etc/utc", "zulu"].contains(&text.to_ascii_lowercase().as_str()) {
        return Some((TimeZone::UTC, if text.eq_ignore_ascii_case("z") { "UTC" } else { text }.to_owned()));
    }
    if let Some(seconds) = parse_offset(text) {
        return Some((TimeZone::fixed(Offset::from_seconds(seconds).ok()?), text.to_owned()));
    }
    let zone = TimeZone::get(text).ok()?;
    let shown = zone.iana_name().unwrap_or(text).to_owned();
    Some((zone, shown))
}

/// `+2`, `-05:30`, `+0200`, `1.5`: seconds east of UTC.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.is_ascii() || !digits.starts_with(|character: char| character.is_ascii_digit()) {
        return None;
    }
    if let Some((whole, _)) = digits.split_once('.') {
        whole.parse::<u8>().ok()?;
        let hours: f64 = digits.parse().ok()?;
        return (hours <= 24.0).then(|| sign * (hours * 3600.0).round() as i32);
    }
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if digits.len() == 4 => digits.split_at(2),
        None => (digits, "0"),
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}
