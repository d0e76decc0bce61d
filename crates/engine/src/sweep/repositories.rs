//! Queued jobs of repositories that are allowed by name, where no App tells of
//! lost deliveries.

use ecsrunner_core::sweep::repositories::to_ask;

use super::Pass;
use crate::{Engine, World};

impl<W: World> Engine<W> {
    pub(super) async fn sweep_repositories(&self, pass: &mut Pass) {
        let policy = &self.rules.settings.policy;
        for repository in to_ask(policy, pass.progress.repositories_asked) {
            if !pass.has_time(&self.ports.clock) {
                return;
            }
            pass.progress.repositories_asked = pass.progress.repositories_asked.wrapping_add(1);
            // What GitHub does not answer is logged there, and asked again in its turn.
            match self.discover(&[repository]).await {
                Ok(found) => pass.swept.discovered += found,
                Err(error) => return pass.failed("repositories", &error),
            }
        }
    }
}
