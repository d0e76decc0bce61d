//! The runner's HTTP client, which checks the conventions of every answer.

use std::time::Duration;

use serde_json::Value;

/// The limit of every wait, so that a missing answer fails the test.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// One complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    content_type: Option<String>,
    content_length: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Checks the status, and returns the body, which must be JSON as the runner reads it.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let media_type = self.content_type.as_deref().map(|value| value.split(';').next().unwrap().trim());
        assert_eq!(media_type, Some("application/json"), "{}", self.text());
        let length = self.content_length.as_deref().map(str::parse);
        assert_eq!(length, Some(Ok(self.body.len())), "the Content-Length of {}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks for an error of the broker or the run service. Returns its kind, if it has one.
    #[track_caller]
    pub(crate) fn error(&self, source: &str, status: u16) -> Option<String> {
        let body = self.json(status);
        assert_eq!(body["source"], source, "{body}");
        assert_eq!(body["statusCode"], status, "{body}");
        assert!(body["errorMessage"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        let known = ["source", "errorKind", "statusCode", "errorMessage"];
        assert!(body.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{body}");
        body["errorKind"].as_str().map(str::to_owned)
    }

    #[track_caller]
    pub(crate) fn is_empty(&self, status: u16) {
        assert_eq!((self.status, self.text().as_str()), (status, ""));
    }

    #[track_caller]
    pub(crate) fn is_success(&self) {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    None,
    Json(&'a Value),
    Form(&'a [(&'a str, &'a str)]),
    Blob(&'a [u8], &'a [(&'a str, &'a str)]),
}

/// Sends one request. Redirects are not followed.
#[track_caller]
pub(crate) fn send(method: &str, url: &str, token: Option<&str>, body: Body<'_>) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(LIMIT))
        .proxy(None)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = match body {
        Body::None => agent.run(request.body(()).unwrap()),
        Body::Json(json) => {
            let request = request.header("content-type", "application/json; charset=utf-8");
            agent.run(request.body(json.to_string()).unwrap())
        }
        Body::Form(fields) => {
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            agent.run(request.body(form(fields)).unwrap())
        }
        Body::Blob(bytes, headers) => {
            let with = |request: ureq::http::request::Builder, (name, value): &(&str, &str)| {
                request.header(*name, *value)
            };
            agent.run(headers.iter().fold(request, with).body(bytes).unwrap())
        }
    };
    let mut answer = answer.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (location, content_type, content_length) =
        (header("location"), header("content-type"), header("content-length"));
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    Answer { status, location, content_type, content_length, body }
}

fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        let mut encoded = String::new();
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    encoded.push(char::from(byte));
                }
                other => encoded.push_str(&format!("%{other:02X}")),
            }
        }
        encoded
    };
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    fields.join("&")
}

/// Resolves a path against a base URL as in RFC 3986. A relative path replaces the part after the last `/`, and an
/// absolute one the whole path.
#[track_caller]
pub(crate) fn resolve(base: &str, path: &str) -> String {
    let host = base.find("://").unwrap() + 3;
    let root = base[host..].find('/').map_or(base.len(), |slash| host + slash);
    if path.starts_with('/') {
        return format!("{}{path}", &base[..root]);
    }
    let folder = base.rfind('/').filter(|slash| *slash >= root).map_or(base.len(), |slash| slash + 1);
    let separator = if folder == base.len() && !base.ends_with('/') { "/" } else { "" };
    format!("{}{separator}{path}", &base[..folder])
}

/// Whether a text is a GUID in the service's format: lower case, with hyphens.
pub(crate) fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-'))
}

#[track_caller]
pub(crate) fn guid(value: &Value) -> String {
    let text = value.as_str().unwrap();
    assert!(is_guid(text), "{text} is not a GUID in lower case with hyphens");
    assert_ne!(text, "00000000-0000-0000-0000-000000000000");
    text.to_owned()
}

/// Returns the sorted keys of an object.
#[track_caller]
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn relative_addresses_resolve_as_the_runner_resolves_them() {
    assert_eq!(resolve("http://h/x", "session"), "http://h/session");
    assert_eq!(resolve("http://h/x/", "session"), "http://h/x/session");
    assert_eq!(resolve("http://h/", "session"), "http://h/session");
    assert_eq!(resolve("http://h/x/", "/actions/build"), "http://h/actions/build");
}
