//! What a session keeps of the extended protocol: prepared statements, and portals with their open results.

use std::sync::Arc;

use super::parameters::Parameter;
use super::rows::Column;
use super::run::{Planned, Rows};
use super::source::Source;
use super::statement::Statement;

/// A parsed statement.
pub(crate) struct Prepared {
    /// `None` for an empty query.
    pub(crate) statement: Option<Statement>,
    pub(crate) parameters: Vec<Parameter>,
    /// The columns the client was or will be told of; `None` where there are no rows.
    pub(crate) columns: Option<Vec<Column>>,
}

/// A statement with its values, and as far as it has run.
pub(crate) struct Portal {
    pub(crate) prepared: Arc<Prepared>,
    /// The statement with literals in the place of its parameters.
    pub(crate) source: Source,
    pub(crate) format_codes: Vec<i16>,
    pub(crate) state: PortalState,
    /// Made by `DECLARE`: lives on after the message that made it.
    pub(crate) cursor: bool,
    /// Lives on after its transaction.
    pub(crate) hold: bool,
}

pub(crate) enum PortalState {
    /// Not begun; planned where it has been described.
    Bound(Option<Planned>),
    Open(Open),
    Finished,
}

/// A result of which some rows may have gone out.
pub(crate) struct Open {
    pub(crate) rows: Rows,
    pub(crate) tag: &'static str,
}
