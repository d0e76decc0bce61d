//! Lost answers, and transactions that conflict.

use std::sync::atomic::{AtomicBool, Ordering};

use ecsrunner_aws::store::{Answer, Transport};
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::wire::boot::TaskRole;
use ecsrunner_engine::ports::store::{Leases, LevelSet, Levels};

use super::dispatch::{TERM, request};
use super::*;

/// An embedded database with faults that only the real one has.
#[derive(Clone)]
pub(super) struct Faulty {
    inner: Embedded,
    pub(super) conflict: Arc<AtomicBool>,
    pub(super) lose_answer: Arc<AtomicBool>,
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
        let answer = self.inner.call(operation, body).await;
        if self.lose_answer.swap(false, Ordering::Relaxed) {
            return Answer { status: 500, body: br#"{"__type": "InternalServerError"}"#.to_vec() };
        }
        answer
    }
}

pub(super) fn faulty(fixture: &Fixture) -> (DynamoStore, Faulty) {
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
    // The SDK retries with the same idempotency token.
    store.commit(Transaction::of(&change)).await.unwrap();
    assert_eq!(store.open().await.unwrap(), Open::of([job(7)], []));
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
