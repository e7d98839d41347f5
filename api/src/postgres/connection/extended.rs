//! The extended protocol: parse, bind, describe and execute, each for itself.

use std::sync::Arc;

use arrow_pg::datatypes::into_pg_type;
use pgwire::api::Type;
use pgwire::api::results::FieldFormat;
use pgwire::messages::data::ParameterDescription;
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
    TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::EmptyQueryResponse;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::super::failure::{Failure, Trouble, sqlstate};
use super::super::parameters::{Bound, Parameter, literal, null};
use super::super::prepared::{Open, Portal, PortalState, Prepared};
use super::super::rows::{self, Column};
use super::super::run::{Described, Planned};
use super::super::source::{Source, parameter_count};
use super::super::statement::{Command, Statement, split};
use super::Connection;
use super::commands::{Answer, no_cursor, no_statement, show_columns, tag_with_rows};

impl Connection {
    pub(super) async fn extended(&mut self, message: PgWireFrontendMessage) -> Result<(), Trouble> {
        match message {
            PgWireFrontendMessage::Parse(parse) => {
                let clock = self.start_clock();
                let done = clock.watch(self.parse(parse)).await;
                self.stop_clock(done).await
            }
            PgWireFrontendMessage::Bind(bind) => self.bind(bind).await,
            PgWireFrontendMessage::Describe(describe) => self.describe(describe).await,
            PgWireFrontendMessage::Execute(execute) => {
                let clock = self.start_clock();
                let done = clock.watch(self.execute(execute)).await;
                self.stop_clock(done).await
            }
            PgWireFrontendMessage::Close(close) => self.close(close).await,
            PgWireFrontendMessage::Flush(_) => self.wire.flush().await.map_err(Trouble::from),
            // A client that meant to copy in was told that it cannot; what it had on the way is left out.
            PgWireFrontendMessage::CopyData(_)
            | PgWireFrontendMessage::CopyDone(_)
            | PgWireFrontendMessage::CopyFail(_) => Ok(()),
            _ => Err(Failure::protocol("unexpected message").fatal().into()),
        }
    }

    /// The end of a round: portals go unless a transaction keeps them.
    pub(super) async fn sync(&mut self) -> Result<(), Trouble> {
        if self.transaction.is_idle() {
            self.portals.retain(|_, portal| portal.cursor);
        }
        self.ready().await
    }

