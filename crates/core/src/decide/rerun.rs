//! Runs jobs again whose runner was lost: Spot capacity taken back, a fault of the
//! host, a crash of the agent. It never runs a job again that failed by itself, by
//! its own memory, or that was cancelled or timed out.
//!
//! Facts come first, each in one transaction with its cause: a runner was lost, a
//! job failed. A job that failed on a lost runner becomes an intent, which counts a
//! call before it is made. The run's attempt at GitHub shows whether an earlier call
//! took effect, so a process that dies at any moment makes no second one.

mod facts;

pub use facts::facts;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::clock::end_of_wait;
use crate::id::{ClassName, JobId, Repository, RunId, RunnerName};
use crate::records::change::Change;
use crate::records::job::{EndedJob, Job, JobEnding};
use crate::records::open::Open;
use crate::records::rerun::{Loss, Outcome, Rerun, RerunId, RerunKey, RerunRecord, RerunState};
use crate::records::runner::Runner;
use crate::rules::Rules;
use crate::rules::class::Capacity;
use crate::wire::job::JobFacts;

/// How often a job is run again at most.
pub const MAX_TIMES: u32 = 2;
/// How often in a row GitHub may refuse a rerun before it is given up.
pub const MAX_REFUSALS: u32 = 4;

/// The first wait for a run that has not ended, or for a refused call; doubled with each further one.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// How long after a call without an answer GitHub is asked what became of it.
const AFTER_A_CALL: SignedDuration = SignedDuration::from_secs(10);
/// GitHub fails a job whose runner is lost after about ten minutes. A lost runner
/// that no failed job names by then executed none.
const LOSS_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// A read that shows a loss shows its job after this time, if the job is open.
const LOSS_IS_READ: SignedDuration = SignedDuration::from_mins(1);
/// A run ends within five days on our runners, and a job is queued for at most one.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A run as GitHub shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeenRun {
    /// Its latest attempt.
    pub attempt: u32,
    /// Whether that attempt has ended.
    pub is_completed: bool,
}

/// What a run's state at GitHub means for a rerun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Its run has not ended.
    NotYet,
    /// GitHub may be asked for another attempt.
    Call,
    /// The earlier call took effect: this attempt is its result.
    Made(u32),
    /// Someone else has made this attempt.
    Newer(u32),
}

/// Whether jobs of this class and repository are run again.
#[must_use]
pub fn is_on(rules: Rules<'_>, class: Option<&ClassName>, repository: &Repository) -> bool {
    let class = class.and_then(|class| rules.catalogue.get(class)).and_then(|class| class.rerun);
    let reruns = &rules.settings.reruns;
    class.unwrap_or_else(|| {
        reruns.all || reruns.repositories.iter().any(|pattern| pattern.matches(repository))
    })
}

fn id_of(facts: &JobFacts) -> RerunId {
    RerunId { repository: facts.repository.clone(), run: facts.run, name: facts.name.clone() }
}

/// Returns the changes that follow from the facts and are not recorded yet: intents
/// for jobs that were lost, and the end of what is over.
#[must_use]
pub fn learn(open: &Open, rules: Rules<'_>, now: Timestamp) -> Vec<Change> {
    let mut learnt = Learnt::default();
    for record in open.reruns.values() {
        match record {
            RerunRecord::Outcome(outcome) => learnt.outcome(outcome, open, now),
            RerunRecord::Loss(loss) if is_over(loss, open, now) => learnt.drop(record.key()),
            RerunRecord::Loss(_) => {}
            RerunRecord::Rerun(rerun) => {
                let is_off = !is_on(rules, rerun.class.as_ref(), &rerun.id.repository);
                let is_needed = match rerun.state {
                    RerunState::Made => true,
                    RerunState::Over => is_awaited(&rerun.id, open),
                    RerunState::Wanted | RerunState::Called | RerunState::Spent => !is_off,
                };
                if !is_needed || now.duration_since(rerun.since) > KEPT {
                    learnt.drop(record.key());
                }
            }
        }
    }
    learnt.0.into_values().collect()
}

