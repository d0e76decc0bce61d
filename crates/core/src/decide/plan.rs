//! Plans what to do about open records: compares demand and supply of each pool.
//!
//! Demand is the jobs that are queued and not taken, supply the runners that are
//! starting or idle. A stolen runner, a cancelled job, a dead task or a lost event
//! needs no rule of its own: the next plan sees the changed numbers. No state is
//! kept here between two plans.

pub mod choose;
pub mod unservable;
mod order;
mod launcher;
mod failures;
pub mod held;
mod refusal;
mod resting;
mod slots;
mod pool;
mod doubts;
mod overdue;
mod warm;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasherDefault;

use jiff::{SignedDuration, Timestamp};

use crate::clock::last_done;
use crate::decide::readmit::readmit;
use crate::id::{Account, IdHasher, JobId, PoolId, RunnerName, SubnetId, Version, WarmName};
use crate::reason::{Code, Reason};
use crate::records::job::{Job, JobState};
use crate::records::open::Open;
use crate::records::runner::{EndingKind, Runner, RunnerState};
use crate::rules::Rules;
use crate::rules::image::ImageRules;
use crate::rules::pace::Bucket;
use crate::rules::pool::Scope;
use crate::wire::fault::Fault;
use doubts::{doubt_jobs, let_github_rest};
use launcher::Launcher;
pub use order::Order;
use overdue::retire_overdue;
use pool::PoolLevel;
pub use warm::{WarmOrder, WarmRetirement};

/// How long a booted runner may be idle while a job of its pool is queued before
/// it is doubtful, and how long a completed runner without a known job holds one
/// job's demand back.
pub const DOUBT: SignedDuration = SignedDuration::from_mins(2);

/// The time in which GitHub is asked about a bounded number of jobs.
const DOUBTS_WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// The most jobs that one plan judges again.
const MAX_READMITTED: usize = 100;
const SOON: SignedDuration = SignedDuration::from_secs(1);
/// The longest pause between two questions about a silent job.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// What launches need in addition to the limits.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The deployment's subnets; empty if there is no network to choose.
    pub subnets: &'a [SubnetId],
    /// Returns the account whose rate limit at GitHub counts a registration in that scope.
    pub account: &'a dyn Fn(&Scope) -> Account,
    /// What the deployment's own image is made of; `None` if there are no images to choose from.
    pub images: Option<&'a ImageRules>,
    /// How long it takes until the next plan: runners are launched for the slots of a pace that come until then.
    pub ahead: SignedDuration,
    /// Whether a runner has its slot of that rate already.
    pub has_slot: &'a dyn Fn(&RunnerName, &Bucket) -> bool,
}

impl fmt::Debug for Means<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").field("subnets", &self.subnets).finish_non_exhaustive()
    }
}

impl Default for Means<'_> {
    /// No network to choose, and one App installation for each owner.
    fn default() -> Self {
        Self {
            subnets: &[],
            account: &Scope::owner,
            images: None,
            ahead: SignedDuration::ZERO,
            has_slot: &|_, _| false,
        }
    }
}

/// What is to be done, each with its reason.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Plan {
    /// Runners to launch, the oldest job's first.
    pub launches: Vec<Launch>,
    /// Warm tasks to launch.
    pub warm_launches: Vec<WarmOrder>,
    /// Warm tasks to end.
    pub warm_retirements: Vec<WarmRetirement>,
    pub retirements: Vec<Retirement>,
    /// Runners whose surplus begins or ends.
    pub marks: Vec<Mark>,
    /// The reasons of queued jobs that get no runner now. They are not stored. To show them, make a plan.
    pub waits: Vec<Wait>,
    /// The next records of jobs whose obstacle is written down, at most one for each pool.
    pub held: Vec<Job>,
    /// Questions to GitHub, the most urgent first.
    pub questions: Vec<Question>,
    /// Jobs whose runner was to fail them, and failed another one: they may get one more.
    pub missed: Vec<JobId>,
    /// The next records of jobs that the catalogue judges in another way than before.
    pub readmitted: Vec<Job>,
    /// Jobs that should be failed and cannot be, and why.
    pub left: Vec<Wait>,
    /// Held scopes in which a registration is to be tried.
    pub probes: Vec<Probe>,
    /// When this plan will change by time alone.
    pub next_at: Option<Timestamp>,
}

/// A runner to launch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// The job for which it is launched.
    pub job: JobId,
    /// That job's version when the plan was made: the launch is valid only if the
    /// job has not changed.
    pub job_version: Version,
    /// What to launch; the runner gets its name when it is reserved.
    pub order: Order,
    /// The warm task that it takes over; `None` if it gets a task of its own.
    pub warm: Option<WarmName>,
    pub reason: Reason,
}

/// A runner to retire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retirement {
    pub runner: RunnerName,
    pub kind: EndingKind,
    pub reason: Reason,
    pub fault: Option<Fault>,
}

/// A runner's surplus begins or ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    pub runner: RunnerName,
    /// Since when it has been surplus; `None` if it no longer is.
    pub surplus_since: Option<Timestamp>,
}

/// A queued job, and why it waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    pub job: JobId,
    pub reason: Reason,
}

/// A scope in which a registration is to be tried: one for each account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    pub scope: Scope,
    pub account: Account,
    /// Of the scope, in a row. The scope that failed least shows best whether its account is at fault.
    pub failures: u32,
}

/// A question to GitHub.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Question {
    /// Whether a job is still queued.
    Job {
        job: JobId,
        /// The runner that completed an unknown job, if the question is asked for it.
        on_behalf_of: Option<RunnerName>,
    },
    /// What started the job's run, and from where.
    Run(JobId),
    /// Whether a runner is registered, and whether it is busy.
    Runner(RunnerName),
}