    async fn parse(&mut self, message: Parse) -> Result<(), Trouble> {
        let name = message.name.unwrap_or_default();
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(Failure::new(
                sqlstate::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let mut statements = split(&message.query)?;
        if statements.len() > 1 {
            return Err(Failure::syntax("cannot insert multiple commands into a prepared statement").into());
        }
        let prepared = match statements.pop() {
            Some(statement) => self.prepare(statement, &message.type_oids).await?,
            None => Prepared { statement: None, parameters: Vec::new(), columns: None },
        };
        self.statements.insert(name, Arc::new(prepared));
        self.feed(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await
    }

    async fn prepare(&mut self, statement: Statement, type_oids: &[u32]) -> Result<Prepared, Trouble> {
        if !statement.command.ends_failure() {
            self.transaction.check()?;
        }
        let source = Source::new(&statement.text, statement.start);
        let mut parameters = declared(parameter_count(&statement.text)?.max(type_oids.len()), type_oids);
        let columns = match &statement.command {
            Command::Write => return Err(Failure::read_only().into()),
            Command::Query { .. } => {
                let described = self.describe_source(&source, &parameters).await?;
                infer(&mut parameters, &described);
                Some(described.columns)
            }
            Command::Show(name) => {
                if name != "all" {
                    self.settings.read().get(name)?;
                }
                Some(show_columns(name))
            }
            Command::ShowTables => Some(vec![Column::text("table_name")]),
            Command::Fetch { cursor, moves: false, .. } => Some(self.cursor_columns(cursor).await?),
            _ => None,
        };
        Ok(Prepared { statement: Some(statement), parameters, columns })
    }

    /// Columns and parameter types. Declared types count first: a literal of such a type will stand there.
    async fn describe_source(&mut self, source: &Source, parameters: &[Parameter]) -> Result<Described, Trouble> {
        let typed: Vec<Option<String>> =
            parameters.iter().map(|parameter| Some(null(parameter)).filter(|literal| literal != "NULL")).collect();
        if typed.iter().any(Option::is_some) {
            let source = source.bind(&typed)?.rewritten()?;
            if let Ok(described) = self.runner.describe(&source).await {
                return Ok(described);
            }
        }
        // Where a NULL cannot stand, as in the arguments of a table function, the placeholder itself can.
        let source = source.clone().rewritten()?;
        Ok(self.runner.describe(&source).await?)
    }

    /// The columns a cursor gives; plans its query where that has not been done.
    async fn cursor_columns(&mut self, cursor: &str) -> Result<Vec<Column>, Trouble> {
        let portal = self.portals.get_mut(cursor).ok_or_else(|| no_cursor(cursor))?;
        match &mut portal.state {
            PortalState::Open(open) => Ok(open.rows.columns.clone()),
            PortalState::Finished => Err(no_cursor(cursor).into()),
            PortalState::Bound(Some(planned)) => Ok(planned.columns.clone()),
            PortalState::Bound(unplanned) => {
                let planned = self.runner.plan(&portal.source.clone().rewritten()?).await?;
                let columns = planned.columns.clone();
                *unplanned = Some(planned);
                Ok(columns)
            }
        }
    }

    async fn bind(&mut self, message: Bind) -> Result<(), Trouble> {
        let name = message.statement_name.unwrap_or_default();
        let prepared = Arc::clone(self.statements.get(&name).ok_or_else(|| no_statement(&name))?);
        let portal_name = message.portal_name.unwrap_or_default();
        if !portal_name.is_empty() && self.portals.contains_key(&portal_name) {
            return Err(
                Failure::new(sqlstate::DUPLICATE_CURSOR, format!("cursor \"{portal_name}\" already exists")).into()
            );
        }
        let (given, wanted) = (message.parameters.len(), prepared.parameters.len());
        if given != wanted {
            return Err(Failure::protocol(format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
            ))
            .into());
        }
        let formats = rows::formats(&message.parameter_format_codes, given)?;
        let zone = self.settings.read().zone().clone();
        let mut literals = Vec::with_capacity(given);
        for ((value, format), parameter) in message.parameters.iter().zip(formats).zip(&prepared.parameters) {
            let bound = Bound { bytes: value.as_deref(), binary: format == FieldFormat::Binary };
            literals.push(Some(literal(bound, parameter, &zone)?));
        }
        let source = bound_source(prepared.statement.as_ref(), &literals)?;
        let portal = Portal {
            prepared,
            source,
            format_codes: message.result_column_format_codes,
            state: PortalState::Bound(None),
            cursor: false,
            hold: false,
        };
        self.portals.insert(portal_name, portal);
        self.feed(PgWireBackendMessage::BindComplete(BindComplete::new())).await
    }

    async fn describe(&mut self, message: Describe) -> Result<(), Trouble> {
        let name = message.name.unwrap_or_default();
        match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => {
                let prepared = Arc::clone(self.statements.get(&name).ok_or_else(|| no_statement(&name))?);
                let types = prepared.parameters.iter().map(|parameter| parameter.kind.oid()).collect();
                self.feed(PgWireBackendMessage::ParameterDescription(ParameterDescription::new(types))).await?;
                self.describe_columns(prepared.columns.as_deref(), &[]).await
            }
            TARGET_TYPE_BYTE_PORTAL => {
                let portal = self.portals.get(&name).ok_or_else(|| no_portal(&name))?;
                if portal.cursor {
                    // What `DECLARE` made gives the rows of the query inside it, and always as text.
                    let clock = self.start_clock();
                    let done = clock.watch(self.cursor_columns(&name)).await;
                    let columns = self.stop_clock(done).await?;
                    return self.describe_columns(Some(&columns), &[]).await;
                }
                let (prepared, codes) = (Arc::clone(&portal.prepared), portal.format_codes.clone());
                self.describe_columns(prepared.columns.as_deref(), &codes).await
            }
            other => Err(Failure::protocol(format!("invalid DESCRIBE message subtype {other}")).into()),
        }
    }

    async fn describe_columns(&mut self, columns: Option<&[Column]>, format_codes: &[i16]) -> Result<(), Trouble> {
        match columns {
            None => self.no_data().await,
            Some(columns) => {
                let formats = rows::formats(format_codes, columns.len())?;
                self.describe_rows(&rows::fields(columns, &formats)).await
            }
        }
    }

    async fn execute(&mut self, message: Execute) -> Result<(), Trouble> {
        let name = message.name.unwrap_or_default();
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let Some(statement) = portal.prepared.statement.clone() else {
            self.portals.insert(name, portal);
            return self.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await;
        };
        let mut open = match portal.state {
            PortalState::Open(open) => open,
            PortalState::Finished => {
                portal.state = PortalState::Finished;
                self.portals.insert(name, portal);
                return self.complete("SELECT 0").await;
            }
            PortalState::Bound(planned) => {
                let promised = portal.prepared.columns.clone();
                let source = portal.source.clone();
                match self.begin_portal(&statement, source, planned, promised, &portal.format_codes).await? {
                    Answer::Rows(open) => open,
                    answer => return self.answer(answer, false).await,
                }
            }
        };
        let limit = usize::try_from(message.max_rows).unwrap_or_default();
        let (sent, more) = self.send_rows(&mut open.rows, limit).await?;
        if more {
            portal.state = PortalState::Open(open);
            self.portals.insert(name, portal);
            return self.feed(PgWireBackendMessage::PortalSuspended(PortalSuspended::new())).await;
        }
        portal.state = PortalState::Finished;
        self.portals.insert(name, portal);
        self.complete(tag_with_rows(open.tag, sent)).await
    }

    /// Begins a portal's statement; a query's columns stay those that were described.
    async fn begin_portal(
        &mut self,
        statement: &Statement,
        source: Source,
        planned: Option<Planned>,
        promised: Option<Vec<Column>>,
        format_codes: &[i16],
    ) -> Result<Answer, Trouble> {
        match &statement.command {
            Command::Query { tag } => {
                self.transaction.check()?;
                let rows = self.open(source, planned, promised, format_codes).await?;
                Ok(Answer::Rows(Open { rows, tag: *tag }))
            }
            Command::Fetch { .. } if format_codes.contains(&1) => {
                Err(Failure::unsupported("a cursor's rows come as text").into())
            }
            command => self.begin(command, source, format_codes).await,
        }
    }

    async fn close(&mut self, message: Close) -> Result<(), Trouble> {
        let name = message.name.unwrap_or_default();
        match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => {
                self.statements.remove(&name);
            }
            TARGET_TYPE_BYTE_PORTAL => {
                self.portals.remove(&name);
            }
            other => return Err(Failure::protocol(format!("invalid CLOSE message subtype {other}")).into()),
        }
        self.feed(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await
    }
}

/// The text that will run, with literals for its parameters: of a `DECLARE` that is the query inside.
pub(super) fn bound_source(statement: Option<&Statement>, literals: &[Option<String>]) -> Result<Source, Failure> {
    match statement {
        None => Ok(Source::new("", 0)),
        Some(Statement { command: Command::Declare { query, .. }, .. }) => {
            Source::new(&query.text, query.start).bind(literals)
        }
        Some(statement) => Source::new(&statement.text, statement.start).bind(literals),
    }
}

/// The parameters as far as the client named their types.
fn declared(count: usize, type_oids: &[u32]) -> Vec<Parameter> {
    (0..count)
        .map(|index| {
            let kind = type_oids.get(index).and_then(|oid| Type::from_oid(*oid)).filter(|kind| *kind != Type::UNKNOWN);
            match kind {
                Some(kind) => Parameter { kind, declared: true },
                None => Parameter { kind: Type::TEXT, declared: false },
            }
        })
        .collect()
}

/// Gives parameters without a declared type the one their place suggests.
fn infer(parameters: &mut [Parameter], described: &Described) {
    for (parameter, inferred) in parameters.iter_mut().zip(&described.parameters) {
        if !parameter.declared
            && let Some(data_type) = inferred
            && let Ok(kind) = into_pg_type(data_type)
            && kind != Type::UNKNOWN
        {
            parameter.kind = kind;
        }
    }
}

fn no_portal(name: &str) -> Failure {
    Failure::new(sqlstate::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
