//! Lost answers, and transactions that conflict.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ecsrunner_aws::store::{Answer, Transport};
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::wire::boot::TaskRole;
use ecsrunner_engine::ports::store::{Leases, LevelSet, Levels};

use super::amended::gone;
use super::dispatch::{TERM, request};
use super::*;

/// An embedded database with faults that only the real one has.
#[derive(Clone)]
pub(super) struct Faulty {
    inner: Embedded,
    tables: Tables,
    pub(super) conflict: Arc<AtomicBool>,
    pub(super) lose_answer: Arc<AtomicBool>,
    /// Written between the reads of the next batch: `BatchGetItem` reads each item at a time of its own.
    within_batch: Arc<Mutex<Option<Change>>>,
    /// How many items each batch has asked for.
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Faulty {
    /// Writes what is to be written within a batch, and answers the batch as if its first item had been read after
    /// that and the others before.
    async fn torn_batch(&self, body: &[u8], change: Change) -> Answer {
        let before = self.inner.call("BatchGetItem", body).await;
        let store = DynamoStore::embedded(self.inner.clone(), self.tables.clone());
        store.commit(Transaction::of(&[change])).await.unwrap();
        let after = self.inner.call("BatchGetItem", body).await;
        let wanted: Value = serde_json::from_slice(body).unwrap();
        let first = &wanted["RequestItems"][&self.tables.state]["Keys"][0];
        let [mut before, after] =
            [before, after].map(|answer| serde_json::from_slice::<Value>(&answer.body).unwrap());
        let is_first = |item: &Value| item["pk"] == first["pk"] && item["sk"] == first["sk"];
        let items = before["Responses"][&self.tables.state].as_array_mut().unwrap();
        items.retain(|item| !is_first(item));
        let later = after["Responses"][&self.tables.state].as_array().unwrap();
        items.extend(later.iter().filter(|item| is_first(item)).cloned());
        Answer { status: 200, body: before.to_string().into_bytes() }
    }
}

impl Transport for Faulty {
    async fn call(&self, operation: &str, body: &[u8]) -> Answer {
        let is_transaction = operation == "TransactWriteItems";
        if is_transaction && self.conflict.swap(false, Ordering::Relaxed) {
            let code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            let body = json!({"__type": code, "Message": "Transaction cancelled",
                "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]});
            return Answer { status: 400, body: body.to_string().into_bytes() };
        }
        if operation == "BatchGetItem" {
            let wanted: Value = serde_json::from_slice(body).unwrap();
            let keys = wanted["RequestItems"][&self.tables.state]["Keys"].as_array().unwrap().len();
            self.batches.lock().unwrap().push(keys);
        }
        let change =
            (operation == "BatchGetItem").then(|| self.within_batch.lock().unwrap().take()).flatten();
        if let Some(change) = change {
            return self.torn_batch(body, change).await;
        }
        let answer = self.inner.call(operation, body).await;
        if self.lose_answer.swap(false, Ordering::Relaxed) {
            return Answer { status: 500, body: br#"{"__type": "InternalServerError"}"#.to_vec() };
        }
        answer
    }
}

pub(super) fn faulty(fixture: &Fixture) -> (DynamoStore, Faulty) {
    let faulty = Faulty {
        inner: fixture.database.clone(),
        tables: fixture.tables.clone(),
        conflict: Arc::default(),
        lose_answer: Arc::default(),
        within_batch: Arc::default(),
        batches: Arc::default(),
    };
    (DynamoStore::embedded(faulty.clone(), fixture.tables.clone()), faulty)
}

#[tokio::test]
async fn parallel_transactions_that_collide_are_a_conflict_to_be_decided_again() {
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
    // The SDK retries with the same idempotency token.
    store.commit(Transaction::of(&change)).await.unwrap();
    assert_eq!(store.open().await.unwrap(), Open::of([job(7)], []));
}

#[tokio::test]
async fn a_runner_that_moves_to_history_between_two_reads_is_found_there() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    let runner = runner();
    fixture.write(Change::Runner(runner.clone())).await.unwrap();
    let gone = gone(&runner);
    let keys = Keys { gone: true, ..Keys::of_runner(runner.name()) };
    let read = || std::mem::take(&mut *faults.batches.lock().unwrap());
    assert_eq!(store.load(&keys).await.unwrap().runner.as_ref(), Some(&runner));
    assert_eq!(read(), [1], "history is read only for a runner that is not open");
    *faults.within_batch.lock().unwrap() = Some(Change::RunnerGone(Box::new(gone.clone())));
    let records = store.load(&keys).await.unwrap();
    assert_eq!((records.runner, records.gone), (None, Some(gone)));
    assert!(faults.within_batch.lock().unwrap().is_none(), "the batch was not torn");
    assert_eq!(read(), [1, 1]);
}

#[tokio::test]
async fn a_revocation_whose_answer_was_lost_is_not_asked_again() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    faults.lose_answer.store(true, Ordering::Relaxed);
    let task = runner().task().unwrap().clone();
    assert!(matches!(store.revoke(&task, TaskRole::Plain).await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_had_all_the_same() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    faults.lose_answer.store(true, Ordering::Relaxed);
    let lease = store.take(&request(1), at(0), TERM).await.unwrap().unwrap();
    // The term is that of the answer that arrived.
    assert!(store.renew(lease.epoch, at(1), TERM).await.unwrap());
    assert_eq!(store.take(&request(2), at(1), TERM).await.unwrap(), None);
}

#[tokio::test]
async fn a_release_whose_answer_was_lost_is_told_again() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    for kicks in [None, Some(0)] {
        let epoch = store.take(&request(1), at(0), TERM).await.unwrap().unwrap().epoch;
        faults.lose_answer.store(true, Ordering::Relaxed);
        assert!(store.release(epoch, kicks, None).await.unwrap());
    }
}

#[tokio::test]
async fn a_draw_whose_answer_was_lost_counts_once_and_for_whom_it_was() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    let bucket = Bucket::Fargate(Market::Spot);
    for (before, after) in [(None, at(10)), (Some(Level(at(10))), at(20))] {
        faults.lose_answer.store(true, Ordering::Relaxed);
        assert_eq!(store.set_level(&bucket, before, Level(after)).await.unwrap(), LevelSet::Done);
    }
    let again = store.set_level(&bucket, Some(Level(at(10))), Level(at(20))).await.unwrap();
    assert_eq!(again, LevelSet::Found(Some(Level(at(20)))), "another caller's change is not its own");
}

/// What is logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_sdk_logs_nothing_of_its_own_about_a_fault_of_the_embedded_database() {
    let fixture = Fixture::new().await;
    let (store, faults) = faulty(&fixture);
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _until_the_end = tracing::subscriber::set_default(subscriber);
    faults.lose_answer.store(true, Ordering::Relaxed);
    store.kick().await.unwrap();
    faults.lose_answer.store(true, Ordering::Relaxed);
    let task = runner().task().unwrap().clone();
    assert!(store.revoke(&task, TaskRole::Plain).await.is_err());
    assert_eq!(String::from_utf8_lossy(&logged.0.lock().unwrap()), "");
}
