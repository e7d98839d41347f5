//! The only way out of takt: tables, SQL functions and sessions over one snapshot of the store.
//!
//! What the crate promises:
//!
//! 1. **One snapshot per statement.** All tables and functions of a statement read the same [`storage::Snapshot`].
//! 2. **Current rows only.** Superseded and retracted rows are left out, wherever they are stored; where a session asks for
//!    an earlier recorded time, the rows that were current then.
//! 3. **Keys are right in the next query.** Work order, operation and unit of samples are derived afresh for hot rows and
//!    for every stretch of time whose executions changed since its segment was written; keys that a payload named stay.
//! 4. **Reading only.** What is not known to read is refused before it is planned, and again as a plan.
//! 5. **Within limits.** Time, rows and memory of a query end with an error that says so.
//! 6. **No figure is computed here.** OEE and its time elements come from the crate `oee`.

mod as_of;
mod barrier;
mod catalog;
mod comparisons;
mod context;
mod current_rows;
mod earlier_plant;
mod engine;
mod error;
#[cfg(test)]
mod fixture;
mod functions;
mod instant;
mod interval_join;
mod key_filter;
mod keyed_sums;
mod live;
mod locate;
mod membership;
mod memory_scan;
mod newest;
mod reach;
mod record_rows;
mod rekey;
mod run_filter;
mod scan;
mod series_cells;
mod series_courses;
mod series_reader;
mod series_rows;
mod series_runs;
mod series_scan;
mod session;
mod sort_keys;
mod statement;
mod stored;
mod sums;
mod sums_of_none;
mod table;
mod types;
mod wall_time;
mod yielding;

pub use as_of::parse_as_of;
pub use catalog::SnapshotSource;
pub use engine::{CATALOG, Engine, Limits, SCHEMA};
pub use error::QueryError;
pub use functions::{AUTHOR, Change, Companion, CurveWatch, Measurement, SpcWatch, VIOLATION, Violation};
pub use instant::instant;
pub use live::{EquipmentNow, LiveOee};
pub use session::{Description, Session, Statement};
pub use statement::array_items;
