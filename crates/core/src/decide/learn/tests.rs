mod refused;

use super::*;
use crate::id::{
    ClassName, Epoch, HostId, InstanceId, JobId, PoolId, Repository, RunnerId, RunnerName, SubnetId, TaskId,
    Version,
};
use crate::reason::Code;
use crate::records::instance::Instance;
use crate::records::runner::{Custody, Ending, EndingKind, RegistrationLeft, RunnerFacts, Task, TaskLeft};
use crate::records::timeline::Timeline;
use crate::rules::class::size::{Arch, Size};
use crate::rules::cost::Market;
use crate::rules::labels::Labels;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn starting(number: u32, since: i64) -> Runner {
    let name = format!("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g{number:04}");
    let repository = Repository::parse("acme/app").unwrap();
    let task = Task { id: TaskId::parse("task").unwrap(), heard: 0 };
    Runner {
        times: Box::default(),
        facts: RunnerFacts {
            name: RunnerName::parse(&name).unwrap(),
            class: ClassName::parse("small").unwrap(),
            size: Size::new(512, 1024, None, Arch::X64).unwrap(),
            pool: PoolId::parse("abcdefg234").unwrap(),
            scope: Scope::Repository(repository.clone()),
            labels: Labels::new(["self-hosted"]),
            repository,
            launched_for: JobId::new(1),
            max_job_minutes: 60,
            wait_limits: None,
            image: None,
            exec: true,
            fails: false,
            warm: None,
        },
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline: Timeline::begin(RunnerStage::Starting, at(since)),
        surplus_since: None,
        placement: Placement::fargate(Market::Spot, Some(SubnetId::parse("subnet-aaaa1111").unwrap())),
        instance: None,
        probe: false,
        retry: None,
        asked_at: None,
        state: RunnerState::Starting { task, custody: Custody::Issued(RunnerId::new(1)) },
    }
}

/// A runner of a pool, in a subnet.
fn of(pool: &str, subnet: &str, mut runner: Runner) -> Runner {
    runner.facts.pool = PoolId::parse(pool).unwrap();
    runner.placement.subnet = Some(SubnetId::parse(subnet).unwrap());
    runner
}

fn booted(number: u32, since: i64) -> Runner {
    let task = Task { id: TaskId::parse("task").unwrap(), heard: 1 };
    let state = RunnerState::Booted { task, custody: Custody::Issued(RunnerId::new(1)) };
    starting(number, since - 10).with_state(state, at(since))
}

fn ended(runner: &Runner, stopped: i64, fault: Fault) -> Runner {
    let ending = Ending {
        kind: EndingKind::BootFailed,
        note: Some(Reason::with(Code::BootFailed, "words")),
        fault: Some(fault),
        served: Served::Nothing,
        task: TaskLeft::Stopped { task: Some(TaskId::parse("task").unwrap()), at: at(stopped) },
        custody: Custody::Taken(RunnerId::new(1)),
        registration: RegistrationLeft::Unproved,
    };
    runner.with_state(RunnerState::Ending(ending), at(stopped))
}

fn busy(number: u32, since: i64) -> Runner {
    let task = Task { id: TaskId::parse("task").unwrap(), heard: 1 };
    let state = RunnerState::Busy { task, registration: RunnerId::new(1), job: None };
    booted(number, since - 10).with_state(state, at(since))
}

/// Learns repeatedly, as the rounds do, and returns what is held, with its failures in a row; what is only suspected
/// stands in brackets.
fn holds(open: &mut Open, runners: Vec<Runner>) -> String {
    open.runners.clear();
    let times = runners.iter().flat_map(|runner| [Some(runner.timeline.latest()), runner.stopped_at()]);
    let now = times.flatten().chain(open.holds.values().map(|hold| hold.latest)).max().unwrap_or(at(10));
    runners.into_iter().for_each(|runner| open.add_runner(runner));
    for change in learn(open, now) {
        let is_known = matches!(&change, Change::Runner(runner) if !has_failed(runner));
        let is_known = is_known || matches!(change, Change::Hold(_) | Change::Released(_));
        assert!(is_known, "no other change: {change:?}");
        open.apply(&change);
    }
    assert_eq!(learn(open, now), [], "the same runners tell nothing new a second time");
    let tell = |hold: &Hold| {
        let what = match &hold.held {
            Held::Pool(pool) => format!("pool {}", &pool.as_str()[..1]),
            Held::Class(class) => class.to_string(),
            Held::ClassIn { class, placement } => {
                format!("{class} in {}", &placement.subnet.as_ref().unwrap().as_str()[7..8])
            }
            Held::Placement { placement, arch } => {
                format!("{} {}", &placement.subnet.as_ref().unwrap().as_str()[7..8], arch.label())
            }
            other => format!("{other:?}"),
        };
        let text = format!("{what} x{}", hold.failures);
        if hold.is_effective() { text } else { format!("[{text}]") }
    };
    open.holds.values().map(tell).collect::<Vec<_>>().join(", ")
}

