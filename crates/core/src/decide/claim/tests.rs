use jiff::Timestamp;

use super::*;
use crate::decide::step::{Next, Step};
use crate::id::{ClassName, Epoch, InstanceId, JobId, PoolId, Repository, RunnerId, TaskId, Version};
use crate::records::runner::{RunnerFacts, RunnerStage, Task, TaskLeft};
use crate::records::timeline::Timeline;
use crate::rules::class::size::{Arch, Size};
use crate::rules::cost::Market;
use crate::rules::labels::Labels;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;

const NAME: &str = "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav";
const OTHER: &str = "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5faw";

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap()
}

fn name(text: &str) -> RunnerName {
    RunnerName::parse(text).unwrap()
}

fn host() -> HostId {
    HostId::parse("i-0123456789abcdef0").unwrap()
}

fn instance() -> Instance {
    Instance::new(InstanceId::parse("0123456789abcdef0123456789abcdef").unwrap())
}

/// A runner whose container runs, on managed instances or on Fargate.
fn booted(managed: bool, instance: Option<Instance>) -> Runner {
    let class = ClassName::parse("images").unwrap();
    let repository = Repository::parse("acme/app").unwrap();
    let task = Task { id: TaskId::parse("task1").unwrap(), heard: 1 };
    Runner {
        facts: RunnerFacts {
            name: name(NAME),
            class: class.clone(),
            size: Size::managed(2048, 4096, None, Arch::X64).unwrap(),
            pool: PoolId::parse("abcdefg234").unwrap(),
            scope: Scope::Repository(repository.clone()),
            labels: Labels::new(["self-hosted"]),
            repository,
            launched_for: JobId::new(7),
            max_job_minutes: 60,
            wait_limits: None,
            image: None,
            exec: false,
            fails: false,
            warm: None,
        },
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline: Timeline::begin(RunnerStage::Reserved, at(0)),
        surplus_since: None,
        placement: Placement {
            managed: managed.then_some(class),
            ..Placement::fargate(Market::OnDemand, None)
        },
        instance,
        probe: false,
        retry: None,
        asked_at: None,
        times: Box::default(),
        state: RunnerState::Booted { task, custody: Custody::Unissued },
    }
}

#[test]
fn a_runner_on_an_instance_gets_no_configuration_before_the_instance_is_its_own() {
    let unknown = booted(true, None);
    assert_eq!(unknown.next(at(1)), Next::Event, "its instance is not known");
    assert!(unknown.handed_over(RunnerId::new(9), at(1)).is_none());
    let known = booted(true, Some(instance()));
    assert_eq!(known.next(at(1)), Next::Now(Step::ClaimInstance));
    assert!(known.handed_over(RunnerId::new(9), at(1)).is_none(), "no instance is claimed yet");
    let (own, claim) = known.claim(&host(), None, at(2)).unwrap();
    assert_eq!(claim, Some(Claim { host: host(), runner: name(NAME), at: at(2) }));
    assert_eq!(own.next(at(3)), Next::Now(Step::HandOver));
    assert!(own.handed_over(RunnerId::new(9), at(3)).is_some());
    let on_fargate = booted(false, None);
    assert_eq!(on_fargate.next(at(1)), Next::Now(Step::HandOver));
    assert!(on_fargate.handed_over(RunnerId::new(9), at(1)).is_some());
}

#[test]
fn a_runner_on_the_instance_of_another_one_ends_without_a_configuration() {
    let (ended, claim) = booted(true, Some(instance())).claim(&host(), Some(&name(OTHER)), at(2)).unwrap();
    assert_eq!(claim, None);
    let RunnerState::Ending(ending) = &ended.state else { panic!("{ended:?}") };
    assert_eq!((ending.kind, ending.fault), (EndingKind::BootFailed, Some(Fault::InstanceUsed)));
    assert_eq!(ending.custody, Custody::Unissued);
    assert!(ending.note.as_ref().is_some_and(|note| note.text().contains("i-0123456789abcdef0 belongs to")));
    assert_eq!(ended.next(at(3)), Next::Now(Step::StopTask));
    assert!(ended.handed_over(RunnerId::new(9), at(3)).is_none());
    let stopping = ended.task_stopping(at(4)).unwrap();
    assert_eq!(stopping.next(at(4)), Next::Now(Step::DrainInstance), "the owner may be gone");
    let by_owner = stopping.drain(&host(), Some(&name(OTHER)), true, at(4));
    assert_eq!(by_owner, Drain::Leave, "the owner's job may run there, and would be stopped");
    assert_eq!(stopping.drain(&host(), Some(&name(OTHER)), false, at(4)), Drain::Now, "its owner is gone");
}

#[test]
fn a_runner_that_ends_before_its_claim_makes_the_instance_its_own_before_it_is_drained() {
    let ended = booted(true, Some(instance())).end(EndingKind::BootFailed, None, at(2)).task_stopping(at(3));
    let ended = ended.unwrap();
    assert_eq!(ended.next(at(3)), Next::Now(Step::DrainInstance));
    let claim = Claim { host: host(), runner: name(NAME), at: at(4) };
    assert_eq!(ended.drain(&host(), None, false, at(4)), Drain::Claim(claim));
    assert_eq!(ended.drain(&host(), Some(&name(NAME)), true, at(5)), Drain::Now, "its claim is written");
}

#[test]
fn a_claim_whose_answer_was_lost_is_found_again_and_written_once() {
    let (again, claim) = booted(true, Some(instance())).claim(&host(), Some(&name(NAME)), at(2)).unwrap();
    assert_eq!(claim, None);
    assert_eq!(again.next(at(3)), Next::Now(Step::HandOver));
    let (own, _) = booted(true, Some(instance())).claim(&host(), None, at(2)).unwrap();
    assert_eq!(own.claim(&host(), Some(&name(NAME)), at(3)), None, "nothing is left to write");
}

#[test]
fn an_instance_takes_no_more_tasks_before_its_runner_is_gone() {
    let (own, _) = booted(true, Some(instance())).claim(&host(), None, at(2)).unwrap();
    let (given, _) = own.handed_over(RunnerId::new(9), at(3)).unwrap();
    assert!(!given.is_to_drain(), "its job may run");
    let ending = given.end(EndingKind::Completed, None, at(4));
    assert!(!ending.is_to_drain(), "its agent may still report");
    let RunnerState::Ending(left) = ending.state.clone() else { panic!("{ending:?}") };
    let left = crate::records::runner::Ending {
        custody: Custody::Taken(RunnerId::new(9)),
        task: TaskLeft::Stopped { task: None, at: at(5) },
        registration: crate::records::runner::RegistrationLeft::Deleted,
        ..left
    };
    let stopped = ending.with_state(RunnerState::Ending(left), at(5));
    assert_eq!(stopped.next(at(5)), Next::Now(Step::DrainInstance));
    assert!(stopped.finish(at(5)).is_none() && !stopped.is_to_finish());
    let drained = stopped.instance_drained(at(6)).unwrap();
    assert_eq!(drained.next(at(6)), Next::Now(Step::Finish));
    assert!(drained.instance_drained(at(7)).is_none(), "once is enough");
    assert!(drained.finish(at(6)).is_some());
}
