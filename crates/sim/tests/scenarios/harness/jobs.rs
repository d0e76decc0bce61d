//! The jobs of a scenario, and their waiting times.

use std::fmt::Display;

use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_world::github::{HubJob, HubState, Order};
use jiff::SignedDuration;

use super::World;

/// A repository of `acme` whose jobs are not for ecsrunner.
pub(super) const FOREIGN: &str = "none";

pub(crate) fn repository(name: &str) -> Repository {
    Repository::parse(&format!("acme/{name}")).unwrap()
}

/// A job of `acme/app` in the default class that runs for `secs` seconds.
pub(crate) fn job(secs: u64) -> Order {
    job_of("app", secs)
}

/// A job of a repository of `acme` in the default class.
pub(crate) fn job_of(name: &str, secs: u64) -> Order {
    Order::new(&repository(name), &["self-hosted"], secs)
}

/// A job of a repository of `acme` in a class.
pub(crate) fn job_in(class: &str, name: &str, secs: u64) -> Order {
    Order::new(&repository(name), &["self-hosted", &format!("class:{class}")], secs)
}

impl World {
    /// Queues a job for GitHub's own runners, which increments GitHub's ids by 2.
    pub(crate) fn queue_foreign_job(&mut self) -> JobId {
        self.queue(Order::new(&repository(FOREIGN), &["ubuntu-latest"], 1))
    }

    /// Increments GitHub's ids by 3. Whether a job's id is even determines its first subnet.
    pub(crate) fn shift_ids(&mut self) {
        let other = self.queue_foreign_job();
        let now = self.now();
        self.outside().hub.complete(other, "success", now);
    }
}

/// A group of jobs that a scenario counts together.
#[derive(Default)]
pub(crate) struct Jobs(Vec<JobId>);

impl Jobs {
    /// Queues jobs at once; `order` gets the job's number, counted from 0.
    pub(crate) fn queue(world: &mut World, count: u64, order: impl Fn(u64) -> Order) -> Self {
        Self((0..count).map(|number| world.queue(order(number))).collect())
    }

    /// Queues one more job, now.
    pub(crate) fn add(&mut self, world: &mut World, order: Order) {
        self.0.push(world.queue(order));
    }

    pub(crate) fn push(&mut self, job: JobId) {
        self.0.push(job);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn ids(&self) -> &[JobId] {
        &self.0
    }

    /// Returns how many jobs have ended at GitHub.
    pub(crate) fn done(&self, world: &World) -> usize {
        let outside = world.outside();
        self.0.iter().filter(|job| outside.hub.is_completed(**job)).count()
    }

    /// Returns how many jobs of the group have ended, such as `38/40`.
    pub(crate) fn done_of(&self, world: &World) -> String {
        format!("{}/{}", self.done(world), self.0.len())
    }

    /// Returns how long the jobs that have ended waited for their start.
    pub(crate) fn waits(&self, world: &World) -> Waits {
        let outside = world.outside();
        let mut waits: Vec<i64> =
            self.0.iter().filter_map(|job| wait(&outside.hub.jobs[job])).map(|wait| wait.as_secs()).collect();
        waits.sort_unstable();
        Waits(waits)
    }

    /// Returns the longest time from a job's creation to its record; `None` if a job is not known.
    pub(crate) fn longest_until_known(&self, world: &World) -> Option<SignedDuration> {
        let outside = world.outside();
        let times: Option<Vec<SignedDuration>> = self
            .0
            .iter()
            .map(|job| {
                Some(outside.ledger.known_at.get(job)?.duration_since(outside.hub.jobs[job].created_at))
            })
            .collect();
        times?.into_iter().max()
    }

    /// Returns the longest time from queued to ended, among the jobs that have ended.
    pub(crate) fn last_done_after(&self, world: &World) -> SignedDuration {
        let outside = world.outside();
        let lives = self.0.iter().filter_map(|job| {
            let job = &outside.hub.jobs[job];
            wait(job).map(|wait| wait + SignedDuration::try_from(job.order.lasts).unwrap())
        });
        lives.max().unwrap_or_default()
    }

    /// Cancels all jobs at GitHub.
    pub(crate) fn cancel(&self, world: &World) {
        let now = world.now();
        for job in &self.0 {
            world.outside().cancel(*job, now);
        }
    }
}

/// Returns how long an ended job waited before it started.
fn wait(job: &HubJob) -> Option<SignedDuration> {
    match &job.state {
        HubState::Completed { at, .. } => Some(at.duration_since(job.created_at + job.order.lasts)),
        _ => None,
    }
}

/// Seconds from queued to started, in ascending order.
pub(crate) struct Waits(Vec<i64>);

impl Waits {
    pub(crate) fn median(&self) -> String {
        shown(self.0.get(self.0.len() / 2))
    }

    /// Returns the median in seconds; 0 if no job has ended.
    pub(crate) fn median_secs(&self) -> f64 {
        self.0.get(self.0.len() / 2).map_or(0.0, |secs| *secs as f64)
    }

    /// Returns the longest in seconds; 0 if no job has ended.
    pub(crate) fn longest_secs(&self) -> i64 {
        self.0.last().copied().unwrap_or(0)
    }

    pub(crate) fn p90(&self) -> String {
        shown(self.0.get(self.0.len() * 9 / 10))
    }

    pub(crate) fn longest(&self) -> String {
        shown(self.0.last())
    }
}

fn shown(figure: Option<&impl Display>) -> String {
    figure.map_or_else(|| "-".to_owned(), ToString::to_string)
}
