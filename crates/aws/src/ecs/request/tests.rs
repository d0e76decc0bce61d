use std::sync::Arc;

use ecsrunner_core::id::{ClassName, Deployment, JobId, PoolId, Repository, RunnerName, WarmName};
use ecsrunner_core::records::runner::RunnerFacts;
use ecsrunner_core::records::warm::WarmFacts;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::limits::WaitLimits;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::compute::ClientToken;
use jiff::SignedDuration;

use super::*;
use crate::ecs::{CapacityProvider, Network};

fn fleet() -> Fleet {
    let definitions = [("default/x64", "runner:1"), ("default/arm64/exec", "runner-arm64-exec:2")];
    Fleet {
        deployment: Deployment::parse("ci").unwrap(),
        cluster: "ecsrunner-ci".to_owned(),
        network: Network {
            subnets: ["subnet-aaaa1111", "subnet-bbbb2222"].map(|id| SubnetId::parse(id).unwrap()).to_vec(),
            security_groups: vec!["sg-1".to_owned()],
            assign_public_ip: true,
        },
        task_definitions: definitions
            .iter()
            .map(|(variant, definition)| (Variant::parse(variant).unwrap(), (*definition).to_owned()))
            .collect(),
        service_definitions: [("db", "services_db"), ("images", "managed_images")]
            .map(|(class, family)| {
                let definition = format!("ecsrunner-ci-{family}_default:4");
                (ClassName::parse(class).unwrap(), [("default".to_owned(), definition)].into())
            })
            .into(),
        capacity_providers: [(
            ClassName::parse("images").unwrap(),
            CapacityProvider { on_demand: Some("runners-ci-images".to_owned()), spot: None },
        )]
        .into(),
        agents: Default::default(),
        environment: Arc::new(|runner| {
            vec![("ECSRUNNER_JOB_LIMIT_SECS".to_owned(), (runner.max_job_minutes * 60).to_string())]
        }),
    }
}

fn runner(exec: bool, storage: u32, arch: Arch) -> RunnerFacts {
    let repository = Repository::parse("acme/app").unwrap();
    RunnerFacts {
        name: RunnerName::parse("ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav").unwrap(),
        class: ClassName::parse("large").unwrap(),
        size: Size::new(4096, 8192, Some(storage), arch).unwrap(),
        pool: PoolId::parse("abcdefghij").unwrap(),
        scope: Scope::Repository(repository.clone()),
        labels: Labels::new(["self-hosted"]),
        repository,
        launched_for: JobId::new(1),
        max_job_minutes: 60,
        wait_limits: None,
        image: None,
        exec,
        fails: false,
        warm: None,
    }
}

fn input(runner: &RunnerFacts, placement: &Placement) -> Result<RunTaskInput, ComputeError> {
    let task = runner.task();
    let order = TaskOrder { task: &task, placement, token: ClientToken::new(&task.name, 2) };
    Ok(run_task(&fleet(), &order, None)?.build().unwrap())
}

fn anywhere(market: Market) -> Placement {
    Placement::fargate(market, None)
}

#[test]
fn an_order_becomes_one_task_of_its_size_in_its_place() {
    let subnet = SubnetId::parse("subnet-bbbb2222").unwrap();
    let placement = Placement::fargate(Market::Spot, Some(subnet));
    let input = input(&runner(true, 60, Arch::Arm64), &placement).unwrap();
    assert_eq!(input.task_definition(), Some("runner-arm64-exec:2"));
    assert_eq!(input.client_token(), Some("01arz3ndektsv4rrffq69g5fav-2"));
    assert_eq!(input.started_by(), Some("ecsrunner/ci"));
    assert_eq!(input.enable_execute_command(), Some(true));
    assert_eq!(input.capacity_provider_strategy()[0].capacity_provider(), "FARGATE_SPOT");
    let vpc = input.network_configuration().unwrap().awsvpc_configuration().unwrap();
    assert_eq!(vpc.subnets(), ["subnet-bbbb2222"]);
    assert_eq!(vpc.assign_public_ip(), Some(&AssignPublicIp::Enabled));
    let overrides = input.overrides().unwrap();
    assert_eq!((overrides.cpu(), overrides.memory()), (Some("4096"), Some("8192")));
    assert_eq!(overrides.ephemeral_storage().unwrap().size_in_gib(), 60);
    let variables: Vec<_> = overrides.container_overrides()[0]
        .environment()
        .iter()
        .map(|variable| (variable.name().unwrap(), variable.value().unwrap()))
        .collect();
    assert_eq!(
        variables,
        [
            ("ECSRUNNER_RUNNER", "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav"),
            ("ECSRUNNER_CAPACITY_PROVIDER", "FARGATE_SPOT"),
            ("ECSRUNNER_JOB_LIMIT_SECS", "3600")
        ]
    );
    let tags: Vec<_> = input.tags().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
    assert_eq!(
        tags,
        [
            ("ecsrunner:deployment", "ci"),
            ("ecsrunner:runner", "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav"),
            ("ecsrunner:pool", "abcdefghij"),
            ("ecsrunner:repository", "acme/app"),
            ("ecsrunner:class", "large"),
        ]
    );
}

