//! The side that listeners talk to: sessions, jobs, logs, results.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use ecsrunner_core::id::{JobId, RunnerId};
use tokio::sync::Notify;

use crate::protocol::{Completion, Connected, Message, RUNNER_PATH};

use super::api::Refusal;
use super::auth::{bearer, digest};
use super::job::JobState;
use super::state::{Session, SessionId, Shared, State};

/// How long a poll waits for a message, as at GitHub.
const POLL_LIMIT: Duration = Duration::from_secs(50);

/// How much of a job's log is kept, in bytes.
const MAX_LOG: usize = 4 * 1024 * 1024;

type App = Extract<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/sessions", post(connect))
        .route("/sessions/{session}", delete(disconnect))
        .route("/sessions/{session}/message", get(next_message))
        .route("/sessions/{session}/jobs/{job}/start", post(start))
        .route("/sessions/{session}/jobs/{job}/log", post(log))
        .route("/sessions/{session}/jobs/{job}/complete", post(complete));
    Router::new().nest(RUNNER_PATH, routes).with_state(shared)
}

/// Opens the only session that a configuration is good for. 401: it is spent
/// or its registration is gone; 409: its session is open.
async fn connect(Extract(shared): App, headers: HeaderMap) -> Result<Json<Connected>, Refusal> {
    let mut state = shared.state();
    let token = digest(bearer(&headers)?);
    let runner = state
        .registrations
        .values_mut()
        .find(|registration| registration.token_digest == token)
        .ok_or_else(|| Refusal::unauthorized("The runner registration has been deleted"))?;
    let id = runner.id;
    let spent = std::mem::replace(&mut runner.spent, true);
    if spent {
        return Err(if state.session_of(id).is_some() {
            Refusal::new(StatusCode::CONFLICT, "A session for this runner already exists")
        } else {
            Refusal::unauthorized("The configuration has been used before")
        });
    }
    let session = state.open_session(id);
    state.assign();
    Ok(Json(Connected { session: session.0 }))
}

async fn disconnect(Extract(shared): App, Path(session): Path<String>) -> StatusCode {
    let mut state = shared.state();
    state.lose_session(&SessionId(session));
    state.assign();
    StatusCode::NO_CONTENT
}

/// Waits for a message. 204: none came; 401: the registration is gone.
async fn next_message(Extract(shared): App, Path(session): Path<String>) -> Result<Response, Refusal> {
    let session = SessionId(session);
    let poll = OpenPoll::begin(&shared, &session)?;
    let wait = async {
        loop {
            // Registered before looking, so that no message slips in between.
            let woken = poll.wake.notified();
            if let Some(message) = shared.state().take_message(&session)? {
                return Ok(Json(message).into_response());
            }
            woken.await;
        }
    };
    tokio::time::timeout(POLL_LIMIT, wait)
        .await
        .unwrap_or_else(|_| Ok(StatusCode::NO_CONTENT.into_response()))
}

/// 409: the job was given to somebody else, cancelled, or queued again.
async fn start(
    Extract(shared): App,
    Path((session, job)): Path<(String, JobId)>,
) -> Result<Response, Refusal> {
    let mut state = shared.state();
    let session = SessionId(session);
    match state.start_job(job, &session) {
        Some(spec) => Ok(Json(spec).into_response()),
        None => {
            if let Some(open) = state.sessions.get_mut(&session) {
                open.job = None;
            }
            state.assign();
            Err(Refusal::new(StatusCode::CONFLICT, "The job is not this runner's"))
        }
    }
}

async fn log(
    Extract(shared): App,
    Path((session, id)): Path<(String, JobId)>,
    text: String,
) -> Result<StatusCode, Refusal> {
    let mut state = shared.state();
    let job = state.jobs.get_mut(&id).ok_or_else(Refusal::not_found)?;
    match &job.state {
        JobState::InProgress { taker, .. } if taker.session.0 == session => {
            if job.log.len() + text.len() <= MAX_LOG {
                job.log.push_str(&text);
            }
            Ok(StatusCode::NO_CONTENT)
        }
        _ => Err(Refusal::new(StatusCode::CONFLICT, "The job is not this runner's")),
    }
}

async fn complete(
    Extract(shared): App,
    Path((session, job)): Path<(String, JobId)>,
    Json(completion): Json<Completion>,
) -> Result<StatusCode, Refusal> {
    let mut state = shared.state();
    if state.finish_job(job, &SessionId(session), completion) {
        state.assign();
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::new(StatusCode::CONFLICT, "The job is not this runner's"))
    }
}

/// A long poll: while it is open its listener is known to be there.
struct OpenPoll<'a> {
    shared: &'a Shared,
    session: &'a SessionId,
    wake: Arc<Notify>,
}

impl<'a> OpenPoll<'a> {
    fn begin(shared: &'a Shared, id: &'a SessionId) -> Result<Self, Refusal> {
        let mut state = shared.state();
        let session = state.sessions.get_mut(id).ok_or_else(gone)?;
        session.polls += 1;
        session.silent = false;
        let wake = Arc::clone(&session.wake);
        // A listener that was offline may be given a job again.
        state.assign();
        Ok(Self { shared, session: id, wake })
    }
}

impl Drop for OpenPoll<'_> {
    /// Answered, or its connection broke: the time until the listener counts as lost begins.
    fn drop(&mut self) {
        if let Some(session) = self.shared.state().sessions.get_mut(self.session) {
            session.polls -= 1;
            session.last_seen = Instant::now();
        }
        self.shared.deadline_set.notify_one();
    }
}

fn gone() -> Refusal {
    Refusal::unauthorized("The runner registration has been deleted")
}

impl State {
    fn open_session(&mut self, runner: RunnerId) -> SessionId {
        let id = SessionId(self.random.hex(32));
        let session = Session {
            runner,
            wake: Arc::new(Notify::new()),
            polls: 0,
            last_seen: Instant::now(),
            messages: VecDeque::new(),
            job: None,
            silent: false,
        };
        self.sessions.insert(id.clone(), session);
        self.deadline_set.notify_one();
        self.note_change();
        id
    }

    fn take_message(&mut self, session: &SessionId) -> Result<Option<Message>, Refusal> {
        let session = self.sessions.get_mut(session).ok_or_else(gone)?;
        Ok(session.messages.pop_front())
    }
}
