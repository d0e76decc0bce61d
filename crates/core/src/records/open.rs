//! Everything that is open, by its key.

use std::collections::{BTreeMap, HashMap};

use crate::id::{JobId, RunnerName};
use crate::records::change::Change;
use crate::records::hold::{Held, Hold};
use crate::records::job::Job;
use crate::records::runner::Runner;
use crate::rules::pace::{Bucket, Level};

/// Everything that is open.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Open {
    pub jobs: BTreeMap<JobId, Job>,
    /// The runners that are not gone, the oldest of a pool first.
    pub runners: BTreeMap<RunnerName, Runner>,
    /// What launches are held back for.
    pub holds: BTreeMap<Held, Hold>,
    /// The buckets from which something was taken lately.
    pub levels: HashMap<Bucket, Level>,
    /// Records that cannot be read, and stay where they are for a person to look at.
    pub unreadable: usize,
    /// How many of them are runners'. Each takes a slot of the deployment's limit.
    pub unreadable_runners: usize,
}

impl Open {
    /// These jobs and runners, and nothing held back.
    #[must_use]
    pub fn of(jobs: impl IntoIterator<Item = Job>, runners: impl IntoIterator<Item = Runner>) -> Self {
        let mut open = Self::default();
        jobs.into_iter().for_each(|job| open.add_job(job));
        runners.into_iter().for_each(|runner| open.add_runner(runner));
        open
    }

    /// Adds an open job.
    pub fn add_job(&mut self, job: Job) {
        self.jobs.insert(job.id(), job);
    }

    /// Adds a runner that is not gone.
    pub fn add_runner(&mut self, runner: Runner) {
        self.runners.insert(runner.name().clone(), runner);
    }

    pub fn add_hold(&mut self, hold: Hold) {
        self.holds.insert(hold.held.clone(), hold);
    }

    /// Makes a write's change here too. Versions are the store's to check.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Job(job) | Change::JobReopened(job) => self.add_job(job.clone()),
            Change::JobEnded(job) | Change::JobAmended(job) => {
                self.jobs.remove(&job.facts.id);
            }
            Change::Runner(runner) => self.add_runner(runner.clone()),
            Change::RunnerGone(gone) => {
                self.runners.remove(&gone.facts.name);
            }
            Change::Hold(hold) => self.add_hold(hold.clone()),
            Change::Released(held) => {
                self.holds.remove(held);
            }
        }
    }

    /// Whether nothing is open, whatever is held back.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.jobs.is_empty() && self.runners.is_empty()
    }
}
