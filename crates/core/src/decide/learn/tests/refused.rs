//! Runners that refuse their jobs.

use super::*;

/// A runner whose hook refused its job, which is over for GitHub.
fn refused(number: u32, stopped: i64) -> Runner {
    let ended = ended(&busy(number, stopped - 6), stopped, Fault::JobRefused);
    let RunnerState::Ending(ending) = ended.state.clone() else { panic!("it has ended") };
    let served = Served::Job(JobId::new(u64::from(number)));
    Runner { state: RunnerState::Ending(Ending { kind: EndingKind::Completed, served, ..ending }), ..ended }
}

/// Open records in which a job of the pool of these runners waits.
fn wanted() -> Open {
    let facts = crate::testing::job_facts(1, "acme/app", &["self-hosted"]);
    let (class, pool) = (ClassName::parse("small").unwrap(), PoolId::parse("abcdefg234").unwrap());
    let assignment = crate::records::job::Assignment { class, pool };
    let job = Job {
        held: None,
        recorded_late_at: None,
        created_at: at(0),
        version: Version::FIRST,
        timeline: Timeline::begin(JobStage::Queued, at(0)),
        asked_at: None,
        failing: None,
        state: JobState::Queued { assignment, wait: Code::ToPlan.into() },
        facts,
    };
    Open::of([job], [])
}

/// The same job, in progress on this runner.
fn runs(open: &mut Open, runner: &Runner, class: bool) -> Runner {
    let job = open.jobs.values().next().unwrap().clone();
    let taken = crate::wire::job::TakenBy::Ours(runner.name().clone());
    let facts = crate::testing::job_facts(2, "acme/app", &["self-hosted"]);
    let assignment = job.assignment().filter(|_| class).cloned();
    open.add_job(Job { facts, ..job.with_state(JobState::InProgress { assignment, runner: taken }) });
    let RunnerState::Busy { task, registration, .. } = runner.state.clone() else { panic!("it is busy") };
    Runner { state: RunnerState::Busy { task, registration, job: Some(JobId::new(2)) }, ..runner.clone() }
}

#[test]
fn runners_that_refuse_their_jobs_hold_their_pool_after_the_third_in_a_row() {
    let mut open = wanted();
    assert_eq!(holds(&mut open, vec![refused(1, 100)]), "[pool a x1]");
    // Those that were launched together count each: GitHub decided for each what it gets.
    assert_eq!(holds(&mut open, vec![refused(1, 100), refused(2, 101), refused(3, 102)]), "pool a x3");
    let hold = open.holds.values().next().unwrap();
    assert_eq!(hold.not_before, at(102) + SignedDuration::from_secs(40));
    let many = (4..40).map(|number| refused(number, 100 + i64::from(number))).collect();
    assert_eq!(holds(&mut open, many), "pool a x39");
    let hold = open.holds.values().next().unwrap();
    assert_eq!(hold.not_before, at(139) + SignedDuration::from_secs(60), "the longest pause");
    assert!(hold.is_alarming());
}

#[test]
fn a_refused_job_that_took_no_runner_from_a_job_of_ours_holds_nothing() {
    let mut open = Open::default();
    let runners = (1..9).map(|number| refused(number, 100 + i64::from(number))).collect();
    assert_eq!(holds(&mut open, runners), "");
}

#[test]
fn only_a_job_that_is_served_ends_the_hold_of_a_pool_whose_runners_refuse() {
    let refused = || (1..4).map(|number| refused(number, 100 + i64::from(number))).collect::<Vec<_>>();
    let after = |runner: &dyn Fn(&mut Open) -> Runner| {
        let mut open = wanted();
        assert_eq!(holds(&mut open, refused()), "pool a x3");
        let runner = runner(&mut open);
        holds(&mut open, vec![runner])
    };
    let begun = || busy(5, 200);
    assert_eq!(after(&|open| runs(open, &begun(), true)), "", "a job of a class of ours");
    assert_eq!(after(&|open| runs(open, &begun(), false)), "pool a x3", "it may still be refused");
    assert_eq!(after(&|_| begun()), "pool a x3", "GitHub has not named its job yet");
    assert_eq!(after(&|_| busy(5, -400)), "pool a x3", "it began before the refusals");
    let ended = |note: Option<Code>| {
        let ended = ended(&begun(), 260, Fault::JobRefused);
        let RunnerState::Ending(ending) = ended.state.clone() else { panic!("it has ended") };
        let (served, note) = (Served::Job(JobId::new(9)), note.map(Reason::from));
        Runner { state: RunnerState::Ending(Ending { fault: None, served, note, ..ending }), ..ended }
    };
    assert_eq!(after(&|_| ended(None)), "", "it ended without a refusal");
    assert_eq!(after(&|_| ended(Some(Code::JobAbandoned))), "", "GitHub ended it after its hook");
    for note in [Code::JobNotStarted, Code::HookSilent, Code::JobWithdrawn] {
        assert_eq!(after(&|_| ended(Some(note))), "pool a x3", "{note:?}: its hook did not answer");
    }
}