const POOLS: [&str; 4] = ["aaaaaaa234", "bbbbbbb234", "ccccccc234", "ddddddd234"];
const SUBNETS: [&str; 2] = ["subnet-aaaa1111", "subnet-bbbb2222"];

#[test]
fn a_used_instance_holds_its_class_there_though_its_container_ran_without_a_configuration() {
    let class = ClassName::parse("small").unwrap();
    let runner = of("abcdefg234", "subnet-aaaa1111", booted(1, 20));
    let placement = Placement { managed: Some(class.clone()), ..runner.placement.clone() };
    let ended_for = |fault| {
        let mut ended = ended(&Runner { placement: placement.clone(), ..runner.clone() }, 40, fault);
        if let RunnerState::Ending(ending) = &mut ended.state {
            ending.custody = Custody::Unissued;
        }
        let open = Open::of([], [ended]);
        let holds = learn(&open, at(41)).into_iter().filter_map(|change| match change {
            Change::Hold(hold) => Some(hold.held),
            _ => None,
        });
        holds.collect::<Vec<_>>()
    };
    let held = ended_for(Fault::InstanceUsed);
    assert!(held.contains(&Held::class_in(class, placement.clone())), "{held:?}");
    assert_eq!(ended_for(Fault::NotConnected), [], "it waited for GitHub");
}

#[test]
fn a_container_ends_the_hold_of_its_class_once_its_instance_is_its_own() {
    let class = ClassName::parse("small").unwrap();
    let managed = |runner: Runner, host: Option<&str>| {
        let mut runner = of(POOLS[0], SUBNETS[0], runner);
        runner.placement.managed = Some(class.clone());
        let host = host.map(|host| HostId::parse(host).unwrap());
        runner.instance = Some(Instance { host, ..Instance::new(InstanceId::parse("0a1b2c").unwrap()) });
        runner
    };
    let mut open = Open::default();
    let failed = managed(ended(&starting(1, 50), 100, Fault::ImagePull), None);
    assert_eq!(holds(&mut open, vec![failed]), "[small x1], small in a x1");
    let shared = managed(booted(2, 110), None);
    assert_eq!(holds(&mut open, vec![shared]), "[small x1], small in a x1");
    let own = managed(booted(3, 120), Some("i-0123456789abcdef0"));
    assert_eq!(holds(&mut open, vec![own]), "");
}

#[test]
fn a_runner_that_cannot_connect_holds_its_pool_and_no_more() {
    let mut open = Open::default();
    let failed = |number: u32, subnet: usize, at| {
        of(POOLS[0], SUBNETS[subnet], ended(&booted(number, at - 20), at, Fault::NotConnected))
    };
    assert_eq!(holds(&mut open, vec![failed(1, 0, 100)]), "[small x1], pool a x1, [small in a x1]");
    assert_eq!(holds(&mut open, vec![failed(2, 1, 300)]), "[small x1], pool a x2, [small in a x1]");
    for (number, time) in (3..20).zip((500..).step_by(1000)) {
        holds(&mut open, vec![failed(number, number as usize % 2, time)]);
    }
    let held: Vec<&Hold> = open.holds.values().filter(|hold| hold.is_effective()).collect();
    assert_eq!(held.len(), 1, "{held:#?}");
}

#[test]
fn faults_of_several_pools_in_several_placements_hold_the_class_until_one_runner_gets_a_job() {
    let mut open = Open::default();
    let failed = |number: u32, subnet: usize| {
        let time = 100 + i64::from(number);
        of(
            POOLS[number as usize],
            SUBNETS[subnet],
            ended(&booted(number, time - 50), time, Fault::NotConnected),
        )
    };
    assert_eq!(
        holds(&mut open, vec![failed(0, 0), failed(1, 1)]),
        "[small x1], pool a x1, pool b x1, [small in a x1], [small in b x1]"
    );
    assert_eq!(
        holds(&mut open, vec![failed(2, 0)]),
        "small x1, pool a x1, pool b x1, pool c x1, [small in a x1], [small in b x1]"
    );
    let well = of(POOLS[3], SUBNETS[0], busy(4, 200));
    assert_eq!(holds(&mut open, vec![well]), "pool a x1, pool b x1, pool c x1, [small in b x1]");
}

