//! What is launched while a scope, a pool, a class or an account is held.

use super::*;

#[test]
fn a_held_scope_holds_back_its_own_jobs_only() {
    let jobs = [job_in("acme/app", "small", 1, 0), job_in("acme/web", "small", 2, 0)];
    let held = Held::Scope(Scope::Repository(jobs[0].facts.repository.clone()));
    let (settings, catalogue) = (settings(), catalogue());
    let mut open = Open::of(jobs.to_vec(), []);
    open.add_hold(Hold::after(None, held, &Failure::of(Fault::RegistrationRefused, "403", at(0), at(0))));
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let first = plan(&open, rules, Means::default(), at(1));
    assert_eq!(first.launches.iter().map(|launch| launch.job.get()).collect::<Vec<_>>(), [2]);
    assert_eq!(first.waits[0].reason.code(), Code::ScopeHeld);
    assert_eq!(first.probes, []);
    let later = plan(&open, rules, Means::default(), at(300));
    let scope = Scope::Repository(jobs[0].facts.repository.clone());
    assert_eq!(later.probes, [Probe { account: scope.owner(), scope, failures: 1 }]);
    assert_eq!(later.launches.len(), 1, "a probe is no launch");
}

/// Returns the jobs for which runners are launched while this is held, and the code of the first job that waits.
fn launched_while(hold: &Hold, jobs: &[Job], runners: &[Runner], now: i64) -> (Vec<u64>, Option<Code>) {
    launched_under(&[hold], jobs, runners, now)
}

fn launched_under(holds: &[&Hold], jobs: &[Job], runners: &[Runner], now: i64) -> (Vec<u64>, Option<Code>) {
    let (settings, catalogue) = (settings(), catalogue());
    let mut open = Open::of(jobs.to_vec(), runners.to_vec());
    holds.iter().for_each(|hold| open.add_hold((*hold).clone()));
    let plan = plan(&open, Rules { settings: &settings, catalogue: &catalogue }, Means::default(), at(now));
    let launched: Vec<u64> = plan.launches.iter().map(|launch| launch.job.get()).collect();
    let waits = plan.waits.iter().find(|wait| !launched.contains(&wait.job.get()));
    (launched, waits.map(|wait| wait.reason.code()))
}

#[test]
fn a_pool_whose_runners_fail_gets_one_probe_at_a_time_and_others_are_served() {
    let jobs = [job(1, 0), job(2, 1), job_in("acme/web", "small", 3, 2)];
    let pool = jobs[0].assignment().unwrap().pool.clone();
    let hold = Hold::after(None, Held::Pool(pool), &Failure::of(Fault::NotConnected, "words", at(0), at(3)));
    let due = hold.not_before.as_second() - 1_764_000_000;
    assert_eq!(launched_while(&hold, &jobs, &[], due - 1), (vec![3], Some(Code::PoolHeld)));
    assert_eq!(launched_while(&hold, &jobs, &[], due), (vec![1, 3], Some(Code::PoolHeld)));
    let starting = runner(&jobs[0], 1, RunnerStage::Starting, 4);
    assert_eq!(launched_while(&hold, &jobs, &[starting], due).0, [3], "it is the probe");
    let older = runner(&jobs[0], 1, RunnerStage::Booted, 1);
    assert_eq!(launched_while(&hold, &jobs, &[older], due).0, [2, 3], "it was launched before the failure");
    let busy = runner(&jobs[0], 1, RunnerStage::Busy, 1);
    assert_eq!(launched_while(&hold, &jobs, &[busy], due).0, [2, 3], "busy runners are no probe");
}

#[test]
fn a_try_that_got_a_job_counts_as_one_until_its_hook_has_judged() {
    let jobs = [job(1, 0), job(2, 1)];
    let pool = Held::Pool(jobs[0].assignment().unwrap().pool.clone());
    let refused = |before: Option<&Hold>, secs| {
        Hold::after(before, pool.clone(), &Failure::of(Fault::JobRefused, "words", at(secs), at(secs)))
    };
    let (one, two) = (refused(None, 1), refused(Some(&refused(None, 1)), 2));
    assert_eq!(launched_while(&two, &jobs, &[], 3).0, [1, 2], "two may be a slip: {one:?}");
    let hold = refused(Some(&two), 3);
    let due = hold.not_before.as_second() - 1_764_000_000;
    assert_eq!(launched_while(&hold, &jobs, &[], due - 1), (vec![], Some(Code::PoolRefused)));
    assert_eq!(launched_while(&hold, &jobs, &[], due).0, [1]);
    let mut busy = runner(&jobs[0], 1, RunnerStage::Busy, 10);
    busy.probe = true;
    assert_eq!(launched_while(&hold, &jobs, from_ref(&busy), due).0, [0; 0], "it may be refused");
    assert_eq!(launched_while(&hold, &jobs, &[busy], 311).0, [2], "it was not refused");
}