/// One change for each record, the last one.
#[derive(Default)]
struct Learnt(BTreeMap<RerunKey, Change>);

impl Learnt {
    fn put(&mut self, rerun: Rerun) {
        let record = RerunRecord::Rerun(rerun);
        self.0.insert(record.key(), Change::Rerun(Box::new(record)));
    }

    fn drop(&mut self, key: RerunKey) {
        self.0.insert(key.clone(), Change::RerunOver(key));
    }

    fn outcome(&mut self, outcome: &Outcome, open: &Open, now: Timestamp) {
        let key = RerunKey::Rerun(outcome.id.clone());
        let before = match open.reruns.get(&key) {
            Some(RerunRecord::Rerun(rerun)) => Some(rerun),
            _ => None,
        };
        let runner = outcome.runner.as_ref().filter(|_| outcome.failed);
        let loss = runner.and_then(|runner| match open.reruns.get(&RerunKey::Loss(runner.clone())) {
            Some(RerunRecord::Loss(loss)) => Some(loss),
            _ => None,
        });
        if let Some(loss) = loss {
            self.drop(RerunKey::Loss(loss.runner.clone()));
            // A person's newer attempt has its own count, but the same limit holds.
            let times = before.map_or(0, |before| before.times);
            let state = if times < MAX_TIMES { RerunState::Wanted } else { RerunState::Spent };
            self.put(Rerun {
                id: outcome.id.clone(),
                job: outcome.job,
                class: outcome.class.clone(),
                latest: outcome.attempt.max(before.map_or(0, |before| before.latest)),
                made: before.map_or(0, |before| before.made_until(outcome.attempt)),
                times,
                cause: loss.cause.clone(),
                state,
                checks: 0,
                refusals: 0,
                not_before: now,
                since: now,
            });
        } else if runner.and_then(|runner| open.runners.get(runner)).is_some_and(Runner::takes_slot) {
            // Its runner has not stopped yet: only then it is known whether it was lost.
            return;
        } else if before.is_some_and(|before| outcome.attempt >= before.latest) {
            // Another lost job of the run has to know which attempts were made here.
            if is_awaited(&outcome.id, open) {
                return;
            }
            self.drop(key);
        }
        self.drop(RerunKey::Outcome(outcome.job));
    }
}

/// Whether another job of the run is to be run again, or may be: its runner was lost, or has not stopped yet.
fn is_awaited(job: &RerunId, open: &Open) -> bool {
    open.reruns.values().any(|record| may_be_run_again(record, job, open))
}

fn may_be_run_again(record: &RerunRecord, than: &RerunId, open: &Open) -> bool {
    let is_other = |id: &RerunId| id != than && is_same_run(id, than);
    let may_be_lost = |runner: &RunnerName| {
        open.reruns.contains_key(&RerunKey::Loss(runner.clone()))
            || open.runners.get(runner).is_some_and(Runner::takes_slot)
    };
    match record {
        RerunRecord::Outcome(other) => {
            other.failed && is_other(&other.id) && other.runner.as_ref().is_some_and(may_be_lost)
        }
        RerunRecord::Rerun(rerun) => is_in_hand(rerun) && is_other(&rerun.id),
        RerunRecord::Loss(_) => false,
    }
}

fn is_same_run(one: &RerunId, other: &RerunId) -> bool {
    one.run == other.run && one.repository == other.repository
}

fn intents(open: &Open) -> impl Iterator<Item = &Rerun> {
    open.reruns.values().filter_map(|record| match record {
        RerunRecord::Rerun(rerun) => Some(rerun),
        RerunRecord::Loss(_) | RerunRecord::Outcome(_) => None,
    })
}

