//! The deployment behind the page, as the API needs it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_api::event::EventView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::status::{DeploymentKind, Fault, LogSource};
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::id::{JobId, RunnerName};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::open::Open;
use ecsrunner_engine::Ruleset;
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::store::StoreError;
use futures::stream::BoxStream;
use tracing::error;

/// Where records come from.
pub trait Source: Send + Sync + 'static {
    fn store(&self) -> &DynamoStore;

    /// Says what kind of deployment it is.
    fn about(&self) -> About;

    /// Returns the rules as they are now.
    fn rules(&self) -> impl Future<Output = Result<Arc<Ruleset>, Refusal>> + Send;

    /// Returns why each queued job waits.
    fn reasons_to_wait(&self, open: &Open, rules: &Ruleset) -> HashMap<JobId, Reason>;

    /// Returns the changes from now on: a reader that lists the records afterwards misses none.
    fn changes(&self) -> impl Future<Output = Result<BoxStream<'static, EventView>, Refusal>> + Send;

    /// Says in HTTP's terms why the store gave no answer.
    fn refusal(&self, fault: StoreError) -> Refusal {
        Refusal::of_store(&fault)
    }
}

/// What an operator changes by the page, with the checks of the command of the same name.
pub trait Control: Send + Sync + 'static {
    /// Pauses or resumes launches. Returns whether they are paused now.
    fn pause(&self, paused: bool) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Retires a runner. With `force` its task is stopped even during a job.
    fn stop(
        &self,
        runner: RunnerName,
        force: bool,
    ) -> impl Future<Output = Result<OutcomeView, Refusal>> + Send;

    /// Evaluates a refused job again, or has GitHub run an ended one again where that is possible.
    fn retry(&self, job: JobId) -> impl Future<Output = Result<OutcomeView, Refusal>> + Send;

    /// Reads a job's log as text. With `timestamps` each line begins with its time, if it has one.
    fn job_log(
        &self,
        job: &JobView,
        timestamps: bool,
    ) -> impl Future<Output = Result<String, LogFailure>> + Send;
}

/// A deployment that the page can show.
pub trait Backend: Source + Control {}

impl<T: Source + Control> Backend for T {}

/// The kind of a deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    pub kind: DeploymentKind,
    /// On AWS.
    pub region: Option<String>,
    /// Where a job's log comes from.
    pub logs: LogSource,
    /// The address of GitHub's pages without a slash at its end, if it is known.
    pub github: Option<String>,
}

/// Why a log cannot be read.
#[derive(Debug)]
pub struct LogFailure {
    pub refusal: Refusal,
    /// Whether a person may have to act, so that it is logged.
    pub is_fault: bool,
}

/// Why a request was not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// A sentence for people.
    pub message: String,
}

impl Refusal {
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Returns the answer to a fault of the store.
    #[must_use]
    pub fn of_store(fault: &StoreError) -> Self {
        let words = chain(fault);
        let status = match fault {
            StoreError::Cursor { .. } => return Self::new(StatusCode::BAD_REQUEST, words),
            // Another attempt would fail too, such as at a record that cannot be read.
            StoreError::Refused { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            StoreError::Conflict | StoreError::Fenced | StoreError::Unavailable { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        error!(error = words, "the API could not use the store");
        Self::new(status, words)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Fault { message: self.message })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_callers_own_mistake_is_a_bad_request_and_every_answer_has_its_cause() {
        let source = || "it has schema 99: this release reads up to 1".into();
        let refused = StoreError::Refused { operation: "read a record", source: source() };
        let message = "the store refuses to read a record: it has schema 99: this release reads up to 1";
        assert_eq!(Refusal::of_store(&refused), Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message));
        let unavailable =
            StoreError::Unavailable { operation: "write records", source: "no space left".into() };
        let message = "the store could not write records: no space left";
        assert_eq!(Refusal::of_store(&unavailable), Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message));
        let cursor = StoreError::Cursor { source: "invalid padding".into() };
        assert_eq!(Refusal::of_store(&cursor).status, StatusCode::BAD_REQUEST);
    }
}
