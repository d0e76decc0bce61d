//! Leases, kicks and buckets.

use std::collections::HashMap;
use std::time::Duration;

use ecsrunner_core::id::{Account, Repository};
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_engine::ports::store::{LeaseRequest, Leases, LevelSet, Levels};

use super::*;

pub(super) const TERM: Duration = Duration::from_secs(30);

pub(super) fn request(owner: u128) -> LeaseRequest {
    LeaseRequest { owner, force: false }
}

#[tokio::test]
async fn a_dispatcher_that_lost_its_lease_writes_nothing() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let first = store.take(&request(1), at(0), TERM).await.unwrap().unwrap().epoch;
    assert_eq!(store.take(&request(2), at(10), TERM).await.unwrap(), None, "held by another");
    let second = store.take(&request(2), at(31), TERM).await.unwrap().unwrap().epoch;
    let change = [Change::Job(job(7))];
    let fenced = |epoch| Transaction { fence: Some(epoch), ..Transaction::of(&change) };
    assert!(matches!(store.commit(fenced(first)).await, Err(StoreError::Fenced)));
    assert!(!store.renew(first, at(32), TERM).await.unwrap());
    assert!(matches!(store.release(first, None, None).await, Err(StoreError::Fenced)));
    store.commit(fenced(second)).await.unwrap();
    let third = store.take(&LeaseRequest { force: true, ..request(3) }, at(33), TERM).await.unwrap();
    assert!(third.is_some_and(|third| third.epoch > second), "a caller with its own lock need not wait");
}

#[tokio::test]
async fn a_lease_that_would_last_longer_than_any_is_of_before_the_clock_was_set_back() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let first = store.take(&request(1), at(0), TERM).await.unwrap().unwrap().epoch;
    assert_eq!(store.take(&request(2), at(-1), TERM).await.unwrap(), None, "clocks may differ a little");
    let second = store.take(&request(2), at(-3600), TERM).await.unwrap();
    assert!(second.is_some_and(|second| second.epoch > first));
}

#[tokio::test]
async fn a_lease_is_not_released_over_a_kick_that_was_not_seen() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let epoch = store.take(&request(1), at(0), TERM).await.unwrap().unwrap().epoch;
    let seen = store.kicks().await.unwrap();
    assert_eq!(store.kick().await.unwrap(), seen + 1);
    assert!(!store.release(epoch, Some(seen), None).await.unwrap());
    let seen = store.kick().await.unwrap();
    assert_eq!(store.kicks().await.unwrap(), seen);
    assert!(store.release(epoch, Some(seen), None).await.unwrap());
    assert!(store.take(&request(2), at(1), TERM).await.unwrap().is_some(), "free again");
}

#[tokio::test]
async fn a_dispatcher_that_must_stop_gives_up_the_lease_whatever_kicks_came() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let epoch = store.take(&request(1), at(0), TERM).await.unwrap().unwrap().epoch;
    store.kick().await.unwrap();
    assert!(store.release(epoch, None, Some(at(60))).await.unwrap());
    let next = store.take(&request(2), at(1), TERM).await.unwrap().unwrap();
    assert_eq!(next.next_kick_at, Some(at(60)));
    // A release that names no kick keeps the one that was posted.
    assert!(store.release(next.epoch, Some(1), None).await.unwrap());
    assert_eq!(store.take(&request(3), at(2), TERM).await.unwrap().unwrap().next_kick_at, Some(at(60)));
}

#[tokio::test]
async fn a_lease_that_was_given_up_belongs_to_nobody() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let epoch = store.take(&request(1), at(0), TERM).await.unwrap().unwrap().epoch;
    assert!(store.take(&request(1), at(1), TERM).await.unwrap().is_some_and(|again| again.epoch > epoch));
    assert!(matches!(store.release(epoch, None, None).await, Err(StoreError::Fenced)), "an earlier term");
    let epoch = store.take(&request(1), at(2), TERM).await.unwrap().unwrap().epoch;
    assert!(store.release(epoch, None, None).await.unwrap());
    assert!(fixture.items("dispatch").iter().all(|item| item.get("owner").is_none()));
}

#[tokio::test]
async fn a_bucket_is_drawn_from_only_as_it_was_seen() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let github = Bucket::GitHub(Account::parse("acme").unwrap());
    let (first, second) = (Level(at(10)), Level(at(20)));
    assert_eq!(store.set_level(&github, None, first).await.unwrap(), LevelSet::Done);
    assert_eq!(store.set_level(&github, None, second).await.unwrap(), LevelSet::Found(Some(first)));
    assert_eq!(store.set_level(&github, Some(second), first).await.unwrap(), LevelSet::Found(Some(first)));
    assert_eq!(store.set_level(&github, Some(first), second).await.unwrap(), LevelSet::Done);
    // Another caller with the same change is still another caller.
    assert_eq!(store.set_level(&github, Some(first), second).await.unwrap(), LevelSet::Found(Some(second)));
    let spot = Bucket::Fargate(Market::Spot);
    assert_eq!(store.set_level(&spot, Some(first), second).await.unwrap(), LevelSet::Found(None));
    assert_eq!(store.set_level(&spot, None, first).await.unwrap(), LevelSet::Done);
    let levels = store.open().await.unwrap().levels;
    assert_eq!(levels, HashMap::from([(github, second), (spot, first)]));
    assert_eq!(fixture.sort_keys("open"), ["level#fargate#FARGATE_SPOT", "level#github#acme"]);
}

#[tokio::test]
async fn a_level_expires_a_day_after_the_bucket_is_untouched_again() {
    let fixture = Fixture::new().await;
    let spot = Bucket::Fargate(Market::Spot);
    fixture.store.set_level(&spot, None, Level(at(10))).await.unwrap();
    let expires_at = fixture.items("open")[0]["expires_at"]["N"].as_str().unwrap().parse().unwrap();
    assert_eq!(Timestamp::from_second(expires_at).unwrap(), at(10 + 24 * 3600));
}

#[tokio::test]
async fn a_slot_is_taken_with_its_transaction_or_not_at_all() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let epoch = store.take(&request(1), at(0), TERM).await.unwrap().unwrap().epoch;
    let bucket = Bucket::Failure(Repository::parse("Acme/App").unwrap(), 0);
    let take = |changes, secs| Transaction {
        slot: Some((&bucket, Level(at(secs)))),
        ..Transaction::fenced(changes, epoch)
    };
    let changes = [Change::Job(job(7))];
    store.commit(take(&changes, 10)).await.unwrap();
    assert!(matches!(store.commit(take(&changes, 20)).await, Err(StoreError::Conflict)));
    let levels = store.open().await.unwrap().levels;
    assert_eq!(levels, HashMap::from([(bucket.clone(), Level(at(10)))]));
    assert_eq!(fixture.sort_keys("open"), ["job#7", "level#failure#0#acme/app"]);
    store.commit(take(&[], 20)).await.unwrap();
    assert_eq!(store.open().await.unwrap().levels[&bucket], Level(at(20)), "whatever it was");
}
