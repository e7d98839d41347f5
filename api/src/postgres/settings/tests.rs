use super::*;

fn settings() -> Settings {
    Settings::new("anna")
}

#[test]
fn every_default_is_a_value_its_own_setting_accepts() {
    for known in KNOWN.iter().filter(|known| known.kind != Kind::Fixed) {
        let mut settings = settings();
        settings.set(known.name, Some(known.default), false).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert_eq!(settings.get(known.name).expect("known"), known.default, "{}", known.name);
    }
}

#[test]
fn names_are_found_in_any_case() {
    let mut settings = settings();
    settings.set("TIMEZONE", Some("Europe/Berlin"), false).expect("a zone");
    assert_eq!(settings.get("TimeZone").expect("known"), "Europe/Berlin");
    assert_eq!(settings.zone().iana_name(), Some("Europe/Berlin"));
    assert_eq!(Settings::display_name("timezone"), "TimeZone");
}

#[test]
fn a_fixed_offset_counts_east_of_utc() {
    for (text, seconds) in [("+2", 7_200), ("-05:30", -19_800), ("+0200", 7_200), ("1.5", 5_400), ("2", 7_200)] {
        assert_eq!(parse_offset(text), Some(seconds), "{text}");
    }
    assert_eq!(parse_offset("Europe/Berlin"), None);
    assert_eq!(parse_offset("99"), None);
}

#[test]
fn what_the_server_does_not_do_is_refused() {
    let mut settings = settings();
    let refused = |settings: &mut Settings, name: &str, value: &str| {
        settings.set(name, Some(value), false).expect_err("refused").sqlstate
    };
    assert_eq!(refused(&mut settings, "nonsense", "1"), sqlstate::UNDEFINED_OBJECT);
    assert_eq!(refused(&mut settings, "timezone", "Mars/Olympus"), sqlstate::INVALID_PARAMETER_VALUE);
    assert_eq!(refused(&mut settings, "datestyle", "German"), sqlstate::INVALID_PARAMETER_VALUE);
    assert_eq!(refused(&mut settings, "server_version", "16"), sqlstate::CANT_CHANGE_RUNTIME_PARAM);
    assert_eq!(refused(&mut settings, "standard_conforming_strings", "off"), sqlstate::INVALID_PARAMETER_VALUE);
}

#[test]
fn durations_have_units() {
    let mut settings = settings();
    assert_eq!(settings.statement_timeout(), None);
    for (text, milliseconds) in [("250", 250), ("2s", 2_000), ("1 min", 60_000)] {
        settings.set("statement_timeout", Some(text), false).expect("a duration");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_millis(milliseconds)), "{text}");
    }
    settings.set("statement_timeout", None, false).expect("the default");
    assert_eq!(settings.statement_timeout(), None);
}

#[test]
fn a_rollback_takes_settings_back_and_a_local_one_ends_with_its_transaction() {
    let mut settings = settings();
    settings.begin();
    settings.set("timezone", Some("Europe/Berlin"), false).expect("a zone");
    settings.end(false);
    assert_eq!(settings.get("timezone").expect("known"), "UTC");

    settings.begin();
    settings.set("timezone", Some("Europe/Berlin"), true).expect("a zone");
    settings.set("application_name", Some("report"), false).expect("a name");
    settings.end(true);
    assert_eq!(settings.get("timezone").expect("known"), "UTC");
    assert_eq!(settings.zone(), &TimeZone::UTC);
    assert_eq!(settings.get("application_name").expect("known"), "report");
}

#[test]
fn reset_goes_back_to_what_the_client_connected_with() {
    let mut settings = settings();
    let wishes = [("TimeZone", "Asia/Tokyo"), ("user", "anna"), ("server_version", "9")];
    settings.start_with(wishes).expect("known wishes");
    settings.set("timezone", Some("UTC"), false).expect("a zone");
    settings.reset_all();
    assert_eq!(settings.get("timezone").expect("known"), "Asia/Tokyo");
    assert_eq!(settings.get("server_version").expect("known"), SERVER_VERSION);
}

#[test]
fn names_with_a_dot_are_kept() {
    let mut settings = settings();
    settings.set("my.note", Some("x"), false).expect("kept");
    assert_eq!(settings.get("my.note").expect("kept"), "x");
    settings.reset("my.note").expect("known");
    assert!(settings.get("my.note").is_err());
}

#[test]
fn an_earlier_time_is_read_in_the_sessions_zone_and_stays_the_same_in_another() {
    let mut settings = settings();
    let micros = |settings: &Settings| settings.as_of().map(|time| time.as_microsecond());
    settings.set("timezone", Some("Europe/Berlin"), false).expect("a zone");
    settings.set("as_of", Some("2026-07-01 12:00"), false).expect("a time");
    assert_eq!(settings.get("as_of").expect("known"), "2026-07-01 12:00:00+02:00");
    assert_eq!(micros(&settings), Some(1_782_900_000_000_000));
    settings.set("timezone", None, false).expect("UTC");
    assert_eq!(micros(&settings), Some(1_782_900_000_000_000));
    settings.set("as_of", Some("2026-07-01 12:00:00.5-01"), false).expect("a time");
    assert_eq!(settings.get("as_of").expect("known"), "2026-07-01 13:00:00.5+00:00");
    let refused = settings.set("as_of", Some("yesterday"), false).expect_err("refused");
    assert_eq!(refused.sqlstate, sqlstate::INVALID_PARAMETER_VALUE);
    assert!(refused.message.contains("'yesterday'") && refused.message.contains("'2026-11-26 10:00:00+01'"));
    assert!(settings.as_of().is_some(), "what was set stays");
    settings.reset("as_of").expect("known");
    assert_eq!((settings.get("as_of").expect("known"), micros(&settings)), ("", None));
    settings.begin();
    settings.set("as_of", Some("2026-07-01"), true).expect("a time");
    assert!(settings.as_of().is_some());
    settings.end(true);
    assert_eq!(settings.as_of(), None, "SET LOCAL ends with its transaction");
}
