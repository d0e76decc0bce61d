//! Records of a deployment that has been busy for a month, for what shows or lists them.

use std::sync::Arc;

use ecsrunner_core::id::{
    ClassName, Deployment, Epoch, JobId, PoolId, Repository, RunId, RunnerId, RunnerName, SubnetId, TaskId,
    Version,
};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::hold::{Failure, Held, Hold};
use ecsrunner_core::records::image::BuildReason;
use ecsrunner_core::records::image::{Build, Built, Image, Newest, Ordered, Recipe};
use ecsrunner_core::records::job::{Assignment, EndedJob, Job, JobEnding, JobStage, JobState};
use ecsrunner_core::records::runner::{
    EndedRunner, EndingKind, Runner, RunnerFacts, RunnerStage, RunnerState, Served, Task,
};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::records::times::Times;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::{Market, fargate_usd};
use ecsrunner_core::rules::image::RunnerVersion;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::{Pool, Scope};
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_core::wire::job::{Conclusion, JobFacts, TakenBy};
use jiff::{SignedDuration, Timestamp};

use crate::lambda::ours::DEPLOYMENT;

/// Repository, workflow, job and class of each kind of job.
const KINDS: [(&str, &str, &str, &str); 6] = [
    ("acme/app", "CI", "build and test", "small"),
    ("acme/app", "CI", "integration (postgres 17)", "large"),
    ("acme/web", "Deploy", "build", "small"),
    ("acme/infrastructure", "Plan", "terraform plan", "small"),
    ("acme/mobile", "Release", "android", "large"),
    ("acme/app", "Nightly", "end to end", "large"),
];

/// A job and its runner, which are the same for the same number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) number: u64,
    /// When it ended, or when the records are read if it is open.
    pub(crate) at: Timestamp,
}

impl Pair {
    fn kind(self) -> (&'static str, &'static str, &'static str, &'static str) {
        let spread = self.number.wrapping_mul(2_654_435_761) >> 7;
        KINDS[usize::try_from(spread).unwrap_or_default() % KINDS.len()]
    }

    fn repository(self) -> anyhow::Result<Repository> {
        Ok(Repository::parse(self.kind().0)?)
    }

    fn labels(self) -> Labels {
        Labels::new(["self-hosted".to_owned(), format!("class:{}", self.kind().3)])
    }

    fn pool(self) -> anyhow::Result<PoolId> {
        Ok(Pool { scope: Scope::Repository(self.repository()?), labels: self.labels() }.id())
    }

    fn size(self) -> anyhow::Result<Size> {
        let is_large = self.kind().3 == "large";
        Ok(if is_large {
            Size::new(4096, 8192, None, Arch::X64)?
        } else {
            Size::new(512, 1024, None, Arch::X64)?
        })
    }

    fn runner_name(self) -> anyhow::Result<RunnerName> {
        let deployment = Deployment::parse(DEPLOYMENT)?;
        Ok(RunnerName::new(&deployment, &self.pool()?, &format!("{:026}", self.number))?)
    }

    fn before(self, secs: i64) -> Timestamp {
        self.at - SignedDuration::from_secs(secs)
    }

    /// How long the job ran, in seconds.
    fn ran(self) -> i64 {
        let most = if self.kind().3 == "large" { 1500 } else { 400 };
        20 + i64::try_from(self.number.wrapping_mul(40_503) % most).unwrap_or_default()
    }

    /// How long it waited, in seconds.
    fn waited(self) -> i64 {
        24 + i64::try_from(self.number.wrapping_mul(7919) % 50).unwrap_or_default()
    }

    fn facts(self) -> anyhow::Result<Arc<JobFacts>> {
        let (_, workflow, name, _) = self.kind();
        Ok(Arc::new(JobFacts {
            id: JobId::new(self.number),
            run: RunId::new(9_000_000_000 + self.number / 3),
            attempt: 1,
            repository: self.repository()?,
            name: Arc::from(name),
            workflow: Some(Arc::from(workflow)),
            labels: self.labels(),
        }))
    }

    fn assignment(self) -> anyhow::Result<Assignment> {
        Ok(Assignment { class: ClassName::parse(self.kind().3)?, pool: self.pool()? })
    }

    fn taken(self) -> anyhow::Result<TakenBy> {
        Ok(TakenBy::Ours(self.runner_name()?))
    }

    fn runner_facts(self) -> anyhow::Result<RunnerFacts> {
        Ok(RunnerFacts {
            name: self.runner_name()?,
            class: ClassName::parse(self.kind().3)?,
            size: self.size()?,
            pool: self.pool()?,
            scope: Scope::Repository(self.repository()?),
            labels: self.labels(),
            repository: self.repository()?,
            launched_for: JobId::new(self.number),
            max_job_minutes: 360,
            wait_limits: None,
            image: None,
            exec: true,
            fails: false,
            warm: None,
        })
    }

    /// The job, as it ended.
    pub(crate) fn ended_job(self) -> anyhow::Result<EndedJob> {
        let begun = self.ran();
        let mut timeline = Timeline::begin(JobStage::Queued, self.before(begun + self.waited()));
        timeline.push(JobStage::InProgress, self.before(begun));
        timeline.push(JobStage::Completed, self.at);
        let conclusion =
            if self.number.is_multiple_of(17) { Conclusion::Failure } else { Conclusion::Success };
        Ok(EndedJob {
            facts: self.facts()?,
            version: Version::FIRST,
            assignment: Some(self.assignment()?),
            created_at: self.before(begun + self.waited()),
            timeline,
            ending: JobEnding::Completed { conclusion, runner: self.taken()?, reason: None },
        })
    }

