//! Which jobs that cannot be served are failed now: by one runner each, which serves no job.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::launcher::Launcher;
use super::{DOUBT, LONGEST_PAUSE, Plan, Question, Retirement, Wait};
use crate::id::{JobId, PoolId, Repository};
use crate::reason::{Code, Reason};
use crate::records::job::{Failing, Job, JobStage, JobState};
use crate::records::open::Open;
use crate::records::runner::{EndingKind, Runner, RunnerStage};
use crate::rules::pace::{Bucket, Level};
use crate::rules::pool::Pool;
use crate::rules::settings::{OnFailure, Settings};

/// How long a job is held before it is failed.
const HELD: SignedDuration = SignedDuration::from_hours(6);
/// How long a job waits for capacity before it is failed. GitHub ends it after 24 hours.
const NO_CAPACITY: SignedDuration = SignedDuration::from_hours(23);
/// If jobs of more repositories are in the same situation, none is failed: its cause is not in the jobs.
const MAX_REPOSITORIES: usize = 3;
/// How long GitHub's answer that a job is still queued counts.
const CONFIRMED: SignedDuration = SignedDuration::from_mins(10);
/// The most questions and launches for such jobs in one plan.
const MAX_AT_ONCE: usize = 20;

/// Returns the queued jobs that a runner is about to fail: they are no demand. Retires such runners that no job is left
/// for. A job is missed if its runner failed another job, which had none.
pub(super) fn underway(
    open: &Open,
    settings: &Settings,
    taken: &HashSet<JobId>,
    plan: &mut Plan,
) -> HashSet<JobId> {
    let mut supply: HashMap<&PoolId, Vec<&Runner>> = HashMap::new();
    for runner in open.runners.values().filter(|runner| runner.facts.fails && runner.is_supply()) {
        supply.entry(&runner.facts.pool).or_default().push(runner);
    }
    let mut underway = HashSet::new();
    for (pool, mut runners) in supply {
        // GitHub may give a runner another job of its pool: the runner of that job is then for this one.
        let is_to_fail = |job: &&Job| {
            let is_own = || runners.iter().any(|runner| runner.facts.launched_for == job.id());
            let is_left = job.is_queued() && !taken.contains(&job.id());
            is_left && (is_own() || job.had_failing_runner() && pool_of(job, settings) == *pool)
        };
        let mut jobs: Vec<&Job> = open.jobs.values().filter(is_to_fail).collect();
        jobs.sort_unstable_by_key(|job| (job.created_at, job.id()));
        underway.extend(jobs.iter().take(runners.len()).map(|job| job.id()));
        let (needed, count) = (jobs.len(), runners.len());
        // The youngest unbooted runners go first.
        runners.sort_unstable_by_key(|runner| {
            (runner.stage() == RunnerStage::Booted, std::cmp::Reverse(runner.timeline.began()), runner.name())
        });
        for runner in runners.iter().take(count.saturating_sub(needed)) {
            plan.retirements.push(Retirement {
                runner: runner.name().clone(),
                kind: EndingKind::Surplus,
                reason: Reason::with(Code::Surplus, format_args!("{count}, demand {needed}")),
                fault: None,
            });
        }
    }
    miss(open, settings, &(taken | &underway), plan);
    underway
}

fn miss(open: &Open, settings: &Settings, covered: &HashSet<JobId>, plan: &mut Plan) {
    let mut strayed: Vec<(&PoolId, Timestamp)> = Vec::new();
    for runner in open.runners.values().filter(|runner| runner.facts.fails) {
        if runner.names_job().is_some_and(|job| job != runner.facts.launched_for) {
            strayed.push((&runner.facts.pool, runner.timeline.latest()));
        }
    }
    for job in open.jobs.values() {
        let Some(Failing::Launched { at, .. }) = &job.failing else { continue };
        if strayed.is_empty() || !job.is_queued() || covered.contains(&job.id()) {
            continue;
        }
        let pool = pool_of(job, settings);
        if let Some(i) = strayed.iter().position(|(other, since)| **other == pool && since >= at) {
            strayed.swap_remove(i);
            plan.missed.push(job.id());
        }
    }
}

