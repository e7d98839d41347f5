//! The public tables: names, columns, keys and meaning, in one place.
//!
//! `ingest` builds the store's schemas from these definitions, `query` shows them in SQL, and
//! `docs/tables.md` is checked against them. Times are UTC microseconds since 1970-01-01, intervals are
//! half-open `[start, end)`, an open one has a NULL end.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// An instant: UTC microseconds, `timestamptz` in SQL.
    Time,
    /// A double.
    Double,
    /// A signed 64-bit integer.
    Integer,
    /// Text with many distinct values.
    Text,
    /// Text with few distinct values among neighbouring rows (paths, names, order numbers).
    Name,
    /// True or false.
    Flag,
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Name in SQL, in records and in Parquet.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnType,
    /// One line for people: meaning, and unit of measure where there is one.
    pub doc: &'static str,
}

/// How a table is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upsert {
    /// Rows arrive whole (`samples`, `quarantine`): the newest row of a key wins.
    Whole,
    /// Records: absent fields keep their value, an explicit null clears, `"deleted": true` retracts.
    /// Such a table ends with the columns of [`RECORD_COLUMNS`].
    Record,
}

/// One public table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Name in SQL and of its folder.
    pub name: &'static str,
    /// What one row is.
    pub doc: &'static str,
    /// Its own columns, in order.
    pub columns: &'static [Column],
    /// The key columns, in sort order.
    pub key: &'static [&'static str],
    /// The key column that holds a time, where there is one: rows of different times cannot collide.
    pub time: Option<&'static str>,
    /// The column that says how old a row is, where rows may be removed or moved by their age. The others are kept: they
    /// are looked up by what they name, however old they are.
    pub age: Option<&'static str>,
    /// How writes to it combine.
    pub upsert: Upsert,
}

const fn column(name: &'static str, kind: ColumnType, doc: &'static str) -> Column {
    Column { name, kind, doc }
}

use ColumnType::{Double, Flag, Integer, Name, Text, Time};

/// Columns that every record table carries after its own.
pub const RECORD_COLUMNS: &[Column] = &[
    column("recorded", Time, "when takt recorded this version"),
    column("recorded_by", Name, "the login or source that brought this version"),
    column("change_reason", Text, "why the row was corrected, as its author said"),
];

/// Columns that `<table>_history` carries after those of the table and [`RECORD_COLUMNS`].
pub const HISTORY_COLUMNS: &[Column] = &[
    column("deleted", Flag, "true where that version was a retraction"),
    column("superseded", Time, "when a newer version replaced this one"),
    column("superseded_by", Name, "the login or source that brought the newer version"),
    column("superseded_reason", Text, "why, as the author of the newer version said"),
];

/// One value of one signal.
pub const SAMPLES: Table = Table {
    name: "samples",
    doc: "one value of one signal",
    columns: &[
        column("time", Time, "source time; arrival time where the source gave none"),
        column("equipment", Name, "path of the equipment, `site/area/line/cell`"),
        column("signal", Name, "name of the signal on that equipment"),
        column("value", Double, "the value; true is 1, false is 0; NULL for text"),
        column("text", Text, "the value as text, where it is text or an integer that a double cannot hold"),
        column("quality", Integer, "OPC UA StatusCode, 0 = Good"),
        column("work_order", Name, "work order in force at that time"),
        column("operation", Name, "operation in force at that time"),
        column("unit", Name, "unit (serial, lot, batch) in force at that time"),
        column("key_source", Name, "`explicit` where the payload named the keys, `derived` where executions did"),
    ],
    key: &["equipment", "signal", "time"],
    time: Some("time"),
    age: Some("time"),
    upsert: Upsert::Whole,
};