#[test]
fn a_task_on_managed_instances_names_its_classs_provider_and_sends_neither_size_nor_a_public_address() {
    let class = ClassName::parse("images").unwrap();
    let subnet = Some(SubnetId::parse("subnet-bbbb2222").unwrap());
    let placement = Placement { managed: Some(class.clone()), subnet, ..anywhere(Market::OnDemand) };
    let facts = RunnerFacts {
        class,
        size: Size::managed(2048, 4096, Some(200), Arch::Arm64).unwrap(),
        ..runner(true, 60, Arch::Arm64)
    };
    let sent = input(&facts, &placement).unwrap();
    assert_eq!(sent.capacity_provider_strategy()[0].capacity_provider(), "runners-ci-images");
    assert_eq!(sent.capacity_provider_strategy().len(), 1);
    assert_eq!(sent.task_definition(), Some("ecsrunner-ci-managed_images_default:4"));
    let vpc = sent.network_configuration().unwrap().awsvpc_configuration().unwrap();
    assert_eq!(vpc.subnets(), ["subnet-aaaa1111", "subnet-bbbb2222"], "wherever its instance starts");
    assert_eq!(vpc.assign_public_ip(), Some(&AssignPublicIp::Disabled));
    let overrides = sent.overrides().unwrap();
    assert_eq!((overrides.cpu(), overrides.memory(), overrides.ephemeral_storage()), (None, None, None));
    assert_eq!(sent, input(&facts, &placement).unwrap(), "a repeated order asks for exactly the same");
    let spot = Placement { market: Market::Spot, ..placement };
    let refused = input(&facts, &spot).unwrap_err().to_string();
    let expected =
        "the deployment has no capacity provider for `MANAGED_INSTANCES of images (Spot) in subnet-bbbb2222`";
    assert_eq!(refused, expected);
}

#[test]
fn a_class_that_has_moved_since_its_runner_was_reserved_gives_it_no_task_of_the_other_kind() {
    let facts =
        |class: &str| RunnerFacts { class: ClassName::parse(class).unwrap(), ..runner(false, 20, Arch::X64) };
    let moved = input(&facts("images"), &anywhere(Market::OnDemand)).unwrap_err();
    assert!(
        matches!(moved, ComputeError::Unsendable { .. }),
        "an earlier attempt may have been sent: {moved:?}"
    );
    assert_eq!(moved.to_string(), "the deployment has no task definition of class `images` for Fargate");
    let managed = Some(ClassName::parse("large").unwrap());
    let back = input(&facts("large"), &Placement { managed, ..anywhere(Market::OnDemand) }).unwrap_err();
    assert!(matches!(back, ComputeError::Unsendable { .. }), "{back:?}");
}

#[test]
fn a_repeated_order_asks_for_exactly_the_same() {
    let runner = runner(true, 60, Arch::Arm64);
    let once = input(&runner, &anywhere(Market::OnDemand)).unwrap();
    assert_eq!(once, input(&runner, &anywhere(Market::OnDemand)).unwrap());
}

