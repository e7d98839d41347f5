use super::*;

fn request(pid: i32, secret: i32) -> CancelRequest {
    CancelRequest::new(pid, SecretKey::I32(secret))
}

#[test]
fn only_the_right_secret_stops_the_running_statement() {
    let sessions = Sessions::default();
    let session = sessions.register(7, SecretKey::I32(42));
    let stop = CancellationToken::new();
    session.begin(stop.clone());
    sessions.cancel(&request(7, 41));
    sessions.cancel(&request(8, 42));
    assert!(!stop.is_cancelled());
    sessions.cancel(&request(7, 42));
    assert!(stop.is_cancelled());
}

#[test]
fn a_late_request_does_not_reach_the_next_statement() {
    let sessions = Sessions::default();
    let session = sessions.register(7, SecretKey::I32(42));
    session.begin(CancellationToken::new());
    session.end();
    sessions.cancel(&request(7, 42));
    let stop = CancellationToken::new();
    session.begin(stop.clone());
    assert!(!stop.is_cancelled());
}

#[test]
fn a_session_that_is_gone_is_forgotten() {
    let sessions = Sessions::default();
    drop(sessions.register(7, SecretKey::I32(42)));
    assert!(sessions.lock().is_empty());
}
