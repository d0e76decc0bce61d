//! Warm tasks.

use ecsrunner_core::id::WarmName;
use ecsrunner_core::records::runner::TaskLeft;
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_core::records::warm::{WarmEnd, WarmEnding, WarmFacts, WarmStage, WarmState, WarmTask};
use ecsrunner_core::rules::limits::WaitLimits;
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_engine::ports::store::{History, Page};
use jiff::SignedDuration;

use super::*;

#[tokio::test]
async fn a_warm_task_reads_back_in_every_state_and_is_listed_among_the_runners_that_are_gone() {
    let fixture = Fixture::new().await;
    let mut warm = WarmTask {
        facts: WarmFacts {
            name: WarmName::parse("ecsr-test-warm-01arz3ndektsv4rrffq69g5fav").unwrap(),
            class: ClassName::parse("large").unwrap(),
            size: Size::new(1024, 2048, None, Arch::X64).unwrap(),
            max_job_minutes: 60,
            wait_limits: WaitLimits { boot_secs: 300, connect_secs: 120, idle_secs: 900 },
            hook_limit_secs: 300,
            max_age: SignedDuration::from_hours(12),
            image: Some("official".to_owned()),
            digest: Some("sha256:ab".to_owned()),
            exec: true,
            services: Some("0123456789abcdef".to_owned()),
        },
        version: Version::FIRST,
        epoch: Epoch::new(3),
        timeline: Timeline::begin(WarmStage::Reserved, at(1)),
        placement: spot(),
        retry: None,
        state: WarmState::Reserved,
    };
    let task = || Task { id: TaskId::parse("task1").unwrap(), heard: 4 };
    let ending = WarmEnding {
        kind: WarmEnd::Failed,
        words: Some("no image".to_owned()),
        fault: Some(Fault::ImagePull),
        task: TaskLeft::Stopping { task: task(), since: at(5) },
    };
    fixture.write(Change::Warm(warm.clone())).await.unwrap();
    let keys = Keys::of_task(&warm.name().clone().into());
    for state in [
        WarmState::Starting(task()),
        WarmState::Warm(task()),
        WarmState::Ending(ending),
        WarmState::Used(runner().facts.name),
    ] {
        assert_eq!(fixture.store.open().await.unwrap().warm[warm.name()], warm);
        assert_eq!(fixture.store.load(&keys).await.unwrap().warm, Some(warm.clone()));
        warm = warm.with_state(state, at(6));
        fixture.write(Change::Warm(warm.clone())).await.unwrap();
        let again = fixture.write(Change::Warm(warm.clone())).await;
        assert!(matches!(again, Err(StoreError::Conflict)), "a version is written once");
    }
    let gone = Box::new(warm.gone(at(9)).unwrap());
    fixture.write(Change::WarmGone(gone.clone())).await.unwrap();
    assert!(fixture.store.open().await.unwrap().warm.is_empty());
    let page = Page { limit: 9, before: Some(at(99)), ..Page::default() };
    let listed = fixture.store.runners(&page).await.unwrap();
    assert_eq!(listed.items, [EndedTask::Warm(gone.clone())]);
    assert_eq!(
        fixture.store.gone(&gone.facts.name.clone().into()).await.unwrap(),
        Some(EndedTask::Warm(gone))
    );
    let repository = Some(Repository::parse("acme/application").unwrap());
    let of_repository = Page { repository, limit: 9, ..Page::default() };
    assert!(fixture.store.runners(&of_repository).await.unwrap().items.is_empty());
}
