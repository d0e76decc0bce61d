//! Records, holds and history.

use std::os::unix::fs::PermissionsExt;

use ecsrunner_core::id::{Account, HostId, InstanceId, Organization, RunId, RunnerGroupId};
use ecsrunner_core::records::hold::{Failure, Held, Hold};
use ecsrunner_core::records::instance::{Claim, Instance};
use ecsrunner_core::records::rerun::{Rerun, RerunId, RerunRecord, RerunState};
use ecsrunner_core::records::runner::{
    EndedRunner, Ending, EndingKind, RegistrationLeft, Retry, Served, TaskLeft,
};
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_core::records::times::Times;
use ecsrunner_core::rules::policy::{Policy, RepositoryPattern};
use ecsrunner_core::wire::boot::{BootItem, TaskRole};
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_engine::ports::store::{BootPut, History, Page, Revocation};

use jiff::SignedDuration;
use secrecy::SecretString;

use super::*;

#[tokio::test]
async fn a_record_reads_back_as_it_was_written() {
    let fixture = Fixture::new().await;
    let (job, runner) = (job(7), runner());
    let changes = [Change::Job(job.clone()), Change::Runner(runner.clone())];
    fixture.store.commit(Transaction::of(&changes)).await.unwrap();
    let keys = Keys { job: Some(job.id()), ..Keys::of_runner(runner.name()) };
    let records = fixture.store.load(&keys).await.unwrap();
    assert_eq!(records.job, Some(JobRecord::Open(job.clone())));
    assert_eq!(records.runner.as_ref(), Some(&runner));
    let open = fixture.store.open().await.unwrap();
    assert_eq!(open, Open::of([job.clone()], [runner.clone()]));

    let ending = Ending {
        kind: EndingKind::BootFailed,
        note: Some(Reason::with(Code::BootFailed, "no listener")),
        fault: Some(Fault::ListenerMissing),
        served: Served::Unnamed,
        task: TaskLeft::Stopped { task: None, at: at(9) },
        custody: Custody::Taken(RunnerId::new(5)),
        registration: RegistrationLeft::AgentCompleted,
    };
    let next = runner.with_state(RunnerState::Ending(ending), at(9));
    fixture.write(Change::Runner(next.clone())).await.unwrap();
    assert_eq!(fixture.store.open().await.unwrap(), Open::of([job], [next]));
}

