//! Finds queued jobs in repositories that are allowed by name. This replaces
//! the sweep of deliveries if there is no App.

use ecsrunner_core::decide::sweep::repositories::to_ask;

use super::Pass;
use crate::{Engine, World};

impl<W: World> Engine<W> {
    pub(super) async fn sweep_repositories(&self, pass: &mut Pass) {
        let rules = self.rules();
        for repository in to_ask(&rules.settings.policy, pass.progress.repositories_asked) {
            if !pass.has_time(&self.ports.clock) {
                return;
            }
            pass.progress.repositories_asked = pass.progress.repositories_asked.wrapping_add(1);
            // `discover` logs a repository that GitHub does not answer for; its next turn retries it.
            match self.discover(&[repository], pass.until).await {
                Ok(found) => pass.swept.discovered += found,
                Err(error) => return pass.failed("repositories", &error),
            }
        }
    }
}
