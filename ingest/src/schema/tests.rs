use super::*;

#[test]
fn every_key_and_time_column_is_found() {
    for (table, spec) in TABLES.iter().zip(table_specs()) {
        assert_eq!(spec.name, table.name);
        assert_eq!(spec.key_names(), table.key, "key of {}", table.name);
        assert_eq!(
            spec.time.map(|index| spec.schema.field(index).name().as_str()),
            table.time,
            "time of {}",
            table.name
        );
    }
}

#[test]
fn record_tables_end_with_the_record_columns() {
    for (table, spec) in TABLES.iter().zip(table_specs()) {
        let last = spec.schema.fields().last().map(|field| field.name().as_str());
        assert_eq!(last == Some("change_reason"), table.upsert == oee::tables::Upsert::Record, "{}", table.name);
    }
}

#[test]
fn samples_name_their_derived_columns() {
    let specs = table_specs();
    let samples = specs.iter().find(|spec| spec.name == "samples").unwrap();
    let derived = samples.derived.as_ref().unwrap();
    let names: Vec<&str> = derived.columns.iter().map(|&index| samples.schema.field(index).name().as_str()).collect();
    assert_eq!(names, KEY_COLUMNS);
    assert_eq!(samples.schema.field(derived.source).name(), "key_source");
    assert!(specs.iter().filter(|spec| spec.name != "samples").all(|spec| spec.derived.is_none()));
}