#[tokio::test]
async fn a_rerun_reads_back_as_it_was_written_and_goes_with_its_key() {
    let fixture = Fixture::new().await;
    let id =
        RerunId { repository: runner().facts.repository, run: RunId::new(17), name: "build (a#b)".into() };
    let rerun = RerunRecord::Rerun(Rerun {
        id,
        job: JobId::new(7),
        class: None,
        latest: 1,
        made: 0,
        times: 1,
        cause: Code::SpotInterrupted.into(),
        state: RerunState::Called,
        checks: 0,
        refusals: 0,
        not_before: at(9) + SignedDuration::from_nanos(1),
        since: at(9),
    });
    fixture.write(Change::Rerun(Box::new(rerun.clone()))).await.unwrap();
    let mut expected = Open::default();
    expected.add_rerun(rerun.clone());
    assert_eq!(fixture.store.open().await.unwrap(), expected);
    fixture.write(Change::RerunOver(rerun.key())).await.unwrap();
    assert_eq!(fixture.store.open().await.unwrap(), Open::default());
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
    // The same for a job that ended before it was known.
    let unknown = EndedJob { version: Version::FIRST, ..ended(&job(8), 9) };
    fixture.write(Change::JobEnded(unknown)).await.unwrap();
    assert!(matches!(fixture.write(Change::Job(job(8))).await, Err(StoreError::Conflict)));
    assert!(fixture.store.open().await.unwrap().jobs.is_empty());
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
    let item = BootItem {
        runner: runner.name().clone(),
        policy,
        fail: None,
        services: None,
        about: None,
        reruns: Vec::new(),
    };
    let again = Runner { version: runner.version.next(), ..runner.clone() };
    let (first, second) = ([Change::Runner(runner)], [Change::Runner(again)]);
    let boot = || {
        Some(BootPut {
            task: task.clone(),
            role: TaskRole::Plain,
            item: item.clone(),
            jit: &jit,
            expires_at: at(3600),
        })
    };
    fixture.store.commit(Transaction { boot: boot(), ..Transaction::of(&first) }).await.unwrap();
    let refused = fixture.store.commit(Transaction { boot: boot(), ..Transaction::of(&second) }).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    assert_eq!(fixture.database.count(&fixture.tables.boot).unwrap(), 1);
    assert_eq!(fixture.store.revoke(&task, TaskRole::Plain).await.unwrap(), Revocation::GivenBack);
    assert_eq!(fixture.store.revoke(&task, TaskRole::Plain).await.unwrap(), Revocation::NotGivenBack);
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
        let mut page = Page { repository, limit: 3, ..Page::default() };
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

#[tokio::test]
async fn a_span_of_history_is_listed_without_what_is_before_and_after() {
    let fixture = Fixture::new().await;
    let now = Timestamp::now();
    let ago = |days: i64| now - SignedDuration::from_hours(24 * days);
    for id in 1..=7_u64 {
        let mut job = ended(&job(id), 0);
        job.version = Version::FIRST;
        job.timeline = Timeline::begin(JobStage::Completed, ago(12 * i64::try_from(id).unwrap()));
        fixture.write(Change::JobEnded(job)).await.unwrap();
    }
    for repository in [None, Some(Repository::parse("acme/application").unwrap())] {
        for (since, before, expected) in [
            (Some(ago(40)), None, vec![1, 2, 3]),
            (Some(ago(60)), Some(ago(30)), vec![3, 4, 5]),
            (None, Some(ago(70)), vec![6, 7]),
            (Some(ago(36)), Some(ago(24)), vec![3]),
        ] {
            let page = Page { repository: repository.clone(), since, before, limit: 100, after: None };
            let listed = fixture.store.jobs(&page).await.unwrap();
            let listed: Vec<u64> = listed.items.iter().map(|job| job.facts.id.get()).collect();
            assert_eq!(listed, expected);
        }
    }
}

#[tokio::test]
async fn a_refused_job_that_is_open_again_is_history_no_more() {
    let fixture = Fixture::new().await;
    let mut refused = ended(&job(7), 9);
    refused.version = Version::FIRST;
    refused.ending = JobEnding::Refused { reason: Reason::from(Code::LabelsEmpty), after: None };
    fixture.write(Change::JobEnded(refused.clone())).await.unwrap();
    let reopened = Job { version: refused.version.next(), ..job(7) };
    fixture.write(Change::JobReopened(reopened.clone())).await.unwrap();
    assert_eq!(fixture.job(7).await, Some(JobRecord::Open(reopened.clone())));
    assert!(fixture.store.jobs(&Page { limit: 9, ..Page::default() }).await.unwrap().items.is_empty());
    // If two callers reopen it, one gets a conflict.
    let again = fixture.write(Change::JobReopened(reopened.clone())).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    fixture.write(Change::JobEnded(ended(&reopened, 20))).await.unwrap();
    assert!(matches!(fixture.job(7).await, Some(JobRecord::Ended(_))));
}

#[tokio::test]
async fn only_its_owner_can_read_the_database() {
    let fixture = Fixture::new().await;
    fixture.write(Change::Job(job(7))).await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(fixture.dir.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
        files += 1;
    }
    assert_eq!(files, 3, "the database and SQLite's two files beside it");
}

#[tokio::test]
async fn an_unreadable_record_or_one_of_an_unknown_kind_hides_no_other() {
    let fixture = Fixture::new().await;
    fixture.write(Change::Job(job(7))).await.unwrap();
    let newer = |sk: &str| json!({"pk": {"S": "open"}, "sk": {"S": sk}, "s": {"N": "99"}, "v": {"N": "1"}, "d": {"S": "{}"}});
    let sorts =
        ["job#6", "hold#scope#acme", "level#github#acme", "warm#small#1", "of#a#newer#release", "keyless"];
    for sort in sorts {
        fixture.put(&newer(sort));
    }
    let open = fixture.store.open().await.unwrap();
    let unreadable = Open {
        unreadable: open.unreadable,
        unreadable_runners: 1,
        unreadable_warm: 1,
        ..Open::of([job(7)], [])
    };
    assert_eq!(open, unreadable);
}

#[tokio::test]
async fn open_records_are_small() {
    let fixture = Fixture::new().await;
    let booted = runner();
    let task = Task { id: booted.task().unwrap().clone(), heard: 4 };
    let (registration, job_id) = (RunnerId::new(1_234_567), JobId::new(48_000_000_001));
    let busy = RunnerState::Busy { task, registration, job: Some(job_id) };
    fixture.write(Change::Runner(booted.clone())).await.unwrap();
    let name = RunnerName::parse("ecsr-test-abcdefghij-01arz3ndektsv4rrffq69g5fax").unwrap();
    let busy = Runner {
        facts: RunnerFacts { name, ..booted.facts.clone() },
        version: Version::FIRST,
        ..booted.with_state(busy, at(9))
    };
    let changes = [Change::Job(job(48_000_000_001)), Change::Runner(busy)];
    fixture.store.commit(Transaction::of(&changes)).await.unwrap();
    assert_eq!(fixture.items("open").len(), 3);
    for item in fixture.items("open") {
        // DynamoDB counts the names and values of attributes.
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

#[tokio::test]
async fn a_try_that_failed_and_a_question_that_was_asked_read_back() {
    let fixture = Fixture::new().await;
    let reason = Reason::with(Code::NoCapacity, "Capacity is unavailable at this time");
    let waiting = Runner {
        placement: Placement::fargate(Market::OnDemand, None),
        retry: Some(Retry { failures: 3, not_before: at(60), reason }),
        asked_at: Some(at(5)),
        state: RunnerState::Reserved { attempt: 4 },
        ..runner()
    };
    let asked = Job { asked_at: Some(at(6)), ..job(7) };
    let changes = [Change::Job(asked.clone()), Change::Runner(waiting.clone())];
    fixture.store.commit(Transaction::of(&changes)).await.unwrap();
    let open = fixture.store.open().await.unwrap();
    assert_eq!(open, Open::of([asked], [waiting]));
}

#[tokio::test]
async fn a_record_without_a_placement_a_try_and_a_question_reads_as_one_that_has_none() {
    let fixture = Fixture::new().await;
    let plain = Runner { placement: Placement::fargate(Market::OnDemand, None), ..runner() };
    fixture.write(Change::Runner(plain.clone())).await.unwrap();
    let stored = fixture.items("open").remove(0);
    let record: Value = serde_json::from_str(stored["d"]["S"].as_str().unwrap()).unwrap();
    let keys: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["e", "f", "s", "t"], "only what every runner has");
    assert_eq!(fixture.store.open().await.unwrap(), Open::of([], [plain]));
}

#[tokio::test]
async fn an_ec2_instance_is_claimed_once() {
    let fixture = Fixture::new().await;
    let host = HostId::parse("i-0123456789abcdef0").unwrap();
    let keys = Keys { host: Some(host.clone()), ..Keys::of_runner(runner().name()) };
    assert_eq!(fixture.store.load(&keys).await.unwrap().claimed_by, None);
    let placement =
        Placement { managed: ClassName::parse("images").ok(), ..Placement::fargate(Market::OnDemand, None) };
    let instance = Instance::new(InstanceId::parse("0123456789abcdef0123456789abcdef").unwrap());
    let first = Runner { placement, instance: Some(instance), ..runner() };
    fixture.write(Change::Runner(first.clone())).await.unwrap();
    let claim = |name: &RunnerName| {
        Change::Claimed(Box::new(Claim { host: host.clone(), runner: name.clone(), at: at(9) }))
    };
    let own = Runner {
        version: first.version.next(),
        instance: first.instance.clone().map(|known| Instance { host: Some(host.clone()), ..known }),
        ..first.clone()
    };
    let changes = [Change::Runner(own.clone()), claim(first.name())];
    fixture.store.commit(Transaction::of(&changes)).await.unwrap();
    let records = fixture.store.load(&keys).await.unwrap();
    assert_eq!((records.claimed_by.as_ref(), records.runner.as_ref()), (Some(first.name()), Some(&own)));
    let items = fixture.items(&format!("host#{host}"));
    assert_eq!(items[0]["owner"]["S"].as_str(), Some(first.name().as_str()));
    // A second runner's record is not written either.
    let next = Runner { version: own.version.next(), ..own.clone() };
    let other = RunnerName::parse("ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5faw").unwrap();
    for name in [&other, first.name()] {
        let changes = [Change::Runner(next.clone()), claim(name)];
        let refused = fixture.store.commit(Transaction::of(&changes)).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    let alone = fixture.write(claim(&other)).await;
    assert!(matches!(alone, Err(StoreError::Conflict)), "{alone:?}");
    assert_eq!(fixture.store.open().await.unwrap(), Open::of([], [own]), "it is no open record");
}

#[tokio::test]
async fn a_pool_that_is_not_the_one_in_the_name_reads_back() {
    let fixture = Fixture::new().await;
    let mut other = runner();
    other.facts.pool = PoolId::parse("zyxwvutsrq").unwrap();
    fixture.write(Change::Runner(other.clone())).await.unwrap();
    assert_eq!(fixture.store.open().await.unwrap(), Open::of([], [other]));
}

#[tokio::test]
async fn a_gone_runner_keeps_where_it_was() {
    let fixture = Fixture::new().await;
    let runner = runner();
    fixture.write(Change::Runner(runner.clone())).await.unwrap();
    let gone = EndedRunner {
        times: Times::default(),
        facts: runner.facts.clone(),
        version: runner.version.next(),
        timeline: runner.timeline.clone(),
        kind: EndingKind::Completed,
        note: None,
        served: Served::Job(JobId::new(7)),
        placement: spot(),
        task: runner.task().cloned(),
        stopped_at: Some(at(8)),
        cost_usd: Some(0.25),
    };
    fixture.write(Change::RunnerGone(Box::new(gone.clone()))).await.unwrap();
    assert_eq!(fixture.store.open().await.unwrap(), Open::of([], []));
    let repository = Some(Repository::parse("acme/application").unwrap());
    let listed = fixture.store.runners(&Page { repository, limit: 9, ..Page::default() }).await.unwrap();
    assert_eq!(listed.items, [EndedTask::Runner(Box::new(gone))]);
}

#[tokio::test]
async fn what_is_held_back_is_open_until_it_is_released() {
    let fixture = Fixture::new().await;
    let repository = Repository::parse("Acme/Application").unwrap();
    let organization = Organization::parse("acme").unwrap();
    let helds = [
        Held::Account(Account::parse("acme").unwrap()),
        Held::Pool(PoolId::parse("abcdefghij").unwrap()),
        Held::class_in(ClassName::parse("large").unwrap(), spot()),
        Held::Class(ClassName::parse("large").unwrap()),
        Held::placement(Placement::fargate(Market::OnDemand, None), Arch::X64),
        Held::placement(spot(), Arch::Arm64),
        Held::Scope(Scope::Organization { organization, group: RunnerGroupId::new(3) }),
        Held::Scope(Scope::Repository(repository)),
    ];
    // A hold's times are compared exactly, so no nanosecond may be lost.
    let latest = at(0) + SignedDuration::from_nanos(1_234_567);
    let failure = |at| Failure::of(Fault::ImagePull, "words", at, at);
    let once: Vec<Hold> =
        helds.iter().map(|held| Hold::after(None, held.clone(), &failure(latest))).collect();
    let changes: Vec<Change> = once.iter().cloned().map(Change::Hold).collect();
    fixture.store.commit(Transaction::of(&changes)).await.unwrap();
    let held_now = |open: Open| open.holds.into_values().collect::<Vec<Hold>>();
    let mut expected = once.clone();
    expected.sort_by(|a, b| a.held.cmp(&b.held));
    assert_eq!(held_now(fixture.store.open().await.unwrap()), expected);

    let twice = Hold::after(Some(&once[0]), helds[0].clone(), &failure(at(1)));
    fixture.write(Change::Hold(twice.clone())).await.unwrap();
    let open = fixture.store.open().await.unwrap();
    assert_eq!(open.holds[&helds[0]], twice, "the latest write stays");
    for held in &helds {
        fixture.write(Change::Released(held.clone())).await.unwrap();
    }
    fixture.write(Change::Released(helds[0].clone())).await.unwrap();
    assert_eq!(fixture.store.open().await.unwrap(), Open::default());
}

#[tokio::test]
async fn more_writes_than_go_together_are_refused_as_a_whole() {
    let fixture = Fixture::new().await;
    let changes: Vec<Change> = (1..=51).map(|id| Change::Job(job(id))).collect();
    // Each new job takes one write and one check of history.
    let refused = fixture.store.commit(Transaction::of(&changes)).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    fixture.store.commit(Transaction::of(&changes[..50])).await.unwrap();
    assert_eq!(fixture.store.open().await.unwrap().jobs.len(), 50);
    fixture.store.commit(Transaction::of(&[])).await.unwrap();
}