    /// The runner, as it ended.
    pub(crate) fn gone_runner(self) -> anyhow::Result<EndedRunner> {
        let begun = self.ran();
        let placement = self.placement();
        let mut timeline = Timeline::begin(RunnerStage::Reserved, self.before(begun + self.waited()));
        for (stage, secs) in [
            (RunnerStage::Starting, begun + self.waited() - 1),
            (RunnerStage::Booted, begun + 3),
            (RunnerStage::Busy, begun),
            (RunnerStage::Ending, 0),
            (RunnerStage::Gone, -2),
        ] {
            timeline.push(stage, self.before(secs));
        }
        let cost = fargate_usd(self.size()?, placement.market, self.before(begun + self.waited()), self.at);
        Ok(EndedRunner {
            facts: self.runner_facts()?,
            version: Version::FIRST,
            timeline,
            kind: EndingKind::Completed,
            note: None,
            served: Served::Job(JobId::new(self.number)),
            placement,
            task: Some(TaskId::parse(&format!("{:032x}", self.number))?),
            stopped_at: Some(self.at),
            cost_usd: Some(cost),
            times: Times::default(),
        })
    }

    fn placement(self) -> Placement {
        let market = if self.number.is_multiple_of(4) { Market::Spot } else { Market::OnDemand };
        Placement::fargate(market, None)
    }

    /// The job in progress.
    pub(crate) fn running_job(self) -> anyhow::Result<Job> {
        let mut timeline = Timeline::begin(JobStage::Queued, self.before(300));
        timeline.push(JobStage::InProgress, self.before(260));
        Ok(Job {
            timeline,
            state: JobState::InProgress { assignment: Some(self.assignment()?), runner: self.taken()? },
            ..self.queued_job()?
        })
    }

    /// The runner that executes it.
    pub(crate) fn busy_runner(self) -> anyhow::Result<Runner> {
        let mut timeline = Timeline::begin(RunnerStage::Reserved, self.before(299));
        for (stage, secs) in
            [(RunnerStage::Starting, 298), (RunnerStage::Booted, 262), (RunnerStage::Busy, 260)]
        {
            timeline.push(stage, self.before(secs));
        }
        Ok(Runner {
            facts: self.runner_facts()?,
            version: Version::FIRST,
            epoch: Epoch::new(1),
            timeline,
            surplus_since: None,
            placement: self.placement(),
            instance: None,
            probe: false,
            retry: None,
            asked_at: None,
            times: Box::default(),
            state: RunnerState::Busy {
                task: Task { id: TaskId::parse(&format!("{:032x}", self.number))?, heard: 1 },
                registration: RunnerId::new(self.number),
                job: Some(JobId::new(self.number)),
            },
        })
    }

    /// The job, while it waits.
    pub(crate) fn queued_job(self) -> anyhow::Result<Job> {
        let queued = self.before(90 + i64::try_from(self.number % 60)?);
        Ok(Job {
            facts: self.facts()?,
            version: Version::FIRST,
            created_at: queued,
            timeline: Timeline::begin(JobStage::Queued, queued),
            recorded_late_at: None,
            asked_at: None,
            failing: None,
            held: None,
            state: JobState::Queued { assignment: self.assignment()?, wait: Code::ToPlan.into() },
        })
    }

    /// A hold of its pool, which has lasted for some minutes.
    pub(crate) fn hold(self) -> anyhow::Result<Hold> {
        let words = "the agent ended with exit code 20: the listener did not connect within 120 s";
        let failure = Failure::of(Fault::NotConnected, words, self.before(700), self.before(600));
        let first = Hold::after(None, Held::Pool(self.pool()?), &failure);
        let failure = Failure::of(Fault::NotConnected, words, self.before(400), self.before(5));
        Ok(Hold::after(Some(&first), Held::Pool(self.pool()?), &failure))
    }
}

/// A hold of a placement without capacity.
pub(crate) fn no_capacity(now: Timestamp) -> anyhow::Result<Hold> {
    let subnet = Some(SubnetId::parse("subnet-0123456789abcdef0")?);
    let placement = Placement::fargate(Market::Spot, subnet);
    let words =
        "Capacity is unavailable at this time. Please try again later or in a different availability zone";
    let failure = Failure::of(Fault::NoCapacity, words, now, now);
    Ok(Hold::after(None, Held::placement(placement, Arch::X64), &failure))
}

/// The deployment's own image, with a newer one that is being built.
pub(crate) fn image(now: Timestamp) -> anyhow::Result<Image> {
    let day = |days: i64| now - SignedDuration::from_hours(24 * days);
    let of = Recipe { sources: "4f1c".to_owned(), tag: "tools-3".to_owned(), runner: None };
    let current = Built {
        of: of.clone(),
        tag: "tools-3-x64-12".to_owned(),
        digest: "sha256:0b5c".to_owned(),
        runner: Some(RunnerVersion::parse("2.337.0")?),
        since: day(40),
        sound_at: Some(now - SignedDuration::from_mins(4)),
        failed: Vec::new(),
        refused: false,
        failures_before: 0,
        outdated_since: Some(day(3)),
    };
    let ordered = Ordered {
        number: 13,
        of,
        tag: "tools-3-x64-13".to_owned(),
        reason: BuildReason::Outdated,
        at: now - SignedDuration::from_mins(6),
        before: None,
    };
    Ok(Image {
        current: Some(current),
        build: Build::Underway { ordered, id: "ecsrunner-bench:13".to_owned() },
        builds: 13,
        newest: Some(Newest { version: RunnerVersion::parse("2.338.0")?, released_at: day(3) }),
        ..Image::new(Arch::X64)
    })
}
