use super::*;

#[test]
fn a_stranger_is_challenged_the_same_way_every_time() {
    let strangers = Strangers::default();
    let (first, second) = (strangers.challenge("eve"), strangers.challenge("eve"));
    assert_eq!(first.salt, second.salt);
    assert_ne!(first.salt, strangers.challenge("mallory").salt);
    assert_eq!(first.salted_password.len(), 32);
    assert!(first.login.is_none());
}

#[test]
fn a_stranger_is_challenged_like_the_users_here() {
    let strangers = Strangers::default();
    strangers.resemble(&ScramSecret {
        login: Login::local(),
        salt: vec![0; 24],
        iterations: 15_000,
        salted_password: vec![0; 32],
    });
    let challenge = strangers.challenge("eve");
    assert_eq!((challenge.salt.len(), challenge.iterations), (24, 15_000));
}
