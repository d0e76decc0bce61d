//! What an operator tells a deployment to do, and may change at any time.

use std::future::Future;
use std::sync::Arc;

use crate::Ruleset;

/// Where the rules stand.
pub trait Rulebook: Send + Sync {
    /// The rules as they were at most 30 seconds ago; `None` where they cannot
    /// be read, and those that were known before hold. It is asked before each
    /// round, and must answer from memory nearly always.
    fn read(&self) -> impl Future<Output = Option<Arc<Ruleset>>> + Send;
}

/// Rules that change with the process alone.
#[derive(Clone, Copy, Debug)]
pub struct Fixed;

impl Rulebook for Fixed {
    async fn read(&self) -> Option<Arc<Ruleset>> {
        None
    }
}
