//! What the page shows of a server on one machine, and what an operator changes by it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_api::event::EventView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::status::{DeploymentKind, LogSource};
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::id::{JobId, Repository, RunnerName, TaskName};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::wire::event::{Event, RetryRequest, StopRequest};
use ecsrunner_engine::Ruleset;
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::store::{History, Store, StoreError};
use ecsrunner_web::{About, Control, LogFailure, Refusal, Source, find_runner};
use futures::stream::{self, BoxStream, StreamExt};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tracing::error;

use super::{App, Shared, log};

impl Source for Shared {
    fn store(&self) -> &DynamoStore {
        &self.engine.ports().store
    }

    fn about(&self) -> About {
        About { kind: DeploymentKind::Local, region: None, logs: LogSource::GitHub, github: None }
    }

    async fn rules(&self) -> Result<Arc<Ruleset>, Refusal> {
        Ok(self.engine.ports().rulebook.rules())
    }

    fn reasons_to_wait(&self, open: &Open, _rules: &Ruleset) -> HashMap<JobId, Reason> {
        self.engine.reasons_to_wait(open)
    }

    async fn changes(&self) -> Result<BoxStream<'static, EventView>, Refusal> {
        let changes = self.engine.watch();
        let views = stream::unfold((self.engine.ports().clock, changes), |(clock, mut changes)| async move {
            let view = match changes.recv().await {
                Ok(change) => EventView::of(&change, clock.now()),
                Err(RecvError::Lagged(_)) => Some(EventView::Lagged),
                Err(RecvError::Closed) => return None,
            };
            Some((view, (clock, changes)))
        });
        Ok(views.filter_map(std::future::ready).boxed())
    }
}

impl Control for Shared {
    async fn pause(&self, paused: bool) -> Result<bool, Refusal> {
        let paused = self.engine.ports().rulebook.pull(paused).map_err(|fault| {
            error!(error = %chain(&fault), "the pause could not be stored");
            let message = format!("the pause could not be stored: {fault}");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
        })?;
        // The next round launches runners, or gives waiting jobs their new reason.
        self.engine.kick().await.map_err(|fault| Refusal::of_store(&fault))?;
        Ok(paused)
    }

    async fn stop(&self, runner: RunnerName, force: bool) -> Result<OutcomeView, Refusal> {
        let at = self.engine.ports().clock.now();
        let event = Event::Stop(StopRequest { runner: runner.clone(), force, at });
        let outcome = answer(self.record(&event).await)?;
        let runner = find_runner(self, &TaskName::Runner(runner)).await;
        let runner = runner.map_err(|fault| Refusal::of_store(&fault))?;
        Ok(outcome.of_stop(runner.as_ref(), force))
    }

    async fn retry(&self, job: JobId) -> Result<OutcomeView, Refusal> {
        let at = self.engine.ports().clock.now();
        let outcome = answer(self.record(&Event::Retry(RetryRequest { job, at })).await)?;
        let record = self.store().job(job).await.map_err(|fault| Refusal::of_store(&fault))?;
        let view = match record {
            None => None,
            Some(JobRecord::Open(job)) => {
                let open = self.store().open().await.map_err(|fault| Refusal::of_store(&fault))?;
                let reasons = self.engine.reasons_to_wait(&open);
                let mut view = JobView::planned(&job, &open, &reasons, &self.engine.rules().catalogue);
                // A hold that is due is tried by the next round.
                view.hold = view.hold.filter(|hold| hold.not_before > at);
                Some(view)
            }
            Some(JobRecord::Ended(job)) => Some(JobView::ended(&job)),
        };
        Ok(outcome.of_retry(view.as_ref()))
    }

    async fn job_log(&self, job: &JobView, timestamps: bool) -> Result<String, LogFailure> {
        let id = JobId::new(job.id);
        let quiet = |status, message| LogFailure { refusal: Refusal::new(status, message), is_fault: false };
        if !job.is_past() {
            let message =
                format!("job {id} has not ended: GitHub provides a job's log only after the job has ended");
            return Err(quiet(StatusCode::CONFLICT, message));
        }
        let repository = Repository::parse(&job.repository)
            .map_err(|error| quiet(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        let log = self.engine.ports().github.job_log(&repository, id).await;
        log.map(|log| log::text(&log, timestamps)).map_err(|error| log::failure(&error))
    }
}

impl Shared {
    async fn record(&self, event: &Event) -> Result<OutcomeView, StoreError> {
        Ok(OutcomeView::of(&self.engine.record(event).await?.outcome))
    }
}

fn answer(recorded: Result<OutcomeView, StoreError>) -> Result<OutcomeView, Refusal> {
    recorded.map_err(|fault| Refusal::of_store(&fault))
}

#[derive(Serialize)]
struct Counts {
    webhooks: BTreeMap<&'static str, u64>,
}

/// Returns how often each reason was given since the server started.
pub(super) async fn counts(State(app): State<App>) -> Response {
    let webhooks = app.engine.counts().given().into_iter().map(|(code, count)| (code.as_str(), count));
    Json(Counts { webhooks: webhooks.collect() }).into_response()
}
