//! The page on loopback that leads a browser to GitHub and gets it back with the code.
//!
//! Other users of this machine can reach it, and so can other sites in the person's browser:
//!
//! - `Host` and `Origin` must be ours, so that no other site can use it by a name of its own, and no site can frame it
//!   or visit it first;
//! - the first browser that opens it is the only one, by a cookie;
//! - GitHub's answer must carry the state, 256 random bits, and is taken once;
//! - the code leaves the address bar with the answer, and no page holds a secret.

mod html;

use ecsrunner_engine::chain;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use ecsrunner_github::app_manifest::ManifestCode;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::output::say;
use crate::random;

/// How long the browser waits for the exchange of its code.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// How long the last answer may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
const COOKIE: &str = "ecsrunner-setup";

/// What the page offers to a browser.
pub(super) struct Offer {
    /// The address at GitHub that takes the manifest, with the state.
    pub(super) action: String,
    /// The address of GitHub's pages.
    pub(super) github: String,
    pub(super) manifest: String,
    /// What is shown of the App.
    pub(super) rows: Vec<(&'static str, String)>,
    pub(super) state: String,
}

/// The running page.
pub(super) struct Page {
    address: SocketAddr,
    codes: mpsc::Receiver<(ManifestCode, Answer)>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// Answers the browser that brought the code.
pub(super) struct Answer(oneshot::Sender<String>);

impl Answer {
    /// Sends the browser to an address. Returns whether it still waits.
    pub(super) fn send_to(self, address: &str) -> bool {
        self.0.send(address.to_owned()).is_ok()
    }

