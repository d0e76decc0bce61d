//! The stored form of runners.

use ecsrunner_core::id::{
    ClassName, Epoch, HostId, InstanceId, JobId, PoolId, Repository, RunnerId, RunnerName, TaskId, Version,
    WarmName,
};
use ecsrunner_core::records::instance::Instance;
use ecsrunner_core::records::runner::{
    Custody, EndedRunner, Ending, EndingKind, RegistrationLeft, Runner, RunnerFacts, RunnerStage,
    RunnerState, Served,
};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::fault::Fault;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::placement::{StoredPlacement, StoredRetry};
use super::task::{
    StoredSize, StoredTask, StoredTaskLeft, StoredWaits, read_size, read_waits, store_size, store_waits,
};
use super::times::StoredTimes;
use super::{StoredReason, StoredTimeline, UnreadableError, known, read_timeline, store_timeline};

#[derive(Serialize, Deserialize)]
struct StoredFacts {
    #[serde(rename = "c")]
    class: ClassName,
    #[serde(rename = "z")]
    size: StoredSize,
    /// Left out if it is the one in the runner's name, as usual.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pool: Option<PoolId>,
    /// The scope where it registers, unless that is its job's repository.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    organization: Option<Scope>,
    #[serde(rename = "l")]
    labels: Labels,
    #[serde(rename = "o")]
    repository: Repository,
    #[serde(rename = "j")]
    launched_for: u64,
    #[serde(rename = "x")]
    max_job_minutes: u32,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    wait_limits: Option<StoredWaits>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Left out if false: classes allow ECS Exec by default.
    #[serde(rename = "n", default, skip_serializing_if = "is_false")]
    no_exec: bool,
    /// Left out if false: it serves jobs.
    #[serde(rename = "v", default, skip_serializing_if = "is_false")]
    fails: bool,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    warm: Option<WarmName>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

impl StoredFacts {
    fn of(facts: &RunnerFacts) -> Self {
        let own_repository = facts.scope == Scope::Repository(facts.repository.clone());
        Self {
            class: facts.class.clone(),
            size: store_size(facts.size),
            pool: Some(facts.pool.clone()).filter(|pool| pool_of(&facts.name).as_ref() != Some(pool)),
            organization: (!own_repository).then(|| facts.scope.clone()),
            labels: facts.labels.clone(),
            repository: facts.repository.clone(),
            launched_for: facts.launched_for.get(),
            max_job_minutes: facts.max_job_minutes,
            wait_limits: facts.wait_limits.map(store_waits),
            image: facts.image.clone(),
            no_exec: !facts.exec,
            fails: facts.fails,
            warm: facts.warm.clone(),
        }
    }

