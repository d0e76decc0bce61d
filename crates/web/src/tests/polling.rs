use std::sync::Arc;
use std::time::Duration;

use ecsrunner_api::event::EventView;
use ecsrunner_core::id::Version;
use ecsrunner_core::records::change::Change;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};

use super::records::{busy, ended, gone, queued};
use crate::testing::Fixture;

/// Bounds every wait, so that a missing event fails the test.
const LIMIT: Duration = Duration::from_secs(20);

/// Ten times the pause between two readings of the fixture, in virtual time.
const MUCH_LONGER: Duration = Duration::from_millis(200);

/// Runs a test beside the poller, which never ends.
async fn beside<F: Future<Output = ()>>(fixture: &Arc<Fixture>, test: F) {
    tokio::select! {
        never = fixture.poller().run(&**fixture) => match never {},
        ended = tokio::time::timeout(LIMIT, test) => ended.expect("an event is missing"),
    }
}

/// What an event is about: its kind, its id and its state.
async fn next(events: &mut BoxStream<'static, EventView>) -> String {
    match events.next().await.expect("the stream goes on") {
        EventView::Job { job } => format!("job {} {}", job.id, job.state),
        EventView::Runner { runner } => {
            format!("runner {} {}", &runner.name[runner.name.len() - 2..], runner.state)
        }
        EventView::Lagged => "lagged".to_owned(),
        EventView::Hello { .. } => "hello".to_owned(),
    }
}

/// Waits until records were read again, since a time after this call.
async fn read_again(fixture: &Fixture) {
    // The reading that is under way may have begun before, so two have to end. Each has three reads.
    let before = fixture.reads();
    while fixture.reads() < before + 6 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_change_is_told_once_and_growing_costs_are_none() {
    let fixture = Fixture::new().await;
    let now = Timestamp::now();
    fixture.write(&[Change::Job(queued(1, now))]).await;
    beside(&fixture, async {
        let mut events = fixture.poller().listen().await.unwrap();
        // The cost of a busy runner grows with each reading.
        fixture.write(&[Change::Runner(busy(2, now))]).await;
        assert_eq!(next(&mut events).await, "runner 02 busy");
        read_again(&fixture).await;
        fixture.write(&[Change::Job(queued(3, now))]).await;
        assert_eq!(next(&mut events).await, "job 3 queued");
        read_again(&fixture).await;
        fixture.write(&[Change::JobEnded(ended(3, Timestamp::now(), Version::FIRST.next()))]).await;
        assert_eq!(next(&mut events).await, "job 3 completed");
        read_again(&fixture).await;
        fixture.write(&[Change::Job(queued(4, now))]).await;
        assert_eq!(next(&mut events).await, "job 4 queued", "nothing is told twice");
    })
    .await;
}

#[tokio::test]
async fn what_was_never_seen_open_is_told_when_it_has_ended() {
    let fixture = Fixture::new().await;
    beside(&fixture, async {
        let mut events = fixture.poller().listen().await.unwrap();
        fixture.write(&[Change::RunnerGone(Box::new(gone(5, Timestamp::now(), Version::FIRST)))]).await;
        assert_eq!(next(&mut events).await, "runner 05 gone");
    })
    .await;
}

#[tokio::test]
async fn what_was_open_and_ended_long_ago_is_looked_up_by_its_id() {
    let fixture = Fixture::new().await;
    let now = Timestamp::now();
    fixture.write(&[Change::Job(queued(1, now)), Change::Runner(busy(1, now))]).await;
    beside(&fixture, async {
        let mut events = fixture.poller().listen().await.unwrap();
        // GitHub's webhook came late, so that no page of what ended lately lists it.
        let late = now - SignedDuration::from_hours(1);
        let next_version = Version::FIRST.next();
        fixture.write(&[Change::JobEnded(ended(1, late, next_version))]).await;
        assert_eq!(next(&mut events).await, "job 1 completed");
        fixture.write(&[Change::RunnerGone(Box::new(gone(1, late, next_version)))]).await;
        assert_eq!(next(&mut events).await, "runner 01 gone");
    })
    .await;
}

#[tokio::test]
async fn a_flood_has_readers_read_the_lists_again() {
    let fixture = Fixture::new().await;
    beside(&fixture, async {
        let mut events = fixture.poller().listen().await.unwrap();
        let now = Timestamp::now();
        for part in 0..5_u64 {
            let jobs: Vec<Change> = (0..45_u64)
                .map(|number| Change::JobEnded(ended(1000 + part * 45 + number, now, Version::FIRST)))
                .collect();
            fixture.write(&jobs).await;
        }
        let mut told = next(&mut events).await;
        while told != "lagged" {
            assert!(told.ends_with("completed"), "{told}");
            told = next(&mut events).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_read_without_a_listener() {
    let fixture = Fixture::new().await;
    beside(&fixture, async {
        let before = fixture.reads();
        fixture.poller().rests().await;
        assert_eq!(fixture.reads(), before, "nobody has listened yet");
        let events = fixture.poller().listen().await.unwrap();
        read_again(&fixture).await;
        drop(events);
        fixture.poller().rests().await;
        let after = fixture.reads();
        // Virtual time passes once nothing is left to do, and a pause between two readings would end first.
        tokio::time::pause();
        tokio::time::sleep(MUCH_LONGER).await;
        tokio::time::resume();
        assert_eq!(fixture.reads(), after, "nobody listens any more");
        let mut events = fixture.poller().listen().await.unwrap();
        fixture.write(&[Change::Job(queued(1, Timestamp::now()))]).await;
        assert_eq!(next(&mut events).await, "job 1 queued");
    })
    .await;
}

#[tokio::test]
async fn a_reader_is_told_why_the_records_cannot_be_read_and_goes_on_afterwards() {
    let fixture = Fixture::new().await;
    beside(&fixture, async {
        let mut events = fixture.poller().listen().await.unwrap();
        fixture.deny(true);
        assert!(events.next().await.is_none(), "the stream ends");
        let refusal = fixture.poller().listen().await.err().expect("the records cannot be read");
        assert!(refusal.message.contains("no permission"), "{refusal:?}");
        fixture.deny(false);
        let mut events = loop {
            if let Ok(events) = fixture.poller().listen().await {
                break events;
            }
            tokio::task::yield_now().await;
        };
        fixture.write(&[Change::Job(queued(1, Timestamp::now()))]).await;
        assert_eq!(next(&mut events).await, "job 1 queued");
    })
    .await;
}
