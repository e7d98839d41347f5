use super::*;

fn refused(payload: &[u8], arrival_us: i64) -> Refused<'_> {
    Refused { source: "mqtt:press", topic: "plant/press", payload, arrival_us, error: "why" }
}

#[test]
fn bytes_that_are_not_text_are_shown_and_kept_exactly() {
    let row = row(&refused(b"ok\xff\x00", 1), 4);
    assert_eq!(row[4], Cell::Text("ok\\xff\0".into()));
    assert_eq!(row[5], Cell::Text("b2v/AA==".into()));
    assert_eq!(row[6], Cell::Integer(4));
}

#[test]
fn a_cut_payload_keeps_length_and_hash_of_all_of_it() {
    let payload = "ä".repeat(40_000);
    let row = row(&refused(payload.as_bytes(), 1), KEPT_BYTES - 1);
    assert_eq!(row[4], Cell::Text("ä".repeat(KEPT_BYTES / 2 - 1)));
    assert_eq!(row[5], Cell::Null);
    assert_eq!(row[6], Cell::Integer(80_000));
    assert_eq!(row[7], Cell::Text(hex(&Sha256::digest(payload.as_bytes()))));
}

#[test]
fn over_quota_a_topic_leaves_a_short_row_a_minute() {
    let payload = [b'a'; 1000];
    let quota = Quota::new(2_000);
    assert_eq!(quota.admit(&refused(&payload, 0)), Some(1000));
    assert_eq!(quota.admit(&refused(&payload, 1)), Some(256));
    assert_eq!(quota.admit(&refused(&payload, 2)), None);
    assert_eq!(quota.admit(&refused(&payload, 60_000_001)), Some(256));
}

#[test]
fn messages_that_wait_no_longer_give_back_what_they_took() {
    let payload = [b'a'; 1000];
    let quota = Quota::new(2_000);
    // One that waits already, from another process.
    quota.count(1, 1000);
    assert_eq!(quota.admit(&refused(&payload, 0)), Some(256));
    assert_eq!(quota.admit(&refused(&payload, 1)), None);
    // The short row of a long message took as much as the message: both have to go before there is room.
    quota.free(cost(1000));
    assert_eq!(quota.admit(&refused(&payload, 2)), Some(256));
    quota.free(cost(1000));
    quota.free(cost(1000));
    assert_eq!(quota.admit(&refused(&payload, 3)), Some(1000));
    // What was never taken cannot be given back.
    quota.free(u64::MAX);
    assert_eq!(quota.admit(&refused(&payload, 4)), Some(1000));
    assert_eq!(quota.admit(&refused(&payload, 5)), Some(256));
}
