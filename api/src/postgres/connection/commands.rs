//! What each statement does, whichever protocol it came by.

use std::sync::Arc;

use bytes::Bytes;
use pgwire::api::results::FieldInfo;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};

use super::super::copy::CopyOut;
use super::super::failure::{Failure, Trouble, sqlstate};
use super::super::prepared::{Open, Portal, PortalState, Prepared};
use super::super::rows::{self, Column};
use super::super::run::{Planned, Rows};
use super::super::settings::Settings;
use super::super::source::Source;
use super::super::statement::{Command, Statement};
use super::super::transaction::{Completed, Ended};
use super::Connection;

const SHOW_TABLES: &str =
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name";

/// What a statement answers.
pub(super) enum Answer {
    Rows(Open),
    Copy(Box<CopyOut>, Rows),
    /// Rows of an open cursor; 0 means all of them.
    Fetch {
        cursor: String,
        rows: usize,
        moves: bool,
    },
    Done(String),
}

impl Connection {
    /// Does a statement, or begins what gives rows. `source` is its text with all parameters bound.
    pub(super) async fn begin(
        &mut self,
        command: &Command,
        source: Source,
        format_codes: &[i16],
    ) -> Result<Answer, Trouble> {
        if !command.ends_failure() {
            self.transaction.check()?;
        }
        match command {
            Command::Query { tag } => {
                let rows = self.open(source, None, None, format_codes).await?;
                Ok(Answer::Rows(Open { rows, tag: *tag }))
            }
            Command::ShowTables => {
                let rows = self.open(Source::new(SHOW_TABLES, 0), None, None, format_codes).await?;
                Ok(Answer::Rows(Open { rows, tag: "SHOW" }))
            }
            Command::Copy(copy) => {
                let format_codes: &[i16] = if copy.is_binary() { &[1] } else { &[0] };
                let rows = self.open(Source::new(&copy.query, copy.start), None, None, format_codes).await?;
                Ok(Answer::Copy(copy.clone(), rows))
            }
            Command::Show(name) => self.show(name, format_codes).map_err(Trouble::from),
            Command::Fetch { cursor, rows, moves } => {
                Ok(Answer::Fetch { cursor: cursor.clone(), rows: *rows, moves: *moves })
            }
            Command::Declare { cursor, query, hold } => {
                self.declare(cursor, query, source, *hold).await?;
                Ok(Answer::Done("DECLARE CURSOR".to_owned()))
            }
            Command::Write => Err(Failure::read_only().into()),
            Command::Unsupported(what) => {
                Err(Failure::unsupported(format!("{what} cannot be used with this server")).into())
            }
            command => self.control(command).await.map(Answer::Done),
        }
    }

    /// Statements about the session itself; gives the tag that completes them.
    async fn control(&mut self, command: &Command) -> Result<String, Trouble> {
        let tag = match command {
            Command::Begin => {
                if self.transaction.is_idle() {
                    self.settings.write().begin();
                }
                let completed = self.transaction.begin();
                return self.completed(completed).await;
            }
            Command::Commit => {
                let completed = self.transaction.commit();
                return self.completed(completed).await;
            }
            Command::Rollback => {
                let completed = self.transaction.rollback();
                return self.completed(completed).await;
            }
            Command::Savepoint(name) => {
                let completed = self.transaction.savepoint(name.clone())?;
                return self.completed(completed).await;
            }
            Command::Release(name) => {
                let completed = self.transaction.release(name)?;
                return self.completed(completed).await;
            }
            Command::RollbackTo(name) => {
                let completed = self.transaction.rollback_to(name)?;
                return self.completed(completed).await;
            }
            Command::Set { name, value, local } => {
                self.set(name, value.as_deref(), *local).await?;
                "SET"
            }
            Command::Accepted(tag) => *tag,
            Command::Reset(Some(name)) => {
                self.settings.write().reset(name)?;
                "RESET"
            }
            Command::Reset(None) => {
                self.settings.write().reset_all();
                "RESET"
            }
            Command::Discard { what } => return self.discard(what).map_err(Trouble::from),
            Command::Deallocate(name) => {
                self.deallocate(name.as_deref())?;
                if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" }
            }
            Command::Close(cursor) => {
                self.close_cursor(cursor.as_deref())?;
                if cursor.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" }
            }
            _ => return Err(Failure::unsupported("this statement is not supported").into()),
        };
        Ok(tag.to_owned())
    }

