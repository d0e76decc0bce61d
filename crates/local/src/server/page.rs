//! The page, out of this executable: no network is needed.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("../../page/index.html"))))
        .route(
            "/page.css",
            get(async || file("text/css; charset=utf-8", include_str!("../../page/page.css"))),
        )
        .route(
            "/page.js",
            get(async || file("text/javascript; charset=utf-8", include_str!("../../page/page.js"))),
        )
        .route("/icon.svg", get(async || file("image/svg+xml", include_str!("../../page/icon.svg"))))
}

fn file(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A newer release of the server brings a newer page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}
