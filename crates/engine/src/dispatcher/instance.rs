//! Gives a runner an instance of its own, and has it take no more tasks afterwards: ECS Managed Instances.

use ecsrunner_core::decide::claim::Drain;
use ecsrunner_core::id::{HostId, RunnerName};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::instance::Instance;
use ecsrunner_core::records::runner::{Runner, RunnerStage};
use ecsrunner_core::wire::event::Keys;
use tracing::{info, warn};

use super::advance::StepError;
use super::chain;
use super::launch::failures;
use crate::commit::Written;
use crate::ports::Clock;
use crate::ports::compute::{Compute, ComputeError};
use crate::ports::store::{Store, StoreError, Transaction};
use crate::{Engine, World};

/// How often a claim is decided again after a conflict with an event or with another runner's claim.
const CLAIM_TRIES: u32 = 8;
/// How often ECS's refusal to drain an instance is asked again, over about four minutes.
const DRAIN_TRIES: u32 = 5;

impl<W: World> Engine<W> {
    /// Makes the runner the only one of the EC2 instance on which its task runs, or ends it if another one was there.
    pub(super) async fn claim_instance(&self, runner: &Runner) -> Result<Written, StepError> {
        let Some(instance) = &runner.instance else { return Ok(Written::At(runner.clone())) };
        let Some(host) = self.ports.compute.host_of(&instance.id, &runner.placement).await? else {
            let source = format!("ECS has no instance {} of {}", instance.id, runner.placement.provider());
            let source = source.into();
            return Err(ComputeError::Unanswered { operation: "describe its instance", source }.into());
        };
        let keys = Keys { host: Some(host.clone()), ..Keys::of_runner(runner.name()) };
        for _ in 0..CLAIM_TRIES {
            let records = self.ports.store.load(&keys).await?;
            let Some(current) = records.runner.filter(|current| current.epoch == runner.epoch) else {
                return Ok(Written::Away);
            };
            let claimed = current.claim(&host, records.claimed_by.as_ref(), self.ports.clock.now());
            let Some((next, claim)) = claimed else { return Ok(Written::At(current)) };
            let claim = claim.map(|claim| Change::Claimed(Box::new(claim)));
            let changes: Vec<Change> = [Change::Runner(next.clone())].into_iter().chain(claim).collect();
            match self.commit(Transaction::of(&changes)).await {
                Ok(()) => {
                    log_claim(&next, &host, records.claimed_by.as_ref());
                    return Ok(Written::At(next));
                }
                // Another runner may have claimed the same instance at the same time.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Has ECS place no more tasks on the runner's instance. A refusal is asked again for a few minutes, since rights that an
    /// apply has just given take a while. Then the instance is left to AWS, which ends idle ones at once, and no other
    /// runner gets a configuration on it in any case.
    pub(super) async fn drain_instance(&self, runner: &Runner) -> Result<Written, StepError> {
        let Some(instance) = &runner.instance else { return Ok(Written::At(runner.clone())) };
        match self.drain(runner, instance).await {
            Ok(()) => {}
            Err(StepError::Compute(
                error @ (ComputeError::Refused { .. } | ComputeError::Unsendable { .. }),
            )) if failures(runner) + 1 >= DRAIN_TRIES => {
                warn!(runner = %runner.name(), instance = %instance.id, error = %chain(&error), "ECS does not drain the instance");
            }
            Err(error) => return Err(error),
        }
        let now = self.ports.clock.now();
        self.write(runner, &[], |current| current.instance_drained(now)).await
    }

    async fn drain(&self, runner: &Runner, instance: &Instance) -> Result<(), StepError> {
        if instance.host.is_none() && !self.may_drain(runner, instance).await? {
            info!(runner = %runner.name(), instance = %instance.id, "left the instance to its owner, or it is gone");
            return Ok(());
        }
        self.ports.compute.drain(&instance.id).await?;
        info!(runner = %runner.name(), instance = %instance.id, "drained instance");
        Ok(())
    }

    /// Whether no job can run on an instance that the runner did not own. One that is nobody's becomes the runner's.
    async fn may_drain(&self, runner: &Runner, instance: &Instance) -> Result<bool, StepError> {
        let known = self.ports.compute.host_of(&instance.id, &runner.placement).await?;
        let Some(host) = known else { return Ok(false) };
        for _ in 0..CLAIM_TRIES {
            let keys = Keys { host: Some(host.clone()), ..Keys::default() };
            let held_by = self.ports.store.load(&keys).await?.claimed_by;
            let holder_is_open = match held_by.as_ref().filter(|holder| *holder != runner.name()) {
                Some(holder) => self.ports.store.load(&Keys::of_runner(holder)).await?.runner.is_some(),
                None => false,
            };
            let now = self.ports.clock.now();
            match runner.drain(&host, held_by.as_ref(), holder_is_open, now) {
                Drain::Now => return Ok(true),
                Drain::Leave => return Ok(false),
                Drain::Claim(claim) => {
                    let claim = [Change::Claimed(Box::new(claim))];
                    match self.commit(Transaction::of(&claim)).await {
                        Ok(()) => return Ok(true),
                        // Another runner has claimed it at the same time.
                        Err(StoreError::Conflict) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Err(StoreError::Conflict.into())
    }
}

fn log_claim(runner: &Runner, host: &HostId, before: Option<&RunnerName>) {
    let name = runner.name();
    match before.filter(|_| runner.stage() == RunnerStage::Ending) {
        None => info!(runner = %name, %host, "claimed instance"),
        Some(other) => {
            warn!(runner = %name, %host, %other, "the task was placed on the instance of another runner, so it is ended");
        }
    }
}
