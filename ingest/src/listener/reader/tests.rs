use super::*;

#[test]
fn pings_that_were_answered_ahead_are_not_answered_again() {
    let (answers, mut sent) = mpsc::channel(8);
    let mut ahead = Ahead::default();
    let publish = [0x30, 3, 0, 1, b'a'];
    let ping = [PINGREQ, 0];
    let buffer = [&publish[..], &ping, &publish, &ping, &publish[..2]].concat();
    ahead.scan(&buffer[..7], &answers);
    assert_eq!(ahead.pings, 1);
    ahead.scan(&buffer, &answers);
    assert_eq!((ahead.pings, ahead.scanned), (2, 14));
    assert_eq!(std::iter::from_fn(|| sent.try_recv().ok()).count(), 2);
    ahead.consumed(5);
    ahead.consumed(2);
    assert!(!ahead.owes_pong());
    ahead.consumed(7);
    assert!(!ahead.owes_pong());
    assert!(ahead.owes_pong());
    assert_eq!(ahead.scanned, 0);
}
