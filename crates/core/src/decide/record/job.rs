//! Records what GitHub reports about jobs.

mod answer;

use jiff::{SignedDuration, Timestamp};

use super::{Outcome, Recorded, runner};
use crate::decide::admit::admit;
use crate::decide::fail;
use crate::id::Version;
use crate::reason::{Code, Reason};
use crate::records::change::{Change, Records};
use crate::records::job::{Assignment, EndedJob, Job, JobEnding, JobRecord, JobStage, JobState};
use crate::records::runner::{EndedRunner, Runner, RunnerStage};
use crate::records::timeline::Timeline;
use crate::records::times::JobTimes;
use crate::rules::Rules;
use crate::rules::settings::OnFailure;
use crate::wire::event::{JobAction, JobEvent, JobReason};
use crate::wire::job::{Conclusion, TakenBy};
pub(super) use answer::{record_absent, record_answer, record_asked, record_run};

/// Older `queued` events (a redelivery, a replay) count only after GitHub confirms them.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// A job that was queued this long ago has been planned: each sweep plans.
const PLANNED: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn record(event: &JobEvent, records: &Records, rules: Rules<'_>) -> Recorded {
    match &event.action {
        JobAction::Waiting => waiting(event, records, rules),
        JobAction::Queued => queued(event, records, rules),
        JobAction::InProgress { runner, .. } => in_progress(event, runner, records, rules),
        JobAction::Completed { runner, conclusion, .. } => {
            completed(event, runner, conclusion, records, rules)
        }
    }
}

fn waiting(event: &JobEvent, records: &Records, rules: Rules<'_>) -> Recorded {
    if records.job.is_some() {
        return Recorded::nothing(Code::NothingNew);
    }
    match admit(&event.facts, event.private, rules.settings, rules.catalogue) {
        Err(reason) => refuse_open(event, None, reason, rules),
        Ok(_) => {
            Recorded::accepted(vec![Change::Job(new_job(event, JobStage::Waiting, JobState::Waiting))], false)
        }
    }
}

fn queued(event: &JobEvent, records: &Records, rules: Rules<'_>) -> Recorded {
    let waiting = match &records.job {
        None => None,
        Some(JobRecord::Open(job)) if job.state == JobState::Waiting || is_refused_unreleased(job) => {
            Some(job)
        }
        Some(record) => return again(record, event),
    };
    let assignment = match admit(&event.facts, event.private, rules.settings, rules.catalogue) {
        Err(reason) => return refuse_open(event, waiting, reason, rules),
        Ok(assignment) => assignment,
    };
    // A job that waited for an approval is old without being stale.
    let stale = waiting.is_none()
        && event.created_at.is_some_and(|created| event.received_at.duration_since(created) > FRESH);
    let wait = if stale { Code::ToConfirm.into() } else { admitted(rules) };
    let state = JobState::Queued { assignment, wait };
    let job = match waiting {
        None => new_job(event, JobStage::Queued, state),
        Some(job) => {
            // GitHub does not say when it released the job, which may have been made days before.
            let mut released = job.with_state(state);
            released.timeline.push(JobStage::Queued, event.received_at);
            released
        }
    };
    Recorded::accepted(vec![Change::Job(job)], true)
}

/// Whether a job was refused while it waited for an approval, and GitHub has not released it since.
fn is_refused_unreleased(job: &Job) -> bool {
    let stage = |stage| job.timeline.at(stage).is_some();
    job.is_refused() && stage(JobStage::Waiting) && !stage(JobStage::Queued)
}

/// A second `queued` contains nothing new, but the process that recorded the first
/// one may have died before the next plan was made.
fn again(record: &JobRecord, event: &JobEvent) -> Recorded {
    let unplanned = match record {
        JobRecord::Open(Job { state: JobState::Queued { wait, .. }, timeline, .. }) => {
            matches!(wait.code(), Code::ToPlan | Code::ToConfirm | Code::ToCheck)
                && event.received_at.duration_since(timeline.latest()) < PLANNED
        }
        _ => false,
    };
    Recorded { replan: unplanned, ..Recorded::nothing(Code::NothingNew) }
}

