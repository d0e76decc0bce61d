//! GitHub's state: jobs in groups of the same repository and labels, registrations
//! with their rate limit, and the assignment of the oldest job that fits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_core::id::{Account, JobId, Repository, RunId, RunnerId, RunnerName};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::event::{JobAction, JobEvent};
use ecsrunner_core::wire::job::{Conclusion, JobFacts, JobStatus, TakenBy};
use ecsrunner_engine::ports::github::{Registration, RemoteJob};
use jiff::Timestamp;

use super::JobKind;
use super::fleet::TaskNumber;
use super::happening::Action;
use super::time::{Millis, timestamp};

const MINUTE: Millis = 60_000;
/// How long a completed job can be asked about.
const REMEMBERED: Millis = 60 * MINUTE;

/// A job at GitHub.
#[derive(Debug)]
pub(super) struct HubJob {
    facts: Arc<JobFacts>,
    pub(super) kind: usize,
    pub(super) queued_at: Millis,
    pub(super) lasts: Duration,
    state: HubState,
}

#[derive(Debug)]
enum HubState {
    Queued,
    InProgress { runner: RunnerName, since: Millis },
    Completed { runner: RunnerName, since: Millis, conclusion: Conclusion, at: Millis },
}

/// A registration.
#[derive(Debug)]
pub(super) struct HubRunner {
    pub(super) name: RunnerName,
    pub(super) scope: Scope,
    /// The groups whose jobs it can be given.
    groups: Arc<[usize]>,
    pub(super) job: Option<JobId>,
    /// The task whose listener is connected.
    pub(super) task: Option<TaskNumber>,
}

/// Jobs of the same repository with the same labels.
#[derive(Debug)]
struct Group {
    repository: Repository,
    labels: Labels,
    /// The oldest first. Jobs that are no longer queued are skipped.
    queued: VecDeque<JobId>,
    /// Registrations that wait for a job, the longest first. Those that no longer wait are skipped.
    idle: VecDeque<RunnerId>,
}

#[derive(Debug, Default)]
pub(super) struct Hub {
    groups: Vec<Group>,
    names: Vec<Arc<str>>,
    jobs: HashMap<JobId, HubJob>,
    completed: VecDeque<(Millis, JobId)>,
    pub(super) runners: HashMap<RunnerId, HubRunner>,
    pub(super) by_name: HashMap<RunnerName, RunnerId>,
    /// The groups of a pool's runners, by the name without its unique end.
    groups_of: HashMap<String, Arc<[usize]>>,
    /// The registrations of the last minute.
    minutes: HashMap<Account, VecDeque<Millis>>,
    registrations_per_minute: usize,
    last_id: u64,
    /// Jobs that are neither completed nor refused.
    unfinished: usize,
}

impl Hub {
    pub(super) fn new(kinds: &[JobKind], registrations_per_minute: usize) -> Self {
        let group = |kind: &JobKind| Group {
            repository: kind.repository.clone(),
            labels: kind.labels.clone(),
            queued: VecDeque::new(),
            idle: VecDeque::new(),
        };
        Self {
            groups: kinds.iter().map(group).collect(),
            names: kinds.iter().map(|kind| JobFacts::cut(&kind.name)).collect(),
            registrations_per_minute,
            ..Self::default()
        }
    }

    pub(super) fn job(&self, job: JobId) -> Option<&HubJob> {
        self.jobs.get(&job)
    }

    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    pub(super) fn queue(&mut self, kind: usize, lasts: Duration, now: Millis) -> JobId {
        let id = JobId::new(self.next_id());
        let group = &mut self.groups[kind];
        let facts = JobFacts {
            id,
            run: RunId::new(id.get()),
            attempt: 1,
            repository: group.repository.clone(),
            name: Arc::clone(&self.names[kind]),
            workflow: None,
            labels: group.labels.clone(),
        };
        group.queued.push_back(id);
        let facts = Arc::new(facts);
        self.jobs.insert(id, HubJob { facts, kind, queued_at: now, lasts, state: HubState::Queued });
        self.unfinished += 1;
        while self.completed.front().is_some_and(|(at, _)| *at + REMEMBERED <= now) {
            if let Some((_, job)) = self.completed.pop_front() {
                self.jobs.remove(&job);
            }
        }
        id
    }

