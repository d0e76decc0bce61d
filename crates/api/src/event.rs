//! Server-sent events of `GET /api/v1/events`.

use ecsrunner_core::records::change::Change;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::JobView;
use crate::runner::RunnerView;

/// One server-sent event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventView {
    /// The first event of a stream.
    Hello {
        version: String,
        /// Whether the server reads the records at intervals, as long as a stream is open. A client that shows nothing
        /// should close its stream.
        #[serde(default)]
        polled: bool,
    },
    /// Events were lost, so the client must read the lists again.
    Lagged,
    Job {
        job: Box<JobView>,
    },
    Runner {
        runner: Box<RunnerView>,
    },
}

impl EventView {
    /// Returns the event of a change. A hold and a rerun have none: they show in the jobs that they concern.
    #[must_use]
    pub fn of(change: &Change, now: Timestamp) -> Option<Self> {
        Some(match change {
            Change::Job(job) | Change::JobReopened(job) => Self::Job { job: Box::new(JobView::open(job)) },
            Change::JobEnded(job) | Change::JobAmended(job) => {
                Self::Job { job: Box::new(JobView::ended(job)) }
            }
            Change::Runner(runner) => Self::Runner { runner: Box::new(RunnerView::open(runner, now)) },
            Change::RunnerGone(runner) | Change::RunnerAmended(runner) => {
                Self::Runner { runner: Box::new(RunnerView::gone(runner)) }
            }
            Change::Warm(warm) => Self::Runner { runner: Box::new(RunnerView::warm(warm, now)) },
            Change::WarmGone(warm) => Self::Runner { runner: Box::new(RunnerView::gone_warm(warm)) },
            Change::Hold(_)
            | Change::Released(_)
            | Change::Rerun(_)
            | Change::RerunOver(_)
            | Change::Image(_)
            | Change::Overspent(_)
            | Change::BudgetOpen(_)
            | Change::Claimed(_) => return None,
        })
    }
}
