//! Which jobs that cannot be served are failed now: by one runner each, which serves no job.

mod underway;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::launcher::Launcher;
use super::refusal::{Blocked, HeldBy};
use super::{DOUBT, DOUBTS_WITHIN, LONGEST_PAUSE, Plan, Question, Wait};
use crate::clock::{has_passed, last_done};
use crate::decide::fail::is_surely_ours;
use crate::id::{JobId, PoolId, Repository};
use crate::reason::{Code, Reason};
use crate::records::job::{Failing, Job, JobStage, JobState};
use crate::records::open::Open;
use crate::rules::labels::Labels;
use crate::rules::pace::{Bucket, Level, Paces};
use crate::rules::pool::{Pool, Scope};
use crate::rules::settings::{OnFailure, Settings};
pub(super) use underway::underway;

/// How long a job is held before it is failed.
const HELD: SignedDuration = SignedDuration::from_hours(6);
/// How long a job waits for capacity before it is failed. GitHub ends it after 24 hours.
const NO_CAPACITY: SignedDuration = SignedDuration::from_hours(23);
/// If jobs of more repositories wait for the same cause, none is failed: the cause is not in the jobs.
const MAX_REPOSITORIES: usize = 3;
/// How long a job waits for a cause until it counts for [`MAX_REPOSITORIES`]: what is held is tried more often.
const WAITED: SignedDuration = SignedDuration::from_mins(15);
/// How long GitHub's answer that a job is still queued counts.
const CONFIRMED: SignedDuration = SignedDuration::from_mins(10);
/// The most questions, and the most launches, for such jobs in one plan.
const MAX_AT_ONCE: usize = 20;

/// A job that cannot be served, and why.
struct Unserved<'a> {
    job: &'a Job,
    reason: Reason,
    due: Timestamp,
    /// Whether it is not failed: many repositories wait for the same cause, or it may be meant for others' runners.
    is_left: bool,
}

/// What was done in a plan for a job that is due.
enum Step {
    /// A question or a launch was added.
    Made,
    /// GitHub has confirmed it, and there is no room for its runner.
    NoRoom,
    /// GitHub was asked, and is asked again later.
    Waits,
}

/// Adds the questions and launches for jobs whose time has come. Jobs in `taken` have a runner.
pub(super) fn fail<'a>(open: &'a Open, taken: &HashSet<JobId>, launcher: &mut Launcher<'a>, plan: &mut Plan) {
    let (rules, now) = (launcher.rules(), launcher.now());
    let settings = rules.settings;
    let is_left = |job: &&Job| job.is_refused() && !taken.contains(&job.id());
    for job in open.jobs.values().filter(is_left) {
        plan.judge_again(job, rules, now);
    }
    let OnFailure::FailJob { after_minutes } = settings.on_failure else { return };
    let after = SignedDuration::from_mins(i64::from(after_minutes));
    let readmitted: HashSet<JobId> = plan.readmitted.iter().map(Job::id).collect();
    let mut jobs = refused(open, taken, after);
    jobs.extend(held(launcher.blocked(), settings, now));
    jobs.retain(|unserved| !readmitted.contains(&unserved.job.id()));
    let (mut due, later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|unserved| unserved.due <= now);
    later.iter().for_each(|unserved| plan.wake_at(unserved.due));
    if settings.paused || due.is_empty() {
        return;
    }
    due.sort_unstable_by_key(|unserved| (unserved.job.created_at, unserved.job.id()));
    let served = Served::of(open, taken, settings);
    let mut slots = Slots { open, paces: &settings.paces, now, free: BTreeMap::new() };
    // Questions that GitHub answered to no avail count for a while, so that many jobs do not use up its limit.
    let in_vain = |unserved: &&Unserved<'_>| {
        let asked = last_done(unserved.job.asked_at, now).filter(|asked| now < *asked + DOUBTS_WITHIN);
        asked.is_some() && !is_confirmed(unserved.job, now)
    };
    let (mut questions, mut launches) = (due.iter().filter(in_vain).count(), 0);
    for unserved in due {
        let job = unserved.job;
        let left = |reason| Wait { job: job.id(), reason };
        if unserved.is_left {
            plan.left.push(left(unserved.reason));
            continue;
        }
        if let Err(reason) = launcher.can_fail(job, &unserved.reason, plan) {
            plan.left.push(left(reason));
            continue;
        }
        let made = if is_confirmed(job, now) { &mut launches } else { &mut questions };
        if *made >= MAX_AT_ONCE {
            plan.wake_at(now + DOUBTS_WITHIN);
            continue;
        }
        if served.could_take(job, settings) {
            plan.wake_at(now + DOUBT);
            continue;
        }
        if !slots.is_free(&job.facts.repository, plan) {
            continue;
        }
        match advance(&unserved, settings, launcher, plan) {
            Step::Made => *made += 1,
            Step::NoRoom => {}
            Step::Waits => continue,
        }
        slots.take(&job.facts.repository);
    }
}