    /// Plans where that has not been done, and starts. `promised` are columns the client was already told of.
    pub(super) async fn open(
        &mut self,
        source: Source,
        planned: Option<Planned>,
        promised: Option<Vec<Column>>,
        format_codes: &[i16],
    ) -> Result<Rows, Trouble> {
        let planned = match planned {
            Some(planned) => planned,
            None => self.runner.plan(&source.rewritten()?).await?,
        };
        let columns = promised.unwrap_or_else(|| planned.columns.clone());
        let zone = self.settings.read().zone().clone();
        Ok(self.runner.start(planned, columns, format_codes, zone)?)
    }

    fn show(&self, name: &str, format_codes: &[i16]) -> Result<Answer, Failure> {
        let settings = self.settings.read();
        let values: Vec<Vec<String>> = if name == "all" {
            settings.iter().map(|(name, value)| vec![name.to_owned(), value.to_owned(), String::new()]).collect()
        } else {
            vec![vec![settings.get(name)?.to_owned()]]
        };
        let columns = show_columns(name);
        let formats = rows::formats(format_codes, columns.len())?;
        let fields = Arc::new(rows::fields(&columns, &formats));
        let rows = rows::text_rows(&values)?;
        Ok(Answer::Rows(Open { rows: Rows::ready(columns, fields, rows), tag: "SHOW" }))
    }

    async fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<(), Trouble> {
        if local && self.transaction.is_idle() {
            let warning = "SET LOCAL can only be used in transaction blocks";
            return self.warn(sqlstate::NO_ACTIVE_SQL_TRANSACTION, warning).await;
        }
        self.settings.write().set(name, value, local)?;
        Ok(())
    }

    /// Plans at once: a cursor sees what there is when it is declared, and by the settings of then.
    async fn declare(&mut self, cursor: &str, query: &Statement, source: Source, hold: bool) -> Result<(), Trouble> {
        if self.portals.contains_key(cursor) {
            let message = format!("cursor \"{cursor}\" already exists");
            return Err(Failure::new(sqlstate::DUPLICATE_CURSOR, message).into());
        }
        let planned = self.runner.plan(&source.clone().rewritten()?).await?;
        let prepared = Prepared { statement: Some(query.clone()), parameters: Vec::new(), columns: None };
        let portal = Portal {
            prepared: Arc::new(prepared),
            source,
            format_codes: Vec::new(),
            state: PortalState::Bound(Some(planned)),
            cursor: true,
            hold,
        };
        self.portals.insert(cursor.to_owned(), portal);
        Ok(())
    }

