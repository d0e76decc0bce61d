//! What is read to judge an event, and what is written for it.

use crate::records::hold::{Held, Hold};
use crate::records::job::{EndedJob, Job, JobRecord};
use crate::records::runner::{EndedRunner, Runner};

/// What the store has of an event's [`crate::wire::event::Keys`].
#[derive(Clone, Default, Debug)]
pub struct Records {
    pub job: Option<JobRecord>,
    /// The runner, if it is open.
    pub runner: Option<Runner>,
}

/// One write. Each carries the version that it makes: the store holds the
/// record to the version before.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "few and short-lived, and most are the large one")]
pub enum Change {
    /// An open job, new or changed.
    Job(Job),
    /// A job that was open, or never known, is history.
    JobEnded(EndedJob),
    /// More became known of a job in history.
    JobAmended(EndedJob),
    /// A job that history held as refused is open again.
    JobReopened(Job),
    /// An open runner, new or changed.
    Runner(Runner),
    /// A runner is gone.
    RunnerGone(Box<EndedRunner>),
    /// Launches are held back: the latest word stands, whatever was there before.
    Hold(Hold),
    /// Launches are no longer held back.
    Released(Held),
}