/// Makes the next step towards the runner that fails the job: GitHub is asked twice before.
fn advance<'a>(
    unserved: &Unserved<'a>,
    settings: &Settings,
    launcher: &mut Launcher<'a>,
    plan: &mut Plan,
) -> Step {
    let (job, now) = (unserved.job, launcher.now());
    match &job.failing {
        None => ask(unserved, Question::Run(job.id()), now, plan),
        Some(Failing::Confirmed(_) | Failing::Reserved { .. }) if is_confirmed(job, now) => {
            match launcher.launch_to_fail(job, &pool_of(job, settings), &unserved.reason, plan) {
                Ok(launch) => {
                    plan.waits.retain(|wait| wait.job != job.id());
                    plan.launches.push(launch);
                    Step::Made
                }
                Err(reason) => {
                    plan.left.push(Wait { job: job.id(), reason });
                    Step::NoRoom
                }
            }
        }
        Some(Failing::Allowed | Failing::Confirmed(_) | Failing::Reserved { .. }) => {
            let question = Question::Job { job: job.id(), on_behalf_of: None };
            ask(unserved, question, now, plan)
        }
        Some(Failing::Launched { .. }) => Step::Waits,
    }
}

fn is_confirmed(job: &Job, now: Timestamp) -> bool {
    match &job.failing {
        Some(Failing::Confirmed(at) | Failing::Reserved { at, .. }) => !has_passed(CONFIRMED, *at, now),
        _ => false,
    }
}

/// The labels of queued jobs that other runners serve, by scope.
struct Served<'a>(HashMap<Scope, HashSet<&'a Labels>>);

impl<'a> Served<'a> {
    fn of(open: &'a Open, taken: &HashSet<JobId>, settings: &Settings) -> Self {
        let mut served: HashMap<Scope, HashSet<&Labels>> = HashMap::new();
        for job in open.jobs.values() {
            if matches!(job.state, JobState::Queued { .. }) && !taken.contains(&job.id()) {
                let scope = settings.registration.scope(&job.facts.repository);
                served.entry(scope).or_default().insert(&job.facts.labels);
            }
        }
        Self(served)
    }

