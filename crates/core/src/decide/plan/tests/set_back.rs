//! Plans after the clock was set back by an hour: what was stored before holds nothing up until it has caught up.

use super::*;
use crate::decide::step::Next;
use crate::records::runner::{Custody, Ending, RegistrationLeft, Retry, Served, Task, TaskLeft};
use crate::rules::cost::Market;
use crate::rules::pace::Level;
use crate::rules::pool::Scope;

const HOUR: i64 = 3600;

fn planned(open: &Open, now: i64) -> Plan {
    let (settings, catalogue) = (settings(), catalogue());
    plan(open, Rules { settings: &settings, catalogue: &catalogue }, Means::default(), at(now))
}

#[test]
fn a_job_is_launched_although_the_buckets_were_last_used_an_hour_ahead() {
    let mut open = Open::of([job(7, 0)], []);
    let paces = settings().paces;
    let account = Scope::Repository(job(7, 0).facts.repository.clone()).owner();
    for bucket in [Bucket::Fargate(Market::OnDemand), Bucket::GitHub(account)] {
        let rate = paces.rate(&bucket);
        open.levels.insert(bucket, rate.take(None, rate.burst, at(HOUR)));
    }
    assert!(planned(&open, HOUR).launches.is_empty(), "they are empty");
    let plan = planned(&open, 1);
    assert_eq!(plan.launches.len(), 1, "{:?}", plan.waits);
}

#[test]
fn a_level_that_github_asked_for_is_kept_to_as_long_as_its_hold() {
    let mut open = Open::of([job(7, 0)], []);
    let account = Scope::Repository(job(7, 0).facts.repository.clone()).owner();
    let bucket = Bucket::GitHub(account.clone());
    let until = at(2 * HOUR);
    open.levels.insert(bucket.clone(), settings().paces.rate(&bucket).empty_until(None, until));
    open.add_hold(Hold::throttled(None, account, "retry-after", at(HOUR), until));
    let level =
        |open: &Open, now| open.level(&bucket, &settings().paces, at(now)).map(|Level(at)| at > until);
    assert_eq!(level(&open, HOUR), Some(true));
    // An hour back the hold has moved, and the level with it counts no longer.
    assert_eq!(level(&open, 0), None);
    let moved = open.holds.values().next().and_then(|hold| hold.moved_back(at(0))).unwrap();
    open.add_hold(moved);
    assert!(planned(&open, HOUR - 1).launches.is_empty(), "the hold is not shortened");
}

#[test]
fn a_failed_step_waits_no_longer_than_the_longest_pause_of_any() {
    let reason = Reason::with(Code::Retrying, "no answer");
    let reserved = runner(&job(7, 0), 1, RunnerStage::Reserved, 1);
    let longest = Retry { failures: 1, not_before: at(0) + Retry::LONGEST, reason };
    let waiting = reserved.failed(longest);
    assert_eq!(waiting.next(at(0)), Next::At(at(0) + Retry::LONGEST));
    assert!(matches!(waiting.next(at(-HOUR)), Next::Now(_)));
}

#[test]
fn jobs_are_asked_about_again_although_they_were_asked_about_an_hour_ahead() {
    let asked = |id| Job { asked_at: Some(at(2 * HOUR)), ..job(id, -2 * HOUR) };
    let jobs: Vec<Job> = (1..=MAX_DOUBTS as u64 + 5).map(asked).collect();
    let questions = |now| planned(&Open::of(jobs.clone(), []), now).questions.len();
    assert_eq!(questions(2 * HOUR + 1), 0, "they have just been asked about");
    assert_eq!(questions(HOUR), MAX_DOUBTS);
}

#[test]
fn a_runner_that_completed_an_unknown_job_an_hour_ahead_holds_no_job_back() {
    let seven = job(7, 0);
    let task = Task { id: TaskId::parse("task1").unwrap(), heard: 1 };
    let ending = Ending {
        kind: EndingKind::Completed,
        note: None,
        fault: None,
        served: Served::Unnamed,
        task: TaskLeft::Stopped { task: Some(task.id), at: at(HOUR) },
        custody: Custody::Taken(RunnerId::new(1)),
        registration: RegistrationLeft::Deleted,
    };
    let ended = runner(&seven, 1, RunnerStage::Booted, 1).with_state(RunnerState::Ending(ending), at(HOUR));
    let open = Open::of([seven], [ended]);
    assert!(planned(&open, HOUR + 1).launches.is_empty());
    assert_eq!(planned(&open, 1).launches.len(), 1);
}
