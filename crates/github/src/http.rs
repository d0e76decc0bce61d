//! One HTTP call: its URL and headers, its timeout, and its log line.

mod storage;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ecsrunner_core::host::loopback_of;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{ClientBuilder, Method, StatusCode, Url};
use rustls::ClientConfig;

use crate::auth::Bearer;
use crate::reply::{Fault, Reply};

pub use storage::StorageError;
pub(crate) use storage::Stored;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Shorter than GitHub keeps an idle connection open. If a POST meets a closed
/// connection, it is unknown whether it took effect.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const REDIRECTS_LIMIT: usize = 3;
/// In bytes. A hundred jobs with all their steps are below 4 MB.
const REPLY_LIMIT: usize = 16 << 20;
/// The end of the path of a call for a log. No other call's path has this end.
const LOG_PATH_END: &str = "/logs";

/// The base of GitHub's REST API: `https://api.github.com`, a GitHub Enterprise
/// Server's `https://HOST/api/v3`, or a stand-in.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiUrl(Url);

/// A text that is not a base URL of an API.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("GitHub API URL `{url}` is not valid: {expected}")]
pub struct ApiUrlError {
    url: String,
    expected: &'static str,
}

impl ApiUrl {
    pub const GITHUB_COM: &'static str = "https://api.github.com";

    /// Parses an `http` or `https` URL, with or without a slash at its end.
    ///
    /// # Errors
    ///
    /// The text is not such a URL, or has a user, a password, a query or a fragment. Or it is a server's page and not its
    /// API: of the hosts without a path, only those that begin with `api.` serve one. A stand-in by `http` or on loopback
    /// is exempt.
    pub fn parse(text: &str) -> Result<Self, ApiUrlError> {
        let refuse = |url: &str, expected| {
            let url = url.chars().take(80).collect();
            Err(ApiUrlError { url, expected })
        };
        let Ok(url) = Url::parse(text) else {
            return refuse(text, "such as https://api.github.com or https://HOST/api/v3");
        };
        // A user, password or query may be a secret, so the error does not repeat such a URL.
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return refuse("…", "no user, password or query is allowed");
        }
        if !matches!(url.scheme(), "http" | "https") || url.fragment().is_some() {
            return refuse(text, "an http or https URL without a fragment is expected");
        }
        let api = Self(url);
        let host = api.0.host_str().unwrap_or_default();
        let is_page = api.0.scheme() == "https" && api.0.path() == "/" && !host.starts_with("api.");
        if is_page && !api.is_loopback() {
            return refuse(text, "the path of its API is expected too, such as https://HOST/api/v3");
        }
        Ok(api)
    }

    fn join(&self, path: &str, query: &[(Cow<'static, str>, String)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn is_loopback(&self) -> bool {
        self.0.host_str().and_then(loopback_of).is_some()
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "api:{self}")
    }
}

impl FromStr for ApiUrl {
    type Err = ApiUrlError;

    fn from_str(text: &str) -> Result<Self, ApiUrlError> {
        Self::parse(text)
    }
}

/// A request to GitHub.
pub(crate) struct Call {
    /// The operation's name, such as `generate-jitconfig`.
    pub(crate) operation: &'static str,
    /// The repository, organization, runner or other subject of the call.
    pub(crate) subject: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(Cow<'static, str>, String)>,
    pub(crate) body: Option<serde_json::Value>,
    /// The ETag of an answer that is known: GitHub answers 304 if it would be the same.
    pub(crate) if_none_match: Option<String>,
}

impl Call {
    pub(crate) fn get(operation: &'static str, subject: impl fmt::Display, path: String) -> Self {
        Self::new(Method::GET, operation, subject, path)
    }

    pub(crate) fn delete(operation: &'static str, subject: impl fmt::Display, path: String) -> Self {
        Self::new(Method::DELETE, operation, subject, path)
    }