    fn is_queued(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|job| matches!(job.state, HubState::Queued))
    }

    fn is_idle(&self, runner: RunnerId) -> bool {
        self.runners.get(&runner).is_some_and(|runner| runner.task.is_some() && runner.job.is_none())
    }

    /// Takes the longest idle registration that can be given the job.
    pub(super) fn runner_for(&mut self, job: JobId) -> Option<(RunnerId, TaskNumber)> {
        let kind = self.jobs.get(&job).filter(|job| matches!(job.state, HubState::Queued))?.kind;
        while let Some(runner) = self.groups[kind].idle.pop_front() {
            if self.is_idle(runner) {
                return Some((runner, self.runners.get(&runner)?.task?));
            }
        }
        None
    }

    /// Returns the oldest job that the registration can be given. Without one, the registration waits.
    pub(super) fn job_for(&mut self, runner: RunnerId) -> Option<JobId> {
        let groups = Arc::clone(&self.runners.get(&runner)?.groups);
        let mut oldest: Option<JobId> = None;
        for &group in groups.iter() {
            while let Some(job) = self.groups[group].queued.front().copied() {
                if self.is_queued(job) {
                    oldest = Some(oldest.map_or(job, |other| other.min(job)));
                    break;
                }
                self.groups[group].queued.pop_front();
            }
        }
        if oldest.is_none() {
            groups.iter().for_each(|&group| self.groups[group].idle.push_back(runner));
        }
        oldest
    }

    /// Gives a queued job to an idle registration.
    pub(super) fn begin(&mut self, job: JobId, runner: RunnerId, now: Millis) {
        let (Some(job), Some(runner)) = (self.jobs.get_mut(&job), self.runners.get_mut(&runner)) else {
            return;
        };
        runner.job = Some(job.facts.id);
        job.state = HubState::InProgress { runner: runner.name.clone(), since: now };
    }

    /// Ends a job, and deletes the registration of its ephemeral runner.
    pub(super) fn complete(&mut self, id: JobId, runner: RunnerId, conclusion: Conclusion, now: Millis) {
        if let Some(job) = self.jobs.get_mut(&id)
            && let HubState::InProgress { runner, since } = &job.state
        {
            job.state = HubState::Completed { runner: runner.clone(), since: *since, conclusion, at: now };
            self.completed.push_back((now, id));
            self.unfinished -= 1;
        }
        self.remove(runner);
    }

    /// Forgets a queued job that the deployment refuses and leaves: GitHub would let it wait for a day.
    pub(super) fn forget_refused(&mut self, job: JobId) {
        if self.is_queued(job) && self.jobs.remove(&job).is_some() {
            self.unfinished -= 1;
        }
    }

    /// Connects the listener of a task. Returns false if its registration is gone.
    pub(super) fn connect(&mut self, runner: RunnerId, task: TaskNumber) -> bool {
        let found = self.runners.get_mut(&runner);
        found.map(|runner| runner.task = Some(task)).is_some()
    }

    /// Disconnects an idle listener. Its registration stays.
    pub(super) fn disconnect(&mut self, runner: RunnerId) {
        if let Some(runner) = self.runners.get_mut(&runner) {
            runner.task = None;
        }
    }

    pub(super) fn remove(&mut self, runner: RunnerId) -> Option<HubRunner> {
        let removed = self.runners.remove(&runner)?;
        self.by_name.remove(&removed.name);
        Some(removed)
    }

    /// Counts a registration under the limit of its minute, or returns how long to wait.
    pub(super) fn admit(&mut self, account: &Account, now: Millis) -> Result<(), Duration> {
        let minute = self.minutes.entry(account.clone()).or_default();
        while minute.front().is_some_and(|at| now - *at >= MINUTE) {
            minute.pop_front();
        }
        if minute.len() >= self.registrations_per_minute {
            return Err(Duration::from_secs(60));
        }
        minute.push_back(now);
        Ok(())
    }

    pub(super) fn register(
        &mut self,
        name: &RunnerName,
        scope: &Scope,
        labels: &[String],
    ) -> Option<RunnerId> {
        if self.by_name.contains_key(name) {
            return None;
        }
        let id = RunnerId::new(self.next_id());
        let pool = name.as_str().strip_suffix(name.ulid()).unwrap_or_default();
        let groups = match self.groups_of.get(pool) {
            Some(groups) => Arc::clone(groups),
            None => {
                let groups = self.fitting(scope, &Labels::new(labels));
                self.groups_of.insert(pool.to_owned(), Arc::clone(&groups));
                groups
            }
        };
        let runner = HubRunner { name: name.clone(), scope: scope.clone(), groups, job: None, task: None };
        self.runners.insert(id, runner);
        self.by_name.insert(name.clone(), id);
        Some(id)
    }

    fn fitting(&self, scope: &Scope, offered: &Labels) -> Arc<[usize]> {
        let covers = |group: &Group| match scope {
            Scope::Repository(repository) => *repository == group.repository,
            Scope::Organization { organization, .. } => {
                group.repository.owner().eq_ignore_ascii_case(organization.as_str())
            }
        };
        let fits = |group: &Group| covers(group) && offered.is_superset(&group.labels);
        (0..self.groups.len()).filter(|&group| fits(&self.groups[group])).collect()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl HubJob {
    /// Returns a webhook's event.
    pub(super) fn event(&self, action: Action, received_at: Timestamp) -> JobEvent {
        let action = match (action, &self.state) {
            (Action::Queued, _) | (_, HubState::Queued) => JobAction::Queued,
            (Action::InProgress, HubState::InProgress { runner, since })
            | (Action::InProgress, HubState::Completed { runner, since, .. })
            | (Action::Completed, HubState::InProgress { runner, since }) => JobAction::InProgress {
                runner: TakenBy::Ours(runner.clone()),
                started_at: Some(whole_second(*since)),
            },
            (Action::Completed, HubState::Completed { runner, conclusion, since, at }) => {
                JobAction::Completed {
                    runner: TakenBy::Ours(runner.clone()),
                    conclusion: conclusion.clone(),
                    started_at: Some(whole_second(*since)),
                    completed_at: Some(whole_second(*at)),
                }
            }
        };
        JobEvent {
            action,
            facts: Arc::clone(&self.facts),
            private: Some(true),
            created_at: Some(whole_second(self.queued_at)),
            received_at,
        }
    }

    pub(super) fn remote(&self) -> RemoteJob {
        let (status, runner) = match &self.state {
            HubState::Queued => (JobStatus::Queued, None),
            HubState::InProgress { runner, .. } => (JobStatus::InProgress, Some(runner)),
            HubState::Completed { runner, .. } => (JobStatus::Completed, Some(runner)),
        };
        let (conclusion, completed_at) = match &self.state {
            HubState::Completed { conclusion, at, .. } => {
                (Some(conclusion.as_str().to_owned()), Some(whole_second(*at)))
            }
            _ => (None, None),
        };
        let started_at = match &self.state {
            HubState::Queued => None,
            HubState::InProgress { since, .. } | HubState::Completed { since, .. } => {
                Some(whole_second(*since))
            }
        };
        RemoteJob {
            id: self.facts.id,
            run: self.facts.run,
            attempt: 1,
            name: self.facts.name.as_ref().to_owned(),
            workflow: None,
            head_branch: None,
            labels: self.facts.labels.iter().map(str::to_owned).collect(),
            private: Some(true),
            status,
            conclusion,
            runner_name: runner.map(ToString::to_string),
            created_at: Some(whole_second(self.queued_at)),
            started_at,
            completed_at,
        }
    }
}

/// GitHub's times have whole seconds.
fn whole_second(at: Millis) -> Timestamp {
    timestamp(at - at.rem_euclid(1000))
}

impl HubRunner {
    pub(super) fn registration(&self, id: RunnerId) -> Registration {
        Registration { id, busy: self.job.is_some(), online: self.task.is_some() }
    }
}
