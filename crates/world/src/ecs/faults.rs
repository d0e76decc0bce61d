//! Injected faults, which can be changed while the fake runs.

use std::collections::BTreeMap;

use ecsrunner_core::rules::class::size::Arch;
use serde::{Deserialize, Serialize};

use super::task::{Provider, Status};

/// All faults that can be injected.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Calls that fail. The first match is used.
    pub calls: Vec<CallFault>,
    /// Shortages of capacity, each for as long as it is in this list.
    pub short: Vec<Shortage>,
    /// Tasks that are accepted and fail before they run. The first match is used.
    pub start: Vec<StartFault>,
    /// vCPUs that may run at once. A provider without an entry has no limit.
    pub vcpu_quotas: BTreeMap<Provider, u32>,
    /// The answer to a launch beyond Fargate's rate.
    pub throttle: ThrottleForm,
    /// Faults of events.
    pub events: EventFaults,
    /// Where tasks on Managed Instances are placed.
    pub instances: InstanceFaults,
    /// When what a launch names does not exist.
    pub missing: Missing,
}

/// A task definition or a capacity provider that is gone for a while, so that no request of RunTask can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Missing {
    /// How many launches find it before it goes.
    pub after: u32,
    /// How many launches then do not find it, before it is back.
    pub times: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallFault {
    /// The operation, such as `RunTask`; `None` for every operation.
    #[serde(default)]
    pub operation: Option<String>,
    /// How many calls fail; `None` for every call.
    #[serde(default)]
    pub times: Option<u32>,
    /// The answer of a failing call.
    pub answer: FaultAnswer,
    /// Whether the call takes effect, so that only its answer is lost.
    #[serde(default)]
    pub after_effect: bool,
}

impl CallFault {
    /// Makes the next call of an operation fail without effect.
    #[must_use]
    pub fn once(operation: &str, answer: FaultAnswer) -> Self {
        Self { operation: Some(operation.to_owned()), times: Some(1), answer, after_effect: false }
    }

    /// Makes the next call of an operation take effect and its answer be lost.
    #[must_use]
    pub fn once_after_effect(operation: &str, answer: FaultAnswer) -> Self {
        Self { after_effect: true, ..Self::once(operation, answer) }
    }
}

/// The answer to a failing call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAnswer {
    /// An exception: `ServerException` with status 500, all others with 400.
    Error {
        /// Such as `ServerException`.
        code: String,
        message: String,
    },
    /// RunTask's 200 with only an entry in `failures`. Other operations are not affected.
    Failure {
        /// Such as `RESOURCE:CPU` or `AGENT`.
        reason: String,
        /// The entry's `detail`.
        #[serde(default)]
        detail: Option<String>,
    },
    /// No answer: the connection is dropped.
    Lost,
}

/// A shortage of capacity. `None` means any.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shortage {
    /// Only in this subnet.
    pub subnet: Option<String>,
    /// Only of this capacity provider.
    pub provider: Option<Provider>,
    /// Only of this architecture.
    pub arch: Option<Arch>,
    /// RunTask accepts the task, which fails later as `TaskFailedToStart`.
    pub late: bool,
}

impl Shortage {
    pub(super) fn hits(&self, subnet: &str, provider: Provider, arch: Arch) -> bool {
        self.subnet.as_deref().is_none_or(|wanted| wanted == subnet)
            && self.provider.is_none_or(|wanted| wanted == provider)
            && self.arch.is_none_or(|wanted| wanted == arch)
    }
}

/// Tasks that fail before they run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartFault {
    /// How many tasks fail; `None` for every task.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only tasks in this subnet; `None` for any subnet.
    #[serde(default)]
    pub subnet: Option<String>,
    /// The `stoppedReason`, such as `CannotPullContainerError: …`.
    pub reason: String,
    /// The status at whose end the task fails.
    #[serde(default = "pending")]
    pub status: Status,
}

fn pending() -> Status {
    Status::Pending
}

/// The answer to a launch beyond Fargate's rate. Calls beyond AWS's API rates always
/// get `ThrottlingException`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum ThrottleForm {
    /// `ThrottlingException`, `Rate exceeded`.
    #[default]
    ThrottlingException,
    /// Hidden in the message of a `ClientException`.
    ClientException,
    /// Hidden in the message of an `InvalidParameterException`.
    InvalidParameterException,
    /// 200 with an entry in `failures`.
    Failure,
}

/// Faults of events. Probabilities are between 0 and 1.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventFaults {
    /// Probability that an event never arrives.
    pub lose: f64,
    /// Probability that an event arrives twice.
    pub duplicate: f64,
    /// The maximum of a random delay of each event, in milliseconds. It also reorders them.
    pub delay_ms: u64,
    /// Probability that an event lacks the times of the pull, although the task has pulled its image.
    pub omit_pull_times: f64,
}

/// What AWS does not promise of Managed Instances. Probabilities are between 0 and 1.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceFaults {
    /// Probability that a task is placed on an instance that had one before, although it is full or takes no more tasks.
    pub crowd: f64,
    /// Probability that an instance has been registered again under another id before a task is placed on it, as a job that
    /// is root there can do.
    pub reregister: f64,
}

impl Faults {
    /// Returns whether what a launch names is missing, and counts the launch.
    pub fn is_missing(&mut self) -> bool {
        let Missing { after, times } = &mut self.missing;
        let is_missing = *after == 0 && *times > 0;
        let left = if is_missing { times } else { after };
        *left = left.saturating_sub(1);
        is_missing
    }

    /// Returns the fault that matches this call, and counts it down.
    pub(super) fn call_fault(&mut self, operation: &str) -> Option<CallFault> {
        let index = self.calls.iter().position(|fault| {
            fault.operation.as_deref().is_none_or(|wanted| wanted == operation) && fault.times != Some(0)
        })?;
        let fault = self.calls[index].clone();
        if count_down(&mut self.calls[index].times) {
            self.calls.remove(index);
        }
        Some(fault)
    }

    /// Returns the fault that matches a task that is started in `subnet`, and counts it down.
    pub(super) fn start_fault(&mut self, subnet: &str) -> Option<StartFault> {
        let index = self.start.iter().position(|fault| {
            fault.subnet.as_deref().is_none_or(|wanted| wanted == subnet) && fault.times != Some(0)
        })?;
        let fault = self.start[index].clone();
        if count_down(&mut self.start[index].times) {
            self.start.remove(index);
        }
        Some(fault)
    }
}

/// Counts down. Returns whether that was the last one.
fn count_down(times: &mut Option<u32>) -> bool {
    let Some(left) = times else { return false };
    *left = left.saturating_sub(1);
    *left == 0
}