/// One test or inspection result.
pub const MEASUREMENTS: Table = Table {
    name: "measurements",
    doc: "one test or inspection result",
    columns: &[
        column("time", Time, "when it was measured"),
        column("unit", Name, "the unit measured"),
        column("operation", Name, "the operation it was measured at"),
        column("equipment", Name, "the equipment that measured"),
        column("characteristic", Name, "what was measured"),
        column("value", Double, "the measured value, in the characteristic's unit of measure"),
        column("text", Text, "the result as text, where it is not a number"),
        column("lower_limit", Double, "lower specification limit"),
        column("upper_limit", Double, "upper specification limit"),
        column("target", Double, "nominal value"),
        column("result", Name, "`pass` or `fail`, as the station judged"),
        column("work_order", Name, "the work order"),
        column("product", Name, "the product"),
        column("operator", Name, "who measured"),
        column("gauge", Name, "the measuring device"),
        column("subgroup", Name, "rational subgroup"),
        column("run", Name, "the execution it belongs to"),
        column("piece", Integer, "piece within the run, 1 where only one"),
    ],
    // In the order in which charts are drawn: what is measured most often is one characteristic over time.
    key: &["equipment", "characteristic", "time", "unit", "operation", "run", "piece"],
    time: Some("time"),
    age: Some("time"),
    upsert: Upsert::Record,
};

