use super::*;

fn headers(pairs: &[(axum::http::HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
}

#[test]
fn every_spelling_of_a_login_is_read() {
    let token = |text: &str| credentials(&headers(&[(AUTHORIZATION, text)])).expect("credentials");
    assert_eq!(token("Bearer abc"), Credentials::Token("abc".into()));
    assert_eq!(token("bearer  abc"), Credentials::Token("abc".into()));
    assert_eq!(token("Token abc"), Credentials::Token("abc".into()));
    let expected = Credentials::Password { user: "ann".into(), password: b"a:b".to_vec() };
    assert_eq!(token(&format!("Basic {}", STANDARD.encode("ann:a:b"))), expected);
}

#[test]
fn a_missing_or_odd_login_is_unauthenticated() {
    for text in ["", "Bearer", "Digest x", "Basic %%%", "Basic YW5u"] {
        let refused = credentials(&headers(&[(AUTHORIZATION, text)])).expect_err(text);
        assert_eq!(refused.status().as_u16(), 401, "{text}");
    }
    assert_eq!(credentials(&HeaderMap::new()).expect_err("none").status().as_u16(), 401);
}

#[test]
fn without_users_only_this_machine_is_served() {
    let loopback = Some(IpAddr::from([127, 0, 0, 1]));
    let uri = Uri::from_static("/api/v1/sql");
    let asked = |peer, pairs: &[(axum::http::HeaderName, &str)]| check_local(peer, &uri, &headers(pairs)).is_ok();

    assert!(asked(loopback, &[(HOST, "127.0.0.1:8080")]));
    assert!(asked(loopback, &[(HOST, "localhost:8080"), (ORIGIN, "http://localhost:8080")]));
    assert!(asked(loopback, &[(HOST, "[::1]:8080")]));
    assert!(asked(loopback, &[]));
    assert!(!asked(Some(IpAddr::from([10, 0, 0, 7])), &[(HOST, "127.0.0.1:8080")]));
    assert!(!asked(None, &[(HOST, "127.0.0.1:8080")]));
    // A name of somebody else's that resolves to loopback, and a page of somebody else's that posts here.
    assert!(!asked(loopback, &[(HOST, "evil.example:8080")]));
    assert!(!asked(loopback, &[(HOST, "127.0.0.1:8080"), (ORIGIN, "http://evil.example")]));
    assert!(!asked(loopback, &[(HOST, "127.0.0.1:8080"), (ORIGIN, "null")]));
}
