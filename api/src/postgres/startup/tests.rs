use super::*;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn options_come_in_three_spellings() {
    assert_eq!(
        read_options("-c statement_timeout=5s -cTimeZone=UTC --extra-float-digits=2"),
        [pair("statement_timeout", "5s"), pair("TimeZone", "UTC"), pair("extra_float_digits", "2")]
    );
}

#[test]
fn a_backslash_keeps_a_space() {
    assert_eq!(read_options("-c application_name=shift\\ report"), [pair("application_name", "shift report")]);
}

#[test]
fn what_is_no_setting_is_left_out() {
    assert!(read_options("-v -c  nonsense -c").is_empty());
}

#[test]
fn the_connection_itself_is_no_setting() {
    let mut startup = Startup::new();
    for (name, value) in [("user", "anna"), ("database", "takt"), ("TimeZone", "UTC"), ("_pq_.x", "1")] {
        startup.parameters.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(wishes(&startup), [pair("TimeZone", "UTC")]);
}
