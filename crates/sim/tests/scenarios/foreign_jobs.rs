//! Jobs of a repository that is not served, in the runner group and with the labels of one that is.

use crate::harness::jobs::job_in;
use crate::harness::{Deployment, Jobs, World, hours, in_virtual_time, minutes, print, secs};

const JOB_SECS: u64 = 60;
const FOREIGN_JOBS: u64 = 200;

fn start() -> World {
    let served = ["acme/victim", "acme/other"];
    Deployment::seeded(4).organization_runners().repositories(&served).default_limits().start()
}

/// Queues a job of another pool each minute, for an hour.
async fn queue_others(world: &mut World) -> Jobs {
    let mut others = Jobs::default();
    for _ in 0..60 {
        others.add(world, job_in("spot", "other", JOB_SECS));
        world.pass(minutes(1)).await;
    }
    world.pass(minutes(2)).await;
    others
}

/// A flood of a foreign repository of the organization, with the labels of a victim's jobs, and jobs of another pool.
struct Flood {
    world: World,
    foreign: Jobs,
    victim: Jobs,
    others: Jobs,
}

impl Flood {
    /// Lets it rage for an hour.
    async fn hour(victims: u64) -> Self {
        let mut world = start();
        let foreign = Jobs::queue(&mut world, FOREIGN_JOBS, |_| job_in("small", "foreign", JOB_SECS));
        world.pass(secs(5)).await;
        let victim = Jobs::queue(&mut world, victims, |_| job_in("small", "victim", JOB_SECS));
        let others = queue_others(&mut world).await;
        let flood = Self { world, foreign, victim, others };
        flood.print("after an hour");
        flood
    }

    fn print(&self, when: &str) {
        print(
            "foreign",
            &[
                ("when", &when),
                ("refused", &self.world.refused_runners()),
                ("foreign_done", &self.foreign.done_of(&self.world)),
                ("victim_done", &self.victim.done_of(&self.world)),
                ("victim_max_s", &self.victim.waits(&self.world).longest()),
                ("others_max_s", &self.others.waits(&self.world).longest()),
                ("holds", &self.world.holds()),
                ("task_hours", &self.world.task_hours()),
            ],
        );
    }

    /// Fails if the other pool waits for longer than without the flood.
    async fn assert_others_are_served(&self) {
        let mut quiet = start();
        let usual = queue_others(&mut quiet).await.waits(&quiet).longest_secs();
        assert_eq!(self.others.done(&self.world), self.others.len());
        let longest = self.others.waits(&self.world).longest_secs();
        assert!(longest <= usual + 5, "the other pool waits for {longest} s, {usual} s without the flood");
    }
}

/// 200 foreign jobs beside a victim's 20: GitHub gives the runners to any of them.
///
/// Must be: each refused job costs one runner at most; the victim's jobs are all executed; the other pool does not notice.
#[test]
fn a_foreign_repositorys_flood_costs_a_runner_for_each_of_its_jobs_and_starves_nobody() {
    in_virtual_time(async {
        let mut flood = Flood::hour(20).await;
        flood.assert_others_are_served().await;
        flood.world.pass(hours(4)).await;
        flood.print("after five hours");
        assert_eq!(flood.victim.done(&flood.world), 20, "the victim's jobs starve");
        let refused = flood.world.refused_runners();
        assert!((3..=FOREIGN_JOBS).contains(&refused), "{refused} runners refused a job");
        let launches = flood.world.launches();
        assert!(launches <= refused + 20 + 60 + 3, "{launches} launches, {refused} of them refused a job");
        flood.world.assert_nothing_lost_or_doubled();
    });
}

/// 200 foreign jobs beside one of a victim, whose runner they take again and again.
///
/// Must be: launches are held and go on one at a time, at most one a minute; the victim's job is executed at last.
#[test]
fn a_flood_that_takes_every_runner_of_a_pool_gets_one_a_minute_at_most() {
    in_virtual_time(async {
        let mut flood = Flood::hour(1).await;
        flood.assert_others_are_served().await;
        let refused = flood.world.refused_runners();
        assert!((10..=60).contains(&refused), "{refused} runners refused a job in the first hour");
        flood.world.pass(hours(6)).await;
        flood.print("after seven hours");
        assert_eq!(flood.victim.done(&flood.world), 1, "the victim's job starves");
        flood.world.assert_nothing_lost_or_doubled();
    });
}