    fn close_cursor(&mut self, cursor: Option<&str>) -> Result<(), Failure> {
        match cursor {
            None => self.portals.retain(|_, portal| !portal.cursor),
            Some(cursor) => {
                self.portals.remove(cursor).ok_or_else(|| no_cursor(cursor))?;
            }
        }
        Ok(())
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<(), Failure> {
        match name {
            None => self.statements.clear(),
            Some(name) => {
                self.statements.remove(name).ok_or_else(|| no_statement(name))?;
            }
        }
        Ok(())
    }

    fn discard(&mut self, what: &str) -> Result<String, Failure> {
        match what {
            "all" if !self.transaction.is_idle() => {
                return Err(Failure::new(
                    sqlstate::ACTIVE_SQL_TRANSACTION,
                    "DISCARD ALL cannot run inside a transaction block",
                ));
            }
            "all" => {
                self.settings.write().reset_all();
                self.statements.clear();
                self.portals.clear();
            }
            // Plans, temporary tables and sequences: there are none to keep.
            "plans" | "temp" | "temporary" | "sequences" => {}
            _ => return Err(Failure::syntax(format!("syntax error at or near \"{what}\""))),
        }
        Ok(format!("DISCARD {}", what.to_ascii_uppercase()))
    }

    async fn completed(&mut self, completed: Completed) -> Result<String, Trouble> {
        if let Some((sqlstate, warning)) = completed.warning {
            self.warn(sqlstate, warning).await?;
        }
        if let Some(ended) = completed.ended {
            let committed = ended == Ended::Committed;
            self.settings.write().end(committed);
            self.portals.retain(|_, portal| portal.hold && committed);
        }
        Ok(completed.tag.to_owned())
    }

    /// Sends what a statement answers. The simple protocol is told of the columns here.
    pub(super) async fn answer(&mut self, answer: Answer, describe: bool) -> Result<(), Trouble> {
        match answer {
            Answer::Done(tag) => self.complete(tag).await,
            Answer::Rows(mut open) => {
                if describe {
                    self.describe_rows(&open.rows.fields).await?;
                }
                let (sent, _) = self.send_rows(&mut open.rows, 0).await?;
                self.complete(tag_with_rows(open.tag, sent)).await
            }
            Answer::Copy(copy, rows) => self.copy_out(&copy, rows).await,
            Answer::Fetch { cursor, rows, moves } => self.fetch(&cursor, rows, moves, describe).await,
        }
    }

    pub(super) async fn describe_rows(&mut self, fields: &[FieldInfo]) -> Result<(), Trouble> {
        self.feed(PgWireBackendMessage::RowDescription(rows::description(fields))).await
    }

    /// Sends up to `limit` rows (0: all). Gives how many went out, and whether there may be more.
    pub(super) async fn send_rows(&mut self, rows: &mut Rows, limit: usize) -> Result<(usize, bool), Trouble> {
        let mut sent = 0;
        while limit == 0 || sent < limit {
            match rows.next().await? {
                Some(row) => self.feed(PgWireBackendMessage::DataRow(row)).await?,
                None => return Ok((sent, false)),
            }
            sent += 1;
        }
        Ok((sent, true))
    }

    async fn fetch(&mut self, cursor: &str, limit: usize, moves: bool, describe: bool) -> Result<(), Trouble> {
        let mut portal = self.portals.remove(cursor).ok_or_else(|| no_cursor(cursor))?;
        let mut open = match portal.state {
            PortalState::Open(open) => open,
            PortalState::Bound(planned) => {
                let rows = self.open(portal.source.clone(), planned, None, &[]).await?;
                Open { rows, tag: "FETCH" }
            }
            PortalState::Finished => return Err(no_cursor(cursor).into()),
        };
        let mut sent = 0;
        if moves {
            while (limit == 0 || sent < limit) && open.rows.next().await?.is_some() {
                sent += 1;
            }
        } else {
            if describe {
                self.describe_rows(&open.rows.fields).await?;
            }
            (sent, _) = self.send_rows(&mut open.rows, limit).await?;
        }
        portal.state = PortalState::Open(open);
        self.portals.insert(cursor.to_owned(), portal);
        self.complete(tag_with_rows(if moves { "MOVE" } else { "FETCH" }, sent)).await
    }

    async fn copy_out(&mut self, copy: &CopyOut, mut rows: Rows) -> Result<(), Trouble> {
        let names: Vec<String> = rows.fields.iter().map(|field| field.name().to_owned()).collect();
        let columns =
            i16::try_from(names.len()).map_err(|_| Failure::unsupported("COPY has room for 32767 columns"))?;
        let format = i8::from(copy.is_binary());
        let response = CopyOutResponse::new(format, columns, vec![i16::from(format); names.len()]);
        self.feed(PgWireBackendMessage::CopyOutResponse(response)).await?;
        if let Some(line) = copy.column_names(&names) {
            self.copy_data(line).await?;
        }
        let mut sent = 0_usize;
        while let Some(row) = rows.next().await? {
            self.copy_data(copy.row(row, sent == 0)).await?;
            sent += 1;
        }
        if let Some(ending) = copy.ending(sent == 0) {
            self.copy_data(ending).await?;
        }
        self.feed(PgWireBackendMessage::CopyDone(CopyDone::new())).await?;
        self.complete(format!("COPY {sent}")).await
    }

    async fn copy_data(&mut self, data: Bytes) -> Result<(), Trouble> {
        self.feed(PgWireBackendMessage::CopyData(CopyData::new(data))).await
    }
}

/// The columns of `SHOW name`.
pub(super) fn show_columns(name: &str) -> Vec<Column> {
    if name == "all" {
        return ["name", "setting", "description"].map(Column::text).to_vec();
    }
    vec![Column::text(Settings::display_name(name))]
}

/// `SELECT` and `FETCH` count their rows, `SHOW` and `EXPLAIN` do not.
pub(super) fn tag_with_rows(tag: &str, rows: usize) -> String {
    match tag {
        "SHOW" | "EXPLAIN" => tag.to_owned(),
        tag => format!("{tag} {rows}"),
    }
}

pub(super) fn no_statement(name: &str) -> Failure {
    Failure::new(sqlstate::INVALID_SQL_STATEMENT_NAME, format!("prepared statement \"{name}\" does not exist"))
}

pub(super) fn no_cursor(name: &str) -> Failure {
    Failure::new(sqlstate::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
