use super::*;

fn read(text: &str, signal: Option<&str>) -> (Vec<String>, usize) {
    let mut readings = Readings::new(16, 100);
    payload(text.as_bytes(), signal, &mut readings).unwrap();
    let names = readings.groups.iter().flat_map(|group| &readings.list[group.start..group.end]);
    (names.map(|reading| readings.text(reading.signal).to_owned()).collect(), readings.refused.len())
}

#[test]
fn one_value_and_classic_groups() {
    let (names, refused) = read(r#"{"value": 71.4, "timestamp_ms": 1795248000123}"#, Some("process.temperature"));
    assert_eq!((names, refused), (vec!["process.temperature".to_owned()], 0));
    let text =
        r#"{"timestamp_ms": 1795248000123, "temperature": 71.4, "pressure": {"inlet": 3.1}, "state": "running"}"#;
    let (names, refused) = read(text, Some("process"));
    assert_eq!(names, ["process.temperature", "process.pressure.inlet", "process.state"]);
    assert_eq!(refused, 0);
}

#[test]
fn a_number_beyond_a_double_costs_its_own_tag_only() {
    let text = r#"{"timestamp_ms": 1795248000123, "temperature": 71.4, "pressure": {"inlet": 1e999}}"#;
    let (names, refused) = read(text, Some("process"));
    assert_eq!((names, refused), (vec!["process.temperature".to_owned()], 1));
}

#[test]
fn relational_contracts_are_refused() {
    let (names, refused) =
        read(r#"{"workOrderId": "WO-4711", "quantity": 12000, "startTime_unix_ms": 1795248000000}"#, Some("order"));
    assert_eq!((names.len(), refused), (0, 1));
}
