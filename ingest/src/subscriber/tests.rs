use super::*;

#[test]
fn addresses_of_brokers() {
    let read = |url: &str| address(url).map(|address| (address.host, address.port, address.tls));
    assert_eq!(read("mqtt://broker"), Ok(("broker".into(), 1883, false)));
    assert_eq!(read("mqtt://10.0.0.1:1884/"), Ok(("10.0.0.1".into(), 1884, false)));
    assert_eq!(read("mqtts://broker"), Ok(("broker".into(), 8883, true)));
    assert_eq!(read("mqtt://[::1]:1884"), Ok(("::1".into(), 1884, false)));
    for url in ["broker:1883", "http://broker", "mqtt://", "mqtt://broker:port", "mqtt://user:pw@broker:1883"] {
        assert_eq!(read(url), Err(BadAddress(url.into())), "{url}");
    }
}