fn in_progress(event: &JobEvent, taken: &TakenBy, records: &Records, rules: Rules<'_>) -> Recorded {
    let mut changes = Vec::new();
    let mut replan = false;
    let state = |assignment| JobState::InProgress { assignment, runner: taken.clone() };
    match &records.job {
        // A job that is not ours and not on a runner of ours gets no record.
        None => match admit(&event.facts, event.private, rules.settings, rules.catalogue) {
            Err(_) if named(records, taken, event).is_none() => return Recorded::nothing(Code::NotOurs),
            assignment => {
                changes.push(Change::Job(new_job(event, JobStage::InProgress, state(assignment.ok()))));
                // The job was no demand, and its runner was supply for another job.
                replan = named(records, taken, event).is_some();
            }
        },
        Some(JobRecord::Open(job)) => match &job.state {
            JobState::InProgress { runner, .. } if runner == taken => {}
            JobState::InProgress { assignment, .. } => {
                // GitHub had queued it again: the later start counts.
                if event.happened_at() > job.timeline.latest() {
                    changes.push(Change::Job(advance(
                        job,
                        event,
                        JobStage::InProgress,
                        state(assignment.clone()),
                    )));
                    replan = true;
                }
            }
            // It is not served here, but by others' runners.
            JobState::Refused { reason } if named(records, taken, event).is_none() => {
                let (version, timeline) = (job.version.next(), job.timeline.clone());
                let ending = JobEnding::Refused { reason: reason.clone(), after: None };
                changes.push(Change::JobEnded(EndedJob { version, timeline, ..end(job, event, ending) }));
            }
            JobState::Waiting | JobState::Queued { .. } | JobState::Refused { .. } => {
                let assignment = job
                    .assignment()
                    .cloned()
                    .or_else(|| admit(&job.facts, event.private, rules.settings, rules.catalogue).ok());
                changes.push(Change::Job(advance(job, event, JobStage::InProgress, state(assignment))));
                // A runner that was starting for it took it: supply and demand both
                // fall by one, and the plan does not change.
                replan = !runner::expects(records.runner.as_ref(), job);
            }
        },
        Some(JobRecord::Ended(_)) => {}
    }
    if let Some(runner) = named(records, taken, event)
        && let Some(busy) = runner::begins(runner, event.facts.id, times(event, event.happened_at(), records))
    {
        changes.push(Change::Runner(busy));
    }
    if let Some(told) = named_in_history(records, taken, event)
        .and_then(|gone| runner::had_begun(gone, event.facts.id, times(event, event.happened_at(), records)))
    {
        changes.push(Change::RunnerAmended(Box::new(told)));
    }
    Recorded::accepted(changes, replan)
}

/// Returns when a job waited that began at `started_at`.
fn times(event: &JobEvent, started_at: Timestamp, records: &Records) -> JobTimes {
    match &records.job {
        Some(JobRecord::Open(job)) => job.times(started_at),
        Some(JobRecord::Ended(job)) => {
            let recorded_at = job.timeline.at(JobStage::Queued);
            JobTimes { queued_at: job.created_at, recorded_at, started_at, held_by: None }
        }
        // No webhook said that it was queued.
        None => {
            let queued_at = event.created_at.unwrap_or(started_at);
            JobTimes { queued_at, recorded_at: None, started_at, held_by: None }
        }
    }
}

