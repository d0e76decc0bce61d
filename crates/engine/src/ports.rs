//! The outside world in our words: one trait for each system that the engine
//! talks to, implemented by an adapter and by an in-memory stand-in.

pub mod github;

use std::time::Duration;

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
