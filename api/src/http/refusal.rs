//! Errors as clients see them: a status, and `{"error": {"message", "code", "position"?}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use query::QueryError;
use serde::Serialize;

/// A request that was not served, and why, in words that say what to do.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: Detail,
}

/// What the body of a refusal says.
#[derive(Debug, Serialize)]
struct Detail {
    message: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    partial: Option<Partial>,
}

/// What became of a request of which a part was refused.
#[derive(Debug, Serialize)]
pub(super) struct Partial {
    /// Rows that were stored.
    pub(super) accepted: usize,
    /// The others, the first of them where they are many.
    pub(super) refused: Vec<RefusedRow>,
}

/// A row that was refused.
#[derive(Debug, Serialize)]
pub(super) struct RefusedRow {
    /// Its place in the request, counted from 0.
    pub(super) row: usize,
    /// What is wrong, and what to do.
    pub(super) reason: String,
}

/// Where in a SQL text the error is, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Refusal {
    /// A refusal with `status`; `code` is stable for programs, `message` is for people.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, detail: Detail { message: message.into(), code, position: None, partial: None } }
    }

    /// 400: the request itself is wrong.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401: nobody, or nobody known, asked.
    pub(super) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    /// 403: known, but not allowed.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404: no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 413: more than this server takes in one request.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 415: a format this server does not read.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// 503: not now; the client may come again.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// 500: the fault is here. The details go to the log, where the operator looks.
    pub(super) fn internal(what: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("{what}: {error}"))
    }

    /// The same refusal, pointing at a place in the SQL text.
    pub(super) fn at(mut self, position: Option<Position>) -> Self {
        self.detail.position = position;
        self
    }

    /// The same refusal, with what became of each row.
    pub(super) fn listing(mut self, partial: Partial) -> Self {
        self.detail.partial = Some(partial);
        self
    }

    /// 503: the store did not take the rows; nothing of the request is promised.
    pub(super) fn not_stored(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "rows were not stored");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_stored",
            format!("not stored: {error}; sending again is harmless"),
        )
    }

    /// The status it is sent with.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The message for people.
    pub(super) fn message(&self) -> &str {
        &self.detail.message
    }
}

/// What an answer shows of a failed query. An author can mend a 400; a 5xx is for the operator.
impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        let (status, code) = match &error {
            QueryError::Statement { .. } => (StatusCode::BAD_REQUEST, "bad_sql"),
            QueryError::ReadOnly(_) => (StatusCode::BAD_REQUEST, "read_only"),
            QueryError::TooManyRows(_) => (StatusCode::BAD_REQUEST, "too_many_rows"),
            QueryError::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            QueryError::Memory(_) => (StatusCode::SERVICE_UNAVAILABLE, "memory"),
            QueryError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store"),
            QueryError::Value(_) => (StatusCode::BAD_REQUEST, "bad_value"),
            QueryError::Unreadable { .. } | QueryError::Layout(_) | QueryError::Disk(_) | QueryError::Execution(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        if status.is_server_error() {
            tracing::error!(%error, code, "a query failed");
        }
        let position = error.position().map(|(line, column)| Position { line, column });
        Self::new(status, code, error.to_string()).at(position)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Envelope {
            error: Detail,
        }
        let mut response = (self.status, Json(Envelope { error: self.detail })).into_response();
        let headers = response.headers_mut();
        match self.status {
            // `Basic` is understood too, but naming it here would make browsers open their own login
            // window over the page's form.
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"takt\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
