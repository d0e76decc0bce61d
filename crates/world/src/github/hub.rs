//! The state of GitHub. Callers pass the time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use ecsrunner_core::id::{Account, DeliveryId, JobId, Repository, RunId, RunnerId};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pool::Scope;
use jiff::{SignedDuration, Timestamp};

use super::webhook::body;
use super::{HubDelivery, HubFaults, HubJob, HubState, Order};
use crate::random::Random;

/// From GitHub's secondary limit: 900 points a minute for an endpoint, and 5 points for a POST.
const MAX_JIT: usize = 180;
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// The current fault of all of GitHub.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trouble {
    #[default]
    None,
    /// It answers everything with 502.
    Outage,
    /// It refuses registrations with 403, because the App has lost a permission.
    Refused,
}

#[derive(Clone, Debug)]
pub struct HubRunner {
    pub name: String,
    /// The scope of the registration.
    pub scope: Scope,
    /// The labels of the registration.
    pub labels: Labels,
    /// Whether its listener is connected.
    pub online: bool,
    /// The job that it executes.
    pub job: Option<JobId>,
    /// When it began that job.
    pub busy_since: Option<Timestamp>,
    /// The job that it took and does not start.
    pub unstarted: Option<JobId>,
    /// Whether GitHub gives it no job.
    pub starved: bool,
}

impl HubRunner {
    /// Returns a runner whose listener is not connected yet.
    #[must_use]
    pub fn new(name: &str, scope: &Scope, labels: Labels) -> Self {
        Self {
            name: name.to_owned(),
            scope: scope.clone(),
            labels,
            online: false,
            job: None,
            busy_since: None,
            unstarted: None,
            starved: false,
        }
    }
}

/// What GitHub does with a queued job and an idle runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Assigned {
    /// The runner executes the job.
    Started(RunnerId, JobId),
    /// The runner took the job and does not start it.
    Unstarted(RunnerId, JobId),
}

#[derive(Debug, Default)]
pub struct Hub {
    pub jobs: BTreeMap<JobId, HubJob>,
    pub runners: BTreeMap<RunnerId, HubRunner>,
    /// The repositories that the App reaches, and whether each is archived.
    pub repositories: BTreeMap<Repository, bool>,
    /// How many calls of the API listed runs, their jobs, or repositories.
    pub list_calls: u64,
    /// How many attempts were made after a run's first one.
    pub reruns: u64,
    /// All deliveries, the oldest first, including lost ones.
    pub deliveries: Vec<HubDelivery>,
    /// The current fault of all requests.
    pub trouble: Trouble,
    /// The current faults of a part of the requests.
    pub faults: HubFaults,
    /// How often a job was requested while reads of jobs were throttled.
    pub throttled_job_reads: u64,
    /// The times at which requests arrived whose configurations were made.
    pub configured: Vec<Timestamp>,
    /// How many requests for registrations were refused because of their limit.
    pub throttled: u32,
    minutes: HashMap<Account, VecDeque<Timestamp>>,
    /// Deliveries that are not sent yet.
    outgoing: VecDeque<usize>,
    last_id: u64,
}

impl Hub {
    pub fn queue(&mut self, order: Order, now: Timestamp) -> JobId {
        let id = JobId::new(self.next_id());
        // Each job has its own run.
        let run = RunId::new(id.get() + 1_000_000);
        self.add(id, order, run, 1, format!("job {id}"), now);
        id
    }

    /// Queues one more job in the run of another one.
    pub fn queue_in_run_of(&mut self, other: JobId, order: Order, now: Timestamp) -> JobId {
        let id = JobId::new(self.next_id());
        let (run, attempt) = self.jobs.get(&other).map_or((RunId::new(1), 1), |job| (job.run, job.attempt));
        self.add(id, order, run, attempt, format!("job {id}"), now);
        id
    }

    fn add(&mut self, id: JobId, order: Order, run: RunId, attempt: u32, name: String, now: Timestamp) {
        self.repositories.entry(order.repository.clone()).or_insert(false);
        let labels = Labels::new(&order.labels);
        let (created_at, state) = (now, HubState::Queued);
        let job = HubJob { id, order, run, attempt, name, labels, created_at, begun: 0, state };
        self.jobs.insert(id, job);
        self.tell(id, "queued", now);
    }

