//! `GET /report/spc`: a report of a control chart, as HTML, PDF or a workbook.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio_util::task::AbortOnDropHandle;

use super::Front;
use super::access::{self, Reader};
use super::asked::Asked;
use super::refusal::Refusal;
use crate::report::{self, Failure, Format, Wish};

/// A report loads nothing and runs nothing; its one style sheet is in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(super) async fn spc(
    State(front): State<Arc<Front>>,
    Reader(login): Reader,
    Asked(wish): Asked<Wish>,
) -> Result<Response, Refusal> {
    let format = Format::named(wish.format.as_deref())?;
    // A report is held whole until it is written: others wait.
    let _permit = front.reports.acquire().await.map_err(|_| Refusal::unavailable("the server is shutting down"))?;
    let (engine, user, version) = (Arc::clone(&front.faces.engine), Arc::clone(&login.name), front.faces.version);
    let making = front.faces.queries.spawn(async move { report::spc(&engine, &user, version, &wish, format).await });
    let written = tokio::select! {
        biased;
        () = login.ended() => return Err(access::ended()),
        made = AbortOnDropHandle::new(making) => made.map_err(|error| Refusal::internal("the report broke off", &error))??,
    };
    let mut response = written.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let disposition = format!("inline; filename=\"{}.{}\"", written.name, format.extension());
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Asked(message) => Self::bad_request(message),
            Failure::Unknown(message) => Self::not_found(message),
            Failure::Unusable(message) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no_report", message),
            Failure::Query(error) => error.into(),
            Failure::Writing(message) => Self::internal("the report could not be written", &message),
        }
    }
}
