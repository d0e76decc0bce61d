//! Jobs are judged by the present catalogue and by what is held at present.

use super::held::{of_large, pool_of, since};
use super::*;
use crate::decide::plan::unservable::Unservable;
use crate::rules::class::Catalogue;

fn catalogue_of(classes: serde_json::Value) -> Catalogue {
    Catalogue::read(&serde_json::from_value(classes).unwrap()).0
}

fn tiny_is_the_default() -> Catalogue {
    catalogue_of(serde_json::json!({"tiny": {"cpu": 256, "memory": 512, "default": true}}))
}

fn plan_by(catalogue: &Catalogue, open: &Open, minutes: i64) -> Plan {
    plan(open, Rules { settings: &settings(), catalogue }, Means::default(), at(minutes))
}

fn queued_with(id: u64, labels: &[&str], minutes: i64) -> Job {
    let facts = job_facts(id, "acme/app", labels);
    let event =
        JobEvent { facts, created_at: Some(at(minutes)), ..event(id, labels, JobAction::Queued, minutes) };
    only_job(&with(&settings(), |rules| record(&Event::Job(event), &Records::default(), rules)).changes)
}

/// Plans and applies what is judged again.
fn judged_again(catalogue: &Catalogue, open: &mut Open, minutes: i64) -> usize {
    let plan = plan_by(catalogue, open, minutes);
    assert_eq!(plan.launches.iter().filter(|launch| launch.order.fails()).count(), 0);
    let count = plan.readmitted.len();
    plan.readmitted.into_iter().for_each(|job| open.apply(&Change::Job(job)));
    count
}

#[test]
fn a_job_whose_class_is_removed_is_refused_and_failed_fifteen_minutes_after_that() {
    let old = queued_with(7, &["self-hosted", "class:large"], 0);
    let mut open = Open::of([old], []);
    let typo = catalogue_of(serde_json::json!({
        "small": {"cpu": 512, "memory": 1024, "default": true}, "lagre": {"cpu": 4096, "memory": 8192}}));
    assert_eq!(judged_again(&typo, &mut open, 300), 1);
    let job = &open.jobs[&JobId::new(7)];
    let JobState::Refused { reason } = &job.state else { panic!("{job:?}") };
    assert_eq!(reason.detail().unwrap(), "`large` does not exist: the catalogue has lagre, small");
    assert_eq!(plan_by(&typo, &open, 314).questions, []);
    assert_eq!(plan_by(&typo, &open, 315).questions, [Question::Run(JobId::new(7))]);
}

#[test]
fn a_job_whose_class_comes_back_is_queued_whatever_was_done_to_fail_it() {
    let huge = catalogue_of(serde_json::json!({"huge": {"cpu": 512, "memory": 1024}}));
    for failing in [None, Some(Failing::Allowed), Some(Failing::Confirmed(at(19)))] {
        let mut open = Open::of([Job { failing, ..refused() }], []);
        assert_eq!(judged_again(&huge, &mut open, 20), 1);
        let job = &open.jobs[&JobId::new(7)];
        assert!(
            matches!(&job.state, JobState::Queued { wait, .. } if wait.code() == Code::ToConfirm),
            "{job:?}"
        );
        assert_eq!(job.failing, None);
        assert_eq!(plan_by(&huge, &open, 20).readmitted, [], "once");
    }
}

#[test]
fn a_job_that_a_lost_runner_was_to_fail_is_served_once_its_class_exists() {
    let huge = catalogue_of(serde_json::json!({"huge": {"cpu": 512, "memory": 1024}}));
    let mut open = Open::of([launched(&refused())], []);
    assert_eq!(judged_again(&huge, &mut open, 20), 1);
    assert!(open.jobs[&JobId::new(7)].had_failing_runner(), "it gets no second one");
}

#[test]
fn a_job_whose_class_was_the_default_gets_the_new_one_and_holds_back_no_other_of_its_labels() {
    let (older, younger) = (queued_with(1, &["self-hosted"], 0), queued_with(2, &["self-hosted"], 1));
    let tiny = tiny_is_the_default();
    let JobState::Queued { assignment, wait } = &younger.state else { panic!("{younger:?}") };
    let class = ClassName::parse("tiny").unwrap();
    let assignment = crate::records::job::Assignment { class, ..assignment.clone() };
    let state = JobState::Queued { assignment, wait: wait.clone() };
    let mut open = Open::of([older, Job { state, ..younger }], []);
    let first = plan_by(&tiny, &open, 60);
    assert_eq!(first.launches.iter().map(|launch| launch.job.get()).collect::<Vec<_>>(), [2]);
    assert_eq!(judged_again(&tiny, &mut open, 60), 1);
    assert_eq!(plan_by(&tiny, &open, 60).launches.len(), 2);
}

