//! Tests of what holds do to warm tasks, and failures of warm tasks to launches.

use super::*;

#[test]
fn a_scope_that_is_held_takes_none_over() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    day.queue(7, "small", 20);
    let scope: Scope =
        day.settings.registration.scope(&day.open.jobs.values().next().unwrap().facts.repository);
    let failure = Failure::of(Fault::RegistrationRefused, "Not Found", at(19), at(19));
    day.open.add_hold(Hold::after(None, Held::Scope(scope), &failure));
    assert_eq!(day.plan(20), "7 waits: scope_held");
    assert_eq!(day.warm(1).stage(), WarmStage::Warm);
}

#[test]
fn a_class_whose_containers_do_not_start_still_gives_the_tasks_that_have() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    day.queue(7, "small", 20);
    let hold = |fault| {
        let failure = |pool: &'static str, subnet: &str| {
            let placement =
                Placement::fargate(Market::OnDemand, Some(crate::id::SubnetId::parse(subnet).unwrap()));
            (crate::id::PoolId::parse(pool).unwrap(), placement)
        };
        let held = Held::Class(ClassName::parse("small").unwrap());
        let failures = [
            failure("abcdefg234", "subnet-aaaa1111"),
            failure("abcdefg235", "subnet-bbbb2222"),
            failure("abcdefg236", "subnet-aaaa1111"),
        ];
        failures.iter().enumerate().fold(None, |before: Option<Hold>, (i, (pool, placement))| {
            let time = at(16 + i64::try_from(i).unwrap());
            let failure = Failure {
                pool: Some(pool),
                placement: Some(placement),
                ..Failure::of(fault, "words", time, time)
            };
            Some(Hold::after(before.as_ref(), held.clone(), &failure))
        })
    };
    day.open.add_hold(hold(Fault::NotConnected).unwrap());
    assert_eq!(day.plan(20), "7 waits: class_held", "it would not connect either");
    day.open.add_hold(hold(Fault::ImagePull).unwrap());
    assert_eq!(day.plan(20), "7 takes over 1");
}

#[test]
fn a_runner_of_a_warm_task_ends_no_hold_about_starting() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    let class = ClassName::parse("small").unwrap();
    let held = Held::class_in(class, Placement::fargate(Market::OnDemand, None));
    let failure = Failure::of(Fault::ImagePull, "no such image", at(16), at(16));
    day.open.add_hold(Hold::after(None, held.clone(), &failure));
    day.queue(7, "small", 20);
    assert!(day.plan(20).starts_with("7 takes over 1"));
    let runner = day.open.runners.values().next().unwrap().clone();
    let (issued, _) = runner.handed_over(crate::id::RunnerId::new(5), at(21)).unwrap();
    let busy = issued.registration_busy(crate::id::RunnerId::new(5), at(30)).unwrap();
    day.open.add_runner(busy);
    day.plan(600);
    assert!(day.open.holds.contains_key(&held), "{:?}", day.open.holds.keys());
}

#[test]
fn a_task_in_a_placement_where_runners_do_not_connect_is_not_used() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    let class = ClassName::parse("small").unwrap();
    let held = Held::class_in(class, Placement::fargate(Market::OnDemand, None));
    let twice = [16, 18].into_iter().fold(None, |before: Option<Hold>, time| {
        let failure = Failure::of(Fault::NotConnected, "words", at(time), at(time));
        Some(Hold::after(before.as_ref(), held.clone(), &failure))
    });
    day.open.add_hold(twice.unwrap());
    day.queue(7, "small", 20);
    assert_eq!(day.plan(20), "7 waits: class_held");
}

