//! Logins of a running server, checked against the users file.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ingest::{Authenticate, Login, Role, ScramSecret};
use tracing::{error, info};

use super::secret::{new_token, spend_a_check};
use super::{User, Users, UsersError, UsersFile};

/// The users of a running server. The file is read again whenever it has changed; one that cannot be read leaves the
/// last good one in force.
pub struct Directory {
    file: UsersFile,
    known: Mutex<Known>,
    /// Once logins were needed they stay needed until restart: removing the last user must not open a server to all.
    required: AtomicBool,
    guest: Option<Guest>,
}

/// A login that lives as long as the process, in no file.
struct Guest {
    login: Login,
    password: String,
}

#[derive(Debug)]
struct Known {
    version: Version,
    users: Arc<Users>,
}

/// What tells one version of the file from the next, without reading it.
type Version = Option<(SystemTime, u64, u64)>;

impl Directory {
    /// Opens the users of the data folder `data`.
    ///
    /// # Errors
    /// The users file cannot be read.
    pub fn open(data: &Path) -> Result<Self, UsersError> {
        let file = UsersFile::of(data);
        let version = version(file.path());
        let users = Arc::new(file.read()?);
        let required = AtomicBool::new(!users.users.is_empty());
        Ok(Self { file, known: Mutex::new(Known { version, users }), required, guest: None })
    }

    /// Lets a part of this very process log in like any client, with a password that nobody else knows.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn with_guest(mut self, name: &str, role: Role) -> Result<(Self, String), UsersError> {
        let password = new_token()?;
        let login = Login { name: Arc::from(name), role };
        self.guest = Some(Guest { login, password: password.clone() });
        Ok((self, password))
    }

    fn users(&self) -> Arc<Users> {
        let version = version(self.file.path());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if version != known.version {
            known.version = version;
            match self.file.read() {
                Ok(users) => {
                    info!(users = users.users.len(), "users file read again");
                    known.users = Arc::new(users);
                }
                Err(error) => error!(%error, "the users file cannot be used; the last good one stays in force"),
            }
        }
        if !known.users.users.is_empty() {
            self.required.store(true, Ordering::Relaxed);
        }
        Arc::clone(&known.users)
    }
}

fn version(path: &Path) -> Version {
    use std::os::unix::fs::MetadataExt;

    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len(), about.ino()))
}

fn login(user: &User) -> Login {
    Login { name: Arc::from(user.name.as_str()), role: user.role }
}

impl Authenticate for Directory {
    fn required(&self) -> bool {
        let users = self.users();
        !users.users.is_empty() || self.required.load(Ordering::Relaxed)
    }

    fn password(&self, user: &str, password: &[u8]) -> Option<Login> {
        if let Some(guest) = &self.guest
            && &*guest.login.name == user
            && guest.password.as_bytes() == password
        {
            return Some(guest.login.clone());
        }
        let users = self.users();
        let Some(user) = users.named(user) else {
            spend_a_check(password);
            return None;
        };
        user.password.matches(password).then(|| login(user))
    }

    fn token(&self, token: &str) -> Option<Login> {
        self.users().with_token(token).map(login)
    }

    fn scram(&self, user: &str) -> Option<ScramSecret> {
        let users = self.users();
        let user = users.named(user)?;
        Some(ScramSecret {
            login: login(user),
            salt: user.password.salt.clone(),
            iterations: user.password.iterations.get(),
            salted_password: user.password.salted_password.clone(),
        })
    }
}
