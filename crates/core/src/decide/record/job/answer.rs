//! Records GitHub's answers about open jobs.

use jiff::{SignedDuration, Timestamp};

use super::{admitted, advance, is_refused_unreleased, record, refuse_open};
use crate::decide::admit::{admit, refused};
use crate::decide::fail;
use crate::decide::readmit::requeued;
use crate::decide::record::{Outcome, Recorded};
use crate::reason::Code;
use crate::records::change::{Change, Records};
use crate::records::job::{EndedJob, Failing, Job, JobEnding, JobStage, JobState};
use crate::rules::Rules;
use crate::rules::policy::Subject;
use crate::wire::event::{JobAction, JobEvent, RunAnswer, RunOutcome};
use crate::wire::job::{Conclusion, TakenBy};

/// After this time GitHub has failed a job that no runner took, which it does after 24 hours.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(25);
/// After this time GitHub has ended a job on a self-hosted runner, which it does after five days.
const GIVEN_UP_RUNNING: SignedDuration = SignedDuration::from_hours(5 * 24 + 6);
/// After this time GitHub has ended a run and all that waits in it, which it does after 35 days.
const GIVEN_UP_WAITING: SignedDuration = SignedDuration::from_hours(36 * 24);

/// Records GitHub's answer about an open job whose record has not changed meanwhile.
pub(in crate::decide::record) fn record_answer(
    job: &Job,
    at: Timestamp,
    event: &JobEvent,
    records: &Records,
    rules: Rules<'_>,
) -> Recorded {
    let mut recorded = learn_from_answer(job, event, records, rules);
    if recorded.changes.is_empty() {
        return record_asked(job, at);
    }
    for change in &mut recorded.changes {
        if let Change::Job(job) = change {
            // The next question is a different one and need not wait.
            let is_to_check =
                matches!(&job.state, JobState::Queued { wait, .. } if wait.code() == Code::ToCheck);
            job.asked_at = (!is_to_check).then_some(at);
        }
    }
    recorded
}

/// Records that an answer contained nothing new, so that the question is not asked
/// again at once. A job that GitHub must have ended by now ends.
pub(in crate::decide::record) fn record_asked(job: &Job, at: Timestamp) -> Recorded {
    let limit = match job.state {
        JobState::Waiting => GIVEN_UP_WAITING,
        JobState::Refused { .. } if is_refused_unreleased(job) => GIVEN_UP_WAITING,
        JobState::Queued { .. } | JobState::Refused { .. } => GIVEN_UP,
        JobState::InProgress { .. } => GIVEN_UP_RUNNING,
    };
    asked_again(job, at, limit)
}

fn asked_again(job: &Job, at: Timestamp, limit: SignedDuration) -> Recorded {
    if at.duration_since(job.timeline.latest()) > limit {
        return record_vanished(job, "unknown");
    }
    let asked = Job { version: job.version.next(), asked_at: Some(at), ..job.clone() };
    Recorded::accepted(vec![Change::Job(asked)], false)
}

fn learn_from_answer(job: &Job, event: &JobEvent, records: &Records, rules: Rules<'_>) -> Recorded {
    // The next step towards the runner that fails it. A job that GitHub has just released gets its time first.
    if event.action == JobAction::Queued
        && !is_refused_unreleased(job)
        && let Some(failing) = fail::confirmed(job, event.received_at)
    {
        return Recorded::accepted(vec![Change::Job(job.with_failing(failing))], true);
    }
    match (&event.action, &job.state) {
        (JobAction::Queued, JobState::Queued { assignment, wait }) => {
            // Confirmed. The version changes, so that a caller that waits for the
            // confirmation sees it; the plan changes only if it was needed.
            let confirms = wait.code() == Code::ToConfirm;
            let wait = match confirms {
                false => wait.clone(),
                // The record of a refused job does not keep everything from its webhook.
                true if job.timeline.at(JobStage::Refused).is_some() => Code::ToCheck.into(),
                true => admitted(rules),
            };
            let state = JobState::Queued { assignment: assignment.clone(), wait };
            Recorded::accepted(vec![Change::Job(job.with_state(state))], confirms)
        }
        // GitHub queued it again: its runner took it but never began.
        (JobAction::Queued, JobState::InProgress { .. }) => {
            match admit(&job.facts, event.private, rules.settings, rules.catalogue) {
                Err(reason) => refuse_open(event, Some(job), reason, rules),
                Ok(assignment) => {
                    let state = JobState::Queued { assignment, wait: Code::ToPlan.into() };
                    Recorded::accepted(vec![Change::Job(advance(job, event, JobStage::Queued, state))], true)
                }
            }
        }
        // It was refused while it waited for an approval, and still does.
        (JobAction::Waiting, JobState::Queued { wait, .. }) if wait.code() == Code::ToConfirm => {
            let waiting = advance(job, event, JobStage::Waiting, JobState::Waiting);
            Recorded::accepted(vec![Change::Job(waiting)], true)
        }
        (JobAction::Queued, JobState::Refused { .. }) if is_refused_unreleased(job) => {
            record(event, records, rules)
        }
        (JobAction::Queued, JobState::Refused { .. }) | (JobAction::Waiting, _) => {
            Recorded::nothing(Code::NothingNew)
        }
        _ => record(event, records, rules),
    }
}

