use std::time::Duration;

use ecsrunner_core::id::{Organization, RunnerGroupId};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::Failure;
use ecsrunner_core::records::rerun::{Rerun, RerunId, RerunKey, RerunRecord, RerunState};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::wire::fault::Fault;

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

#[test]
fn one_call_at_a_time_tries_a_scope_that_rests_and_none_before_its_time() {
    let cache = Cache::default();
    let scope = Scope::Repository(Repository::parse("acme/app").unwrap());
    let account = scope.owner();
    let enter = |now| cache.enter_github(Call::Registration, &scope, &account, at(now));
    let (one, other) = (enter(0).unwrap(), enter(0).unwrap());
    drop((one, other));
    let failure = Failure::of(Fault::NoAnswer, "502", at(0), at(0));
    cache.add_hold(Hold::after(None, Held::Scope(scope.clone()), &failure), at(0));
    assert_eq!(enter(0).unwrap_err(), at(1));
    let trying = enter(1).unwrap();
    assert_eq!(enter(1).unwrap_err(), at(2));
    drop(trying);
    assert!(enter(1).is_ok());
    let elsewhere = Scope::Repository(Repository::parse("acme/web").unwrap());
    assert!(cache.enter_github(Call::Registration, &elsewhere, &account, at(0)).is_ok(), "another scope");
}

#[test]
fn an_account_that_rests_rests_in_all_its_scopes() {
    let cache = Cache::default();
    let scope = Scope::Repository(Repository::parse("acme/app").unwrap());
    let account = scope.owner();
    cache.add_hold(Hold::throttled(None, account.clone(), "retry-after", at(0), at(3600)), at(0));
    assert_eq!(cache.enter_github(Call::Registration, &scope, &account, at(60)).unwrap_err(), at(3600));
    assert!(cache.enter_github(Call::Registration, &scope, &account, at(3600)).is_ok());
}

#[test]
fn an_answer_that_was_under_way_at_a_refusal_ends_no_rest() {
    let cache = Cache::default();
    let scope = Scope::Repository(Repository::parse("acme/app").unwrap());
    let account = scope.owner();
    cache.add_hold(Hold::throttled(None, account.clone(), "retry-after", at(10), at(60)), at(10));
    assert_eq!(cache.answered(Call::Other, &scope, &account, at(9), at(11)), []);
    let held = Held::Account(account.clone());
    assert_eq!(cache.answered(Call::Other, &scope, &account, at(60), at(61)), [Change::Released(held)]);
}

#[test]
fn an_answered_read_leaves_a_refused_scope_refused() {
    let cache = Cache::default();
    let scope = Scope::Repository(Repository::parse("acme/app").unwrap());
    let account = scope.owner();
    let held = Held::Scope(scope.clone());
    let refused = Failure::of(Fault::RegistrationRefused, "403", at(0), at(0));
    let before = Hold::after(None, held.clone(), &refused);
    let unanswered = |before: &Hold| {
        Hold::after(Some(before), held.clone(), &Failure::of(before.fault.unanswered(), "502", at(3), at(10)))
    };
    let silent = unanswered(&unanswered(&before));
    assert_eq!(silent.fault, Fault::RefusedUnanswered);
    cache.add_hold(silent.clone(), at(10));
    let changes = cache.answered(Call::Other, &scope, &account, at(60), at(61));
    let expected = Hold { fault: Fault::RegistrationRefused, not_before: at(61), ..silent.clone() };
    assert_eq!(changes, [Change::Hold(expected)]);
    assert_eq!(cache.hold(&held).map(|hold| hold.fault), Some(Fault::RegistrationRefused));
    cache.add_hold(silent, at(62));
    let changes = cache.answered(Call::Registration, &scope, &account, at(70), at(71));
    assert_eq!(changes, [Change::Released(held)], "GitHub registers again");
}

#[test]
fn what_an_effect_learnt_during_a_read_is_laid_over_what_was_read() {
    let cache = Cache::default();
    let held =
        Held::Account(Repository::parse("acme/app").map(|app| Scope::Repository(app).owner()).unwrap());
    let Held::Account(account) = &held else { panic!("{held:?}") };
    let hold = Hold::throttled(None, account.clone(), "retry-after", at(10), at(60));
    cache.add_hold(hold.clone(), at(10));
    let mut open = Open::default();
    cache.refresh(&mut open, &Paces::default(), at(9), at(9));
    assert_eq!(open.holds.get(&held), Some(&hold), "the read began before");
    cache.remove_hold(&held, at(20));
    let mut open = Open::default();
    open.add_hold(hold.clone());
    cache.refresh(&mut open, &Paces::default(), at(19), at(19));
    assert!(open.holds.is_empty(), "it was ended during the read");
    let mut open = Open::default();
    open.add_hold(hold.clone());
    cache.refresh(&mut open, &Paces::default(), at(30), at(30));
    assert_eq!(open.holds.len(), 1, "another process has written it since");
    cache.add_hold(hold.clone(), at(31));
    cache.written(&held, false, at(31));
    let mut open = Open::default();
    cache.refresh(&mut open, &Paces::default(), at(100), at(100));
    assert_eq!(open.holds.len(), 1, "it could not be written");
}

