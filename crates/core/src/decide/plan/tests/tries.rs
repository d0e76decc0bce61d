//! When a plan looks again at what is held back.

use super::*;

fn plan_of(open: &Open, now: i64) -> Plan {
    let (settings, catalogue) = (settings(), catalogue());
    plan(open, Rules { settings: &settings, catalogue: &catalogue }, Means::default(), at(now))
}

fn failed_at(held: Held, secs: i64) -> Hold {
    Hold::after(None, held, &Failure::of(Fault::NotConnected, "words", at(secs), at(secs)))
}

#[test]
fn a_held_pool_is_looked_at_when_a_try_is_due_and_every_ten_seconds_while_one_is_under_way() {
    let seven = job(7, 0);
    let hold = failed_at(Held::Pool(seven.assignment().unwrap().pool.clone()), 10);
    let due = hold.not_before;
    let mut open = Open::of([seven.clone()], []);
    open.add_hold(hold);
    let before = plan_of(&open, 11);
    assert_eq!((before.launches.len(), before.next_at), (0, Some(due)));
    let due = due.as_second() - at(0).as_second();
    assert_eq!(plan_of(&open, due).launches.len(), 1);
    // Its success may come without an event that alters the plan.
    let eight = job(8, 1);
    open.add_job(eight);
    open.add_runner(Runner { probe: true, ..runner(&seven, 1, RunnerStage::Starting, due) });
    let tried = plan_of(&open, due + 1);
    assert_eq!((tried.launches.len(), tried.next_at), (0, Some(at(due + 11))));
}

#[test]
fn a_scope_is_tried_for_a_runner_that_is_reserved_there_although_no_job_waits() {
    let seven = job(7, 0);
    let reserved = runner(&seven, 1, RunnerStage::Reserved, 10);
    let scope = reserved.facts.scope.clone();
    let refusal = Failure::of(Fault::RegistrationRefused, "403", at(10), at(10));
    let hold = Hold::after(None, Held::Scope(scope.clone()), &refusal);
    let due = hold.not_before;
    // Its RunTask has no answer, so it cannot be given back.
    let mut open = Open::of([], [reserved]);
    open.add_hold(hold);
    let before = plan_of(&open, 11);
    assert_eq!((before.probes.len(), before.next_at), (0, Some(due)));
    let later = plan_of(&open, due.as_second() - at(0).as_second());
    assert_eq!(later.probes, [Probe { account: scope.owner(), scope, failures: 1 }]);
}
