use ecsrunner_core::records::hold::Failure;

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
    cache.add_hold(Hold::after(None, Held::Scope(scope.clone()), &failure));
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
    cache.add_hold(Hold::throttled(None, account.clone(), "retry-after", at(0), at(3600)));
    assert_eq!(cache.enter_github(Call::Registration, &scope, &account, at(60)).unwrap_err(), at(3600));
    assert!(cache.enter_github(Call::Registration, &scope, &account, at(3600)).is_ok());
}
