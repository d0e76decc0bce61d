//! Outages of GitHub: launches and calls during the outage, and the pace after it.

use std::fmt::Display;

use ecsrunner_world::faults::Method;
use ecsrunner_world::github::RegistrationFailure;

use crate::harness::jobs::{job, job_of};
use crate::harness::{Deployment, Jobs, World, hours, in_virtual_time, minutes, print, sized};

const JOB_SECS: u64 = 60;

fn print_outage(name: &str, world: &World) {
    print(
        name,
        &[
            ("at_min", &(world.elapsed().as_secs() / 60)),
            ("launches", &world.launches()),
            ("alive", &world.tasks_alive()),
            ("task_hours", &world.task_hours()),
            ("open_runners", &world.open_runners()),
            ("github_calls", &world.github_calls()),
            ("runner_lookups", &world.calls(Method::Runner)),
            ("registrations_tried", &world.calls(Method::GenerateJitconfig)),
            ("commits", &world.calls(Method::Commit)),
        ],
    );
}

/// Fails unless an outage of an hour has cost at most 20 launches, 2 task-hours and 300 calls.
fn assert_cheap(world: &World) {
    let hours = world.elapsed().as_secs_f64() / 3600.0;
    assert!(world.launches() <= 20, "{} launches", world.launches());
    assert!(world.hours_of_tasks() <= 2.0, "{} task-hours", world.task_hours());
    let calls = world.github_calls();
    assert!(calls as f64 <= 300.0 * hours.max(1.0), "{calls} calls");
}

