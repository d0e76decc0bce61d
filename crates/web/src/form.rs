//! The form of every request and answer.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use ecsrunner_api::status::Fault;

/// No route takes a larger body. One that is announced is not waited for.
const MAX_BODY_BYTES: u64 = 2 * 1024 * 1024;
/// The text of a refusal.
const MAX_TEXT_BYTES: usize = 4 * 1024;

/// Refuses a request that does not name one host, where HTTP asks for it (RFC 9112, section 3.2), or that announces a body
/// that no route takes.
pub(crate) fn refusal(request: &Request) -> Option<Response> {
    let headers = request.headers();
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Some(refused(
            StatusCode::BAD_REQUEST,
            format!("one `Host` is expected, and {hosts} are given"),
        ));
    }
    let length = length(headers).filter(|length| *length > MAX_BODY_BYTES)?;
    let message = format!("the body is announced with {length} bytes, and at most {MAX_BODY_BYTES} are read");
    Some(refused(StatusCode::PAYLOAD_TOO_LARGE, message))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn refused(status: StatusCode, message: String) -> Response {
    (status, [(header::CONNECTION, "close")], Json(Fault { message })).into_response()
}

/// Returns a refusal in plain text, such as axum's of a broken body, as JSON like every other one.
pub(crate) async fn in_json(answer: Response) -> Response {
    let status = answer.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !is_refusal || !kind.is_some_and(|kind| kind.starts_with("text/plain")) {
        return answer;
    }
    let text = to_bytes(answer.into_body(), MAX_TEXT_BYTES).await.unwrap_or_default();
    let message = String::from_utf8_lossy(&text).into_owned();
    (status, Json(Fault { message })).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::Value;

    use super::*;

    fn status(version: Version, headers: &[(&str, &str)]) -> Option<u16> {
        let builder = axum::http::Request::builder().uri("/webhook").version(version);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        refusal(&builder.body(Body::empty()).unwrap()).map(|refused| refused.status().as_u16())
    }

    #[test]
    fn a_request_names_one_host_and_announces_no_endless_body() {
        let host = ("host", "127.0.0.1");
        assert_eq!(status(Version::HTTP_11, &[host, ("content-length", "700000")]), None);
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_11, &[]), Some(400));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(status(version, &[host, ("host", "evil.example")]), Some(400));
        }
        assert_eq!(status(Version::HTTP_11, &[host, ("content-length", "99999999999999")]), Some(413));
    }

    #[tokio::test]
    async fn a_refusal_in_plain_text_becomes_json_and_an_answer_stays_as_it_is() {
        let refused = in_json((StatusCode::BAD_REQUEST, "broken \"chunk\"").into_response()).await;
        assert_eq!(refused.status(), 400);
        let text = to_bytes(refused.into_body(), 1_000).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap()["message"], "broken \"chunk\"");
        let answer = in_json("a log".into_response()).await;
        assert_eq!(to_bytes(answer.into_body(), 1_000).await.unwrap(), "a log");
    }
}