#[test]
fn a_runner_that_nobody_uses_is_not_replaced_while_its_pool_is_held_for_that() {
    let seven = job(7, 0);
    let idle = runner(&seven, 1, RunnerStage::Booted, 5);
    let pool = Held::Pool(seven.assignment().unwrap().pool.clone());
    let after = |before: Option<&Hold>, began, at_secs| {
        Hold::after(before, pool.clone(), &Failure::of(Fault::NoJob, "words", at(began), at(at_secs)))
    };
    let hold = after(None, 0, 4);
    let none = (vec![], Some(Code::PoolUnused));
    assert_eq!(launched_while(&hold, from_ref(&seven), from_ref(&idle), 1000), none);
    // Another one, that was launched before the hold, fails while this one tries the pool.
    let again = after(Some(&hold), 1, 20);
    assert_eq!(launched_while(&again, from_ref(&seven), &[idle], 1000), none);
}

#[test]
fn a_class_that_is_only_suspected_is_launched_as_ever_and_a_held_one_once_at_a_time() {
    let jobs = [job(1, 0), job_in("acme/web", "small", 2, 1), job_in("acme/app", "large", 3, 2)];
    let pools = ["aaaaaaa234", "bbbbbbb234", "ccccccc234"].map(|pool| PoolId::parse(pool).unwrap());
    let subnets = ["subnet-aaaa1111", "subnet-bbbb2222"].map(|subnet| {
        Placement::fargate(crate::rules::cost::Market::OnDemand, Some(SubnetId::parse(subnet).unwrap()))
    });
    let mut hold = None;
    let mut launched = Vec::new();
    for (number, pool) in pools.iter().enumerate() {
        let failure = Failure {
            pool: Some(pool),
            placement: Some(&subnets[number % 2]),
            ..Failure::of(Fault::NotConnected, "words", at(0), at(3))
        };
        let held = Held::Class(ClassName::parse("small").unwrap());
        let next = Hold::after(hold.as_ref(), held, &failure);
        launched.push(launched_while(&next, &jobs, &[], 3).0);
        hold = Some(next);
    }
    assert_eq!(launched, [vec![1, 2, 3], vec![1, 2, 3], vec![3]]);
    let hold = hold.unwrap();
    let due = hold.not_before.as_second() - 1_764_000_000;
    assert_eq!(
        launched_while(&hold, &jobs, &[], due),
        (vec![2, 3], Some(Code::ClassHeld)),
        "pools take turns"
    );
    // A try that GitHub does not register shows nothing, so another repository's runner tries the class.
    let reserved = runner(&jobs[0], 1, RunnerStage::Reserved, due);
    let refusal = Failure::of(Fault::RegistrationRefused, "words", at(due), at(due));
    let scope = Hold::after(None, Held::Scope(reserved.facts.scope.clone()), &refusal);
    let launched = |holds: &[&Hold]| launched_under(holds, &jobs, from_ref(&reserved), due + 1).0;
    assert_eq!(launched(&[&hold]), [3]);
    assert_eq!(launched(&[&hold, &scope]), [2]);
}

#[test]
fn an_account_that_rests_launches_nothing_and_tries_one_scope() {
    let jobs = [job(1, 0), job_in("acme/web", "small", 2, 1)];
    let account = Account::parse("acme").unwrap();
    let hold = Hold::throttled(None, account.clone(), "retry-after", at(0), at(60));
    assert_eq!(launched_while(&hold, &jobs, &[], 59), (vec![], Some(Code::GithubUnavailable)));
    let (settings, catalogue) = (settings(), catalogue());
    let mut open = Open::of(jobs.to_vec(), []);
    open.add_hold(hold);
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    assert_eq!(plan(&open, rules, Means::default(), at(59)).next_at, Some(at(60)));
    let due = plan(&open, rules, Means::default(), at(60));
    assert_eq!((due.launches.len(), due.probes.len()), (0, 1), "a registration alone shows it");
}
