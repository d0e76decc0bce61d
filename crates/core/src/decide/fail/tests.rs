//! When a job that cannot be served is failed, and when never.

mod bounds;
mod held;
mod present;
mod strays;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::decide::plan::{Means, Plan, Question, plan};
use crate::decide::record::{Outcome, record};
use crate::id::{
    ClassName, Epoch, JobId, PoolId, Repository, RunnerId, RunnerName, SubnetId, TaskId, Version,
};
use crate::reason::{Code, Reason};
use crate::records::change::{Change, Records};
use crate::records::hold::{Failure, Held, Hold, Seen};
use crate::records::job::{EndedJob, Failing, Job, JobEnding, JobRecord, JobStage, JobState};
use crate::records::open::Open;
use crate::records::runner::Runner;
use crate::records::timeline::Timeline;
use crate::rules::Rules;
use crate::rules::cost::Market;
use crate::rules::pace::{Bucket, Level};
use crate::rules::placement::Placement;
use crate::rules::pool::{Pool, Scope};
use crate::rules::settings::{OnFailure, Registration, Settings};
use crate::testing::{catalogue, job_facts, settings};
use crate::wire::event::{
    Event, JobAction, JobAnswer, JobEvent, JobOutcome, RetryRequest, RunAnswer, RunOutcome,
};
use crate::wire::fault::Fault;
use crate::wire::job::{Conclusion, TakenBy};

use super::fail_of;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000).unwrap() + SignedDuration::from_mins(minutes)
}

fn event(id: u64, labels: &[&str], action: JobAction, minutes: i64) -> JobEvent {
    let facts = job_facts(id, "acme/app", labels);
    JobEvent { action, facts, private: Some(true), created_at: Some(at(0)), received_at: at(minutes) }
}

const UNKNOWN: [&str; 2] = ["self-hosted", "class:huge"];

