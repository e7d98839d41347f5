use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const LIMIT: usize = 1 << 20;

async fn read(coding: Option<&str>, body: Vec<u8>) -> Result<Bytes, u16> {
    let budget = Budget::default();
    let mut headers = HeaderMap::new();
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, coding.parse().expect("a header value"));
    }
    let held = budget.read(&headers, Body::from(body), LIMIT).await;
    held.map(|held| held.bytes).map_err(|refusal| refusal.status().as_u16())
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

#[tokio::test]
async fn plain_and_gzip_bodies_arrive_whole() {
    let plain = b"press temperature=1".repeat(100);
    assert_eq!(read(None, plain.clone()).await, Ok(plain.clone().into()));
    assert_eq!(read(Some("identity"), plain.clone()).await, Ok(plain.clone().into()));
    assert_eq!(read(Some("gzip"), gzip(&plain)).await, Ok(plain.into()));
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_and_after_inflating() {
    assert_eq!(read(None, vec![0; LIMIT + 1]).await, Err(413));
    assert!(gzip(&vec![0; LIMIT + 1]).len() < LIMIT);
    assert_eq!(read(Some("gzip"), gzip(&vec![0; LIMIT + 1])).await, Err(413));
    assert!(read(Some("gzip"), gzip(&vec![0; LIMIT])).await.is_ok());
}

#[tokio::test]
async fn broken_and_unknown_codings_say_so() {
    assert_eq!(read(Some("gzip"), b"not gzip".to_vec()).await, Err(400));
    assert_eq!(read(Some("br"), Vec::new()).await, Err(415));
}
