//! Turns an event into facts. Events may come in any order and any number of times.
//!
//! What to do about the facts is decided in [`crate::decide::plan`].

mod exit;
mod job;
mod operator;
mod runner;
mod warm;

use crate::decide::rerun;
use crate::id::TaskName;
use crate::reason::{Code, Reason};
use crate::records::change::{Change, Records};
use crate::records::job::JobRecord;
use crate::records::runner::Served;
use crate::records::warm::WarmState;
use crate::rules::Rules;
use crate::wire::event::{Event, JobOutcome, JobReason, TaskEvent};

/// The result of recording an event.
#[derive(Clone, PartialEq, Debug)]
pub struct Recorded {
    /// The writes, to be made all or none.
    pub changes: Vec<Change>,
    /// Whether they can alter the plan.
    pub replan: bool,
    /// The answer to the sender.
    pub outcome: Outcome,
}

/// Whether an event was accepted, with the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It contained something new.
    Accepted(Reason),
    /// It contained nothing that matters here.
    Ignored(Reason),
    /// The job is not served here.
    Refused(Reason),
}

impl Outcome {
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Accepted(reason) | Self::Ignored(reason) | Self::Refused(reason) => reason,
        }
    }

    /// The wire form of the kind.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Ignored(_) => "ignored",
            Self::Refused(_) => "refused",
        }
    }
}

impl Recorded {
    fn nothing(code: Code) -> Self {
        Self { changes: Vec::new(), replan: false, outcome: Outcome::Ignored(code.into()) }
    }

    fn accepted(changes: Vec<Change>, replan: bool) -> Self {
        if changes.is_empty() {
            return Self::nothing(Code::NothingNew);
        }
        Self { changes, replan, outcome: Outcome::Accepted(Code::Recorded.into()) }
    }
}

#[must_use]
pub fn record(event: &Event, records: &Records, rules: Rules<'_>) -> Recorded {
    let mut recorded = record_event(event, records, rules);
    let facts = rerun::facts(event, records, &recorded.changes, rules);
    recorded.replan |= !facts.is_empty();
    recorded.changes.extend(facts);
    recorded
}

fn record_event(event: &Event, records: &Records, rules: Rules<'_>) -> Recorded {
    match event {
        Event::Job(event) => job::record(event, records, rules),
        Event::JobAnswer(answer) => {
            let current = match &records.job {
                Some(JobRecord::Open(job)) => Some(job),
                _ => None,
            };
            match current.filter(|job| job.version == answer.asked) {
                // The record has changed while GitHub was asked.
                None => Recorded::nothing(Code::NothingNew),
                Some(job) => match &answer.outcome {
                    JobOutcome::Found(event) => {
                        let mut recorded = job::record_answer(job, answer.at, event, records, rules);
                        if let Some(released) = runner::release_hold(answer, event, records) {
                            recorded.changes.push(released);
                            recorded.replan = true;
                        }
                        recorded
                    }
                    JobOutcome::Absent => job::record_absent(job),
                    JobOutcome::Unanswered => job::record_asked(job, answer.at),
                },
            }
        }
        Event::RunAnswer(answer) => match &records.job {
            Some(JobRecord::Open(job)) if job.version == answer.asked => job::record_run(job, answer, rules),
            _ => Recorded::nothing(Code::NothingNew),
        },
        Event::Task(event) => match &event.name {
            TaskName::Runner(_) => runner::record_task(event, records),
            TaskName::Warm(_) => warm::record_task(event, records),
        },
        Event::RegistrationAnswer(answer) => runner::record_registration(answer, records),
        Event::Stop(request) => operator::stop(request, records),
        Event::Retry(request) => operator::retry(request, records, rules),
        Event::JobReason(told) => job::record_reason(told, records),
        Event::Exit(report) => exit::record(report, records),
    }
}

/// Returns the event for the runner that has taken over the event's warm task.
#[must_use]
pub fn passed_on(event: &Event, records: &Records) -> Option<Event> {
    let (Event::Task(event), Some(warm)) = (event, &records.warm) else { return None };
    match (&event.name, &warm.state) {
        (TaskName::Warm(_), WarmState::Used(runner)) => {
            Some(Event::Task(TaskEvent { name: runner.clone().into(), ..event.clone() }))
        }
        _ => None,
    }
}

/// Returns the event that says why the runner's job ended, for the job's own record.
/// Record it after `changes` were written.
#[must_use]
pub fn reason_for_the_job(changes: &[Change]) -> Option<JobReason> {
    changes.iter().find_map(|change| match change {
        Change::Runner(runner) => {
            let job = runner.names_job()?;
            let reason = runner::why_its_job_ended(runner, job)?;
            Some(JobReason { job, runner: runner.name().clone(), reason })
        }
        Change::RunnerGone(gone) => match gone.served {
            Served::Job(job) => {
                let reason = runner::why_a_job_ended(gone.kind, gone.note.as_ref())?;
                Some(JobReason { job, runner: gone.facts.name.clone(), reason })
            }
            Served::Unnamed | Served::Nothing => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests;
