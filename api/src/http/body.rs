//! Request bodies: bounded in size, in time and in number, plain or gzip.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::refusal::Refusal;

/// A client that sends slower than this is cut off: its body holds memory.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(60);
/// All bodies under way together, KiB; further requests wait, which is back-pressure on their sockets.
const BUDGET_KIB: u32 = 256 * 1024;
/// Bodies being decompressed at once.
const INFLATING: usize = 4;

/// Memory that request bodies may hold, shared by all requests.
pub(super) struct Budget {
    kib: Semaphore,
    inflating: Semaphore,
}

/// A whole body, and its share of the budget until it is dropped.
pub(super) struct Held<'a> {
    pub(super) bytes: Bytes,
    _share: SemaphorePermit<'a>,
}

/// Says so where the connection ends with the answer: what still comes of a body that nobody read cannot be told from the next
/// request.
pub(super) async fn end_unread(request: Request, next: Next) -> Response {
    let unread = Arc::new(AtomicBool::new(!request.body().is_end_stream()));
    let is_http1 = request.version() <= Version::HTTP_11;
    let read = Arc::clone(&unread);
    let request = request.map(|body| {
        let end = futures::stream::poll_fn(move |_| {
            read.store(false, Ordering::Relaxed);
            Poll::Ready(None)
        });
        Body::from_stream(body.into_data_stream().chain(end))
    });
    let mut response = next.run(request).await;
    if is_http1 && unread.load(Ordering::Relaxed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl Default for Budget {
    fn default() -> Self {
        Self { kib: Semaphore::new(BUDGET_KIB as usize), inflating: Semaphore::new(INFLATING) }
    }
}

impl Budget {
    /// Reads `body` to its end. Neither it nor what it inflates to may pass `limit` bytes.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<Held<'_>, Refusal> {
        let gzip = is_gzip(headers)?;
        let announced = announced(headers);
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(over(limit));
        }
        // The whole share is taken before the first byte: two half-read bodies can never wait for each other.
        let reserve = announced.map_or(limit, |length| usize::try_from(length).unwrap_or(limit));
        let share = self.share(reserve).await?;
        let expected = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let received =
            tokio::time::timeout(RECEIVE_TIMEOUT, receive(body, expected, limit)).await.map_err(|_| slow())??;
        if !gzip {
            return Ok(Held { bytes: received, _share: share });
        }
        let _slot = self.inflating.acquire().await.map_err(|_| closing())?;
        let inflated = tokio::task::spawn_blocking(move || inflate(&received, limit))
            .await
            .map_err(|error| Refusal::internal("the body could not be decompressed", &error))??;
        Ok(Held { bytes: inflated, _share: share })
    }

    async fn share(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Refusal> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(BUDGET_KIB).clamp(1, BUDGET_KIB);
        self.kib.acquire_many(kib).await.map_err(|_| closing())
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default().trim()) {
        None | Some("" | "identity") => Ok(false),
        Some(coding) if coding.eq_ignore_ascii_case("gzip") => Ok(true),
        Some(coding) => {
            Err(Refusal::unsupported(format!("content encoding `{coding}` is not read; send gzip or no encoding")))
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn receive(body: Body, expected: usize, limit: usize) -> Result<Bytes, Refusal> {
    let mut frames = body.into_data_stream();
    // Room for all of it at once: grown step by step, it would be copied over and over.
    let mut whole = BytesMut::with_capacity(expected);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|error| Refusal::bad_request(format!("the body broke off: {error}")))?;
        if whole.len() + frame.len() > limit {
            return Err(over(limit));
        }
        whole.extend_from_slice(&frame);
    }
    Ok(whole.freeze())
}

fn inflate(compressed: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let mut whole = Vec::new();
    flate2::read::MultiGzDecoder::new(compressed)
        .take(limit as u64 + 1)
        .read_to_end(&mut whole)
        .map_err(|error| Refusal::bad_request(format!("the body is not valid gzip: {error}")))?;
    if whole.len() > limit {
        return Err(over(limit));
    }
    Ok(whole.into())
}

fn over(limit: usize) -> Refusal {
    Refusal::too_large(format!("the body is larger than {} MiB; send it in smaller parts", limit >> 20))
}

fn slow() -> Refusal {
    Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        format!("the body did not arrive within {} s", RECEIVE_TIMEOUT.as_secs()),
    )
}

fn closing() -> Refusal {
    Refusal::unavailable("the server is shutting down")
}

#[cfg(test)]
mod tests;
