//! Waking a dispatcher later, when no event will.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

/// Kicks that come back after a while: SQS, or whoever waits in a loop anyway.
pub trait Queue: Send + Sync {
    /// Has a dispatcher woken after that time, at most 15 minutes.
    fn post_kick(&self, after: Duration) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// No kick was posted: the next event or sweep goes on instead.
#[derive(Debug, thiserror::Error)]
#[error("no kick could be posted")]
pub struct QueueError(#[source] pub Box<dyn Error + Send + Sync>);
