//! What the sweep stores, and which deliveries it need not fetch.

use std::collections::{BTreeMap, HashSet};

use ecsrunner_core::decide::sweep::{
    Backlog, DeliveryMark, DeliveryProgress, KnownScope, NextPage, RepositoryProgress, Sight, SweepProgress,
};
use ecsrunner_core::id::{DeliveryId, Repository, RunId};
use ecsrunner_core::rules::pace::Level;
use ecsrunner_engine::ports::store::Progress;
use jiff::SignedDuration;

use super::*;

fn delivery(number: u32) -> DeliveryId {
    DeliveryId::parse(&format!("72d3162e-cc78-11e3-81ab-{number:012}")).unwrap()
}

#[tokio::test]
async fn a_sweep_goes_on_where_the_last_one_ended() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.store.progress().await.unwrap(), SweepProgress::default());
    let exactly = at(5) + SignedDuration::from_nanos(1);
    let mark = |number| DeliveryMark { number, at: exactly };
    let progress = SweepProgress {
        began_at: Some(exactly),
        missing: BTreeMap::from([(runner().facts.name.into(), exactly)]),
        scopes: vec![KnownScope {
            scope: runner().facts.scope,
            seen_at: exactly,
            looked_at: None,
            next_page: 3,
        }],
        deliveries: DeliveryProgress {
            handled: Some(mark(9)),
            backlog: Some(Backlog { from: mark(7), cursor: Some("v1_123".to_owned()), down_to: mark(3) }),
            sight: Sight::Stopped(exactly),
        },
        repositories: RepositoryProgress {
            began_at: Some(exactly),
            next: Some(NextPage { source: 1, cursor: Some("42:2".to_owned()) }),
            page: vec![Repository::parse("acme/app").unwrap(), Repository::parse("acme/web").unwrap()],
            asked: 1,
            partial: BTreeMap::from([(Repository::parse("acme/app").unwrap(), RunId::new(17))]),
            used: Some(Level(exactly)),
        },
    };
    fixture.store.keep_progress(&progress).await.unwrap();
    assert_eq!(fixture.store.progress().await.unwrap(), progress);
    fixture.store.keep_progress(&SweepProgress::default()).await.unwrap();
    assert_eq!(fixture.store.progress().await.unwrap(), SweepProgress::default());
}

#[tokio::test]
async fn progress_of_a_newer_release_has_the_sweep_begin_again() {
    let fixture = Fixture::new().await;
    fixture.put(&json!({"pk": {"S": "dispatch"}, "sk": {"S": "sweep"}, "s": {"N": "99"}, "d": {"S": "{}"}}));
    assert_eq!(fixture.store.progress().await.unwrap(), SweepProgress::default());
}

#[tokio::test]
async fn a_delivery_is_recorded_with_what_it_told_or_not_at_all() {
    let fixture = Fixture::new().await;
    let (told, nothing_new, lost) = (delivery(1), delivery(2), delivery(3));
    let change = [Change::Job(job(7))];
    let with = |delivery| Transaction { delivery: Some(delivery), ..Transaction::of(&change) };
    fixture.store.commit(with(&told)).await.unwrap();
    assert!(matches!(fixture.store.commit(with(&lost)).await, Err(StoreError::Conflict)));
    for _ in 0..2 {
        let seen = Transaction { delivery: Some(&nothing_new), ..Transaction::of(&[]) };
        fixture.store.commit(seen).await.unwrap();
    }
    let asked = [told.clone(), lost, nothing_new.clone(), told.clone()];
    let recorded = fixture.store.recorded_deliveries(&asked).await.unwrap();
    assert_eq!(recorded, HashSet::from([told.clone(), nothing_new]));

    let item = fixture.items(&format!("delivery#{told}")).remove(0);
    assert_eq!(item["sk"]["S"], "seen");
    let left =
        item["expires_at"]["N"].as_str().unwrap().parse::<i64>().unwrap() - Timestamp::now().as_second();
    assert!((4 * 24 * 3600 - 60..=4 * 24 * 3600).contains(&left), "{left} s");
}

#[tokio::test]
async fn any_number_of_deliveries_can_be_looked_for() {
    let fixture = Fixture::new().await;
    let deliveries: Vec<DeliveryId> = (0..230).map(delivery).collect();
    for delivery in deliveries.iter().step_by(10) {
        let seen = Transaction { delivery: Some(delivery), ..Transaction::of(&[]) };
        fixture.store.commit(seen).await.unwrap();
    }
    assert_eq!(fixture.store.recorded_deliveries(&deliveries).await.unwrap().len(), 23);
    assert!(fixture.store.recorded_deliveries(&[]).await.unwrap().is_empty());
}