    /// Runs a job again as a new attempt of its run. Returns `None` unless the run has ended.
    pub fn rerun(&mut self, id: JobId, now: Timestamp) -> Option<JobId> {
        let job = self.jobs.get(&id)?;
        let (order, run, name) = (job.order.clone(), job.run, job.name.clone());
        let attempt = self.attempt(run).filter(|_| self.has_run_ended(run))? + 1;
        let again = JobId::new(self.next_id());
        self.reruns += 1;
        self.add(again, order, run, attempt, name, now);
        Some(again)
    }

    /// Returns the latest attempt of a run.
    #[must_use]
    pub fn attempt(&self, run: RunId) -> Option<u32> {
        self.jobs.values().filter(|job| job.run == run).map(|job| job.attempt).max()
    }

    /// Whether all jobs of a run have ended.
    #[must_use]
    pub fn has_run_ended(&self, run: RunId) -> bool {
        let mut jobs = self.jobs.values().filter(|job| job.run == run);
        jobs.all(|job| matches!(job.state, HubState::Completed { .. }))
    }

    /// Returns the latest job of each name in a run.
    pub fn latest_jobs(&self, run: RunId) -> impl Iterator<Item = &HubJob> {
        let of_run: BTreeMap<&str, &HubJob> =
            self.jobs.values().filter(|job| job.run == run).map(|job| (job.name.as_str(), job)).collect();
        of_run.into_values()
    }

    /// Assigns queued jobs to idle runners that fit. The seed determines the choice.
    pub(crate) fn assign(&mut self, random: &mut Random, now: Timestamp) -> Vec<Assigned> {
        let is_idle = |runner: &HubRunner| {
            runner.online && !runner.starved && runner.job.is_none() && runner.unstarted.is_none()
        };
        let mut idle: Vec<RunnerId> =
            self.runners.iter().filter(|(_, runner)| is_idle(runner)).map(|(id, _)| *id).collect();
        random.shuffle(&mut idle);
        let mut assigned = Vec::new();
        for id in idle {
            let Some(runner) = self.runners.get_mut(&id) else { continue };
            let fits = |job: &&HubJob| job.fits(&runner.labels) && covers(&runner.scope, job);
            let fitting: Vec<JobId> = self.jobs.values().filter(fits).map(|job| job.id).collect();
            let Some(job) = fitting.get(random.below(fitting.len())) else { continue };
            let name = runner.name.clone();
            if happens(self.faults.unstarted, random) {
                runner.unstarted = Some(*job);
                let is_reported = happens(self.faults.unstarted_reported, random);
                self.take_without_start(*job, name, is_reported.then_some(now), now);
                assigned.push(Assigned::Unstarted(id, *job));
            } else {
                (runner.job, runner.busy_since) = (Some(*job), Some(now));
                self.begin(*job, name, now);
                assigned.push(Assigned::Started(id, *job));
            }
        }
        assigned
    }

