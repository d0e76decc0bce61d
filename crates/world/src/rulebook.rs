//! The operator's current rules.

use std::sync::Arc;

use ecsrunner_engine::Ruleset;
use ecsrunner_engine::ports::rulebook::Rulebook;

use super::outside::Shared;

/// The rules of the outside world.
#[derive(Clone, Debug)]
pub struct MemoryRulebook(pub(super) Shared);

impl Rulebook for MemoryRulebook {
    async fn read(&self) -> Option<Arc<Ruleset>> {
        Some(Arc::clone(&self.0.lock().rules))
    }
}
