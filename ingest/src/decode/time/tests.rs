use super::*;

const T: i64 = 1_795_248_000_123_000;

#[test]
fn the_unit_follows_from_the_size() {
    assert_eq!(integer(1_795_248_000), Ok(1_795_248_000_000_000));
    assert_eq!(integer(1_795_248_000_123), Ok(T));
    assert_eq!(integer(1_795_248_000_123_000), Ok(T));
    assert_eq!(integer(1_795_248_000_123_000_999), Ok(T));
    assert_eq!(float(1_795_248_000.123), Ok(T));
    assert!(float(f64::NAN).is_err());
}

#[test]
fn text_needs_a_zone() {
    assert_eq!(text("2026-11-21T08:00:00.123Z"), Ok(T));
    assert_eq!(text("2026-11-21T09:00:00.123+01:00"), Ok(T));
    assert_eq!(text("1795248000123"), Ok(T));
    assert!(text("2026-11-21T08:00:00.123").unwrap_err().contains("has no zone"));
    assert!(text("yesterday").unwrap_err().contains("is no time"));
}
