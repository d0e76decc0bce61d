//! Tests of facts, intents and verdicts of reruns.

mod facts;

use std::sync::Arc;

use super::*;
use crate::id::{Epoch, PoolId, RunnerId, RunnerName, TaskId, Version};
use crate::reason::{Code, Reason};
use crate::records::job::{Assignment, JobStage, JobState};
use crate::records::runner::{RunnerFacts, RunnerStage, RunnerState, Task};
use crate::records::timeline::Timeline;
use crate::rules::class::Catalogue;
use crate::rules::class::size::{Arch, Size};
use crate::rules::cost::Market;
use crate::rules::labels::Labels;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::rules::settings::Settings;
use crate::testing::{catalogue, job_facts, settings};
use crate::wire::job::{Conclusion, TakenBy};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn name(number: u64) -> RunnerName {
    RunnerName::parse(&format!("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g{number:04}")).unwrap()
}

fn repository() -> Repository {
    Repository::parse("acme/app").unwrap()
}

fn switched_on() -> Settings {
    let mut settings = settings();
    settings.reruns.all = true;
    settings
}

fn busy(job: u64) -> Runner {
    let task = Task { id: TaskId::parse("0123abcd").unwrap(), heard: 1 };
    Runner {
        times: Box::default(),
        facts: RunnerFacts {
            name: name(job),
            class: ClassName::parse("small").unwrap(),
            size: Size::new(512, 1024, None, Arch::X64).unwrap(),
            pool: PoolId::parse("abcdefg234").unwrap(),
            scope: Scope::Repository(repository()),
            labels: Labels::new(["self-hosted"]),
            repository: repository(),
            launched_for: JobId::new(job),
            max_job_minutes: 60,
            wait_limits: None,
            image: None,
            exec: true,
            fails: false,
            warm: None,
        },
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline: Timeline::begin(RunnerStage::Busy, at(0)),
        surplus_since: None,
        placement: Placement::fargate(Market::Spot, None),
        instance: None,
        probe: false,
        retry: None,
        asked_at: None,
        state: RunnerState::Busy { task, registration: RunnerId::new(3), job: Some(JobId::new(job)) },
    }
}

fn failed(job: u64, attempt: u32) -> Outcome {
    let id = RerunId { repository: repository(), run: RunId::new(1), name: Arc::from("build") };
    Outcome {
        id,
        job: JobId::new(job),
        attempt,
        class: None,
        runner: Some(name(job)),
        failed: true,
        at: at(0),
    }
}

fn loss_at(job: u64, secs: i64) -> Loss {
    Loss { runner: name(job), job: Some(JobId::new(job)), cause: Code::SpotInterrupted.into(), at: at(secs) }
}

/// Learns until nothing is new.
fn learnt(open: &mut Open, now: Timestamp) {
    let (settings, catalogue) = (switched_on(), catalogue());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    for _ in 0..3 {
        learn(open, rules, now).iter().for_each(|change| open.apply(change));
    }
    assert_eq!(learn(open, rules, now), [], "the same facts lead to no more changes");
}

fn open_with(records: impl IntoIterator<Item = RerunRecord>) -> Open {
    let mut open = Open::default();
    records.into_iter().for_each(|record| open.add_rerun(record));
    open
}

fn the_rerun(open: &Open) -> Rerun {
    let mut reruns = open.reruns.values().filter_map(|record| match record {
        RerunRecord::Rerun(rerun) => Some(rerun.clone()),
        _ => None,
    });
    let rerun = reruns.next().unwrap();
    assert_eq!(reruns.next(), None);
    rerun
}

#[test]
fn a_job_that_failed_on_a_lost_runner_is_wanted_again_and_no_other() {
    let mut open = open_with([
        RerunRecord::Outcome(failed(7, 1)),
        RerunRecord::Loss(loss_at(7, 0)),
        RerunRecord::Outcome(failed(8, 1)),
    ]);
    learnt(&mut open, at(1));
    let rerun = the_rerun(&open);
    assert_eq!(
        (rerun.job, rerun.latest, rerun.times, rerun.state),
        (JobId::new(7), 1, 0, RerunState::Wanted)
    );
    assert_eq!(open.reruns.len(), 1, "the facts are used up");
}

#[test]
fn a_failed_job_waits_until_it_is_known_how_its_runner_ended() {
    let mut open = open_with([RerunRecord::Outcome(failed(7, 1))]);
    open.add_runner(busy(7));
    learnt(&mut open, at(1));
    assert_eq!(open.reruns.len(), 1);
    open.add_rerun(RerunRecord::Loss(loss_at(7, 2)));
    learnt(&mut open, at(3));
    assert_eq!(the_rerun(&open).state, RerunState::Wanted);
}

