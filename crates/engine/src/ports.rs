//! Ports: one trait for each outside system that the engine uses. An adapter and
//! an in-memory stand-in implement each trait.

pub mod compute;
pub mod github;
pub mod images;
pub mod queue;
pub mod rulebook;
pub mod store;

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

/// What a caller can do about an adapter's error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// The same call can succeed later.
    Retry {
        /// The least time to wait, if the other side gave one.
        after: Option<Duration>,
    },
    /// The same call fails until a person changes something.
    Permanent,
    /// The intended state holds already.
    AlreadyDone,
}

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// The source of unique names and tokens.
pub trait Randomness: Send + Sync {
    /// Returns 128 random bits.
    fn bits(&self) -> u128;
}
