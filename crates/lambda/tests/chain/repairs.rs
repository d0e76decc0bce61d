//! Runners that do not end in the usual way after their job.

use ecsrunner_core::records::runner::EndingKind;
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_world::ecs::StopCode;
use serde_json::json;

use crate::chain::Chain;
use crate::deployment::FUNCTION;
use crate::eventually;
use crate::life;

pub(crate) async fn a_cancelled_jobs_runner_is_retired_with_all_that_it_has(chain: &Chain) {
    let queued = chain.github.queue_job().await;
    let task = chain.task().await;
    // The agent is slow, so the boot item is still there when no job needs the runner any more.
    let item = eventually("a boot item", async || chain.boot_items().await.pop()).await;
    chain.keep_secret("the configuration of a runner that never booted", item["jit"]["S"].as_str().unwrap());
    chain.github.cancel(queued.job).await;
    chain.at_rest().await;

    assert!(chain.boot_items().await.is_empty(), "the boot item is taken back");
    let stopped = chain.ecs.with(|ecs, _| ecs.task(&task.id)).unwrap();
    assert_eq!(stopped.stop_code, Some(StopCode::UserInitiated), "the task is stopped");
    let gone = chain.gone_runner(&task.environment["ECSRUNNER_RUNNER"]).await;
    assert_eq!(gone.kind, EndingKind::Surplus);
    chain.github.at_rest().await;
}

pub(crate) async fn the_sweep_hears_of_a_task_whose_end_nobody_told(chain: &Chain) {
    let queued = chain.github.queue_job().await;
    let task = chain.task().await;
    let runner = chain.boot(&task).await;
    assert_eq!(runner.begin(chain).await, queued.job);
    // From here on ECS's events are lost.
    lose_events(chain, 1.0);
    runner.complete().await;
    chain.exit(&task, AgentExit::Completed);
    eventually("a stopped task, and an ended job", async || {
        (chain.live_tasks().is_empty() && chain.open().await.jobs.is_empty()).then_some(())
    })
    .await;
    assert_eq!(chain.open().await.runners.len(), 1, "the end of the task is not recorded yet");

    let swept = chain.aws.invoke(FUNCTION, &json!({"sweep": {}})).await;
    lose_events(chain, 0.0);
    assert!(swept.is_ok(), "{swept:?}");
    chain.at_rest().await;
    life::is_history(chain, &runner.name, queued).await;
}

fn lose_events(chain: &Chain, probability: f64) {
    chain.ecs.with(|ecs, _| ecs.faults_mut().events.lose = probability);
}
