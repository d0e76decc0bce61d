//! Releases of GitHub's runner.

use std::sync::{Arc, Mutex, PoisonError};

use ecsrunner_engine::ports::github::GitHubError;
use jiff::Timestamp;
use reqwest::header::ETAG;
use serde::Deserialize;

use crate::client::Client;
use crate::http::Call;

/// A release of a repository.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Release {
    /// Such as `v2.337.0`.
    pub tag_name: String,
    pub published_at: Timestamp,
}

/// The release that GitHub named last, and the ETag of that answer. Clones share it.
#[derive(Clone, Default, Debug)]
pub(crate) struct LastRelease(Arc<Mutex<Option<(String, Release)>>>);

impl LastRelease {
    fn get(&self) -> Option<(String, Release)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, etag: String, release: Release) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((etag, release));
    }
}

impl Client {
    /// Returns the newest release of GitHub's runner; `None` if this API is not github.com's, which may not know it.
    ///
    /// A repeated call names the answer that is known (`If-None-Match`). If nothing has changed, GitHub answers 304 without
    /// a body. The call has no token, so it still counts against the rate of this address (docs.github.com, "Best
    /// practices for using the REST API").
    ///
    /// # Errors
    ///
    /// The call fails, or GitHub answers no more calls from this address.
    pub async fn newest_runner(&self) -> Result<Option<Release>, GitHubError> {
        if !self.has_public_repositories() {
            return Ok(None);
        }
        let known = self.last_release().get();
        let path = "repos/actions/runner/releases/latest".to_owned();
        let mut call = Call::get("get-latest-release", "actions/runner", path);
        call.if_none_match = known.as_ref().map(|(etag, _)| etag.clone());
        let reply = self.ask_as_anyone(&call).await?;
        if let Some((_, release)) = known.filter(|_| reply.status() == 304) {
            return Ok(Some(release));
        }
        let release: Release = reply.json()?;
        if let Some(etag) = reply.headers().get(ETAG).and_then(|etag| etag.to_str().ok()) {
            self.last_release().set(etag.to_owned(), release.clone());
        }
        Ok(Some(release))
    }
}
