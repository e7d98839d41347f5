//! SQL functions: `time_bucket`, the filling of gaps (`gap_fill`), `timezone`, `current_user`, `distribution`, and table functions on
//! machines (`oee`, `oee_live`, `losses`, `scrap`, `stops`, `state_timeline`), on signals (`series`) and on units (`trace`).
//!
//! A table function is planned with constant arguments; the window of time and the equipment come from `WHERE`. What it
//! computes it takes from `oee`, from rows of the statement's own snapshot.

mod apart;
mod arguments;
mod bounded;
mod call;
mod columns;
mod current_user;
mod cut;
mod distribution;
mod function;
mod gap_fill;
mod gather;
mod interval;
mod losses;
mod names;
mod oee;
mod ordinal;
mod records;
mod reports;
mod rollup;
mod rows;
mod scrap;
mod series;
mod signals;
mod spc;
mod state_timeline;
mod stops;
mod table;
mod time_bucket;
mod timezone;
mod trace;
mod values;
mod window;

use std::sync::Arc;

use ::oee::plant::Plant;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;

use crate::catalog::Current;
use crate::live::LiveOee;
pub(crate) use apart::{Apart, is_named_twice};
pub(crate) use bounded::{bound, build, check_shape};
use function::Function;
pub(crate) use gap_fill::{GapFilling, Planner};
pub(crate) use gather::{Gather, Present};
pub(crate) use interval::{Differences, LengthsOfIntervals, length_us};
pub(crate) use records::{StateRows, each_piece, each_reason};
pub(crate) use rollup::Tree;
pub(crate) use signals::each_sample;
pub use spc::{AUTHOR, Change, Companion, CurveWatch, Measurement, SpcWatch, VIOLATION, Violation};
use table::TableFunction;
pub(crate) use timezone::{AtTimeZoneCalls, timezone};
pub(crate) use trace::EdgeCache;
pub(crate) use values::Texts;

/// Adds takt's functions to a session of `user`.
pub(crate) fn register(
    state: &mut SessionState,
    current: &Arc<Current>,
    plant: &Arc<Plant>,
    live: &Arc<LiveOee>,
    edges: &Arc<EdgeCache>,
    user: &str,
) {
    let scalar = [apart::cast_to(), time_bucket::time_bucket(), timezone()].into_iter().chain(gap_fill::calls());
    for function in scalar.chain(distribution::distribution()).chain(current_user::current_user(user)) {
        if let Err(error) = state.register_udf(Arc::new(function)) {
            tracing::error!(%error, "a function could not be registered");
        }
    }
    ordinal::register(state);
    if let Err(error) = state.register_expr_planner(Arc::new(interval::Intervals::new())) {
        tracing::error!(%error, "what is done with intervals could not be registered");
    }
    let earlier = Arc::default();
    for function in Function::ALL {
        let implementation = TableFunction {
            function,
            current: Arc::clone(current),
            plant: Arc::clone(plant),
            live: Arc::clone(live),
            edges: Arc::clone(edges),
            earlier: Arc::clone(&earlier),
        };
        state.register_udtf(function.name(), Arc::new(implementation));
    }
}
