//! When and how a plan tries again what is held back, and what counts meanwhile.

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

#[test]
fn of_the_scopes_of_an_account_the_one_that_failed_least_is_tried() {
    let jobs = [job_in("acme/app", "small", 1, 0), job_in("acme/web", "small", 2, 1)];
    let (settings, catalogue) = (settings(), catalogue());
    let refusal = Failure::of(Fault::RegistrationRefused, "403", at(0), at(0));
    for [first, second] in [[3, 1], [1, 3]] {
        let mut open = Open::of(jobs.to_vec(), []);
        for (job, failures) in jobs.iter().zip([first, second]) {
            let scope = Held::Scope(settings.registration.scope(&job.facts.repository));
            open.add_hold(Hold { failures, ..Hold::after(None, scope, &refusal) });
        }
        let rules = Rules { settings: &settings, catalogue: &catalogue };
        let probes = plan(&open, rules, Means::default(), at(7200)).probes;
        assert_eq!(probes.iter().map(|probe| probe.failures).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn each_further_try_of_a_pool_begins_with_another_subnet() {
    let (settings, catalogue) = (settings(), catalogue());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let subnets = ["subnet-aaaa1111", "subnet-bbbb2222"].map(|id| SubnetId::parse(id).unwrap());
    let seven = job(7, 0);
    let tried = |failures| {
        let hold = failed_at(Held::Pool(seven.assignment().unwrap().pool.clone()), 10);
        let mut open = Open::of([seven.clone()], []);
        open.add_hold(Hold { failures, ..hold });
        let means = Means { subnets: &subnets, ..Means::default() };
        plan(&open, rules, means, at(7200)).launches[0].order.placement.subnet.clone()
    };
    assert_ne!(tried(1), tried(2));
    assert_eq!(tried(1), tried(3));
}

#[test]
fn a_runner_whose_task_has_stopped_takes_no_slot() {
    let mut settings = settings();
    settings.limits.max_runners = 1;
    let (seven, eight) = (job(7, 0), job(8, 1));
    let ending = runner(&seven, 1, RunnerStage::Booted, 5).end(EndingKind::IdleTimeout, None, at(10));
    let told = |runner: &Runner| tell_with(&settings, from_ref(&eight), from_ref(runner), 20);
    assert_eq!(told(&ending), "8 waits: limit_deployment");
    let RunnerState::Ending(mut stopped) = ending.state.clone() else { panic!("{ending:?}") };
    stopped.task = crate::records::runner::TaskLeft::Stopped { task: None, at: at(15) };
    let stopped = ending.with_state(RunnerState::Ending(stopped), at(15));
    assert_eq!(told(&stopped), "launch for 8 (demand 1, supply 0)");
}

#[test]
fn of_several_doubtful_runners_of_a_pool_one_is_replaced_at_a_time() {
    let jobs = [job(1, 0), job(2, 1), job(3, 2)];
    let booted = |number: u64, since| runner(&jobs[number as usize - 1], number, RunnerStage::Booted, since);
    let runners = [booted(1, 5), booted(2, 5), booted(3, 5)];
    assert_eq!(tell(&jobs, &runners, 1000).matches("launch for").count(), 1);
    // The second one is on its way.
    let replacement = runner(&jobs[2], 4, RunnerStage::Starting, 1000);
    let runners = [runners.to_vec(), vec![replacement]].concat();
    assert_eq!(tell(&jobs, &runners, 1001).matches("launch for").count(), 0);
}

#[test]
fn a_runner_that_waits_keeps_the_limits_with_which_it_was_started() {
    let mut settings = settings();
    let mut booted = runner(&job(1, 0), 1, RunnerStage::Booted, 0);
    settings.limits.idle_limit_secs = 4 * 3600;
    booted.facts.wait_limits = Some(settings.limits.waiting());
    settings.limits.idle_limit_secs = 60;
    let life = settings.limits.waiting().longest_life(booted.facts.max_job_minutes).as_secs();
    assert!(!tell_with(&settings, &[], from_ref(&booted), life + 1).contains("retire"));
    let life = booted.facts.wait_limits.unwrap().longest_life(booted.facts.max_job_minutes).as_secs();
    assert!(tell_with(&settings, &[], from_ref(&booted), life).contains("retire"));
}

#[test]
fn github_is_asked_nothing_while_it_rests() {
    let seven = job(7, 0);
    let gone = runner(&seven, 1, RunnerStage::Busy, 1).name().clone();
    let taken =
        Job { state: JobState::InProgress { assignment: None, runner: TakenBy::Ours(gone) }, ..seven };
    let account = Account::parse("acme").unwrap();
    let mut open = Open::of([taken], []);
    assert_eq!(plan_of(&open, 100).questions.len(), 1);
    open.add_hold(Hold::throttled(None, account, "retry-after", at(90), at(600)));
    assert_eq!(plan_of(&open, 100).questions.len(), 0);
    assert_eq!(plan_of(&open, 600).questions.len(), 1, "one question shows whether it answers again");
}

#[test]
fn a_job_at_work_has_five_minutes_more_than_its_limit_until_its_task_is_stopped() {
    assert_eq!(longest_work(60).as_secs(), 65 * 60);
}