    /// Adds the name, which comes from the item's key.
    fn read(self, name: RunnerName) -> Result<RunnerFacts, UnreadableError> {
        let pool = self.pool.or_else(|| pool_of(&name)).ok_or(UnreadableError::Missing("p"))?;
        Ok(RunnerFacts {
            name,
            class: self.class,
            size: read_size(self.size),
            pool,
            scope: self.organization.unwrap_or_else(|| Scope::Repository(self.repository.clone())),
            labels: self.labels,
            repository: self.repository,
            launched_for: JobId::new(self.launched_for),
            max_job_minutes: self.max_job_minutes,
            wait_limits: self.wait_limits.map(read_waits),
            image: self.image,
            exec: !self.no_exec,
            fails: self.fails,
            warm: self.warm,
        })
    }
}

/// The pool in a name `<prefix>-<deployment>-<pool>-<ulid>`.
fn pool_of(name: &RunnerName) -> Option<PoolId> {
    PoolId::parse(name.as_str().rsplit('-').nth(1)?).ok()
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredCustody {
    Unissued,
    Issued(u64),
    Revoked(u64),
    Taken(u64),
}

impl StoredCustody {
    fn of(custody: Custody) -> Self {
        match custody {
            Custody::Unissued => Self::Unissued,
            Custody::Issued(id) => Self::Issued(id.get()),
            Custody::Revoked(id) => Self::Revoked(id.get()),
            Custody::Taken(id) => Self::Taken(id.get()),
        }
    }

    fn read(&self) -> Custody {
        match *self {
            Self::Unissued => Custody::Unissued,
            Self::Issued(id) => Custody::Issued(RunnerId::new(id)),
            Self::Revoked(id) => Custody::Revoked(RunnerId::new(id)),
            Self::Taken(id) => Custody::Taken(RunnerId::new(id)),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredServed {
    Job(u64),
    Unnamed,
    Nothing,
}

impl StoredServed {
    fn of(served: Served) -> Self {
        match served {
            Served::Job(id) => Self::Job(id.get()),
            Served::Unnamed => Self::Unnamed,
            Served::Nothing => Self::Nothing,
        }
    }

    fn read(&self) -> Served {
        match *self {
            Self::Job(id) => Served::Job(JobId::new(id)),
            Self::Unnamed => Served::Unnamed,
            Self::Nothing => Served::Nothing,
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRegistration {
    Unproved,
    AgentCompleted,
    JobCompleted,
    Deleted,
}

#[derive(Serialize, Deserialize)]
struct StoredEnding {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<StoredReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    served: StoredServed,
    task: StoredTaskLeft,
    custody: StoredCustody,
    registration: StoredRegistration,
}

impl StoredEnding {
    fn of(ending: &Ending) -> Self {
        Self {
            kind: ending.kind.as_str().to_owned(),
            note: ending.note.as_ref().map(StoredReason::from),
            fault: ending.fault.map(|fault| fault.as_str().to_owned()),
            served: StoredServed::of(ending.served),
            task: StoredTaskLeft::of(&ending.task),
            custody: StoredCustody::of(ending.custody),
            registration: match ending.registration {
                RegistrationLeft::Unproved => StoredRegistration::Unproved,
                RegistrationLeft::AgentCompleted => StoredRegistration::AgentCompleted,
                RegistrationLeft::JobCompleted => StoredRegistration::JobCompleted,
                RegistrationLeft::Deleted => StoredRegistration::Deleted,
            },
        }
    }

    fn read(self) -> Result<Ending, UnreadableError> {
        Ok(Ending {
            kind: known("ending", &self.kind, &EndingKind::ALL, EndingKind::as_str)?,
            note: self.note.map(|note| note.read()),
            // A kind of a newer release is a fault too.
            fault: self.fault.map(|fault| Fault::parse(&fault).unwrap_or(Fault::Unknown)),
            served: self.served.read(),
            task: self.task.read()?,
            custody: self.custody.read(),
            registration: match self.registration {
                StoredRegistration::Unproved => RegistrationLeft::Unproved,
                StoredRegistration::AgentCompleted => RegistrationLeft::AgentCompleted,
                StoredRegistration::JobCompleted => RegistrationLeft::JobCompleted,
                StoredRegistration::Deleted => RegistrationLeft::Deleted,
            },
        })
    }
}

/// The container instance, the EC2 instance if it is this runner's, and whether it takes no more tasks.
#[derive(Serialize, Deserialize)]
struct StoredInstance(InstanceId, Option<HostId>, bool);

impl StoredInstance {
    fn of(instance: &Instance) -> Self {
        Self(instance.id.clone(), instance.host.clone(), instance.drained)
    }

    fn read(self) -> Instance {
        Instance { id: self.0, host: self.1, drained: self.2 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Reserved(u32),
    Starting(StoredTask, StoredCustody),
    Booted(StoredTask, StoredCustody),
    Busy(StoredTask, u64, Option<u64>),
    Ending(Box<StoredEnding>),
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredRunner {
    f: StoredFacts,
    e: u64,
    t: StoredTimeline,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<i64>,
    /// The placement of its latest attempt.
    #[serde(default, skip_serializing_if = "StoredPlacement::is_default")]
    p: StoredPlacement,
    /// On ECS Managed Instances: where its task runs.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    instance: Option<StoredInstance>,
    /// Left out if false.
    #[serde(rename = "b", default, skip_serializing_if = "is_false")]
    probe: bool,
    /// When the failed step is retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<StoredRetry>,
    /// When GitHub was last asked about the runner, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<i64>,
    /// When its task, its agent and its job did what.
    #[serde(rename = "w", default, skip_serializing_if = "StoredTimes::is_empty")]
    times: StoredTimes,
    s: StoredState,
}

impl StoredRunner {
    pub(in crate::store) fn of(runner: &Runner) -> Self {
        let state = match &runner.state {
            RunnerState::Reserved { attempt } => StoredState::Reserved(*attempt),
            RunnerState::Starting { task, custody } => {
                StoredState::Starting(StoredTask::of(task), StoredCustody::of(*custody))
            }
            RunnerState::Booted { task, custody } => {
                StoredState::Booted(StoredTask::of(task), StoredCustody::of(*custody))
            }
            RunnerState::Busy { task, registration, job } => {
                StoredState::Busy(StoredTask::of(task), registration.get(), job.map(JobId::get))
            }
            RunnerState::Ending(ending) => StoredState::Ending(Box::new(StoredEnding::of(ending))),
        };
        Self {
            f: StoredFacts::of(&runner.facts),
            e: runner.epoch.get(),
            t: store_timeline(&runner.timeline, RunnerStage::as_str),
            u: runner.surplus_since.map(Timestamp::as_millisecond),
            p: StoredPlacement::of(&runner.placement),
            instance: runner.instance.as_ref().map(StoredInstance::of),
            probe: runner.probe,
            r: runner.retry.as_ref().map(StoredRetry::of),
            q: runner.asked_at.map(Timestamp::as_millisecond),
            times: StoredTimes::of(&runner.times, runner.timeline.began()),
            s: state,
        }
    }

    pub(in crate::store) fn read(
        self,
        name: RunnerName,
        version: Version,
    ) -> Result<Runner, UnreadableError> {
        let state = match self.s {
            StoredState::Reserved(attempt) => RunnerState::Reserved { attempt },
            StoredState::Starting(task, custody) => {
                RunnerState::Starting { task: task.read(), custody: custody.read() }
            }
            StoredState::Booted(task, custody) => {
                RunnerState::Booted { task: task.read(), custody: custody.read() }
            }
            StoredState::Busy(task, registration, job) => RunnerState::Busy {
                task: task.read(),
                registration: RunnerId::new(registration),
                job: job.map(JobId::new),
            },
            StoredState::Ending(ending) => RunnerState::Ending(ending.read()?),
        };
        let timeline = read_timeline(&self.t, &RunnerStage::ALL, RunnerStage::as_str)?;
        Ok(Runner {
            facts: self.f.read(name)?,
            version,
            epoch: Epoch::new(self.e),
            times: Box::new(self.times.read(timeline.began())?),
            timeline,
            surplus_since: self.u.map(Timestamp::from_millisecond).transpose()?,
            placement: self.p.read()?,
            instance: self.instance.map(StoredInstance::read),
            probe: self.probe,
            retry: self.r.map(StoredRetry::read).transpose()?,
            asked_at: self.q.map(Timestamp::from_millisecond).transpose()?,
            state,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredEndedRunner {
    f: StoredFacts,
    t: StoredTimeline,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<StoredReason>,
    served: StoredServed,
    #[serde(default, skip_serializing_if = "StoredPlacement::is_default")]
    p: StoredPlacement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<TaskId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    /// When its task, its agent and its job did what.
    #[serde(rename = "w", default, skip_serializing_if = "StoredTimes::is_empty")]
    times: StoredTimes,
}

impl StoredEndedRunner {
    pub(in crate::store) fn of(runner: &EndedRunner) -> Self {
        Self {
            f: StoredFacts::of(&runner.facts),
            t: store_timeline(&runner.timeline, RunnerStage::as_str),
            kind: runner.kind.as_str().to_owned(),
            note: runner.note.as_ref().map(StoredReason::from),
            served: StoredServed::of(runner.served),
            p: StoredPlacement::of(&runner.placement),
            task: runner.task.clone(),
            stopped: runner.stopped_at.map(Timestamp::as_millisecond),
            usd: runner.cost_usd,
            times: StoredTimes::of(&runner.times, runner.timeline.began()),
        }
    }

    pub(in crate::store) fn read(
        self,
        name: RunnerName,
        version: Version,
    ) -> Result<EndedRunner, UnreadableError> {
        let timeline = read_timeline(&self.t, &RunnerStage::ALL, RunnerStage::as_str)?;
        Ok(EndedRunner {
            facts: self.f.read(name)?,
            version,
            times: self.times.read(timeline.began())?,
            timeline,
            kind: known("ending", &self.kind, &EndingKind::ALL, EndingKind::as_str)?,
            note: self.note.map(|note| note.read()),
            served: self.served.read(),
            placement: self.p.read()?,
            task: self.task,
            stopped_at: self.stopped.map(Timestamp::from_millisecond).transpose()?,
            cost_usd: self.usd,
        })
    }
}