    fn take_without_start(
        &mut self,
        id: JobId,
        runner: String,
        reported_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.state = HubState::Unstarted { runner, reported_at };
            if reported_at.is_some() {
                self.tell(id, "in_progress", now);
            }
        }
    }

    /// Queues a job again that its runner took and did not start. No webhook reports it.
    pub(crate) fn queue_unstarted(&mut self, runner: RunnerId, id: JobId) {
        if let Some(runner) = self.runners.get_mut(&runner) {
            runner.unstarted = None;
        }
        if let Some(job) = self.jobs.get_mut(&id)
            && matches!(job.state, HubState::Unstarted { .. })
        {
            job.state = HubState::Queued;
        }
    }

    /// Gives a queued job to a foreign runner. Returns false if it is not queued.
    pub fn steal(&mut self, job: JobId, now: Timestamp) -> bool {
        let queued = self.jobs.get(&job).is_some_and(|job| job.state == HubState::Queued);
        if queued {
            self.begin(job, "someone's runner".to_owned(), now);
        }
        queued
    }

    /// Whether a job has ended.
    #[must_use]
    pub fn is_completed(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| matches!(job.state, HubState::Completed { .. }))
    }

    /// Ends a job, and deletes the registration of its ephemeral runner.
    pub fn complete(&mut self, id: JobId, conclusion: &'static str, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if matches!(job.state, HubState::Completed { .. }) {
            return;
        }
        let runner = job.runner().map(str::to_owned);
        job.state = HubState::Completed { conclusion, runner, at: now };
        if !self.faults.clinging.contains(&id) {
            self.forget_runner_of(id);
        }
        self.tell(id, "completed", now);
    }

    /// Deletes the registration of the runner that executed a job.
    pub(crate) fn forget_runner_of(&mut self, id: JobId) {
        self.runners.retain(|_, runner| runner.job != Some(id));
    }

    /// Whether the listener of a registration cannot connect because of its repository.
    pub(crate) fn refuses_connection(&self, id: RunnerId) -> bool {
        self.runners.get(&id).is_some_and(|runner| self.faults.refuses_connection(&runner.scope))
    }

    /// Takes a registration away if its repository has that fault; false if it has not.
    pub(crate) fn takes_away(&mut self, id: RunnerId) -> bool {
        let takes = self.runners.get(&id).is_some_and(|runner| self.faults.takes_away(&runner.scope));
        if takes {
            self.runners.remove(&id);
        }
        takes
    }

    /// Connects a listener. Returns false if its registration is gone.
    pub(crate) fn connect(&mut self, id: RunnerId, random: &mut Random) -> bool {
        match self.runners.get_mut(&id) {
            None => false,
            Some(runner) => {
                runner.online = true;
                runner.starved = happens(self.faults.starves_idle, random);
                true
            }
        }
    }

    /// Disconnects an idle listener. Its registration stays.
    pub fn disconnect(&mut self, id: RunnerId) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.online = false;
        }
    }

    /// Counts a request for a registration under the limit of its minute, whatever its answer, or returns how long to
    /// wait.
    pub(super) fn admit(&mut self, account: &Account, now: Timestamp) -> Result<(), Duration> {
        let minute = self.minutes.entry(account.clone()).or_default();
        while minute.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            minute.pop_front();
        }
        if minute.len() >= self.faults.registrations_per_minute.unwrap_or(MAX_JIT) {
            self.throttled += 1;
            return Err(Duration::from_secs(60));
        }
        minute.push_back(now);
        Ok(())
    }

    /// Makes the configuration of a runner; `None` if its name is taken.
    pub(super) fn register(
        &mut self,
        name: &str,
        scope: &Scope,
        labels: &[String],
        now: Timestamp,
    ) -> Option<RunnerId> {
        if self.runners.values().any(|runner| runner.name == name && runner.scope == *scope) {
            return None;
        }
        let id = RunnerId::new(self.next_id());
        self.runners.insert(id, HubRunner::new(name, scope, Labels::new(labels)));
        self.configured.push(now);
        Some(id)
    }

    /// Returns the next delivery to send.
    pub(crate) fn next_delivery(&mut self) -> Option<HubDelivery> {
        self.outgoing.pop_front().and_then(|index| self.deliveries.get(index).cloned())
    }

    fn begin(&mut self, id: JobId, runner: String, now: Timestamp) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.begun += 1;
            job.state = HubState::InProgress { runner, since: now };
            self.tell(id, "in_progress", now);
        }
    }

    /// Sends a `completed` webhook of a job that goes on, as a holder of the webhook's secret can.
    pub fn forge_completed(&mut self, id: JobId, now: Timestamp) {
        let Some(job) = self.jobs.get(&id) else { return };
        let runner = job.runner().map(str::to_owned);
        let state = HubState::Completed { conclusion: "cancelled", runner, at: now };
        self.send(&HubJob { state, ..job.clone() }, "completed", now);
    }

    fn tell(&mut self, id: JobId, action: &'static str, now: Timestamp) {
        if let Some(job) = self.jobs.get(&id).cloned() {
            self.send(&job, action, now);
        }
    }

    fn send(&mut self, job: &HubJob, action: &'static str, now: Timestamp) {
        let (number, id) = (self.next_id(), job.id);
        let Ok(delivery) = DeliveryId::parse(&format!("delivery-{number}")) else { return };
        self.outgoing.push_back(self.deliveries.len());
        let body = body(job, action);
        self.deliveries.push(HubDelivery { number, id: delivery, at: now, job: id, action, body });
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// Whether a fault happens. A fault that is off draws nothing, so that it does not change what a seed gives.
fn happens(probability: f64, random: &mut Random) -> bool {
    probability > 0.0 && random.happens(probability)
}

/// Whether runners of a scope serve a job's repository.
fn covers(scope: &Scope, job: &HubJob) -> bool {
    match scope {
        Scope::Repository(repository) => *repository == job.order.repository,
        Scope::Organization { organization, .. } => {
            job.order.repository.owner().eq_ignore_ascii_case(organization.as_str())
        }
    }
}
