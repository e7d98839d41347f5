//! `takt user`.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use console::Term;
use ingest::Role;
use jiff::Timestamp;

use super::terminal;
use crate::users::{UsersError, UsersFile};

/// Characters of a password at least.
const LEAST_PASSWORD_LENGTH: usize = 8;

/// Manage users, roles and tokens
///
/// The same users log in over MQTT, HTTP and PostgreSQL. Until one exists, takt listens on this machine only and asks
/// nobody for a password. A running server takes up changes within seconds: the connections of a user that was removed
/// or changed end, and with the first user those that were opened without a login.
#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
    /// Folder of the server's data
    #[arg(long, value_name = "DIR", env = "TAKT_DATA", default_value = "takt-data", global = true)]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a user; asks for the password (8 characters or more), or takes it from a file or a pipe
    Add {
        /// Login name
        name: String,
        /// read: SQL and subscribe; write: also publish and write over HTTP; admin: also replay, discard and backup
        #[arg(long, value_name = "read|write|admin")]
        role: Role,
        /// Take the password from the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove a user and all tokens of it
    Remove {
        /// Login name
        name: String,
    },
    /// List all users
    List,
    /// Make a token for programs, and print it this once
    Token {
        /// Login name
        name: String,
    },
}

pub(super) fn run(args: UserArgs) -> anyhow::Result<ExitCode> {
    let file = UsersFile::of(&args.data);
    match args.command {
        UserCommand::Add { name, role, password_file } => add(&file, &name, role, password_file.as_deref())?,
        UserCommand::Remove { name } => remove(&file, &name)?,
        UserCommand::List => list(&file)?,
        UserCommand::Token { name } => {
            let token = file.change(|users| users.add_token(&name, Timestamp::now().to_string()))?;
            terminal::say(token)?;
            terminal::complain(format_args!(
                "Keep it now: it is not shown again. It stands for {name} of {}.",
                file.path().display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn add(file: &UsersFile, name: &str, role: Role, password_file: Option<&Path>) -> anyhow::Result<()> {
    if file.read()?.named(name).is_some() {
        return Err(UsersError::Exists(name.to_owned()).into());
    }
    let password = password(password_file)?;
    check_length(&password)?;
    let new_folder = file.path().parent().is_some_and(|folder| !folder.exists());
    file.change(|users| users.add(name, role, &password))?;
    terminal::say(format_args!("added {name} ({role}) to {}", file.path().display()))?;
    if new_folder {
        terminal::complain(
            "The folder is new. A server that runs already has another one and does not see this user: name it with \
             --data (`takt demo` has takt-demo).",
        );
    }
    Ok(())
}

/// Anybody who reaches the server can guess.
fn check_length(password: &str) -> anyhow::Result<()> {
    let length = password.chars().count();
    if length < LEAST_PASSWORD_LENGTH {
        bail!("a password needs at least {LEAST_PASSWORD_LENGTH} characters, this one has {length}; nothing was added");
    }
    Ok(())
}

fn remove(file: &UsersFile, name: &str) -> anyhow::Result<()> {
    let left = file.change(|users| {
        users.remove(name)?;
        Ok(users.users.len())
    })?;
    terminal::say(format_args!("removed {name} from {}", file.path().display()))?;
    if left == 0 {
        terminal::complain(
            "That was the last user: a running server refuses every login from now on, and the next start listens on \
             this machine only.",
        );
    }
    Ok(())
}

fn list(file: &UsersFile) -> anyhow::Result<()> {
    let users = file.read()?.users;
    if users.is_empty() {
        terminal::complain(format_args!(
            "No users yet in {}; add one with `takt user add NAME --role admin`.",
            file.path().display()
        ));
    }
    let width = users.iter().map(|user| user.name.chars().count()).max().unwrap_or(0);
    for user in users {
        let tokens = match user.tokens.len() {
            0 => String::new(),
            1 => "1 token".to_owned(),
            more => format!("{more} tokens"),
        };
        let line = format!("{:width$}  {:5}  {tokens}", user.name, user.role.as_str());
        terminal::say(line.trim_end())?;
    }
    Ok(())
}

fn password(file: Option<&Path>) -> anyhow::Result<String> {
    let terminal = Term::stderr();
    if let Some(path) = file {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read the password file {}", path.display()))?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    if !io::IsTerminal::is_terminal(&io::stdin()) || !terminal.is_term() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    terminal.write_str("Password: ")?;
    let password = terminal.read_secure_line()?;
    terminal.write_str("Again: ")?;
    if terminal.read_secure_line()? != password {
        bail!("the two passwords differ; nothing was added");
    }
    Ok(password)
}
