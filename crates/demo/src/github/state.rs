//! The state of the fake.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ecsrunner_core::id::{JobId, Repository, RunId, RunnerId};
use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use axum::body::Bytes;

use ecsrunner_world::random::Random;

use super::apps::NewApps;
use super::auth::Credentials;
use super::concurrency::Groups;
use super::delivery::{Delivery, Outgoing};
use super::faults::Faults;
use super::job::{Job, JobState, Run};
use super::options::{Hook, Options, RepositoryOptions, RunnerGroup};
use super::runner_key::RunnerKey;
use super::runner_side::{Blob, Token};

/// The id of a session, a secret that only its listener knows.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SessionId(pub(super) String);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("session")
    }
}

#[derive(Debug)]
pub(super) struct Registration {
    pub id: RunnerId,
    pub name: String,
    pub scope: Scope,
    pub labels: Vec<String>,
    /// The labels in lower case, for matching jobs.
    pub matching: BTreeSet<String>,
    /// Its identity in token requests, which it signs with its key.
    pub client_id: String,
    pub key: Arc<RunnerKey>,
    /// How many sessions its configuration has opened or tried to open.
    pub sessions: u32,
    pub created_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Session {
    pub runner: RunnerId,
    pub wake: Arc<Notify>,
    /// Open long polls.
    pub polls: u32,
    pub last_seen: Instant,
    pub messages: VecDeque<Message>,
    /// The number of the last message that was sent.
    pub message_id: u64,
    pub job: Option<JobId>,
    /// It did not start its job in time, and gets no other until its next poll.
    pub silent: bool,
    /// Its open poll must be answered without a message.
    pub poll_ends: bool,
    /// Its registration was deleted while the session was open.
    pub deregistered: bool,
}

/// A message for a poll.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// A job is assigned, and must be acquired within a minute.
    Job(JobId),
    /// The job is cancelled by a person or by its timeout.
    Cancel(JobId),
}

/// An action of a repository that runners can download.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub sha: String,
    pub archive: Bytes,
}

/// The state, the signals that wake its watchers, and its base URL.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Signals that a new deadline exists.
    pub deadline_set: Arc<Notify>,
}

impl Shared {
    pub(super) fn new(options: Options, base: String, outgoing: mpsc::UnboundedSender<Outgoing>) -> Self {
        let deadline_set = Arc::new(Notify::new());
        let state = State::new(options, base, outgoing, Arc::clone(&deadline_set));
        Self { state: Mutex::new(state), deadline_set }
    }

    /// Locks the state. The lock must not be held across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves the state consistent, so a panic while it is locked is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids of one kind, counted up from a start above 2^32, as at GitHub.
#[derive(Debug)]
pub(super) struct Ids {
    run: u64,
    job: u64,
    pub(super) runner: u64,
    pub(super) delivery: u64,
    repository: u64,
}

pub(super) struct State {
    pub random: Random,
    pub ids: Ids,
    pub base: String,
    pub repositories: HashMap<Repository, RepositoryRecord>,
    pub users: BTreeSet<String>,
    pub runner_groups: BTreeMap<u64, RunnerGroup>,
    pub webhook_ranges: Vec<String>,
    pub credentials: Credentials,
    pub new_apps: NewApps,
    pub code_life: Duration,
    pub hook: Option<Hook>,
    pub faults: Faults,
    pub session_limit: Duration,
    pub lock_limit: Duration,
    pub start_limit: Duration,
    pub runs: BTreeMap<RunId, Run>,
    pub jobs: BTreeMap<JobId, Job>,
    /// Concurrency groups.
    pub groups: Groups,
    /// Queued jobs, the oldest first.
    pub queue: BTreeSet<JobId>,
    pub registrations: BTreeMap<RunnerId, Registration>,
    pub sessions: BTreeMap<SessionId, Session>,
    /// Client ids of all configurations, including those of runners that are gone.
    pub clients: HashMap<String, RunnerId>,
    /// Tokens of runners and workers, by digest.
    pub runner_tokens: HashMap<[u8; 32], Token>,
    /// Announced uploads by their secret names.
    pub blobs: HashMap<String, Blob>,
    /// Actions by `owner/name@ref`.
    pub actions: BTreeMap<String, Action>,
    /// Git directories of repositories that can be checked out.
    pub git: HashMap<Repository, PathBuf>,
    /// The GitHub that has the actions which are not here.
    pub upstream: Option<String>,
    pub deliveries: VecDeque<Delivery>,
    pub held: Vec<Outgoing>,
    /// Deliveries that the sender has and that are not answered yet.
    pub in_flight: usize,
    pub outgoing: mpsc::UnboundedSender<Outgoing>,
    pub deadline_set: Arc<Notify>,
    /// Counts changes of jobs, sessions and deliveries, for tasks that wait for one.
    pub changes: watch::Sender<u64>,
    /// Calls by operation, such as `POST /repos/{owner}/{repo}/actions/runners/generate-jitconfig`.
    pub calls: BTreeMap<String, u64>,
    /// Calls counted against the core limit and the registration limit.
    pub used: (u64, u64),
    pub started: Timestamp,
}

/// A repository that exists.
#[derive(Clone, Debug)]
pub(super) struct RepositoryRecord {
    pub id: u64,
    pub name: Repository,
    pub private: bool,
    pub fork: bool,
    pub default_branch: String,
    pub created_at: Timestamp,
}

impl State {
    fn new(
        options: Options,
        base: String,
        outgoing: mpsc::UnboundedSender<Outgoing>,
        deadline_set: Arc<Notify>,
    ) -> Self {
        let started = Timestamp::now();
        let now = u64::try_from(started.as_millisecond()).unwrap_or_default();
        // Without a seed, ids start above those of any fake that was started earlier.
        let offset = if options.seed.is_some() { 0 } else { now };
        let ids = Ids {
            run: 17_000_000_000 + offset,
            job: 48_000_000_000 + offset,
            runner: 20 + offset % 1_000_000_000,
            delivery: 190_000_000_000 + offset,
            repository: 701_000_000,
        };
        let mut state = Self {
            random: Random::seeded(options.seed.unwrap_or(now)),
            ids,
            base,
            repositories: HashMap::new(),
            users: options.users.iter().map(|login| login.to_ascii_lowercase()).collect(),
            runner_groups: options.runner_groups,
            webhook_ranges: options.webhook_ranges,
            credentials: Credentials::new(options.tokens, options.app),
            new_apps: NewApps::default(),
            code_life: options.code_life,
            hook: options.hook,
            faults: options.faults,
            session_limit: options.session_limit,
            lock_limit: options.lock_limit,
            start_limit: options.start_limit,
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            groups: Groups::default(),
            queue: BTreeSet::new(),
            registrations: BTreeMap::new(),
            sessions: BTreeMap::new(),
            clients: HashMap::new(),
            runner_tokens: HashMap::new(),
            blobs: HashMap::new(),
            actions: BTreeMap::new(),
            git: HashMap::new(),
            upstream: None,
            deliveries: VecDeque::new(),
            held: Vec::new(),
            in_flight: 0,
            outgoing,
            deadline_set,
            changes: watch::Sender::new(0),
            calls: BTreeMap::new(),
            used: (0, 0),
            started,
        };
        for repository in options.repositories {
            state.put_repository(repository);
        }
        state
    }

