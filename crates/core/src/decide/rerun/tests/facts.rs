//! What counts as lost, and where.

use super::*;
use crate::records::change::Records;
use crate::records::runner::EndingKind;
use crate::wire::event::{Event, StopCause, TaskChange, TaskEvent, TaskTimes};
use crate::wire::exit::AgentExit;

/// Returns the loss that a stopped task is recorded as.
fn lost(runner: &Runner, cause: StopCause, settings: &Settings, catalogue: &Catalogue) -> Option<Loss> {
    let task = runner.task().unwrap().clone();
    let change = TaskChange::Stopped(cause);
    let (name, times) = (runner.name().clone().into(), TaskTimes::default());
    let event = Event::Task(TaskEvent { name, task, version: 9, change, times, instance: None, at: at(60) });
    let records = Records { runner: Some(runner.clone()), ..Records::default() };
    let recorded = crate::decide::record::record(&event, &records, Rules { settings, catalogue });
    recorded.changes.into_iter().find_map(|change| match change {
        Change::Rerun(record) => match *record {
            RerunRecord::Loss(loss) => Some(loss),
            other => panic!("{other:?}"),
        },
        _ => None,
    })
}

fn words(text: &str) -> StopCause {
    StopCause::Unknown(text.into())
}

#[test]
fn what_took_a_runner_away_decides_whether_it_was_lost() {
    let (settings, catalogue) = (switched_on(), catalogue());
    let lost = |cause| lost(&busy(7), cause, &settings, &catalogue);
    for cause in [
        StopCause::SpotInterrupted,
        StopCause::Missing,
        StopCause::Agent(AgentExit::Failed),
        StopCause::Agent(AgentExit::InterruptedBusy),
        words("exit code 139: Essential container in task exited"),
        words("Fargate host is being retired"),
    ] {
        let loss = lost(cause.clone()).unwrap_or_else(|| panic!("{cause:?}"));
        assert_eq!((loss.job, loss.runner), (Some(JobId::new(7)), name(7)));
    }
    assert_eq!(lost(StopCause::SpotInterrupted).unwrap().cause, Code::SpotInterrupted.into());
    for cause in [
        StopCause::Agent(AgentExit::Completed),
        StopCause::Agent(AgentExit::JobTimeout),
        StopCause::Agent(AgentExit::ListenerCrashed),
        StopCause::Agent(AgentExit::JobAbandoned),
        StopCause::Agent(AgentExit::ListenerHung),
        StopCause::Agent(AgentExit::JobRefused),
        StopCause::StoppedByUser,
        words("exit code 137: OutOfMemoryError: Container killed due to memory usage"),
        words("exit code 137: Essential container in task exited"),
    ] {
        assert_eq!(lost(cause.clone()), None, "{cause:?}");
    }
}

#[test]
fn a_runner_whose_job_had_ended_is_lost_only_by_an_interruption() {
    let (settings, catalogue) = (switched_on(), catalogue());
    let runner = busy(7).end(EndingKind::Completed, None, at(30));
    let lost = |cause| lost(&runner, cause, &settings, &catalogue).is_some();
    assert!(lost(StopCause::SpotInterrupted) && lost(StopCause::Agent(AgentExit::InterruptedBusy)));
    assert!(!lost(StopCause::Missing) && !lost(StopCause::Agent(AgentExit::Failed)) && !lost(words("gone")));
}

#[test]
fn a_runner_that_an_operator_or_a_limit_stops_is_not_lost() {
    let (settings, catalogue) = (switched_on(), catalogue());
    for kind in [EndingKind::StoppedByOperator, EndingKind::JobTimeout] {
        let stopped = busy(7).end(kind, None, at(30));
        assert_eq!(lost(&stopped, StopCause::SpotInterrupted, &settings, &catalogue), None, "{kind:?}");
    }
}

#[test]
fn the_class_decides_before_the_deployment_and_the_repositories() {
    let mut settings = settings();
    let with = |rerun: Option<bool>| {
        let entry = serde_json::json!({"small": {"cpu": 512, "memory": 1024, "rerun": rerun}});
        Catalogue::read(&serde_json::from_value(entry).unwrap()).0
    };
    let small = ClassName::parse("small").unwrap();
    let on = |settings: &Settings, rerun| {
        let catalogue = with(rerun);
        is_on(Rules { settings, catalogue: &catalogue }, Some(&small), &repository())
    };
    assert!(!on(&settings, None) && !on(&settings, Some(false)) && on(&settings, Some(true)));
    settings.reruns.repositories = vec![crate::rules::policy::RepositoryPattern::parse("Acme/App").unwrap()];
    assert!(on(&settings, None) && !on(&settings, Some(false)));
    settings.reruns = crate::rules::settings::Reruns { all: true, repositories: Vec::new() };
    assert!(on(&settings, None) && !on(&settings, Some(false)));
}

#[test]
fn a_runner_is_lost_whichever_repositorys_job_it_had_and_the_job_decides() {
    let (mut settings, catalogue) = (settings(), catalogue());
    assert_eq!(lost(&busy(7), StopCause::SpotInterrupted, &settings, &catalogue), None);
    settings.reruns.repositories = vec![crate::rules::policy::RepositoryPattern::parse("acme/web").unwrap()];
    assert!(lost(&busy(7), StopCause::SpotInterrupted, &settings, &catalogue).is_some());
}

#[test]
fn only_a_failure_counts_as_one() {
    let (settings, catalogue) = (switched_on(), catalogue());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let outcome = |conclusion: &str| {
        let ended = EndedJob {
            facts: job_facts(7, "acme/app", &["self-hosted", "class:small"]),
            version: Version::FIRST,
            created_at: at(0),
            timeline: Timeline::begin(JobStage::Completed, at(9)),
            assignment: None,
            ending: JobEnding::Completed {
                conclusion: Conclusion::parse(conclusion),
                runner: TakenBy::Ours(name(7)),
                reason: None,
            },
        };
        let event = Event::Task(TaskEvent {
            name: name(7).into(),
            task: TaskId::parse("task").unwrap(),
            version: 1,
            change: TaskChange::Running,
            times: TaskTimes::default(),
            instance: None,
            at: at(9),
        });
        let facts = facts(&event, &Records::default(), &[Change::JobEnded(ended)], rules);
        facts.into_iter().any(|change| matches!(change, Change::Rerun(record) if matches!(&*record, RerunRecord::Outcome(outcome) if outcome.failed)))
    };
    assert!(outcome("failure"));
    for other in ["cancelled", "timed_out", "success", "skipped"] {
        assert!(!outcome(other), "{other}");
    }
}