fn completed(
    event: &JobEvent,
    taken: &TakenBy,
    conclusion: &Conclusion,
    records: &Records,
    rules: Rules<'_>,
) -> Recorded {
    let mut changes = Vec::new();
    let reason = named(records, taken, event)
        .filter(|_| *conclusion != Conclusion::Success)
        .and_then(|runner| runner::why_its_job_ended(runner, event.facts.id));
    let ending = JobEnding::Completed { conclusion: conclusion.clone(), runner: taken.clone(), reason };
    match &records.job {
        None => match admit(&event.facts, event.private, rules.settings, rules.catalogue) {
            Err(_) if named(records, taken, event).is_none() => return Recorded::nothing(Code::NotOurs),
            assignment => changes.push(Change::JobEnded(EndedJob {
                facts: event.facts.clone(),
                version: Version::FIRST,
                created_at: event.created_at.unwrap_or(event.received_at),
                timeline: completed_timeline(event, None),
                assignment: assignment.ok(),
                ending,
            })),
        },
        Some(JobRecord::Open(job)) => {
            let ending = fail::ending_of(job, named(records, taken, event), ending);
            changes.push(Change::JobEnded(end(job, event, ending)));
        }
        Some(JobRecord::Ended(ended)) => {
            if let JobEnding::Refused { reason, after: None } = &ended.ending {
                changes.push(Change::JobAmended(EndedJob {
                    version: ended.version.next(),
                    ending: JobEnding::Refused {
                        reason: reason.clone(),
                        after: Some((conclusion.clone(), taken.clone())),
                    },
                    ..ended.clone()
                }));
            }
        }
    }
    let runner = named(records, taken, event);
    let waited = event.began_at().map(|began| times(event, began, records));
    if let Some(runner) = runner
        && let Some(ending) = runner::completes(runner, event.facts.id, waited.clone(), event.happened_at())
    {
        changes.push(runner::settled(runner, ending));
    }
    if let (Some(gone), Some(waited)) = (named_in_history(records, taken, event), waited)
        && let Some(told) = runner::had_begun(gone, event.facts.id, waited)
    {
        changes.push(Change::RunnerAmended(Box::new(told)));
    }
    // A job that ends on the runner that executed it was no demand, and its runner
    // was no supply. The slot becomes free when the task has stopped.
    let expected = runner.is_some_and(|runner| {
        runner.names_job() == Some(event.facts.id) && runner.stage() == RunnerStage::Busy
    });
    let known = matches!(&records.job, Some(JobRecord::Open(Job { state: JobState::InProgress { .. }, .. })));
    Recorded::accepted(changes, !(expected && known))
}

/// Adds the reason of its end to a job in history, unless the job succeeded, has a reason, or ran on another runner.
pub(super) fn record_reason(told: &JobReason, records: &Records) -> Recorded {
    let Some(JobRecord::Ended(ended)) = &records.job else { return Recorded::nothing(Code::NothingNew) };
    match &ended.ending {
        JobEnding::Completed { conclusion, runner, reason: None }
            if *conclusion != Conclusion::Success && runner.ours() == Some(&told.runner) =>
        {
            let ending = JobEnding::Completed {
                conclusion: conclusion.clone(),
                runner: runner.clone(),
                reason: Some(told.reason.clone()),
            };
            let amended = EndedJob { version: ended.version.next(), ending, ..ended.clone() };
            Recorded::accepted(vec![Change::JobAmended(amended)], false)
        }
        _ => Recorded::nothing(Code::NothingNew),
    }
}

/// Returns the runner of ours that GitHub named: it is on record, and its scope covers the job's repository. A name alone
/// proves nothing, since anyone may give a runner a name like ours.
fn named<'a>(records: &'a Records, taken: &TakenBy, event: &JobEvent) -> Option<&'a Runner> {
    let runner = records.runner.as_ref().filter(|runner| taken.ours() == Some(runner.name()))?;
    runner.facts.scope.covers(&event.facts.repository).then_some(runner)
}

/// Returns the runner in history that GitHub named, by the rule of [`named`].
fn named_in_history<'a>(records: &'a Records, taken: &TakenBy, event: &JobEvent) -> Option<&'a EndedRunner> {
    let gone = records.gone.as_ref().filter(|gone| taken.ours() == Some(&gone.facts.name))?;
    let is_open = records.runner.is_some();
    (!is_open && gone.facts.scope.covers(&event.facts.repository)).then_some(gone)
}

