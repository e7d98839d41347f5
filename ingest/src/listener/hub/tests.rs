use super::*;

fn wish(filter: &str) -> Wish {
    Wish { filter: filter.into(), no_local: false, retain_as_published: false, retained: Retained::Always }
}

fn message(topic: &str, payload: &'static [u8], retain: bool) -> Arc<Message> {
    Arc::new(Message { topic: topic.into(), payload: Bytes::from_static(payload), retain })
}

fn topics(inbox: &mut mpsc::Receiver<Delivery>) -> Vec<(String, bool)> {
    std::iter::from_fn(|| inbox.try_recv().ok())
        .map(|delivery| (delivery.message.topic.to_string(), delivery.retain))
        .collect()
}

#[test]
fn a_connection_gets_each_message_once() {
    let hub = Hub::default();
    let (outbox, mut inbox) = mpsc::channel(16);
    for filter in ["a/#", "a/+", "+/b", "#"] {
        assert!(hub.subscribe(1, &wish(filter), &outbox));
    }
    assert!(!hub.subscribe(1, &wish("#"), &outbox));
    hub.publish(2, &[message("a/b", b"x", false), message("$SYS/b", b"x", false), message("a", b"x", false)]);
    assert_eq!(topics(&mut inbox), [("a/b".to_owned(), false), ("a".to_owned(), false)]);
}

#[test]
fn unsubscribing_ends_it() {
    let hub = Hub::default();
    let (outbox, mut inbox) = mpsc::channel(16);
    hub.subscribe(1, &wish("a/+/c"), &outbox);
    assert!(hub.wants(false));
    assert!(hub.unsubscribe(1, "a/+/c"));
    assert!(!hub.unsubscribe(1, "a/+/c"));
    assert!(!hub.wants(false) && hub.wants(true));
    hub.publish(2, &[message("a/b/c", b"x", false)]);
    assert_eq!(topics(&mut inbox), []);
    assert!(hub.filters.read().unwrap().below.is_empty());
}

#[test]
fn retained_messages_greet_new_subscribers() {
    let hub = Hub::default();
    hub.publish(2, &[message("a/b", b"1", true), message("a/c", b"1", true), message("a/c", b"", true)]);
    let (outbox, mut inbox) = mpsc::channel(16);
    hub.subscribe(1, &wish("a/#"), &outbox);
    assert_eq!(topics(&mut inbox), [("a/b".to_owned(), true)]);
    hub.subscribe(1, &Wish { retained: Retained::IfNew, ..wish("a/#") }, &outbox);
    hub.subscribe(1, &Wish { retained: Retained::Never, ..wish("a/b") }, &outbox);
    assert_eq!(topics(&mut inbox), []);
}

#[test]
fn a_client_does_not_hear_itself_where_it_does_not_want_to() {
    let hub = Hub::default();
    let (outbox, mut inbox) = mpsc::channel(16);
    hub.subscribe(1, &Wish { no_local: true, ..wish("a") }, &outbox);
    hub.publish(1, &[message("a", b"x", false)]);
    hub.publish(2, &[message("a", b"x", false)]);
    assert_eq!(topics(&mut inbox).len(), 1);
}

#[test]
fn a_newer_connection_of_a_client_displaces_the_older() {
    let hub = Hub::default();
    let client: Arc<str> = "c".into();
    let first = hub.enter(&client, 1);
    let second = hub.enter(&client, 2);
    assert!(first.is_cancelled() && !second.is_cancelled());
    hub.leave(&client, 1);
    let third = hub.enter(&client, 3);
    assert!(second.is_cancelled() && !third.is_cancelled());
}
