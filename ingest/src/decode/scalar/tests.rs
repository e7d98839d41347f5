use super::*;

#[test]
fn text_is_read_as_a_number_only_where_it_plainly_is_one() {
    let cases = [
        ("71.4", Scalar::Number(71.4)),
        ("71,4", Scalar::Number(71.4)),
        ("-3", Scalar::Number(-3.0)),
        ("+3", Scalar::Number(3.0)),
        (" 12 ", Scalar::Number(12.0)),
        ("0", Scalar::Number(0.0)),
        ("0.5", Scalar::Number(0.5)),
        ("1.5e3", Scalar::Number(1500.0)),
        ("1.5E-3", Scalar::Number(0.0015)),
        ("9007199254740992", Scalar::Number(9_007_199_254_740_992.0)),
        ("9007199254740993", Scalar::Exact(9_007_199_254_740_992.0)),
        ("18446744073709551615", Scalar::Exact(18_446_744_073_709_551_615.0)),
        ("007", Scalar::Text),
        ("12E5", Scalar::Text),
        ("1,234,567", Scalar::Text),
        ("1.2.3", Scalar::Text),
        ("5.", Scalar::Text),
        ("RUN", Scalar::Text),
        ("on", Scalar::Text),
        ("", Scalar::Text),
        ("-", Scalar::Text),
        ("NaN", Scalar::NotFinite),
        ("-Infinity", Scalar::NotFinite),
        ("1.#INF", Scalar::NotFinite),
        ("1.0e999", Scalar::NotFinite),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "{text:?}");
    }
}
