//! The outside world in our words: one trait for each system that the engine
//! talks to, implemented by an adapter and by an in-memory stand-in.

pub mod compute;
pub mod github;
pub mod queue;
pub mod rulebook;
pub mod store;

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

/// What a caller can do about an adapter's error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// The same call may succeed later; not before `after`, where the other side said so.
    Retry {
        /// How long the other side asked us to wait.
        after: Option<Duration>,
    },
    /// The same call will fail again until somebody changes something.
    Permanent,
    /// What the call was to bring about holds already.
    AlreadyDone,
}

/// The time, and waiting for it.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// What must differ each time.
pub trait Randomness: Send + Sync {
    /// 128 random bits.
    fn bits(&self) -> u128;
}
