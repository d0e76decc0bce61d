//! Jobs that cannot be served are failed visibly: one runner takes such a job, and its hook fails it with one sentence.
//!
//! Which job may be failed and what its log says is decided here. [`crate::decide::plan`] decides when.

use jiff::Timestamp;

use crate::reason::{Code, Reason};
use crate::records::job::{Failing, Job, JobEnding, JobStage, JobState};
use crate::records::runner::Runner;
use crate::rules::settings::{OnFailure, Registration, Settings};
use crate::wire::boot::Fail;
use crate::wire::job::{Conclusion, JobFacts};

/// GitHub's own labels of self-hosted runners. They do not tell which runners a job is for.
const GENERAL_LABELS: [&str; 4] = ["self-hosted", "linux", "x64", "arm64"];

/// Whether a job that is refused for this reason is failed later. Policy has allowed its repository: only its class
/// cannot be served. A job that neither names a class nor has a label of this deployment may be meant for others' runners.
pub(crate) fn may_be_failed(facts: &JobFacts, reason: &Reason, settings: &Settings) -> bool {
    let fails = matches!(settings.on_failure, OnFailure::FailJob { .. });
    let is_of_its_class = match reason.code() {
        Code::ClassUnknown | Code::ClassInvalid | Code::ClassMissing | Code::LabelNotOffered => true,
        // In an organization, its runner could be given a job of a repository that the class does serve.
        Code::ClassNotAllowed => settings.registration == Registration::Repository,
        _ => false,
    };
    fails && is_of_its_class && is_surely_ours(facts, settings)
}

/// Whether a job cannot be meant for others' runners: it names a class, or a label of this deployment.
pub(crate) fn is_surely_ours(facts: &JobFacts, settings: &Settings) -> bool {
    let names_class = facts.labels.iter().any(|label| label.starts_with("class:"));
    names_class || settings.required_labels.iter().any(|label| !GENERAL_LABELS.contains(&label))
}

/// Returns the step after GitHub said that a queued job is still queued; `None` if that does not matter here.
pub(crate) fn confirmed(job: &Job, at: Timestamp) -> Option<Failing> {
    match job.failing.as_ref().filter(|_| job.is_queued())? {
        Failing::Allowed | Failing::Confirmed(_) => Some(Failing::Confirmed(at)),
        Failing::Reserved { reason, .. } => Some(Failing::Reserved { at, reason: reason.clone() }),
        Failing::Launched { .. } => None,
    }
}

/// Returns how a job ended. One that could not be served keeps the reason for that.
pub(crate) fn ending_of(job: &Job, runner: Option<&Runner>, ending: JobEnding) -> JobEnding {
    let JobEnding::Completed { conclusion, runner: taken, reason } = ending else { return ending };
    if let Some(refusal) = refusal(job) {
        return JobEnding::Refused { reason: refusal.clone(), after: Some((conclusion, taken)) };
    }
    let reason = match (&job.failing, runner) {
        (Some(Failing::Launched { reason, .. }), Some(runner))
            if runner.facts.fails && conclusion != Conclusion::Success =>
        {
            Some(reason.clone())
        }
        _ => reason,
    };
    JobEnding::Completed { conclusion, runner: taken, reason }
}

/// Returns why a job was refused, also while the runner that fails it has it.
fn refusal(job: &Job) -> Option<&Reason> {
    match (&job.state, &job.failing) {
        (JobState::Refused { reason }, _) => Some(reason),
        (JobState::InProgress { .. }, Some(Failing::Launched { reason, .. })) => {
            let refused = job.timeline.last_at(JobStage::Refused)?;
            let queued = job.timeline.last_at(JobStage::Queued);
            queued.is_none_or(|queued| queued < refused).then_some(reason)
        }
        _ => None,
    }
}

/// Returns what a runner needs to fail the job, which job it is and the sentence for its log, and the job's next record
/// if this is written now. `None` unless a runner was reserved for that and the job is still queued.
#[must_use]
pub fn fail_of(job: &Job, now: Timestamp) -> Option<(Fail, Option<Job>)> {
    let (reason, next) = match job.failing.as_ref().filter(|_| job.is_queued())? {
        Failing::Reserved { reason, .. } => {
            (reason, Some(job.with_failing(Failing::Launched { at: now, reason: reason.clone() })))
        }
        Failing::Launched { reason, .. } => (reason, None),
        Failing::Allowed | Failing::Confirmed(_) => return None,
    };
    let facts = &job.facts;
    let fail = Fail {
        run: facts.run,
        attempt: facts.attempt,
        job: facts.name.as_ref().to_owned(),
        reason: sentence(job, reason),
    };
    Some((fail, next))
}

fn sentence(job: &Job, reason: &Reason) -> String {
    let waited = match reason.code() {
        Code::ClassHeld | Code::PoolHeld | Code::PoolUnused => "it waited for over 6 hours: ",
        Code::NoCapacity => "it waited for over 23 hours: ",
        _ => "",
    };
    format!("{waited}{reason}. `ecsrunner why {}` says more.", job.id())
}

#[cfg(test)]
mod tests;
