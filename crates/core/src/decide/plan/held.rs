//! Writes down what holds jobs back, for the split of their wait.
//!
//! Reasons to wait are not stored for each job: a hold would then be as many writes as jobs wait. So a plan writes down
//! the obstacle of the oldest job of a pool alone, once, and only if no earlier mark says the same. The jobs behind it
//! that waited at that time had the same obstacle: they get it when they are reserved. A limit may be that of one
//! repository, so its mark speaks for that repository alone.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Wait;
use crate::id::{PoolId, Repository};
use crate::reason::Code;
use crate::records::job::{HeldBack, Job, JobStage, JobState};
use crate::records::open::Open;
use crate::records::times::HeldBy;

/// Returns the next records of the jobs whose obstacle is to be written down.
pub(super) fn newly_held(open: &Open, waits: &[Wait], now: Timestamp) -> Vec<Job> {
    let mut heads: HashMap<(&PoolId, Option<&Repository>), (&Job, HeldBy)> = HashMap::new();
    for wait in waits {
        let (Some(by), Some(job)) = (HeldBy::of(wait.reason.code()), open.jobs.get(&wait.job)) else {
            continue;
        };
        let Some(assignment) = job.assignment() else { continue };
        let of_repository = (by == HeldBy::Limit).then_some(&job.facts.repository);
        let head = heads.entry((&assignment.pool, of_repository)).or_insert((job, by));
        if age(job) < age(head.0) {
            *head = (job, by);
        }
    }
    if heads.is_empty() {
        return Vec::new();
    }
    let obstacles = Obstacles::of(open);
    let unmarked = heads.into_values().filter(|(job, _)| obstacles.before(job).is_none());
    let mut held: Vec<Job> = unmarked.map(|(job, by)| job.held_back(HeldBack { by, at: now })).collect();
    held.sort_unstable_by_key(Job::id);
    held
}

/// What is written down about the pools of open jobs.
#[derive(Default, Debug)]
pub struct Obstacles(HashMap<PoolId, Vec<Mark>>);

/// A job whose obstacle is written down.
#[derive(Debug)]
struct Mark {
    age: Age,
    repository: Repository,
    held: HeldBack,
    still_waits: bool,
}

/// When a job was created, and its id: the oldest job is served first.
type Age = (Timestamp, u64);

impl Obstacles {
    #[must_use]
    pub fn of(open: &Open) -> Self {
        let mut marks: HashMap<PoolId, Vec<Mark>> = HashMap::new();
        for job in open.jobs.values() {
            if let (Some(held), Some(assignment)) = (job.held, job.assignment()) {
                let still_waits = matches!(&job.state, JobState::Queued { wait, .. } if wait.code() != Code::RunnerStarting);
                let repository = job.facts.repository.clone();
                let mark = Mark { age: age(job), repository, held, still_waits };
                marks.entry(assignment.pool.clone()).or_default().push(mark);
            }
        }
        Self(marks)
    }

    /// Returns what held this job back: its own obstacle, or that of an older job of its pool while both waited.
    #[must_use]
    pub fn before(&self, job: &Job) -> Option<HeldBack> {
        let of_older = || {
            let recorded_at = job.recorded_late_at.or_else(|| job.timeline.at(JobStage::Queued));
            let since = recorded_at.unwrap_or(job.created_at);
            let marks = self.0.get(&job.assignment()?.pool)?.iter();
            let both_waited =
                |mark: &&Mark| mark.age <= age(job) && (mark.still_waits || since <= mark.held.at);
            let speaks_for =
                |mark: &&Mark| mark.held.by != HeldBy::Limit || mark.repository == job.facts.repository;
            let marks = marks.filter(both_waited).filter(speaks_for).map(|mark| mark.held);
            marks.max_by_key(|held| held.at)
        };
        job.held.or_else(of_older)
    }
}

fn age(job: &Job) -> Age {
    (job.created_at, job.id().get())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::decide::plan::tests::{at, job};
    use crate::reason::Reason;
    use crate::wire::job::JobFacts;

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
    fn the_limit_of_one_repository_is_no_obstacle_of_anothers_jobs() {
        let held = HeldBack { by: HeldBy::Limit, at: at(5) };
        let of = |job: Job, repository: &str| {
            let facts =
                JobFacts { repository: Repository::parse(repository).unwrap(), ..(*job.facts).clone() };
            Job { facts: Arc::new(facts), ..job }
        };
        let jobs =
            [of(job(1, 0), "acme/a").held_back(held), of(job(2, 1), "acme/a"), of(job(3, 2), "acme/b")];
        let obstacles = Obstacles::of(&open(&jobs));
        assert_eq!(jobs.each_ref().map(|job| obstacles.before(job)), [Some(held), Some(held), None]);
        let marked = newly_held(&open(&jobs), &waits(&jobs, Code::LimitRepository), at(9));
        assert_eq!(marked.iter().map(|job| job.id().get()).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_mark_speaks_for_the_younger_jobs_that_waited_then_and_for_no_others() {
        let held = HeldBack { by: HeldBy::Capacity, at: at(5) };
        let launched = job(2, 1).held_back(held).waiting_for(&Code::RunnerStarting.into()).unwrap();
        let jobs = [job(1, 0), launched, job(3, 4), job(4, 6)];
        let obstacles = Obstacles::of(&open(&jobs));
        assert_eq!(jobs.each_ref().map(|job| obstacles.before(job)), [None, Some(held), Some(held), None]);
        // While the marked job is open, the next oldest needs no mark of its own, unless it came later.
        let left = &jobs[2..];
        assert!(newly_held(&open(&jobs), &waits(left, Code::NoCapacity), at(9)).is_empty());
        let later = newly_held(&open(&jobs), &waits(&jobs[3..], Code::NoCapacity), at(9));
        let still = [job(2, 1).held_back(held), job(4, 6)];
        assert_eq!(Obstacles::of(&open(&still)).before(&still[1]), Some(held), "the marked one waits still");
        assert_eq!(later.iter().map(|job| job.id().get()).collect::<Vec<_>>(), [4]);
    }
}
