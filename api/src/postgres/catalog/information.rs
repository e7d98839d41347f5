//! `information_schema`, in the type names of PostgreSQL: query builders pick their editors by them.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::TableType;
use pgwire::api::Type;

use super::super::rows;
use super::{INFORMATION_SCHEMA, PG_CATALOG, Relations};

/// The tables, and the columns of those that have no rows here.
const EMPTY: &[(&str, &[&str])] = &[
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
        ],
    ),
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
        ],
    ),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    (
        "referential_constraints",
        &["constraint_catalog", "constraint_schema", "constraint_name", "unique_constraint_name"],
    ),
    (
        "routines",
        &["specific_catalog", "specific_schema", "specific_name", "routine_name", "routine_type", "data_type"],
    ),
    ("parameters", &["specific_catalog", "specific_schema", "specific_name", "parameter_name", "data_type"]),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
    ("triggers", &["trigger_catalog", "trigger_schema", "trigger_name", "event_object_table"]),
];

const FILLED: &[&str] = &["schemata", "tables", "columns", "views"];

/// The schema, over the session's tables.
#[derive(Debug)]
pub(super) struct InformationSchema {
    relations: Relations,
}

impl InformationSchema {
    pub(super) fn new(relations: Relations) -> InformationSchema {
        InformationSchema { relations }
    }

    fn schemata(&self) -> Result<Arc<dyn TableProvider>> {
        let mut sheet = Sheet::new(&["catalog_name", "schema_name", "schema_owner"], &[]);
        for schema in [self.relations.schema.as_str(), PG_CATALOG, INFORMATION_SCHEMA] {
            sheet.push([Some(self.relations.database.clone()), Some(schema.to_owned()), owner()], []);
        }
        sheet.finish()
    }

    async fn tables(&self, views_only: bool) -> Result<Arc<dyn TableProvider>> {
        let mut sheet = if views_only {
            Sheet::new(&["table_catalog", "table_schema", "table_name", "view_definition"], &[])
        } else {
            Sheet::new(&["table_catalog", "table_schema", "table_name", "table_type", "is_insertable_into"], &[])
        };
        for name in self.sorted_tables() {
            let view = self.relations.tables.table_type(&name).await? == Some(TableType::View);
            let place = [Some(self.relations.database.clone()), Some(self.relations.schema.clone()), Some(name)];
            let kind = if view { "VIEW" } else { "BASE TABLE" };
            match (views_only, view) {
                (true, true) => sheet.push(place.into_iter().chain([None]), []),
                (true, false) => {}
                (false, _) => sheet.push(place.into_iter().chain([text(kind), text("NO")]), []),
            }
        }
        if !views_only {
            let described = FILLED.iter().chain(EMPTY.iter().map(|(name, _)| name));
            for name in described {
                let place = [Some(self.relations.database.clone()), text(INFORMATION_SCHEMA), text(name)];
                sheet.push(place.into_iter().chain([text("VIEW"), text("NO")]), []);
            }
        }
        sheet.finish()
    }

    async fn columns(&self) -> Result<Arc<dyn TableProvider>> {
        let texts = [
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "column_default",
            "is_nullable",
            "data_type",
            "udt_catalog",
            "udt_schema",
            "udt_name",
            "collation_name",
            "domain_name",
            "interval_type",
            "is_identity",
            "identity_generation",
            "is_generated",
            "generation_expression",
            "is_updatable",
        ];
        let numbers = [
            "ordinal_position",
            "character_maximum_length",
            "character_octet_length",
            "numeric_precision",
            "numeric_precision_radix",
            "numeric_scale",
            "datetime_precision",
            "interval_precision",
        ];
        let mut sheet = Sheet::new(&texts, &numbers);
        for table in self.sorted_tables() {
            let Some(provider) = self.relations.tables.table(&table).await? else { continue };
            let schema = provider.schema();
            let Ok(columns) = rows::columns(&schema) else { continue };
            for (position, (column, field)) in (1..).zip(columns.iter().zip(schema.fields())) {
                let database = Some(self.relations.database.clone());
                let nullable = if field.is_nullable() { "YES" } else { "NO" };
                let numeric = numeric(&column.kind);
                let times = matches!(column.kind, Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME);
                sheet.push(
                    [
                        database.clone(),
                        Some(self.relations.schema.clone()),
                        Some(table.clone()),
                        Some(column.name.clone()),
                        None,
                        text(nullable),
                        text(type_name(&column.kind)),
                        database,
                        text(PG_CATALOG),
                        text(column.kind.name()),
                        None,
                        None,
                        None,
                        text("NO"),
                        None,
                        text("NEVER"),
                        None,
                        text("NO"),
                    ],
                    [
                        Some(position),
                        None,
                        None,
                        numeric.map(|(precision, _, _)| precision),
                        numeric.map(|(_, radix, _)| radix),
                        numeric.and_then(|(_, _, scale)| scale),
                        times.then_some(6),
                        None,
                    ],
                );
            }
        }
        sheet.finish()
    }

