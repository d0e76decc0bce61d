//! The port to the rules of a deployment, which an operator can change at any time.

use std::future::Future;
use std::sync::Arc;

use crate::Ruleset;

/// The source of the rules.
pub trait Rulebook: Send + Sync {
    /// Returns the rules as they were at most 30 seconds ago. `None` if they have
    /// not changed or cannot be read; then the last known rules stay in force.
    /// Called before each round, so it must nearly always answer from memory.
    fn read(&self) -> impl Future<Output = Option<Arc<Ruleset>>> + Send;
}

/// Rules that cannot change while the process runs.
#[derive(Clone, Copy, Debug)]
pub struct Fixed;

impl Rulebook for Fixed {
    async fn read(&self) -> Option<Arc<Ruleset>> {
        None
    }
}
