//! What goes wrong on purpose, switchable while the fake runs.

use std::collections::BTreeMap;

use ecsrunner_core::rules::class::size::Arch;
use serde::{Deserialize, Serialize};

use super::task::{Provider, Status};

/// Everything that can be made to go wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Calls that fail; the first that matches a call is used.
    pub calls: Vec<CallFault>,
    /// Where capacity is short, for as long as it is listed here.
    pub short: Vec<Shortage>,
    /// Tasks that are accepted and fail before they run; the first that matches is used.
    pub start: Vec<StartFault>,
    /// vCPUs that may run at once; no limit where a provider is not listed.
    pub vcpu_quotas: BTreeMap<Provider, u32>,
    /// How a launch beyond Fargate's rate is answered.
    pub throttle: ThrottleForm,
    /// What happens to events.
    pub events: EventFaults,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallFault {
    /// Such as `RunTask`; every operation where `None`.
    #[serde(default)]
    pub operation: Option<String>,
    /// How many calls fail; every one where `None`.
    #[serde(default)]
    pub times: Option<u32>,
    /// What is answered instead.
    pub answer: FaultAnswer,
    /// Whether the call has its effect all the same, so that only its answer is lost.
    #[serde(default)]
    pub after_effect: bool,
}

impl CallFault {
    /// The next call of that operation fails, without effect.
    #[must_use]
    pub fn once(operation: &str, answer: FaultAnswer) -> Self {
        Self { operation: Some(operation.to_owned()), times: Some(1), answer, after_effect: false }
    }

    /// The next call of that operation has its effect, and its answer is lost.
    #[must_use]
    pub fn once_after_effect(operation: &str, answer: FaultAnswer) -> Self {
        Self { after_effect: true, ..Self::once(operation, answer) }
    }
}

/// What a call that fails is answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAnswer {
    /// An exception; `ServerException` with status 500, all others with 400.
    Error {
        /// Such as `ServerException`.
        code: String,
        message: String,
    },
    /// RunTask's 200 with nothing but an entry in `failures`; other operations are left alone.
    Failure {
        /// Such as `RESOURCE:CPU` or `AGENT`.
        reason: String,
        /// The entry's `detail`.
        #[serde(default)]
        detail: Option<String>,
    },
    /// Nothing: the connection is dropped.
    Lost,
}

/// Where there is no capacity. `None` stands for each.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shortage {
    /// Only in that subnet.
    pub subnet: Option<String>,
    /// Only of that capacity provider.
    pub provider: Option<Provider>,
    /// Only of that architecture.
    pub arch: Option<Arch>,
    /// RunTask accepts the task; it fails later, as `TaskFailedToStart`.
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
    /// How many tasks fail; every one where `None`.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only tasks in that subnet; tasks in any subnet where `None`.
    #[serde(default)]
    pub subnet: Option<String>,
    /// The `stoppedReason`, such as `CannotPullContainerError: …`.
    pub reason: String,
    /// The status that ends with the failure.
    #[serde(default = "pending")]
    pub status: Status,
}

fn pending() -> Status {
    Status::Pending
}

/// How a launch beyond Fargate's rate is answered. AWS's own API rates are
/// always answered with `ThrottlingException`.
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

/// What happens to events. Probabilities are between 0 and 1.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventFaults {
    /// Probability that an event never arrives.
    pub lose: f64,
    /// Probability that an event arrives twice.
    pub duplicate: f64,
    /// Each event waits for a random time below this, which also reorders them.
    pub delay_ms: u64,
}

impl Faults {
    /// The fault that hits this call, counted down.
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

    /// Returns the fault that hits the task that is started in `subnet` now, and counts it down.
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

/// Counts one down; whether that was the last.
fn count_down(times: &mut Option<u32>) -> bool {
    let Some(left) = times else { return false };
    *left = left.saturating_sub(1);
    *left == 0
}
