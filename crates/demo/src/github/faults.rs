//! Injected faults, which can be changed while the fake runs.

use axum::http::Method;
use serde::{Deserialize, Serialize};

/// All faults that can be injected.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Webhooks that are lost, late, repeated or held back.
    pub webhooks: WebhookFaults,
    /// REST calls that fail. The first match is used.
    pub rest: Vec<RestFault>,
    /// Calls of runners that fail. The first match is used.
    pub runner: Vec<RunnerFault>,
    /// Lifetime of new installation tokens in seconds; `None` for an hour.
    pub token_lifetime_secs: Option<u64>,
    /// No job is assigned while this is set.
    pub assignment_paused: bool,
    /// A job goes to a random idle runner that fits, instead of the one registered first.
    pub steal: bool,
    /// Deleting the registration of a runner whose job is assigned but not
    /// started does not stop the job, although the answer is 204.
    pub deletion_leaves_assigned_job: bool,
    /// When a job completes, its listener's open poll ends, and the answer to its
    /// next poll is that the registration is gone. GitHub sometimes does this.
    pub completion_ends_poll: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            webhooks: WebhookFaults::default(),
            rest: Vec::new(),
            runner: Vec::new(),
            token_lifetime_secs: None,
            assignment_paused: false,
            steal: true,
            deletion_leaves_assigned_job: false,
            completion_ends_poll: false,
        }
    }
}

/// Faults of webhooks. Probabilities are between 0 and 1.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookFaults {
    /// Probability that a delivery is recorded as failed and never sent.
    pub drop: f64,
    /// Probability that an event makes no delivery at all.
    pub forget: f64,
    /// Probability that a delivery arrives but is recorded as timed out.
    pub time_out: f64,
    /// How many more times each delivery is sent, with the same GUID.
    pub duplicates: u32,
    /// The maximum of a random delay of each delivery, in milliseconds. It also reorders them.
    pub delay_ms: u64,
    /// Deliveries are kept back until they are released.
    pub hold: bool,
}

/// REST calls that fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestFault {
    /// The method, such as `POST`; `None` for every method.
    #[serde(default)]
    pub method: Option<String>,
    /// The start of the path, without `/api/v3`; empty for every path.
    #[serde(default)]
    pub path: String,
    /// The end of the path, such as `/generate-jitconfig`.
    #[serde(default)]
    pub path_end: String,
    /// How many calls fail; `None` for every call.
    #[serde(default)]
    pub times: Option<u32>,
    /// The reply's status; `None` answers the call as usual.
    #[serde(default)]
    pub status: Option<u16>,
    /// The reply's `message`.
    #[serde(default)]
    pub message: Option<String>,
    /// The reply's `retry-after`, in seconds.
    #[serde(default)]
    pub retry_after_secs: Option<u64>,
    /// Delay before the reply, in seconds.
    #[serde(default)]
    pub hang_secs: f64,
    /// Whether the call takes effect, and only its reply is lost.
    #[serde(default)]
    pub after_effect: bool,
}

/// A call of a runner's protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerCall {
    /// `POST` for a token.
    Token,
    /// `POST session`.
    Session,
    /// `DELETE session`.
    DeleteSession,
    /// `GET message`.
    Message,
    /// `POST acknowledge`.
    Acknowledge,
    /// `POST acquirejob`.
    AcquireJob,
    /// `POST renewjob`.
    RenewJob,
    /// `POST completejob`.
    CompleteJob,
    /// Resolution of `owner/name@ref`.
    ResolveActions,
    Archive,
    /// States of steps, and uploads of logs.
    Results,
}

impl RunnerCall {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match path.rsplit('/').next().unwrap_or_default() {
            "token" => Self::Token,
            "session" if method == Method::DELETE => Self::DeleteSession,
            "session" => Self::Session,
            "message" => Self::Message,
            "acknowledge" => Self::Acknowledge,
            "acquirejob" => Self::AcquireJob,
            "renewjob" => Self::RenewJob,
            "completejob" => Self::CompleteJob,
            "actions" => Self::ResolveActions,
            _ if path.contains("/archives/") => Self::Archive,
            _ => Self::Results,
        }
    }
}

/// Calls of a runner that fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerFault {
    pub call: RunnerCall,
    /// For polls: whether the runner reports itself as busy.
    #[serde(default)]
    pub busy: Option<bool>,
    /// How many calls succeed before.
    #[serde(default)]
    pub skip: u32,
    /// How many calls fail; `None` for every call.
    #[serde(default)]
    pub times: Option<u32>,
    /// The reply's status; `None` answers the call as usual.
    #[serde(default)]
    pub status: Option<u16>,
    /// The service that the error names.
    #[serde(default = "broker")]
    pub source: String,
    /// The error's kind, such as `RunnerVersionTooOld`.
    #[serde(default)]
    pub error_kind: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
    /// The whole body, in place of the error.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
    /// Delay before the reply, in seconds.
    #[serde(default)]
    pub hang_secs: f64,
    /// Whether the connection breaks instead of a reply.
    #[serde(default)]
    pub breaks_off: bool,
    /// Whether the call takes effect.
    #[serde(default)]
    pub after_effect: bool,
}

fn broker() -> String {
    super::runner_side::BROKER_SERVICE.to_owned()
}

impl Faults {
    /// Returns the fault that matches a runner's call, and counts it down.
    pub(super) fn runner_fault(&mut self, call: RunnerCall, busy: bool) -> Option<RunnerFault> {
        let index = self.runner.iter().position(|fault| {
            fault.call == call && fault.busy.is_none_or(|wanted| wanted == busy) && fault.times != Some(0)
        })?;
        let fault = &mut self.runner[index];
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        let hit = fault.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(hit)
    }

    /// Returns the fault that matches this call, and counts it down.
    pub(super) fn rest_fault(&mut self, method: &str, path: &str) -> Option<RestFault> {
        let index = self.rest.iter().position(|fault| {
            fault.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && path.starts_with(&fault.path)
                && path.ends_with(&fault.path_end)
                && fault.times != Some(0)
        })?;
        let fault = self.rest[index].clone();
        if let Some(times) = &mut self.rest[index].times {
            *times -= 1;
            if *times == 0 {
                self.rest.remove(index);
            }
        }
        Some(fault)
    }
}
