//! The plant file that was in force at an earlier recorded time: calendars, ideal cycle times and what words mean.

use std::sync::Arc;

use ::oee::plant::Plant;
use ::oee::tables::PLANT_FILES;
use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionContext;

use crate::catalog::View;
use crate::error::QueryError;
use crate::functions::Texts;

/// The plant as a view knows it: `present`, unless the view is of an earlier time and another file was in force then. Of times before
/// the first file was recorded nobody knows more than now.
///
/// # Errors
/// Where that file cannot be read any more.
pub(crate) async fn plant_then(session: &SessionState, view: &View, present: &Arc<Plant>) -> Result<Arc<Plant>> {
    let Some(table) = view.as_of.and_then(|_| view.table(PLANT_FILES.name)) else { return Ok(Arc::clone(present)) };
    let context = SessionContext::new_with_state(session.clone());
    for batch in context.read_table(table)?.select_columns(&["text"])?.collect().await? {
        let texts = Texts::of(&batch, "text")?;
        match (0..batch.num_rows()).find_map(|row| texts.at(row)) {
            Some(text) if text == present.text() => break,
            Some(text) => return Ok(Arc::new(read(text)?)),
            None => {}
        }
    }
    Ok(Arc::clone(present))
}

fn read(text: &str) -> Result<Plant, QueryError> {
    if text.is_empty() {
        return Ok(Plant::empty());
    }
    Plant::parse(text).map_err(|mistakes| {
        let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
        QueryError::Execution(format!("the plant file that was in force then cannot be read by this takt: {first}"))
    })
}
