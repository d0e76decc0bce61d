//! `GET /api/v1/jobs/{id}/log`: a job's log, read at each request.
//!
//! A log can hold another job's secrets, so the request needs the token (`guard`). Reads are limited too: on one machine
//! launches draw on the same hourly budget at GitHub, and CloudWatch Logs limits calls of the whole account.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::JobId;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use crate::backend::{Backend, Refusal};
use crate::connections::Seat;
use crate::single::find_job;

/// Logs that are read at once. Each may hold 64 MiB of memory.
const MAX_READS: usize = 2;
/// Logs that are read within a minute.
const MAX_READS_A_MINUTE: usize = 30;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    #[serde(default)]
    timestamps: bool,
}

pub(crate) async fn log<B: Backend>(
    State(backend): State<Arc<B>>,
    Extension(reads): Extension<Arc<Reads>>,
    Extension(seat): Extension<Arc<Seat>>,
    Path(id): Path<u64>,
    Query(form): Query<Form>,
) -> Result<Response, Refusal> {
    let job = find_job(&*backend, JobId::new(id)).await?;
    let Some(_turn) = reads.begin(Timestamp::now()) else {
        let message = format!(
            "too many logs are being read: {MAX_READS} at once and {MAX_READS_A_MINUTE} a minute are allowed"
        );
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, message));
    };
    let _kept = seat.keep();
    let text = backend.job_log(&job, form.timestamps).await.map_err(|failure| {
        if failure.is_fault {
            let error = &failure.refusal.message;
            warn!(job_id = id, repository = job.repository, error, "could not read a job's log");
        }
        failure.refusal
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        // A browser must not render a job's output as a page of this server.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}

/// Counts log reads: those in progress, and those of the last minute.
#[derive(Debug)]
pub(crate) struct Reads {
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
