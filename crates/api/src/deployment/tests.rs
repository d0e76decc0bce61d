use std::sync::Arc;

use ecsrunner_core::id::{ClassName, PoolId, Repository, RunId, SubnetId, Version};
use ecsrunner_core::records::hold::Failure;
use ecsrunner_core::records::job::{Assignment, JobStage, JobState};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_core::wire::job::JobFacts;
use jiff::SignedDuration;

use super::*;

const CLASSES: &str = r#"{"small": {"cpu": 512, "memory": 1024, "default": true},
                          "large": {"cpu": 4096, "memory": 8192, "arch": "arm64"}}"#;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap()
}

fn job(id: u64, repository: &str, class: &str, pool: &str) -> Job {
    let assignment =
        Assignment { class: ClassName::parse(class).unwrap(), pool: PoolId::parse(pool).unwrap() };
    let created_at = at(0) - SignedDuration::from_secs(id.cast_signed());
    Job {
        facts: Arc::new(JobFacts {
            id: JobId::new(id),
            run: RunId::new(1),
            attempt: 1,
            repository: Repository::parse(repository).unwrap(),
            name: Arc::from("build"),
            workflow: None,
            labels: Labels::new(["self-hosted"]),
        }),
        version: Version::FIRST,
        created_at,
        timeline: Timeline::begin(JobStage::Queued, created_at),
        recorded_late_at: None,
        asked_at: None,
        failing: None,
        held: None,
        state: JobState::Queued { assignment, wait: Code::ToPlan.into() },
    }
}

/// The jobs that each hold holds, by the hold's name.
fn held(holds: &[(Held, Fault)], waits: &[(Job, Code)]) -> Vec<(String, Vec<u64>)> {
    let mut open = Open::of(waits.iter().map(|(job, _)| job.clone()), []);
    for (held, fault) in holds {
        open.add_hold(Hold::after(None, held.clone(), &Failure::of(*fault, "words", at(0), at(1))));
    }
    let reasons = waits.iter().map(|(job, code)| (job.id(), Reason::from(*code))).collect();
    let catalogue = Catalogue::read(&serde_json::from_str(CLASSES).unwrap()).0;
    let view = DeploymentView::of(&open, &reasons, &catalogue);
    view.holds.into_iter().map(|hold| (hold.name, hold.jobs)).collect()
}

#[test]
fn a_hold_names_the_jobs_that_wait_for_it_the_oldest_first() {
    let pool = PoolId::parse("aaaaaaaaaa").unwrap();
    let waits = [
        (job(1, "acme/app", "small", "aaaaaaaaaa"), Code::PoolHeld),
        (job(2, "acme/app", "small", "aaaaaaaaaa"), Code::PoolHeld),
        (job(3, "acme/app", "small", "bbbbbbbbbb"), Code::PoolHeld),
        (job(4, "acme/app", "small", "aaaaaaaaaa"), Code::LimitClass),
    ];
    let holds = [(Held::Pool(pool), Fault::NotConnected)];
    assert_eq!(held(&holds, &waits), [("aaaaaaaaaa".to_owned(), vec![2, 1])]);
}

#[test]
fn a_hold_of_github_covers_its_repositories_alone() {
    let scope = Scope::Repository(Repository::parse("acme/app").unwrap());
    let account = Repository::parse("other/lib").unwrap().account();
    let waits = [
        (job(1, "acme/app", "small", "aaaaaaaaaa"), Code::ScopeHeld),
        (job(2, "acme/lib", "small", "bbbbbbbbbb"), Code::ScopeHeld),
        (job(3, "other/lib", "small", "cccccccccc"), Code::GithubUnavailable),
    ];
    let holds = [(Held::Scope(scope), Fault::RegistrationRefused), (Held::Account(account), Fault::NoAnswer)];
    assert_eq!(held(&holds, &waits), [("acme/app".to_owned(), vec![1]), ("other".to_owned(), vec![3])]);
}

#[test]
fn a_placement_without_capacity_holds_jobs_of_its_architecture() {
    let subnet = Some(SubnetId::parse("subnet-0a1b2c3d").unwrap());
    let placement = Placement::fargate(Market::Spot, subnet);
    let waits = [
        (job(1, "acme/app", "small", "aaaaaaaaaa"), Code::NoCapacity),
        (job(2, "acme/app", "large", "bbbbbbbbbb"), Code::NoCapacity),
    ];
    let holds = [(Held::placement(placement, Arch::Arm64), Fault::NoCapacity)];
    let expected = "FARGATE_SPOT in subnet-0a1b2c3d, arm64".to_owned();
    assert_eq!(held(&holds, &waits), [(expected, vec![2])]);
}

#[test]
fn a_job_that_waits_names_its_hold_and_the_time_of_the_next_try() {
    let scope = Scope::Repository(Repository::parse("acme/app").unwrap());
    let account = Repository::parse("acme/app").unwrap().account();
    let job = job(1, "acme/app", "small", "aaaaaaaaaa");
    let catalogue = Catalogue::read(&serde_json::from_str(CLASSES).unwrap()).0;
    let mut open = Open::of([job.clone()], []);
    open.add_hold(Hold::after(
        None,
        Held::Scope(scope),
        &Failure::of(Fault::NoAnswer, "words", at(0), at(1)),
    ));
    open.add_hold(Hold::throttled(None, account, "words", at(1), at(90)));
    let subnet = |name: &str| Placement::fargate(Market::Spot, Some(SubnetId::parse(name).unwrap()));
    for (name, secs) in [("subnet-0a1b2c3d", 100), ("subnet-1a1b2c3d", 200)] {
        let held = Held::class_in(ClassName::parse("small").unwrap(), subnet(name));
        let failure = Failure::of(Fault::ImagePull, "words", at(secs - 1), at(secs));
        open.add_hold(Hold::after(None, held, &failure));
    }
    let told = |code: Code| {
        let reasons = [(job.id(), Reason::from(code))].into();
        let hold = crate::job::JobView::planned(&job, &open, &reasons, &catalogue).hold;
        hold.map(|hold| (hold.fault, hold.not_before))
    };
    assert_eq!(told(Code::GithubUnavailable), Some(("throttled".to_owned(), at(90))), "the last of both");
    assert_eq!(
        told(Code::ClassHeld),
        Some(("image_pull".to_owned(), at(102))),
        "the first place that is tried"
    );
    assert_eq!(told(Code::LimitClass), None);
}