/// A job that cannot be served, and why.
struct Unserved<'a> {
    job: &'a Job,
    reason: Reason,
    due: Timestamp,
}

/// Adds the questions and launches for jobs whose time has come.
/// Jobs in `taken` have a runner.
pub(super) fn fail<'a>(open: &'a Open, taken: &HashSet<JobId>, launcher: &mut Launcher<'a>, plan: &mut Plan) {
    let (settings, now) = (launcher.rules().settings, launcher.now());
    let OnFailure::FailJob { after_minutes } = settings.on_failure else { return };
    let after = SignedDuration::from_mins(i64::from(after_minutes));
    let mut jobs = refused(open, taken, after);
    jobs.extend(held(open, &plan.waits, after));
    let (due, later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|unserved| unserved.due <= now);
    later.iter().for_each(|unserved| plan.wake_at(unserved.due));
    let mut due: Vec<Unserved<'_>> = due;
    due.sort_unstable_by_key(|unserved| (unserved.job.created_at, unserved.job.id()));
    let mut slots = Slots { open, now, free: BTreeMap::new() };
    let mut at_once = 0;
    for unserved in due {
        if settings.paused || at_once >= MAX_AT_ONCE {
            break;
        }
        if let Err(reason) = launcher.can_fail(unserved.job, &unserved.reason, plan) {
            plan.left.push(Wait { job: unserved.job.id(), reason });
            continue;
        }
        if !slots.take(&unserved.job.facts.repository, plan) {
            continue;
        }
        at_once += 1;
        if is_confirmed(unserved.job, now) && could_take_another(open, taken, unserved.job, settings) {
            plan.wake_at(now + DOUBT);
            continue;
        }
        advance(&unserved, settings, launcher, plan);
    }
}

/// Makes the next step towards the runner that fails the job: GitHub is asked twice before.
fn advance<'a>(unserved: &Unserved<'a>, settings: &Settings, launcher: &mut Launcher<'a>, plan: &mut Plan) {
    let (job, now) = (unserved.job, launcher.now());
    match &job.failing {
        None => ask(unserved, Question::Run(job.id()), now, plan),
        Some(Failing::Confirmed(_) | Failing::Reserved { .. }) if is_confirmed(job, now) => {
            match launcher.launch_to_fail(job, &pool_of(job, settings), &unserved.reason, plan) {
                Ok(launch) => {
                    plan.waits.retain(|wait| wait.job != job.id());
                    plan.launches.push(launch);
                }
                Err(reason) => plan.left.push(Wait { job: job.id(), reason }),
            }
        }
        Some(Failing::Allowed | Failing::Confirmed(_) | Failing::Reserved { .. }) => {
            let question = Question::Job { job: job.id(), on_behalf_of: None };
            ask(unserved, question, now, plan);
        }
        Some(Failing::Launched { .. }) => {}
    }
}

fn is_confirmed(job: &Job, now: Timestamp) -> bool {
    match &job.failing {
        Some(Failing::Confirmed(at) | Failing::Reserved { at, .. }) => now < *at + CONFIRMED,
        _ => false,
    }
}

/// Whether GitHub could give the runner a queued job that asks for fewer labels, and that other runners serve.
fn could_take_another(open: &Open, taken: &HashSet<JobId>, job: &Job, settings: &Settings) -> bool {
    let scope_of = |job: &Job| settings.registration.scope(&job.facts.repository);
    let (scope, labels) = (scope_of(job), &job.facts.labels);
    open.jobs.values().any(|other| {
        matches!(other.state, JobState::Queued { .. })
            && other.facts.labels != *labels
            && labels.is_superset(&other.facts.labels)
            && !taken.contains(&other.id())
            && scope_of(other) == scope
    })
}

