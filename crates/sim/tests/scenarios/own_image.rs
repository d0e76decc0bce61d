//! The deployment's own image: jobs run from GitHub's until it is built, tried and named, and wherever it fails.

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, hours, in_virtual_time, minutes, print};

const JOB_SECS: u64 = 60;
const DAY: u64 = 24;

/// AH: a new deployment. No job waits for the build, and runners start from it once one has served a job.
#[test]
fn ah_no_job_waits_for_the_first_build() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).own_image().start();
        world.release_runner("2.337.0");
        let first = Jobs::queue(&mut world, 5, |_| job(JOB_SECS));
        world.pass(minutes(4)).await;
        assert_eq!((first.done(&world), world.current_image()), (5, None));
        let tries = Jobs::queue(&mut world, 3, |_| job(JOB_SECS));
        world.pass(minutes(5)).await;
        print("AH", &[("builds", &world.builds()), ("started", &world.started_from())]);
        assert_eq!(tries.done(&world), 3);
        assert_eq!(world.current_image().as_deref(), Some("1-abc-2.337.0-1"));
        let later = Jobs::queue(&mut world, 5, |_| job(JOB_SECS));
        world.settle(hours(1)).await;
        assert_eq!((later.done(&world), world.builds()), (5, 1));
        // One of the first eight tried it, and the last five started from it.
        assert_eq!(world.started_from(), "1-abc-2.337.0-1: 6, official: 7");
        world.assert_nothing_lost_or_doubled();
    });
}

/// AI: an image from which no runner starts any more, and builds that fail for two hours.
#[test]
fn ai_an_image_that_fails_costs_a_few_launches_and_is_built_again() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).own_image().start();
        world.serve_from_own_image("2.337.0").await;
        world.break_image("1-abc-2.337.0-1");
        world.fail_builds("no space left on device");
        let launches = world.launches();
        let jobs = Jobs::queue(&mut world, 20, |_| job(JOB_SECS));
        world.pass(minutes(20)).await;
        let wasted = world.launches() - launches - 20;
        print(
            "AI",
            &[("done", &jobs.done_of(&world)), ("wasted", &wasted), ("started", &world.started_from())],
        );
        assert_eq!(jobs.done(&world), 20, "GitHub's own image serves them");
        assert!(wasted <= 22, "{wasted} launches from the image that fails");
        world.pass(minutes(100)).await;
        let builds = world.builds();
        assert!(builds <= 6, "{builds} builds: their pauses grow");
        world.heal_builds();
        world.pass(hours(7)).await;
        let last = Jobs::queue(&mut world, 2, |_| job(JOB_SECS));
        world.pass(minutes(10)).await;
        assert_eq!(last.done(&world), 2);
        let current = world.current_image().unwrap();
        assert_ne!(current, "1-abc-2.337.0-1");
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}

/// AJ: GitHub refuses the image's runner.
#[test]
fn aj_a_refused_runner_is_replaced_within_minutes() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).own_image().start();
        world.serve_from_own_image("2.337.0").await;
        world.release_runner("2.338.0");
        world.pass(hours(1)).await;
        assert_eq!(world.builds(), 1, "a release may be withdrawn on its first day");
        world.refuse_runners_older_than("2.338.0");
        let launches = world.launches();
        let jobs = Jobs::queue(&mut world, 10, |_| job(JOB_SECS));
        world.pass(minutes(10)).await;
        let wasted = world.launches() - launches - 10;
        print("AJ", &[("done", &jobs.done_of(&world)), ("wasted", &wasted), ("builds", &world.builds())]);
        assert_eq!((jobs.done(&world), world.builds()), (10, 2));
        assert!(wasted <= 12, "{wasted} launches with a runner that GitHub refuses");
        let next = Jobs::queue(&mut world, 2, |_| job(JOB_SECS));
        world.pass(minutes(10)).await;
        assert_eq!(next.done(&world), 2);
        assert_eq!(world.current_image().as_deref(), Some("1-abc-2.338.0-2"));
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}

/// AK: a release each month, and one job a day. The image is never older than the release before.
#[test]
fn ak_the_image_keeps_itself_fresh() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).own_image().start();
        world.serve_from_own_image("2.337.0").await;
        for release in ["2.338.0", "2.339.0"] {
            world.release_runner(release);
            for _ in 0..3 {
                Jobs::queue(&mut world, 1, |_| job(JOB_SECS));
                world.pass(hours(DAY)).await;
            }
            let current = world.current_image().unwrap();
            assert!(current.contains(release), "{current} after three days");
        }
        print("AK", &[("builds", &world.builds()), ("started", &world.started_from())]);
        assert_eq!(world.builds(), 3);
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}

/// AL: an account that may start no build, and GitHub does not tell its newest runner.
#[test]
fn al_without_builds_and_answers_jobs_run_from_githubs_image() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).own_image().start();
        world.refuse_builds("Cannot have more than 0 builds in queue for the account");
        let jobs = Jobs::queue(&mut world, 10, |_| job(JOB_SECS));
        world.settle(hours(1)).await;
        assert_eq!((jobs.done(&world), world.builds()), (10, 0));
        assert_eq!(world.started_from(), "official: 10");
        assert!(world.image_words().contains("more than 0 builds"), "{}", world.image_words());
        world.assert_nothing_lost_or_doubled();
    });
}
