//! State that a dispatcher keeps between rounds: copies of holds and levels that
//! its effects share, and what is being tried. It can be lost safely: it
//! is read again from the store, or concerns this process alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ecsrunner_core::clock::end_of_wait;
use ecsrunner_core::decide::about;
use ecsrunner_core::decide::images::ImageAnswer;
use ecsrunner_core::decide::plan::Question;
use ecsrunner_core::decide::plan::choose::{Choices, NoPlacement, Underway, Wanted};
use ecsrunner_core::decide::plan::unservable::Unservable;
use ecsrunner_core::decide::rerun::on_demand_jobs;
use ecsrunner_core::id::{Account, JobId, Repository, RunId, RunnerName, SubnetId, TaskName, WarmName};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::{Held, Hold, rests_until};
use ecsrunner_core::records::job::Job;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::pace::{Bucket, Level, Paces};
use ecsrunner_core::rules::placement::{Placement, Quota};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::boot::Again;
use jiff::{SignedDuration, Timestamp};

mod github;
mod throttle;

use crate::Ruleset;
use crate::ports::github::QueuedJobs;
pub(crate) use github::{Call, Trying};
use throttle::Rests;

/// Identifies an effect that is running or resting.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum EffectKey {
    Runner(RunnerName),
    Warm(WarmName),
    Question(Question),
    Probe(Scope),
    /// The next attempt of a run.
    Rerun(Repository, RunId),
    /// A task for the image of an architecture, by its kind.
    Image(Arch, &'static str),
}

impl EffectKey {
    /// Returns the job that a question is about.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            Self::Question(Question::Job { job, .. } | Question::Run(job)) => Some(*job),
            _ => None,
        }
    }
}

#[derive(Default, Debug)]
pub(crate) struct Cache {
    known: Mutex<Known>,
    /// Held while a level is read and set, so that effects of this process do not race for a slot.
    pub(crate) levels: tokio::sync::Mutex<()>,
}

/// What an effect has learnt about a hold.
#[derive(Debug)]
struct Recent {
    /// `None` if it has ended.
    hold: Option<Hold>,
    /// A read that began later shows it.
    until: Timestamp,
    is_written: bool,
}

#[derive(Default, Debug)]
struct Known {
    holds: BTreeMap<Held, Hold>,
    levels: HashMap<Bucket, Level>,
    underway: Underway,
    /// Launches that AWS has throttled.
    rests: Rests,
    /// CPU units of the tasks that AWS has accepted, by quota.
    accepted_cpu: HashMap<Quota, u32>,
    /// Holds that effects have written or ended lately, for reads that began before.
    recent: HashMap<Held, Recent>,
    /// Attempts for which this lease certainly has not called RunTask, and no earlier one has.
    unasked: HashSet<(TaskName, u32)>,
    /// Slots that runners have taken and not used yet.
    slots: HashSet<(RunnerName, Bucket)>,
    /// Scopes and accounts that rest, and that a call is trying.
    trying: HashSet<Held>,
    /// Calls in a row that GitHub did not answer.
    unanswered: HashMap<(Scope, Call), u32>,
    /// When a call of an account was last answered.
    answered_at: HashMap<(Account, Call), Timestamp>,
    /// Queued jobs of repositories, and when they were read.
    queued: HashMap<Repository, (Timestamp, Arc<QueuedJobs>)>,
    /// What was found out about images, and is not written yet.
    image_answers: Vec<ImageAnswer>,
    /// Jobs that are run again a second time.
    on_demand: HashSet<JobId>,
    /// Jobs that are run again because their runner was lost, by repository.
    reruns: BTreeMap<Repository, Vec<Again>>,
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the copies with what was read from the store since `began`. What effects have learnt meanwhile is added
    /// to both.
    pub(crate) fn refresh(&self, open: &mut Open, paces: &Paces, began: Timestamp, now: Timestamp) {
        let mut known = self.lock();
        let lands_at = |recent: &Recent| end_of_wait(recent.until, LANDS_WITHIN, now);
        known.recent.retain(|_, recent| {
            !recent.is_written || (recent.until >= began && lands_at(recent) == recent.until)
        });
        for (held, recent) in &known.recent {
            match &recent.hold {
                Some(hold) => open.add_hold(hold.clone()),
                None => {
                    open.holds.remove(held);
                }
            }
        }
        known.holds = open.holds.clone();
        let known_levels = std::mem::take(&mut known.levels);
        for (bucket, level) in known_levels {
            let rests_until = rests_until(&open.holds, &bucket, now);
            if let Some(level) = paces.believe(&bucket, level, rests_until, now) {
                let stored = open.level(&bucket, paces, now);
                open.levels.insert(bucket, stored.map_or(level, |stored| stored.max(level)));
            }
        }
        known.levels = open.levels.clone();
        let asked = std::mem::take(&mut known.underway.asked);
        known.underway = Underway { asked, ..Underway::of(open) };
        known.accepted_cpu.clear();
        for runner in open.runners.values().filter(|runner| runner.takes_slot() && !runner.awaits_task()) {
            *known.accepted_cpu.entry(runner.placement.quota()).or_default() += runner.facts.size.cpu();
        }
        for warm in open.warm.values().filter(|warm| warm.takes_slot() && warm.task().is_some()) {
            *known.accepted_cpu.entry(warm.placement.quota()).or_default() += warm.facts.size.cpu();
        }
        known.slots.retain(|(runner, _)| open.runners.contains_key(runner));
        known.on_demand = on_demand_jobs(open).into_iter().collect();
        known.reruns = about::reruns(open);
    }

