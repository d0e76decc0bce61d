//! The broker: runners' sessions, and polls for messages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::RunnerId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::reply::{ServiceError, json as reply};
use super::{App, paths};
use crate::github::state::{Message, Session, SessionId, Shared, State};

/// How long a poll waits for a message, as at GitHub.
const POLL_LIMIT: Duration = Duration::from_secs(50);
/// How much time a cancelled job has left, in the message to its runner.
const CANCELLATION_TIMEOUT: &str = "00:05:00";

/// Opens a session, or answers 409 if the runner has one.
pub(super) async fn create_session(
    Extract(shared): App,
    headers: HeaderMap,
    Json(mut request): Json<Value>,
) -> Result<Response, ServiceError> {
    let mut state = shared.state();
    let runner = state.calling_runner(&headers)?;
    let Some(registration) = state.registrations.get_mut(&runner) else {
        return Err(ServiceError::unauthorized());
    };
    if request["agent"]["id"].as_u64() != Some(runner.get()) {
        let message = format!("the session is of agent {}, the token of {runner}", request["agent"]["id"]);
        return Err(ServiceError::broker(StatusCode::BAD_REQUEST, "BadRequest", &message));
    }
    registration.sessions += 1;
    if state.session_of(runner).is_some() {
        let message = "Error: Conflict";
        return Err(ServiceError::broker(StatusCode::CONFLICT, "RunnerSessionConflict", message));
    }
    let session = state.open_session(runner);
    state.assign();
    request["sessionId"] = session.0.into();
    request["assignmentQueued"] = false.into();
    request["orchestrationId"] = "".into();
    Ok(reply(StatusCode::OK, &request))
}

/// Closes the session of the caller's runner, if it has one.
pub(super) async fn delete_session(
    Extract(shared): App,
    headers: HeaderMap,
) -> Result<StatusCode, ServiceError> {
    let mut state = shared.state();
    let runner = state.calling_runner(&headers)?;
    if let Some((session, _)) = state.session_of(runner) {
        let session = session.clone();
        state.lose_session(&session);
        state.assign();
    }
    Ok(StatusCode::OK)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InSession {
    session_id: String,
}

/// Waits for a message, or answers 202 if none came.
pub(super) async fn next_message(
    Extract(shared): App,
    headers: HeaderMap,
    Query(InSession { session_id }): Query<InSession>,
) -> Result<Response, ServiceError> {
    let session = SessionId(session_id);
    let poll = OpenPoll::begin(&shared, &headers, &session)?;
    let wait = async {
        loop {
            // Registered before the check, so that no message is missed.
            let woken = poll.wake.notified();
            if let Some(message) = shared.state().take_message(&session, poll.runner)? {
                return Ok(reply(StatusCode::OK, &message));
            }
            if shared.state().ends_poll(&session) {
                return Ok(StatusCode::ACCEPTED.into_response());
            }
            woken.await;
        }
    };
    tokio::time::timeout(POLL_LIMIT, wait).await.unwrap_or_else(|_| Ok(StatusCode::ACCEPTED.into_response()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Acknowledgement {
    runner_request_id: String,
}

pub(super) async fn acknowledge(
    Extract(shared): App,
    headers: HeaderMap,
    Query(InSession { session_id }): Query<InSession>,
    Json(request): Json<Acknowledgement>,
) -> Result<StatusCode, ServiceError> {
    let state = shared.state();
    state.calling_runner(&headers)?;
    let session = state.sessions.get(&SessionId(session_id));
    let job = session.and_then(|session| session.job).and_then(|job| state.jobs.get(&job));
    if job.is_some_and(|job| job.request == request.runner_request_id) {
        Ok(StatusCode::OK)
    } else {
        let message = "the job of this request is not found";
        Err(ServiceError::broker(StatusCode::NOT_FOUND, "AcknowledgeJobNotFound", message))
    }
}

/// A long poll. While it is open, its listener counts as connected.
struct OpenPoll<'a> {
    shared: &'a Shared,
    session: &'a SessionId,
    runner: RunnerId,
    wake: Arc<Notify>,
}

impl<'a> OpenPoll<'a> {
    fn begin(shared: &'a Shared, headers: &HeaderMap, id: &'a SessionId) -> Result<Self, ServiceError> {
        let mut state = shared.state();
        let runner = state.calling_runner(headers)?;
        let is_registered = state.registrations.contains_key(&runner);
        let gone = state.gone(runner);
        let session = state.sessions.get_mut(id).filter(|session| session.runner == runner).ok_or(gone)?;
        // A queued message is still delivered.
        if !is_registered && session.messages.is_empty() {
            return Err(state.gone(runner));
        }
        session.polls += 1;
        session.silent = false;
        let wake = Arc::clone(&session.wake);
        // A listener that was offline may get a job again.
        state.assign();
        Ok(Self { shared, session: id, runner, wake })
    }
}

impl Drop for OpenPoll<'_> {
    /// Starts the time until the listener counts as lost, when the poll was answered or
    /// its connection broke.
    fn drop(&mut self) {
        if let Some(session) = self.shared.state().sessions.get_mut(self.session) {
            session.polls -= 1;
            session.last_seen = Instant::now();
        }
        self.shared.deadline_set.notify_one();
    }
}

impl State {
    /// Returns the error for a runner without a session.
    fn gone(&self, runner: RunnerId) -> ServiceError {
        if self.registrations.contains_key(&runner) {
            let message = "the session is not known";
            ServiceError::broker(StatusCode::NOT_FOUND, "RunnerSessionInvalid", message)
        } else {
            let message = format!("Runner {runner} not found");
            ServiceError::broker(StatusCode::NOT_FOUND, "RunnerNotFound", &message)
        }
    }

    fn open_session(&mut self, runner: RunnerId) -> SessionId {
        let id = SessionId(self.random.guid());
        let session = Session {
            runner,
            wake: Arc::new(Notify::new()),
            polls: 0,
            last_seen: Instant::now(),
            messages: VecDeque::new(),
            message_id: 0,
            job: None,
            silent: false,
            poll_ends: false,
            deregistered: false,
        };
        self.sessions.insert(id.clone(), session);
        self.deadline_set.notify_one();
        self.note_change();
        id
    }

    fn take_message(&mut self, id: &SessionId, runner: RunnerId) -> Result<Option<Value>, ServiceError> {
        let gone = self.gone(runner);
        let Some(session) = self.sessions.get_mut(id).filter(|session| !session.deregistered) else {
            return Err(gone);
        };
        let Some(message) = session.messages.pop_front() else { return Ok(None) };
        session.message_id += 1;
        let number = session.message_id;
        Ok(self.message(message, number))
    }

    /// Returns the body of a message, or `None` if its job no longer exists.
    fn message(&self, message: Message, number: u64) -> Option<Value> {
        let (kind, body) = match message {
            Message::Job(job) => (
                "RunnerJobRequest",
                json!({
                    "runner_request_id": self.jobs.get(&job)?.request,
                    "run_service_url": format!("{}{}/", self.base, paths::RUN),
                    "billing_owner_id": "U_1",
                    "should_acknowledge": true,
                }),
            ),
            Message::Cancel(job) => (
                "JobCancellation",
                json!({"jobId": self.jobs.get(&job)?.guid, "timeout": CANCELLATION_TIMEOUT}),
            ),
        };
        Some(json!({"messageId": number, "messageType": kind, "body": body.to_string()}))
    }

    /// Whether to end an open poll now without a message.
    fn ends_poll(&mut self, id: &SessionId) -> bool {
        self.sessions.get_mut(id).is_some_and(|session| std::mem::take(&mut session.poll_ends))
    }
}
