//! What the page is told as it happens: `docs/interface.md`.

use ecsrunner_core::records::change::Change;
use ecsrunner_engine::view::{JobView, RunnerView};
use jiff::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum EventView {
    Hello { version: &'static str },
    Lagged,
    Job { job: Box<JobView> },
    Runner { runner: Box<RunnerView> },
}

impl EventView {
    /// The event that tells of a change; a hold is told by the jobs that wait for it.
    pub(super) fn of(change: &Change, now: Timestamp) -> Option<Self> {
        Some(match change {
            Change::Job(job) | Change::JobReopened(job) => Self::Job { job: Box::new(JobView::open(job)) },
            Change::JobEnded(job) | Change::JobAmended(job) => {
                Self::Job { job: Box::new(JobView::ended(job)) }
            }
            Change::Runner(runner) => Self::Runner { runner: Box::new(RunnerView::open(runner, now)) },
            Change::RunnerGone(runner) => Self::Runner { runner: Box::new(RunnerView::gone(runner)) },
            Change::Hold(_) | Change::Released(_) => return None,
        })
    }
}
