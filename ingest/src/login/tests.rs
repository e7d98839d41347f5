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
