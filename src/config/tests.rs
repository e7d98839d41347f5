use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::parse;
use super::{Config, MqttProtocol, Overrides};

const SHIPPED: &str = include_str!("../../takt.toml");

fn mistakes(text: &str) -> Vec<String> {
    match parse(text, Path::new("")) {
        Ok(config) => panic!("no mistake found, but {config:?}"),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn shipped_file_equals_the_defaults() {
    assert_eq!(parse(SHIPPED, Path::new("")), Ok(Config::default()));
    assert_eq!(parse("", Path::new("")), Ok(Config::default()));
}

/// The shipped file with its optional keys switched on knows every key, and each one takes effect.
#[test]
fn shipped_file_shows_every_key() {
    let is_setting = |line: &str| line.starts_with('[') || line.split(" = ").next().is_some_and(is_key);
    let opened: Vec<&str> = SHIPPED
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_setting(rest) => rest,
            _ => line,
        })
        .collect();
    let config = parse(&opened.join("\n"), Path::new("/etc/takt")).unwrap();
    assert_eq!(config.plant, Some(PathBuf::from("/etc/takt/plant.toml")));
    assert_eq!(config.tls.unwrap().key, PathBuf::from("/etc/takt/tls/server.key"));
    assert_eq!(config.retention.len(), 5);
    let tiering = config.tiering.unwrap();
    assert_eq!((tiering.folder, tiering.ages.len()), (PathBuf::from("/mnt/cold/takt"), 5));
    let [broker] = config.brokers.as_slice() else { panic!("one broker expected") };
    assert_eq!(broker.client_id, "takt-plant");
    assert_eq!(broker.protocol, MqttProtocol::V5);
    assert_eq!(broker.password_file, Some(PathBuf::from("/etc/takt/broker.password")));
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

#[test]
fn unknown_keys_name_place_and_neighbour() {
    assert_eq!(
        mistakes("[storage]\nflush_interval = 5\n\n[qury]\n"),
        [
            "2:1: unknown key `storage.flush_interval`; did you mean `flush_interval_s`?",
            "4:2: unknown key `qury`; did you mean `query`?",
        ]
    );
    assert_eq!(mistakes("[http]\nx = 1"), ["2:1: unknown key `http.x`; known here are listen"]);
}

#[test]
fn every_mistake_is_reported() {
    let found = mistakes("data = 5\n[mqtt]\nlisten = \"\"\n[query]\ntimeout_s = 0\n[[brokers]]\nname = \"b\"\n");
    let lines: Vec<&str> = found.iter().map(|mistake| mistake.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["1", "3", "5", "6", "6"]);
    assert!(found[0].contains("`data` must be text"), "{found:?}");
    assert!(found[2].contains("from 1 to"), "{found:?}");
}

#[test]
fn every_mistake_of_every_broker_is_reported() {
    let found = mistakes(
        "[[brokers]]\nname = \"a\"\nurl = \"http://host\"\ntopics = [\"plant/#/state\", \"x+\", \"#\"]\nprotocol = \"4\"\n\
         [[brokers]]\nname = \"b\"\nurl = \"mqtt://host:port\"\ntopics = []\n\
         [[brokers]]\nname = \"b\"\nurl = 5\nuser_name = \"x\"\n",
    );
    let expected = [
        ("3:7: ", "`http://host` is no broker's address; write mqtt://host:1883"),
        ("4:10: ", "`plant/#/state` is no topic filter"),
        ("4:10: ", "`x+` is no topic filter"),
        ("5:12: ", "`brokers.protocol` is \"4\""),
        ("8:7: ", "`mqtt://host:port` is no broker's address"),
        ("9:10: ", "`brokers.topics` is empty"),
        ("10:1: ", "a broker needs `topics`"),
        ("12:7: ", "`brokers.url` must be text in quotes"),
        ("13:1: ", "unknown key `brokers.user_name`"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (mistake, (place, words)) in found.iter().zip(expected) {
        assert!(mistake.starts_with(place) && mistake.contains(words), "{mistake} is not {place}{words}");
    }
    let broker = |name: &str, more: &str| {
        format!("[[brokers]]\nname = \"{name}\"\nurl = \"mqtt://host\"\ntopics = [\"#\"]\n{more}\n")
    };
    let twice = mistakes(&(broker("a", "client_id = \"c\"") + &broker("b", "client_id = \"c\"") + &broker("a", "")));
    assert_eq!(
        twice,
        [
            "10:13: two subscriptions have the client id `c`; the broker keeps only one of them",
            "12:8: two brokers are named `a`; give each a name of its own",
        ]
    );
}

#[test]
fn half_a_tls_pair_is_an_error() {
    assert_eq!(
        mistakes("[tls]\ncertificate = \"a\"\n"),
        ["1:1: `tls` needs both `certificate` and `key`, or must be removed"]
    );
}

#[test]
fn syntax_errors_carry_their_place() {
    let found = mistakes("data = \"x\"\nplant = \n");
    assert!(found[0].starts_with("2:"), "{found:?}");
}

#[test]
fn overrides_win() {
    let config = Config::default().with(Overrides {
        data: Some(PathBuf::from("d")),
        http: Some("127.0.0.1:0".into()),
        ..Overrides::default()
    });
    assert_eq!(config.data, PathBuf::from("d"));
    assert_eq!(config.listen.http, "127.0.0.1:0");
    assert_eq!(config.listen.mqtt, Config::default().listen.mqtt);
}

#[test]
fn ages_are_days_weeks_and_years() {
    let text = "[retention]\nsamples = \"2 years\"\nquarantine = \"1 week\"\n[tiering]\nfolder = \"cold\"\nsamples = \"1 day\"";
    let config = parse(text, Path::new("/etc/takt")).unwrap();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(config.retention, [("samples", days(730)), ("quarantine", days(7))].into());
    let tiering = config.tiering.unwrap();
    assert_eq!((tiering.folder, tiering.ages), (PathBuf::from("/etc/takt/cold"), [("samples", days(1))].into()));
}

#[test]
fn ages_that_cannot_be_meant_say_what_to_write() {
    for age in ["0 days", "90", "-1 days", "1.5 days", "3 months", "12 hours", "99999999 years", "days"] {
        let found = mistakes(&format!("[retention]\nsamples = \"{age}\""));
        assert_eq!(found.len(), 1, "{age}: {found:?}");
        assert!(found[0].starts_with(&format!("2:11: `retention.samples` is \"{age}\"; write days")), "{found:?}");
    }
    let found = mistakes(
        "[retention]\nsample = \"9 days\"\noperations = \"9 days\"\nshifts = \"9 days\"\ncounts = 30\n\
         [tiering]\ncounts = \"9 days\"\n",
    );
    let expected = [
        ("2:1: ", "unknown key `retention.sample`; did you mean `samples`?"),
        (
            "3:1: ",
            "`retention.operations` cannot be set: rows of `operations` are kept and stay: ages can be given for samples, ",
        ),
        ("4:1: ", "`retention.shifts` cannot be set"),
        ("5:10: ", "`retention.counts` must be text in quotes"),
        ("6:", "`tiering` needs a `folder` on another disk"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, (place, message)) in found.iter().zip(expected) {
        assert!(found.starts_with(place) && found.contains(message), "{found}, expected {message}");
    }
    let found = mistakes("[retention]\nsamples = \"90 days\"\n[tiering]\nfolder = \"cold\"\nsamples = \"90 days\"\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("5:11: `tiering.samples` is 90 days") && found[0].contains("never move"), "{found:?}");
    assert!(mistakes("[tiering]\nfolder = \"cold\"\n")[0].contains("the age of at least one table"));
}
