//! The users file: reading it, and replacing it atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ingest::Role;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::UsersError;
use super::secret::{SaltedPassword, new_token, token_digest};

const FILE: &str = "users.toml";
const HEADER: &str = "# The users of this data folder, written by `takt user`. Secrets are kept as hashes.\n\n";

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name.
    pub name: String,
    /// What the user may do.
    #[serde(serialize_with = "write_role", deserialize_with = "read_role")]
    pub role: Role,
    pub(super) password: SaltedPassword,
    /// Tokens that stand for this user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
}

/// A token that stands for a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub(super) sha256: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// All users, in order of name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// The users.
    #[serde(default)]
    pub users: Vec<User>,
}

fn write_role<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.as_str())
}

fn read_role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Users {
    /// The user of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The user whom the token with this digest stands for.
    pub(super) fn with_token(&self, digest: &str) -> Option<&User> {
        self.users.iter().find(|user| user.tokens.iter().any(|token| token.sha256 == digest))
    }

    /// Adds a user.
    ///
    /// # Errors
    /// The name is taken or not a name, or the password cannot be used.
    pub fn add(&mut self, name: &str, role: Role, password: &str) -> Result<(), UsersError> {
        if !is_name(name) {
            return Err(UsersError::Name(name.to_owned()));
        }
        if self.named(name).is_some() {
            return Err(UsersError::Exists(name.to_owned()));
        }
        let password = SaltedPassword::new(password)?;
        self.users.push(User { name: name.to_owned(), role, password, tokens: Vec::new() });
        self.users.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(())
    }

    /// Removes a user, and every token with it.
    ///
    /// # Errors
    /// There is no such user.
    pub fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        let before = self.users.len();
        self.users.retain(|user| user.name != name);
        if self.users.len() == before { Err(UsersError::Unknown(name.to_owned())) } else { Ok(()) }
    }

    /// Makes a new token for a user and returns it, this once, in clear.
    ///
    /// # Errors
    /// There is no such user.
    pub fn add_token(&mut self, name: &str, created: String) -> Result<String, UsersError> {
        let user =
            self.users.iter_mut().find(|user| user.name == name).ok_or_else(|| UsersError::Unknown(name.to_owned()))?;
        let token = new_token()?;
        user.tokens.push(Token { sha256: token_digest(&token), created });
        Ok(token)
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | '@');
    (1..=63).contains(&name.len()) && name.chars().all(allowed)
}

/// The users file of one data folder.
#[derive(Debug, Clone)]
pub struct UsersFile {
    path: PathBuf,
}

impl UsersFile {
    /// The users file of the data folder `data`.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self { path: data.join(FILE) }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn io(&self, source: io::Error) -> UsersError {
        UsersError::Io { path: self.path.clone(), source }
    }

    /// Reads it; an absent file is no users.
    ///
    /// # Errors
    /// It cannot be read, or is not a users file.
    pub fn read(&self) -> Result<Users, UsersError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Users::default()),
            Err(error) => return Err(self.io(error)),
        };
        let damaged = |error: toml::de::Error| UsersError::Damaged {
            path: self.path.clone(),
            message: error.message().to_owned(),
        };
        toml::from_str(&text).map_err(damaged)
    }

    /// Reads, changes and replaces it, one process at a time. The data folder is created where it is missing.
    ///
    /// # Errors
    /// What `change` says, or the file cannot be replaced; then the old one stays.
    pub fn change<T>(&self, change: impl FnOnce(&mut Users) -> Result<T, UsersError>) -> Result<T, UsersError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|error| self.io(error))?;
        let lock = private_file(&self.path.with_extension("lock")).map_err(|error| self.io(error))?;
        lock.lock().map_err(|error| self.io(error))?;
        let mut users = self.read()?;
        let answer = change(&mut users)?;
        self.replace(&users)?;
        Ok(answer)
    }

    fn replace(&self, users: &Users) -> Result<(), UsersError> {
        let text = toml::to_string(users)
            .map_err(|error| UsersError::Damaged { path: self.path.clone(), message: error.to_string() })?;
        self.write(&text).map_err(|error| self.io(error))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = private_file(&new)?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

/// An empty file that only its owner can read.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
