//! The plant file that was in force at an earlier recorded time: calendars, ideal cycle times and what words mean.

use std::sync::{Arc, Mutex, PoisonError};

use ::oee::plant::Plant;
use ::oee::tables::PLANT_FILES;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::{SessionContext, ident};

use crate::catalog::View;
use crate::error::QueryError;
use crate::functions::Texts;

/// The plant of the file that a session went by last: most ask about one time again and again.
#[derive(Debug, Default)]
pub(crate) struct EarlierPlant(Mutex<Option<Arc<Plant>>>);

impl EarlierPlant {
    /// The plant as a view knows it: `present`, unless the view is of an earlier time and another file was in force then. Of times
    /// before the first file that is recorded it is that one.
    ///
    /// # Errors
    /// Where that file cannot be read any more.
    pub(crate) async fn of(&self, session: &SessionState, view: &View, present: &Arc<Plant>) -> Result<Arc<Plant>> {
        if view.as_of.is_none() {
            return Ok(Arc::clone(present));
        }
        let mut now = view.clone();
        now.as_of = None;
        let mut text = first_text(session, view.table(PLANT_FILES.name)).await?;
        if text.is_none() {
            text = first_text(session, now.table(&format!("{}_history", PLANT_FILES.name))).await?;
        }
        let Some(text) = text.filter(|text| text != present.text()) else { return Ok(Arc::clone(present)) };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(plant) if plant.text() == text => Ok(Arc::clone(plant)),
            _ => Ok(Arc::clone(known.insert(Arc::new(read(&text)?)))),
        }
    }
}

/// The text of the row that was recorded first.
async fn first_text(session: &SessionState, table: Option<Arc<dyn TableProvider>>) -> Result<Option<String>> {
    let Some(table) = table else { return Ok(None) };
    let rows = SessionContext::new_with_state(session.clone()).read_table(table)?;
    let rows = rows.select_columns(&["text", "recorded"])?.sort(vec![ident("recorded").sort(true, true)])?;
    for batch in rows.collect().await? {
        let texts = Texts::of(&batch, "text")?;
        if let Some(text) = (0..batch.num_rows()).find_map(|row| texts.at(row)) {
            return Ok(Some(text.to_owned()));
        }
    }
    Ok(None)
}

fn read(text: &str) -> Result<Plant, QueryError> {
    if text.is_empty() {
        return Ok(Plant::empty());
    }
    Plant::parse(text).map_err(|mistakes| {
        let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
        QueryError::Execution(format!(
            "the plant file that was in force then (plant_files_history) cannot be read by this takt: {first}"
        ))
    })
}
