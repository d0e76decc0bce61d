//! `GET /api/v1/jobs/{id}/log`: a job's log, read from GitHub at each request.
//!
//! The request needs the token of the state directory (`guard`): every
//! job on the machine reaches this server on loopback, and a log can hold
//! another job's secrets. Reads are limited too, because launches draw on the
//! same hourly budget at GitHub.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use ecsrunner_api::status::Fault;
use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::store::History;
use ecsrunner_github::logs::{JobLog, JobLogError, MAX_LOG_BYTES};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use super::App;
use super::api::answer;
use super::connections::Seat;

/// Logs that are read at once. Each may hold 64 MiB of memory.
const MAX_READS: usize = 2;
/// Logs that are read within a minute. A read takes one call to GitHub, or three if there is no log.
const MAX_READS_A_MINUTE: usize = 30;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    #[serde(default)]
    timestamps: bool,
}

pub(super) async fn log(
    State(app): State<App>,
    Extension(reads): Extension<Arc<Reads>>,
    Extension(seat): Extension<Arc<Seat>>,
    Path(id): Path<u64>,
    Query(form): Query<Form>,
) -> Response {
    let id = JobId::new(id);
    let repository = match app.store().job(id).await {
        Ok(Some(JobRecord::Ended(job))) => job.facts.repository.clone(),
        Ok(Some(JobRecord::Open(_))) => {
            let message =
                format!("job {id} has not ended: GitHub provides a job's log only after the job has ended");
            return refuse(StatusCode::CONFLICT, message);
        }
        Ok(None) => return refuse(StatusCode::NOT_FOUND, format!("there is no record of job {id}")),
        Err(fault) => return answer::<()>(Err(fault)),
    };
    let Some(_turn) = reads.begin(app.engine.ports().clock.now()) else {
        let message = format!(
            "too many logs are being read: {MAX_READS} at once and {MAX_READS_A_MINUTE} a minute are allowed"
        );
        return refuse(StatusCode::TOO_MANY_REQUESTS, message);
    };
    let _kept = seat.keep();
    match read(&app, &repository, id).await {
        Ok(log) => show(&log, form.timestamps),
        Err(error) => {
            let (status, message) = (status(&error), chain(&error));
            if status.is_server_error() || status == StatusCode::FORBIDDEN {
                warn!(job_id = id.get(), %repository, error = message, "could not read a job's log");
            }
            refuse(status, message)
        }
    }
}

async fn read(app: &App, repository: &Repository, id: JobId) -> Result<JobLog, JobLogError> {
    app.engine.ports().github.job_log(repository, id).await
}

fn show(log: &JobLog, timestamps: bool) -> Response {
    let mut text = String::new();
    for line in log.lines() {
        if timestamps && let Some(at) = line.at {
            let _infallible = write!(text, "{at:.7} ");
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    if log.is_cut() {
        let limit = MAX_LOG_BYTES >> 20;
        let _infallible = writeln!(text, "[the log is longer than {limit} MiB, and its end is left out]");
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        // A browser must not render a job's output as a page of this server.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

const fn status(error: &JobLogError) -> StatusCode {
    match error {
        JobLogError::NotEnded { .. } => StatusCode::CONFLICT,
        JobLogError::NoJob { .. }
        | JobLogError::NeverStarted { .. }
        | JobLogError::Gone { .. }
        | JobLogError::Missing { .. } => StatusCode::NOT_FOUND,
        JobLogError::Denied { .. } => StatusCode::FORBIDDEN,
        JobLogError::GitHub { .. } | JobLogError::Storage { .. } => StatusCode::BAD_GATEWAY,
    }
}

/// Returns an error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _infallible = write!(message, ": {cause}");
        source = cause.source();
    }
    message
}

fn refuse(status: StatusCode, message: String) -> Response {
    (status, Json(Fault { message })).into_response()
}

/// Counts log reads: those in progress, and those of the last minute.
#[derive(Debug)]
pub(super) struct Reads {
    turns: Semaphore,
    recent: Mutex<VecDeque<Timestamp>>,
}

impl Default for Reads {
    fn default() -> Self {
        Self { turns: Semaphore::new(MAX_READS), recent: Mutex::default() }
    }
}

impl Reads {
    /// Returns a permit to read a log, or `None` if there have been too many reads.
    fn begin(&self, now: Timestamp) -> Option<SemaphorePermit<'_>> {
        let turn = self.turns.try_acquire().ok()?;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|first| now.duration_since(*first).abs() >= MINUTE) {
            recent.pop_front();
        }
        if recent.len() >= MAX_READS_A_MINUTE {
            return None;
        }
        recent.push_back(now);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn no_more_than_two_logs_are_read_side_by_side() {
        let reads = Reads::default();
        let turns = [reads.begin(at(0)), reads.begin(at(0))];
        assert!(turns.iter().all(Option::is_some));
        assert!(reads.begin(at(0)).is_none());
        drop(turns);
        assert!(reads.begin(at(0)).is_some());
    }

    #[test]
    fn no_more_than_thirty_logs_are_read_in_any_minute() {
        let reads = Reads::default();
        assert!((0..30).all(|second| reads.begin(at(second)).is_some()));
        assert!(reads.begin(at(59)).is_none());
        assert!(reads.begin(at(60)).is_some());
        assert!(reads.begin(at(60)).is_none());
        assert!(reads.begin(at(61)).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_reads_for_long() {
        let reads = Reads::default();
        assert!((0..30).all(|_| reads.begin(at(3_600)).is_some()));
        assert!(reads.begin(at(0)).is_some());
    }
}
