//! Decides whether a runner on an instance of ECS Managed Instances may get a configuration.

use jiff::Timestamp;

use crate::id::{HostId, RunnerName};
use crate::reason::{Code, Reason};
use crate::records::instance::{Claim, Instance};
use crate::records::runner::{Custody, EndingKind, Runner, RunnerState};
use crate::wire::fault::Fault;

/// What is done about an instance after a task on it that did not own it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Drain {
    /// ECS is told to place no more tasks there: no job runs on it, and none will.
    Now,
    /// It is nobody's. It is first made the runner's, so that no other runner begins a job there meanwhile.
    Claim(Claim),
    /// Another runner's job may run there, and AWS may stop the tasks of an instance that drains. Its owner drains it.
    Leave,
}

impl Runner {
    /// Whether it needs an instance that is its own before it gets a configuration, and has none yet.
    #[must_use]
    pub fn lacks_instance(&self) -> bool {
        let is_claimed = self.instance.as_ref().is_some_and(|instance| instance.host.is_some());
        self.placement.managed.is_some() && !is_claimed
    }

    /// Whether its instance is known, and it is to be made the only runner there.
    #[must_use]
    pub fn is_to_claim(&self) -> bool {
        let waits = matches!(
            self.state,
            RunnerState::Starting { custody: Custody::Unissued, .. }
                | RunnerState::Booted { custody: Custody::Unissued, .. }
        );
        waits && self.instance.is_some() && self.lacks_instance()
    }

    /// Returns its next record after ECS has said on which EC2 instance its task runs, and what else is to be written in the
    /// same transaction. `held_by` is the runner that the EC2 instance belongs to. If that is another one, this runner ends:
    /// a job that was root there may have left anything behind. `None` if there is nothing to write.
    #[must_use]
    pub fn claim(
        &self,
        host: &HostId,
        held_by: Option<&RunnerName>,
        at: Timestamp,
    ) -> Option<(Self, Option<Claim>)> {
        let instance = self.instance.as_ref().filter(|_| self.is_to_claim())?;
        if let Some(other) = held_by.filter(|other| *other != self.name()) {
            let words = format!("{host} belongs to runner `{other}`: an instance serves one runner only");
            let ended = self.end(EndingKind::BootFailed, Some(Reason::with(Code::BootFailed, words)), at);
            return Some((ended.for_fault(Some(Fault::InstanceUsed)), None));
        }
        let instance = Instance { host: Some(host.clone()), ..instance.clone() };
        let claim = Claim { host: host.clone(), runner: self.name().clone(), at };
        let claim = held_by.is_none().then_some(claim);
        Some((Self { instance: Some(instance), ..self.with_state(self.state.clone(), at) }, claim))
    }

    /// Whether its instance is still to be seen to: ECS is told to place no more tasks there as soon as the task is over, or
    /// is told to stop. While a job may run, its instance is left alone, since AWS may stop the tasks of one that drains.
    #[must_use]
    pub fn is_to_drain(&self) -> bool {
        use crate::records::runner::{Ending, TaskLeft};
        let is_over = matches!(
            &self.state,
            RunnerState::Ending(Ending { task: TaskLeft::Stopping { .. } | TaskLeft::Stopped { .. }, .. })
        );
        is_over && self.instance.as_ref().is_some_and(|instance| !instance.drained)
    }

    /// Decides what is done about the instance of a runner whose task is over and that never made it its own. `held_by` is
    /// the runner that the EC2 instance belongs to, and `holder_is_open` says whether that one is not in history yet.
    #[must_use]
    pub fn drain(
        &self,
        host: &HostId,
        held_by: Option<&RunnerName>,
        holder_is_open: bool,
        at: Timestamp,
    ) -> Drain {
        match held_by {
            None => Drain::Claim(Claim { host: host.clone(), runner: self.name().clone(), at }),
            Some(other) if other != self.name() && holder_is_open => Drain::Leave,
            Some(_) => Drain::Now,
        }
    }

    /// ECS places no more tasks on its instance, or cannot be told so, or its owner sees to it.
    #[must_use]
    pub fn instance_drained(&self, at: Timestamp) -> Option<Self> {
        let instance = self.instance.clone().filter(|_| self.is_to_drain())?;
        let instance = Some(Instance { drained: true, ..instance });
        Some(Self { instance, ..self.with_state(self.state.clone(), at) })
    }
}

#[cfg(test)]
mod tests;