#[test]
fn a_loss_waits_for_its_job_and_is_dropped_with_it() {
    let mut open = open_with([RerunRecord::Loss(loss_at(7, 0))]);
    open.add_job(Job {
        held: None,
        recorded_late_at: None,
        facts: job_facts(7, "acme/app", &["self-hosted"]),
        version: Version::FIRST,
        created_at: at(0),
        timeline: Timeline::begin(JobStage::InProgress, at(0)),
        asked_at: None,
        failing: None,
        state: JobState::InProgress { assignment: None::<Assignment>, runner: TakenBy::Ours(name(7)) },
    });
    learnt(&mut open, at(7200));
    assert_eq!(open.reruns.len(), 1);
    open.jobs.clear();
    learnt(&mut open, at(7201));
    assert!(open.reruns.is_empty());
    let mut open = open_with([RerunRecord::Loss(loss_at(7, 0))]);
    learnt(&mut open, at(60));
    assert_eq!(open.reruns.len(), 1, "its job may have been recorded while the read was made");
    learnt(&mut open, at(61));
    assert!(open.reruns.is_empty());
    let mut open = open_with([RerunRecord::Loss(Loss { job: None, ..loss_at(7, 0) })]);
    learnt(&mut open, at(3600));
    assert_eq!(open.reruns.len(), 1);
    learnt(&mut open, at(3601));
    assert!(open.reruns.is_empty());
}

#[test]
fn a_job_is_run_again_at_most_twice_and_the_second_time_on_demand() {
    let mut open = Open::default();
    for (attempt, times) in [(1, 0), (2, 1), (3, 2)] {
        let job = u64::from(attempt) + 6;
        open.add_rerun(RerunRecord::Outcome(failed(job, attempt)));
        open.add_rerun(RerunRecord::Loss(loss_at(job, 0)));
        learnt(&mut open, at(1));
        let rerun = the_rerun(&open);
        let state = if times < MAX_TIMES { RerunState::Wanted } else { RerunState::Spent };
        assert_eq!((rerun.times, rerun.state, rerun.latest), (times, state, attempt));
        let calling = rerun.calling(at(2));
        assert_eq!(calling.calling(at(3)).times, calling.times, "a repeated call counts once");
        open.add_rerun(RerunRecord::Rerun(calling.made(attempt + 1, at(3))));
        let facts = job_facts(job + 1, "acme/app", &["self-hosted"]);
        let capacity = capacity(&open, &facts, Capacity::Spot);
        assert_eq!(capacity, if times == 0 { Capacity::Spot } else { Capacity::OnDemand });
    }
}

#[test]
fn a_later_attempts_own_end_ends_the_rerun() {
    for outcome in [Outcome { failed: false, ..failed(8, 2) }, failed(8, 2)] {
        let mut open = open_with([RerunRecord::Outcome(failed(7, 1)), RerunRecord::Loss(loss_at(7, 0))]);
        learnt(&mut open, at(1));
        let made = the_rerun(&open).calling(at(2)).made(2, at(3));
        open.add_rerun(RerunRecord::Rerun(made));
        open.add_rerun(RerunRecord::Outcome(outcome));
        learnt(&mut open, at(4));
        assert!(open.reruns.is_empty(), "{:?}", open.reruns);
    }
}

#[test]
fn the_runs_attempt_tells_whether_to_call() {
    let mut open = open_with([RerunRecord::Outcome(failed(7, 1)), RerunRecord::Loss(loss_at(7, 0))]);
    learnt(&mut open, at(1));
    let wanted = the_rerun(&open);
    let called = wanted.calling(at(2));
    let run = |attempt, is_completed| SeenRun { attempt, is_completed };
    for (rerun, run, verdict) in [
        (&wanted, run(1, false), Verdict::NotYet),
        (&wanted, run(1, true), Verdict::Call),
        (&wanted, run(2, false), Verdict::Newer(2)),
        (&wanted, run(2, true), Verdict::Newer(2)),
        // The process died before its call, or GitHub did not take it.
        (&called, run(1, true), Verdict::Call),
        (&called, run(1, false), Verdict::NotYet),
        // The call took effect, and its answer was lost.
        (&called, run(2, false), Verdict::Made(2)),
        (&called, run(2, true), Verdict::Made(2)),
        (&called, run(3, false), Verdict::Newer(3)),
    ] {
        assert_eq!(judge(rerun, run), verdict, "{:?} {run:?}", rerun.state);
    }
}

#[test]
fn only_refusals_in_a_row_give_a_rerun_up() {
    let mut open = open_with([RerunRecord::Outcome(failed(7, 1)), RerunRecord::Loss(loss_at(7, 0))]);
    learnt(&mut open, at(1));
    let long_waited = (0..20).fold(the_rerun(&open), |rerun, _| rerun.waits(at(2)));
    let refused = |rerun: &Rerun| rerun.refused(at(3));
    let thrice = refused(&refused(&refused(&long_waited).unwrap()).unwrap()).unwrap();
    assert_eq!(thrice.refused(at(4)), None, "the fourth");
    assert!(thrice.waits(at(4)).refused(at(5)).is_some(), "its run went on in between");
    assert_eq!(thrice.later(None, at(4)).refused(at(5)), None, "no answer is no answer");
    assert!(thrice.not_before > long_waited.not_before);
}