#[test]
fn a_hold_that_could_not_be_written_is_forgotten_once_a_round_has_released_it() {
    let cache = Cache::default();
    let account = Repository::parse("acme/app").map(|app| Scope::Repository(app).owner()).unwrap();
    let hold = Hold::throttled(None, account, "retry-after", at(10), at(60));
    cache.add_hold(hold.clone(), at(10));
    cache.written(&hold.held, false, at(10));
    let mut open = Open::default();
    cache.refresh(&mut open, &Paces::default(), at(100_000), at(100_000));
    assert_eq!(open.holds.len(), 1);
    cache.learn(&[Change::Released(hold.held.clone())]);
    let mut open = Open::default();
    cache.refresh(&mut open, &Paces::default(), at(100_001), at(100_001));
    assert!(open.holds.is_empty(), "each round would release it again");
}

#[test]
fn a_new_lease_knows_nothing_of_what_an_earlier_one_had_not_asked_for() {
    let cache = Cache::default();
    let runner = RunnerName::parse("ecsr-sim-zvwt7jkrb7-01kdvdna8nvj45q24a7kw9076g").unwrap();
    let bucket = Bucket::Fargate(Market::OnDemand);
    cache.add_unasked(&runner, 1);
    cache.take_slot(&runner, &bucket);
    assert!(cache.is_unasked(&runner, 1) && cache.has_slot(&runner, &bucket));
    assert!(!cache.is_unasked(&runner, 2), "another attempt");
    cache.begin_lease();
    // Another process may have asked for it since, and used the slot.
    assert!(!cache.is_unasked(&runner, 1) && !cache.has_slot(&runner, &bucket));
}

#[test]
fn a_runner_of_an_organization_is_told_no_rerun_and_one_of_a_repository_its_own() {
    let rerun = |repository: &str, run: u64| {
        let id = RerunId {
            repository: Repository::parse(repository).unwrap(),
            run: RunId::new(run),
            name: "build".into(),
        };
        let rerun = Rerun {
            id: id.clone(),
            job: JobId::new(run),
            class: None,
            latest: 2,
            made: 2,
            times: 1,
            cause: Code::SpotInterrupted.into(),
            state: RerunState::Made,
            checks: 0,
            refusals: 0,
            not_before: at(0),
            since: at(0),
        };
        (RerunKey::Rerun(id), RerunRecord::Rerun(rerun))
    };
    let mut open = Open {
        reruns: [rerun("acme/app", 1), rerun("acme/web", 2)].into_iter().collect(),
        ..Open::default()
    };
    let cache = Cache::default();
    cache.refresh(&mut open, &Paces::default(), at(0), at(0));
    let told = |scope: &Scope| -> Vec<u64> {
        cache.reruns_for(scope).into_iter().map(|again| again.run.get()).collect()
    };
    assert_eq!(told(&Scope::Repository(Repository::parse("acme/app").unwrap())), [1]);
    // GitHub may give it a job of any repository, and that can read what its runner was told.
    let organization = Organization::parse("acme").unwrap();
    assert_eq!(told(&Scope::Organization { organization, group: RunnerGroupId::new(1) }), [0; 0]);
}

#[test]
fn after_the_clock_was_set_back_nothing_of_before_is_laid_over_what_was_read() {
    let cache = Cache::default();
    let (bucket, paces) = (Bucket::Fargate(Market::OnDemand), Paces::default());
    cache.set_level(&bucket, Some(Level(at(3600))));
    let account = Repository::parse("acme/app").map(|app| Scope::Repository(app).owner()).unwrap();
    cache.add_hold(Hold::throttled(None, account, "retry-after", at(3600), at(3660)), at(3600));
    assert_eq!(cache.believed_level(&bucket, &paces, at(0)), None);
    let mut open = Open::default();
    open.levels.insert(bucket.clone(), Level(at(2)));
    cache.refresh(&mut open, &paces, at(0), at(0));
    assert_eq!(open.levels, HashMap::from([(bucket.clone(), Level(at(2)))]), "the lower level is of now");
    assert!(open.holds.is_empty(), "the write that was under way has landed");
    cache.throttled(Market::OnDemand, Duration::from_secs(2), at(3600), at(3600));
    assert_eq!(cache.launch_rests_until(Market::OnDemand, at(3600)), Some(at(3602)));
    assert_eq!(cache.launch_rests_until(Market::OnDemand, at(0)), None);
}
