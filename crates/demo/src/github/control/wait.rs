//! Waits until the fake is in the state that a caller wants, so that callers need not poll.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State as Extract};
use axum::http::StatusCode;
use ecsrunner_core::id::JobId;
use serde::Deserialize;
use serde_json::Value;

use super::App;
use crate::github::api::Refusal;
use crate::github::job::JobPhase;
use crate::github::state::State;

const DEFAULT_LIMIT_MS: u64 = 30_000;

/// The wanted state. All given conditions must hold at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// This job has the state `state`.
    job: Option<JobId>,
    state: Option<JobPhase>,
    /// This step of the job is in progress.
    step: Option<String>,
    /// This line of the job's log has come.
    line: Option<String>,
    /// This many listeners are connected.
    online: Option<usize>,
    /// At least this many jobs have ended.
    completed: Option<usize>,
    /// No registration is left.
    #[serde(default)]
    unregistered: bool,
    /// No delivery is in progress.
    #[serde(default)]
    webhooks_idle: bool,
    timeout_ms: Option<u64>,
}

impl Wanted {
    fn holds(&self, state: &State) -> bool {
        let now = std::time::Instant::now();
        let job = self.job.is_none_or(|id| {
            let is = state.jobs.get(&id).map(|job| job.state.phase());
            is == Some(self.state.unwrap_or(JobPhase::Completed))
        });
        let step = self.step.as_ref().is_none_or(|wanted| {
            let job = self.job.and_then(|id| state.jobs.get(&id));
            job.is_some_and(|job| job.steps.iter().any(|step| step.name == *wanted && step.is_in_progress()))
        });
        let line = self.line.as_ref().is_none_or(|wanted| {
            let job = self.job.and_then(|id| state.jobs.get(&id));
            job.is_some_and(|job| job.log.lines_from(0).contains(wanted))
        });
        let online = state.sessions.values().filter(|session| state.is_online(session, now)).count();
        let completed = state.jobs.values().filter(|job| job.state.completed_at().is_some()).count();
        job && step
            && line
            && self.online.is_none_or(|wanted| online == wanted)
            && self.completed.is_none_or(|wanted| completed >= wanted)
            && (!self.unregistered || state.registrations.is_empty())
            && (!self.webhooks_idle || state.in_flight == 0)
    }
}

/// Returns the state once it is as wanted, or 408 after the time limit.
pub(super) async fn wait(Extract(shared): App, Query(wanted): Query<Wanted>) -> Result<Json<Value>, Refusal> {
    let mut changes = shared.state().changes.subscribe();
    let limit = Duration::from_millis(wanted.timeout_ms.unwrap_or(DEFAULT_LIMIT_MS));
    let come = tokio::time::timeout(limit, async {
        loop {
            {
                let state = shared.state();
                if wanted.holds(&state) {
                    return state.view();
                }
            }
            // The sender is in the state, which outlives this call.
            let _ = changes.changed().await;
        }
    });
    come.await
        .map(Json)
        .map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, &format!("not in time: {wanted:?}")))
}
