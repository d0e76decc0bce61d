//! Runners that live longer than they can.

use jiff::Timestamp;

use super::{Plan, Retirement};
use crate::reason::{Code, Reason};
use crate::records::open::Open;
use crate::records::runner::{EndingKind, RunnerStage, RunnerState};
use crate::rules::Rules;
use crate::rules::limits::longest_work;
use crate::wire::fault::Fault;

const NEVER_STARTED: &str = "its task was accepted, and its container never ran";

/// Retires runners whose container never ran, and runners that live longer than
/// all limits of their agent together.
pub(super) fn retire_overdue(open: &Open, rules: Rules<'_>, now: Timestamp, plan: &mut Plan) {
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
                (
                    started + limits.longest_start(runner.placement.managed.is_some()),
                    EndingKind::BootFailed,
                    reason,
                    fault,
                )
            }
            RunnerState::Ending(ending) if ending.kind.overrides_job() || !runner.takes_slot() => continue,
            _ => {
                let booted = runner.timeline.at(RunnerStage::Booted);
                let Some(started) = booted.or_else(|| runner.launched_at()) else { continue };
                let until = match runner.timeline.last_at(RunnerStage::Busy) {
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
        plan.retire(Retirement { runner: runner.name().clone(), kind, reason, fault });
    }
}
