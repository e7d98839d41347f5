use std::os::unix::fs::PermissionsExt;

use ingest::{Authenticate, Role};

use super::secret::SaltedPassword;
use super::{Directory, UsersError, UsersFile};

fn add(file: &UsersFile, name: &str, role: Role, password: &str) -> Result<(), UsersError> {
    file.change(|users| users.add(name, role, password))
}

#[test]
fn passwords_tokens_and_scram_agree() {
    let folder = tempfile::tempdir().unwrap();
    let file = UsersFile::of(folder.path());
    add(&file, "anna", Role::Write, "grün & gut").unwrap();
    let token = file.change(|users| users.add_token("anna", "2025-01-01T00:00:00Z".into())).unwrap();

    let directory = Directory::open(folder.path()).unwrap();
    assert!(directory.required());
    let login = directory.password("anna", "grün & gut".as_bytes()).unwrap();
    assert_eq!((&*login.name, login.role), ("anna", Role::Write));
    assert!(directory.password("anna", b"wrong").is_none());
    assert!(directory.password("bert", "grün & gut".as_bytes()).is_none());
    assert_eq!(directory.token(&token).unwrap().role, Role::Write);
    assert!(directory.token("takt_guess").is_none());
    let secret = directory.scram("anna").unwrap();
    assert_eq!((secret.salt.len(), secret.salted_password.len()), (16, 32));
}

/// The vector of RFC 7677, section 3: user `user`, password `pencil`.
#[test]
fn salted_password_follows_the_rfc() {
    let text = "salt = \"W22ZaJ0SNY7soEsUEjb6gQ==\"\niterations = 4096\n\
                salted_password = \"xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0=\"\n";
    let salted: SaltedPassword = toml::from_str(text).unwrap();
    assert!(salted.matches(b"pencil"));
    assert!(!salted.matches(b"pencils"));
}

#[test]
fn file_is_private_and_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = UsersFile::of(folder.path());
    add(&file, "anna", Role::Admin, "open sesame").unwrap();
    let token = file.change(|users| users.add_token("anna", "2025-01-01T00:00:00Z".into())).unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(!text.contains("sesame") && !text.contains(&token), "{text}");
    let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn changes_are_taken_up_and_logins_stay_needed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    assert!(!directory.required());
    let file = UsersFile::of(folder.path());
    add(&file, "anna", Role::Read, "secret").unwrap();
    assert!(directory.required());
    assert!(directory.password("anna", b"secret").is_some());
    file.change(|users| users.remove("anna")).unwrap();
    assert!(directory.password("anna", b"secret").is_none());
    assert!(directory.required());
}

#[test]
fn a_login_stands_as_long_as_what_it_rests_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = UsersFile::of(folder.path());
    let token = |name: &str| file.change(|users| users.add_token(name, "2025-01-01T00:00:00Z".into())).unwrap();
    add(&file, "anna", Role::Write, "secret").unwrap();
    add(&file, "bert", Role::Read, "secret").unwrap();
    let annas = token("anna");
    let directory = Directory::open(folder.path()).unwrap();
    let look = || assert!(directory.required());
    let by_password = directory.password("anna", b"secret").unwrap();
    let by_token = directory.token(&annas).unwrap();
    let by_scram = directory.scram("anna").unwrap().login;
    let berts = directory.password("bert", b"secret").unwrap();

    // One token more, and other users, change nothing.
    token("anna");
    add(&file, "carl", Role::Read, "secret").unwrap();
    look();
    assert!(by_password.stands() && by_token.stands() && by_scram.stands());
    // Another role.
    file.change(|users| users.remove("anna")).unwrap();
    add(&file, "anna", Role::Read, "secret").unwrap();
    look();
    assert!(!by_password.stands() && !by_token.stands() && !by_scram.stands());
    // The same again, with a password that was set anew.
    let by_password = directory.password("anna", b"secret").unwrap();
    file.change(|users| users.remove("anna")).unwrap();
    add(&file, "anna", Role::Read, "secret").unwrap();
    look();
    assert!(!by_password.stands());
    assert!(directory.password("anna", b"secret").unwrap().stands());
    assert!(berts.stands());
}

#[test]
fn without_users_whoever_is_here_may_and_no_longer_than_that() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, password) = Directory::open(folder.path()).unwrap().with_guest("part", Role::Write).unwrap();
    let local = directory.local().unwrap();
    let part = directory.password("part", password.as_bytes()).unwrap();
    assert_eq!((&*local.name, local.role), ("local", Role::Admin));
    assert!(!directory.required() && local.stands());
    add(&UsersFile::of(folder.path()), "anna", Role::Read, "secret").unwrap();
    assert!(directory.required() && !local.stands());
    assert!(directory.local().is_none());
    assert!(part.stands());
}

#[test]
fn damage_keeps_the_last_good_users() {
    let folder = tempfile::tempdir().unwrap();
    let file = UsersFile::of(folder.path());
    add(&file, "anna", Role::Read, "secret").unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    std::fs::write(file.path(), "[[users]]\nname = 5\n").unwrap();
    assert!(directory.password("anna", b"secret").is_some());
    assert!(matches!(Directory::open(folder.path()), Err(UsersError::Damaged { .. })));
}

#[test]
fn names_and_passwords_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = UsersFile::of(folder.path());
    add(&file, "anna", Role::Read, "secret").unwrap();
    assert!(matches!(add(&file, "anna", Role::Read, "x"), Err(UsersError::Exists(_))));
    assert!(matches!(add(&file, "a b", Role::Read, "x"), Err(UsersError::Name(_))));
    assert!(matches!(add(&file, "bert", Role::Read, ""), Err(UsersError::Password(_))));
    assert!(matches!(file.change(|users| users.remove("bert")), Err(UsersError::Unknown(_))));
}