/// One execution of an operation.
pub const OPERATIONS: Table = Table {
    name: "operations",
    doc: "one execution of an operation",
    columns: &[
        column(
            "run",
            Name,
            "identity of the execution; derived from (equipment, operation, unit or order, started) where absent",
        ),
        column("equipment", Name, "where"),
        column("work_order", Name, "for which order"),
        column("product", Name, "of which product"),
        column("operation", Name, "which operation"),
        column("unit", Name, "on which unit; NULL where only an order is known"),
        column("started", Time, "start"),
        column("completed", Time, "end; NULL while it runs"),
        column("result", Name, "`pass`, `fail` or the station's own word"),
        column("operator", Name, "who"),
        column("quantity", Double, "pieces made"),
    ],
    key: &["run"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// An order from ERP or MES.
pub const WORK_ORDERS: Table = Table {
    name: "work_orders",
    doc: "an order from ERP or MES",
    columns: &[
        column("work_order", Name, "order number"),
        column("product", Name, "what is made"),
        column("planned_quantity", Double, "pieces to make"),
        column("due", Time, "due date"),
        column("released", Time, "when it was released"),
        column("started", Time, "actual start"),
        column("completed", Time, "actual end"),
        column("status", Name, "planned, released, running, completed, closed …"),
        column("route", Name, "route it follows"),
        column("ideal_cycle_s", Double, "ideal cycle time that overrides the product's, seconds per piece"),
    ],
    key: &["work_order"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// A serial, lot, batch or pallet.
pub const UNITS: Table = Table {
    name: "units",
    doc: "a serial, lot, batch or pallet",
    columns: &[
        column("unit", Name, "its number"),
        column("item", Name, "product or material number"),
        column("kind", Name, "serial, lot, batch or pallet"),
        column("quantity", Double, "how much there was of it when it was whole"),
        column("uom", Name, "unit of measure of the quantity"),
        column("created", Time, "when it came into being"),
        column("work_order", Name, "order that made it"),
        column("supplier_lot", Name, "the supplier's lot number"),
        column("status", Name, "ok, hold, scrap …"),
    ],
    key: &["unit"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// One genealogy edge.
pub const MATERIALS: Table = Table {
    name: "materials",
    doc: "one genealogy edge: parent went into child",
    columns: &[
        column("event_id", Name, "identity of the edge"),
        column("parent", Name, "what went in"),
        column("child", Name, "what it went into"),
        column("quantity", Double, "how much of the parent, in its unit of measure, went into the whole child"),
        column("kind", Name, "consumed, assembled, packed …; `rework`: the child is its parent under another number"),
        column("time", Time, "when"),
        column("removed", Time, "when it was taken out again"),
        column("operation", Name, "at which operation"),
        column("equipment", Name, "where"),
    ],
    key: &["event_id"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// One equipment state.
pub const STATES: Table = Table {
    name: "states",
    doc: "one equipment state",
    columns: &[
        column("equipment", Name, "which equipment"),
        column("source", Name, "who says so: `signal`, a system, an operator"),
        column("start", Time, "from when"),
        column("end", Time, "until when; NULL for a change record or an open interval"),
        column("kind", Name, "`change` holds until the next record, `interval` has its own end"),
        column("state", Name, "the state's name"),
        column("category", Name, "time category, where the record itself says it"),
        column("reason", Name, "reason code"),
        column("comment", Text, "free text"),
    ],
    key: &["equipment", "source", "start"],
    time: Some("start"),
    age: Some("start"),
    upsert: Upsert::Record,
};

/// Reasons given to stops.
pub const STOP_REASONS: Table = Table {
    name: "stop_reasons",
    doc: "one reason that a person, or a system, gave to stopped time of an equipment",
    columns: &[
        column("equipment", Name, "which equipment"),
        column("start", Time, "from when"),
        column("end", Time, "until when; NULL: until the equipment runs again"),
        column("reason", Name, "reason code, one of `reasons`"),
        column("comment", Text, "free text"),
    ],
    key: &["equipment", "start"],
    time: Some("start"),
    age: Some("start"),
    upsert: Upsert::Record,
};

/// Pieces made.
pub const COUNTS: Table = Table {
    name: "counts",
    doc: "pieces made: of total, good and scrap two give the third",
    columns: &[
        column("time", Time, "when they were made"),
        column("equipment", Name, "where"),
        column("source", Name, "who counted"),
        column("total", Double, "pieces made"),
        column("good", Double, "good pieces"),
        column("scrap", Double, "scrapped pieces"),
        column("rework", Double, "pieces sent to rework"),
        column("reason", Name, "reason of the scrap or rework"),
    ],
    key: &["equipment", "time", "source", "reason"],
    time: Some("time"),
    age: Some("time"),
    upsert: Upsert::Record,
};

/// Anything that happened.
pub const EVENTS: Table = Table {
    name: "events",
    doc: "anything that happened: alarm, rule violation, hold, release, comment, signature",
    columns: &[
        column("event_id", Name, "its identity"),
        column("time", Time, "when it happened"),
        column("kind", Name, "alarm, violation, hold, release, nonconformance, comment, signature"),
        column("equipment", Name, "where"),
        column("unit", Name, "which unit"),
        column("work_order", Name, "which order"),
        column("characteristic", Name, "which characteristic"),
        column("severity", Name, "info, warning, critical"),
        column("message", Text, "in words"),
        column("data", Text, "details as JSON"),
    ],
    key: &["event_id"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Equipment tree.
pub const EQUIPMENT: Table = Table {
    name: "equipment",
    doc: "one node of the equipment tree",
    columns: &[
        column("equipment", Name, "path, `site/area/line/cell`"),
        column("parent", Name, "path of the parent"),
        column("name", Name, "name for people"),
        column("level", Name, "ISA-95 level: enterprise, site, area, work_center, work_unit"),
        column("zone", Name, "IANA time zone"),
        column("calendar", Name, "shift calendar"),
        column("rollup", Name, "`sum` or `serial`"),
        column("default_product", Name, "product that stands in where no order covers"),
        column("state_map", Name, "name of the map that says what its states mean; NULL: a few common words"),
        column("state_source", Name, "whose states count, where the plant says it: `signal`, or a source of records"),
        column(
            "count_source",
            Name,
            "whose counts, where the plant says it: `signal`, `operations`, or a source of records",
        ),
        column(
            "microstop_threshold_s",
            Double,
            "unplanned stops shorter than this are micro-stops, seconds; NULL: 120",
        ),
        column("startup_s", Double, "how long scrap counts as that of starting up, seconds; NULL: none does"),
        column("cost_per_hour", Double, "what an hour of a shift costs, in the plant's currency"),
        column("energy_price_per_kwh", Double, "price of energy, in the plant's currency"),
    ],
    key: &["equipment"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Declared signals.
pub const SIGNALS: Table = Table {
    name: "signals",
    doc: "one declared signal",
    columns: &[
        column("equipment", Name, "on which equipment, or an ancestor for all below it"),
        column("signal", Name, "its name"),
        column("uom", Name, "unit of measure"),
        column("interpolation", Name, "`stepped` or `sloped`"),
        column("role", Name, "state, total_count, good_count, scrap_count, energy, or none"),
        column("description", Text, "for people"),
        column("compression", Name, "`dead_band` or `swinging_door`: not every sample is kept; NULL: each is"),
        column("compression_deviation", Double, "how far a sample left out may be from what those kept give back"),
        column("compression_max_interval_s", Double, "longest time between samples kept while samples come, seconds"),
        column("reason", Name, "why the pieces were scrapped that it counts"),
    ],
    key: &["equipment", "signal"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Products.
pub const PRODUCTS: Table = Table {
    name: "products",
    doc: "ideal cycle time of a product on an equipment or all below it, from a date on",
    columns: &[
        column("product", Name, "product number"),
        column("equipment", Name, "equipment or ancestor; empty for everywhere"),
        column("valid_from", Time, "from when the cycle time holds"),
        column("name", Name, "name for people"),
        column("ideal_cycle_s", Double, "ideal cycle time, seconds per piece"),
        column("planned_scrap_ratio", Double, "share of the pieces that is planned to be scrapped"),
    ],
    key: &["product", "equipment", "valid_from"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Characteristics.
pub const CHARACTERISTICS: Table = Table {
    name: "characteristics",
    doc: "a measured characteristic of a product at an operation",
    columns: &[
        column("characteristic", Name, "its name"),
        column("product", Name, "of which product; empty for all"),
        column("operation", Name, "at which operation; empty for all"),
        column("uom", Name, "unit of measure"),
        column("lower_limit", Double, "lower specification limit"),
        column("upper_limit", Double, "upper specification limit"),
        column("target", Double, "nominal value"),
        column(
            "on_violation",
            Name,
            "`hold`: a violation of its control chart puts the unit on hold; NULL: it is told",
        ),
        column("reaction_plan", Text, "what is to be done then"),
        column("signal", Name, "the signal that it is measured of; NULL: stations send it"),
        column("reduce", Name, "what the samples of that signal at a unit and operation come to"),
    ],
    key: &["characteristic", "product", "operation"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Frozen limits of control charts.
pub const CONTROL_LIMITS: Table = Table {
    name: "control_limits",
    doc: "limits of a control chart that were approved, from a time on",
    columns: &[
        column("characteristic", Name, "of which characteristic; of t2 all of them, as in `bore, length`"),
        column("equipment", Name, "where it is measured; empty for everywhere"),
        column("product", Name, "of which product; empty for all"),
        column("operation", Name, "at which operation; empty for all"),
        column("chart", Name, "xbar_r, xbar_s, i_mr, p, np, c, u, laney_p, laney_u, ewma, cusum, t2 …"),
        column("valid_from", Time, "which subgroups they judge: from this time on, until those of a later time"),
        column("centre", Double, "process mean; p̄, ū or c̄ of counts"),
        column("sigma", Double, "sigma of a single value; σz of Laney's charts, 1 of other charts of counts"),
        column("pooled_sigma", Flag, "sigma is pooled, and each subgroup divides it by its own c4"),
        column("companion", Name, "the chart below: R, S, MR or C-"),
        column("width", Double, "distance of the limits from the centre line in sigmas; 3 where it is not said"),
        column("lambda", Double, "EWMA: weight of the newest subgroup"),
        column("k", Double, "CUSUM: allowance, in sigmas of the mean"),
        column("h", Double, "CUSUM: decision interval, in sigmas of the mean"),
        column("headstart", Double, "CUSUM: where the sums start, in sigmas of the mean"),
        column(
            "steady",
            Flag,
            "EWMA and moving average: limits of the first points are as wide as those of later ones",
        ),
        column("span", Integer, "moving average: over how many subgroups"),
        column("subgroup", Name, "how values become subgroups: `5`, `1 hour`, `work_order` …"),
        column("subgroups", Integer, "from how many subgroups they were estimated"),
        column("model", Text, "t2: means and covariance of the characteristics, as `spc_limits` tells them"),
        column("rules", Text, "rules that judge by them: `nelson`, `N1,N2(8)` …"),
        column("approved_by", Name, "who approved them"),
        column("reason", Text, "why they were frozen"),
    ],
    key: &["characteristic", "equipment", "product", "operation", "chart", "valid_from"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Measurements that limits are not estimated from.
pub const EXCLUSIONS: Table = Table {
    name: "exclusions",
    doc: "a measurement that limits of control charts are not estimated from, and why",
    columns: &[
        column("characteristic", Name, "of which characteristic"),
        column("equipment", Name, "where it was measured; empty for everywhere"),
        column("operation", Name, "at which operation; empty for all"),
        column("unit", Name, "of which unit; empty for all"),
        column("run", Name, "in which execution; empty for all"),
        column("time", Time, "when it was measured"),
        column("piece", Integer, "which piece; NULL for all"),
        column("reason", Text, "why"),
    ],
    key: &["characteristic", "equipment", "operation", "unit", "run", "time", "piece"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Routes.
pub const ROUTES: Table = Table {
    name: "routes",
    doc: "one step of a route",
    columns: &[
        column("route", Name, "its name"),
        column("step", Integer, "place in the route, 1 is first"),
        column("operation", Name, "operation of that step"),
        column("equipment", Name, "where it runs"),
    ],
    key: &["route", "step"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Reasons.
pub const REASONS: Table = Table {
    name: "reasons",
    doc: "one reason of the reason tree",
    columns: &[
        column("reason", Name, "reason code"),
        column("parent", Name, "reason above it"),
        column("name", Name, "name for people"),
        column("category", Name, "unplanned, changeover, planned or no_order"),
    ],
    key: &["reason"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Resolved shift instances.
pub const SHIFTS: Table = Table {
    name: "shifts",
    doc: "one resolved shift instance",
    columns: &[
        column("calendar", Name, "shift calendar"),
        column("start", Time, "start of the instance"),
        column("end", Time, "end of the instance"),
        column("shift", Name, "name of the shift"),
        column("production_day", Name, "local date of the shift's start, YYYY-MM-DD"),
        column("breaks", Text, "breaks as a JSON list of [start, end] in UTC"),
    ],
    key: &["calendar", "start"],
    time: Some("start"),
    age: None,
    upsert: Upsert::Record,
};

/// The plant file as it is applied; what held before is in its history.
pub const PLANT_FILES: Table = Table {
    name: "plant_files",
    doc: "the plant file, whole, as takt applied it at its start",
    columns: &[column("name", Name, "`plant.toml`"), column("text", Text, "what it says")],
    key: &["name"],
    time: None,
    age: None,
    upsert: Upsert::Record,
};

/// Messages that could not be admitted.
pub const QUARANTINE: Table = Table {
    name: "quarantine",
    doc: "a message that could not be admitted",
    columns: &[
        column("id", Name, "its identity: hash of source, topic, payload and arrival time"),
        column("time", Time, "arrival time"),
        column("source", Name, "which way it came: mqtt, http …, and the login"),
        column("topic", Name, "MQTT topic, or address of the request"),
        column("payload", Text, "first 64 KiB; bytes that are not UTF-8 are shown as \\xNN"),
        column("payload_base64", Text, "the same bytes, exactly, where the payload is not UTF-8"),
        column("length", Integer, "length of the whole payload, bytes"),
        column("sha256", Text, "SHA-256 of the whole payload"),
        column("error", Text, "why it was refused, for a person"),
        column("replayed", Flag, "false: it waits; true: replayed; NULL: discarded, and its payload with it"),
    ],
    key: &["id"],
    time: None,
    age: Some("time"),
    upsert: Upsert::Whole,
};

/// Tables that came after the first version: a data folder has them from the first start of a newer one on.
pub const LATER: &[&str] = &["stop_reasons", "control_limits", "exclusions", "plant_files"];

/// Every public table.
pub const TABLES: &[Table] = &[
    SAMPLES,
    MEASUREMENTS,
    OPERATIONS,
    WORK_ORDERS,
    UNITS,
    MATERIALS,
    STATES,
    STOP_REASONS,
    COUNTS,
    EQUIPMENT,
    SIGNALS,
    PRODUCTS,
    CHARACTERISTICS,
    CONTROL_LIMITS,
    EXCLUSIONS,
    ROUTES,
    REASONS,
    SHIFTS,
    PLANT_FILES,
    EVENTS,
    QUARANTINE,
];