/// Jobs that an open runner names, with that runner.
type Taken<'a> = HashMap<JobId, &'a Runner, BuildHasherDefault<IdHasher>>;

/// Compares demand with supply, and returns what to do.
#[must_use]
pub fn plan(open: &Open, rules: Rules<'_>, means: Means<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let mut taken = Taken::with_capacity_and_hasher(open.runners.len(), BuildHasherDefault::default());
    taken.extend(open.runners.values().filter_map(|runner| Some((runner.names_job()?, runner))));
    let mut levels: HashMap<&PoolId, PoolLevel<'_>, BuildHasherDefault<IdHasher>> = HashMap::default();
    let named: HashSet<JobId> = taken.keys().copied().collect();
    let underway = failures::underway(open, rules, means, &named, now, &mut plan);
    // A busy runner is no supply, nor is one that fails its job.
    let is_level =
        |runner: &&Runner| !matches!(runner.state, RunnerState::Busy { .. }) && !runner.facts.fails;
    for runner in open.runners.values().filter(is_level) {
        levels.entry(&runner.facts.pool).or_default().add_runner(runner, now);
    }
    for job in open.jobs.values() {
        let JobState::Queued { assignment, wait } = &job.state else { continue };
        if taken.contains_key(&job.id()) {
            continue;
        }
        if underway.contains(&job.id()) {
            plan.wait(job, Code::RunnerStarting.into());
            continue;
        }
        if let Some(question) = unadmitted(job, wait) {
            plan.ask(question, job.asked_at, now);
            plan.wait(job, wait.clone());
            continue;
        }
        levels.entry(&assignment.pool).or_default().jobs.push(job);
    }
    doubt_jobs(open, &taken, rules, now, &mut plan);
    let mut deficits = Vec::new();
    let waits_for_github = |runner: &Runner| resting::waits_for(runner, open, means).map(resting::reason);
    for level in levels.values_mut() {
        let grace = rules.settings.limits.surplus_grace();
        deficits.push(level.compare(&mut plan, grace, &waits_for_github, now));
    }
    retire_overdue(open, rules, now, &mut plan);
    let is_short = deficits.iter().any(|of_pool| !of_pool.is_empty());
    let is_reserved = || !open.holds.is_empty() && open.runners.values().any(Runner::awaits_task);
    let is_refused = || open.jobs.values().any(Job::is_refused);
    let concerns_warm = warm::concerns(open, rules);
    if is_short || is_reserved() || concerns_warm || is_refused() {
        let mut launcher = Launcher::new(open, rules, means, now);
        launcher.probe_for_reserved(&mut plan);
        launcher.launch_oldest_first(deficits, &mut plan);
        failures::fail(open, &(&named | &underway), &mut launcher, &mut plan);
        if concerns_warm {
            warm::level(&mut launcher, &mut plan);
        }
        resting::make_room(&launcher, &mut plan);
    }
    plan.held = held::newly_held(open, &plan.waits, now);
    let_github_rest(open, rules, means, now, &mut plan);
    // The order of maps is arbitrary; a plan's order is not.
    plan.retirements.sort_unstable_by(|a, b| a.runner.cmp(&b.runner));
    plan.marks.sort_unstable_by(|a, b| a.runner.cmp(&b.runner));
    plan.warm_retirements.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    plan.waits.sort_unstable_by_key(|wait| wait.job);
    plan
}

/// Returns the reason why each queued job waits. It is shown and not stored.
#[must_use]
pub fn reasons_to_wait(
    open: &Open,
    rules: Rules<'_>,
    means: Means<'_>,
    now: Timestamp,
) -> HashMap<JobId, Reason> {
    let plan = plan(open, rules, means, now);
    let waits = plan.waits.into_iter().map(|wait| (wait.job, wait.reason));
    waits.chain(plan.launches.into_iter().map(|launch| (launch.job, Code::RunnerStarting.into()))).collect()
}

/// Returns the question to ask GitHub before a queued job counts as demand.
fn unadmitted(job: &Job, wait: &Reason) -> Option<Question> {
    match wait.code() {
        Code::ToConfirm => Some(Question::Job { job: job.id(), on_behalf_of: None }),
        Code::ToCheck => Some(Question::Run(job.id())),
        _ => None,
    }
}

impl Plan {
    /// Adds a question, unless GitHub was asked the same less than [`DOUBT`] ago.
    fn ask(&mut self, question: Question, asked_at: Option<Timestamp>, now: Timestamp) {
        match last_done(asked_at, now).map(|asked| asked + DOUBT) {
            Some(again) if now < again => self.wake_at(again),
            _ => self.questions.push(question),
        }
    }

    /// Ends a runner, whatever else is planned of it: each record is written once.
    fn retire(&mut self, retirement: Retirement) {
        self.retirements.retain(|other| other.runner != retirement.runner);
        self.marks.retain(|mark| mark.runner != retirement.runner);
        self.retirements.push(retirement);
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }

    fn wait(&mut self, job: &Job, reason: Reason) {
        self.waits.push(Wait { job: job.id(), reason });
    }

    /// Judges a job again. Each plan changes few records for that.
    fn judge_again(&mut self, job: &Job, rules: Rules<'_>, now: Timestamp) {
        if self.readmitted.len() >= MAX_READMITTED {
            self.wake_at(now + SOON);
        } else {
            self.readmitted.extend(readmit(job, rules, now));
        }
    }

    /// Tries a registration in the scope, unless another scope of its account is tried that failed less.
    fn probe(&mut self, probe: Probe) {
        match self.probes.iter_mut().find(|other| other.account == probe.account) {
            None => self.probes.push(probe),
            Some(other) if probe.failures < other.failures => *other = probe,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
pub(in crate::decide) mod tests;
