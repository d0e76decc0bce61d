//! Plans what to do about open records: compares demand and supply of each pool.
//!
//! Demand is the jobs that are queued and not taken, supply the runners that are
//! starting or idle. A stolen runner, a cancelled job, a dead task or a lost event
//! needs no rule of its own: the next plan sees the changed numbers. No state is
//! kept here between two plans.

pub mod choose;
mod launcher;
mod failures;
mod slots;
mod pool;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasherDefault;

use jiff::{SignedDuration, Timestamp};

use crate::id::{
    Account, ClassName, Epoch, IdHasher, JobId, PoolId, Repository, RunnerName, SubnetId, Version,
};
use crate::reason::{Code, Reason};
use crate::records::hold::Held;
use crate::records::job::{Job, JobState};
use crate::records::open::Open;
use crate::records::runner::{EndingKind, Runner, RunnerFacts, RunnerStage, RunnerState};
use crate::records::timeline::Timeline;
use crate::rules::Rules;
use crate::rules::class::size::Size;
use crate::rules::labels::Labels;
use crate::rules::limits::{WaitLimits, longest_work};
use crate::rules::pace::Bucket;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::wire::fault::Fault;
use crate::wire::job::TakenBy;
use launcher::Launcher;
use pool::PoolLevel;

/// How long a booted runner may be idle while a job of its pool is queued before
/// it is doubtful, and how long a completed runner without a known job holds one
/// job's demand back.
pub const DOUBT: SignedDuration = SignedDuration::from_mins(2);

/// How long a job may be queued, or wait for an approval, before GitHub is asked about it.
const SILENCE_OF_QUEUED: SignedDuration = SignedDuration::from_mins(5);
/// How long a refused job may be queued before GitHub is asked about it.
const SILENCE_OF_REFUSED: SignedDuration = SignedDuration::from_hours(1);
/// How long after its runner's end a job's `completed` may take before GitHub is asked.
const SILENCE_OF_ENDED: SignedDuration = SignedDuration::from_secs(10);
/// How long a job may run on a runner of ours before GitHub is asked: its `completed` may be lost, and its code may keep
/// the runner from ending.
const SILENCE_OF_RUNNING: SignedDuration = SignedDuration::from_hours(1);
/// How long a job may run on a foreign runner before GitHub is asked; GitHub ends it after five days.
const SILENCE_OF_OTHERS: SignedDuration = SignedDuration::from_hours(6);

/// The most jobs that GitHub is asked about within [`DOUBTS_WITHIN`]. Each costs
/// one of GitHub's 5,000 or more requests an hour.
const MAX_DOUBTS: usize = 20;
const DOUBTS_WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause between two questions about a silent job.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

const NEVER_STARTED: &str = "its task was accepted, and its container never ran";

/// What launches need in addition to the limits.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The deployment's subnets; empty if there is no network to choose.
    pub subnets: &'a [SubnetId],
    /// Returns the account whose rate limit at GitHub counts a registration in that scope.
    pub account: &'a dyn Fn(&Scope) -> Account,
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
        Self { subnets: &[], account: &Scope::owner, ahead: SignedDuration::ZERO, has_slot: &|_, _| false }
    }
}

/// What is to be done, each with its reason.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Plan {
    /// Runners to launch, the oldest job's first.
    pub launches: Vec<Launch>,
    pub retirements: Vec<Retirement>,
    /// Runners whose surplus begins or ends.
    pub marks: Vec<Mark>,
    /// The reasons of queued jobs that get no runner now. They are not stored. To show them, make a plan.
    pub waits: Vec<Wait>,
    /// Questions to GitHub, the most urgent first.
    pub questions: Vec<Question>,
    /// Jobs whose runner was to fail them, and failed another one: they may get one more.
    pub missed: Vec<JobId>,
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
    pub reason: Reason,
}

/// The facts of a runner that has no name yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    class: ClassName,
    size: Size,
    placement: Placement,
    pool: PoolId,
    scope: Scope,
    labels: Labels,
    repository: Repository,
    launched_for: JobId,
    max_job_minutes: u32,
    wait_limits: WaitLimits,
    image: Option<String>,
    exec: bool,
    probe: bool,
    fails: bool,
}

