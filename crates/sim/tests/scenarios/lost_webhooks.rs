//! Webhooks that never come.

use std::time::Duration;

use ecsrunner_world::faults::{FaultPlan, Method, Transit};
use jiff::SignedDuration;

use crate::harness::jobs::{job, job_of};
use crate::harness::{Deployment, Jobs, World, hours, in_virtual_time, minutes, print, secs, sized};

/// A lost webhook must be found within this time.
const FOUND_WITHIN: SignedDuration = SignedDuration::from_mins(6);
/// The most calls that asking repositories may make in an hour: 20 a minute, 100 at once, and the rest of
/// one turn.
const CALLS_AN_HOUR: u64 = 20 * 60 + 100 + 22;

/// All webhooks are lost.
fn lost() -> FaultPlan {
    let webhooks = Transit { lose: 1.0, ..Transit::default() };
    FaultPlan { webhooks, ..FaultPlan::default() }
}

/// A deployment of these patterns with App credentials. An organization has the webhook, and all its
/// deliveries are lost.
fn organization_webhook(patterns: &[&str]) -> World {
    let world = Deployment::seeded(1).repositories(patterns).fault_plan(lost()).start();
    world.github_faults(|faults| faults.no_app_webhook = true);
    world
}

/// Moments between two sweeps of a deployment at rest, which come every five minutes.
fn phases() -> impl Iterator<Item = Duration> {
    (0..sized(6, 30)).map(|number| minutes(30) + secs(number * 310 / sized(6, 30)))
}

fn print_found(name: &str, world: &World, jobs: &Jobs) {
    print(
        name,
        &[
            ("done", &jobs.done_of(world)),
            ("found_s", &jobs.longest_until_known(world).map_or(-1, |found| found.as_secs())),
            ("delivery_lists", &world.calls(Method::Deliveries)),
            ("queued_jobs_lists", &world.calls(Method::QueuedJobs)),
            ("repository_lists", &world.calls(Method::Repositories)),
            ("list_calls", &world.list_calls()),
        ],
    );
}

fn assert_found(world: &World, jobs: &Jobs) {
    let found = jobs.longest_until_known(world);
    assert!(found.is_some_and(|found| found <= FOUND_WITHIN), "{found:?}");
    assert_eq!(jobs.done(world), jobs.ids().len());
    world.assert_nothing_doubled();
}

/// Runs a deployment until a rotation has just ended, queues a job in each of these repositories, and
/// returns them once the world has had time to execute them.
async fn lose_a_job_in_each(world: &mut World, names: &[&str], at: Duration) -> Jobs {
    world.pass_until(at).await;
    let mut jobs = Jobs::default();
    for name in names {
        jobs.add(world, job_of(name, 30));
    }
    world.pass(minutes(30)).await;
    jobs
}

/// R1: App credentials and an organization webhook, and all deliveries are lost.
///
/// Must be: found within 6 minutes. Before, the job was never found.
#[test]
fn r1_a_job_whose_webhook_was_lost_is_found_within_six_minutes_and_executed_once() {
    in_virtual_time(async {
        for at in phases() {
            let mut world = organization_webhook(&["acme/app"]);
            let jobs = lose_a_job_in_each(&mut world, &["app"], at).await;
            print_found("R1", &world, &jobs);
            assert_found(&world, &jobs);
        }
    });
}

/// R1 with `acme/*` and `*`: the repositories are those of the App's installations.
#[test]
fn r1_forty_repositories_of_an_organization_are_looked_through_within_six_minutes() {
    in_virtual_time(async {
        let patterns = ["acme/*", "*"].into_iter().cycle();
        for (pattern, at) in patterns.zip(phases()) {
            let mut world = organization_webhook(&[pattern]);
            world.make_repositories(40);
            let names = ["app0", "app20", "app39"];
            let jobs = lose_a_job_in_each(&mut world, &names, at).await;
            print_found("R1", &world, &jobs);
            assert_found(&world, &jobs);
        }
    });
}

/// R1 while other jobs run: each active run costs one more call, and sweeps come each minute.
#[test]
fn r1_a_lost_job_is_found_within_six_minutes_while_others_run() {
    in_virtual_time(async {
        for at in phases() {
            let mut world = organization_webhook(&["acme/*"]);
            world.make_repositories(30);
            let others = Jobs::queue(&mut world, 10, |number| job_of(&format!("app{number}"), 3 * 3600));
            let jobs = lose_a_job_in_each(&mut world, &["app0", "app15", "app29"], minutes(20) + at).await;
            print_found("R1", &world, &jobs);
            assert_found(&world, &jobs);
            assert_eq!(others.waits(&world).longest(), "-");
            assert!(world.list_calls() <= CALLS_AN_HOUR * 2, "{}", world.list_calls());
        }
    });
}