/// Whether no failed job can belong to a lost runner any more.
fn is_over(loss: &Loss, open: &Open, now: Timestamp) -> bool {
    let is_named = open.reruns.values().any(|record| {
        matches!(record, RerunRecord::Outcome(outcome) if outcome.runner.as_ref() == Some(&loss.runner))
    });
    if is_named {
        return false;
    }
    match loss.job {
        // A read may show it without a job that was recorded meanwhile.
        Some(job) => !open.jobs.contains_key(&job) && now.duration_since(loss.at) > LOSS_IS_READ,
        None => now.duration_since(loss.at) > LOSS_KEPT,
    }
}

/// Returns the reruns whose next step is due, at most one for each run, and when
/// the next one will be.
#[must_use]
pub fn due(open: &Open, now: Timestamp) -> (Vec<Rerun>, Option<Timestamp>) {
    let mut runs: BTreeMap<(&Repository, RunId), &Rerun> = BTreeMap::new();
    for rerun in in_hand(open) {
        let run = (&rerun.id.repository, rerun.id.run);
        let first = runs.entry(run).or_insert(rerun);
        // A call whose answer is not known comes first, and then the oldest loss.
        let order = |rerun: &Rerun| (rerun.state != RerunState::Called, rerun.since, rerun.job);
        if order(rerun) < order(first) {
            *first = rerun;
        }
    }
    let (mut due, mut next_at) = (Vec::new(), None);
    for rerun in runs.into_values() {
        // The run has not ended while a job of it is open here. Its end starts another round.
        let is_going = || open.jobs.values().any(|job| is_of_run(job, &rerun.id));
        if rerun.state == RerunState::Wanted && is_going() {
            continue;
        }
        let waits_until = end_of_wait(rerun.not_before, LONGEST_WAIT, now);
        if now >= waits_until {
            due.push(Rerun { latest: latest_attempt(open, rerun), ..rerun.clone() });
        } else {
            next_at = Some(next_at.map_or(waits_until, |at: Timestamp| at.min(waits_until)));
        }
    }
    (due, next_at)
}

/// Returns the latest attempt of a rerun's run that is known, also by the reruns of its other jobs.
fn latest_attempt(open: &Open, rerun: &Rerun) -> u32 {
    let of_run = intents(open).filter(|other| is_same_run(&other.id, &rerun.id));
    let made = of_run.map(|other| other.made);
    // What an unanswered call has made is found out by comparison with the attempt before it.
    if rerun.state == RerunState::Called { rerun.latest } else { made.max().unwrap_or(0).max(rerun.latest) }
}

fn in_hand(open: &Open) -> impl Iterator<Item = &Rerun> {
    intents(open).filter(|rerun| is_in_hand(rerun))
}

fn is_in_hand(rerun: &Rerun) -> bool {
    match rerun.state {
        RerunState::Wanted | RerunState::Called | RerunState::Spent => true,
        RerunState::Made | RerunState::Over => false,
    }
}

fn is_of_run(job: &Job, id: &RerunId) -> bool {
    job.facts.run == id.run && job.facts.repository == id.repository
}

/// Returns the other jobs of the same run that wait for an attempt.
#[must_use]
pub fn others_of_run(open: &Open, rerun: &Rerun) -> Vec<Rerun> {
    let others = in_hand(open).filter(|other| other.id != rerun.id && is_same_run(&other.id, &rerun.id));
    others.cloned().collect()
}

/// Compares an intent with the run's state.
#[must_use]
pub fn judge(rerun: &Rerun, run: SeenRun) -> Verdict {
    match rerun.state {
        // An attempt that came right after the recorded intent is its result.
        RerunState::Called if run.attempt == rerun.latest + 1 => Verdict::Made(run.attempt),
        _ if run.attempt > rerun.latest => Verdict::Newer(run.attempt),
        _ if run.attempt < rerun.latest || !run.is_completed => Verdict::NotYet,
        _ => Verdict::Call,
    }
}