    /// Returns the jobs that a runner of this scope is told: those that are run again because their runner was lost.
    ///
    /// A job can read what its runner was told. GitHub gives an organization's runner any repository's job, so it is told none.
    pub(crate) fn reruns_for(&self, scope: &Scope) -> Vec<Again> {
        match scope {
            Scope::Repository(repository) => self.lock().reruns.get(repository).cloned().unwrap_or_default(),
            Scope::Organization { .. } => Vec::new(),
        }
    }

    /// Whether a runner for this job gets On-Demand capacity, whatever its class says.
    pub(crate) fn needs_on_demand(&self, job: JobId) -> bool {
        self.lock().on_demand.contains(&job)
    }

    /// Whether a job cannot be served at present.
    pub(crate) fn is_unservable(&self, job: &Job, rules: &Ruleset, now: Timestamp) -> bool {
        let known = self.lock();
        let unservable = Unservable {
            rules: rules.rules(),
            subnets: &rules.subnets,
            holds: &known.holds,
            underway: Cow::Borrowed(&known.underway),
            on_demand: Cow::Borrowed(&known.on_demand),
        };
        unservable.contains(job, now)
    }

    /// Notes the queued jobs of a repository, which were read at this time.
    pub(crate) fn note_queued(&self, repository: &Repository, at: Timestamp, queued: Arc<QueuedJobs>) {
        self.lock().queued.insert(repository.clone(), (at, queued));
    }

    pub(crate) fn queued_of(&self, repository: &Repository) -> Option<(Timestamp, Arc<QueuedJobs>)> {
        self.lock().queued.get(repository).cloned()
    }

    /// Notes what was found out about an image.
    pub(crate) fn add_image_answer(&self, answer: ImageAnswer) {
        self.lock().image_answers.push(answer);
    }

    pub(crate) fn image_answers(&self) -> Vec<ImageAnswer> {
        self.lock().image_answers.clone()
    }

    /// Forgets the oldest answers, which were written.
    pub(crate) fn forget_image_answers(&self, count: usize) {
        self.lock().image_answers.drain(..count);
    }

    pub(crate) fn hold(&self, held: &Held) -> Option<Hold> {
        self.lock().holds.get(held).cloned()
    }

    /// Begins a lease: what an earlier one did not ask for, another process may have asked for since.
    pub(crate) fn begin_lease(&self) {
        let mut known = self.lock();
        known.unasked.clear();
        known.slots.clear();
        // The levels of the rates tell whether AWS has throttled launches since.
        known.rests = Rests::default();
    }

    /// Takes over a hold that an effect is about to write.
    pub(crate) fn add_hold(&self, hold: Hold, now: Timestamp) {
        let mut known = self.lock();
        let recent = Recent { hold: Some(hold.clone()), until: now + LANDS_WITHIN, is_written: true };
        known.recent.insert(hold.held.clone(), recent);
        known.holds.insert(hold.held.clone(), hold);
    }

    /// Takes over that an effect is about to end a hold.
    pub(crate) fn remove_hold(&self, held: &Held, now: Timestamp) {
        let mut known = self.lock();
        let recent = Recent { hold: None, until: now + LANDS_WITHIN, is_written: true };
        known.recent.insert(held.clone(), recent);
        known.holds.remove(held);
    }

    /// Notes whether the write of a hold has failed; if it has, this process keeps to the hold all the same.
    pub(crate) fn written(&self, held: &Held, is_written: bool, now: Timestamp) {
        if let Some(recent) = self.lock().recent.get_mut(held) {
            (recent.is_written, recent.until) = (is_written, now);
        }
    }

