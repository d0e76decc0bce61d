//! Runners in history, to which an exit record is added later.

use ecsrunner_core::records::runner::{EndedRunner, EndingKind, Served};
use ecsrunner_core::records::times::{AgentReport, JobTimes, Times};
use ecsrunner_core::rules::image::RunnerVersion;
use ecsrunner_core::wire::exit_record::AgentTimes;
use ecsrunner_core::wire::peaks::Peaks;

use super::*;

/// The record of a runner in history.
pub(super) fn gone(runner: &Runner) -> EndedRunner {
    let job = JobTimes { queued_at: at(-1), recorded_at: None, started_at: at(7), held_by: None };
    EndedRunner {
        facts: runner.facts.clone(),
        version: runner.version.next(),
        timeline: runner.timeline.clone(),
        kind: EndingKind::Completed,
        note: None,
        served: Served::Job(JobId::new(7)),
        placement: runner.placement.clone(),
        task: runner.task().cloned(),
        stopped_at: Some(at(8)),
        cost_usd: None,
        times: Times { job: Some(job), ..Times::default() },
    }
}

#[tokio::test]
async fn a_gone_runner_is_loaded_where_it_is_asked_for_and_amended_at_its_version() {
    let fixture = Fixture::new().await;
    let runner = runner();
    fixture.write(Change::Runner(runner.clone())).await.unwrap();
    let keys = Keys::of_runner(runner.name());
    let with_history = Keys { gone: true, ..keys.clone() };
    let load = async |keys: &Keys| {
        let records = fixture.store.load(keys).await.unwrap();
        (records.runner, records.gone)
    };
    assert_eq!(load(&with_history).await, (Some(runner.clone()), None));
    let gone = gone(&runner);
    fixture.write(Change::RunnerGone(Box::new(gone.clone()))).await.unwrap();
    assert_eq!(load(&keys).await, (None, None), "history is not read for nothing");
    assert_eq!(load(&with_history).await, (None, Some(gone.clone())));
    let steps = [Some(at(2)), None, Some(at(3)), None, None, None, Some(at(8))];
    let agent = AgentReport {
        written_at: at(9),
        times: AgentTimes::from_steps(steps),
        runner_version: RunnerVersion::parse("2.336.0").ok(),
        peaks: Some(Peaks { oom_kills: Some(2), ..Peaks::default() }),
    };
    let times = Times { agent: Some(agent), ..gone.times.clone() };
    let amended = EndedRunner { version: gone.version.next(), times, ..gone };
    let change = Change::RunnerAmended(Box::new(amended.clone()));
    fixture.write(change.clone()).await.unwrap();
    assert_eq!(load(&with_history).await, (None, Some(amended)));
    assert!(matches!(fixture.write(change).await, Err(StoreError::Conflict)), "it is written once");
}
