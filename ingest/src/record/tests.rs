use super::*;

fn plant() -> Plant {
    let text =
        "[plant]\nname = \"t\"\nzone = \"Europe/Berlin\"\n[[equipment]]\npath = \"a\"\n[[equipment]]\npath = \"a/b\"\n";
    Plant::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// The present cells of a row as `name=cell`.
fn read(name: &str, json: &str) -> Result<Vec<String>, String> {
    let table = table(name).map_err(|refusal| refusal.reason)?;
    let object = objects(json.as_bytes()).map_err(|refusal| refusal.reason)?.remove(0);
    let row = table.row(&object, &plant()).map_err(|refusal| refusal.reason)?;
    let mut shown: Vec<String> = table
        .columns
        .iter()
        .zip(&row.cells)
        .enumerate()
        .filter(|(place, _)| row.present & (1 << place) != 0)
        .map(|(_, (column, cell))| format!("{}={cell:?}", column.name))
        .collect();
    if row.deleted {
        shown.push("deleted".into());
    }
    Ok(shown)
}

#[test]
fn fields_become_cells() {
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "counts",
            r#"{"time":"2026-11-21T09:00:00+01:00","equipment":"a/b","total":"12,5","good":3,"reason":null}"#,
            &[
                "time=Time(1795248000000000)",
                "equipment=Text(\"a/b\")",
                "total=Double(12.5)",
                "good=Double(3.0)",
                "reason=Null",
            ],
        ),
        (
            "operations",
            r#"{"run":"r1","completed":1795248000123,"result":"pass"}"#,
            &["run=Text(\"r1\")", "completed=Time(1795248000123000)", "result=Text(\"pass\")"],
        ),
        ("operations", r#"{"run":"r1","deleted":true}"#, &["run=Text(\"r1\")", "deleted"]),
        ("work_orders", r#"{"work_order":4711}"#, &["work_order=Text(\"4711\")"]),
        ("units", r#"{"unit":"SN1","change_reason":"typo"}"#, &["unit=Text(\"SN1\")", "change_reason=Text(\"typo\")"]),
        (
            "measurements",
            r#"{"time":1795248000,"characteristic":"leak","value":0.5}"#,
            &["time=Time(1795248000000000)", "characteristic=Text(\"leak\")", "value=Double(0.5)", "piece=Integer(1)"],
        ),
    ];
    for (table, json, expected) in cases {
        assert_eq!(read(table, json).unwrap(), expected, "{table} {json}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    let cases = [
        ("samples", "{}", "takes no records; the tables that do are measurements"),
        ("units", "[1]", "a record is a JSON object"),
        ("units", "7", "a record, which is a JSON object"),
        ("units", "{", "not JSON"),
        ("units", r#"{"unt":"x"}"#, "has no field `unt`; its fields are unit, item"),
        ("units", r#"{"item":"x"}"#, "needs the field `unit`"),
        ("units", r#"{"unit":"x","recorded":0}"#, "stamped by the server"),
        ("units", r#"{"unit":"x","deleted":"yes"}"#, "`deleted` is true or false"),
        ("units", r#"{"unit":"x","quantity":"NaN"}"#, "`quantity`: \"NaN\" is no finite number"),
        ("units", r#"{"unit":"x","created":"2026-11-21T08:00:00"}"#, "has no zone"),
        ("operations", r#"{"equipment":"a"}"#, "needs `run`, or `equipment` and `started`"),
        ("states", r#"{"equipment":"a/x","start":1795248000}"#, "declares no equipment `a/x`"),
        ("routes", r#"{"route":"r","step":1.5}"#, "`step`: 1.5 is no integer"),
        (
            "operations",
            r#"{"run":"r","started":1795248060,"completed":1795248000}"#,
            "`completed` lies before `started`",
        ),
        ("states", r#"{"equipment":"a/b","start":1795248060,"end":1795248000}"#, "`end` lies before `start`"),
        (
            "states",
            r#"{"equipment":"a/b","start":1795248000,"kind":"often"}"#,
            "`kind` is `often`; it can be change, interval",
        ),
        ("states", r#"{"equipment":"a/b","start":1795248000,"category":"bogus"}"#, "it can be run, unplanned"),
        ("counts", r#"{"equipment":"a/b","time":1795248000,"good":-5}"#, "`good` is less than 0"),
        ("counts", r#"{"equipment":"a/b","time":1795248000,"total":5,"good":9,"scrap":1}"#, "send two of the three"),
        ("counts", r#"{"equipment":"a/b","time":1795248000,"total":5,"good":9}"#, "more than the `total` of 5"),
        ("counts", r#"{"equipment":"a/b","time":1795248000,"total":5,"rework":6}"#, "`rework` is 6, more than"),
        ("work_orders", r#"{"work_order":"WO1","ideal_cycle_s":0}"#, "`ideal_cycle_s` is not more than 0"),
    ];
    for (table, json, part) in cases {
        let reason = read(table, json).unwrap_err();
        assert!(reason.contains(part), "{table} {json}: {reason}");
    }
}

#[test]
fn what_an_equipment_left_behind_can_be_retracted() {
    assert!(read("signals", r#"{"equipment":"a/x","signal":"speed"}"#).is_err());
    assert!(read("signals", r#"{"equipment":"a/x","signal":"speed","deleted":true}"#).is_ok());
}

#[test]
fn identities_follow_from_content() {
    let open =
        read("operations", r#"{"equipment":"a/b","operation":"press","unit":"SN1","started":1795248000}"#).unwrap();
    let closed = read(
        "operations",
        r#"{"equipment":"a/b","operation":"press","unit":"SN1","started":1795248000,"completed":1795248060}"#,
    )
    .unwrap();
    assert_eq!(open[0], closed[0]);
    assert!(open[0].starts_with("run=Text("));
    let edge = |quantity: u32| {
        read("materials", &format!(r#"{{"parent":"p","child":"c","quantity":{quantity}}}"#)).unwrap().remove(0)
    };
    assert_eq!(edge(1), edge(1));
    assert_ne!(edge(1), edge(2));
}

#[test]
fn a_number_that_cannot_be_stored_costs_its_own_row_only() {
    let text =
        r#"[{"time":1795248000,"total":1},{"time":1795248001,"total":1e999,"reason":{"x":[1e999]}},{"total":NaN}]"#;
    let Objects { rows, not_finite } = Objects::read(text.as_bytes()).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(not_finite.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert!(not_finite[&1].reason.contains("1e999, which is beyond what a double can hold"), "{:?}", not_finite[&1]);
    assert!(not_finite[&2].reason.starts_with("`total` is NaN, which is no finite number"), "{:?}", not_finite[&2]);
    assert_eq!(rows[1].to_string(), r#"{"reason":{"x":["1e999"]},"time":1795248001,"total":"1e999"}"#);
    assert!(objects(text.as_bytes()).unwrap_err().reason.contains("1e999"));
    assert!(Objects::read(br#"[{"total":1e999}"#).unwrap_err().reason.contains("not JSON"));
}