fn with<R>(settings: &Settings, judge: impl FnOnce(Rules<'_>) -> R) -> R {
    judge(Rules { settings, catalogue: &catalogue() })
}

/// Records a queued job with these labels; returns its record if it stays open.
fn queued(labels: &[&str], settings: &Settings) -> Option<Job> {
    let event = Event::Job(event(7, labels, JobAction::Queued, 0));
    let recorded = with(settings, |rules| record(&event, &Records::default(), rules));
    match recorded.changes.as_slice() {
        [Change::Job(job)] => Some(job.clone()),
        [Change::JobEnded(_)] => None,
        other => panic!("{other:?}"),
    }
}

fn refused() -> Job {
    queued(&UNKNOWN, &settings()).unwrap()
}

fn confirmed(job: &Job, minutes: i64) -> Job {
    job.with_failing(Failing::Confirmed(at(minutes)))
}

fn tell(event: &Event, job: &Job, runner: Option<&Runner>) -> Vec<Change> {
    let records =
        Records { job: Some(JobRecord::Open(job.clone())), runner: runner.cloned(), ..Records::default() };
    with(&settings(), |rules| record(event, &records, rules)).changes
}

fn planned(open: &Open, settings: &Settings, minutes: i64) -> Plan {
    with(settings, |rules| plan(open, rules, Means::default(), at(minutes)))
}

fn plan_of(job: &Job, minutes: i64) -> Plan {
    planned(&Open::of([job.clone()], []), &settings(), minutes)
}

fn run_answer(job: &Job, event: &str, head: &str) -> Event {
    let head_repository = Some(Repository::parse(head).unwrap());
    let outcome = RunOutcome::Found { event: event.into(), head_repository, private: Some(true) };
    Event::RunAnswer(RunAnswer { job: job.id(), asked: job.version, outcome, at: at(15) })
}

fn job_answer(job: &Job, minutes: i64) -> Event {
    let found = JobEvent { facts: job.facts.clone(), ..event(7, &UNKNOWN, JobAction::Queued, minutes) };
    let outcome = JobOutcome::Found(found);
    let answer =
        JobAnswer { job: job.id(), asked: job.version, on_behalf_of: None, outcome, at: at(minutes) };
    Event::JobAnswer(answer)
}

fn only_job(changes: &[Change]) -> Job {
    let [Change::Job(job)] = changes else { panic!("{changes:?}") };
    job.clone()
}

/// A runner that fails a job, with its configuration.
fn failing_runner(job: &Job, plan: &Plan) -> Runner {
    let launch = plan.launches.iter().find(|launch| launch.job == job.id()).expect("it is launched");
    let name = format!("ecsr-test-{}-01arz3ndektsv4rrffq69g{:04}", launch.order.pool(), job.id().get());
    let reserved = launch.order.reserve(RunnerName::parse(&name).unwrap(), Epoch::new(1), at(15));
    let started = reserved.task_started(TaskId::parse("task1").unwrap(), at(15)).unwrap();
    started.handed_over(RunnerId::new(9), at(15)).unwrap().0
}

fn launched(job: &Job) -> Job {
    let reason = Reason::with(Code::ClassUnknown, "`huge` does not exist");
    job.with_failing(Failing::Launched { at: at(15), reason })
}

#[test]
fn a_job_of_a_class_that_cannot_serve_it_stays_open_and_any_other_refusal_does_not() {
    let stays = |labels: &[&str]| queued(labels, &settings()).is_some();
    assert!(stays(&UNKNOWN), "unknown");
    assert!(stays(&["self-hosted", "class:broken"]), "invalid");
    assert!(stays(&["self-hosted", "class:small", "gpu"]), "impossible");
    assert!(!stays(&["self-hosted", "gpu"]), "it names no class, and may be meant for others' runners");
    assert!(!stays(&["ubuntu-latest"]), "not ours");
    let mut own = settings();
    own.required_labels = crate::rules::labels::Labels::new(["self-hosted", "ecs"]);
    assert!(queued(&["self-hosted", "ecs", "gpu"], &own).is_some(), "a label of this deployment");
    for (repository, private) in [("other/app", Some(true)), ("acme/app", Some(false))] {
        let facts = job_facts(7, repository, &UNKNOWN);
        let event = JobEvent { facts, private, ..event(7, &UNKNOWN, JobAction::Queued, 0) };
        let recorded = with(&settings(), |rules| record(&Event::Job(event), &Records::default(), rules));
        assert!(matches!(recorded.changes.as_slice(), [Change::JobEnded(_)]), "{recorded:?}");
        assert!(matches!(recorded.outcome, Outcome::Refused(_)), "{recorded:?}");
    }
    let wait = Settings { on_failure: OnFailure::Wait, ..settings() };
    assert!(queued(&UNKNOWN, &wait).is_none(), "nothing is failed where jobs are to wait");
}

#[test]
fn github_is_asked_about_run_and_job_and_then_one_runner_is_launched() {
    let job = refused();
    let early = plan_of(&job, 14);
    assert_eq!((early.launches.len(), early.questions.len(), early.next_at), (0, 0, Some(at(15))));
    assert_eq!(plan_of(&job, 15).questions, [Question::Run(job.id())]);

    let allowed = only_job(&tell(&run_answer(&job, "push", "acme/app"), &job, None));
    assert_eq!(allowed.failing, Some(Failing::Allowed));
    let ask = Question::Job { job: job.id(), on_behalf_of: None };
    let second = plan_of(&allowed, 15);
    assert_eq!((second.launches.len(), second.questions), (0, vec![ask.clone()]));

    let sure = only_job(&tell(&job_answer(&allowed, 16), &allowed, None));
    assert_eq!(sure.failing, Some(Failing::Confirmed(at(16))));
    let third = plan_of(&sure, 16);
    let [launch] = third.launches.as_slice() else { panic!("{third:?}") };
    assert!(launch.order.fails());
    assert_eq!(launch.reason.code(), Code::ClassUnknown);
    let runner = failing_runner(&sure, &third);
    let facts = &runner.facts;
    assert_eq!((facts.class.as_str(), facts.size.cpu()), ("small", 512), "the smallest");
    assert_eq!((&facts.labels, facts.launched_for), (&job.facts.labels, job.id()));
    assert_eq!(facts.scope, Scope::Repository(job.facts.repository.clone()));
    let pool = Pool { scope: facts.scope.clone(), labels: facts.labels.clone() }.id();
    assert_eq!(facts.pool, pool);

    // An answer is good for ten minutes.
    assert_eq!(plan_of(&sure, 27).questions, [ask]);
}

#[test]
fn a_run_that_policy_refuses_is_never_failed() {
    for (event, head) in [("push", "mallory/app"), ("schedule", "acme/app")] {
        let mut settings = settings();
        settings.policy.events = vec!["push".to_owned()];
        let job = refused();
        let records = Records { job: Some(JobRecord::Open(job.clone())), ..Records::default() };
        let told = with(&settings, |rules| record(&run_answer(&job, event, head), &records, rules));
        let [Change::JobEnded(EndedJob { ending: JobEnding::Refused { after: None, .. }, .. })] =
            told.changes.as_slice()
        else {
            panic!("{told:?}")
        };
    }
}

#[test]
fn a_job_whose_class_exists_by_then_is_queued() {
    let mut job = refused();
    job.facts = job_facts(7, "acme/app", &["self-hosted", "class:small"]);
    let queued = only_job(&tell(&run_answer(&job, "push", "acme/app"), &job, None));
    assert!(matches!(&queued.state, JobState::Queued { wait, .. } if wait.code() == Code::ToConfirm));
}

#[test]
fn a_runner_is_told_once_and_what_to_tell_is_one_sentence_and_a_command() {
    let sure = confirmed(&refused(), 15);
    assert_eq!(fail_of(&sure, at(15)), None, "no runner is reserved");
    let plan = plan_of(&sure, 15);
    let reserved = sure.reserved_to_fail(&plan.launches[0].reason).unwrap();
    let (fail, Some(told)) = fail_of(&reserved, at(16)).unwrap() else { panic!("it is written") };
    assert_eq!((fail.run.get(), fail.attempt, fail.job.as_str()), (1, 1, "build"));
    assert_eq!(
        fail.reason,
        "runner class `huge` does not exist: the catalogue has large, small. `ecsrunner why 7` says more."
    );
    assert!(told.had_failing_runner());
    assert!(matches!(fail_of(&told, at(17)), Some((_, None))), "it is written once");
    for minutes in [17, 60, 600] {
        let later = plan_of(&told, minutes);
        assert_eq!(later.launches, [], "once");
        assert!(!later.questions.contains(&Question::Run(told.id())));
    }
    // A reservation that was given back before its runner was told anything is replaced.
    assert_eq!(plan_of(&reserved, 17).launches.len(), 1);
}

#[test]
fn such_a_runner_is_neither_supply_nor_demand_and_is_retired_once_its_job_is_gone() {
    let sure = confirmed(&refused(), 15);
    let plan = plan_of(&sure, 15);
    let (runner, told) = (failing_runner(&sure, &plan), launched(&sure));
    let at_work = planned(&Open::of([told.clone()], [runner.clone()]), &settings(), 16);
    assert_eq!((at_work.launches.len(), at_work.retirements.len(), at_work.marks.len()), (0, 0, 0));
    let alone = planned(&Open::of([], [runner.clone()]), &settings(), 16);
    assert_eq!(alone.retirements.len(), 1);

    // A job of the same labels that can be served does not count it.
    let mut other = queued(&["self-hosted", "class:small"], &settings()).unwrap();
    other.facts = job_facts(8, "acme/app", &["self-hosted", "class:small"]);
    let JobState::Queued { assignment, .. } = &mut other.state else { panic!("{other:?}") };
    assignment.pool = runner.facts.pool.clone();
    let both = planned(&Open::of([other], [runner]), &settings(), 16);
    assert_eq!((both.launches.len(), both.retirements.len()), (1, 1));
}

#[test]
fn the_job_keeps_its_reason_when_the_runner_has_failed_it() {
    let sure = confirmed(&refused(), 15);
    let (runner, told) = (failing_runner(&sure, &plan_of(&sure, 15)), launched(&sure));
    let taken = TakenBy::Ours(runner.name().clone());
    let began = JobAction::InProgress { runner: taken.clone(), started_at: Some(at(16)) };
    let changes = tell(&Event::Job(event(7, &UNKNOWN, began, 16)), &told, Some(&runner));
    let [Change::Job(busy), Change::Runner(at_work)] = changes.as_slice() else { panic!("{changes:?}") };
    let over = JobAction::Completed {
        runner: taken.clone(),
        conclusion: Conclusion::Failure,
        started_at: None,
        completed_at: Some(at(17)),
    };
    let over = Event::Job(event(7, &UNKNOWN, over, 17));
    for (job, runner) in [(busy, at_work), (&told, &runner)] {
        let changes = tell(&over, job, Some(runner));
        let Some(Change::JobEnded(ended)) = changes.first() else { panic!("{changes:?}") };
        let JobEnding::Refused { reason, after } = &ended.ending else { panic!("{ended:?}") };
        assert_eq!((reason.code(), after), (Code::ClassUnknown, &Some((Conclusion::Failure, taken.clone()))));
    }
}

#[test]
fn a_refused_job_that_others_runners_serve_becomes_history_as_before() {
    let job = refused();
    let began = JobAction::InProgress { runner: TakenBy::Other(Some("theirs".into())), started_at: None };
    let changes = tell(&Event::Job(event(7, &UNKNOWN, began, 5)), &job, None);
    let [Change::JobEnded(ended)] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(matches!(ended.ending, JobEnding::Refused { after: None, .. }), "{ended:?}");
}

#[test]
fn a_job_that_is_tried_again_is_queued_and_gets_no_second_runner_that_fails_it() {
    let retry = Event::Retry(RetryRequest { job: JobId::new(7), at: at(20) });
    assert_eq!(tell(&retry, &refused(), None), [], "its class does not exist yet");
    for (mut job, kept) in [(confirmed(&refused(), 15), false), (launched(&refused()), true)] {
        job.facts = job_facts(7, "acme/app", &["self-hosted", "class:small"]);
        let queued = only_job(&tell(&retry, &job, None));
        assert!(matches!(queued.state, JobState::Queued { .. }), "{queued:?}");
        assert_eq!(queued.failing.is_some(), kept);
    }
}

#[test]
fn nothing_is_failed_during_a_pause() {
    let mut paused = settings();
    paused.paused = true;
    let job = confirmed(&refused(), 15);
    assert_eq!(planned(&Open::of([job], []), &paused, 16).launches, []);
}
