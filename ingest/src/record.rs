//! Records: JSON objects, whose field names are column names, to rows of a table.

mod check;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use oee::execution::derived_run;
use oee::plant::Plant;
use oee::tables::{ColumnType, PLANT_FILES, RECORD_COLUMNS, TABLES, Table, Upsert};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::admit::Window;
use crate::batch::RecordRow;
use crate::column::Cell;
use crate::decode::{json, not_finite, not_utf8, scalar, time};
use crate::quarantine::{Refusal, hex};
use crate::schema::{columns, table_index};

/// Records in one array at most.
const MAX_ROWS: usize = 500_000;
/// The field that retracts a row.
const DELETED: &str = "deleted";
/// Columns that only the server writes.
const STAMPED: [&str; 2] = ["recorded", "recorded_by"];

/// A row of a request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRefusal {
    /// Place in the request, counted from 0.
    pub row: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// A table that takes records.
#[derive(Debug)]
pub(crate) struct RecordTable {
    /// Its place in [`crate::table_specs`].
    pub(crate) index: usize,
    table: &'static Table,
    columns: Vec<oee::tables::Column>,
    /// Fields without which a row means nothing.
    required: &'static [&'static str],
}

static RECORD_TABLES: LazyLock<Vec<RecordTable>> = LazyLock::new(|| {
    let takes = |table: &&'static Table| table.upsert == Upsert::Record;
    TABLES
        .iter()
        .filter(takes)
        .filter_map(|table| {
            Some(RecordTable {
                index: table_index(table.name)?,
                table,
                columns: columns(table),
                required: required(table.name),
            })
        })
        .collect()
});

fn required(table: &str) -> &'static [&'static str] {
    match table {
        "measurements" => &["time", "characteristic"],
        "operations" => &["run"],
        "work_orders" => &["work_order"],
        "units" => &["unit"],
        "materials" => &["event_id"],
        "states" => &["equipment", "start"],
        "stop_reasons" => &["equipment", "start"],
        "counts" => &["equipment", "time"],
        "equipment" => &["equipment"],
        "signals" => &["equipment", "signal"],
        "products" => &["product"],
        "characteristics" => &["characteristic"],
        "control_limits" => &["characteristic", "chart", "valid_from"],
        "exclusions" => &["characteristic", "time"],
        "routes" => &["route", "step"],
        "reasons" => &["reason"],
        "shifts" => &["calendar", "start"],
        "plant_files" => &["name"],
        "events" => &["event_id"],
        _ => &[],
    }
}

/// The record table of a name.
///
/// # Errors
/// Where there is none, naming those that there are.
pub(crate) fn table(name: &str) -> Result<&'static RecordTable, Refusal> {
    RECORD_TABLES.iter().find(|known| known.table.name == name).ok_or_else(|| {
        let names: Vec<&str> = RECORD_TABLES.iter().map(|known| known.table.name).collect();
        Refusal::new("record", format!("`{name}` takes no records; the tables that do are {}", names.join(", ")))
    })
}

/// The objects of a payload.
#[derive(Debug)]
pub(crate) struct Objects {
    /// One, or those of an array.
    pub(crate) rows: Vec<Value>,
    /// Places of rows that hold a number which cannot be stored, and what is wrong with it.
    pub(crate) not_finite: BTreeMap<usize, Refusal>,
}

impl Objects {
    /// The objects of a payload: one, or an array of them.
    ///
    /// # Errors
    /// Where the payload is neither, or holds more than [`MAX_ROWS`].
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(payload).map_err(|error| not_utf8(payload, error))?;
        let error = match rows(text) {
            Ok(rows) => return Ok(Self { rows, not_finite: BTreeMap::new() }),
            Err(error) => error,
        };
        if let Some(mut rows) = json::mark_not_finite(text).and_then(|marked| rows(&marked).ok()) {
            let found = rows.iter_mut().enumerate().filter_map(|(place, row)| Some((place, unmarked_row(row)?)));
            let not_finite = found.collect();
            return Ok(Self { rows, not_finite });
        }
        Err(match error.is_data() {
            true => Refusal::new("record", error.to_string()),
            false => Refusal::new("malformed", format!("the payload is not JSON that takt can read: {error}")),
        })
    }
}

/// The objects of a payload of which every number can be stored.
///
/// # Errors
/// As [`Objects::read`], and where a number cannot be stored.
pub(crate) fn objects(payload: &[u8]) -> Result<Vec<Value>, Refusal> {
    let Objects { rows, not_finite } = Objects::read(payload)?;
    not_finite.into_values().next().map_or(Ok(rows), Err)
}

fn rows(text: &str) -> Result<Vec<Value>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let rows = json.deserialize_any(Rows)?;
    json.end()?;
    Ok(rows)
}

