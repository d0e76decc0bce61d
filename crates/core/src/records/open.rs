//! Everything that is open, indexed by its key.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::id::{JobId, RunnerName, WarmName};
use crate::records::change::Change;
use crate::records::hold::{Held, Hold, rests_until};
use crate::records::image::Image;
use crate::records::job::Job;
use crate::records::overspend::{BudgetKey, Overspend};
use crate::records::rerun::{RerunKey, RerunRecord};
use crate::records::runner::Runner;
use crate::records::shared_map::SharedMap;
use crate::records::warm::WarmTask;
use crate::rules::class::size::Arch;
use crate::rules::pace::{Bucket, Level, Paces};

#[derive(Clone, PartialEq, Default, Debug)]
pub struct Open {
    pub jobs: SharedMap<JobId, Job>,
    /// The runners that are not gone. Within a pool, the oldest comes first.
    pub runners: SharedMap<RunnerName, Runner>,
    /// The warm tasks that are not gone, the oldest first.
    pub warm: BTreeMap<WarmName, WarmTask>,
    pub holds: BTreeMap<Held, Hold>,
    /// Jobs that are run again, and the facts that lead to it.
    pub reruns: BTreeMap<RerunKey, RerunRecord>,
    /// The deployment's own image, for each architecture for which it is built.
    pub images: BTreeMap<Arch, Image>,
    /// The budgets that are spent.
    pub overspends: BTreeMap<BudgetKey, Overspend>,
    /// The buckets that were used recently.
    pub levels: HashMap<Bucket, Level>,
    /// Records that cannot be read. They stay stored for an operator to inspect.
    pub unreadable: usize,
    /// How many of them are records of runners or warm tasks. Each takes a slot of the deployment's limit.
    pub unreadable_runners: usize,
    /// How many of those are records of warm tasks. Each counts in `limits.max_warm`.
    pub unreadable_warm: usize,
    /// How many of them are records of images.
    pub unreadable_images: usize,
}

impl Open {
    /// Returns these jobs and runners, without holds.
    #[must_use]
    pub fn of(jobs: impl IntoIterator<Item = Job>, runners: impl IntoIterator<Item = Runner>) -> Self {
        let mut open = Self::default();
        jobs.into_iter().for_each(|job| open.add_job(job));
        runners.into_iter().for_each(|runner| open.add_runner(runner));
        open
    }

    pub fn add_job(&mut self, job: Job) {
        self.jobs.insert(job.id(), job);
    }

    pub fn add_runner(&mut self, runner: Runner) {
        self.runners.insert(runner.name().clone(), runner);
    }

    pub fn add_warm(&mut self, warm: WarmTask) {
        self.warm.insert(warm.name().clone(), warm);
    }

    pub fn add_hold(&mut self, hold: Hold) {
        self.holds.insert(hold.held.clone(), hold);
    }

    pub fn add_rerun(&mut self, record: RerunRecord) {
        self.reruns.insert(record.key(), record);
    }

    pub fn add_image(&mut self, image: Image) {
        self.images.insert(image.arch, image);
    }

    pub fn add_overspend(&mut self, overspend: Overspend) {
        self.overspends.insert(overspend.key.clone(), overspend);
    }

    /// Applies a write here too. The store checks versions.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Job(job) | Change::JobReopened(job) => self.add_job(job.clone()),
            Change::JobEnded(job) | Change::JobAmended(job) => {
                self.jobs.remove(&job.facts.id);
            }
            Change::Runner(runner) => self.add_runner(runner.clone()),
            Change::RunnerGone(gone) | Change::RunnerAmended(gone) => {
                self.runners.remove(&gone.facts.name);
            }
            Change::Warm(warm) => self.add_warm(warm.clone()),
            Change::WarmGone(gone) => {
                self.warm.remove(&gone.facts.name);
            }
            Change::Hold(hold) => self.add_hold(hold.clone()),
            Change::Released(held) => {
                self.holds.remove(held);
            }
            Change::Rerun(record) => self.add_rerun((**record).clone()),
            Change::RerunOver(key) => {
                self.reruns.remove(key);
            }
            Change::Image(image) => self.add_image((**image).clone()),
            Change::Overspent(overspend) => self.add_overspend((**overspend).clone()),
            Change::BudgetOpen(key) => {
                self.overspends.remove(key);
            }
            // It is no part of what is open.
            Change::Claimed(_) => {}
        }
    }

    /// Returns a bucket's level; `None` if it is full, or its level is of before the clock was set back.
    #[must_use]
    pub fn level(&self, bucket: &Bucket, paces: &Paces, now: Timestamp) -> Option<Level> {
        let level = self.levels.get(bucket).copied()?;
        paces.believe(bucket, level, rests_until(&self.holds, bucket, now), now)
    }

    /// Whether no job, no runner and no warm task is open, and no job is to be run again. Holds do not count.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.jobs.is_empty() && self.runners.is_empty() && self.warm.is_empty() && self.reruns.is_empty()
    }
}
