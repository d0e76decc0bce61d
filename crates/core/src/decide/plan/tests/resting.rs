//! Runners that wait for GitHub make room for jobs for which it answers.

use super::*;
use crate::records::hold::Failure;
use crate::records::runner::Custody;

const QUIET: &str = "acme/quiet";

/// A runner that has booted and has no registration yet.
fn waiting(job: &Job, number: u64) -> Runner {
    let booted = runner(job, number, RunnerStage::Booted, 1);
    let RunnerState::Booted { task, .. } = booted.state.clone() else { panic!() };
    booted.with_state(RunnerState::Booted { task, custody: Custody::Unissued }, at(1))
}

/// Two runners of a repository for which GitHub has not answered `failures` times take all places. This many of their jobs
/// wait, and this many of another repository.
fn plan_of(failures: u32, own: usize, jobs: u64, more: &[Runner]) -> Plan {
    let quiet = [job_in(QUIET, "small", 1, 0), job_in(QUIET, "small", 2, 0)];
    let others = (0..jobs).map(|number| job_in("acme/app", "small", 10 + number, 5));
    let mut runners = vec![waiting(&quiet[0], 1), waiting(&quiet[1], 2)];
    runners.extend(more.to_vec());
    let scope = runners[0].facts.scope.clone();
    let unanswered = Failure::of(Fault::NoAnswer, "no answer", at(2), at(2));
    let hold = Hold { failures, ..Hold::after(None, Held::Scope(scope), &unanswered) };
    let mut open = Open::of(quiet.iter().take(own).cloned().chain(others), runners);
    open.add_hold(hold);
    let (mut settings, catalogue) = (settings(), catalogue());
    settings.limits.max_runners = 2 + u32::try_from(more.len()).unwrap();
    plan(&open, Rules { settings: &settings, catalogue: &catalogue }, Means::default(), at(10))
}

/// What is done if both of their jobs wait.
fn tell_of(failures: u32, jobs: u64, more: &[Runner]) -> String {
    let plan = plan_of(failures, 2, jobs, more);
    let retired = plan.retirements.iter().map(|it| format!("{}: {}", it.kind.as_str(), it.reason.text()));
    let waits = plan.waits.iter().map(|it| format!("{} {}", it.job, it.reason.code().as_str()));
    retired.chain(waits).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_job_of_another_scope_gets_the_place_of_a_runner_that_waits_for_github() {
    let waits = "1 github_unavailable; 2 github_unavailable";
    let retired = "surplus: launches wait until GitHub accepts calls again: no answer";
    assert_eq!(tell_of(2, 0, &[]), waits, "no job waits for a place");
    assert_eq!(tell_of(1, 1, &[]), format!("{waits}; 10 limit_deployment"), "a single call says little");
    assert_eq!(tell_of(2, 1, &[]), format!("{retired}; {waits}; 10 limit_deployment"));
    let both = format!("{retired}; {retired}; {waits}");
    let three = "10 limit_deployment; 11 limit_deployment; 12 limit_deployment";
    assert_eq!(tell_of(2, 3, &[]), format!("{both}; {three}"));
}

#[test]
fn the_record_of_a_runner_without_a_job_that_makes_room_is_written_once() {
    for (own, jobs) in [(0, 1), (1, 1), (1, 2), (0, 2)] {
        let plan = plan_of(2, own, jobs, &[]);
        let retired: Vec<_> = plan.retirements.iter().map(|it| &it.runner).collect();
        assert_eq!(retired.len() as u64, jobs, "{own} own jobs");
        let marked: Vec<_> = plan.marks.iter().map(|it| &it.runner).collect();
        assert!(
            marked.iter().all(|runner| !retired.contains(runner)),
            "{own} {jobs}: {marked:?} {retired:?}"
        );
        let surplus = 2 - own;
        assert!(marked.len() >= surplus.saturating_sub(retired.len()), "{own} {jobs}: {marked:?}");
    }
    assert_eq!(plan_of(2, 1, 0, &[]).marks.len(), 1, "one is surplus");
}

#[test]
fn no_runner_makes_room_for_a_place_that_becomes_free_anyway() {
    let ending = runner(&job_in("acme/web", "small", 3, 0), 3, RunnerStage::Starting, 1);
    let ending = ending.end(EndingKind::StoppedByOperator, None, at(2));
    let told = tell_of(2, 1, &[ending]);
    assert_eq!(told, "1 github_unavailable; 2 github_unavailable; 10 limit_deployment");
}
