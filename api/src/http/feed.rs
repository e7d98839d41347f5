//! `GET /api/v1/live`: the plant once a second, and violations as they happen, as server-sent events, for as long as the
//! login stands.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use super::Front;
use super::access::Reader;
use crate::live::Frame;

/// A comment is sent when nothing else was for this long, so that a dead connection shows.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// An event `plant` carries the whole plant, an event `trouble` says why there is none now, an event `violation` one violation of
/// a control chart that was raised or withdrawn.
pub(super) async fn follow(State(front): State<Arc<Front>>, Reader(login): Reader) -> impl IntoResponse {
    let shutdown = front.shutdown.clone();
    let over = async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = login.ended() => {}
        }
    };
    let plant = front.live.listen().map(|frame| event(&frame));
    let violations = violations(&front).map(|json| Event::default().event("violation").data(json));
    let events = stream::select(plant, violations).map(Ok::<_, Infallible>).take_until(over);
    // Proxies that collect answers before they pass them on would hold the feed back.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    ([unbuffered], Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Violations from now on. Who falls behind misses the oldest: they are in `events`.
fn violations(front: &Front) -> impl Stream<Item = Arc<str>> + Send + use<> {
    stream::unfold(front.faces.violations.subscribe(), |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(json) => return Some((json, receiver)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn event(frame: &Frame) -> Event {
    match frame {
        Frame::Plant(json) => Event::default().event("plant").data(json),
        Frame::Trouble(json) => Event::default().event("trouble").data(json),
    }
}
