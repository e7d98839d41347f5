use super::*;

#[test]
fn frames_are_seen_before_they_are_whole() {
    assert_eq!(frame(&[]), Frame::Short);
    assert_eq!(frame(&[0x30]), Frame::Short);
    assert_eq!(frame(&[0x30, 0x80]), Frame::Short);
    assert_eq!(frame(&[0xC0, 0]), Frame::Packet { length: 2, first: PINGREQ });
    assert_eq!(frame(&[0x30, 0x80, 0x01]), Frame::Packet { length: 131, first: 0x30 });
    assert_eq!(frame(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), Frame::Packet { length: 268_435_455 + 5, first: 0x30 });
    assert_eq!(frame(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]), Frame::Malformed);
}

#[test]
fn acknowledgements_of_both_versions() {
    let id = NonZeroU16::new(0x1234).unwrap();
    let put = |version, qos, reason| {
        let mut out = BytesMut::new();
        put_ack(version, Ack { id, qos, reason }, &mut out);
        out.to_vec()
    };
    assert_eq!(put(Version::V3, QoS::AtLeastOnce, 0), [0x40, 2, 0x12, 0x34]);
    assert_eq!(put(Version::V3, QoS::AtLeastOnce, NOT_AUTHORIZED), [0x40, 2, 0x12, 0x34]);
    assert_eq!(put(Version::V5, QoS::AtLeastOnce, NOT_AUTHORIZED), [0x40, 3, 0x12, 0x34, 0x87]);
    assert_eq!(put(Version::V5, QoS::ExactlyOnce, 0), [0x50, 2, 0x12, 0x34]);
}

#[test]
fn what_is_published_to_subscribers_decodes_again() {
    for version in [Version::V3, Version::V5] {
        for length in [0, 10, 127, 128, 20_000] {
            let payload = vec![b'x'; length];
            let mut out = BytesMut::new();
            put_publish(version, "a/b", &payload, true, &mut out);
            let mut wire = match version {
                Version::V3 => Wire::V3(v3::Codec::new(0)),
                Version::V5 => Wire::V5(v5::Codec::new(0, 0)),
            };
            let Inbound::Publish(publish) = wire.decode(&mut out).unwrap() else { panic!("no PUBLISH") };
            assert_eq!((&*publish.topic, publish.payload.as_ref(), publish.retain), ("a/b", payload.as_slice(), true));
            assert!(out.is_empty());
        }
    }
}

#[test]
fn subscription_answers_of_both_versions() {
    let id = NonZeroU16::new(7).unwrap();
    let granted = [Granted::Yes, Granted::Invalid];
    assert_eq!(subscribed(Version::V3, id, &granted).unwrap().as_ref(), [0x90, 4, 0, 7, 0, 0x80]);
    assert_eq!(subscribed(Version::V5, id, &granted).unwrap().as_ref(), [0x90, 5, 0, 7, 0, 0, 0x8F]);
    assert_eq!(unsubscribed(Version::V3, id, &[true]).unwrap().as_ref(), [0xB0, 2, 0, 7]);
    assert_eq!(unsubscribed(Version::V5, id, &[true, false]).unwrap().as_ref(), [0xB0, 5, 0, 7, 0, 0, 17]);
}
