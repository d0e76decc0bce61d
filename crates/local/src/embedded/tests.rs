//! What the engine relies on, of the store on the embedded database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ecsrunner_aws::store::{Answer, DynamoStore, Tables, Transport};
use ecsrunner_core::boot::BootItem;
use ecsrunner_core::class::size::{Arch, Size};
use ecsrunner_core::cost::Market;
use ecsrunner_core::event::Keys;
use ecsrunner_core::id::{
    ClassName, Deployment, Epoch, JobId, PoolId, Repository, RunId, RunnerId, RunnerName, TaskId, Version,
};
use ecsrunner_core::job::{
    Conclusion, EndedJob, Job, JobEnding, JobFacts, JobRecord, JobStage, JobState, Place, TakenBy,
};
use ecsrunner_core::labels::Labels;
use ecsrunner_core::policy::{Policy, RepositoryPattern};
use ecsrunner_core::pool::Scope;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Change;
use ecsrunner_core::runner::{
    Custody, Ending, EndingKind, RegistrationLeft, Runner, RunnerFacts, RunnerStage, RunnerState, Served,
    Task, TaskLeft,
};
use ecsrunner_core::timeline::Timeline;
use ecsrunner_engine::ports::store::{
    BootPut, History, Lease, Page, Revocation, Store, StoreError, Transaction,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tempfile::TempDir;

use super::Embedded;

const TERM: Duration = Duration::from_secs(30);

struct Fixture {
    store: DynamoStore,
    database: Embedded,
    tables: Tables,
    _dir: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = Embedded::open(&dir.path().join("db")).unwrap();
        let tables = Tables::of(&Deployment::parse("test").unwrap(), "local");
        let store = DynamoStore::embedded(database.clone(), tables.clone());
        store.create_tables().await.unwrap();
        Self { store, database, tables, _dir: dir }
    }

    async fn write(&self, change: Change) -> Result<(), StoreError> {
        self.store.commit(Transaction::of(&[change])).await
    }

    async fn job(&self, id: u64) -> Option<JobRecord> {
        self.store.load(&Keys { job: Some(JobId::new(id)), runner: None }).await.unwrap().job
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn job(id: u64) -> Job {
    Job {
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
        state: JobState::Queued {
            place: Place {
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
        place: job.place().cloned(),
        ending: JobEnding::Completed { conclusion: Conclusion::Success, runner: TakenBy::Other(None) },
    }
}

fn runner() -> Runner {
    let task = Task { id: TaskId::parse("0123456789abcdef0123456789abcdef").unwrap(), heard: 1 };
    let custody = Custody::Issued(RunnerId::new(123_456));
    Runner {
        facts: RunnerFacts {
            name: RunnerName::parse("ecsr-test-abcdefghij-01arz3ndektsv4rrffq69g5fav").unwrap(),
            class: ClassName::parse("large").unwrap(),
            size: Size::new(4096, 8192, Some(60), Arch::Arm64).unwrap(),
            market: Market::Spot,
            pool: PoolId::parse("abcdefghij").unwrap(),
            scope: Scope::Repository(Repository::parse("acme/application").unwrap()),
            labels: Labels::new(["self-hosted", "linux", "arm64", "class:large"]),
            repository: Repository::parse("acme/application").unwrap(),
            launched_for: JobId::new(48_000_000_001),
            max_job_minutes: 360,
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
        state: RunnerState::Booted { task, custody },
    }
}

#[tokio::test]
async fn a_record_reads_back_as_it_was_written() {
    let fixture = Fixture::new().await;
    let (job, runner) = (job(7), runner());
    let changes = [Change::Job(job.clone()), Change::Runner(runner.clone())];
    fixture.store.commit(Transaction::of(&changes)).await.unwrap();
    let keys = Keys { job: Some(job.id()), runner: Some(runner.name().clone()) };
    let records = fixture.store.load(&keys).await.unwrap();
    assert_eq!(records.job, Some(JobRecord::Open(job.clone())));
    assert_eq!(records.runner.as_ref(), Some(&runner));
    let open = fixture.store.open().await.unwrap();
    assert_eq!((open.jobs, open.runners), (vec![job], vec![runner.clone()]));

    let ending = Ending {
        kind: EndingKind::BootFailed,
        note: Some(Reason::with(Code::BootFailed, "no listener")),
        served: Served::Unnamed,
        task: TaskLeft::Stopped { task: None, at: at(9) },
        custody: Custody::Taken(RunnerId::new(5)),
        registration: RegistrationLeft::AgentCompleted,
    };
    let next = runner.with_state(RunnerState::Ending(ending), at(9));
    fixture.write(Change::Runner(next.clone())).await.unwrap();
    assert_eq!(fixture.store.open().await.unwrap().runners, [next]);
}

#[tokio::test]
async fn of_two_writers_of_one_version_one_hears_of_a_conflict() {
    let fixture = Fixture::new().await;
    let first = job(7);
    fixture.write(Change::Job(first.clone())).await.unwrap();
    assert!(matches!(fixture.write(Change::Job(first.clone())).await, Err(StoreError::Conflict)));
    let second = first.with_state(JobState::Waiting);
    fixture.write(Change::Job(second.clone())).await.unwrap();
    assert!(matches!(fixture.write(Change::Job(second)).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn what_has_ended_is_never_opened_again() {
    let fixture = Fixture::new().await;
    let open = job(7);
    fixture.write(Change::Job(open.clone())).await.unwrap();
    fixture.write(Change::JobEnded(ended(&open, 9))).await.unwrap();
    assert!(matches!(fixture.job(7).await, Some(JobRecord::Ended(_))));
    assert!(matches!(fixture.write(Change::Job(open)).await, Err(StoreError::Conflict)));
    // One that ended before it was known, likewise.
    let unknown = EndedJob { version: Version::FIRST, ..ended(&job(8), 9) };
    fixture.write(Change::JobEnded(unknown)).await.unwrap();
    assert!(matches!(fixture.write(Change::Job(job(8))).await, Err(StoreError::Conflict)));
    assert_eq!(fixture.store.open().await.unwrap().jobs, []);
}

#[tokio::test]
async fn a_transaction_writes_everything_or_nothing() {
    let fixture = Fixture::new().await;
    fixture.write(Change::Job(job(7))).await.unwrap();
    let both = [Change::Job(job(8)), Change::Job(job(7))];
    assert!(matches!(fixture.store.commit(Transaction::of(&both)).await, Err(StoreError::Conflict)));
    assert_eq!(fixture.job(8).await, None);
}

#[tokio::test]
async fn a_dispatcher_that_lost_its_lease_writes_nothing() {
    let fixture = Fixture::new().await;
    let first = fixture.store.take(at(0), TERM, false).await.unwrap().unwrap();
    assert_eq!(fixture.store.take(at(10), TERM, false).await.unwrap(), None, "held by another");
    let second = fixture.store.take(at(31), TERM, false).await.unwrap().unwrap();
    let change = [Change::Job(job(7))];
    let fenced = |epoch| Transaction { fence: Some(epoch), ..Transaction::of(&change) };
    assert!(matches!(fixture.store.commit(fenced(first)).await, Err(StoreError::Fenced)));
    assert!(!fixture.store.renew(first, at(32), TERM).await.unwrap());
    fixture.store.commit(fenced(second)).await.unwrap();
    let third = fixture.store.take(at(33), TERM, true).await.unwrap();
    assert!(third.is_some_and(|epoch| epoch > second), "whoever holds a lock of its own need not wait");
}

#[tokio::test]
async fn a_lease_is_not_released_over_a_kick_that_was_not_seen() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let epoch = store.take(at(0), TERM, false).await.unwrap().unwrap();
    let seen = store.kicks().await.unwrap();
    store.kick().await.unwrap();
    assert!(!store.release(epoch, seen).await.unwrap());
    let seen = store.kicks().await.unwrap();
    assert!(store.release(epoch, seen).await.unwrap());
    assert!(store.take(at(1), TERM, false).await.unwrap().is_some(), "free again");
}

#[tokio::test]
async fn a_boot_item_is_handed_over_once_and_given_back_once() {
    let fixture = Fixture::new().await;
    let (runner, jit) = (runner(), SecretString::from("c2VjcmV0"));
    let task = runner.task().unwrap().clone();
    let policy = Policy {
        repositories: vec![RepositoryPattern::parse("acme/*").unwrap()],
        public_repositories: false,
        forks: false,
        events: Vec::new(),
    };
    let item = BootItem { runner: runner.name().clone(), policy, fail: None };
    let again = Runner { version: runner.version.next(), ..runner.clone() };
    let (first, second) = ([Change::Runner(runner)], [Change::Runner(again)]);
    let boot = || Some(BootPut { task: &task, item: &item, jit: &jit, expires_at: at(3600) });
    fixture.store.commit(Transaction { boot: boot(), ..Transaction::of(&first) }).await.unwrap();
    let refused = fixture.store.commit(Transaction { boot: boot(), ..Transaction::of(&second) }).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    assert_eq!(fixture.database.count(&fixture.tables.boot).unwrap(), 1);
    assert_eq!(fixture.store.revoke(&task).await.unwrap(), Revocation::GivenBack);
    assert_eq!(fixture.store.revoke(&task).await.unwrap(), Revocation::NotGivenBack);
}

#[tokio::test]
async fn history_is_listed_the_latest_first_page_by_page_across_months() {
    let fixture = Fixture::new().await;
    let now = Timestamp::now();
    for id in 1..=7_u64 {
        let days = i64::try_from(id).unwrap() * 12;
        let mut job = ended(&job(id), 0);
        job.version = Version::FIRST;
        job.timeline = Timeline::begin(JobStage::Completed, now - SignedDuration::from_hours(24 * days));
        fixture.write(Change::JobEnded(job)).await.unwrap();
    }
    for repository in [None, Some(Repository::parse("ACME/application").unwrap())] {
        let mut page = Page { repository, limit: 3, after: None };
        let mut listed = Vec::new();
        loop {
            let part = fixture.store.jobs(&page).await.unwrap();
            assert!(part.items.len() <= 3);
            listed.extend(part.items.iter().map(|job| job.facts.id.get()));
            page.after = part.next;
            if page.after.is_none() {
                break;
            }
        }
        assert_eq!(listed, [1, 2, 3, 4, 5, 6, 7]);
    }
}

/// An embedded database with the faults of the real one, which it does not show itself.
#[derive(Clone)]
struct Faulty {
    inner: Embedded,
    conflict: Arc<AtomicBool>,
    lose_answer: Arc<AtomicBool>,
}

impl Transport for Faulty {
    async fn call(&self, operation: &str, body: &[u8]) -> Answer {
        let is_transaction = operation == "TransactWriteItems";
        if is_transaction && self.conflict.swap(false, Ordering::Relaxed) {
            let code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            let body = serde_json::json!({"__type": code, "Message": "Transaction cancelled",
                "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]});
            return Answer { status: 400, body: body.to_string().into_bytes() };
        }
        let answer = self.inner.call(operation, body).await;
        if self.lose_answer.swap(false, Ordering::Relaxed) {
            return Answer { status: 500, body: br#"{"__type": "InternalServerError"}"#.to_vec() };
        }
        answer
    }
}

fn faulty(fixture: &Fixture) -> (DynamoStore, Faulty) {
    let faulty =
        Faulty { inner: fixture.database.clone(), conflict: Arc::default(), lose_answer: Arc::default() };
    (DynamoStore::embedded(faulty.clone(), fixture.tables.clone()), faulty)
}

#[tokio::test]
async fn parallel_transactions_that_collide_are_a_conflict_to_be_decided_anew() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    faults.conflict.store(true, Ordering::Relaxed);
    let change = [Change::Job(job(7))];
    assert!(matches!(store.commit(Transaction::of(&change)).await, Err(StoreError::Conflict)));
    store.commit(Transaction::of(&change)).await.unwrap();
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_not_done_twice() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    faults.lose_answer.store(true, Ordering::Relaxed);
    let change = [Change::Job(job(7))];
    // The SDK asks again with the same idempotency token.
    store.commit(Transaction::of(&change)).await.unwrap();
    assert_eq!(store.open().await.unwrap().jobs, [job(7)]);
}

#[tokio::test]
async fn a_revocation_whose_answer_was_lost_is_not_asked_again() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    faults.lose_answer.store(true, Ordering::Relaxed);
    let task = runner().task().unwrap().clone();
    assert!(matches!(store.revoke(&task).await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn an_unreadable_record_hides_no_other() {
    let fixture = Fixture::new().await;
    fixture.write(Change::Job(job(7))).await.unwrap();
    let newer = serde_json::json!({"TableName": fixture.tables.state, "Item": {
        "pk": {"S": "open"}, "sk": {"S": "job#6"}, "s": {"N": "99"}, "v": {"N": "1"}, "d": {"S": "{}"}}});
    fixture.database.0.put_item(serde_json::from_value(newer).unwrap()).unwrap();
    assert_eq!(fixture.store.open().await.unwrap().jobs, [job(7)]);
}

#[tokio::test]
async fn open_records_are_small() {
    let fixture = Fixture::new().await;
    let changes = [Change::Job(job(48_000_000_001)), Change::Runner(runner())];
    fixture.store.commit(Transaction::of(&changes)).await.unwrap();
    let query = serde_json::json!({"TableName": fixture.tables.state, "KeyConditionExpression": "pk = :open",
        "ExpressionAttributeValues": {":open": {"S": "open"}}});
    let found = fixture.database.0.query(serde_json::from_value(query).unwrap()).unwrap();
    let found = serde_json::to_value(&found).unwrap();
    for item in found["Items"].as_array().unwrap() {
        // What DynamoDB counts: the names and values of attributes.
        let bytes: usize = item
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                name.len() + value.as_object().unwrap().values().next().unwrap().as_str().unwrap().len()
            })
            .sum();
        assert!(bytes <= 400, "{bytes} bytes: {item}");
    }
}