/// Returns what a job waits for first after it was admitted by its own facts.
fn admitted(rules: Rules<'_>) -> Reason {
    if rules.settings.check_runs { Code::ToCheck.into() } else { Code::ToPlan.into() }
}

fn new_job(event: &JobEvent, stage: JobStage, state: JobState) -> Job {
    let at = event.happened_at();
    Job {
        facts: event.facts.clone(),
        version: Version::FIRST,
        created_at: event.created_at.unwrap_or(event.received_at),
        timeline: Timeline::begin(stage, at),
        recorded_late_at: (stage == JobStage::Queued && at != event.received_at).then_some(event.received_at),
        asked_at: None,
        failing: None,
        held: None,
        state,
    }
}

fn advance(job: &Job, event: &JobEvent, stage: JobStage, state: JobState) -> Job {
    let mut next = job.with_state(state);
    next.timeline.push(stage, event.happened_at());
    next
}

fn end(job: &Job, event: &JobEvent, ending: JobEnding) -> EndedJob {
    let mut timeline = job.timeline.clone();
    match ending {
        JobEnding::Completed { .. } | JobEnding::Refused { after: Some(_), .. } => {
            timeline = completed_timeline(event, Some(timeline));
        }
        JobEnding::Refused { after: None, .. } => timeline.push(JobStage::Refused, event.happened_at()),
    }
    EndedJob {
        facts: job.facts.clone(),
        version: job.version.next(),
        created_at: job.created_at,
        timeline,
        assignment: job.assignment().cloned(),
        ending,
    }
}

/// Adds a job's end to its timeline, and its begin if no event told of it.
fn completed_timeline(event: &JobEvent, before: Option<Timeline<JobStage>>) -> Timeline<JobStage> {
    let ended_at = event.happened_at();
    let is_told = before.as_ref().is_some_and(|before| before.at(JobStage::InProgress).is_some());
    let began = event.began_at().filter(|_| !is_told).map(|at| (JobStage::InProgress, at));
    let stages = began.into_iter().chain([(JobStage::Completed, ended_at)]);
    match before {
        Some(mut timeline) => {
            stages.for_each(|(stage, at)| timeline.push(stage, at));
            timeline
        }
        None => stages.collect(),
    }
}

/// Refuses a job. It stays open if it can be failed later, and else becomes history.
fn refuse_open(event: &JobEvent, open: Option<&Job>, reason: Reason, rules: Rules<'_>) -> Recorded {
    if fail::may_be_failed(&event.facts, &reason, rules.settings) {
        let state = JobState::Refused { reason: reason.clone() };
        let mut job = match open {
            Some(job) => job.with_state(state),
            None => Job { state, ..new_job(event, JobStage::Refused, JobState::Waiting) },
        };
        // Its time counts from now, or from its release, and not from when GitHub made it.
        let before = match event.action {
            JobAction::Waiting => Some(JobStage::Waiting),
            _ => open.map(|_| JobStage::Queued),
        };
        let stages = before.into_iter().chain([JobStage::Refused]).map(|stage| (stage, event.received_at));
        match open {
            Some(_) => stages.for_each(|(stage, at)| job.timeline.push(stage, at)),
            None => job.timeline = stages.collect(),
        }
        let changes = vec![Change::Job(job)];
        // Later, the next sweep plans in time.
        let is_due = rules.settings.on_failure == OnFailure::FailJob { after_minutes: 0 };
        return Recorded { changes, replan: open.is_some() || is_due, outcome: Outcome::Refused(reason) };
    }
    let ending = JobEnding::Refused { reason: reason.clone(), after: None };
    let ended = match open {
        Some(job) => end(job, event, ending),
        None => EndedJob {
            facts: event.facts.clone(),
            version: Version::FIRST,
            created_at: event.created_at.unwrap_or(event.received_at),
            timeline: Timeline::begin(JobStage::Refused, event.happened_at()),
            assignment: None::<Assignment>,
            ending,
        },
    };
    Recorded {
        changes: vec![Change::JobEnded(ended)],
        replan: open.is_some(),
        outcome: Outcome::Refused(reason),
    }
}