impl Rerun {
    /// The intent to ask for one more attempt. A call that is repeated counts once.
    #[must_use]
    pub fn calling(&self, now: Timestamp) -> Self {
        let times = if self.state == RerunState::Called { self.times } else { self.times + 1 };
        let not_before = now + AFTER_A_CALL;
        Self { times, state: RerunState::Called, not_before, since: now, ..self.clone() }
    }

    /// The attempt was made.
    #[must_use]
    pub fn made(&self, attempt: u32, now: Timestamp) -> Self {
        let state = RerunState::Made;
        Self { latest: attempt, made: attempt, state, checks: 0, refusals: 0, since: now, ..self.clone() }
    }

    /// Nothing more is done about the job.
    #[must_use]
    pub fn over(&self, now: Timestamp) -> Self {
        Self { state: RerunState::Over, since: now, ..self.clone() }
    }

    /// Returns the latest attempt that was made here, when the job was lost in `attempt`. That may be the result of a call
    /// whose answer is not known.
    fn made_until(&self, attempt: u32) -> u32 {
        let is_result = self.state == RerunState::Called && attempt == self.latest + 1;
        if is_result { attempt } else { self.made }
    }

    /// Its run has not ended: that is no refusal.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> Self {
        Self { refusals: 0, ..self.later(None, now) }
    }

    /// GitHub refused the next step; `None` if it has done so too often in a row.
    #[must_use]
    pub fn refused(&self, now: Timestamp) -> Option<Self> {
        let refusals = self.refusals.saturating_add(1);
        (refusals < MAX_REFUSALS).then(|| Self { refusals, ..self.later(None, now) })
    }

    /// The next step got no answer. It has to wait, at least for `after`, and for [`LONGEST_WAIT`] at most: what GitHub asks
    /// for beyond that is a hold of its account.
    #[must_use]
    pub fn later(&self, after: Option<SignedDuration>, now: Timestamp) -> Self {
        let wait = (FIRST_WAIT * (1 << self.checks.min(8))).min(LONGEST_WAIT);
        let not_before = now + after.map_or(wait, |after| after.clamp(wait, LONGEST_WAIT));
        Self { checks: self.checks.saturating_add(1), not_before, ..self.clone() }
    }
}

/// Returns the capacity for a job: a job that is run again a second time gets
/// On-Demand capacity.
#[must_use]
pub fn capacity(open: &Open, job: &JobFacts, of_class: Capacity) -> Capacity {
    match open.reruns.get(&RerunKey::Rerun(id_of(job))) {
        Some(RerunRecord::Rerun(rerun)) if rerun.times >= MAX_TIMES => Capacity::OnDemand,
        _ => of_class,
    }
}

/// Returns the open jobs that need On-Demand capacity because they are run again a second time.
#[must_use]
pub fn on_demand_jobs(open: &Open) -> Vec<JobId> {
    if open.reruns.is_empty() {
        return Vec::new();
    }
    let needs_it = |job: &&Job| capacity(open, &job.facts, Capacity::Spot) == Capacity::OnDemand;
    open.jobs.values().filter(needs_it).map(Job::id).collect()
}

/// The notes that follow the reason of a lost job.
pub mod note {
    /// The intent is recorded.
    pub const WANTED: &str = "run again once its run has ended";
    /// The attempt was made. Its number follows.
    pub const MADE: &str = "run again as attempt";
    /// Nothing more is done. Why follows.
    pub const OVER: &str = "not run again:";
}

/// Returns a lost job's record with a note on its rerun after its reason. It replaces an earlier note.
#[must_use]
pub fn noted(ended: &EndedJob, rerun: &Rerun, note: &str) -> Option<EndedJob> {
    let JobEnding::Completed { conclusion, runner, .. } = &ended.ending else { return None };
    let reason = Some(rerun.cause.and(note));
    let ending = JobEnding::Completed { conclusion: conclusion.clone(), runner: runner.clone(), reason };
    Some(EndedJob { version: ended.version.next(), ending, ..ended.clone() })
}

#[cfg(test)]
mod tests;