    fn sorted_tables(&self) -> Vec<String> {
        let mut names = self.relations.tables.table_names();
        names.sort();
        names
    }
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        FILLED.iter().chain(EMPTY.iter().map(|(name, _)| name)).map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match name.to_ascii_lowercase().as_str() {
            "schemata" => self.schemata().map(Some),
            "tables" => self.tables(false).await.map(Some),
            "views" => self.tables(true).await.map(Some),
            "columns" => self.columns().await.map(Some),
            other => match EMPTY.iter().find(|(name, _)| *name == other) {
                Some((_, columns)) => Sheet::new(columns, &[]).finish().map(Some),
                None => Ok(None),
            },
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        FILLED.contains(&name.as_str()) || EMPTY.iter().any(|(empty, _)| *empty == name)
    }
}

fn owner() -> Option<String> {
    text(super::functions::OWNER)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A type as `data_type` spells it.
fn type_name(kind: &Type) -> &str {
    match *kind {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIME => "time without time zone",
        Type::VARCHAR => "character varying",
        _ if kind.name().starts_with('_') => "ARRAY",
        _ => kind.name(),
    }
}

/// Precision, its radix, and the scale of a number's type.
fn numeric(kind: &Type) -> Option<(i32, i32, Option<i32>)> {
    match *kind {
        Type::INT2 => Some((16, 2, Some(0))),
        Type::INT4 => Some((32, 2, Some(0))),
        Type::INT8 => Some((64, 2, Some(0))),
        Type::FLOAT4 => Some((24, 2, None)),
        Type::FLOAT8 => Some((53, 2, None)),
        _ => None,
    }
}

/// A small table in the making: columns of text, then columns of numbers.
struct Sheet {
    schema: SchemaRef,
    texts: Vec<Vec<Option<String>>>,
    numbers: Vec<Vec<Option<i32>>>,
}

impl Sheet {
    fn new(texts: &[&str], numbers: &[&str]) -> Sheet {
        let fields: Vec<Field> = texts
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, true))
            .chain(numbers.iter().map(|name| Field::new(*name, DataType::Int32, true)))
            .collect();
        Sheet {
            schema: Arc::new(Schema::new(fields)),
            texts: vec![Vec::new(); texts.len()],
            numbers: vec![Vec::new(); numbers.len()],
        }
    }

    fn push(
        &mut self,
        texts: impl IntoIterator<Item = Option<String>>,
        numbers: impl IntoIterator<Item = Option<i32>>,
    ) {
        for (column, value) in self.texts.iter_mut().zip(texts) {
            column.push(value);
        }
        for (column, value) in self.numbers.iter_mut().zip(numbers) {
            column.push(value);
        }
    }

    fn finish(self) -> Result<Arc<dyn TableProvider>> {
        let texts = self.texts.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef);
        let numbers = self.numbers.into_iter().map(|column| Arc::new(Int32Array::from(column)) as ArrayRef);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), texts.chain(numbers).collect())?;
        Ok(Arc::new(MemTable::try_new(self.schema, vec![vec![batch]])?))
    }
}