/// Takes the marks off the numbers of a row that cannot be stored: they stay as text. What is wrong with the first of them.
fn unmarked_row(row: &mut Value) -> Option<Refusal> {
    let Value::Object(fields) = row else { return None };
    let found = fields.iter_mut().filter_map(|(name, value)| Some(not_finite(name, &unmarked(value)?)));
    found.collect::<Vec<_>>().into_iter().next()
}

/// The first marked number in a value.
fn unmarked(value: &mut Value) -> Option<String> {
    let first = |found: Vec<String>| found.into_iter().next();
    match value {
        Value::String(text) => {
            let number = json::marked(text)?.to_owned();
            text.clone_from(&number);
            Some(number)
        }
        Value::Array(items) => first(items.iter_mut().filter_map(unmarked).collect()),
        Value::Object(fields) => first(fields.values_mut().filter_map(unmarked).collect()),
        _ => None,
    }
}

/// Reads an object, or an array of what should be objects.
struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = Vec<Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record, which is a JSON object, or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(vec![Value::deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(row) = rows.next_element()? {
            if found.len() == MAX_ROWS {
                return Err(A::Error::custom(format!(
                    "at most {MAX_ROWS} records are taken at once; send them in parts"
                )));
            }
            found.push(row);
        }
        Ok(found)
    }
}

impl RecordTable {
    /// Checks an object and makes a row of it.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn row(&self, object: &Value, plant: &Plant) -> Result<RecordRow, Refusal> {
        let Value::Object(fields) = object else {
            return Err(refusal("a record is a JSON object whose field names are column names"));
        };
        let mut row = RecordRow { cells: vec![Cell::Null; self.columns.len()], present: 0, deleted: false };
        for (name, value) in fields {
            if name == DELETED {
                row.deleted = value.as_bool().ok_or_else(|| refusal("`deleted` is true or false"))?;
                continue;
            }
            self.field(&mut row, name, value)?;
        }
        if self.table.name == PLANT_FILES.name {
            let here = "`plant_files` shows the plant file as takt applied it: change plant.toml and start takt again";
            return Err(refusal(here));
        }
        self.check_execution(&row)?;
        self.complete(&mut row);
        self.require(&row)?;
        self.check_equipment(&row, plant)?;
        self.check_reason(&row, plant)?;
        self.check_sense(&row)?;
        Ok(row)
    }

    /// A row of values that the plant file gives; always whole.
    pub(crate) fn master_row(&self, values: &[(&'static str, oee::plant::Value)]) -> RecordRow {
        let mut row =
            RecordRow { cells: vec![Cell::Null; self.columns.len()], present: self.own_columns(), deleted: false };
        for (name, value) in values {
            let cell = match value {
                oee::plant::Value::Text(text) => Cell::Text(text.clone()),
                oee::plant::Value::Number(number) => Cell::Double(*number),
                oee::plant::Value::Integer(integer) => Cell::Integer(*integer),
                oee::plant::Value::Time(time) => Cell::Time(*time),
                oee::plant::Value::Flag(flag) => Cell::Flag(*flag),
            };
            self.set(&mut row, name, cell);
        }
        row
    }

    /// One bit for each column but those of [`RECORD_COLUMNS`].
    fn own_columns(&self) -> u64 {
        (1 << self.table.columns.len()) - 1
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    fn set(&self, row: &mut RecordRow, name: &str, cell: Cell) {
        if let Some(place) = self.place(name)
            && let Some(slot) = row.cells.get_mut(place)
        {
            *slot = cell;
            row.present |= 1 << place;
        }
    }

    fn cell<'r>(&self, row: &'r RecordRow, name: &str) -> &'r Cell {
        self.place(name).and_then(|place| row.cells.get(place)).unwrap_or(&Cell::Null)
    }

    fn text<'r>(&self, row: &'r RecordRow, name: &str) -> Option<&'r str> {
        match self.cell(row, name) {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the times at which something happened may be admitted at `now_us`. Due dates and validity may lie anywhere.
    pub(crate) fn within(&self, row: &RecordRow, window: &Window, now_us: i64) -> Result<(), Refusal> {
        let happened: &[&str] = match self.table.name {
            "measurements" | "counts" | "events" => &["time"],
            "operations" => &["started", "completed"],
            "states" | "stop_reasons" => &["start", "end"],
            "materials" => &["time", "removed"],
            _ => &[],
        };
        for name in happened {
            if let Cell::Time(time_us) = self.cell(row, name) {
                let told = |refusal: Refusal| Refusal::new("time", format!("`{name}`: {}", refusal.reason));
                window.check(*time_us, now_us).map_err(told)?;
            }
        }
        match self.table.age.map(|name| self.cell(row, name)) {
            Some(Cell::Time(time_us)) => window.check_kept(self.table.name, *time_us, || now_us),
            _ => Ok(()),
        }
    }

    fn field(&self, row: &mut RecordRow, name: &str, value: &Value) -> Result<(), Refusal> {
        let Some(column) = self.columns.iter().find(|column| column.name == name) else {
            let names = self.columns.iter().map(|column| column.name).filter(|name| !STAMPED.contains(name));
            let names: Vec<&str> = names.collect();
            return Err(refusal(format!(
                "`{}` has no field `{name}`; its fields are {}",
                self.table.name,
                names.join(", ")
            )));
        };
        if STAMPED.contains(&name) {
            return Err(refusal(format!("`{name}` is stamped by the server; leave it out")));
        }
        let cell = cell(column.kind, value).map_err(|reason| refusal(format!("`{name}`: {reason}")))?;
        self.set(row, name, cell);
        Ok(())
    }

    /// Fills in what follows from other fields.
    fn complete(&self, row: &mut RecordRow) {
        match self.table.name {
            "operations" if *self.cell(row, "run") == Cell::Null => {
                let (Some(equipment), Cell::Time(started)) = (self.text(row, "equipment"), self.cell(row, "started"))
                else {
                    return;
                };
                let [operation, unit, order] = ["operation", "unit", "work_order"].map(|name| self.text(row, name));
                let run = derived_run(equipment, operation, unit, order, *started);
                self.set(row, "run", Cell::Text(run));
            }
            "measurements" if *self.cell(row, "piece") == Cell::Null => self.set(row, "piece", Cell::Integer(1)),
            "materials" | "events" if *self.cell(row, "event_id") == Cell::Null => {
                let identity = self.content_hash(row);
                self.set(row, "event_id", Cell::Text(identity));
            }
            _ => {}
        }
    }

    /// The same content twice is the same event.
    fn content_hash(&self, row: &RecordRow) -> String {
        let mut hash = Sha256::new();
        let named: BTreeMap<&str, &Cell> = self.columns.iter().map(|column| column.name).zip(&row.cells).collect();
        for (name, cell) in named.into_iter().filter(|(name, cell)| **cell != Cell::Null && !is_stamp(name)) {
            hash.update(format!("{name}={cell:?};"));
        }
        let digest = hash.finalize();
        hex(digest.get(..16).unwrap_or(&digest))
    }

    fn require(&self, row: &RecordRow) -> Result<(), Refusal> {
        let missing: Vec<&str> =
            self.required.iter().copied().filter(|name| *self.cell(row, name) == Cell::Null).collect();
        match missing.as_slice() {
            [] => Ok(()),
            ["run"] => Err(refusal("an operation needs `run`, or `equipment` and `started` from which it follows")),
            missing => Err(refusal(format!("`{}` needs the field `{}`", self.table.name, missing.join("` and `")))),
        }
    }
}

