//! The whole life of one job.

use ecsrunner_core::records::job::JobEnding;
use ecsrunner_core::records::runner::{EndingKind, RunnerStage};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_core::wire::job::Conclusion;

use crate::chain::Chain;
use crate::eventually;
use crate::github::Queued;
use crate::runner::Runner;

pub(crate) async fn a_job_runs_once_and_is_history(chain: &Chain) {
    let queued = chain.github.queue_job().await;
    let task = chain.task().await;
    assert_eq!(task.started_by.as_deref(), Some("ecsrunner/chain"));
    let open = chain.open().await;
    assert_eq!(open.jobs.values().map(|job| job.id()).collect::<Vec<_>>(), [queued.job], "one open job");
    assert_eq!(open.runners.len(), 1, "one open runner");

    let runner = chain.boot(&task).await;
    assert!(chain.boot_items().await.is_empty(), "the agent takes the boot item, and no other one is put");
    // Events arrive in order here; elsewhere in this test they can overtake each other.
    reached(chain, RunnerStage::Booted).await;
    assert_eq!(runner.begin(chain).await, queued.job);
    reached(chain, RunnerStage::Busy).await;
    end(chain, &runner).await;
    is_history(chain, &runner.name, queued).await;

    assert_eq!(chain.ecs.with(|ecs, _| ecs.tasks().count()), 1, "one job is one task");
    let gone = chain.gone_runner(&runner.name).await;
    for stage in [RunnerStage::Reserved, RunnerStage::Starting, RunnerStage::Booted, RunnerStage::Busy] {
        assert!(Timeline::at(&gone.timeline, stage).is_some(), "{stage:?} is in {gone:?}");
    }
    chain.measures("JobsSucceeded", 1.0).await;
    chain.measures("RunnersCompleted", 1.0).await;
}

/// Waits until the only open runner reaches a stage.
async fn reached(chain: &Chain, stage: RunnerStage) {
    let what = format!("a runner that is {stage:?}");
    eventually(&what, async || {
        chain.open().await.runners.values().find(|runner| runner.stage() == stage).map(drop)
    })
    .await;
}

/// Runs a queued job until it is in history.
pub(crate) async fn live_to_the_end(chain: &Chain, runner: &Runner, queued: Queued) {
    let job = runner.begin(chain).await;
    assert_eq!(job, queued.job, "the only runner gets the only job");
    end(chain, runner).await;
    is_history(chain, &runner.name, queued).await;
}

async fn end(chain: &Chain, runner: &Runner) {
    runner.complete().await;
    chain.exit(&runner.task, AgentExit::Completed);
    chain.at_rest().await;
}

pub(crate) async fn is_history(chain: &Chain, runner: &str, queued: Queued) {
    let ended = chain.ended_job(queued.job).await;
    assert_eq!(ended.facts.run, queued.run);
    let JobEnding::Completed { conclusion, .. } = &ended.ending else {
        panic!("job {} ended as {:?}", queued.job, ended.ending);
    };
    assert_eq!(*conclusion, Conclusion::Success);
    let gone = chain.gone_runner(runner).await;
    assert_eq!(gone.kind, EndingKind::Completed, "{gone:?}");
    assert_eq!(gone.facts.launched_for, queued.job);
}

/// Every job and every runner was counted exactly once.
pub(crate) async fn the_metrics_add_up(chain: &Chain) {
    chain.measures("JobsSucceeded", 6.0).await;
    chain.measures("JobsCancelled", 2.0).await;
    chain.measures("RunnersCompleted", 6.0).await;
    chain.measures("RunnersSurplus", 2.0).await;
    // One came through the template, and one was sent directly to the function.
    chain.measures("InvalidSignatures", 2.0).await;
    chain.measures("UnreadableWebhooks", 1.0).await;
}

/// At the end, no record, task, registration or boot item is left.
pub(crate) async fn nothing_is_left(chain: &Chain) {
    chain.github.at_rest().await;
    chain.at_rest().await;
    assert!(chain.boot_items().await.is_empty(), "boot items are left");
    assert!(chain.live_tasks().is_empty(), "tasks are left: {:?}", chain.live_tasks());
    eventually("no message in the queue of kicks", async || {
        (chain.aws.count_messages(&chain.queues.kicks).await == 0).then_some(())
    })
    .await;
    for (what, queue) in [("kicks", &chain.queues.kicks_dead), ("events", &chain.queues.events_dead)] {
        let dead = chain.aws.take_messages(queue).await;
        assert!(dead.is_empty(), "unexpected dead letters of {what}: {dead:?}");
    }
    for delivery in chain.github.deliveries().await {
        assert_eq!(delivery["status"], "OK", "a webhook was not accepted: {delivery}");
    }
}
