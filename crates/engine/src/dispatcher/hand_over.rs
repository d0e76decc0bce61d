//! A just-in-time configuration is made and handed over to one task.

use std::time::Duration;

use ecsrunner_core::boot::BootItem;
use ecsrunner_core::pool::Scope;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Change;
use ecsrunner_core::runner::Runner;
use tracing::{error, info, warn};
use ulid::Ulid;

use super::advance::{StepError, Stepped};
use super::memory::EffectKey;
use super::{Effected, News, chain};
use crate::ports::github::{GitHub, GitHubError, JitConfig};
use crate::ports::store::{BootPut, Store, StoreError, Transaction};
use crate::ports::{Clock, Disposition, Randomness};
use crate::{Engine, World};

/// How long the boot table keeps an item that nobody takes: a last resort only.
const BOOT_ITEM_LIFE: Duration = Duration::from_secs(48 * 3600);
const TRIES: u32 = 8;

impl<W: World> Engine<W> {
    pub(crate) async fn hand_over(&self, runner: &Runner) -> Result<Stepped, StepError> {
        let now = self.ports.clock.now();
        if let Some(until) = self.memory.github_not_before(now) {
            let after = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Err(GitHubError::Throttled { operation: "generate-jitconfig".to_owned(), after }.into());
        }
        match self.configure(runner).await {
            Ok(jit) => self.give(runner, &jit).await,
            Err(StepError::GitHub(error)) => self.not_configured(runner, error).await,
            Err(error) => Err(error),
        }
    }

    /// Makes the configuration. A registration of that name which was never
    /// handed over is an earlier try's, whose answer was lost: nobody can use it.
    async fn configure(&self, runner: &Runner) -> Result<JitConfig, StepError> {
        let github = &self.ports.github;
        let (scope, name) = (&runner.facts.scope, runner.name());
        let mut labels: Vec<String> = runner.facts.labels.iter().map(str::to_owned).collect();
        // Identical idle runners sometimes get no job; one unique label each helps.
        labels.push(format!("ecsrunner:{}", name.ulid()));
        match github.generate_jitconfig(scope, name, &labels).await {
            Err(GitHubError::NameTaken) => {
                // Not handed over, as the record says now as well: an earlier try's.
                if self.reload(runner).await?.is_none_or(|current| current.version != runner.version) {
                    return Err(StoreError::Conflict.into());
                }
                warn!(runner = %name, "the name is registered already: deleting the lost registration");
                if let Some(registration) = github.runner(scope, name).await? {
                    github.delete_runner(scope, registration.id).await?;
                }
                Ok(github.generate_jitconfig(scope, name, &labels).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Boot item and record in one transaction: after a retirement is written,
    /// no hand-over can commit.
    async fn give(&self, runner: &Runner, jit: &JitConfig) -> Result<Stepped, StepError> {
        let item = BootItem {
            runner: runner.name().clone(),
            policy: self.rules.settings.policy.clone(),
            fail: None,
        };
        let mut current = runner.clone();
        for _ in 0..TRIES {
            let now = self.ports.clock.now();
            let Some((next, task)) = current.handed_over(jit.runner_id, now) else {
                // It was retired meanwhile: its clean-up deletes the registration.
                return Ok(Stepped::At(current));
            };
            let boot =
                BootPut { task: &task, item: &item, jit: &jit.encoded, expires_at: now + BOOT_ITEM_LIFE };
            let changes = [Change::Runner(next.clone())];
            let transaction = Transaction { boot: Some(boot), ..Transaction::of(&changes) };
            match self.ports.store.commit(transaction).await {
                Ok(()) => {
                    info!(runner = %runner.name(), %task, "handed over configuration");
                    return Ok(Stepped::At(next));
                }
                Err(StoreError::Conflict) => match self.reload(&current).await? {
                    Some(runner) => current = runner,
                    None => return Ok(Stepped::Away),
                },
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn not_configured(&self, runner: &Runner, error: GitHubError) -> Result<Stepped, StepError> {
        match error.disposition() {
            Disposition::Permanent => {
                let now = self.ports.clock.now();
                self.hold(&runner.facts.scope, &error);
                let reason = Reason::with(Code::BootFailed, &error);
                self.write(runner, |runner| runner.not_registered(reason.clone(), now)).await
            }
            Disposition::Retry { after } => {
                if let Some(after) = after {
                    self.memory.hold_github(self.ports.clock.now() + after);
                }
                Err(error.into())
            }
            Disposition::AlreadyDone => Err(error.into()),
        }
    }

    /// GitHub refuses for good: no further launch in this scope before a probe succeeds.
    fn hold(&self, scope: &Scope, error: &GitHubError) {
        if self.memory.hold_scope(scope.clone(), error.to_string(), self.ports.clock.now()) {
            error!(%scope, error = %chain(error), reason = Code::ScopeHeld.as_str(), "holding launches");
        }
    }

    /// Asks GitHub for a configuration that nobody will use, to see whether it
    /// registers runners in this scope again.
    pub(crate) async fn probe(&self, scope: Scope) -> Effected {
        let key = EffectKey::Probe(scope.clone());
        match self.try_registration(&scope).await {
            Ok(()) => {
                info!(%scope, "GitHub registers runners again");
                self.memory.release_scope(&scope);
                self.memory.succeeded(&key);
                Effected { key, news: News::Round, again_at: None }
            }
            Err(error) if error.disposition() == Disposition::Permanent => {
                self.hold(&scope, &error);
                Effected { key, news: News::Round, again_at: None }
            }
            Err(error) => {
                let after = match error.disposition() {
                    Disposition::Retry { after } => after,
                    _ => None,
                };
                self.later(key, after, &error)
            }
        }
    }

    async fn try_registration(&self, scope: &Scope) -> Result<(), GitHubError> {
        let now = u64::try_from(self.ports.clock.now().as_millisecond()).unwrap_or(0);
        let ulid = Ulid::from_parts(now, self.ports.randomness.bits()).to_string();
        let labels = [format!("ecsrunner:{}", ulid.to_lowercase())];
        let pool = ecsrunner_core::pool::Pool {
            scope: scope.clone(),
            labels: ecsrunner_core::labels::Labels::new(&labels),
        };
        let name = ecsrunner_core::id::RunnerName::new(&self.rules.settings.deployment, &pool.id(), &ulid)
            .map_err(|error| GitHubError::Credentials(error.to_string()))?;
        let jit = self.ports.github.generate_jitconfig(scope, &name, &labels).await?;
        // Registering works, which was the question. What is left behind is a
        // registration that nobody can use and GitHub drops after a day.
        if let Err(error) = self.ports.github.delete_runner(scope, jit.runner_id).await {
            warn!(%scope, error = %chain(&error), "a probe's registration could not be deleted");
        }
        Ok(())
    }
}
