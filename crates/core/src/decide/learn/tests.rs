use super::*;
use crate::id::{
    ClassName, Epoch, JobId, PoolId, Repository, RunnerId, RunnerName, SubnetId, TaskId, Version,
};
use crate::records::runner::{Custody, Ending, RegistrationLeft, RunnerFacts, Task, TaskLeft};
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
            image: None,
            exec: true,
        },
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline: Timeline::begin(RunnerStage::Starting, at(since)),
        surplus_since: None,
        placement: Placement {
            market: Market::Spot,
            subnet: Some(SubnetId::parse("subnet-aaaa1111").unwrap()),
        },
        retry: None,
        asked_at: None,
        state: RunnerState::Starting { task, custody: Custody::Issued(RunnerId::new(1)) },
    }
}

fn ended(number: u32, stopped: i64, kind: EndingKind, note: Reason) -> Runner {
    let runner = starting(number, stopped - 10);
    let ending = Ending {
        kind,
        note: Some(note),
        served: Served::Nothing,
        task: TaskLeft::Stopped { task: Some(TaskId::parse("task").unwrap()), at: at(stopped) },
        custody: Custody::Taken(RunnerId::new(1)),
        registration: RegistrationLeft::Unproved,
    };
    runner.with_state(RunnerState::Ending(ending), at(stopped))
}

fn boot_failed(number: u32, stopped: i64, words: &str) -> Runner {
    ended(number, stopped, EndingKind::BootFailed, Reason::with(Code::BootFailed, words))
}

fn busy(number: u32, since: i64) -> Runner {
    let runner = starting(number, since - 10);
    let task = Task { id: TaskId::parse("task").unwrap(), heard: 1 };
    let state = RunnerState::Busy { task, registration: RunnerId::new(1), job: None };
    runner.with_state(state, at(since))
}

/// Learns repeatedly, as the rounds do.
fn holds(open: &mut Open, runners: Vec<Runner>) -> Vec<String> {
    open.runners.clear();
    runners.into_iter().for_each(|runner| open.add_runner(runner));
    for change in learn(open, at(10)) {
        assert!(matches!(change, Change::Hold(_) | Change::Released(_)), "no other change: {change:?}");
        open.apply(&change);
    }
    assert_eq!(learn(open, at(10)), [], "the same runners tell nothing new a second time");
    let tell = |hold: &Hold| {
        let wait = hold.not_before.duration_since(hold.latest).as_millis();
        format!("{} x {} for {wait} ms", hold.failures, hold.words)
    };
    open.holds.values().map(tell).collect()
}

#[test]
fn five_equal_faults_in_a_row_open_a_classs_breaker() {
    let mut open = Open::default();
    assert_eq!(holds(&mut open, vec![boot_failed(1, 1, "no listener")]), ["1 x no listener for 500 ms"]);
    let four = (1..=4).map(|i| boot_failed(i, i.into(), "no listener")).collect();
    assert_eq!(holds(&mut open, four), ["4 x no listener for 4000 ms"]);
    assert!(!open.holds.values().all(Hold::is_open_breaker));
    holds(&mut open, vec![boot_failed(5, 5, "no listener")]);
    assert!(open.holds.values().all(Hold::is_open_breaker));
}

#[test]
fn another_fault_or_a_success_in_between_starts_a_new_row() {
    let mut open = Open::default();
    let three = vec![boot_failed(1, 1, "one"), boot_failed(2, 2, "one"), boot_failed(3, 3, "other")];
    assert_eq!(holds(&mut open, three), ["1 x other for 500 ms"]);
    assert_eq!(holds(&mut open, vec![busy(4, 4)]), Vec::<String>::new());
    let after = vec![busy(4, 4), boot_failed(5, 5, "other")];
    assert_eq!(holds(&mut open, after), ["1 x other for 500 ms"]);
    let long_after = vec![boot_failed(6, 4000, "other")];
    assert_eq!(holds(&mut open, long_after), ["1 x other for 500 ms"], "an hour is no row");
}

#[test]
fn a_late_want_of_capacity_holds_its_placement_and_not_its_class() {
    let mut open = Open::default();
    let short = || ended(1, 1, EndingKind::BootFailed, Reason::with(Code::NoCapacity, "no Spot"));
    assert_eq!(holds(&mut open, vec![short()]), ["1 x no Spot for 15000 ms"]);
    let spot = Placement { market: Market::Spot, subnet: Some(SubnetId::parse("subnet-aaaa1111").unwrap()) };
    assert!(open.holds.contains_key(&Held::placement(spot.clone(), Arch::X64)));
    assert!(!open.holds.contains_key(&Held::placement(spot, Arch::Arm64)));
    let task = Task { id: TaskId::parse("task").unwrap(), heard: 1 };
    let state = RunnerState::Booted { task, custody: Custody::Issued(RunnerId::new(1)) };
    let booted = starting(2, 2).with_state(state, at(5));
    assert_eq!(holds(&mut open, vec![short(), booted]), Vec::<String>::new());
}

#[test]
fn an_interruption_of_spot_and_githubs_refusal_say_nothing_of_the_class() {
    let mut open = Open::default();
    let interrupted = ended(1, 1, EndingKind::SpotInterrupted, Code::SpotInterrupted.into());
    let refused = ended(2, 2, EndingKind::BootFailed, Reason::with(Code::ScopeHeld, "403"));
    assert_eq!(holds(&mut open, vec![interrupted, refused]), Vec::<String>::new());
}

#[test]
fn a_hold_that_nobody_probes_is_forgotten_after_a_day() {
    let mut open = Open::default();
    holds(&mut open, vec![boot_failed(1, 1, "no listener")]);
    open.runners.clear();
    assert_eq!(learn(&open, at(86_000)), []);
    assert!(matches!(learn(&open, at(87_000))[..], [Change::Released(_)]));
}

#[test]
fn a_container_that_waited_for_github_in_vain_is_no_fault_of_its_class() {
    let task = Task { id: TaskId::parse("task").unwrap(), heard: 1 };
    let booted = starting(1, 1).with_state(RunnerState::Booted { task, custody: Custody::Unissued }, at(2));
    let ending = Ending {
        kind: EndingKind::BootFailed,
        note: Some(Reason::with(Code::BootFailed, "its boot item never came")),
        served: Served::Nothing,
        task: TaskLeft::Stopped { task: None, at: at(9) },
        custody: Custody::Unissued,
        registration: RegistrationLeft::Unproved,
    };
    let mut open = Open::default();
    assert_eq!(
        holds(&mut open, vec![booted.with_state(RunnerState::Ending(ending), at(9))]),
        Vec::<String>::new()
    );
}
