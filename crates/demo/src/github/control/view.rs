//! The state of the fake, as the control API shows it.

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use ecsrunner_core::id::JobId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use crate::github::api::Refusal;
use crate::github::apps::{AppHook, RegisteredApp};
use crate::github::job::{Job, JobPhase};
use crate::github::job_log::without_times;
use crate::github::state::State;

pub(super) async fn log(Extract(shared): App, Path(job): Path<JobId>) -> Result<String, Refusal> {
    let state = shared.state();
    let job = state.jobs.get(&job).ok_or_else(Refusal::not_found)?;
    Ok(without_times(&job.whole_log().unwrap_or_default()))
}

#[derive(Deserialize)]
pub(super) struct Lines {
    /// How many lines the caller has.
    #[serde(default)]
    from: usize,
}

/// Returns the lines of a log that have come, from a number on.
pub(super) async fn lines(
    Extract(shared): App,
    Path(job): Path<JobId>,
    Query(Lines { from }): Query<Lines>,
) -> Result<Json<Value>, Refusal> {
    let state = shared.state();
    let job = state.jobs.get(&job).ok_or_else(Refusal::not_found)?;
    let lines = job.log.lines_from(from);
    Ok(Json(json!({"lines": lines, "next": from + lines.len()})))
}

pub(super) async fn state(Extract(shared): App) -> Json<Value> {
    Json(shared.state().view())
}

impl State {
    /// Returns all state that tests and benchmarks read.
    pub(super) fn view(&self) -> Value {
        let state = self;
        let now = std::time::Instant::now();
        let jobs: Vec<Value> = state.jobs.values().map(|job| state.job_view(job)).collect();
        let registrations: Vec<Value> = state
            .registrations
            .values()
            .map(|registration| {
                let mut view = state.runner_json(registration);
                view["scope"] = json!(registration.scope.to_string());
                view["spent"] = json!(registration.sessions > 0);
                view["sessions"] = json!(registration.sessions);
                view["created_at"] = json!(registration.created_at);
                view
            })
            .collect();
        let runners: Vec<Value> = state
            .sessions
            .values()
            .map(|session| {
                json!({
                    "runner_id": session.runner,
                    "online": state.is_online(session, now),
                    "polls": session.polls,
                    "job": session.job,
                })
            })
            .collect();
        json!({
            "apps": state.credentials.apps().iter().map(|app| state.app_view(app)).collect::<Vec<_>>(),
            "runs": state.runs.values().map(|run| {
                let (status, conclusion) = state.run_status(run);
                json!({"id": run.id, "name": run.title, "status": status, "conclusion": conclusion})
            }).collect::<Vec<_>>(),
            "jobs": jobs,
            "runners": runners,
            "registrations": registrations,
            "calls": state.calls,
            "webhooks": {
                "held": state.held.len(),
                "in_flight": state.in_flight,
                "delivered": state.deliveries.len(),
            },
        })
    }
}

impl State {
    fn app_view(&self, app: &RegisteredApp) -> Value {
        let (webhook, is_active) = match &app.hook {
            AppHook::OfFake => (self.hook.as_ref(), true),
            AppHook::Own { hook, active } => (Some(hook), *active),
            AppHook::None => (None, false),
        };
        json!({
            "id": app.id,
            "slug": app.slug,
            "owner": app.owner,
            "public": app.public,
            "permissions": app.permissions,
            "events": app.events,
            "webhook": webhook.map(|hook| &hook.url),
            "webhook_active": webhook.is_some() && is_active,
            "installed_on": self.accounts_of(app),
        })
    }
}

/// Returns all deliveries, the oldest first, with times to the millisecond.
pub(super) async fn deliveries(Extract(shared): App) -> Json<Value> {
    let state = shared.state();
    let deliveries: Vec<Value> = state
        .deliveries
        .iter()
        .map(|delivery| {
            json!({
                "id": delivery.outgoing.id,
                "guid": delivery.outgoing.guid,
                "event": delivery.outgoing.event,
                "action": delivery.outgoing.action,
                "job": delivery.outgoing.job,
                "redelivery": delivery.outgoing.redelivery,
                "status": delivery.status,
                "status_code": delivery.status_code,
                "sent_at": delivery.sent_at,
                "duration_ms": delivery.duration.as_secs_f64() * 1000.0,
                "answer": delivery.answer,
            })
        })
        .collect();
    Json(json!({"deliveries": deliveries}))
}

impl State {
    fn job_view(&self, job: &Job) -> Value {
        let run = self.run_of(job);
        let timeline: Vec<Value> =
            job.timeline.iter().map(|(at, state)| json!({"at": at, "state": state})).collect();
        json!({
            "id": job.id,
            "run_id": job.run,
            "repository": run.map(|run| &run.repository),
            "name": job.name,
            "key": job.key,
            "labels": job.runs_on.labels,
            "state": job.state.phase(),
            "conclusion": job.state.conclusion(),
            "runner": job.state.shown_taker().map(|taker| &taker.name),
            "starts": job.starts,
            "was_queued": job.timeline.iter().any(|(_, phase)| *phase == JobPhase::Queued),
            "queued_at": (job.state.status().is_some()).then_some(job.created_at),
            "started_at": job.state.started_at(),
            "completed_at": job.state.completed_at(),
            "timeline": timeline,
            "outputs": job.outputs,
            "steps": job.steps.iter().map(|step| json!({
                "name": step.name,
                "conclusion": step.conclusion,
                "in_progress": step.is_in_progress(),
            })).collect::<Vec<_>>(),
            "summaries": job.summaries.iter().map(|(step, text)| json!({
                "step": job.steps.iter().find(|known| known.id == *step).map(|step| &step.name),
                "text": text,
            })).collect::<Vec<_>>(),
            "annotations": job.annotations,
        })
    }
}