/// Judges what started the job's run, before a runner is launched for it.
pub(in crate::decide::record) fn record_run(job: &Job, answer: &RunAnswer, rules: Rules<'_>) -> Recorded {
    // It is asked before a launch, or before a job that cannot be served is failed.
    let is_to_check = match &job.state {
        JobState::Queued { wait, .. } => wait.code() == Code::ToCheck,
        JobState::Refused { .. } => false,
        JobState::Waiting | JobState::InProgress { .. } => return Recorded::nothing(Code::NothingNew),
    };
    if !is_to_check && job.failing.is_some() {
        return Recorded::nothing(Code::NothingNew);
    }
    let RunOutcome::Found { event, head_repository, private } = &answer.outcome else {
        return match answer.outcome {
            RunOutcome::Absent => record_absent(job),
            _ => record_asked(job, answer.at),
        };
    };
    let subject = Subject {
        repository: &job.facts.repository,
        private: *private,
        event: Some(event),
        head_repository: head_repository.as_ref(),
    };
    if let Err(refusal) = rules.settings.policy.judge(&subject) {
        let reason = refused(&refusal);
        let mut timeline = job.timeline.clone();
        timeline.push(JobStage::Refused, answer.at);
        let ended = EndedJob {
            facts: job.facts.clone(),
            version: job.version.next(),
            created_at: job.created_at,
            timeline,
            assignment: job.assignment().cloned(),
            ending: JobEnding::Refused { reason: reason.clone(), after: None },
        };
        let changes = vec![Change::JobEnded(ended)];
        return Recorded { changes, replan: true, outcome: Outcome::Refused(reason) };
    }
    let next = match &job.state {
        JobState::Queued { assignment, .. } if is_to_check => {
            job.with_state(JobState::Queued { assignment: assignment.clone(), wait: Code::ToPlan.into() })
        }
        JobState::Refused { .. } => judge_refused(job, *private, answer.at, rules),
        _ => job.with_failing(Failing::Allowed),
    };
    Recorded::accepted(vec![Change::Job(next)], true)
}

/// Judges a refused job again before it is failed: its class may exist by now.
fn judge_refused(job: &Job, private: Option<bool>, at: Timestamp, rules: Rules<'_>) -> Job {
    match admit(&job.facts, private, rules.settings, rules.catalogue) {
        Ok(assignment) => requeued(job, assignment, at),
        Err(reason) => Job { state: JobState::Refused { reason }, ..job.with_failing(Failing::Allowed) },
    }
}

/// Ends a job that GitHub no longer knows: its run was deleted.
pub(in crate::decide::record) fn record_absent(job: &Job) -> Recorded {
    record_vanished(job, "deleted")
}

fn record_vanished(job: &Job, conclusion: &'static str) -> Recorded {
    let ending = JobEnding::Completed {
        conclusion: Conclusion::Other(conclusion.into()),
        runner: TakenBy::Other(None),
        reason: None,
    };
    let ended = EndedJob {
        facts: job.facts.clone(),
        version: job.version.next(),
        created_at: job.created_at,
        timeline: job.timeline.clone(),
        assignment: job.assignment().cloned(),
        ending: fail::ending_of(job, None, ending),
    };
    Recorded::accepted(vec![Change::JobEnded(ended)], true)
}
