//! Runners that cannot be registered, since GitHub does not answer for their scope or account.

use std::cmp::Reverse;

use super::launcher::Launcher;
use super::warm::Want;
use super::{Means, Plan, Retirement};
use crate::id::{ClassName, WarmName};
use crate::reason::{Code, Reason};
use crate::records::hold::{Held, Hold};
use crate::records::open::Open;
use crate::records::runner::{EndingKind, Runner, RunnerState};

/// Calls in a row that got no answer, after which runners that wait for one make room. GitHub leaves a single call
/// unanswered now and then.
const UNANSWERED: u32 = 2;

/// Returns the hold of the runner's scope or account, if the runner waits for a registration.
pub(super) fn waits_for<'a>(runner: &Runner, open: &'a Open, means: Means<'_>) -> Option<&'a Hold> {
    if open.holds.is_empty() || !runner.awaits_configuration() {
        return None;
    }
    let scope = &runner.facts.scope;
    let of_scope = open.holds.get(&Held::Scope(scope.clone()));
    of_scope.or_else(|| open.holds.get(&Held::Account((means.account)(scope))))
}

/// Returns why launches and registrations wait under a hold of a scope or an account.
pub(super) fn reason(hold: &Hold) -> Reason {
    let code = if hold.fault.rests_registrations() { Code::GithubUnavailable } else { Code::ScopeHeld };
    Reason::with(code, &hold.words)
}

/// Ends runners that wait for GitHub in whose place waiting jobs can have runners: one for each job, less the places that
/// become free anyway. A job that waits for a place is of a scope for which GitHub answers.
pub(super) fn make_room(launcher: &Launcher<'_>, plan: &mut Plan) {
    let (open, means) = (launcher.open(), launcher.means());
    if open.holds.is_empty() {
        return;
    }
    let is_retired =
        |runner: &Runner, plan: &Plan| plan.retirements.iter().any(|it| it.runner == *runner.name());
    let waits = |runner: &&Runner| {
        // One without a task is withdrawn by its own next step.
        !runner.awaits_task()
            && waits_for(runner, open, means)
                .is_some_and(|hold| hold.fault.rests_registrations() && hold.failures >= UNANSWERED)
            && !is_retired(runner, plan)
    };
    let mut waiting: Vec<&Runner> = open.runners.values().filter(waits).collect();
    if waiting.is_empty() {
        return;
    }
    // The least is lost with the youngest.
    waiting.sort_unstable_by_key(|runner| (runner.timeline.began(), Reverse(runner.name())));
    let is_ending = |runner: &&Runner| {
        runner.takes_slot() && (matches!(runner.state, RunnerState::Ending(_)) || is_retired(runner, plan))
    };
    let mut freed: Vec<_> =
        open.runners.values().filter(is_ending).map(|runner| &runner.facts.class).collect();
    let warm = open.warm.values().filter(|warm| warm.takes_slot());
    let is_yielded = |name: &WarmName| plan.warm_retirements.iter().any(|it| it.name == *name);
    freed.extend(
        warm.filter(|warm| !warm.is_supply() || is_yielded(warm.name())).map(|warm| &warm.facts.class),
    );
    for starved in launcher.starved() {
        let makes_room = |class: &ClassName| match starved.want {
            Want::Slot => true,
            Want::SlotOfClass => *class == starved.class,
            Want::Capacity | Want::Pace(_) => false,
        };
        if let Some(place) = freed.iter().position(|class| makes_room(class)) {
            freed.swap_remove(place);
        } else if let Some(place) = waiting.iter().rposition(|runner| makes_room(&runner.facts.class)) {
            let runner = waiting.remove(place);
            let Some(hold) = waits_for(runner, open, means) else { continue };
            plan.retire(Retirement {
                runner: runner.name().clone(),
                kind: EndingKind::Surplus,
                reason: reason(hold),
                fault: None,
            });
        }
    }
}