#[test]
fn a_task_that_never_runs_holds_its_class_in_its_placement_and_not_its_pool() {
    let mut open = Open::default();
    let failed = |number: u32, time| {
        of(POOLS[0], SUBNETS[0], ended(&starting(number, time - 50), time, Fault::ImagePull))
    };
    assert_eq!(holds(&mut open, vec![failed(1, 100)]), "[small x1], small in a x1");
    assert_eq!(holds(&mut open, vec![failed(2, 200)]), "[small x2], small in a x2");
    let elsewhere = of(POOLS[0], SUBNETS[1], booted(3, 210));
    assert_eq!(holds(&mut open, vec![elsewhere]), "small in a x2");
    assert_eq!(holds(&mut open, vec![of(POOLS[0], SUBNETS[0], booted(4, 220))]), "");
}

#[test]
fn a_boot_is_no_success_where_runners_fail_after_it() {
    let mut open = Open::default();
    let failed = |number: u32, time| {
        of(POOLS[0], SUBNETS[0], ended(&booted(number, time - 50), time, Fault::BootTable))
    };
    assert_eq!(holds(&mut open, vec![failed(1, 100)]), "[small x1], small in a x1");
    assert_eq!(holds(&mut open, vec![of(POOLS[1], SUBNETS[0], booted(2, 110))]), "[small x1], small in a x1");
    assert_eq!(holds(&mut open, vec![failed(3, 200)]), "[small x2], small in a x2");
    assert_eq!(holds(&mut open, vec![of(POOLS[1], SUBNETS[0], busy(4, 300))]), "");
}

#[test]
fn a_runner_that_nobody_uses_is_a_lesson_only_while_a_job_of_its_pool_waits() {
    let unused = |fault| vec![ended(&booted(1, 100), 1000, fault)];
    for fault in [Fault::NoJob, Fault::RegistrationLost, Fault::JobWithdrawn] {
        let mut open = Open::default();
        assert_eq!(holds(&mut open, unused(fault)), "", "no job waits");
        open.add_job(crate::testing::queued_job("abcdefg234", at(500)));
        assert_eq!(holds(&mut open, unused(fault)), "", "the job came later");
        open.add_job(crate::testing::queued_job("abcdefg234", at(50)));
        assert_eq!(holds(&mut open, unused(fault)), "pool a x1");
    }
}

#[test]
fn runners_that_failed_together_are_one_failure() {
    let mut open = Open::default();
    let failed = |number: u32| ended(&booted(number, 100), 200 + i64::from(number), Fault::NotConnected);
    assert_eq!(holds(&mut open, (1..=20).map(failed).collect()), "[small x1], pool a x1, [small in a x1]");
}

#[test]
fn a_late_want_of_capacity_holds_its_placement_and_not_its_class() {
    let mut open = Open::default();
    let short = || ended(&starting(1, -9), 1, Fault::NoCapacity);
    assert_eq!(holds(&mut open, vec![short()]), "a x64 x1");
    assert_eq!(holds(&mut open, vec![short(), booted(2, 5)]), "a x64 x1", "it was accepted before");
    assert_eq!(holds(&mut open, vec![short(), booted(2, 15)]), "");
}

#[test]
fn an_interruption_of_spot_githubs_refusal_and_our_own_signals_are_no_lessons() {
    let mut open = Open::default();
    let mut interrupted = ended(&booted(1, 1), 10, Fault::Unknown);
    if let RunnerState::Ending(ending) = &mut interrupted.state {
        (ending.kind, ending.fault) = (EndingKind::SpotInterrupted, None);
    }
    let others = [Fault::RegistrationRefused, Fault::NoAnswer, Fault::Interrupted, Fault::BootItemAbsent];
    let others = (2..).zip(others).map(|(number, fault)| ended(&booted(number, 1), 10, fault));
    assert_eq!(holds(&mut open, others.chain([interrupted]).collect()), "");
}

#[test]
fn a_hold_that_nobody_probes_is_forgotten_after_a_day() {
    let mut open = Open::default();
    holds(&mut open, vec![ended(&starting(1, -9), 1, Fault::ImagePull)]);
    open.runners.clear();
    assert_eq!(learn(&open, at(86_000)), []);
    assert!(matches!(learn(&open, at(87_000))[..], [Change::Released(_), Change::Released(_)]));
}

