//! Requests over HTTP and HTTPS, one connection each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// Shorter than a request's limit, so that a slow connection does not count as a sent request.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Makes requests. No connection is kept between two of them.
#[derive(Clone, Debug)]
pub struct Http(ureq::Agent);

/// The file of certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("the certificate bundle `{path}` cannot be read")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the certificate bundle `{0}` holds no certificate in PEM")]
    Empty(PathBuf),
}

/// Why a request got no complete answer.
pub(super) enum Exchange {
    /// It was not sent, because there was no connection.
    Unsent(io::Error),
    /// It was sent, or may have been, and no complete answer came back.
    Broken(io::Error),
    /// It could not be built from the given values.
    Malformed(String),
}

/// An answer with any status.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The server's time, from its `date` header.
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

pub(super) struct Request<'a> {
    pub(super) url: &'a str,
    pub(super) headers: Vec<(&'static str, String)>,
    /// With a body the method is POST, otherwise GET.
    pub(super) body: Option<&'a [u8]>,
    pub(super) limit: Duration,
    /// How much of the answer's body is read at most.
    pub(super) max_bytes: u64,
}

impl Http {
    /// Trusts Mozilla's certificate authorities. If a PEM file is given, trusts only
    /// those in the file, as the AWS CLI does.
    ///
    /// # Errors
    ///
    /// See [`BundleError`].
    pub fn new(ca_bundle: Option<&Path>) -> Result<Self, BundleError> {
        let roots = ca_bundle.map_or(Ok(RootCerts::WebPki), bundle)?;
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Ignores the proxy variables of the environment.
            .proxy(None)
            // If the server closed a kept connection, a request that it never read
            // would be ambiguous.
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .user_agent(concat!("ecsrunner-agent/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(config.new_agent()))
    }

    /// Blocks for at most the request's limit. The connection may take half of it, at most
    /// 2 seconds.
    pub(super) fn exchange(&self, request: Request<'_>) -> Result<Answer, Exchange> {
        let Request { url, headers, body, limit, max_bytes } = request;
        let connect = CONNECT_LIMIT.min(limit / 2);
        let answer = match body {
            Some(body) => {
                let post = self.0.post(url).config().timeout_global(Some(limit));
                let post = post.timeout_connect(Some(connect)).build();
                headers.into_iter().fold(post, |post, (name, value)| post.header(name, value)).send(body)
            }
            None => {
                let get = self.0.get(url).config().timeout_global(Some(limit));
                let get = get.timeout_connect(Some(connect)).build();
                headers.into_iter().fold(get, |get, (name, value)| get.header(name, value)).call()
            }
        };
        let mut answer = answer.map_err(Exchange::of)?;
        let status = answer.status().as_u16();
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        let body = answer.body_mut().with_config().limit(max_bytes).read_to_vec();
        let body = body.map_err(|error| Exchange::Broken(error.into_io()))?;
        Ok(Answer { status, date, body })
    }
}

impl Exchange {
    /// A request counts as unsent only if it certainly failed before it was sent.
    fn of(error: ureq::Error) -> Self {
        use ureq::Error as E;
        let unsent = match &error {
            E::HostNotFound | E::ConnectionFailed => true,
            E::Timeout(which) => matches!(which, ureq::Timeout::Resolve | ureq::Timeout::Connect),
            E::Io(error) => {
                matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::NetworkUnreachable
                        | io::ErrorKind::AddrNotAvailable
                ) || is_untrusted(error)
            }
            E::Rustls(_) => true,
            E::Http(_) | E::BadUri(_) | E::TlsRequired | E::Tls(_) => {
                return Self::Malformed(error.to_string());
            }
            _ => false,
        };
        if unsent { Self::Unsent(error.into_io()) } else { Self::Broken(error.into_io()) }
    }
}

/// Whether the server is not trusted. Then no request was sent.
fn is_untrusted(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

fn bundle(path: &Path) -> Result<RootCerts, BundleError> {
    let pem =
        std::fs::read(path).map_err(|source| BundleError::Unreadable { path: path.to_owned(), source })?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(BundleError::Empty(path.to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
