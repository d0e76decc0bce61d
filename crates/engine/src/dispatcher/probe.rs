//! Probes a held scope: requests a configuration that is never used, to see
//! whether GitHub registers runners there again.

use std::time::Duration;

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::Held;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pool::{Pool, Scope};
use futures::future::{self, Either};
use tracing::{info, warn};
use ulid::Ulid;

use super::advance::StepError;
use super::cache::EffectKey;
use super::github_calls::Slot;
use super::{Effected, News, STEP_LIMIT, chain};
use crate::ports::github::{GitHub, GitHubError};
use crate::ports::store::Transaction;
use crate::ports::{Clock, Disposition, Randomness};
use crate::{Engine, World};

/// How long a probe rests after it got no answer.
const REST: Duration = Duration::from_secs(30);

impl<W: World> Engine<W> {
    pub(crate) async fn probe(&self, scope: Scope) -> Effected {
        let key = EffectKey::Probe(scope.clone());
        let probed = Box::pin(self.try_scope(&scope));
        let limit = Box::pin(self.ports.clock.sleep(STEP_LIMIT));
        let probed = match future::select(probed, limit).await {
            Either::Left((probed, _)) => probed,
            Either::Right(((), _)) => Err(StepError::NotYet(self.ports.clock.now() + REST)),
        };
        match probed {
            Ok(()) => Effected::with(key, News::Round),
            Err(error) => {
                let rest_until = match error {
                    StepError::NotYet(at) => at,
                    error => {
                        warn!(%scope, error = %chain(&error), "a probe got no answer");
                        self.ports.clock.now() + REST
                    }
                };
                Effected { rest_until: Some(rest_until), ..Effected::with(key, News::Nothing) }
            }
        }
    }

    async fn try_scope(&self, scope: &Scope) -> Result<(), StepError> {
        let began_at = self.ports.clock.now();
        let held = [Held::Scope(scope.clone()), Held::Account(self.ports.github.account(scope))];
        let changes: Vec<Change> = match self.try_registration(scope).await {
            Ok(()) => {
                info!(%scope, "GitHub registers runners again");
                let now = self.ports.clock.now();
                let is_disproved = |held: &Held| {
                    matches!(held, Held::Scope(_))
                        || self.cache.hold(held).is_some_and(|hold| hold.latest < began_at)
                };
                let disproved = held.into_iter().filter(is_disproved);
                disproved.inspect(|held| self.cache.remove_hold(held, now)).map(Change::Released).collect()
            }
            Err(StepError::GitHub(error)) if error.disposition() == Disposition::Permanent => {
                vec![Change::Hold(self.hold_scope(scope, &error, began_at))]
            }
            Err(StepError::GitHub(error)) => {
                let now = self.ports.clock.now();
                let is_held = |held| self.cache.hold(held).is_some_and(|hold| now < hold.not_before);
                // Usually the call has written a hold, which says when to try again.
                return if held.iter().any(is_held) { Ok(()) } else { Err(error.into()) };
            }
            Err(error) => return Err(error),
        };
        Ok(self.commit(Transaction::of(&changes)).await?)
    }

    async fn try_registration(&self, scope: &Scope) -> Result<(), StepError> {
        let now = u64::try_from(self.ports.clock.now().as_millisecond()).unwrap_or(0);
        let ulid = Ulid::from_parts(now, self.ports.randomness.bits()).to_string();
        let labels = [format!("ecsrunner:{}", ulid.to_lowercase())];
        let pool = Pool { scope: scope.clone(), labels: Labels::new(&labels) };
        let name = RunnerName::new(&self.rules().settings.deployment, &pool.id(), &ulid)
            .map_err(|error| GitHubError::Credentials(error.to_string()))?;
        let jit = self.register(scope, &name, &labels, Slot::ToTake).await?;
        // The probe has succeeded. If this deletion fails, a registration remains
        // that no runner can use; the sweep deletes it.
        if let Err(error) = self.deregister(scope, jit.runner_id).await {
            warn!(%scope, error = %chain(&error), "could not delete a probe's registration");
        }
        Ok(())
    }
}