#[test]
fn one_job_of_a_run_is_due_at_a_time_and_none_while_the_run_goes_on() {
    let of = |job: u64, job_name: &str| {
        let outcome = failed(job, 1);
        Outcome { id: RerunId { name: Arc::from(job_name), ..outcome.id.clone() }, ..outcome }
    };
    let mut open = open_with([
        RerunRecord::Outcome(of(7, "build")),
        RerunRecord::Loss(loss_at(7, 0)),
        RerunRecord::Outcome(of(8, "test")),
        RerunRecord::Loss(loss_at(8, 0)),
    ]);
    learnt(&mut open, at(1));
    let (first, _) = due(&open, at(1));
    assert_eq!(first.iter().map(|rerun| rerun.job.get()).collect::<Vec<_>>(), [7]);
    assert_eq!(others_of_run(&open, &first[0]).iter().map(|other| other.job.get()).collect::<Vec<_>>(), [8]);
    // A call whose answer is not known comes first, and not before its time.
    open.add_rerun(RerunRecord::Rerun(others_of_run(&open, &first[0])[0].calling(at(2))));
    assert_eq!(due(&open, at(3)), (Vec::new(), Some(at(12))));
    assert_eq!(due(&open, at(12)).0[0].job.get(), 8);
    // The attempt was made: the other job waits for its end.
    let made = due(&open, at(12)).0[0].made(2, at(13));
    open.add_rerun(RerunRecord::Rerun(made));
    let waits = due(&open, at(14)).0[0].clone();
    assert_eq!(
        (waits.job.get(), judge(&waits, SeenRun { attempt: 2, is_completed: false })),
        (7, Verdict::NotYet)
    );
    open.add_job(Job {
        held: None,
        recorded_late_at: None,
        facts: job_facts(9, "acme/app", &["self-hosted"]),
        version: Version::FIRST,
        created_at: at(0),
        timeline: Timeline::begin(JobStage::Queued, at(0)),
        asked_at: None,
        failing: None,
        state: JobState::Waiting,
    });
    assert_eq!(due(&open, at(15)), (Vec::new(), None), "a job of the run is open here");
}

#[test]
fn a_job_that_is_found_lost_after_another_was_run_again_knows_that_attempt() {
    let of = |job: u64, attempt, job_name: &str| {
        let outcome = failed(job, attempt);
        Outcome { id: RerunId { name: Arc::from(job_name), ..outcome.id.clone() }, ..outcome }
    };
    let mut open = open_with([RerunRecord::Outcome(of(7, 1, "build")), RerunRecord::Loss(loss_at(7, 0))]);
    learnt(&mut open, at(1));
    let made = the_rerun(&open).calling(at(2)).made(2, at(3));
    open.add_rerun(RerunRecord::Rerun(made));
    // The other job's runner has not stopped yet when the first one's attempt has ended.
    open.add_runner(busy(8));
    open.add_rerun(RerunRecord::Outcome(of(8, 1, "test")));
    open.add_rerun(RerunRecord::Outcome(Outcome { failed: false, ..of(9, 2, "build") }));
    learnt(&mut open, at(4));
    open.add_rerun(RerunRecord::Loss(loss_at(8, 5)));
    learnt(&mut open, at(6));
    open.runners.clear();
    let (reruns, _) = due(&open, at(6));
    assert_eq!(reruns.iter().map(|rerun| (rerun.job.get(), rerun.latest)).collect::<Vec<_>>(), [(8, 2)]);
    let made = reruns[0].calling(at(7)).made(3, at(8));
    open.add_rerun(RerunRecord::Rerun(made));
    learnt(&mut open, at(9));
    assert_eq!(the_rerun(&open).job.get(), 8, "the first job's rerun is over");
}

