//! Logins of a running server, checked against the users file.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ingest::{Authenticate, Login, Role, ScramSecret};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::secret::{new_token, spend_a_check, token_digest};
use super::{User, Users, UsersError, UsersFile};

/// How often a server looks whether the users file has changed, for clients that are logged in and ask nothing.
const INTERVAL: Duration = Duration::from_secs(1);

/// The users of a running server. The file is read again whenever it has changed; one that cannot be read leaves the
/// last good one in force. A login is taken back as soon as the file no longer says what it rests on.
pub struct Directory {
    file: UsersFile,
    known: Mutex<Known>,
    /// Once logins were needed they stay needed until restart: removing the last user must not open a server to all.
    required: AtomicBool,
    /// Cancelled once logins are needed.
    closed: CancellationToken,
    guest: Option<Guest>,
}

/// A login that lives as long as the process, in no file.
struct Guest {
    login: Login,
    password: String,
}

struct Known {
    version: Version,
    users: Arc<Users>,
    /// What takes logins back, by what they rest on.
    given: HashMap<Basis, CancellationToken>,
}

/// What tells one version of the file from the next, without reading it.
type Version = Option<(SystemTime, u64, u64)>;

/// What a login rests on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Basis {
    name: String,
    role: Role,
    shown: Shown,
}

/// What a client has shown.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Shown {
    /// The password that this key was derived from, with a salt of its own: the same password set anew is another one.
    Password(Vec<u8>),
    /// The token with this digest.
    Token(String),
}

impl Basis {
    fn password(user: &User) -> Self {
        let shown = Shown::Password(user.password.salted_password.clone());
        Self { name: user.name.clone(), role: user.role, shown }
    }

    fn token(user: &User, digest: String) -> Self {
        Self { name: user.name.clone(), role: user.role, shown: Shown::Token(digest) }
    }

    /// Whether the file still says so.
    fn holds(&self, users: &Users) -> bool {
        users.named(&self.name).filter(|user| user.role == self.role).is_some_and(|user| match &self.shown {
            Shown::Password(salted) => user.password.salted_password == *salted,
            Shown::Token(digest) => user.tokens.iter().any(|token| token.sha256 == *digest),
        })
    }
}

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
        let known = Mutex::new(Known { version, users, given: HashMap::new() });
        Ok(Self { file, known, required, closed: CancellationToken::new(), guest: None })
    }

    /// Lets a part of this very process log in like any client, with a password that nobody else knows.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn with_guest(mut self, name: &str, role: Role) -> Result<(Self, String), UsersError> {
        let password = new_token()?;
        self.guest = Some(Guest { login: Login::new(name, role), password: password.clone() });
        Ok((self, password))
    }

    /// Whether a client must say who it is: false until a user exists.
    #[must_use]
    pub fn required(&self) -> bool {
        drop(self.look());
        self.required.load(Ordering::Relaxed)
    }

    /// Looks at the file again and again until `stop`: a change ends logins also where nobody asks.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => drop(self.look()),
            }
        }
    }

    /// What the file says now.
    fn look(&self) -> MutexGuard<'_, Known> {
        let version = version(self.file.path());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if version != known.version {
            known.version = version;
            match self.file.read() {
                Ok(users) => known.take_up(users),
                Err(error) => error!(%error, "the users file cannot be used; the last good one stays in force"),
            }
        }
        if !known.users.users.is_empty() && !self.required.swap(true, Ordering::Relaxed) {
            self.closed.cancel();
        }
        known
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.look().users)
    }

    /// The login that rests on `basis`; `None` where it was overtaken while it was checked.
    fn give(&self, basis: Basis) -> Option<Login> {
        let mut known = self.look();
        if !basis.holds(&known.users) {
            return None;
        }
        let login = Login::new(basis.name.as_str(), basis.role);
        // A token of its own each: connections of one user would all wait at the same lock else.
        Some(login.until(known.given.entry(basis).or_default().child_token()))
    }
}

impl Known {
    /// Puts `users` in force and takes back the logins that rested on what they no longer say.
    fn take_up(&mut self, users: Users) {
        self.given.retain(|basis, taken_back| {
            let holds = basis.holds(&users);
            if !holds {
                info!(user = basis.name, "logins of a user that was removed or changed end");
                taken_back.cancel();
            }
            holds
        });
        info!(users = users.users.len(), "users file read again");
        self.users = Arc::new(users);
    }
}

fn version(path: &Path) -> Version {
    use std::os::unix::fs::MetadataExt;

    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len(), about.ino()))
}

impl Authenticate for Directory {
    fn local(&self) -> Option<Login> {
        (!self.required()).then(|| Login::local().until(self.closed.child_token()))
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
        user.password.matches(password).then(|| Basis::password(user)).and_then(|basis| self.give(basis))
    }

    fn token(&self, token: &str) -> Option<Login> {
        let digest = token_digest(token);
        let basis = self.users().with_token(&digest).map(|user| Basis::token(user, digest))?;
        self.give(basis)
    }

    fn scram(&self, user: &str) -> Option<ScramSecret> {
        let users = self.users();
        let user = users.named(user)?;
        Some(ScramSecret {
            login: self.give(Basis::password(user))?,
            salt: user.password.salt.clone(),
            iterations: user.password.iterations.get(),
            salted_password: user.password.salted_password.clone(),
        })
    }
}
