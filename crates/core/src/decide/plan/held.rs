//! Writes down what holds jobs back, for the split of their wait.
//!
//! Reasons to wait are not stored for each job: a hold would then be as many writes as jobs wait. So a plan writes down
//! the obstacle of the oldest job of each pool alone, and once. The jobs of its pool that are behind it have the same
//! obstacle: they get it when they are reserved in the same round, or when they are the oldest themselves.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Launch, Wait};
use crate::id::PoolId;
use crate::records::job::{HeldBack, Job};
use crate::records::open::Open;
use crate::records::times::HeldBy;

/// Returns the next records of the jobs whose obstacle is to be written down.
pub(super) fn newly_held(open: &Open, waits: &[Wait], now: Timestamp) -> Vec<Job> {
    let mut heads: HashMap<&PoolId, (&Job, HeldBy)> = HashMap::new();
    for wait in waits {
        let (Some(by), Some(job)) = (HeldBy::of(wait.reason.code()), open.jobs.get(&wait.job)) else {
            continue;
        };
        let Some(assignment) = job.assignment() else { continue };
        let head = heads.entry(&assignment.pool).or_insert((job, by));
        if age(job) < age(head.0) {
            *head = (job, by);
        }
    }
    let unmarked = heads.into_values().filter(|(job, _)| job.held.is_none());
    let mut held: Vec<Job> = unmarked.map(|(job, by)| job.held_back(HeldBack { by, at: now })).collect();
    held.sort_unstable_by_key(Job::id);
    held
}

/// What held back the jobs of a round's launches, by pool.
#[derive(Default, Debug)]
pub struct Obstacles(HashMap<PoolId, ((Timestamp, u64), HeldBack)>);

impl Obstacles {
    /// Returns what is written down for the jobs of these launches.
    #[must_use]
    pub fn of(open: &Open, launches: &[Launch]) -> Self {
        let mut obstacles = HashMap::new();
        for job in launches.iter().filter_map(|launch| open.jobs.get(&launch.job)) {
            if let (Some(held), Some(assignment)) = (job.held, job.assignment()) {
                let oldest = obstacles.entry(assignment.pool.clone()).or_insert((age(job), held));
                if age(job) < oldest.0 {
                    *oldest = (age(job), held);
                }
            }
        }
        Self(obstacles)
    }

    /// Returns what held this job back: its own obstacle, or that of an older job of its pool.
    #[must_use]
    pub fn before(&self, job: &Job) -> Option<HeldBack> {
        let of_older = || {
            let (oldest, held) = self.0.get(&job.assignment()?.pool)?;
            (*oldest <= age(job)).then_some(*held)
        };
        job.held.or_else(of_older)
    }
}

fn age(job: &Job) -> (Timestamp, u64) {
    (job.created_at, job.id().get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::plan::tests::{at, job};
    use crate::decide::plan::{Means, plan};
    use crate::reason::{Code, Reason};
    use crate::rules::Rules;
    use crate::testing::{catalogue, settings};

    fn open(jobs: &[Job]) -> Open {
        Open::of(jobs.iter().cloned(), [])
    }

    fn waits(jobs: &[Job], code: Code) -> Vec<Wait> {
        jobs.iter().map(|job| Wait { job: job.id(), reason: Reason::from(code) }).collect()
    }

    #[test]
    fn the_obstacle_of_a_pools_oldest_job_is_written_down_once() {
        let jobs = [job(1, 0), job(2, 1), job(3, 2)];
        let held = newly_held(&open(&jobs), &waits(&jobs, Code::LimitClass), at(5));
        let [first] = held.as_slice() else { panic!("{held:?}") };
        assert_eq!(first.held, Some(HeldBack { by: HeldBy::Limit, at: at(5) }));
        assert_eq!((first.id(), first.version), (jobs[0].id(), jobs[0].version.next()));
        let marked = [first.clone(), jobs[1].clone(), jobs[2].clone()];
        assert!(newly_held(&open(&marked), &waits(&marked, Code::Pace), at(9)).is_empty());
        assert!(newly_held(&open(&jobs), &waits(&jobs, Code::RunnerStarting), at(5)).is_empty());
    }

    #[test]
    fn a_job_behind_a_held_one_that_is_launched_with_it_was_held_too() {
        let held = HeldBack { by: HeldBy::Capacity, at: at(5) };
        let (older, younger) = (job(2, 1).held_back(held), job(3, 2));
        let jobs = [job(1, 0), older, younger];
        let open = open(&jobs);
        let (settings, catalogue) = (settings(), catalogue());
        let rules = Rules { settings: &settings, catalogue: &catalogue };
        let launches = plan(&open, rules, Means::default(), at(6)).launches;
        assert_eq!(launches.len(), 3);
        let obstacles = Obstacles::of(&open, &launches);
        let held_back = jobs.each_ref().map(|job| obstacles.before(job));
        assert_eq!(held_back, [None, Some(held), Some(held)]);
    }
}