    /// Creates or changes a repository.
    pub(super) fn put_repository(&mut self, options: RepositoryOptions) {
        let (private, fork) = (options.private, options.fork);
        let record = self.repositories.entry(options.name.clone()).or_insert_with(|| {
            self.ids.repository += 1;
            RepositoryRecord {
                id: self.ids.repository,
                name: options.name,
                private,
                fork,
                default_branch: "main".to_owned(),
                created_at: Timestamp::now(),
            }
        });
        record.private = private;
        record.fork = fork;
    }

    /// Returns the repository, and creates it if needed.
    pub(super) fn repository_or_new(&mut self, name: &Repository, private: bool, fork: bool) -> Repository {
        if let Some(record) = self.repositories.get(name) {
            return record.name.clone();
        }
        self.put_repository(RepositoryOptions { name: name.clone(), private, fork });
        name.clone()
    }

    /// Wakes the tasks that wait for a change.
    pub(super) fn note_change(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn is_user(&self, login: &str) -> bool {
        self.users.contains(&login.to_ascii_lowercase())
    }

    pub(super) fn next_run_id(&mut self) -> RunId {
        self.ids.run += 1;
        RunId::new(self.ids.run)
    }

    pub(super) fn next_job_id(&mut self) -> JobId {
        self.ids.job += 1;
        JobId::new(self.ids.job)
    }

    /// Returns the run of a job. A job is never kept without its run.
    pub(super) fn run_of(&self, job: &Job) -> Option<&Run> {
        self.runs.get(&job.run)
    }

    pub(super) fn is_online(&self, session: &Session, now: Instant) -> bool {
        session.polls > 0 || now.duration_since(session.last_seen) < self.limit_of(session)
    }

    /// Returns how long after its last call a session's listener counts as lost.
    pub(super) fn limit_of(&self, session: &Session) -> Duration {
        let job = session.job.and_then(|job| self.jobs.get(&job));
        match job.map(|job| &job.state) {
            Some(JobState::InProgress { .. }) => self.lock_limit,
            _ => self.session_limit,
        }
    }

    /// Returns the session of a runner, if its listener is connected.
    pub(super) fn session_of(&self, runner: RunnerId) -> Option<(&SessionId, &Session)> {
        self.sessions.iter().find(|(_, session)| session.runner == runner)
    }

    /// Whether the runner executes a job. An offered job does not count yet.
    pub(super) fn is_busy(&self, runner: RunnerId) -> bool {
        self.session_of(runner)
            .and_then(|(_, session)| session.job)
            .and_then(|job| self.jobs.get(&job))
            .is_some_and(|job| matches!(job.state, JobState::InProgress { .. }))
    }
}