/// Returns the pool whose runners GitHub can give the job to.
fn pool_of(job: &Job, settings: &Settings) -> PoolId {
    match job.assignment() {
        Some(assignment) => assignment.pool.clone(),
        None => {
            let scope = settings.registration.scope(&job.facts.repository);
            Pool { scope, labels: job.facts.labels.clone() }.id()
        }
    }
}

/// Asks GitHub, ever more seldom the longer it has had no useful answer.
fn ask(unserved: &Unserved<'_>, question: Question, now: Timestamp, plan: &mut Plan) {
    let pause = |asked: Timestamp| (asked.duration_since(unserved.due) / 2).clamp(DOUBT, LONGEST_PAUSE);
    // A question from before it was due was another one.
    let asked = unserved.job.asked_at.filter(|asked| *asked >= unserved.due);
    match asked.map(|asked| asked + pause(asked)) {
        Some(again) if now < again => plan.wake_at(again),
        _ if plan.questions.contains(&question) => {}
        _ => plan.questions.push(question),
    }
}

/// Returns the refused jobs that are to be failed.
fn refused<'a>(open: &'a Open, taken: &HashSet<JobId>, after: SignedDuration) -> Vec<Unserved<'a>> {
    let unserved = |job: &'a Job| {
        let JobState::Refused { reason } = &job.state else { return None };
        let since = job.timeline.last_at(JobStage::Refused)?;
        let is_left = job.had_failing_runner() || taken.contains(&job.id());
        (!is_left).then(|| Unserved { job, reason: reason.clone(), due: since + after })
    };
    open.jobs.values().filter_map(unserved).collect()
}

/// Returns the queued jobs that are to be failed if they still wait for the same reason when their time has come.
fn held<'a>(open: &'a Open, waits: &[Wait], after: SignedDuration) -> Vec<Unserved<'a>> {
    let mut repositories: HashMap<Code, HashSet<&Repository>> = HashMap::new();
    let mut unserved = Vec::new();
    for wait in waits {
        let pause = match wait.reason.code() {
            // The class was removed since.
            Code::ClassUnknown => after,
            Code::ScopeHeld | Code::ClassHeld | Code::PoolHeld | Code::PoolUnused => HELD,
            Code::NoCapacity => NO_CAPACITY,
            _ => continue,
        };
        let Some(job) = open.jobs.get(&wait.job) else { continue };
        repositories.entry(wait.reason.code()).or_default().insert(&job.facts.repository);
        if job.had_failing_runner() {
            continue;
        }
        let since = job.timeline.last_at(JobStage::Queued).unwrap_or(job.created_at);
        unserved.push(Unserved { job, reason: wait.reason.clone(), due: since + pause });
    }
    let is_incident = |code| repositories.get(&code).is_some_and(|of| of.len() > MAX_REPOSITORIES);
    unserved.retain(|unserved| !is_incident(unserved.reason.code()));
    unserved
}

/// The runners of this kind that a repository may still get within the hour.
struct Slots<'a> {
    open: &'a Open,
    now: Timestamp,
    free: BTreeMap<Repository, usize>,
}

impl Slots<'_> {
    /// Takes a slot; false if there is none.
    fn take(&mut self, repository: &Repository, plan: &mut Plan) -> bool {
        let levels = &self.open.levels;
        let now = self.now;
        let taken_until = |bucket: Bucket| levels.get(&bucket).map(|Level(at)| *at).filter(|at| *at > now);
        let free = self.free.entry(repository.clone()).or_insert_with(|| {
            Bucket::failures(repository).filter(|b| taken_until(b.clone()).is_none()).count()
        });
        match free.checked_sub(1) {
            Some(left) => {
                *free = left;
                true
            }
            None => {
                if let Some(at) = Bucket::failures(repository).filter_map(taken_until).min() {
                    plan.wake_at(at);
                }
                false
            }
        }
    }
}
