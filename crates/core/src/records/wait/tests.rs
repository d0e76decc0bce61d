use proptest::prelude::*;

use super::*;
use crate::id::{ClassName, JobId, PoolId, Repository, RunnerName, WarmName};
use crate::records::times::AgentReport;
use crate::rules::class::size::{Arch, Size};
use crate::rules::image::RunnerVersion;
use crate::rules::labels::Labels;
use crate::rules::pool::Scope;
use crate::wire::event::TaskTimes;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_764_000_000_000 + millis).unwrap()
}

fn facts(warm: bool) -> RunnerFacts {
    let repository = Repository::parse("acme/app").unwrap();
    RunnerFacts {
        name: RunnerName::parse("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap(),
        class: ClassName::parse("small").unwrap(),
        size: Size::new(512, 1024, None, Arch::X64).unwrap(),
        pool: PoolId::parse("abcdefg234").unwrap(),
        scope: Scope::Repository(repository.clone()),
        labels: Labels::new(["self-hosted"]),
        repository,
        launched_for: JobId::new(7),
        max_job_minutes: 60,
        wait_limits: None,
        image: None,
        exec: true,
        fails: false,
        warm: warm.then(|| WarmName::parse("ecsr-test-warm-01arz3ndektsv4rrffq69g5fav").unwrap()),
    }
}

/// A cold start as on Fargate: each step of it is at another time.
fn times() -> Times {
    let task = TaskTimes {
        created: Some(at(3_000)),
        pull_started: Some(at(16_000)),
        pull_stopped: Some(at(24_000)),
        started: Some(at(26_000)),
    };
    let steps = [25_000, 25_100, 25_200, 25_600, 26_000, 26_500, 90_000].map(|millis| Some(at(millis)));
    let agent = AgentReport {
        written_at: at(91_000),
        times: AgentTimes::from_steps(steps),
        runner_version: RunnerVersion::parse("2.336.0").ok(),
        peaks: None,
    };
    let job =
        JobTimes { queued_at: at(1), recorded_at: Some(at(2_000)), started_at: at(27_000), held_by: None };
    Times { task, agent: Some(agent), job: Some(job) }
}

fn timeline() -> Timeline<RunnerStage> {
    Timeline::begin(RunnerStage::Reserved, at(2_100))
}

/// The parts in milliseconds, the unknown rest and the total.
fn told(facts: &RunnerFacts, times: &Times) -> String {
    let wait = split(facts, &timeline(), times).unwrap();
    let parts: Vec<String> =
        wait.parts().map(|(part, length)| format!("{part} {}", length.as_millis())).collect();
    let (unknown, total) = (wait.unknown().as_millis(), wait.total.as_millis());
    format!("{}; unknown {unknown}, total {total}", parts.join(", "))
}

#[test]
fn every_part_of_a_cold_start_is_told() {
    insta::assert_snapshot!(told(&facts(false), &times()), @"webhook 1999, decision 100, launch 900, provision 13000, pull 8000, container 1000, hand_over 100, agent 100, listener 400, session 400, assignment 1000; unknown 0, total 26999");
}

#[test]
fn a_warm_task_counts_from_the_reservation_and_has_no_part_of_a_launch() {
    let wait = split(&facts(true), &timeline(), &times()).unwrap();
    assert!(wait.warm);
    insta::assert_snapshot!(told(&facts(true), &times()), @"webhook 1999, decision 100, hand_over 23000, agent 100, listener 400, session 400, assignment 1000; unknown 0, total 26999");
}

#[test]
fn a_lost_exit_record_leaves_its_parts_empty() {
    insta::assert_snapshot!(told(&facts(false), &Times { agent: None, ..times() }), @"webhook 1999, decision 100, launch 900, provision 13000, pull 8000, container 2000; unknown 1000, total 26999");
    insta::assert_snapshot!(told(&facts(true), &Times { agent: None, ..times() }), @"webhook 1999, decision 100; unknown 24900, total 26999");
}

#[test]
fn events_without_the_times_of_the_pull_leave_these_parts_empty() {
    let task = TaskTimes { pull_started: None, pull_stopped: None, ..times().task };
    insta::assert_snapshot!(told(&facts(false), &Times { task, ..times() }), @"webhook 1999, decision 100, launch 900, hand_over 100, agent 100, listener 400, session 400, assignment 1000; unknown 22000, total 26999");
}

#[test]
fn what_held_a_job_back_takes_the_place_of_the_decision() {
    let job = JobTimes { held_by: Some(HeldBy::Limit), ..times().job.unwrap() };
    let wait = split(&facts(false), &timeline(), &Times { job: Some(job), ..times() }).unwrap();
    assert_eq!((wait.held_by, wait.part(Part::Decision)), (Some(HeldBy::Limit), None));
    assert_eq!(wait.part(Part::Held), Some(SignedDuration::from_millis(100)));
}

#[test]
fn a_job_that_found_a_runner_waits_for_its_webhook_and_its_assignment_alone() {
    let job = JobTimes {
        queued_at: at(40_001),
        recorded_at: Some(at(40_500)),
        started_at: at(41_001),
        held_by: None,
    };
    let wait = split(&facts(false), &timeline(), &Times { job: Some(job), ..times() }).unwrap();
    let long: Vec<_> = wait.parts().filter(|(_, length)| !length.is_zero()).collect();
    let millis = SignedDuration::from_millis;
    assert_eq!(long, [(Part::Webhook, millis(499)), (Part::Assignment, millis(501))]);
}

#[test]
fn github_tells_whole_seconds_and_a_second_of_the_webhooks_way_is_not_counted() {
    let webhook = |recorded: Option<i64>| {
        let job = JobTimes {
            queued_at: at(0),
            recorded_at: recorded.map(at),
            started_at: at(27_000),
            held_by: None,
        };
        let wait = split(&facts(false), &timeline(), &Times { job: Some(job), ..times() }).unwrap();
        (wait.part(Part::Webhook).map(|length| length.as_millis()), wait.total.as_millis())
    };
    assert_eq!(webhook(Some(300)), (Some(0), 26_700));
    assert_eq!(webhook(Some(1_400)), (Some(400), 26_000));
    assert_eq!(webhook(Some(-5)), (Some(0), 27_000));
    assert_eq!(webhook(None), (None, 26_000));
}

#[test]
fn no_time_is_too_early_or_too_late() {
    for [queued_at, started_at] in [[Timestamp::MIN, Timestamp::MAX], [Timestamp::MAX, Timestamp::MIN]] {
        let job = JobTimes { queued_at, recorded_at: Some(Timestamp::MAX), started_at, held_by: None };
        let task = TaskTimes { created: Some(Timestamp::MIN), ..times().task };
        let wait = split(&facts(false), &timeline(), &Times { job: Some(job), task, ..times() }).unwrap();
        assert!(!wait.total.is_negative() && !wait.unknown().is_negative());
    }
}

#[test]
fn no_job_no_wait() {
    assert_eq!(split(&facts(false), &timeline(), &Times { job: None, ..times() }), None);
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((-20_000_i64..120_000).prop_map(at))
}

proptest! {
    #[test]
    fn whatever_is_missing_late_or_disordered_the_parts_add_up_and_none_is_negative(
        task in [moment(), moment(), moment(), moment()],
        agent in proptest::option::of([moment(), moment(), moment(), moment(), moment(), moment(), moment()]),
        queued_at in -20_000_i64..120_000,
        recorded_at in moment(),
        started_at in -20_000_i64..120_000,
        warm: bool,
        held: bool,
    ) {
        let [created, pull_started, pull_stopped, started] = task;
        let times = Times {
            task: TaskTimes { created, pull_started, pull_stopped, started },
            agent: agent.map(|steps| AgentReport {
                written_at: at(0),
                times: AgentTimes::from_steps(steps),
                runner_version: None,
                peaks: None,
            }),
            job: Some(JobTimes {
                queued_at: at(queued_at),
                recorded_at,
                started_at: at(started_at),
                held_by: held.then_some(HeldBy::Pace),
            }),
        };
        let wait = split(&facts(warm), &timeline(), &times).unwrap();
        let sum: SignedDuration = wait.parts().map(|(_, length)| length).fold(SignedDuration::ZERO, |sum, part| sum + part);
        prop_assert!(!wait.total.is_negative());
        prop_assert!(wait.parts().all(|(_, length)| !length.is_negative()));
        prop_assert!(!wait.unknown().is_negative());
        prop_assert_eq!(sum + wait.unknown(), wait.total);
    }
}
