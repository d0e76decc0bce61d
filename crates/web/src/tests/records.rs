//! Records that the tests write.

use std::sync::Arc;

use ecsrunner_core::id::{
    ClassName, Deployment, JobId, PoolId, Repository, RunId, RunnerName, TaskId, Version,
};
use ecsrunner_core::id::{Epoch, RunnerId};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::hold::{Failure, Held, Hold};
use ecsrunner_core::records::job::{Assignment, EndedJob, Job, JobEnding, JobStage, JobState};
use ecsrunner_core::records::runner::{
    EndedRunner, EndingKind, Runner, RunnerFacts, RunnerStage, RunnerState, Served, Task,
};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_core::wire::job::{Conclusion, JobFacts, TakenBy};
use jiff::{SignedDuration, Timestamp};

fn secs(secs: i64) -> SignedDuration {
    SignedDuration::from_secs(secs)
}

pub(super) fn pool() -> PoolId {
    PoolId::parse("abcdefghij").unwrap()
}

pub(super) fn name(number: u64) -> RunnerName {
    RunnerName::new(&Deployment::parse("test").unwrap(), &pool(), &format!("{number:026}")).unwrap()
}

fn facts(id: u64) -> Arc<JobFacts> {
    Arc::new(JobFacts {
        id: JobId::new(id),
        run: RunId::new(1),
        attempt: 1,
        repository: Repository::parse("acme/app").unwrap(),
        name: Arc::from("build"),
        workflow: Some(Arc::from("CI")),
        labels: Labels::new(["self-hosted"]),
    })
}

fn assignment() -> Assignment {
    Assignment { class: ClassName::parse("small").unwrap(), pool: pool() }
}

/// A job that was queued then.
pub(super) fn queued(id: u64, at: Timestamp) -> Job {
    Job {
        facts: facts(id),
        version: Version::FIRST,
        created_at: at,
        timeline: Timeline::begin(JobStage::Queued, at),
        recorded_late_at: None,
        asked_at: None,
        failing: None,
        held: None,
        state: JobState::Queued { assignment: assignment(), wait: Code::ToPlan.into() },
    }
}

/// The job of that id, which ended then after a wait of 10 s and a run of a minute.
pub(super) fn ended(id: u64, at: Timestamp, version: Version) -> EndedJob {
    let mut timeline = Timeline::begin(JobStage::Queued, at - secs(70));
    timeline.push(JobStage::InProgress, at - secs(60));
    timeline.push(JobStage::Completed, at);
    let ending = JobEnding::Completed {
        conclusion: Conclusion::Success,
        runner: TakenBy::Ours(name(id)),
        reason: None,
    };
    EndedJob {
        facts: facts(id),
        version,
        created_at: at - secs(70),
        timeline,
        assignment: Some(assignment()),
        ending,
    }
}

fn runner_facts(number: u64) -> RunnerFacts {
    let repository = Repository::parse("acme/app").unwrap();
    RunnerFacts {
        name: name(number),
        class: ClassName::parse("small").unwrap(),
        size: Size::new(512, 1024, None, Arch::X64).unwrap(),
        pool: pool(),
        scope: Scope::Repository(repository.clone()),
        labels: Labels::new(["self-hosted"]),
        repository,
        launched_for: JobId::new(number),
        max_job_minutes: 360,
        wait_limits: None,
        image: None,
        exec: false,
        fails: false,
        warm: None,
    }
}

fn placement() -> Placement {
    Placement::fargate(Market::OnDemand, None)
}

/// A runner that executes the job of the same number.
pub(super) fn busy(number: u64, at: Timestamp) -> Runner {
    let mut timeline = Timeline::begin(RunnerStage::Reserved, at - secs(5));
    timeline.push(RunnerStage::Starting, at - secs(4));
    timeline.push(RunnerStage::Booted, at - secs(2));
    timeline.push(RunnerStage::Busy, at);
    Runner {
        facts: runner_facts(number),
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline,
        surplus_since: None,
        placement: placement(),
        instance: None,
        probe: false,
        retry: None,
        asked_at: None,
        times: Box::default(),
        state: RunnerState::Busy {
            task: Task { id: TaskId::parse(&format!("{number:032x}")).unwrap(), heard: 1 },
            registration: RunnerId::new(number),
            job: Some(JobId::new(number)),
        },
    }
}

/// A runner that is gone since then, and cost 2 dollars.
pub(super) fn gone(number: u64, at: Timestamp, version: Version) -> EndedRunner {
    let mut timeline = Timeline::begin(RunnerStage::Reserved, at - secs(70));
    timeline.push(RunnerStage::Gone, at);
    EndedRunner {
        facts: runner_facts(number),
        version,
        timeline,
        kind: EndingKind::Completed,
        note: None,
        served: Served::Job(JobId::new(number)),
        placement: placement(),
        task: None,
        stopped_at: Some(at),
        cost_usd: Some(2.0),
        times: Default::default(),
    }
}

pub(super) fn hold(at: Timestamp) -> Hold {
    Hold::after(None, Held::Pool(pool()), &Failure::of(Fault::NotConnected, "it did not connect", at, at))
}