impl Order {
    /// Whether the runner is to fail a job that cannot be served.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.fails
    }

    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    #[must_use]
    pub fn pool(&self) -> &PoolId {
        &self.pool
    }

    /// Returns the record of the reserved runner.
    #[must_use]
    pub fn reserve(&self, name: RunnerName, epoch: Epoch, at: Timestamp) -> Runner {
        let Self {
            class,
            size,
            placement,
            pool,
            scope,
            labels,
            repository,
            launched_for,
            max_job_minutes,
            wait_limits,
            image,
            exec,
            probe,
            fails,
        } = self.clone();
        Runner {
            facts: RunnerFacts {
                name,
                class,
                size,
                pool,
                scope,
                labels,
                repository,
                launched_for,
                max_job_minutes,
                wait_limits: Some(wait_limits),
                image,
                exec,
                fails,
            },
            version: Version::FIRST,
            epoch,
            timeline: Timeline::begin(RunnerStage::Reserved, at),
            surplus_since: None,
            placement,
            probe,
            retry: None,
            asked_at: None,
            state: RunnerState::Reserved { attempt: 1 },
        }
    }
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
    let underway = failures::underway(open, rules.settings, &named, &mut plan);
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
    for level in levels.values_mut() {
        deficits.push(level.compare(&mut plan, rules.settings.limits.surplus_grace(), now));
    }
    retire_overdue(open, rules, now, &mut plan);
    let is_short = deficits.iter().any(|of_pool| !of_pool.is_empty());
    let is_reserved = || !open.holds.is_empty() && open.runners.values().any(Runner::awaits_task);
    let is_refused = || open.jobs.values().any(|job| matches!(job.state, JobState::Refused { .. }));
    if is_short || is_reserved() || is_refused() {
        let mut launcher = Launcher::new(open, rules, means, now);
        launcher.probe_for_reserved(&mut plan);
        launcher.launch_oldest_first(deficits, &mut plan);
        failures::fail(open, &(&named | &underway), &mut launcher, &mut plan);
    }
    let_github_rest(open, rules, means, now, &mut plan);
    // The order of maps is arbitrary; a plan's order is not.
    plan.retirements.sort_unstable_by(|a, b| a.runner.cmp(&b.runner));
    plan.marks.sort_unstable_by(|a, b| a.runner.cmp(&b.runner));
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

/// Asks about jobs whose webhooks may have been lost: their runner has ended
/// without a `completed`, or nothing has been heard of them for long.
fn doubt_jobs(open: &Open, taken: &Taken<'_>, rules: Rules<'_>, now: Timestamp, plan: &mut Plan) {
    // The runner of a job usually names it, so it is found without a search by name.
    let runner_of = |job: &Job, name: &RunnerName| {
        let naming = taken.get(&job.id()).copied().filter(|runner| runner.name() == name);
        naming.or_else(|| open.runners.get(name))
    };
    let mut due = Vec::new();
    for job in open.jobs.values() {
        let since = job.timeline.latest();
        let doubted = match &job.state {
            JobState::Waiting => since + SILENCE_OF_QUEUED,
            // This job is asked about anyway.
            JobState::Queued { wait, .. } if unadmitted(job, wait).is_some() => continue,
            JobState::Queued { .. } => since + SILENCE_OF_QUEUED,
            JobState::Refused { .. } => since + SILENCE_OF_REFUSED,
            JobState::InProgress { runner: TakenBy::Other(_), .. } => since + SILENCE_OF_OTHERS,
            JobState::InProgress { runner: TakenBy::Ours(name), .. } => match runner_of(job, name) {
                Some(runner) => match runner.stopped_at() {
                    Some(stopped) => stopped.max(since) + SILENCE_OF_ENDED,
                    None => since + SILENCE_OF_RUNNING,
                },
                None if name.belongs_to(&rules.settings.deployment) => since + SILENCE_OF_ENDED,
                // A runner of another deployment.
                None => since + SILENCE_OF_OTHERS,
            },
        };
        // The longer a job has been silent, the longer is the pause between questions.
        let pause = |asked: Timestamp| (asked.duration_since(since) / 2).clamp(DOUBT, LONGEST_PAUSE);
        // An answer from before the job became doubtful does not count.
        let asked = job.asked_at.filter(|asked| *asked >= doubted);
        let at = asked.map_or(doubted, |asked| asked + pause(asked));
        if now < at {
            plan.wake_at(at);
        } else {
            due.push((urgency(job, doubted), at, job.id()));
        }
    }
    if due.is_empty() {
        return;
    }
    let lately = open.jobs.values().filter_map(|job| job.asked_at).filter(|at| now < *at + DOUBTS_WITHIN);
    let (mut free, mut first) = (MAX_DOUBTS, None);
    for asked in lately {
        free = free.saturating_sub(1);
        first = Some(first.map_or(asked, |first: Timestamp| first.min(asked)));
    }
    if due.len() > free {
        plan.wake_at(first.unwrap_or(now) + DOUBTS_WITHIN);
        due.select_nth_unstable(free);
        due.truncate(free);
    }
    due.sort_unstable();
    let asked = due.into_iter();
    plan.questions.extend(asked.map(|(_, _, job)| Question::Job { job, on_behalf_of: None }));
}