/// G: GitHub answers 502 for 1 and for 3 hours, and 60 jobs wait.
#[test]
fn g_all_jobs_are_done_within_three_minutes_of_githubs_return() {
    in_virtual_time(async {
        for &outage in sized(&[hours(1)][..], &[hours(1), hours(3)]) {
            let mut world = Deployment::seeded(9).start();
            world.begin_outage();
            let jobs = Jobs::queue(&mut world, 60, |_| job(JOB_SECS));
            world.pass(outage).await;
            print_outage("G", &world);
            assert_cheap(&world);
            world.heal_github();
            let healed = world.elapsed();
            world.pass(minutes(3)).await;
            print("G", &[("outage_s", &outage.as_secs()), ("done_3_min_later", &jobs.done_of(&world))]);
            assert_eq!(jobs.done(&world), 60);
            world.settle(hours(1)).await;
            print("G", &[("settled_after_s", &(world.elapsed() - healed).as_secs())]);
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// G2: as G, with the default limit of 50 runners, and jobs of one or of twenty repositories.
#[test]
fn g2_an_outage_costs_little_and_is_over_at_once() {
    in_virtual_time(async {
        for repositories in [1, 20] {
            let mut world = Deployment::seeded(9).default_limits().start();
            world.begin_outage();
            let jobs = Jobs::queue(&mut world, 60, |number| {
                job_of(&format!("r{}", number % repositories), JOB_SECS)
            });
            for _ in 0..4 {
                world.pass(minutes(15)).await;
                print_outage("G2", &world);
            }
            assert_cheap(&world);
            world.heal_github();
            world.pass(minutes(3)).await;
            print("G2", &[("repositories", &repositories), ("done_3_min_later", &jobs.done_of(&world))]);
            assert!(jobs.done(&world) >= 50, "the limit of 50 runners");
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// AE: GitHub refuses registrations in a repository, and then answers everything, or just registrations, with 502 for
/// an hour.
#[test]
fn ae_an_outage_costs_little_where_registrations_were_refused() {
    in_virtual_time(async {
        for is_down in [true, false] {
            let mut world = Deployment::seeded(9).start();
            world.refuse_registrations();
            let jobs = Jobs::queue(&mut world, 60, |_| job(JOB_SECS));
            world.pass(minutes(10)).await;
            let before = (world.github_calls(), world.calls(Method::GenerateJitconfig), world.launches());
            world.heal_github();
            if is_down {
                world.begin_outage();
            } else {
                world.fail_registrations(1.0, RegistrationFailure::BadGateway);
            }
            world.pass(hours(1)).await;
            let calls = world.github_calls() - before.0;
            let registrations = world.calls(Method::GenerateJitconfig) - before.1;
            let launches = world.launches() - before.2;
            let figures: [(&str, &dyn Display); 4] = [
                ("down", &is_down),
                ("calls", &calls),
                ("registrations", &registrations),
                ("launches", &launches),
            ];
            print("AE", &figures);
            assert!(registrations <= 20, "{registrations} registrations");
            // Jobs that have been queued for long are asked about, whatever else happens.
            assert!(calls <= if is_down { 300 } else { 600 }, "{calls} calls");
            assert_eq!(launches, 0);
            world.heal_github();
            world.fail_registrations(0.0, RegistrationFailure::BadGateway);
            world.pass(minutes(8)).await;
            assert_eq!(jobs.done(&world), 60);
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// AG: GitHub refuses registrations in a repository, then answers nothing for half an hour, and then refuses them again.
#[test]
fn ag_a_refused_repository_stays_refused_after_an_outage() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).start();
        world.refuse_registrations();
        let jobs = Jobs::queue(&mut world, 60, |_| job(JOB_SECS));
        world.pass(minutes(10)).await;
        world.begin_outage();
        world.pass(minutes(30)).await;
        let before = world.launches();
        world.refuse_registrations();
        world.pass(minutes(30)).await;
        let launches = world.launches() - before;
        print("AG", &[("launches", &launches), ("holds", &world.holds())]);
        assert!(launches <= 2, "{launches} launches");
        world.heal_github();
        world.pass(minutes(8)).await;
        assert_eq!(jobs.done(&world), 60);
        world.assert_nothing_lost_or_doubled();
    });
}

/// AF: a hold of the account that the previous version wrote, whose time is over.
#[test]
fn af_an_accounts_hold_of_the_previous_version_ends_with_the_first_registration() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).start();
        world.hold_account_as_before();
        let jobs = Jobs::queue(&mut world, 3, |_| job(JOB_SECS));
        world.pass(minutes(3)).await;
        print("AF", &[("done", &jobs.done_of(&world)), ("registrations", &world.registrations())]);
        assert_eq!((jobs.done(&world), world.registrations(), world.holds().as_str()), (3, 4, "-"));
        world.assert_nothing_lost_or_doubled();
    });
}

/// The fault of a burst, from its first minute to its third.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stall {
    Nothing,
    Outage,
    Kill,
    OthersTakeHalf,
    Hang,
}

impl Stall {
    fn begin(self, world: &World) {
        match self {
            Self::Outage => world.begin_outage(),
            Self::Hang => world.hang_registrations_of("app"),
            Self::Kill => world.kill_dispatcher(),
            Self::Nothing | Self::OthersTakeHalf => {}
        }
    }

    /// The most launches that serve no job. In an outage, tasks that wait for their configuration are given up.
    fn wasted_launches(self) -> u64 {
        match self {
            Self::Nothing | Self::Kill => 0,
            Self::OthersTakeHalf => 5,
            Self::Outage => 10,
            Self::Hang => 40,
        }
    }

    /// GitHub's pace is back at once.
    fn registrations_in_the_minute_after(self) -> usize {
        if self == Self::OthersTakeHalf { 80 } else { 120 }
    }
}

async fn stall_a_burst(stall: Stall) {
    let count = sized(300, 1000);
    let mut world = Deployment::seeded(4).start();
    if stall == Stall::OthersTakeHalf {
        world.github_faults(|faults| faults.registrations_per_minute = Some(90));
    }
    let jobs = Jobs::queue(&mut world, count, |_| job(JOB_SECS));
    let mut registered = 0;
    for minute in sized(&[1, 3, 4, 6, 10][..], &[1, 3, 4, 6, 8, 12, 16, 20]) {
        world.pass_until(minutes(*minute)).await;
        print_stall(stall, &world, &jobs);
        match minute {
            1 => stall.begin(&world),
            3 => {
                registered = world.registrations();
                world.heal_github();
            }
            4 => {
                let after = world.registrations() - registered;
                let left = usize::try_from(count).unwrap() - registered;
                let least = stall.registrations_in_the_minute_after().min(left);
                assert!(after >= least, "{after} registrations in the minute after");
            }
            _ => {}
        }
    }
    assert_eq!(jobs.done(&world), jobs.len());
    let wasted = world.launches() - count;
    assert!(wasted <= stall.wasted_launches(), "{wasted} launches more than jobs");
    assert!(world.throttled_registrations() <= 20, "{}", world.throttled_registrations());
    world.assert_nothing_lost_or_doubled();
    world.settle(hours(1)).await;
    world.assert_nothing_lost_or_doubled();
}

fn print_stall(stall: Stall, world: &World, jobs: &Jobs) {
    print(
        "T",
        &[
            ("stall", &format!("{stall:?}")),
            ("at_s", &world.elapsed().as_secs()),
            ("registrations", &world.registrations()),
            ("launches", &world.launches()),
            ("tasks", &world.tasks()),
            ("done", &jobs.done_of(world)),
            ("throttled", &world.throttled_registrations()),
            ("stages", &world.stages()),
            ("endings", &world.endings()),
        ],
    );
}

/// T: a burst without a fault, for comparison.
#[test]
fn t_a_burst_is_all_done() {
    in_virtual_time(stall_a_burst(Stall::Nothing));
}

/// T: GitHub answers 502 for 2 minutes.
///
/// Must be: few launches wait for its return; the pace is GitHub's again at once.
#[test]
fn t_a_burst_is_all_done_after_an_outage() {
    in_virtual_time(stall_a_burst(Stall::Outage));
}

/// T: the dispatcher is killed.
#[test]
fn t_a_burst_is_all_done_after_the_dispatcher_died() {
    in_virtual_time(stall_a_burst(Stall::Kill));
}

/// T: other clients use half of the account's registrations.
#[test]
fn t_a_burst_is_all_done_although_others_take_half_of_githubs_pace() {
    in_virtual_time(stall_a_burst(Stall::OthersTakeHalf));
}

/// T: registrations get no answer for 2 minutes.
///
/// Must be: as in an outage. Each registration takes 10 s until it is given up, so more tasks wait meanwhile.
#[test]
fn t_a_burst_is_all_done_after_registrations_hung() {
    in_virtual_time(stall_a_burst(Stall::Hang));
}