#[test]
fn a_job_that_waits_knows_the_attempts_of_another_one_that_was_lost_again() {
    let of = |job: u64, attempt, job_name: &str| {
        let outcome = failed(job, attempt);
        Outcome { id: RerunId { name: Arc::from(job_name), ..outcome.id.clone() }, ..outcome }
    };
    for is_answered in [true, false] {
        let mut open = open_with([
            RerunRecord::Outcome(of(7, 1, "build")),
            RerunRecord::Loss(loss_at(7, 0)),
            RerunRecord::Outcome(of(8, 1, "test")),
            RerunRecord::Loss(loss_at(8, 0)),
        ]);
        learnt(&mut open, at(1));
        let calling = due(&open, at(1)).0[0].calling(at(2));
        assert_eq!(calling.job.get(), 7);
        open.add_rerun(RerunRecord::Rerun(if is_answered { calling.made(2, at(3)) } else { calling }));
        open.add_rerun(RerunRecord::Outcome(of(9, 2, "build")));
        open.add_rerun(RerunRecord::Loss(loss_at(9, 4)));
        learnt(&mut open, at(5));
        let waits = due(&open, at(6)).0[0].clone();
        let run = SeenRun { attempt: 2, is_completed: true };
        assert_eq!((waits.job.get(), judge(&waits, run)), (8, Verdict::Call), "answered: {is_answered}");
        // A person's attempt is no result of a call.
        let newer = SeenRun { attempt: 3, is_completed: true };
        assert_eq!(judge(&waits, newer), Verdict::Newer(3));
        // Nothing more is done about the first one, whose attempts the other one still has to know.
        let first = RerunKey::Rerun(of(9, 2, "build").id);
        let RerunRecord::Rerun(again) = &open.reruns[&first] else { panic!() };
        let over = again.over(at(7));
        open.add_rerun(RerunRecord::Rerun(over));
        learnt(&mut open, at(8));
        assert_eq!(judge(&due(&open, at(9)).0[0], run), Verdict::Call);
        open.reruns.remove(&RerunKey::Rerun(of(8, 1, "test").id));
        learnt(&mut open, at(10));
        assert!(open.reruns.is_empty(), "{:?}", open.reruns);
    }
}

#[test]
fn two_jobs_of_a_run_that_failed_by_themselves_do_not_wait_for_each_other() {
    let of = |job: u64, job_name: &str| {
        let outcome = failed(job, 2);
        Outcome { id: RerunId { name: Arc::from(job_name), ..outcome.id.clone() }, ..outcome }
    };
    let mut open = Open::default();
    for (job, job_name) in [(7, "build"), (8, "test")] {
        let lost = Outcome { attempt: 1, ..of(job, job_name) };
        open.add_rerun(RerunRecord::Outcome(lost));
        open.add_rerun(RerunRecord::Loss(loss_at(job, 0)));
        learnt(&mut open, at(1));
        let RerunRecord::Rerun(wanted) = &open.reruns[&RerunKey::Rerun(of(job, job_name).id)] else {
            panic!()
        };
        open.add_rerun(RerunRecord::Rerun(wanted.calling(at(2)).made(2, at(3))));
    }
    open.add_rerun(RerunRecord::Outcome(of(17, "build")));
    open.add_rerun(RerunRecord::Outcome(of(18, "test")));
    learnt(&mut open, at(4));
    assert!(open.reruns.is_empty(), "{:?}", open.reruns);
}

#[test]
fn what_became_of_a_rerun_stands_in_the_lost_jobs_reason() {
    let mut open = open_with([RerunRecord::Outcome(failed(7, 1)), RerunRecord::Loss(loss_at(7, 0))]);
    learnt(&mut open, at(1));
    let rerun = the_rerun(&open);
    let ended = |reason: Option<Reason>| EndedJob {
        facts: job_facts(7, "acme/app", &["self-hosted"]),
        version: Version::FIRST,
        created_at: at(0),
        timeline: Timeline::begin(JobStage::Completed, at(0)),
        assignment: None,
        ending: JobEnding::Completed {
            conclusion: Conclusion::Failure,
            runner: TakenBy::Ours(name(7)),
            reason,
        },
    };
    let earlier = Reason::from(Code::SpotInterrupted).and(note::WANTED);
    for reason in [None, Some(Code::SpotInterrupted.into()), Some(earlier)] {
        let noted = noted(&ended(reason), &rerun, "run again as attempt 2").unwrap();
        let JobEnding::Completed { reason: Some(reason), .. } = &noted.ending else { panic!("{noted:?}") };
        assert_eq!(reason.text(), "AWS took the Spot capacity back; run again as attempt 2");
        assert_eq!(noted.version, Version::FIRST.next());
    }
}

#[test]
fn after_the_clock_was_set_back_a_rerun_waits_no_longer_than_its_longest_pause() {
    let mut open = open_with([RerunRecord::Outcome(failed(7, 1)), RerunRecord::Loss(loss_at(7, 0))]);
    learnt(&mut open, at(1));
    let hour = SignedDuration::from_hours(1);
    let later = the_rerun(&open).later(Some(hour), at(1));
    assert_eq!(later.not_before, at(1) + LONGEST_WAIT, "a hold of the account says so for longer");
    open.add_rerun(RerunRecord::Rerun(later));
    let is_due = |now| !due(&open, now).0.is_empty();
    assert!(!is_due(at(2)));
    assert!(is_due(at(1) + LONGEST_WAIT));
    assert!(is_due(at(1) - hour));
}