/// The rank among jobs that GitHub is asked about: those whose runner has ended come first, then those that wait, then
/// refused ones, and at last those that run.
fn urgency(job: &Job, doubted: Timestamp) -> u8 {
    match &job.state {
        JobState::Waiting | JobState::Queued { .. } => 1,
        JobState::Refused { .. } => 2,
        JobState::InProgress { .. } if doubted == job.timeline.latest() + SILENCE_OF_RUNNING => 3,
        JobState::InProgress { .. } => 0,
    }
}

/// Retires runners whose container never ran, and runners that live longer than
/// all limits of their agent together.
fn retire_overdue(open: &Open, rules: Rules<'_>, now: Timestamp, plan: &mut Plan) {
    for runner in open.runners.values() {
        let limits = runner.facts.wait_limits.unwrap_or_else(|| rules.settings.limits.waiting());
        let max_job_minutes = runner.facts.max_job_minutes;
        let overdue = match &runner.state {
            RunnerState::Reserved { .. } => continue,
            // Its agent has not begun, so it cannot end by itself.
            RunnerState::Starting { .. } => {
                let Some(started) = runner.launched_at() else { continue };
                let reason = Reason::with(Code::BootFailed, NEVER_STARTED);
                let fault = Some(Fault::NeverStarted);
                (started + limits.longest_start(), EndingKind::BootFailed, reason, fault)
            }
            RunnerState::Ending(ending) if ending.kind.overrides_job() || !runner.takes_slot() => continue,
            _ => {
                let booted = runner.timeline.at(RunnerStage::Booted);
                let Some(started) = booted.or_else(|| runner.launched_at()) else { continue };
                let until = match runner.timeline.at(RunnerStage::Busy) {
                    Some(busy) => busy + longest_work(max_job_minutes),
                    None => started + limits.longest_life(max_job_minutes),
                };
                (until, EndingKind::JobTimeout, Code::JobTimeout.into(), None)
            }
        };
        let (overdue, kind, reason, fault) = overdue;
        if now < overdue {
            plan.wake_at(overdue);
            continue;
        }
        // Each record is written once, and this retirement takes precedence.
        plan.retirements.retain(|retirement| retirement.runner != *runner.name());
        plan.marks.retain(|mark| mark.runner != *runner.name());
        plan.retirements.push(Retirement { runner: runner.name().clone(), kind, reason, fault });
    }
}

/// Drops the questions to an account that GitHub asked to rest, or that gets no answer, until then.
fn let_github_rest(open: &Open, rules: Rules<'_>, means: Means<'_>, now: Timestamp, plan: &mut Plan) {
    let scope_of = |question: &Question| match question {
        Question::Job { job, .. } | Question::Run(job) => {
            open.jobs.get(job).map(|job| rules.settings.registration.scope(&job.facts.repository))
        }
        Question::Runner(name) => open.runners.get(name).map(|runner| runner.facts.scope.clone()),
    };
    let (mut resting_until, mut tried) = (None, HashSet::new());
    let earlier = |one: Option<Timestamp>, other: Timestamp| Some(one.map_or(other, |one| one.min(other)));
    plan.questions.retain(|question| {
        let Some(scope) = scope_of(question) else { return true };
        let account = (means.account)(&scope);
        let holds = [Held::Account(account.clone()), Held::Scope(scope.clone())];
        let unanswered = holds.iter().filter_map(|held| open.holds.get(held));
        if let Some(hold) =
            unanswered.filter(|hold| hold.fault.rests_github()).max_by_key(|hold| hold.not_before)
        {
            // One question shows whether GitHub answers again.
            let is_due = now >= hold.not_before && tried.insert(account);
            if !is_due {
                resting_until = earlier(resting_until, hold.not_before.max(now + DOUBT));
            }
            return is_due;
        }
        true
    });
    if let Some(at) = resting_until {
        plan.wake_at(at);
    }
}

impl Plan {
    /// Adds a question, unless GitHub was asked the same less than [`DOUBT`] ago.
    fn ask(&mut self, question: Question, asked_at: Option<Timestamp>, now: Timestamp) {
        match asked_at.map(|asked| asked + DOUBT) {
            Some(again) if now < again => self.wake_at(again),
            _ => self.questions.push(question),
        }
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }

    fn wait(&mut self, job: &Job, reason: Reason) {
        self.waits.push(Wait { job: job.id(), reason });
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
mod tests;
