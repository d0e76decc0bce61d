//! A job's log, from GitHub. A read takes one call, or three if there is no log.

use std::fmt::Write;

use axum::http::StatusCode;
use ecsrunner_github::logs::{JobLog, JobLogError, MAX_LOG_BYTES};
use ecsrunner_web::{LogFailure, Refusal};

/// Returns a log as text.
pub(super) fn text(log: &JobLog, timestamps: bool) -> String {
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
    text
}

pub(super) fn failure(error: &JobLogError) -> LogFailure {
    let status = status(error);
    let is_fault = status.is_server_error() || status == StatusCode::FORBIDDEN;
    LogFailure { refusal: Refusal::new(status, ecsrunner_engine::chain(error)), is_fault }
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
