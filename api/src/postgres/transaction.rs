//! Transactions of a server that only reads: they hold no data, but clients open them, set savepoints in
//! them, and rely on a failed one refusing everything until its end.

use pgwire::messages::response::TransactionStatus;

use super::failure::{Failure, sqlstate};

#[cfg(test)]
mod tests;

/// The state of one session's transaction.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    state: State,
    savepoints: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Open,
    Failed,
}

/// What a transaction statement answers besides its effect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Completed {
    pub(crate) tag: &'static str,
    /// A SQLSTATE and a sentence, where PostgreSQL warns.
    pub(crate) warning: Option<(&'static str, &'static str)>,
    /// Whether a transaction ended, and how.
    pub(crate) ended: Option<Ended>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Committed,
    RolledBack,
}

impl Completed {
    fn plain(tag: &'static str) -> Completed {
        Completed { tag, warning: None, ended: None }
    }
}

impl Transaction {
    /// The state as `ReadyForQuery` tells it.
    pub(crate) fn status(&self) -> TransactionStatus {
        match self.state {
            State::Idle => TransactionStatus::Idle,
            State::Open => TransactionStatus::Transaction,
            State::Failed => TransactionStatus::Error,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// A statement failed.
    pub(crate) fn fail(&mut self) {
        if self.state == State::Open {
            self.state = State::Failed;
        }
    }

    /// Refuses a statement in a failed transaction.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.state == State::Failed {
            return Err(Failure::new(
                sqlstate::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }

    pub(crate) fn begin(&mut self) -> Completed {
        let warning = (self.state != State::Idle)
            .then_some((sqlstate::ACTIVE_SQL_TRANSACTION, "there is already a transaction in progress"));
        self.state = State::Open;
        Completed { warning, ..Completed::plain("BEGIN") }
    }

    /// Committing a failed transaction rolls it back, and says so in the tag.
    pub(crate) fn commit(&mut self) -> Completed {
        match self.state {
            State::Idle => Completed { warning: Some(NO_TRANSACTION), ..Completed::plain("COMMIT") },
            State::Open => self.finish("COMMIT", Ended::Committed),
            State::Failed => self.finish("ROLLBACK", Ended::RolledBack),
        }
    }

    pub(crate) fn rollback(&mut self) -> Completed {
        match self.state {
            State::Idle => Completed { warning: Some(NO_TRANSACTION), ..Completed::plain("ROLLBACK") },
            State::Open | State::Failed => self.finish("ROLLBACK", Ended::RolledBack),
        }
    }

    fn finish(&mut self, tag: &'static str, ended: Ended) -> Completed {
        *self = Transaction::default();
        Completed { ended: Some(ended), ..Completed::plain(tag) }
    }

    pub(crate) fn savepoint(&mut self, name: String) -> Result<Completed, Failure> {
        self.in_block("SAVEPOINT")?;
        self.savepoints.push(name);
        Ok(Completed::plain("SAVEPOINT"))
    }

    pub(crate) fn release(&mut self, name: &str) -> Result<Completed, Failure> {
        self.in_block("RELEASE SAVEPOINT")?;
        let index = self.find(name)?;
        self.savepoints.truncate(index);
        Ok(Completed::plain("RELEASE"))
    }

    /// Also heals a failed transaction; the savepoint stays.
    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<Completed, Failure> {
        self.in_block("ROLLBACK TO SAVEPOINT")?;
        let index = self.find(name)?;
        self.savepoints.truncate(index + 1);
        self.state = State::Open;
        Ok(Completed::plain("ROLLBACK"))
    }

    fn find(&self, name: &str) -> Result<usize, Failure> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint == name)
            .ok_or_else(|| Failure::new(sqlstate::INVALID_SAVEPOINT, format!("savepoint \"{name}\" does not exist")))
    }

    fn in_block(&self, statement: &str) -> Result<(), Failure> {
        if self.is_idle() {
            return Err(Failure::new(
                sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                format!("{statement} can only be used in transaction blocks"),
            ));
        }
        Ok(())
    }
}

const NO_TRANSACTION: (&str, &str) = (sqlstate::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
