//! Judges open jobs again where the catalogue has changed since they were admitted or refused.

use jiff::Timestamp;

use crate::decide::admit::admit;
use crate::decide::fail::may_be_failed;
use crate::reason::Code;
use crate::records::job::{Assignment, Failing, Job, JobStage, JobState};
use crate::rules::Rules;

/// Returns the next record of a queued or refused job that the present catalogue judges in another way; `None` if it does
/// not. A queued job whose class is gone gets another class or is refused. It stays queued if it may be meant for others'
/// runners: its class may come back. A refused job whose class can serve it is queued.
#[must_use]
pub fn readmit(job: &Job, rules: Rules<'_>, now: Timestamp) -> Option<Job> {
    // Policy has allowed it, or it would not be open.
    let admitted = || admit(&job.facts, None, rules.settings, rules.catalogue);
    match &job.state {
        JobState::Refused { .. } => Some(requeued(job, admitted().ok()?, now)),
        JobState::Queued { assignment, wait } if rules.catalogue.get(&assignment.class).is_none() => {
            let (state, stage) = match admitted() {
                Ok(assignment) => (JobState::Queued { assignment, wait: wait.clone() }, None),
                Err(reason) if may_be_failed(&job.facts, &reason, rules.settings) => {
                    (JobState::Refused { reason }, Some(JobStage::Refused))
                }
                Err(_) => return None,
            };
            let mut next = Job { failing: kept(job), ..job.with_state(state) };
            if let Some(stage) = stage {
                next.timeline.push(stage, now);
            }
            Some(next)
        }
        _ => None,
    }
}

/// Returns the next record of a refused job that is queued. GitHub is asked before it counts: it may have ended since, and
/// the record does not keep everything from its webhook.
#[must_use]
pub(crate) fn requeued(job: &Job, assignment: Assignment, at: Timestamp) -> Job {
    let mut queued = job.with_state(JobState::Queued { assignment, wait: Code::ToConfirm.into() });
    queued.timeline.push(JobStage::Queued, at);
    Job { asked_at: None, failing: kept(job), ..queued }
}

/// A job gets one runner that fails it, not one for each judgement.
fn kept(job: &Job) -> Option<Failing> {
    job.failing.clone().filter(|_| job.had_failing_runner())
}
