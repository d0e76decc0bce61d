//! The adapter against a stateful fake of ECS.

use std::time::Duration;

use ecsrunner_aws::ecs::EcsTasks;
use ecsrunner_aws::task_event;
use ecsrunner_core::decide::sweep::SeenStatus;
use ecsrunner_core::id::{ClassName, InstanceId, SubnetId, TaskId};
use ecsrunner_core::records::runner::RunnerFacts;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::wire::event::{StopCause, TaskChange, TaskEvent};
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_engine::ports::compute::{ClientToken, Compute, ComputeError, TaskOrder};
use ecsrunner_sim::ecs::FakeEcs;
use ecsrunner_world::ecs::{
    CallFault, Durations, FaultAnswer, Options, Provider, Rate, Rates, Shortage, TaskDefinition, ThrottleForm,
};
use jiff::Timestamp;

use crate::aws::connection;
use crate::ecs::{fleet, runner};

struct Cloud {
    fake: FakeEcs,
    tasks: EcsTasks,
}

impl Cloud {
    async fn start() -> Self {
        let options = Options {
            clusters: vec!["ci".to_owned()],
            task_definitions: vec![TaskDefinition::new("runner", 1)],
            durations: Durations::each(Duration::from_millis(5)),
            managed: true,
            ..Options::default()
        };
        let fake = FakeEcs::start(options).await.unwrap();
        let tasks = EcsTasks::new(&connection(&[("AWS_ENDPOINT_URL", fake.url())]), fleet());
        Self { fake, tasks }
    }

    async fn run(&self, placement: &Placement) -> Result<TaskId, ComputeError> {
        let runner = runner();
        let class = placement.managed.clone().unwrap_or(runner.class);
        let runner = RunnerFacts { class, ..runner };
        let facts = runner.task();
        let order = TaskOrder { task: &facts, placement, token: ClientToken::new(&facts.name, 1) };
        self.tasks.run_task(&order).await
    }

    /// The next relevant event of this deployment, after `known` events of any kind.
    async fn next(&self, known: &mut usize) -> TaskEvent {
        loop {
            for event in self.fake.events_after(*known).await {
                *known += 1;
                let detail = event["detail"].to_string();
                let deployment = &fleet().deployment;
                if let Some(read) = task_event::read(&detail, deployment, "ci", Timestamp::now()).unwrap() {
                    return read;
                }
            }
        }
    }
}

fn anywhere(market: Market) -> Placement {
    Placement::fargate(market, None)
}

#[tokio::test]
async fn a_task_is_started_told_of_and_seen_until_its_end() {
    let cloud = Cloud::start().await;
    let task = cloud.run(&anywhere(Market::OnDemand)).await.unwrap();
    let known = &mut 0;
    let running = cloud.next(known).await;
    assert_eq!((&running.task, running.change), (&task, TaskChange::Running));
    assert_eq!(cloud.tasks.tasks().await.unwrap()[0].status, SeenStatus::Running);
    cloud.fake.with(|ecs, now| ecs.exit(task.as_str(), 0, now)).unwrap();
    let stopped = cloud.next(known).await;
    let completed = StopCause::Agent(AgentExit::Completed);
    assert!(stopped.version > running.version);
    assert_eq!(
        (stopped.name, stopped.change),
        (runner().name.into(), TaskChange::Stopped(completed.clone()))
    );
    assert_eq!(cloud.tasks.tasks().await.unwrap()[0].status, SeenStatus::Stopped(completed));
}

#[tokio::test]
async fn an_instance_is_known_by_its_ec2_instance_and_is_drained() {
    let cloud = Cloud::start().await;
    let managed = Some(ClassName::parse("images").unwrap());
    let placement = Placement { managed, ..anywhere(Market::OnDemand) };
    let task = cloud.run(&placement).await.unwrap();
    let running = cloud.next(&mut 0).await;
    let instance = running.instance.expect("the event names its instance");
    let seen = cloud.tasks.tasks().await.unwrap();
    assert_eq!(seen[0].instance.as_ref(), Some(&instance), "DescribeTasks names it too");
    let host = cloud.tasks.host_of(&instance, &placement).await.unwrap().expect("ECS knows it");
    let of_spot = Placement { market: Market::Spot, ..placement.clone() };
    let foreign = cloud.tasks.host_of(&instance, &of_spot).await.unwrap();
    assert_eq!(foreign, None, "another capacity provider started it");
    assert_eq!(
        cloud.fake.with(|ecs, _| ecs.host_of_task(task.as_str()).map(str::to_owned)),
        Some(host.to_string())
    );
    assert_eq!(cloud.fake.with(|ecs, now| ecs.open_instances(now)), 1);
    cloud.tasks.drain(&instance).await.unwrap();
    assert_eq!(cloud.fake.with(|ecs, now| ecs.open_instances(now)), 0);
    cloud.tasks.drain(&instance).await.expect("as often as it takes");
    let unknown = InstanceId::parse("ffffffffffffffffffffffffffffffff").unwrap();
    assert_eq!(cloud.tasks.host_of(&unknown, &placement).await.unwrap(), None);
    cloud.tasks.drain(&unknown).await.expect("one that is gone takes no tasks");
    let invalid = FaultAnswer::Error {
        code: "InvalidParameterException".to_owned(),
        message: "Only ACTIVE container instances can be updated.".to_owned(),
    };
    let denied = FaultAnswer::Error { code: "AccessDeniedException".to_owned(), message: "no".to_owned() };
    for (answer, is_refused) in [(invalid, false), (denied, true)] {
        let fault = CallFault::once("UpdateContainerInstancesState", answer);
        cloud.fake.with(|ecs, _| ecs.faults_mut().calls.push(fault));
        let drained = cloud.tasks.drain(&instance).await;
        assert_eq!(matches!(drained, Err(ComputeError::Refused { .. })), is_refused, "{drained:?}");
    }
}