#[test]
fn tasks_that_fail_after_their_container_has_started_are_tried_one_at_a_time_too() {
    let mut day = Day::new(r#"{"count": 2}"#);
    day.plan(0);
    for number in [1, 2] {
        day.boot(number, 15);
        day.stop(number, StopCause::Agent(AgentExit::BootFailed), 20);
    }
    assert_eq!(day.plan(21), "");
    day.forget(1, 22);
    day.forget(2, 22);
    assert_eq!(day.plan(90), "warm up 3 for small");
    day.boot(3, 110);
    assert_eq!(day.plan(111), "", "that its container runs shows nothing yet");
    day.stop(3, StopCause::Agent(AgentExit::BootFailed), 115);
    assert_eq!(day.plan(200), "", "the pause has grown");
    day.forget(3, 201);
    assert_eq!(day.plan(400), "warm up 4 for small");
    day.boot(4, 420);
    assert_eq!(day.plan(420 + 400), "warm up 5 for small", "it has stayed");
}

#[test]
fn while_warm_tasks_fail_they_are_tried_one_at_a_time_and_later_each_time() {
    let mut day = Day::new(r#"{"count": 2}"#);
    day.plan(0);
    day.start(1, 1);
    day.start(2, 1);
    let cause = || StopCause::FailedToStart("CannotPullContainerError: no such image".into());
    day.stop(1, cause(), 10);
    day.stop(2, cause(), 11);
    assert_eq!(day.plan(12), "");
    assert!(matches!(day.open.holds.keys().next(), Some(Held::Warm(class)) if class.as_str() == "small"));
    day.queue(7, "small", 13);
    assert_eq!(day.plan(13), "launch for 7", "jobs do not wait for that");
    day.forget(1, 14);
    day.forget(2, 14);
    assert_eq!(day.plan(60), "7 waits: runner_starting");
    let told = day.plan(80);
    assert!(told.starts_with("warm up 4 for small") && !told.contains("warm up 5"), "{told}");
    day.boot(4, 100);
    let told = day.plan(101);
    assert!(told.starts_with("warm up 5 for small"), "{told}");
    assert!(!day.open.holds.keys().any(|held| matches!(held, Held::Warm(_))));
}

#[test]
fn where_containers_do_not_start_a_task_that_is_starting_is_not_used() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.start(1, 1);
    let class = ClassName::parse("small").unwrap();
    let held = Held::class_in(class, Placement::fargate(Market::OnDemand, None));
    let twice = [16, 18].into_iter().fold(None, |before: Option<Hold>, time| {
        let failure = Failure::of(Fault::ImagePull, "no such image", at(time), at(time));
        Some(Hold::after(before.as_ref(), held.clone(), &failure))
    });
    day.open.add_hold(twice.unwrap());
    day.queue(7, "small", 20);
    assert_eq!(day.plan(20), "7 waits: class_held");
    day.tell(1, TaskChange::Running, 1, 21);
    assert_eq!(day.plan(22), "7 takes over 1", "it has started all the same");
}

#[test]
fn a_hold_that_was_forgotten_over_a_weekend_is_written_once_with_what_warm_tasks_show() {
    for has_failed in [true, false] {
        let mut day = Day::new(r#"{"count": 1}"#);
        day.plan(0);
        day.start(1, 1);
        let failed = || StopCause::FailedToStart("CannotPullContainerError: no such image".into());
        day.stop(1, failed(), 10);
        day.plan(11);
        day.forget(1, 12);
        day.plan(100);
        day.boot(2, 110);
        if has_failed {
            day.stop(2, failed(), 120);
        }
        let held = day.open.holds.keys().next().cloned().unwrap();
        let changes = learn(&day.open, at(3 * 24 * HOUR));
        let of_hold = changes.iter().filter(|change| match change {
            Change::Hold(hold) => hold.held == held,
            Change::Released(released) => *released == held,
            _ => false,
        });
        let of_hold: Vec<_> = of_hold.collect();
        assert_eq!(of_hold.len(), 1, "{of_hold:?}");
        match of_hold[0] {
            Change::Hold(hold) => assert!(has_failed && hold.failures == 1, "it began again: {hold:?}"),
            _ => assert!(!has_failed),
        }
    }
}
