//! Checks the behaviour of the store on the embedded database that the engine
//! relies on.

mod amended;
mod dispatch;
mod faults;
mod pages;
mod records;
mod spend;
mod sweep;
mod warm;

use std::sync::Arc;

use ecsrunner_aws::store::{DynamoStore, Tables};
use ecsrunner_core::id::{
    ClassName, Deployment, Epoch, JobId, PoolId, Repository, RunId, RunnerId, RunnerName, SubnetId, TaskId,
    Version,
};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::{Assignment, EndedJob, Job, JobEnding, JobRecord, JobStage, JobState};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{Custody, Runner, RunnerFacts, RunnerStage, RunnerState, Task};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_core::wire::job::{Conclusion, JobFacts, TakenBy};
use ecsrunner_engine::ports::store::{Store, StoreError, Transaction};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Embedded;

struct Fixture {
    store: DynamoStore,
    database: Embedded,
    tables: Tables,
    dir: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = Embedded::open(&dir.path().join("db")).unwrap();
        let tables = Tables::of(&Deployment::parse("test").unwrap(), "local");
        let store = DynamoStore::embedded(database.clone(), tables.clone());
        store.create_tables().await.unwrap();
        Self { store, database, tables, dir }
    }

    async fn write(&self, change: Change) -> Result<(), StoreError> {
        self.store.commit(Transaction::of(&[change])).await
    }

    /// The items of a partition, as DynamoDB's JSON has them.
    fn items(&self, partition: &str) -> Vec<Value> {
        let query = json!({"TableName": self.tables.state, "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": partition}}});
        let found = self.database.database.query(serde_json::from_value(query).unwrap()).unwrap();
        serde_json::to_value(&found).unwrap()["Items"].as_array().unwrap().clone()
    }

    /// The sort keys of a partition.
    fn sort_keys(&self, partition: &str) -> Vec<String> {
        self.items(partition).iter().map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
    }

    fn put(&self, item: &Value) {
        let put = json!({"TableName": self.tables.state, "Item": item});
        self.database.database.put_item(serde_json::from_value(put).unwrap()).unwrap();
    }

    async fn job(&self, id: u64) -> Option<JobRecord> {
        self.store.load(&Keys::of_job(JobId::new(id))).await.unwrap().job
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn job(id: u64) -> Job {
    Job {
        held: None,
        recorded_late_at: None,
        facts: Arc::new(JobFacts {
            id: JobId::new(id),
            run: RunId::new(17_000_000_001),
            attempt: 1,
            repository: Repository::parse("acme/application").unwrap(),
            name: Arc::from("build (ubuntu, stable, x86_64)"),
            workflow: Some(Arc::from("Continuous integration")),
            labels: Labels::new(["self-hosted", "linux", "x64", "class:large"]),
        }),
        version: Version::FIRST,
        created_at: at(0),
        timeline: Timeline::begin(JobStage::Queued, at(0)),
        asked_at: None,
        failing: None,
        state: JobState::Queued {
            assignment: Assignment {
                class: ClassName::parse("large").unwrap(),
                pool: PoolId::parse("abcdefghij").unwrap(),
            },
            wait: Reason::with(Code::LimitDeployment, 50),
        },
    }
}

fn ended(job: &Job, secs: i64) -> EndedJob {
    let mut timeline = job.timeline.clone();
    timeline.push(JobStage::Completed, at(secs));
    EndedJob {
        facts: job.facts.clone(),
        version: job.version.next(),
        created_at: job.created_at,
        timeline,
        assignment: job.assignment().cloned(),
        ending: JobEnding::Completed {
            conclusion: Conclusion::Success,
            runner: TakenBy::Other(None),
            reason: None,
        },
    }
}

fn runner() -> Runner {
    let task = Task { id: TaskId::parse("0123456789abcdef0123456789abcdef").unwrap(), heard: 1 };
    let custody = Custody::Issued(RunnerId::new(123_456));
    Runner {
        times: Box::default(),
        facts: RunnerFacts {
            name: RunnerName::parse("ecsr-test-abcdefghij-01arz3ndektsv4rrffq69g5fav").unwrap(),
            class: ClassName::parse("large").unwrap(),
            size: Size::new(4096, 8192, Some(60), Arch::Arm64).unwrap(),
            pool: PoolId::parse("abcdefghij").unwrap(),
            scope: Scope::Repository(Repository::parse("acme/application").unwrap()),
            labels: Labels::new(["self-hosted", "linux", "arm64", "class:large"]),
            repository: Repository::parse("acme/application").unwrap(),
            launched_for: JobId::new(48_000_000_001),
            max_job_minutes: 360,
            wait_limits: None,
            image: None,
            exec: true,
            fails: false,
            warm: None,
        },
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline: [
            (RunnerStage::Reserved, at(1)),
            (RunnerStage::Starting, at(2)),
            (RunnerStage::Booted, at(3)),
        ]
        .into_iter()
        .collect(),
        surplus_since: None,
        placement: spot(),
        instance: None,
        probe: false,
        retry: None,
        asked_at: None,
        state: RunnerState::Booted { task, custody },
    }
}

fn spot() -> Placement {
    let subnet = SubnetId::parse("subnet-0123456789abcdef0").unwrap();
    Placement::fargate(Market::Spot, Some(subnet))
}