#[tokio::test]
async fn a_task_whose_answer_was_lost_is_found_by_asking_again_and_is_one() {
    let cloud = Cloud::start().await;
    let lost = CallFault::once_after_effect("RunTask", FaultAnswer::Lost);
    cloud.fake.with(|ecs, _| ecs.faults_mut().calls.push(lost));
    let task = cloud.run(&anywhere(Market::Spot)).await.unwrap();
    assert_eq!(cloud.run(&anywhere(Market::Spot)).await.unwrap(), task);
    assert_eq!(cloud.run(&anywhere(Market::OnDemand)).await.unwrap(), task, "adopted after a conflict");
    assert_eq!(cloud.fake.with(|ecs, _| ecs.tasks().count()), 1);
}

#[tokio::test]
async fn a_stopped_task_is_joined_to_its_runner_though_its_tags_are_gone() {
    let cloud = Cloud::start().await;
    let task = cloud.run(&anywhere(Market::OnDemand)).await.unwrap();
    assert_eq!(cloud.next(&mut 0).await.change, TaskChange::Running);
    cloud.tasks.stop_task(&task, "surplus").await.unwrap();
    assert!(cloud.fake.with(|ecs, _| ecs.task(task.as_str())).unwrap().tags.is_empty());
    let seen = cloud.tasks.tasks().await.unwrap();
    assert_eq!((&seen[0].task, &seen[0].name), (&task, &runner().name.into()));
    let unknown = TaskId::parse("ffffffffffffffffffffffffffffffff").unwrap();
    cloud.tasks.stop_task(&unknown, "surplus").await.unwrap();
}

#[tokio::test]
async fn want_of_capacity_is_told_at_once_or_late_and_a_spent_quota_likewise() {
    let subnet = SubnetId::parse("subnet-aaaa1111").unwrap();
    let spot = Placement::fargate(Market::Spot, Some(subnet));
    let cloud = Cloud::start().await;
    let short = Shortage { provider: Some(Provider::FargateSpot), ..Shortage::default() };
    cloud.fake.with(|ecs, _| ecs.faults_mut().short.push(short.clone()));
    assert!(matches!(cloud.run(&spot).await, Err(ComputeError::NoCapacity { .. })));

    let cloud = Cloud::start().await;
    cloud.fake.with(|ecs, _| ecs.faults_mut().vcpu_quotas.insert(Provider::Fargate, 0));
    let refused = cloud.run(&anywhere(Market::OnDemand)).await;
    assert!(matches!(refused, Err(ComputeError::NoCapacity { .. })), "{refused:?}");

    let cloud = Cloud::start().await;
    cloud.fake.with(|ecs, _| ecs.faults_mut().short.push(Shortage { late: true, ..short }));
    cloud.run(&spot).await.unwrap();
    let stopped = cloud.next(&mut 0).await.change;
    assert!(matches!(stopped, TaskChange::Stopped(StopCause::NoCapacity(_))), "{stopped:?}");
}

#[tokio::test]
async fn throttling_is_told_in_whichever_form_it_comes() {
    for form in [
        ThrottleForm::ThrottlingException,
        ThrottleForm::ClientException,
        ThrottleForm::InvalidParameterException,
        ThrottleForm::Failure,
    ] {
        let options = Options {
            clusters: vec!["ci".to_owned()],
            task_definitions: vec![TaskDefinition::new("runner", 1)],
            rates: Rates { launch: Rate { burst: 0, per_second: 0 }, ..Default::default() },
            ..Options::default()
        };
        let fake = FakeEcs::start(options).await.unwrap();
        fake.with(|ecs, _| ecs.faults_mut().throttle = form);
        let tasks = EcsTasks::new(&connection(&[("AWS_ENDPOINT_URL", fake.url())]), fleet());
        let refused = Cloud { fake, tasks }.run(&anywhere(Market::OnDemand)).await;
        assert!(matches!(refused, Err(ComputeError::Throttled { .. })), "{form:?}: {refused:?}");
    }
}
