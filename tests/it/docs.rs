//! The documents say what the code says.

use std::fs;

use oee::tables::{ColumnType, HISTORY_COLUMNS, RECORD_COLUMNS, TABLES, Upsert};

use crate::harness::{Server, root};

fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Time => "timestamptz",
        ColumnType::Double => "double precision",
        ColumnType::Integer => "bigint",
        ColumnType::Text | ColumnType::Name => "text",
        ColumnType::Flag => "boolean",
    }
}

#[test]
fn the_table_reference_is_the_definition() {
    let text = fs::read_to_string(root().join("docs/tables.md")).unwrap();
    for table in TABLES {
        let start =
            text.find(&format!("\n## {}\n", table.name)).unwrap_or_else(|| panic!("no section on {}", table.name));
        let section = &text[start + 4..];
        let section = &section[..section.find("\n## ").unwrap_or(section.len())];
        assert!(section.contains(table.doc), "{}: {}", table.name, table.doc);
        for column in table.columns {
            let row = format!("| {} | {} | {} |", column.name, sql_type(column.kind), column.doc);
            assert!(section.contains(&row), "{}: no row\n{row}", table.name);
        }
    }
    for column in RECORD_COLUMNS.iter().chain(HISTORY_COLUMNS) {
        let row = format!("| {} | {} | {} |", column.name, sql_type(column.kind), column.doc);
        assert!(text.contains(&row), "no row\n{row}");
    }
}

#[test]
fn sql_shows_the_tables_as_defined() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for table in TABLES {
        let rows = server.sql(&format!(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position",
            table.name
        ));
        let records = if table.upsert == Upsert::Record { RECORD_COLUMNS } else { &[] };
        let expected: Vec<&str> = table.columns.iter().chain(records).map(|column| column.name).collect();
        let names: Vec<&str> = rows.iter().map(|row| row[0].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{}", table.name);
        let history = server.sql(&format!("SELECT count(*) FROM {}_history", table.name));
        assert_eq!(history.len(), 1);
    }
}
