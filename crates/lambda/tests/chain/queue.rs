//! Kicks through SQS and the function's event source mapping.

use ecsrunner_world::ecs::Shortage;

use crate::chain::Chain;
use crate::eventually;
use crate::life;

pub(crate) async fn capacity_that_comes_back_is_found_by_a_kick(chain: &Chain) {
    chain.ecs.with(|ecs, _| ecs.faults_mut().short = vec![Shortage::default()]);
    let queued = chain.github.queue_job().await;
    eventually("a launch without capacity, in each subnet", async || {
        (chain.logs().await.said("no capacity for runner").len() >= 2).then_some(())
    })
    .await;
    assert!(chain.live_tasks().is_empty(), "there is no capacity");
    chain.ecs.with(|ecs, _| ecs.faults_mut().short.clear());
    // No webhook, task event or sweep follows, so only the dispatcher's own kick is left.
    let task = chain.task().await;
    let runner = chain.boot(&task).await;
    life::live_to_the_end(chain, &runner, queued).await;
    let launched = chain.logs().await.invocation_that_said("launched runner", &runner.name);
    for woken_otherwise in ["received webhook", "recorded task event", "swept"] {
        assert!(
            launched.iter().all(|fact| fact["message"] != woken_otherwise),
            "launched by an invocation that a kick started: {launched:?}"
        );
    }
}

pub(crate) async fn a_message_that_is_no_kick_is_set_aside(chain: &Chain) {
    let kicks = &chain.queues.kicks;
    chain.aws.send_messages(kicks, &[r#"{"kick":1}"#, "no kick at all"]).await;
    let dead = chain.aws.take_when(&chain.queues.kicks_dead, 1).await;
    assert_eq!(dead, ["no kick at all"], "the kick in the same batch is handled");
}
