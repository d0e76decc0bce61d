//! What is read to judge an event, and what is written for it.

use crate::id::RunnerName;
use crate::records::hold::{Held, Hold};
use crate::records::image::Image;
use crate::records::instance::Claim;
use crate::records::job::{EndedJob, Job, JobRecord};
use crate::records::overspend::{BudgetKey, Overspend};
use crate::records::rerun::{RerunKey, RerunRecord};
use crate::records::runner::{EndedRunner, Runner};
use crate::records::warm::{EndedWarm, WarmTask};

/// The stored records for an event's [`crate::wire::event::Keys`].
#[derive(Clone, Default, Debug)]
pub struct Records {
    pub job: Option<JobRecord>,
    /// The runner, if it is open.
    pub runner: Option<Runner>,
    /// The warm task, if it is open.
    pub warm: Option<WarmTask>,
    /// The runner's history record, if it was asked for.
    pub gone: Option<EndedRunner>,
    /// The runner that the EC2 instance belongs to, if it was asked for and has one.
    pub claimed_by: Option<RunnerName>,
}

/// One write. It carries the record's new version: the store requires that the
/// stored record has the version before.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// An open job, new or changed.
    Job(Job),
    /// A job that was open, or not known before, becomes history.
    JobEnded(EndedJob),
    /// Something was added to a job in history.
    JobAmended(EndedJob),
    /// A refused job is moved from history back to the open jobs.
    JobReopened(Job),
    /// An open runner, new or changed.
    Runner(Runner),
    /// A runner is gone.
    RunnerGone(Box<EndedRunner>),
    /// Something was added to a runner in history.
    RunnerAmended(Box<EndedRunner>),
    /// An open warm task, new or changed.
    Warm(WarmTask),
    /// A warm task is gone, or the runner that took it over.
    WarmGone(Box<EndedWarm>),
    /// Launches are held back. The latest write wins, without a version check.
    Hold(Hold),
    /// Launches are no longer held back.
    Released(Held),
    /// A fact or an intent about a rerun. The latest write wins: facts are written once
    /// with their cause, and only the lease's holder writes intents.
    Rerun(Box<RerunRecord>),
    /// Such a record is no longer needed.
    RerunOver(RerunKey),
    /// The deployment's own image of an architecture. The latest write wins: only the lease's holder writes it.
    Image(Box<Image>),
    /// A budget is spent. The latest write wins: only the lease's holder writes it.
    Overspent(Box<Overspend>),
    /// A budget is no longer spent: it was raised or taken away, or its period has ended.
    BudgetOpen(BudgetKey),
    /// An EC2 instance becomes a runner's. It must be nobody's.
    Claimed(Box<Claim>),
}