/// R1 with 500 repositories: the budget holds, and each repository is still asked.
#[test]
fn r1_five_hundred_repositories_are_asked_within_the_budget() {
    in_virtual_time(async {
        let mut world = organization_webhook(&["acme/*"]);
        world.make_repositories(500);
        let mut jobs = Jobs::default();
        let mut before = 0;
        for hour in 1..=sized(3_u64, 12) {
            jobs.add(&mut world, job_of(&format!("app{}", 17 * hour), 30));
            world.pass_until(hours(hour)).await;
            let calls = world.list_calls();
            assert!(calls - before <= CALLS_AN_HOUR, "{} calls in an hour", calls - before);
            before = calls;
        }
        world.pass(hours(1)).await;
        print_found("R1", &world, &jobs);
        assert_eq!(jobs.done(&world), jobs.ids().len());
        let found = jobs.longest_until_known(&world).unwrap();
        assert!(found <= SignedDuration::from_mins(56), "{found:?}");
        world.assert_nothing_doubled();
    });
}

/// The App's own webhook works: no repository is asked, also in quiet hours.
#[test]
fn an_app_whose_own_webhook_reports_jobs_asks_no_repository() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(1).start();
        let jobs = Jobs::queue(&mut world, 3, |_| job(30));
        world.pass(hours(8)).await;
        print_found("R1", &world, &jobs);
        assert_eq!(jobs.done(&world), 3);
        assert_eq!(world.list_calls(), 0);
    });
}

/// The App's own webhook works, and its deliveries are lost on the way: its list shows them.
#[test]
fn lost_deliveries_of_an_apps_own_webhook_are_found_without_asking_repositories() {
    in_virtual_time(async {
        for at in phases() {
            let mut world = Deployment::seeded(1).start();
            Jobs::queue(&mut world, 1, |_| job(30));
            world.pass(minutes(10)).await;
            world.lose_webhooks();
            let jobs = lose_a_job_in_each(&mut world, &["app"], minutes(10) + at).await;
            print_found("R1", &world, &jobs);
            assert_found(&world, &jobs);
            assert_eq!(world.list_calls(), 0);
        }
    });
}

/// The App's own webhook reported jobs, and was then turned off in favour of an organization's.
///
/// Once a job is known that the App's list does not show, repositories are asked. If nothing is known at
/// all, they are asked half a day after the last delivery.
#[test]
fn an_app_webhook_that_was_turned_off_is_noticed() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(1).start();
        Jobs::queue(&mut world, 1, |_| job(30));
        world.pass(minutes(10)).await;
        let now = world.now();
        world.github_faults(|faults| faults.app_webhook_until = Some(now));
        world.pass(minutes(10)).await;
        assert_eq!(world.list_calls(), 0);
        // The organization's webhook reports this one.
        Jobs::queue(&mut world, 1, |_| job(120));
        world.pass(minutes(10)).await;
        world.lose_webhooks();
        let jobs = lose_a_job_in_each(&mut world, &["web"], minutes(40)).await;
        print_found("R1", &world, &jobs);
        assert_found(&world, &jobs);

        let mut world = Deployment::seeded(1).start();
        Jobs::queue(&mut world, 1, |_| job(30));
        world.pass(minutes(10)).await;
        let now = world.now();
        world.github_faults(|faults| faults.app_webhook_until = Some(now));
        world.lose_webhooks();
        let jobs = Jobs::queue(&mut world, 1, |_| job(30));
        world.pass(hours(13)).await;
        print_found("R1", &world, &jobs);
        assert_eq!(jobs.done(&world), 1);
    });
}

/// Archived repositories, repositories that answer 404 or 502, and one whose scope rests hold up no other.
#[test]
fn repositories_that_cannot_have_jobs_or_be_read_hold_up_no_other() {
    in_virtual_time(async {
        let mut world = organization_webhook(&["acme/*"]);
        world.make_repositories(30);
        world.archive(&["app3", "app4", "app5"]);
        world.refuse_lists_of(&["app6", "app7", "app8", "app9", "app10"], 404);
        world.refuse_lists_of(&["app11", "app12"], 502);
        world.let_rest("app1", SignedDuration::from_hours(5));
        let jobs = lose_a_job_in_each(&mut world, &["app29"], minutes(31)).await;
        print_found("R1", &world, &jobs);
        assert_found(&world, &jobs);
    });
}

/// An installation whose repositories GitHub does not list holds up no other one, whatever the answer is.
#[test]
fn an_installation_that_cannot_be_read_holds_up_no_other() {
    in_virtual_time(async {
        for status in [403, 502] {
            let mut world = organization_webhook(&["*"]);
            world.make_repositories(3);
            world.refuse_installation("aaa", status);
            world.make_repository("aaa/app");
            let jobs = lose_a_job_in_each(&mut world, &["app2"], minutes(31)).await;
            print_found("R1", &world, &jobs);
            assert_found(&world, &jobs);
        }
    });
}

/// GitHub throttles: nothing is asked until the time that it names, and then the job is found.
#[test]
fn a_throttled_search_rests_until_github_allows_it() {
    in_virtual_time(async {
        let mut world = organization_webhook(&["acme/*"]);
        world.make_repositories(10);
        world.pass(minutes(10)).await;
        let until = world.now() + minutes(20);
        world.github_faults(|faults| faults.lists_throttled_until = Some(until));
        let jobs = Jobs::queue(&mut world, 1, |_| job_of("app9", 30));
        let before = world.list_calls();
        world.pass(minutes(20)).await;
        assert!(world.list_calls() - before <= 3, "{}", world.list_calls() - before);
        world.pass(minutes(10)).await;
        print_found("R1", &world, &jobs);
        assert_eq!(jobs.done(&world), 1);
        world.assert_nothing_doubled();
    });
}
