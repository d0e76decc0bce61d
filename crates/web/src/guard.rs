//! Who may use the API: requests with the token, sent to a known host, and not by a page of another origin.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ecsrunner_api::status::Fault;
use ecsrunner_core::text::Outside;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Who may use the API, and under which names.
#[derive(Debug)]
pub struct Access {
    /// Required for every request of the API.
    pub token: SecretString,
    /// Where a reader finds the token, such as `the server's state directory`.
    pub token_of: &'static str,
    /// Names other than this machine's own under which the API may be reached.
    pub hosts: Vec<String>,
    /// What to do about a name that is not among them.
    pub hint: &'static str,
}

/// Answers 401 to a request without the token. Pages of other origins cannot read the token, and jobs cannot if the
/// server is root.
pub(crate) async fn token(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // Comparing digests reveals nothing about where the texts differ.
    if Sha256::digest(given) != Sha256::digest(access.token.expose_secret()) {
        let message = format!("the token of {} is expected as a bearer token", access.token_of);
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, Json(Fault { message })).into_response();
    }
    next.run(request).await
}

/// Answers 421 to a request for a host of another name, and 403 to one from a page of another origin. A browser sends
/// such requests for an attacker whose name leads to this server.
pub(crate) async fn host(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let refused = match refusal(request.headers(), request.uri(), &access) {
        None => return next.run(request).await,
        Some(refused) => refused,
    };
    let (status, message) = refused;
    (status, Json(Fault { message })).into_response()
}

fn refusal(headers: &HeaderMap, uri: &Uri, access: &Access) -> Option<(StatusCode, String)> {
    let hosts = &access.hosts;
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = uri.authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST));
    let host = host.unwrap_or_default();
    if !is_own(host, hosts) {
        let name = shown(host);
        let message = format!("this server does not answer for the host `{name}`: {}", access.hint);
        return Some((StatusCode::MISDIRECTED_REQUEST, message));
    }
    let origin = text(header::ORIGIN)?;
    let (_, origin_host) = origin.split_once("://").unwrap_or_default();
    if origin_host.eq_ignore_ascii_case(host) || is_named(origin_host, hosts) {
        return None;
    }
    Some((StatusCode::FORBIDDEN, format!("requests from pages of `{}` are refused", shown(origin))))
}

/// Whether a host is a plain address, a name of this machine's own, or configured.
fn is_own(host: &str, hosts: &[String]) -> bool {
    let name = name_of(host);
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    is_address || name == "localhost" || name.ends_with(".localhost") || is_named(host, hosts)
}

fn is_named(host: &str, hosts: &[String]) -> bool {
    let name = name_of(host);
    hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns a host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A sender chooses the text, so only its first characters are repeated.
fn shown(text: &str) -> String {
    Outside::new(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(host: &str, origin: Option<&str>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let access = Access {
            token: "secret".into(),
            token_of: "a test",
            hosts: vec!["ci.example.com".to_owned()],
            hint: "use its address",
        };
        let refused = refusal(&headers, &Uri::from_static("/api/v1/jobs"), &access);
        refused.map(|(status, _)| status.as_u16())
    }

    #[test]
    fn addresses_names_of_this_machine_and_configured_names_are_answered() {
        for host in
            ["127.0.0.1:8080", "[::1]:8080", "10.1.2.3", "localhost:1", "a.localhost", "CI.example.com:443"]
        {
            assert_eq!(status(host, None), None, "{host}");
        }
    }

    #[test]
    fn any_other_name_is_refused_so_that_a_name_of_an_attacker_reads_nothing() {
        for host in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "[::1",
            "x:",
        ] {
            assert_eq!(status(host, None), Some(421), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for (origin, expected) in [
            ("http://127.0.0.1:8080", None),
            ("https://ci.example.com", None),
            ("http://127.0.0.1:9999", Some(403)),
            ("http://evil.example", Some(403)),
            ("null", Some(403)),
        ] {
            assert_eq!(status("127.0.0.1:8080", Some(origin)), expected, "{origin}");
        }
    }
}
