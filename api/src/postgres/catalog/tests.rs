use datafusion::arrow::array::{Array, AsArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::MemTable;
use datafusion::prelude::SessionConfig;

use super::*;
use crate::postgres::settings::Settings;
use crate::postgres::source::Source;

/// A session with one table, and the catalogs over it.
fn session() -> SessionContext {
    let config = SessionConfig::new().with_default_catalog_and_schema("takt", "public");
    let context = SessionContext::new_with_config(config);
    let schema = Arc::new(Schema::new(vec![
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("machine", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
    ]));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC")),
            Arc::new(StringArray::from(vec!["press"])),
            Arc::new(Float64Array::from(vec![1.5])),
        ],
    )
    .expect("a batch");
    let table = MemTable::try_new(schema, vec![vec![batch]]).expect("a table");
    context.register_table("machine_state", Arc::new(table)).expect("registered");
    let settings = SharedSettings::new(Settings::new("anna"));
    install(&context, &Identity { user: "anna".to_owned(), pid: 77, settings }).expect("installed");
    context
}

/// Every value of every row as text, columns joined with `|`.
async fn ask(context: &SessionContext, sql: &str) -> Vec<String> {
    let source = Source::new(sql, 0).rewritten().expect("understood");
    let frame = context.sql(source.text()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::compute::cast(column, &DataType::Utf8).expect("a text"))
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns
                .iter()
                .map(|column| if column.is_null(row) { "NULL" } else { column.as_string::<i32>().value(row) })
                .collect();
            rows.push(values.join("|"));
        }
    }
    rows
}

#[tokio::test]
async fn columns_have_postgresql_type_names() {
    let found = ask(
        &session(),
        "SELECT column_name, data_type, udt_name, numeric_precision FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name = 'machine_state' ORDER BY ordinal_position",
    )
    .await;
    assert_eq!(
        found,
        [
            "time|timestamp with time zone|timestamptz|NULL",
            "machine|text|text|NULL",
            "value|double precision|float8|53"
        ]
    );
}

#[tokio::test]
async fn tables_and_schemata_are_listed() {
    let context = session();
    let tables = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(ask(&context, tables).await, ["machine_state|BASE TABLE"]);
    let schemata = "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT LIKE 'pg_%' \
                    AND schema_name != 'information_schema'";
    assert_eq!(ask(&context, schemata).await, ["public"]);
}

#[tokio::test]
async fn psql_lists_tables() {
    let found = ask(
        &session(),
        "SELECT n.nspname as \"Schema\", c.relname as \"Name\",
            CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as \"Type\",
            pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\"
         FROM pg_catalog.pg_class c
            LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
         WHERE c.relkind IN ('r','p','')
            AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema'
            AND pg_catalog.pg_table_is_visible(c.oid)
         ORDER BY 1,2",
    )
    .await;
    assert_eq!(found, ["public|machine_state|table|takt"]);
}

#[tokio::test]
async fn the_server_says_it_is_postgresql() {
    let found = ask(&session(), "select pg_catalog.version()").await;
    assert!(found.iter().all(|version| version.starts_with("PostgreSQL 15")), "{found:?}");
    let number = ask(&session(), "SELECT current_setting('server_version_num')::int/100 as version").await;
    assert_eq!(number, ["1500"]);
}

#[tokio::test]
async fn the_session_knows_itself() {
    assert_eq!(
        ask(&session(), "SELECT current_user, pg_backend_pid(), current_database(), current_schema()").await,
        ["anna|77|takt|public"]
    );
}

#[tokio::test]
async fn a_missing_setting_fails_unless_it_may_be_missing() {
    let context = session();
    assert_eq!(ask(&context, "SELECT current_setting('nonsense', true)").await, ["NULL"]);
    let frame = context.sql("SELECT current_setting('nonsense')").await;
    let failed = match frame {
        Ok(frame) => frame.collect().await.is_err(),
        Err(_) => true,
    };
    assert!(failed);
}

#[tokio::test]
async fn settings_are_a_table_too() {
    let found = ask(&session(), "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'").await;
    assert_eq!(found, ["32"]);
}

#[tokio::test]
async fn a_closed_session_frees_its_tables() {
    let context = session();
    let catalog = context.catalog("takt").expect("a catalog");
    let tables = Arc::downgrade(&catalog.schema("public").expect("a schema"));
    drop(catalog);
    drop(context);
    assert!(tables.upgrade().is_none(), "the catalogs hold on to themselves");
}
