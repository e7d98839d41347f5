//! The web page, embedded into the binary, and the headers that keep every answer safe in a browser.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;

const INDEX: &str = include_str!("../../../dashboards/page/index.html");
const STYLE: &str = include_str!("../../../dashboards/page/page.css");
const SCRIPT: &str = include_str!("../../../dashboards/page/page.js");

/// Nothing from elsewhere is loaded, nothing inline is run, nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Asset = ([(HeaderName, &'static str); 1], &'static str);

/// `GET /`.
pub(super) async fn index() -> Asset {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], INDEX)
}

/// `GET /page.css`.
pub(super) async fn style() -> Asset {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

/// `GET /page.js`.
pub(super) async fn script() -> Asset {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}

/// Adds the security headers to every answer. There is no CORS header: pages of other sites get nothing.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Answers are of this moment; `no-cache` on the page lets a new version show at the next load.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}
