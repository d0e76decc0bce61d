//! Which jobs and runners count as ours: runs that policy judges, and runners that only look like ours.

use super::*;

#[test]
fn what_started_a_run_is_judged_before_a_launch_where_the_deployment_wants_it() {
    let mut settings = settings();
    settings.check_runs = true;
    settings.policy.events = vec!["push".to_owned()];
    let catalogue = catalogue();
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let [Change::Job(job)] = &record(&queued(7), &Records::default(), rules).changes[..] else {
        panic!("one job")
    };
    let open = Open::of([job.clone()], []);
    let first = plan(&open, rules, Means::default(), at(20));
    assert_eq!((first.launches, first.questions), (vec![], vec![Question::Run(JobId::new(7))]));
    let records = Records { job: Some(JobRecord::Open(job.clone())), ..Records::default() };
    let told = |event: &str, head: &str| {
        let outcome = RunOutcome::Found {
            event: event.into(),
            head_repository: Some(crate::id::Repository::parse(head).unwrap()),
            private: Some(true),
        };
        let answer = RunAnswer { job: JobId::new(7), asked: job.version, outcome, at: at(30) };
        record(&Event::RunAnswer(answer), &records, rules)
    };
    let allowed = told("push", "acme/app");
    let [Change::Job(job)] = &allowed.changes[..] else { panic!("it is open still") };
    assert!(matches!(&job.state, JobState::Queued { wait, .. } if wait.code() == Code::ToPlan));
    assert_eq!(told("pull_request", "acme/app").outcome.reason().code(), Code::EventNotAllowed);
    assert_eq!(told("push", "mallory/app").outcome.reason().code(), Code::ForkNotAllowed);
}

#[test]
fn a_run_whose_commit_may_be_a_forks_is_refused_before_a_launch() {
    let mut settings = settings();
    settings.check_runs = true;
    let catalogue = catalogue();
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let [Change::Job(job)] = &record(&queued(7), &Records::default(), rules).changes[..] else {
        panic!("one job")
    };
    let records = Records { job: Some(JobRecord::Open(job.clone())), ..Records::default() };
    let told = |event: &str, head: Option<&str>, private| {
        let head_repository = head.map(|head| crate::id::Repository::parse(head).unwrap());
        let outcome = RunOutcome::Found { event: event.into(), head_repository, private };
        let answer = RunAnswer { job: JobId::new(7), asked: job.version, outcome, at: at(30) };
        let recorded = record(&Event::RunAnswer(answer), &records, rules);
        recorded.outcome.reason().code()
    };
    let own = Some("acme/app");
    for event in ["deployment", "deployment_status"] {
        assert_eq!(told(event, own, Some(true)), Code::ForkNotAllowed, "{event}");
    }
    assert_eq!(told("pull_request", None, Some(true)), Code::ForkNotAllowed, "its fork is gone");
    assert_eq!(told("push", own, None), Code::RepositoryPublic);
    for event in ["push", "schedule", "merge_group", "workflow_run", "pull_request"] {
        assert_eq!(told(event, own, Some(true)), Code::Recorded, "{event}");
    }
}

/// A job that is not served, for its repository or its label, begins on this runner.
fn foreign(repository: &str, label: &str, runner: &str) -> Event {
    Event::Job(JobEvent {
        action: JobAction::InProgress { runner: TakenBy::from_name(Some(runner)), started_at: Some(at(100)) },
        facts: job_facts(9, repository, &[label, "class:small"]),
        private: Some(true),
        created_at: Some(at(0)),
        received_at: at(110),
    })
}

#[test]
fn a_job_on_a_runner_that_only_looks_like_ours_makes_no_record() {
    let other = RUNNER.replace("fav", "fbw");
    for runner in [RUNNER, &other] {
        let mut book = Book::default();
        assert_eq!(
            book.tell(&foreign("other/app", "self-hosted", runner)).outcome.reason().code(),
            Code::NotOurs
        );
        assert!(book.jobs.is_empty(), "no such runner is on record");
    }
    let mut book = Book::with_runner();
    let before = book.runners.clone();
    assert_eq!(
        book.tell(&foreign("other/app", "self-hosted", RUNNER)).outcome.reason().code(),
        Code::NotOurs
    );
    assert!(book.jobs.len() < 2, "its scope does not cover that repository");
    assert_eq!(book.runners, before);
}

#[test]
fn a_job_that_is_not_served_is_recorded_if_a_runner_of_ours_got_it() {
    let mut book = Book::with_runner();
    let organization = crate::id::Organization::parse("acme").unwrap();
    for runner in book.runners.values_mut() {
        let group = crate::id::RunnerGroupId::new(1);
        runner.facts.scope =
            crate::rules::pool::Scope::Organization { organization: organization.clone(), group };
    }
    let told = book.tell(&foreign("acme/elsewhere", "of-others", RUNNER));
    assert_eq!(told.outcome.reason().code(), Code::Recorded);
    assert!(book.jobs.contains_key(&JobId::new(9)));
    assert!(matches!(book.runners.values().next().unwrap().state, RunnerState::Busy { .. }));
}
