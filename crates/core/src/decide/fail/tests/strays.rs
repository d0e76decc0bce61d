//! Runners that fail jobs, and other jobs that GitHub could give them or has given them.

use super::*;

#[test]
fn no_such_runner_is_launched_while_github_could_give_it_a_job_that_asks_for_fewer_labels() {
    let sure = confirmed(&refused(), 15);
    let other = |labels: &[&str], repository: &str| {
        let queued = queued(&["self-hosted"], &settings()).unwrap();
        Job { facts: job_facts(8, repository, labels), ..queued }
    };
    let failed = |other: Job| {
        let plan = planned(&Open::of([sure.clone(), other], []), &settings(), 16);
        plan.launches.iter().filter(|launch| launch.order.fails()).count()
    };
    assert_eq!(failed(other(&["self-hosted"], "acme/app")), 0, "it asks for a part of the labels");
    assert_eq!(failed(other(&["self-hosted"], "acme/web")), 1, "another repository's");
    assert_eq!(failed(other(&["self-hosted", "class:small"], "acme/app")), 1, "other labels");
}

#[test]
fn a_class_that_is_closed_to_a_repository_is_failed_where_no_other_repository_shares_its_runners() {
    let refusal = |settings: &Settings| {
        let facts = job_facts(7, "acme/web", &["self-hosted", "class:large"]);
        let event = JobEvent { facts, ..event(7, &UNKNOWN, JobAction::Queued, 0) };
        with(settings, |rules| record(&Event::Job(event), &Records::default(), rules)).changes
    };
    assert!(matches!(refusal(&settings()).as_slice(), [Change::Job(_)]));
    let organization = crate::id::Organization::parse("acme").unwrap();
    let registration = Registration::Organization { organization, group: crate::id::RunnerGroupId::new(1) };
    let shared = Settings { registration, ..settings() };
    assert!(matches!(refusal(&shared).as_slice(), [Change::JobEnded(_)]));
}

#[test]
fn a_job_whose_runner_failed_another_one_gets_one_more() {
    let (first, second) = (confirmed(&refused(), 15), JobId::new(8));
    let runner = failing_runner(&first, &plan_of(&first, 15));
    let facts = job_facts(8, "acme/app", &UNKNOWN);
    let other = Job { facts, ..refused() };
    let taken = TakenBy::Ours(runner.name().clone());
    let began = JobAction::InProgress { runner: taken, started_at: Some(at(17)) };
    let changes = tell(&Event::Job(event(8, &UNKNOWN, began, 17)), &other, Some(&runner));
    let strayed = changes.iter().find_map(|change| match change {
        Change::Runner(runner) => Some(runner.clone()),
        _ => None,
    });
    let strayed = strayed.unwrap();
    assert_eq!(strayed.names_job(), Some(second));
    let missed = planned(&Open::of([launched(&first)], [strayed.clone()]), &settings(), 17).missed;
    assert_eq!(missed, [first.id()]);
    let again = launched(&first).missed_by_its_runner().unwrap();
    assert_eq!(planned(&Open::of([again], [strayed]), &settings(), 17).launches.len(), 1);
}

#[test]
fn github_is_asked_nothing_while_its_runner_could_not_be_launched() {
    let other = queued(&["self-hosted"], &settings()).unwrap();
    let other = Job { facts: job_facts(8, "acme/app", &["self-hosted"]), ..other };
    let plan = planned(&Open::of([refused(), other], []), &settings(), 16);
    assert!(!plan.questions.contains(&Question::Run(JobId::new(7))), "{:?}", plan.questions);
}

#[test]
fn a_runner_is_for_its_own_job_however_many_older_ones_have_lost_theirs() {
    let own = |id| Job { facts: job_facts(id, "acme/app", &UNKNOWN), created_at: at(id as i64), ..refused() };
    let younger = confirmed(&own(20), 15);
    let runner = failing_runner(&younger, &plan_of(&younger, 15));
    let lost = (1..=10).map(|id| launched(&own(id)));
    let reserved = younger.reserved_to_fail(&Code::ClassUnknown.into()).unwrap();
    let plan = planned(&Open::of(lost.chain([reserved]), [runner]), &settings(), 16);
    assert_eq!((plan.launches.len(), plan.retirements.len()), (0, 0), "{plan:?}");
}

#[test]
fn a_runner_whose_own_job_is_gone_is_for_the_oldest_that_lost_its_runner() {
    let own = |id| Job { facts: job_facts(id, "acme/app", &UNKNOWN), created_at: at(id as i64), ..refused() };
    let gone = confirmed(&own(20), 15);
    let runner = failing_runner(&gone, &plan_of(&gone, 15));
    let plan = planned(&Open::of((1..=2).map(|id| launched(&own(id))), [runner.clone()]), &settings(), 16);
    assert_eq!((plan.launches.len(), plan.retirements.len()), (0, 0), "{plan:?}");
    assert_eq!(planned(&Open::of([], [runner]), &settings(), 16).retirements.len(), 1);
}
