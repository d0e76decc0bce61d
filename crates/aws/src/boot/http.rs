//! Requests over HTTP and HTTPS, one connection each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// Shorter than a request, so that a slow connection is not taken for a sent request.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Makes requests. Nothing is kept between two of them.
#[derive(Clone, Debug)]
pub struct Http(ureq::Agent);

/// The file that names the certificate authorities is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("the certificate bundle `{path}` cannot be read")]
    Unreadable {
        path: PathBuf,
        /// What reading it failed with.
        source: io::Error,
    },
    #[error("the certificate bundle `{0}` holds no certificate in PEM")]
    Empty(PathBuf),
}

/// How a request ended that brought no whole answer.
pub(super) enum Exchange {
    /// It was not sent: no connection came about.
    Unsent(io::Error),
    /// It was sent, or may have been, and no whole answer came back.
    Broken(io::Error),
    /// It could not be made from what was given.
    Malformed(String),
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The server's clock, in the words of its `date`.
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A request that is about to be made.
pub(super) struct Request<'a> {
    pub(super) url: &'a str,
    pub(super) headers: Vec<(&'static str, String)>,
    /// It is sent with POST where there is one, and else with GET.
    pub(super) body: Option<&'a [u8]>,
    pub(super) limit: Duration,
    /// The most that is read of the answer's body.
    pub(super) max_bytes: u64,
}

impl Http {
    /// Trusts Mozilla's certificate authorities or, where a PEM file is named,
    /// those in it and no others, as the AWS CLI does.
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
            // A proxy of the environment has no business in between.
            .proxy(None)
            // A kept connection that the server closes meanwhile would make a
            // request ambiguous that was never read.
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .user_agent(concat!("ecsrunner-agent/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(config.new_agent()))
    }

    /// Blocks for at most the request's limit, half of it (and 2 seconds) for the connection.
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
    /// Only what certainly failed before the request was sent counts as unsent.
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

/// A server that is not trusted is sent no request.
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
