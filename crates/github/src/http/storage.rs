//! What GitHub keeps outside its API, such as logs: the API answers with a
//! redirect to a signed address on another host, which is good for a minute.
//!
//! The address alone is the permission. So no token is sent, and the address is
//! never repeated in an error or a log.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Response, Url};

use super::{Http, connections};

/// How long reading one stored file may take. Each part of it has to come within
/// the limit of a call.
const READ_LIMIT: Duration = Duration::from_secs(180);

/// A file of GitHub's storage.
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    /// Whether the file goes on after these bytes.
    pub(crate) is_cut: bool,
}

/// Why a stored file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The redirect leads nowhere that a log can be.
    #[error("GitHub's redirect is not valid: {0}")]
    Address(&'static str),
    /// The storage has no such file.
    #[error("`{host}` has no such file")]
    Absent { host: String },
    /// Any other answer than the file.
    #[error("`{host}` answers with status {status}")]
    Status { host: String, status: u16 },
    /// No answer, or not all of it.
    #[error("`{host}` cannot be read")]
    Unreachable {
        host: String,
        /// The cause, without the address.
        source: reqwest::Error,
    },
    /// The TLS stack or its root certificates cannot be used.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

impl Http {
    /// Reads a file of at most `limit` bytes, and of a longer one as many.
    /// Redirects are not followed.
    pub(crate) async fn read_stored(&self, location: &str, limit: usize) -> Result<Stored, StorageError> {
        let url = self.storage_address(location)?;
        // Made for each file: only people ask for logs, and the control plane need not load certificates for it.
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

    /// An address is relative where the API serves its files itself. It is never
    /// less protected than the API: the log would travel unencrypted.
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