#[test]
fn a_task_asks_for_no_storage_that_it_has_anyway_and_for_any_subnet_where_none_is_named() {
    let input = input(&runner(true, 20, Arch::Arm64), &anywhere(Market::OnDemand)).unwrap();
    assert_eq!(input.overrides().unwrap().ephemeral_storage(), None);
    let vpc = input.network_configuration().unwrap().awsvpc_configuration().unwrap();
    assert_eq!(vpc.subnets(), ["subnet-aaaa1111", "subnet-bbbb2222"]);
    assert_eq!(input.capacity_provider_strategy()[0].capacity_provider(), "FARGATE");
}

#[test]
fn image_and_exec_are_the_runners_own_whatever_has_become_of_its_class() {
    let input = input(&runner(false, 20, Arch::X64), &anywhere(Market::OnDemand)).unwrap();
    assert_eq!(input.task_definition(), Some("runner:1"));
    assert_eq!(input.enable_execute_command(), Some(false));
    let runner = RunnerFacts { image: Some("android".to_owned()), ..runner(true, 20, Arch::X64) };
    let error = self::input(&runner, &anywhere(Market::OnDemand)).unwrap_err();
    assert_eq!(error.to_string(), "the deployment has no task definition `android/x64/exec`");
}

#[test]
fn a_warm_task_has_tags_of_its_class_and_of_no_pool_or_repository() {
    let runner = runner(false, 20, Arch::X64);
    let warm = WarmFacts {
        name: WarmName::parse("ecsr-ci-warm-01arz3ndektsv4rrffq69g5fav").unwrap(),
        class: runner.class.clone(),
        size: runner.size,
        max_job_minutes: 60,
        wait_limits: WaitLimits { boot_secs: 300, connect_secs: 120, idle_secs: 900 },
        hook_limit_secs: 300,
        max_age: SignedDuration::from_hours(12),
        image: None,
        digest: None,
        exec: false,
        services: None,
    };
    let task = warm.task();
    let placement = anywhere(Market::OnDemand);
    let order = TaskOrder { task: &task, placement: &placement, token: ClientToken::new(&task.name, 1) };
    let input = run_task(&fleet(), &order, None).unwrap().build().unwrap();
    let tags: Vec<_> = input.tags().iter().map(|tag| (tag.key().unwrap(), tag.value().unwrap())).collect();
    assert_eq!(
        tags,
        [
            ("ecsrunner:deployment", "ci"),
            ("ecsrunner:runner", "ecsr-ci-warm-01arz3ndektsv4rrffq69g5fav"),
            ("ecsrunner:class", "large"),
        ]
    );
    let container = &input.overrides().unwrap().container_overrides()[0];
    let variable = container.environment().iter().find(|it| it.name() == Some("ECSRUNNER_RUNNER"));
    assert_eq!(variable.unwrap().value(), Some("ecsr-ci-warm-01arz3ndektsv4rrffq69g5fav"));
    assert_eq!(input.client_token(), Some("01arz3ndektsv4rrffq69g5fav-1"));
}

#[test]
fn a_variant_without_a_task_definition_is_refused_by_its_name() {
    let error = input(&runner(false, 20, Arch::Arm64), &anywhere(Market::OnDemand)).unwrap_err();
    assert_eq!(error.to_string(), "the deployment has no task definition `default/arm64`");
}

#[test]
fn a_class_with_services_has_its_own_task_definition_and_no_other_takes_its_place() {
    let class = ClassName::parse("db").unwrap();
    let with_services = RunnerFacts { class, ..runner(false, 20, Arch::X64) };
    let started = input(&with_services, &anywhere(Market::OnDemand)).unwrap();
    assert_eq!(started.task_definition(), Some("ecsrunner-ci-services_db_default:4"));
    let official = RunnerFacts { image: Some("official".to_owned()), ..with_services };
    let error = input(&official, &anywhere(Market::OnDemand)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the deployment has no task definition of class `db` with the image `official`"
    );
}

#[test]
fn what_aws_does_not_allow_is_replaced_and_what_is_too_long_is_cut() {
    assert_eq!(tag_value("acme/app.io_x"), "acme/app.io_x");
    assert_eq!(tag_value("a,b\n*"), "a_b__");
    assert_eq!(tag_value(&"x".repeat(300)).len(), 256);
    assert_eq!(stop_reason("a\nb"), "a b");
    assert_eq!(stop_reason(&"ü".repeat(2000)).chars().count(), 255);
}
