//! Gives a runner an instance of its own, and has it take no more tasks afterwards: ECS Managed Instances.

use ecsrunner_core::id::{HostId, RunnerName};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::runner::{Runner, RunnerStage};
use ecsrunner_core::wire::event::Keys;
use tracing::{info, warn};

use super::advance::StepError;
use super::chain;
use crate::commit::Written;
use crate::ports::Clock;
use crate::ports::compute::{Compute, ComputeError};
use crate::ports::store::{Store, StoreError, Transaction};
use crate::{Engine, World};

/// How often a claim is decided again after a conflict with an event or with another runner's claim.
const CLAIM_TRIES: u32 = 8;

impl<W: World> Engine<W> {
    /// Makes the runner the only one of the EC2 instance on which its task runs, or ends it if another one was there.
    pub(super) async fn claim_instance(&self, runner: &Runner) -> Result<Written, StepError> {
        let Some(instance) = &runner.instance else { return Ok(Written::At(runner.clone())) };
        let Some(host) = self.ports.compute.host_of(&instance.id).await? else {
            let source = format!("ECS does not know the instance {}", instance.id).into();
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

    /// Has ECS place no more tasks on the runner's instance. ECS may refuse: then the instance is left to AWS, which ends idle
    /// ones at once, and no other runner gets a configuration on it in any case.
    pub(super) async fn drain_instance(&self, runner: &Runner) -> Result<Written, StepError> {
        let Some(instance) = &runner.instance else { return Ok(Written::At(runner.clone())) };
        match self.ports.compute.drain(&instance.id).await {
            Ok(()) => info!(runner = %runner.name(), instance = %instance.id, "drained instance"),
            Err(error @ ComputeError::Refused { .. }) => {
                warn!(runner = %runner.name(), instance = %instance.id, error = %chain(&error), "ECS does not drain the instance");
            }
            Err(error) => return Err(error.into()),
        }
        let now = self.ports.clock.now();
        self.write(runner, &[], |current| current.instance_drained(now)).await
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