#[test]
fn a_failure_is_learnt_within_five_minutes_or_not_at_all() {
    let learnt_after = |secs| {
        let open = Open::of([], [ended(&booted(1, -50), 0, Fault::NotConnected)]);
        learn(&open, at(secs)).iter().filter(|change| matches!(change, Change::Hold(_))).count()
    };
    assert_eq!((learnt_after(1), learnt_after(300), learnt_after(301)), (3, 3, 0));
}

#[test]
fn a_hold_does_not_come_back_when_the_success_that_ended_it_is_history() {
    let mut open = Open::default();
    holds(&mut open, vec![ended(&booted(1, 50), 100, Fault::NotConnected)]);
    // The failed runner is still being cleaned up, as its record says by then.
    let failed = open.runners.values().next().unwrap().clone();
    assert_eq!(holds(&mut open, vec![failed.clone(), busy(2, 200)]), "");
    assert_eq!(holds(&mut open, vec![failed]), "");
}

#[test]
fn a_container_that_waited_for_github_in_vain_is_no_fault_of_its_class() {
    let mut open = Open::default();
    let mut waited = ended(&booted(1, 1), 300, Fault::BootTable);
    if let RunnerState::Ending(ending) = &mut waited.state {
        ending.custody = Custody::Unissued;
    }
    assert_eq!(holds(&mut open, vec![waited]), "");
}

#[test]
fn a_short_job_of_a_probe_counts_as_a_success_although_it_is_over() {
    let mut open = Open::default();
    holds(&mut open, vec![ended(&booted(1, 50), 100, Fault::NotConnected)]);
    let mut served = ended(&booted(2, 150), 200, Fault::Unknown);
    if let RunnerState::Ending(ending) = &mut served.state {
        (ending.kind, ending.fault, ending.served) = (EndingKind::Completed, None, Served::Unnamed);
    }
    assert_eq!(holds(&mut open, vec![served]), "");
}

#[test]
fn a_failure_that_is_older_than_the_last_one_changes_nothing() {
    let mut open = Open::default();
    let failed = |number: u32, time, fault| ended(&starting(number, time - 50), time, fault);
    holds(&mut open, vec![failed(2, 200, Fault::ImagePull)]);
    let before = open.holds.clone();
    holds(&mut open, vec![failed(1, 100, Fault::ResourceInitialization)]);
    assert_eq!(open.holds, before);
}

#[test]
fn after_the_clock_was_set_back_a_hold_moves_with_it_and_no_earlier_success_ends_it() {
    let failed = ended(&of(POOLS[0], SUBNETS[0], starting(1, 0)), 30, Fault::ImagePull);
    let mut open = Open::of([], [failed.clone()]);
    learn(&open, at(31)).iter().for_each(|change| open.apply(change));
    let pauses = |open: &Open| -> Vec<_> {
        open.holds.values().map(|hold| (hold.failures, hold.not_before.duration_since(hold.latest))).collect()
    };
    let before = pauses(&open);
    assert!(!before.is_empty());
    // Another one had booted in that class shortly before.
    open.add_runner(of(POOLS[0], SUBNETS[0], booted(2, 40)));
    let now = at(31 - 3600);
    let changes = learn(&open, now);
    assert_eq!(changes.len(), before.len(), "each hold is written once: {changes:?}");
    changes.iter().for_each(|change| open.apply(change));
    assert_eq!(pauses(&open), before);
    assert!(open.holds.values().all(|hold| hold.latest == now), "{:?}", open.holds);
    assert_eq!(learn(&open, now), []);
    // A failure of before the clock was set back is learnt from once.
    let mut open = Open::of([], [failed]);
    for _ in 0..2 {
        learn(&open, now).iter().for_each(|change| open.apply(change));
    }
    assert_eq!(pauses(&open), before);
    assert!(open.holds.values().all(|hold| hold.latest == now), "{:?}", open.holds);
    assert_eq!(learn(&open, now + SignedDuration::from_secs(1)), []);
}

#[test]
fn a_fault_without_a_note_is_told_in_words() {
    let mut open = Open::default();
    for fault in [Fault::TaskMissing, Fault::NeverStarted] {
        let mut runner = ended(&booted(1, 20), 60, fault);
        if let RunnerState::Ending(ending) = &mut runner.state {
            ending.note = Some(Code::RegistrationLost.into());
        }
        holds(&mut open, vec![runner]);
        let words = || open.holds.values().map(|hold| &*hold.words);
        assert!(
            words().count() > 0 && words().all(|words| words == fault.text()),
            "{fault:?}: {:?}",
            open.holds
        );
        open.holds.clear();
    }
}
