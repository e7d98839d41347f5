//! A table as storage sees it: columns, key, and how writes combine.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// How writes to a table combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upsert {
    /// Rows arrive whole; the newest row of a key wins.
    Whole,
    /// Records: a write may name only some columns, or retract the row. The schema ends with `recorded`,
    /// `recorded_by` and `change_reason`.
    Record,
}

/// Columns that a [`crate::Transform`] fills in: they do not count when two rows are compared.
#[derive(Debug, Clone)]
pub struct Derived {
    /// The derived columns.
    pub columns: Vec<usize>,
    /// The column that says where they come from.
    pub source: usize,
    /// The value of `source` that means "the payload said so": then the columns do count.
    pub explicit: &'static str,
}

/// A table: its name, columns, key and upsert rule.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// Name, and name of its folder.
    pub name: String,
    /// Columns as readers see them: text is plain `Utf8`, times are microseconds UTC.
    pub schema: SchemaRef,
    /// Text columns with few distinct values: held as dictionaries in memory.
    pub names: Vec<usize>,
    /// The key, in sort order. A later version may sort by the same columns in another order, but for the first of them.
    pub key: Vec<usize>,
    /// The key column that holds a time, where there is one.
    pub time: Option<usize>,
    /// The column with a code of how good a row's number is, where there is one: without a code, and with 0, it is to be used.
    pub status: Option<usize>,
    /// The column that says how old a row is, where the table may have an age ([`crate::Options::retention`]). It must not
    /// change between versions of a row.
    pub age: Option<usize>,
    /// How writes combine.
    pub upsert: Upsert,
    /// Columns that get a bloom filter.
    pub bloom: Vec<usize>,
    /// Columns that a transform derives.
    pub derived: Option<Derived>,
}

pub(crate) const RECORDED: &str = "recorded";
pub(crate) const RECORDED_BY: &str = "recorded_by";
pub(crate) const CHANGE_REASON: &str = "change_reason";
pub(crate) const DELETED: &str = "deleted";
pub(crate) const SUPERSEDED: &str = "superseded";
pub(crate) const SUPERSEDED_BY: &str = "superseded_by";
pub(crate) const SUPERSEDED_REASON: &str = "superseded_reason";

/// Microseconds UTC, as every time column has them.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The same columns with texts as views, which point to a text once decoded instead of holding a copy in each row.
pub fn with_views(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

impl TableSpec {
    /// What [`crate::Rows`] carry: as `schema`, with `names` as `Dictionary(Int32, Utf8)`.
    pub fn memory_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.memory_fields()))
    }

    fn memory_fields(&self) -> Vec<Field> {
        let held = |(index, field): (usize, &Arc<Field>)| {
            let kind = if self.names.contains(&index) { name_type() } else { field.data_type().clone() };
            Field::new(field.name(), kind, true)
        };
        self.schema.fields().iter().enumerate().map(held).collect()
    }

    /// Rows in the hot buffer: as `memory_schema`, then what is not there yet of `recorded`, `recorded_by`, `deleted`.
    pub fn hot_schema(&self) -> SchemaRef {
        let mut fields = self.memory_fields();
        if self.upsert == Upsert::Whole {
            fields.push(Field::new(RECORDED, time_type(), true));
            fields.push(Field::new(RECORDED_BY, name_type(), true));
        }
        fields.push(Field::new(DELETED, DataType::Boolean, true));
        Arc::new(Schema::new(fields))
    }

    /// Columns of the table's Parquet files: `schema`, and for records `deleted`.
    pub fn file_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        if self.upsert == Upsert::Record {
            fields.push(Field::new(DELETED, DataType::Boolean, true));
        }
        Arc::new(Schema::new(fields))
    }

    /// The table that keeps superseded versions of this one's rows.
    pub fn history(&self) -> TableSpec {
        let mut fields: Vec<Field> = self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        if self.upsert == Upsert::Whole {
            fields.push(Field::new(RECORDED, time_type(), true));
            fields.push(Field::new(RECORDED_BY, DataType::Utf8, true));
        }
        fields.push(Field::new(DELETED, DataType::Boolean, true));
        fields.push(Field::new(SUPERSEDED, time_type(), true));
        fields.push(Field::new(SUPERSEDED_BY, DataType::Utf8, true));
        fields.push(Field::new(SUPERSEDED_REASON, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields));
        let superseded = schema.fields().len() - 3;
        let key = self.key.iter().copied().chain([superseded]).collect();
        TableSpec {
            name: format!("{}_history", self.name),
            schema,
            names: Vec::new(),
            key,
            time: self.time,
            status: self.status,
            age: self.age,
            upsert: Upsert::Whole,
            bloom: Vec::new(),
            derived: None,
        }
    }

    /// Whether the table keeps its superseded versions.
    pub fn keeps_history(&self) -> bool {
        !self.name.ends_with("_history")
    }

    /// Names of the key columns, in sort order.
    pub fn key_names(&self) -> Vec<&str> {
        self.key.iter().map(|&index| self.schema.field(index).name().as_str()).collect()
    }
}