    /// A POST without a body.
    pub(crate) fn post_alone(operation: &'static str, subject: impl fmt::Display, path: String) -> Self {
        Self::new(Method::POST, operation, subject, path)
    }

    pub(crate) fn post(
        operation: &'static str,
        subject: impl fmt::Display,
        path: String,
        body: serde_json::Value,
    ) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, operation, subject, path) }
    }

    pub(crate) fn patch(
        operation: &'static str,
        subject: impl fmt::Display,
        path: String,
        body: serde_json::Value,
    ) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, operation, subject, path) }
    }

    fn new(method: Method, operation: &'static str, subject: impl fmt::Display, path: String) -> Self {
        Self {
            operation,
            subject: subject.to_string(),
            method,
            path,
            query: Vec::new(),
            body: None,
            if_none_match: None,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.query.push((Cow::Borrowed(name), value.to_string()));
        self
    }

    /// Returns the call's name in errors, such as `generate-jitconfig of acme/app`.
    pub(crate) fn name(&self) -> String {
        format!("{} of {}", self.operation, self.subject)
    }
}

/// The connections to one API.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    api: ApiUrl,
    client: reqwest::Client,
    call_limit: Duration,
    tls: Option<Arc<ClientConfig>>,
}

impl Http {
    /// Without `tls`, a configuration is made with the machine's root certificates.
    pub(crate) fn new(
        api: ApiUrl,
        call_limit: Duration,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, reqwest::Error> {
        if api.0.scheme() == "http" && !api.is_loopback() {
            tracing::warn!(%api, "tokens travel to GitHub's API unencrypted");
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        let client = connections(&api, call_limit, tls.as_deref())
            .default_headers(headers)
            .timeout(call_limit)
            .redirect(Policy::custom(stay_at_home))
            .build()?;
        Ok(Self { api, client, call_limit, tls })
    }

    /// Whether it is github.com's API, or a stand-in for it on this machine.
    pub(crate) fn has_public_repositories(&self) -> bool {
        self.api.is_loopback() || self.api.to_string() == ApiUrl::GITHUB_COM
    }

    /// Sends a call. A GET whose connection fails is sent a second time, because
    /// GitHub may have closed an idle connection. Nothing else is ever sent twice.
    pub(crate) async fn send<'a>(
        &self,
        call: &Call,
        bearer: impl Into<Option<&'a Bearer>>,
    ) -> Result<Reply, Fault> {
        let bearer = bearer.into();
        let started = Instant::now();
        let mut outcome = self.attempt(call, bearer).await;
        if call.method == Method::GET && outcome.as_ref().is_err_and(AttemptError::is_of_connection) {
            outcome = self.attempt(call, bearer).await;
        }
        let reply = outcome.map_err(|source| Fault::unreachable(call.name(), source));
        let answered = reply.as_ref().ok();
        tracing::debug!(
            operation = call.operation,
            subject = call.subject,
            status = answered.map(Reply::status),
            elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            rate_remaining = answered.and_then(Reply::rate_remaining),
            "called GitHub"
        );
        reply
    }

    async fn attempt(&self, call: &Call, bearer: Option<&Bearer>) -> Result<Reply, AttemptError> {
        let mut request = self.client.request(call.method.clone(), self.api.join(&call.path, &call.query));
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer.header());
        }
        if let Some(etag) = &call.if_none_match {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let mut response = request.send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > REPLY_LIMIT {
                return Err(AttemptError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        Ok(Reply::new(call.name(), status, headers, body))
    }
}

/// Returns the settings of all connections to GitHub's API and its storage.
fn connections(api: &ApiUrl, call_limit: Duration, tls: Option<&ClientConfig>) -> ClientBuilder {
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("ecsrunner/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT.min(call_limit))
        .pool_idle_timeout(IDLE_LIMIT)
        .retry(reqwest::retry::never());
    if api.is_loopback() {
        client = client.no_proxy();
    }
    if let Some(tls) = tls {
        let mut tls = tls.clone();
        // This client uses HTTP/1.1 only. Other users of the configuration may offer more.
        tls.alpn_protocols.clear();
        client = client.tls_backend_preconfigured(tls);
    }
    client
}

/// Follows redirects of renamed repositories, but only within the API's origin, so
/// that a token is never sent anywhere else.
fn stay_at_home(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let home = attempt.previous().first().map(Url::origin);
    let is_home = home == Some(attempt.url().origin());
    if is_home && !leads_to_a_log(&attempt) && attempt.previous().len() <= REDIRECTS_LIMIT {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Returns whether a redirect leads to a log, which is read without a token. A
/// stand-in's API can serve the log itself. A renamed repository answers with
/// another status.
fn leads_to_a_log(attempt: &Attempt<'_>) -> bool {
    let asked = attempt.previous().last();
    attempt.status() == StatusCode::FOUND && asked.is_some_and(|url| url.path().ends_with(LOG_PATH_END))
}

#[derive(Debug)]
enum AttemptError {
    Http(reqwest::Error),
    TooLong,
}

impl AttemptError {
    fn is_of_connection(&self) -> bool {
        matches!(self, Self::Http(error) if !error.is_timeout() && (error.is_connect() || error.is_request()))
    }
}

impl From<reqwest::Error> for AttemptError {
    fn from(error: reqwest::Error) -> Self {
        // The operation names the request already; the URL would only repeat it.
        Self::Http(error.without_url())
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::TooLong => write!(f, "the reply is longer than {REPLY_LIMIT} bytes"),
        }
    }
}

impl Error for AttemptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Http(error) => error.source(),
            Self::TooLong => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str) -> String {
        ApiUrl::parse(base)
            .unwrap()
            .join("repos/acme/app", &[(Cow::Borrowed("name"), "a b&c".to_owned())])
            .to_string()
    }

    #[test]
    fn paths_go_below_the_base_with_or_without_a_slash() {
        let query = "/repos/acme/app?name=a+b%26c";
        assert_eq!(joined(ApiUrl::GITHUB_COM), format!("https://api.github.com{query}"));
        for base in ["https://ghes.example/api/v3", "https://ghes.example/api/v3/"] {
            assert_eq!(joined(base), format!("https://ghes.example/api/v3{query}"));
            assert_eq!(ApiUrl::parse(base).unwrap().to_string(), "https://ghes.example/api/v3");
        }
        assert_eq!(joined("http://127.0.0.1:4011"), format!("http://127.0.0.1:4011{query}"));
    }

    #[test]
    fn a_name_that_begins_like_an_address_of_loopback_is_another_machine() {
        let is_here = |url: &str| ApiUrl::parse(url).unwrap().is_loopback();
        for url in ["http://127.0.0.1:4011", "http://127.1", "http://localhost/api/v3", "http://[::1]:4011"] {
            assert!(is_here(url), "{url}");
        }
        for url in ["http://127.example.com", "http://127.0.0.1.example.com", "https://api.github.com"] {
            assert!(!is_here(url), "{url}");
        }
    }

    #[test]
    fn urls_that_are_no_base_are_refused() {
        for text in ["", "api.github.com", "ftp://ghes.example", "https://ghes.example/#v3", "file:///api"] {
            assert!(ApiUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_of_github_is_not_its_api() {
        for text in ["https://github.com", "https://ghes.example/", "https://apis.example:8443"] {
            let error = ApiUrl::parse(text).unwrap_err().to_string();
            assert!(
                error.ends_with("the path of its API is expected too, such as https://HOST/api/v3"),
                "{error}"
            );
        }
        for text in [
            "https://api.github.com/",
            "https://api.acme.ghe.com",
            "https://127.0.0.1:4011",
            "http://fake:80",
        ] {
            assert!(ApiUrl::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        for text in ["https://me:SECRET@ghes.example", "https://SECRET@ghes.example", "https://x/?t=SECRET"] {
            let error = ApiUrl::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
        }
    }
}
