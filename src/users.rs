//! The users of one data folder, kept in its file `users.toml`.
//!
//! Passwords are kept as the salted PBKDF2-SHA-256 key that SCRAM (RFC 5802, RFC 7677) builds on, so that one secret
//! serves MQTT, HTTP and PostgreSQL; tokens are random and kept as SHA-256. The file is replaced as a whole, is
//! readable by its owner only, and a running server takes up a change with the next login, and within a second or two
//! for those who are logged in.

mod directory;
mod file;
mod secret;

use std::path::PathBuf;

use thiserror::Error;

pub use directory::Directory;
pub use file::{Token, User, Users, UsersFile};

/// What can go wrong with users.
#[derive(Debug, Error)]
pub enum UsersError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file's content is not as `takt user` writes it.
    #[error("{path} is not a users file: {message}; restore it from a backup, or remove it and add the users again")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The name is taken.
    #[error("the user `{0}` exists; remove it first with `takt user remove {0}`")]
    Exists(String),
    /// There is no such user.
    #[error("there is no user `{0}`; `takt user list` shows all")]
    Unknown(String),
    /// The name cannot be used.
    #[error("`{0}` cannot be a user name; use 1 to 63 letters, digits, '.', '_', '-' or '@'")]
    Name(String),
    /// The password cannot be used.
    #[error("{0}")]
    Password(&'static str),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers; try again")]
    Random,
}

#[cfg(test)]
mod tests;
