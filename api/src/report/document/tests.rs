use super::*;

#[test]
fn numbers_read_as_people_write_them() {
    assert_eq!(placed(-0.0001, 2), "0.00");
    assert_eq!(placed(-1.5, 1), "−1.5");
    assert_eq!(placed(f64::NAN, 1), NONE);
    assert_eq!(placed(f64::INFINITY, 1), NONE);
    assert_eq!(reading(0.000_123_456_7, 5), "0.00012346");
    assert_eq!(reading(12_345.678, 5), "12346");
    assert_eq!(reading(10.0, 5), "10");
    assert_eq!(reading(100.0, 5), "100");
    assert_eq!(reading(0.0, 5), "0");
    assert_eq!([24_999.875, -10.0, 1.234_167_8, 1e-10].map(exact), ["24999.875", "−10", "1.2341678", "1e−10"]);
    assert_eq!(grouped(1_234_567), "1,234,567");
    assert_eq!(grouped(-999), "−999");
    assert_eq!(grouped(0), "0");
}

#[test]
fn places_follow_the_spread() {
    assert_eq!(places_for(Some(0.023)), 4);
    assert_eq!(places_for(Some(150.0)), 0);
    assert_eq!(places_for(Some(0.0)), 3);
    assert_eq!(places_for(None), 3);
}

#[test]
fn what_is_missing_says_why() {
    let clock = Clock::utc();
    assert_eq!(Cell::number(None, 2, "no limits").shown(&clock), "– (no limits)");
    assert_eq!(Cell::number(None, 2, "").shown(&clock), "–");
    assert_eq!(Cell::text(Some("")).shown(&clock), "–");
    assert_eq!(Cell::Number(f64::NAN, 2).shown(&clock), "–");
}
