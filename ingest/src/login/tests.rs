use super::*;

#[test]
fn roles_include_those_before_them() {
    assert!(Role::Admin > Role::Write && Role::Write > Role::Read);
}

#[test]
fn role_names_round_trip() {
    for role in [Role::Read, Role::Write, Role::Admin] {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    assert_eq!("root".parse::<Role>().unwrap_err().to_string(), "`root` is not a role; use read, write or admin");
}

#[test]
fn a_login_stands_until_it_is_taken_back() {
    let taken_back = CancellationToken::new();
    let login = Login::new("anna", Role::Read).until(taken_back.clone());
    let (same, other) = (login.clone(), Login::local());
    assert!(login.stands() && same.stands());
    taken_back.cancel();
    assert!(!login.stands() && !same.stands() && other.stands());
}
