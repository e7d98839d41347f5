//! The web pages, embedded into the binary, and the headers that keep every answer safe in a browser.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Address, content type and content of what the pages are made of.
const ASSETS: [(&str, &str, &str); 25] = [
    ("/", HTML, include_str!("../../../dashboards/page/index.html")),
    ("/page.css", CSS, include_str!("../../../dashboards/page/page.css")),
    ("/page.js", JAVASCRIPT, include_str!("../../../dashboards/page/page.js")),
    ("/session.js", JAVASCRIPT, include_str!("../../../dashboards/page/session.js")),
    ("/oee", HTML, include_str!("../../../dashboards/page/oee.html")),
    ("/oee.css", CSS, include_str!("../../../dashboards/page/oee.css")),
    ("/oee.js", JAVASCRIPT, include_str!("../../../dashboards/page/oee.js")),
    ("/stops", HTML, include_str!("../../../dashboards/page/stops.html")),
    ("/stops.css", CSS, include_str!("../../../dashboards/page/stops.css")),
    ("/stops.js", JAVASCRIPT, include_str!("../../../dashboards/page/stops.js")),
    ("/spc", HTML, include_str!("../../../dashboards/page/spc.html")),
    ("/spc.css", CSS, include_str!("../../../dashboards/page/spc.css")),
    ("/spc.js", JAVASCRIPT, include_str!("../../../dashboards/page/spc.js")),
    ("/characteristic.js", JAVASCRIPT, include_str!("../../../dashboards/page/characteristic.js")),
    ("/points.js", JAVASCRIPT, include_str!("../../../dashboards/page/points.js")),
    ("/record.js", JAVASCRIPT, include_str!("../../../dashboards/page/record.js")),
    ("/capability.js", JAVASCRIPT, include_str!("../../../dashboards/page/capability.js")),
    ("/decision.js", JAVASCRIPT, include_str!("../../../dashboards/page/decision.js")),
    ("/control.js", JAVASCRIPT, include_str!("../../../dashboards/page/control.js")),
    ("/spread.js", JAVASCRIPT, include_str!("../../../dashboards/page/spread.js")),
    ("/choice.js", JAVASCRIPT, include_str!("../../../dashboards/page/choice.js")),
    ("/panel.js", JAVASCRIPT, include_str!("../../../dashboards/page/panel.js")),
    ("/report.js", JAVASCRIPT, include_str!("../../../dashboards/page/report.js")),
    ("/act.js", JAVASCRIPT, include_str!("../../../dashboards/page/act.js")),
    ("/chart.js", JAVASCRIPT, include_str!("../../../dashboards/page/chart.js")),
];

/// Nothing from elsewhere is loaded, nothing inline is run, nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages' addresses.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.into_iter().fold(Router::new(), |routes, (address, kind, content)| {
        routes.route(address, get(move || async move { ([(CONTENT_TYPE, kind)], content) }))
    })
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
        // A report says its own policy.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Answers are of this moment; `no-cache` on the page lets a new version show at the next load.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}