    /// Takes over changes of holds that were written. They replace what could not be written before.
    pub(crate) fn learn(&self, changes: &[Change]) {
        let mut known = self.lock();
        for change in changes {
            let held = match change {
                Change::Hold(hold) => {
                    known.holds.insert(hold.held.clone(), hold.clone());
                    &hold.held
                }
                Change::Released(held) => {
                    known.holds.remove(held);
                    held
                }
                _ => continue,
            };
            if known.recent.get(held).is_some_and(|recent| !recent.is_written) {
                known.recent.remove(held);
            }
        }
    }

    /// Reserves the right to start a runner's task in its placement. A placement without capacity admits
    /// one probe at a time, and none before the hold's `not_before`.
    pub(crate) fn enter(&self, runner: &Runner, now: Timestamp) -> Result<Option<Probe<'_>>, NotYet> {
        let mut known = self.lock();
        let (placement, size) = (&runner.placement, runner.facts.size);
        let target = (placement.clone(), size.arch());
        let Some(hold) = known.holds.get(&Held::placement(placement.clone(), size.arch())) else {
            return Ok(None);
        };
        let accepted = known.accepted_cpu.get(&placement.quota()).copied().unwrap_or(0);
        if hold.fits_cpu.is_some_and(|fits| accepted + size.cpu() <= fits) {
            return Ok(None);
        }
        if now < hold.not_before || !known.underway.asked.insert(target.clone()) {
            return Err(NotYet);
        }
        Ok(Some(Probe { cache: self, target }))
    }

    /// Chooses the placement of the next attempt.
    pub(crate) fn choose(
        &self,
        subnets: &[SubnetId],
        wanted: Wanted<'_>,
        spread: u64,
        now: Timestamp,
    ) -> Result<Placement, NoPlacement> {
        let known = self.lock();
        let choices = Choices { subnets, holds: &known.holds, underway: &known.underway };
        choices.choose(wanted, spread, now).map(|(placement, _)| placement)
    }

    /// Notes that this attempt is this lease's own and that RunTask has not been called for it.
    pub(crate) fn add_unasked(&self, task: impl Into<TaskName>, attempt: u32) {
        self.lock().unasked.insert((task.into(), attempt));
    }

    /// Notes that RunTask is called for this attempt.
    pub(crate) fn ask(&self, task: impl Into<TaskName>, attempt: u32) {
        self.lock().unasked.remove(&(task.into(), attempt));
    }

    /// Whether RunTask was certainly not called for this attempt.
    pub(crate) fn is_unasked(&self, task: impl Into<TaskName>, attempt: u32) -> bool {
        self.lock().unasked.contains(&(task.into(), attempt))
    }

    /// Notes that AWS has accepted a task.
    pub(crate) fn accepted(&self, quota: Quota, size: Size) {
        *self.lock().accepted_cpu.entry(quota).or_default() += size.cpu();
    }

    /// CPU units of the tasks that AWS has accepted against this quota.
    pub(crate) fn accepted_cpu(&self, quota: Quota) -> u32 {
        self.lock().accepted_cpu.get(&quota).copied().unwrap_or(0)
    }

    /// Notes that a runner has its slot of a rate.
    pub(crate) fn take_slot(&self, runner: &RunnerName, bucket: &Bucket) {
        self.lock().slots.insert((runner.clone(), bucket.clone()));
    }

    /// Notes that a runner's slot is used.
    pub(crate) fn use_slot(&self, runner: &RunnerName, bucket: &Bucket) {
        self.lock().slots.remove(&(runner.clone(), bucket.clone()));
    }

    pub(crate) fn has_slot(&self, runner: &RunnerName, bucket: &Bucket) -> bool {
        self.lock().slots.contains(&(runner.clone(), bucket.clone()))
    }

    pub(crate) fn level(&self, bucket: &Bucket) -> Option<Level> {
        self.lock().levels.get(bucket).copied()
    }

    /// Returns a bucket's level; `None` if it is full, or its level is of before the clock was set back.
    pub(crate) fn believed_level(&self, bucket: &Bucket, paces: &Paces, now: Timestamp) -> Option<Level> {
        let known = self.lock();
        let level = known.levels.get(bucket).copied()?;
        paces.believe(bucket, level, rests_until(&known.holds, bucket, now), now)
    }

    pub(crate) fn set_level(&self, bucket: &Bucket, level: Option<Level>) {
        let mut known = self.lock();
        match level {
            Some(level) => known.levels.insert(bucket.clone(), level),
            None => known.levels.remove(bucket),
        };
    }
}

/// How long a write may take until every read shows it.
const LANDS_WITHIN: SignedDuration = SignedDuration::from_secs(2);

/// A placement is held, and its probe is not due yet or is running already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotYet;

/// The only attempt in a held placement. Dropping it ends the probe.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    cache: &'a Cache,
    target: (Placement, Arch),
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.cache.lock().underway.asked.remove(&self.target);
    }
}

#[cfg(test)]
mod tests;
