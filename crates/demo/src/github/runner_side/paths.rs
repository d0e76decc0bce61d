//! The addresses of the services. The protocol fixes only the paths for downloads
//! of actions and for results. Runners get all others in messages.

pub(in crate::github) const TOKEN: &str = "/_services/token";
pub(in crate::github) const BROKER: &str = "/_services/broker";
pub(in crate::github) const RUN: &str = "/_services/run";
pub(super) const RESOLVE_ACTIONS: &str = "/actions/build/{plan}/jobs/{job}/runnerresolve/actions";
pub(super) const ARCHIVE: &str = "/_services/archives/{owner}/{name}/{sha}";
pub(super) const RESULTS: &str = "/twirp/{service}/{method}";
pub(super) const BLOB: &str = "/_services/blobs/{blob}";
pub(in crate::github) const FEED: &str = "/_services/feed";

/// Returns the URL of the live feed, which is a websocket.
pub(in crate::github) fn feed_url(base: &str) -> String {
    // `http` becomes `ws`, and `https` becomes `wss`.
    format!("ws{}{FEED}", base.strip_prefix("http").unwrap_or(base))
}

/// Returns the URL of a blob. It has a query, because runners may add to the query
/// when they upload.
pub(in crate::github) fn blob_url(base: &str, blob: &str) -> String {
    format!("{base}{}?sig=fake", BLOB.replace("{blob}", blob))
}