    pub(super) fn tell_failure(self) {
        // A browser that has gone needs no answer.
        let _sent = self.0.send(FAILED.to_owned());
    }
}

const FAILED: &str = "/failed";
const STYLE: &str = "/style.css";
const ICON: &str = "/favicon.ico";

impl Page {
    pub(super) fn serve(listener: TcpListener, offer: Offer) -> Result<Self, anyhow::Error> {
        let address = listener.local_addr()?;
        let (sender, codes) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let visit = Arc::new(Visit {
            hosts: [address.to_string(), format!("localhost:{}", address.port())],
            cookie_name: format!("{COOKIE}-{}", address.port()),
            cookie: random::text()?,
            is_open: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            offer,
            codes: sender,
        });
        let router = Router::new()
            .route("/", get(offered))
            .route("/callback", get(returned))
            .route(FAILED, get(failed))
            .route(STYLE, get(style))
            // Browsers ask for it, and show an error if there is none.
            .route(ICON, get(async || StatusCode::NO_CONTENT))
            .fallback(unknown)
            .layer(middleware::from_fn_with_state(Arc::clone(&visit), guard))
            .with_state(visit);
        let server = tokio::spawn(async move {
            let stopped = async {
                let _dropped = stopped.await;
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::warn!(error = %chain(&error), "the setup page ended");
            }
        });
        Ok(Self { address, codes, stop, server })
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits for the code that GitHub sends by the browser.
    pub(super) async fn code(&mut self) -> Option<(ManifestCode, Answer)> {
        self.codes.recv().await
    }

    /// Ends the server once it has sent its last answer.
    pub(super) async fn close(self) {
        let _stopped = self.stop.send(());
        let server = self.server;
        let abort = server.abort_handle();
        if tokio::time::timeout(CLOSE_LIMIT, server).await.is_err() {
            abort.abort();
        }
    }
}

/// One visit of one browser.
struct Visit {
    /// The values of `Host` that name this page.
    hosts: [String; 2],
    /// Cookies do not tell ports apart, so the name does.
    cookie_name: String,
    cookie: String,
    is_open: AtomicBool,
    is_used: AtomicBool,
    offer: Offer,
    codes: mpsc::Sender<(ManifestCode, Answer)>,
}

type Visited = State<Arc<Visit>>;

/// Refuses requests that another site caused, and closes the page to frames, caches and referrers.
async fn guard(State(visit): Visited, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_ours = host.is_some_and(|host| visit.hosts.iter().any(|own| own == host));
    // A browser sends no origin when it follows a link or GitHub's redirect.
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own_origin = |origin: &str| {
        origin.strip_prefix("http://").is_some_and(|host| visit.hosts.iter().any(|own| own == host))
    };
    let mut response = if !is_ours {
        refuse(StatusCode::FORBIDDEN, html::OTHER_HOST)
    } else if origin.is_some_and(|origin| !is_own_origin(origin)) || is_embedded(&request) {
        refuse(StatusCode::FORBIDDEN, html::OTHER_ORIGIN)
    } else {
        next.run(request).await
    };
    // `form-action` is left out: browsers apply it to GitHub's redirects too, such as those to a company's log-in.
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether another site's page asks, by a frame, an image or a link. Browsers say so, and other clients send no such
/// headers. GitHub may send the browser back, and only as a whole page.
fn is_embedded(request: &Request) -> bool {
    let said = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    let is_page =
        said("sec-fetch-dest").is_none_or(|dest| dest == "document" || matches!(path, STYLE | ICON));
    let comes_by_itself = said("sec-fetch-site").is_none_or(|site| matches!(site, "none" | "same-origin"));
    !is_page || (path == "/" && !comes_by_itself)
}

/// Shows the App, with a button that leads to GitHub.
async fn offered(State(visit): Visited, headers: HeaderMap) -> Response {
    if visit.is_used.load(Ordering::SeqCst) {
        return refuse(StatusCode::GONE, html::USED);
    }
    if !visit.is_open.swap(true, Ordering::SeqCst) {
        let cookie = format!("{}={}; HttpOnly; SameSite=Lax; Path=/", visit.cookie_name, visit.cookie);
        let mut response = Html(html::offer(&visit.offer)).into_response();
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        return response;
    }
    if visit.knows(&headers) { Html(html::offer(&visit.offer)).into_response() } else { visit.stranger() }
}

#[derive(Deserialize)]
struct Returned {
    code: Option<String>,
    state: Option<String>,
}

/// Takes the code, waits for its exchange, and sends the browser on.
async fn returned(State(visit): Visited, headers: HeaderMap, Query(returned): Query<Returned>) -> Response {
    if !visit.knows(&headers) {
        return visit.stranger();
    }
    if !is_same(returned.state.as_deref().unwrap_or_default(), &visit.offer.state) {
        return refuse(StatusCode::FORBIDDEN, html::OTHER_STATE);
    }
    let Some(code) = returned.code.and_then(|code| ManifestCode::parse(&code).ok()) else {
        return refuse(StatusCode::BAD_REQUEST, html::NO_CODE);
    };
    if visit.is_used.swap(true, Ordering::SeqCst) {
        return refuse(StatusCode::GONE, html::USED);
    }
    let (answer, answered) = oneshot::channel();
    if visit.codes.send((code, Answer(answer))).await.is_err() {
        return Redirect::to(FAILED).into_response();
    }
    match tokio::time::timeout(ANSWER_LIMIT, answered).await {
        Ok(Ok(address)) => Redirect::to(&address).into_response(),
        _ => Redirect::to(FAILED).into_response(),
    }
}

async fn failed() -> Response {
    Html(html::message(html::FAILED)).into_response()
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css")], html::STYLE).into_response()
}

async fn unknown() -> Response {
    refuse(StatusCode::NOT_FOUND, html::UNKNOWN)
}

impl Visit {
    /// Returns whether this is the browser that opened the page.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split("; ")).filter_map(|pair| pair.split_once('='));
        pairs.any(|(name, value)| name == self.cookie_name && is_same(value, &self.cookie))
    }

    fn stranger(&self) -> Response {
        say(
            "note: a second browser was refused; if that was yours, stop setup with Ctrl-C and start it again",
        );
        refuse(StatusCode::FORBIDDEN, html::STRANGER)
    }
}

fn is_same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn refuse(status: StatusCode, text: html::Message) -> Response {
    (status, Html(html::message(text))).into_response()
}
