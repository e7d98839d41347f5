use oee::plant::Value;
use oee::tables::{PRODUCTS, SHIFTS};

use super::{key_of, object, shift_object};

#[test]
fn keys_name_what_is_absent() {
    let row = vec![
        ("product", Value::Text("P-100".into())),
        ("equipment", Value::Text(String::new())),
        ("ideal_cycle_s", Value::Number(12.0)),
    ];
    assert_eq!(key_of(&PRODUCTS, &object(&row)), r#"["P-100","",null]"#);
    let dated = vec![("product", Value::Text("P-100".into())), ("valid_from", Value::Time(1_740_978_000_000_000))];
    assert_eq!(key_of(&PRODUCTS, &object(&dated)), r#"["P-100",null,"2025-03-03T05:00:00Z"]"#);
}

#[test]
fn shifts_are_rows_with_their_breaks() {
    let shift = oee::calendar::Shift {
        name: "early".into(),
        production_day: jiff::civil::date(2025, 3, 3),
        start: 1_740_978_000_000_000,
        end: 1_741_006_800_000_000,
        breaks: vec![(1_740_988_800_000_000, 1_740_989_700_000_000)],
    };
    let row = shift_object("three_shift", &shift);
    assert_eq!(row["start"], "2025-03-03T05:00:00Z");
    assert_eq!(row["production_day"], "2025-03-03");
    assert_eq!(row["breaks"], r#"[["2025-03-03T08:00:00Z","2025-03-03T08:15:00Z"]]"#);
    assert_eq!(key_of(&SHIFTS, &row), r#"["three_shift","2025-03-03T05:00:00Z"]"#);
}