    /// Whether GitHub could give the job's runner another one, that asks for fewer labels.
    fn could_take(&self, job: &Job, settings: &Settings) -> bool {
        let labels = &job.facts.labels;
        let of_scope = self.0.get(&settings.registration.scope(&job.facts.repository));
        let asks_for_fewer = |other: &&Labels| *other != labels && labels.is_superset(other);
        of_scope.is_some_and(|others| others.iter().any(asks_for_fewer))
    }
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
fn ask(unserved: &Unserved<'_>, question: Question, now: Timestamp, plan: &mut Plan) -> Step {
    let pause = |asked: Timestamp| (asked.duration_since(unserved.due) / 2).clamp(DOUBT, LONGEST_PAUSE);
    // A question from before it was due was another one.
    let asked = last_done(unserved.job.asked_at, now).filter(|asked| *asked >= unserved.due);
    if let Some(again) = asked.map(|asked| asked + pause(asked)).filter(|again| now < *again) {
        plan.wake_at(again);
        return Step::Waits;
    }
    if !plan.questions.contains(&question) {
        plan.questions.push(question);
    }
    Step::Made
}

/// Returns the refused jobs that are to be failed.
fn refused<'a>(open: &'a Open, taken: &HashSet<JobId>, after: SignedDuration) -> Vec<Unserved<'a>> {
    let unserved = |job: &'a Job| {
        let JobState::Refused { reason } = &job.state else { return None };
        let since = job.timeline.last_at(JobStage::Refused)?;
        let is_left = job.had_failing_runner() || taken.contains(&job.id());
        let reason = reason.clone();
        (!is_left).then(|| Unserved { job, reason, due: since + after, is_left: false })
    };
    open.jobs.values().filter_map(unserved).collect()
}

/// Returns the queued jobs that are to be failed if they still wait for the same cause when their time has come. It counts
/// from when the cause began: a job may be old for other reasons.
fn held<'a>(blocked: Vec<Blocked<'a>>, settings: &Settings, now: Timestamp) -> Vec<Unserved<'a>> {
    let mut repositories: HashMap<HeldBy, HashSet<Repository>> = HashMap::new();
    let mut waiting = Vec::new();
    for Blocked { job, reason, back } in blocked {
        let pause = match reason.code() {
            Code::ScopeHeld | Code::ClassHeld | Code::PoolHeld | Code::PoolUnused => HELD,
            Code::NoCapacity => NO_CAPACITY,
            _ => continue,
        };
        if job.had_failing_runner() {
            continue;
        }
        let queued = job.timeline.last_at(JobStage::Queued).unwrap_or(job.created_at);
        let since = queued.max(back.since);
        if now >= since + WAITED {
            repositories.entry(back.by.clone()).or_default().insert(job.facts.repository.clone());
        }
        let is_left = !is_surely_ours(&job.facts, settings);
        waiting.push((Unserved { job, reason, due: since + pause, is_left }, back.by));
    }
    let is_incident = |by: &HeldBy| repositories.get(by).is_some_and(|of| of.len() > MAX_REPOSITORIES);
    let judged = |(unserved, by): (Unserved<'a>, HeldBy)| Unserved {
        is_left: unserved.is_left || is_incident(&by),
        ..unserved
    };
    waiting.into_iter().map(judged).collect()
}

/// The runners of this kind that a repository may still get within the hour.
struct Slots<'a> {
    open: &'a Open,
    paces: &'a Paces,
    now: Timestamp,
    free: BTreeMap<Repository, usize>,
}

impl Slots<'_> {
    fn taken_until(&self, bucket: &Bucket) -> Option<Timestamp> {
        self.open.level(bucket, self.paces, self.now).map(|Level(at)| at).filter(|at| *at > self.now)
    }

    /// Whether there is a slot. If not, the plan is made again when there is one.
    fn is_free(&mut self, repository: &Repository, plan: &mut Plan) -> bool {
        let count =
            || Bucket::failures(repository).filter(|bucket| self.taken_until(bucket).is_none()).count();
        let free = match self.free.get(repository) {
            Some(free) => *free,
            None => count(),
        };
        self.free.insert(repository.clone(), free);
        if free == 0
            && let Some(at) =
                Bucket::failures(repository).filter_map(|bucket| self.taken_until(&bucket)).min()
        {
            plan.wake_at(at);
        }
        free > 0
    }

    fn take(&mut self, repository: &Repository) {
        if let Some(free) = self.free.get_mut(repository) {
            *free = free.saturating_sub(1);
        }
    }
}