fn is_stamp(name: &str) -> bool {
    RECORD_COLUMNS.iter().any(|column| column.name == name)
}

fn refusal(reason: impl Into<String>) -> Refusal {
    Refusal::new("record", reason)
}

/// A JSON value as a cell of a type.
fn cell(kind: ColumnType, value: &Value) -> Result<Cell, String> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    match kind {
        ColumnType::Time => instant(value).map(Cell::Time),
        ColumnType::Double => double(value).map(Cell::Double),
        ColumnType::Integer => integer(value).map(Cell::Integer),
        ColumnType::Text | ColumnType::Name => Ok(Cell::Text(text(value))),
        ColumnType::Flag => value.as_bool().map(Cell::Flag).ok_or_else(|| format!("{value} is neither true nor false")),
    }
}

fn instant(value: &Value) -> Result<i64, String> {
    let time = match value {
        Value::String(text) => time::text(text)?,
        Value::Number(number) => match number.as_i64() {
            Some(number) => time::integer(number)?,
            None => time::float(number.as_f64().unwrap_or(f64::NAN))?,
        },
        other => return Err(format!("{other} is no time; send RFC 3339 with a zone, or a number")),
    };
    // What RFC 3339 can show, so that every reader can.
    if jiff::Timestamp::from_microsecond(time).is_err() {
        return Err(format!("{value} is no time of the years 1 to 9999"));
    }
    Ok(time)
}

fn double(value: &Value) -> Result<f64, String> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match scalar::read(text) {
            scalar::Scalar::Number(number) | scalar::Scalar::Exact(number) => Some(number),
            scalar::Scalar::NotFinite | scalar::Scalar::Text => None,
        },
        _ => None,
    };
    number.filter(|number| number.is_finite()).ok_or_else(|| format!("{value} is no finite number"))
}

fn integer(value: &Value) -> Result<i64, String> {
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9.0e18).then_some(number as i64);
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{value} is no integer"))
}

/// Text as it is, anything else as its JSON.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
