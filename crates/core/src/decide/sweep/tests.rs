//! Tests of sweeps.

mod deliveries;
mod registrations;
mod repositories;
mod tasks;

use jiff::Timestamp;

use super::*;
use crate::id::{ClassName, Epoch, JobId, PoolId, Repository, RunnerName, Version};
use crate::reason::Code;
use crate::records::runner::{EndingKind, Runner, RunnerFacts, RunnerState};
use crate::records::timeline::Timeline;
use crate::rules::class::size::{Arch, Size};
use crate::rules::cost::Market;
use crate::rules::labels::Labels;
use crate::rules::placement::Placement;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

/// Returns a name that was given at that time.
fn name_of(deployment: &str, number: u64, secs: i64) -> String {
    let mut millis = at(secs).as_millisecond();
    let mut time = [0_u8; 10];
    for digit in time.iter_mut().rev() {
        *digit = b"0123456789abcdefghjkmnpqrstvwxyz"[usize::try_from(millis % 32).unwrap()];
        millis /= 32;
    }
    format!("ecsr-{deployment}-abcdefg234-{}{number:016}", String::from_utf8_lossy(&time))
}

fn name(number: u64, secs: i64) -> RunnerName {
    RunnerName::parse(&name_of("test", number, secs)).unwrap()
}

fn scope(repository: &str) -> Scope {
    Scope::Repository(Repository::parse(repository).unwrap())
}

/// Returns a runner that was reserved at that time.
fn reserved(number: u64, secs: i64) -> Runner {
    Runner {
        times: Box::default(),
        facts: RunnerFacts {
            name: name(number, secs),
            class: ClassName::parse("small").unwrap(),
            size: Size::new(512, 1024, None, Arch::X64).unwrap(),
            pool: PoolId::parse("abcdefg234").unwrap(),
            scope: scope("acme/app"),
            labels: Labels::new(["self-hosted"]),
            repository: Repository::parse("acme/app").unwrap(),
            launched_for: JobId::new(7),
            max_job_minutes: 60,
            wait_limits: None,
            image: None,
            exec: true,
            fails: false,
            warm: None,
        },
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline: Timeline::begin(RunnerStage::Reserved, at(secs)),
        surplus_since: None,
        placement: Placement::fargate(Market::OnDemand, None),
        instance: None,
        probe: false,
        retry: None,
        asked_at: None,
        state: RunnerState::Reserved { attempt: 1 },
    }
}

fn open(runners: &[Runner]) -> Open {
    Open::of([], runners.to_vec())
}

#[test]
fn a_sweep_is_due_each_minute_and_each_five_when_nothing_is_open() {
    let due = |began: Option<i64>, open_is_empty, now| {
        let progress = SweepProgress { began_at: began.map(at), ..SweepProgress::default() };
        is_due(&progress, open_is_empty, at(now))
    };
    assert!(due(None, true, 0));
    assert!(!due(Some(0), false, 30));
    assert!(due(Some(0), false, 58));
    assert!(!due(Some(0), true, 4 * MINUTE));
    assert!(due(Some(0), true, 5 * MINUTE));
}

#[test]
fn a_sweep_is_due_in_a_minute_while_something_is_left_to_read() {
    let due = |progress: SweepProgress| is_due(&progress, true, at(MINUTE));
    let progress = SweepProgress { began_at: Some(at(0)), ..SweepProgress::default() };
    assert!(!due(progress.clone()));
    let shown = |secs| {
        let deliveries = DeliveryProgress { sight: Sight::Shown(at(secs)), ..DeliveryProgress::default() };
        SweepProgress { deliveries, ..progress.clone() }
    };
    assert!(due(shown(-119)), "the delivery was too young for the last pass");
    assert!(!due(shown(-120)));
    let page = vec![Repository::parse("acme/app").unwrap()];
    let repositories = RepositoryProgress { page, ..RepositoryProgress::default() };
    assert!(due(SweepProgress { repositories, ..progress }), "the rotation is not over");
}

#[test]
fn a_backlog_of_deliveries_is_continued_each_minute() {
    let mark = DeliveryMark { number: 1, at: at(0) };
    let backlog = Some(Backlog { from: mark, cursor: None, down_to: mark });
    let deliveries = DeliveryProgress { handled: Some(mark), backlog, sight: Sight::Never };
    let progress = SweepProgress { began_at: Some(at(0)), deliveries, ..SweepProgress::default() };
    assert!(is_due(&progress, true, at(MINUTE)));
}

#[test]
fn a_runner_that_has_been_ending_for_an_hour_is_stuck() {
    let ending = reserved(1, 0).end(EndingKind::Surplus, Some(Code::Surplus.into()), at(10));
    let open = open(&[ending, reserved(2, 0)]);
    assert_eq!(stuck(&open, at(59 * MINUTE)), 0);
    assert_eq!(stuck(&open, at(10 + HOUR)), 1);
}

#[test]
fn after_the_clock_was_set_back_a_sweep_is_due_at_once_and_its_times_move_back() {
    let rotation = RepositoryProgress {
        began_at: Some(at(-MINUTE)),
        used: Some(Level(at(HOUR))),
        ..RepositoryProgress::default()
    };
    let known =
        KnownScope { scope: scope("acme/app"), seen_at: at(0), looked_at: Some(at(-MINUTE)), next_page: 1 };
    let progress = SweepProgress {
        began_at: Some(at(0)),
        missing: [(TaskName::Runner(name(1, 0)), at(-MINUTE))].into(),
        scopes: vec![known.clone()],
        deliveries: DeliveryProgress { sight: Sight::Shown(at(0)), ..DeliveryProgress::default() },
        repositories: rotation.clone(),
    };
    assert_eq!(progress.clone().moved_back(at(0)), progress);
    assert!(is_due(&progress, true, at(-HOUR)));
    let expected = SweepProgress {
        began_at: Some(at(-HOUR)),
        missing: [(TaskName::Runner(name(1, 0)), at(-HOUR - MINUTE))].into(),
        scopes: vec![KnownScope { seen_at: at(-HOUR), looked_at: Some(at(-HOUR - MINUTE)), ..known }],
        // The rest that GitHub asked for is not shortened.
        repositories: RepositoryProgress {
            began_at: Some(at(-HOUR - MINUTE)),
            used: Some(Level(at(0))),
            ..rotation
        },
        ..progress.clone()
    };
    assert_eq!(progress.moved_back(at(-HOUR)), expected);
}
