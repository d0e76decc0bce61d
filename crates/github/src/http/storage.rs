//! Reads files that GitHub stores outside its API, such as logs. The API answers
//! with a redirect to a signed URL on another host, which is valid for a minute.
//!
//! The URL itself grants access. So no token is sent, and the URL never appears
//! in an error or a log.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Response, Url};

use super::{Http, connections};

/// How long reading one stored file may take. Each read must also end within the
/// limit of a call.
const READ_LIMIT: Duration = Duration::from_secs(180);

/// A file from GitHub's storage.
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    /// Whether the file is longer than these bytes.
    pub(crate) is_cut: bool,
}

/// Why a stored file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The redirect's location cannot be used.
    #[error("GitHub's redirect is not valid: {0}")]
    Address(&'static str),
    #[error("`{host}` has no such file")]
    Absent { host: String },
    /// The storage answers with an unexpected status.
    #[error("`{host}` answers with status {status}")]
    Status { host: String, status: u16 },
    /// No answer, or an incomplete one.
    #[error("`{host}` cannot be read")]
    Unreachable {
        host: String,
        /// The cause, without the URL.
        source: reqwest::Error,
    },
    /// The TLS stack or its root certificates cannot be used.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
}

impl Http {
    /// Reads at most the first `limit` bytes of a file. Redirects are not followed.
    pub(crate) async fn read_stored(&self, location: &str, limit: usize) -> Result<Stored, StorageError> {
        let url = self.storage_address(location)?;
        // A client is made for each file. Only people ask for logs, so the control plane never loads
        // certificates for it.
        let client = connections(&self.api, self.call_limit, self.tls.as_deref())
            .redirect(Policy::none())
            .read_timeout(self.call_limit)
            .timeout(READ_LIMIT)
            .build()
            .map_err(StorageError::Client)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let unreachable = |error: reqwest::Error| StorageError::Unreachable {
            host: host.clone(),
            source: error.without_url(),
        };
        let response = client.get(url).send().await.map_err(unreachable)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(StorageError::Absent { host }),
            status => return Err(StorageError::Status { host, status }),
        }
        read_up_to(response, limit).await.map_err(unreachable)
    }

    /// Checks a redirect's location. It is relative if the API serves its files
    /// itself. A redirect from https to http is refused, because the log would
    /// travel unencrypted.
    fn storage_address(&self, location: &str) -> Result<Url, StorageError> {
        let url =
            self.api.0.join(location).map_err(|_| StorageError::Address("its location is not a URL"))?;
        match (url.scheme(), self.api.0.scheme()) {
            ("https", _) | ("http", "http") if url.has_host() => Ok(url),
            ("http", _) => Err(StorageError::Address("it leads from https to http")),
            _ => Err(StorageError::Address("an http or https URL is expected")),
        }
    }
}

async fn read_up_to(mut response: Response, limit: usize) -> Result<Stored, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            return Ok(Stored { bytes, is_cut: true });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Stored { bytes, is_cut: false })
}