#[test]
fn a_job_without_a_class_whose_class_is_gone_waits_and_is_never_failed() {
    let none = catalogue_of(serde_json::json!({"tiny": {"cpu": 256, "memory": 512}}));
    let mut open = Open::of([queued_with(1, &["self-hosted"], 0)], []);
    assert_eq!(judged_again(&none, &mut open, 600), 0);
    let plan = plan_by(&none, &open, 600);
    assert_eq!(plan.waits[0].reason.code(), Code::ClassUnknown);
    let asked = Question::Run(JobId::new(1));
    assert!(!plan.questions.contains(&asked) && plan.left.is_empty());
}

#[test]
fn a_hold_of_a_former_default_class_holds_back_no_job_of_the_present_one() {
    let (older, mut younger) = (queued_with(1, &["self-hosted"], 0), queued_with(2, &["self-hosted"], 1));
    let JobState::Queued { assignment, .. } = &mut younger.state else { panic!("{younger:?}") };
    assignment.class = ClassName::parse("large").unwrap();
    let mut open = Open::of([older, younger], []);
    open.add_hold(since(0, Held::Class(ClassName::parse("small").unwrap()), Fault::ImagePull));
    let plan = planned(&open, &settings(), 2);
    assert_eq!(plan.launches.iter().map(|launch| launch.job.get()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_runner_is_given_back_if_its_job_can_be_served_before_it_has_its_configuration() {
    let job = of_large(1, "acme/app", 0, 360);
    let hold = since(0, pool_of(&job), Fault::NotConnected);
    let mut open = Open::of([job.clone()], []);
    open.add_hold(hold.clone());
    let plan = planned(&open, &settings(), 360);
    let reserved = job.reserved_to_fail(&plan.launches[0].reason).unwrap();
    let name = format!("ecsr-test-{}-01arz3ndektsv4rrffq69g0001", plan.launches[0].order.pool());
    let runner = plan.launches[0].order.reserve(RunnerName::parse(&name).unwrap(), Epoch::new(1), at(360));
    let started = runner.task_started(TaskId::parse("task1").unwrap(), at(360)).unwrap();
    let configured = started.handed_over(RunnerId::new(9), at(361)).unwrap().0;
    let told = launched(&reserved);
    // Which runners are retired, and which jobs get one that serves them.
    let planned = |job: &Job, runner: &Runner, is_held: bool| {
        let mut open = Open::of([job.clone()], [runner.clone()]);
        if is_held {
            open.add_hold(hold.clone());
        }
        let plan = planned(&open, &settings(), 361);
        (plan.retirements.len(), plan.launches.iter().filter(|launch| !launch.order.fails()).count())
    };
    assert_eq!(planned(&reserved, &started, true), (0, 0));
    assert_eq!(planned(&reserved, &started, false), (1, 1), "its pool is no longer held");
    assert_eq!(planned(&told, &configured, false), (0, 0), "it is too late");
}

#[test]
fn at_the_hand_over_it_counts_what_is_held_then() {
    let job = of_large(1, "acme/app", 0, 360);
    let (settings, catalogue) = (settings(), catalogue());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let is_held = |job: &Job, hold: Option<Hold>| {
        let mut open = Open::of([job.clone()], []);
        hold.into_iter().for_each(|hold| open.add_hold(hold));
        Unservable::of(&open, rules, &[]).contains(job, at(361))
    };
    let large = || ClassName::parse("large").unwrap();
    let placement = Placement::fargate(Market::OnDemand, None);
    for held in [
        pool_of(&job),
        Held::Class(large()),
        Held::class_in(large(), placement.clone()),
        Held::placement(placement, crate::rules::class::size::Arch::Arm64),
    ] {
        let hold =
            since(0, held.clone(), if let Held::Pool(_) = held { Fault::NoJob } else { Fault::ImagePull });
        assert!(is_held(&job, Some(hold.clone())), "{held:?}");
        assert!(is_held(&job, Some(Hold { not_before: at(360), ..hold })), "{held:?}: a try is due");
    }
    assert!(!is_held(&job, None));
    let elsewhere = Held::Pool(PoolId::parse("aaaaaaaaaa").unwrap());
    assert!(!is_held(&job, Some(since(0, elsewhere, Fault::NotConnected))));
    assert!(is_held(&refused(), None), "its class does not exist");
    let served = Job { facts: job_facts(7, "acme/app", &["self-hosted", "class:small"]), ..refused() };
    assert!(!is_held(&served, None), "its class exists by now");
}

#[test]
fn a_refused_job_that_a_runner_of_ours_executes_all_the_same_is_in_progress() {
    let job = confirmed(&refused(), 15);
    let runner = failing_runner(&job, &plan_of(&job, 16));
    let took = |taken: &str, runner: Option<&Runner>| {
        let taken = TakenBy::from_name(Some(taken));
        let began = JobAction::InProgress { runner: taken, started_at: Some(at(5)) };
        tell(&Event::Job(event(7, &UNKNOWN, began, 5)), &refused(), runner)
    };
    let busy = only_job(&took(runner.name().as_str(), Some(&runner))[..1]);
    assert!(matches!(busy.state, JobState::InProgress { .. }), "its class was removed after its runner came");
    // A name alone is no runner of ours.
    let ended = took("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g0001", None);
    assert!(matches!(ended[..], [Change::JobEnded(_)]), "{ended:?}");
}
