//! Questions to GitHub about jobs without an event for long, and when none are asked.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{DOUBT, DOUBTS_WITHIN, LONGEST_PAUSE, Means, Plan, Question, Taken, unadmitted};
use crate::clock::last_done;
use crate::id::RunnerName;
use crate::records::hold::Held;
use crate::records::job::{Job, JobState};
use crate::records::open::Open;
use crate::rules::Rules;
use crate::wire::job::TakenBy;

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
pub(super) const MAX_DOUBTS: usize = 20;

/// Asks about jobs whose webhooks may have been lost: their runner has ended
/// without a `completed`, or nothing has been heard of them for long.
pub(super) fn doubt_jobs(open: &Open, taken: &Taken<'_>, rules: Rules<'_>, now: Timestamp, plan: &mut Plan) {
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
                    // Its runner executes another job, so it did not start this one.
                    None if runner.names_job().is_some_and(|named| named != job.id()) => {
                        since + SILENCE_OF_ENDED
                    }
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
        let asked = last_done(job.asked_at, now).filter(|asked| *asked >= doubted);
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
    let lately = open
        .jobs
        .values()
        .filter_map(|job| last_done(job.asked_at, now))
        .filter(|at| now < *at + DOUBTS_WITHIN);
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

/// Drops the questions to an account that GitHub asked to rest, or that gets no answer, until then.
pub(super) fn let_github_rest(
    open: &Open,
    rules: Rules<'_>,
    means: Means<'_>,
    now: Timestamp,
    plan: &mut Plan,
) {
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
