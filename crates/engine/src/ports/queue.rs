//! The port to delayed kicks: they wake a dispatcher when no event will.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

/// Delivers kicks after a delay: SQS, or a process that waits in a loop anyway.
pub trait Queue: Send + Sync {
    /// Wakes a dispatcher after that time, at most 15 minutes.
    fn post_kick(&self, after: Duration) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// A kick could not be posted. The next event or sweep replaces it.
#[derive(Debug, thiserror::Error)]
#[error("the kick could not be posted")]
pub struct QueueError(#[source] pub Box<dyn Error + Send + Sync>);
