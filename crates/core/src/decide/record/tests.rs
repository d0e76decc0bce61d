//! Tests that the same events lead to the same facts, in any order and any number.

mod approval;
mod admission;
mod ending;
mod exit;
mod image;
mod late;
mod operator;
mod repeated;
mod unanswered;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::decide::plan::{Means, Question, plan};
use crate::decide::step::{Next, Step};
use crate::id::{Epoch, JobId, RunnerId, RunnerName, TaskId};
use crate::records::job::{EndedJob, JobEnding, JobStage, JobState};
use crate::records::open::Open;
use crate::records::runner::{EndedRunner, EndingKind, Retry, Runner, RunnerState};
use crate::testing::{catalogue, job_facts, settings};
use crate::wire::event::{
    JobAction, JobAnswer, JobEvent, JobOutcome, RunAnswer, RunOutcome, StopCause, TaskChange, TaskEvent,
    TaskTimes,
};
use crate::wire::exit::AgentExit;
use crate::wire::job::{Conclusion, TakenBy};

const RUNNER: &str = "ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000).unwrap() + SignedDuration::from_millis(millis)
}

fn job_event(id: u64, action: JobAction, millis: i64) -> Event {
    Event::Job(JobEvent {
        action,
        facts: job_facts(id, "acme/app", &["self-hosted", "class:small"]),
        private: Some(true),
        created_at: Some(at(0)),
        received_at: at(millis),
    })
}

fn ours() -> TakenBy {
    TakenBy::from_name(Some(RUNNER))
}

fn queued(id: u64) -> Event {
    job_event(id, JobAction::Queued, 10)
}

fn in_progress(id: u64) -> Event {
    job_event(id, JobAction::InProgress { runner: ours(), started_at: Some(at(100)) }, 110)
}

fn completed(id: u64) -> Event {
    let action = JobAction::Completed {
        runner: ours(),
        conclusion: Conclusion::Success,
        started_at: None,
        completed_at: Some(at(200)),
    };
    job_event(id, action, 210)
}

fn failed(id: u64) -> Event {
    let action = JobAction::Completed {
        runner: ours(),
        conclusion: Conclusion::Failure,
        started_at: None,
        completed_at: Some(at(200)),
    };
    job_event(id, action, 210)
}

fn task(version: u64, change: TaskChange) -> Event {
    Event::Task(TaskEvent {
        name: TaskName::parse(RUNNER).unwrap(),
        task: TaskId::parse("task1").unwrap(),
        version,
        change,
        times: TaskTimes::default(),
        instance: None,
        at: at(50 * i64::try_from(version).unwrap()),
    })
}

fn stopped(exit: AgentExit) -> Event {
    task(2, TaskChange::Stopped(StopCause::Agent(exit)))
}

/// The store's rules, in memory.
#[derive(Clone, Default)]
struct Book {
    jobs: BTreeMap<JobId, JobRecord>,
    runners: BTreeMap<RunnerName, Runner>,
    gone: Vec<EndedRunner>,
}

impl Book {
    /// Returns a book with one runner, launched for job 7, that was handed its configuration.
    fn with_runner() -> Self {
        let mut book = Self::default();
        book.tell(&queued(7));
        let reserved = book.launch_one();
        let started = reserved.task_started(TaskId::parse("task1").unwrap(), at(20)).unwrap();
        let (handed_over, _) = started.handed_over(RunnerId::new(900), at(30)).unwrap();
        book.runners.insert(handed_over.name().clone(), handed_over);
        book
    }

    fn launch_one(&self) -> Runner {
        let plan = self.plan(at(15));
        let [launch] = plan.launches.as_slice() else { panic!("one launch: {plan:?}") };
        launch.order.reserve(RunnerName::parse(RUNNER).unwrap(), Epoch::new(1), at(15))
    }

    fn plan(&self, now: Timestamp) -> crate::decide::plan::Plan {
        let (settings, catalogue) = (settings(), catalogue());
        let rules = Rules { settings: &settings, catalogue: &catalogue };
        plan(&self.open(), rules, Means::default(), now)
    }

    fn open(&self) -> Open {
        let jobs = self.jobs.values().filter_map(|record| match record {
            JobRecord::Open(job) => Some(job.clone()),
            JobRecord::Ended(_) => None,
        });
        Open::of(jobs, self.runners.values().cloned())
    }

    fn tell(&mut self, event: &Event) -> Recorded {
        let keys = event.keys();
        let records = Records {
            gone: keys
                .runner
                .as_ref()
                .filter(|_| keys.gone)
                .and_then(|name| self.gone.iter().find(|gone| gone.facts.name == *name).cloned()),
            job: keys.job.and_then(|job| self.jobs.get(&job).cloned()),
            runner: keys.runner.and_then(|runner| self.runners.get(&runner).cloned()),
            warm: None,
            claimed_by: None,
        };
        let (settings, catalogue) = (settings(), catalogue());
        let recorded = record(event, &records, Rules { settings: &settings, catalogue: &catalogue });
        for change in &recorded.changes {
            self.write(change);
        }
        // As in the engine, where a crash may come in between.
        if matches!(event, Event::Task(_))
            && let Some(told) = reason_for_the_job(&recorded.changes)
        {
            self.tell(&Event::JobReason(told));
        }
        recorded
    }

    fn write(&mut self, change: &Change) {
        match change {
            Change::Job(job) => {
                let before = self.jobs.insert(job.id(), JobRecord::Open(job.clone()));
                assert!(!matches!(before, Some(JobRecord::Ended(_))), "resurrected {:?}", job.id());
            }
            Change::JobReopened(job) => {
                let before = self.jobs.insert(job.id(), JobRecord::Open(job.clone()));
                assert!(matches!(before, Some(JobRecord::Ended(_))), "was not ended: {:?}", job.id());
            }
            Change::JobEnded(job) | Change::JobAmended(job) => {
                self.jobs.insert(job.facts.id, JobRecord::Ended(job.clone()));
            }
            Change::Runner(runner) => {
                self.runners.insert(runner.name().clone(), runner.clone());
            }
            Change::RunnerGone(runner) => {
                self.runners.remove(&runner.facts.name);
                self.gone.push(runner.as_ref().clone());
            }
            Change::RunnerAmended(runner) => {
                let before = self.gone.iter_mut().find(|gone| gone.facts.name == runner.facts.name);
                *before.unwrap() = runner.as_ref().clone();
            }
            Change::Warm(_)
            | Change::WarmGone(_)
            | Change::Hold(_)
            | Change::Released(_)
            | Change::Rerun(_)
            | Change::RerunOver(_)
            | Change::Image(_)
            | Change::Overspent(_)
            | Change::BudgetOpen(_)
            | Change::Claimed(_) => {
                panic!("no event holds launches back, or wants a rerun or an image: {change:?}")
            }
        }
    }

    /// Performs clean-up steps until none is left. GitHub has deleted the
    /// registration by itself.
    fn clean(&mut self, now: Timestamp) {
        for _ in 0..10 {
            let Some(runner) = self.runners.values().next().cloned() else { return };
            let next = match runner.next(now) {
                Next::Now(Step::Revoke) => runner.revoked(false, now),
                Next::Now(Step::DeleteRegistration) => runner.registration_deleted(now),
                Next::Now(Step::StopTask) => runner.task_stopping(now),
                Next::Now(Step::Finish) => {
                    let ended = runner.finish(now).unwrap();
                    self.write(&Change::RunnerGone(Box::new(ended)));
                    continue;
                }
                _ => return,
            };
            self.write(&Change::Runner(next.unwrap()));
        }
    }

    /// Returns the final state, without versions and times.
    fn summary(&self) -> String {
        let jobs = self.jobs.values().map(|record| match record {
            JobRecord::Open(job) => match &job.state {
                JobState::Waiting => format!("{} waiting", job.id()),
                JobState::Queued { wait, .. } => format!("{} queued ({})", job.id(), wait.code().as_str()),
                JobState::InProgress { .. } => format!("{} in progress", job.id()),
                JobState::Refused { reason } => format!("{} refused: {}", job.id(), reason.code().as_str()),
            },
            JobRecord::Ended(job) => match &job.ending {
                JobEnding::Completed { conclusion, .. } => {
                    format!("{} completed: {}", job.facts.id, conclusion.as_str())
                }
                JobEnding::Refused { reason, .. } => {
                    format!("{} refused: {}", job.facts.id, reason.code().as_str())
                }
            },
        });
        let open = self.runners.values().map(|runner| match &runner.state {
            RunnerState::Ending(ending) => {
                format!(
                    "runner ending: {} {:?} {:?}",
                    ending.kind.as_str(),
                    ending.served,
                    ending.registration
                )
            }
            _ => format!("runner {}", runner.stage().as_str()),
        });
        let gone = self.gone.iter().map(|runner| format!("runner gone: {}", runner.kind.as_str()));
        jobs.chain(open).chain(gone).collect::<Vec<_>>().join("; ")
    }
}

fn tell_all(mut book: Book, events: &[Event]) -> String {
    for event in events {
        book.tell(event);
    }
    book.clean(at(1_000));
    book.summary()
}

#[test]
fn a_job_that_waited_for_an_approval_is_queued_from_its_release() {
    const TWO_DAYS: i64 = 2 * 24 * 3600 * 1000;
    let mut book = Book::default();
    book.tell(&job_event(7, JobAction::Waiting, 10));
    book.tell(&job_event(7, JobAction::Queued, TWO_DAYS));
    let Some(JobRecord::Open(job)) = book.jobs.get(&JobId::new(7)) else { panic!("it is open") };
    assert_eq!(job.timeline.at(JobStage::Queued), Some(at(TWO_DAYS)));
    assert!(
        matches!(&job.state, JobState::Queued { wait, .. } if wait.code() == Code::ToPlan),
        "{:?}",
        job.state
    );
    // One question without an answer does not end it.
    let unanswered = Event::JobAnswer(JobAnswer {
        job: job.id(),
        asked: job.version,
        on_behalf_of: None,
        outcome: JobOutcome::Unanswered,
        at: at(TWO_DAYS + 400_000),
    });
    book.tell(&unanswered);
    assert!(matches!(book.jobs.get(&JobId::new(7)), Some(JobRecord::Open(_))), "{}", book.summary());
}

#[test]
fn one_job_goes_from_queued_to_gone() {
    let events = [task(1, TaskChange::Running), in_progress(7), completed(7), stopped(AgentExit::Completed)];
    assert_eq!(tell_all(Book::with_runner(), &events), "7 completed: success; runner gone: completed");
}

#[test]
fn every_order_of_a_jobs_webhooks_comes_to_the_same_end() {
    let events = [queued(7), in_progress(7), completed(7)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let events = order.map(|i: usize| events[i].clone());
        assert_eq!(tell_all(Book::default(), &events), "7 completed: success", "{order:?}");
    }
}

#[test]
fn a_second_delivery_changes_nothing() {
    let mut book = Book::with_runner();
    for event in [in_progress(7), completed(7), stopped(AgentExit::Completed)] {
        assert!(!book.tell(&event).changes.is_empty());
        assert_eq!(book.tell(&event).changes, [], "{event:?}");
    }
}

#[test]
fn the_expected_life_of_a_job_alters_no_plan_until_its_place_is_free() {
    let mut book = Book::with_runner();
    assert!(!book.tell(&task(1, TaskChange::Running)).replan);
    assert!(!book.tell(&in_progress(7)).replan);
    assert!(!book.tell(&completed(7)).replan);
    let stopped = book.tell(&stopped(AgentExit::Completed));
    assert!(stopped.replan);
    assert!(matches!(stopped.changes[..], [Change::RunnerGone(_)]), "nothing is left to come back for");
}

#[test]
fn an_answer_that_tells_nothing_is_not_asked_for_again_at_once() {
    let mut book = Book::default();
    book.tell(&queued(7));
    let [Question::Job { .. }] = &book.plan(at(400_000)).questions[..] else {
        panic!("asked after five minutes")
    };
    let asked = |book: &Book, outcome| {
        let Some(JobRecord::Open(job)) = book.jobs.get(&JobId::new(7)) else { panic!("it is open") };
        Event::JobAnswer(JobAnswer {
            job: job.id(),
            asked: job.version,
            on_behalf_of: None,
            outcome,
            at: at(400_000),
        })
    };
    let unanswered = asked(&book, JobOutcome::Unanswered);
    assert!(!book.tell(&unanswered).replan);
    assert_eq!(book.plan(at(401_000)).questions, []);
    assert_eq!(book.plan(at(600_000)).questions.len(), 1);
}

#[test]
fn a_reservation_that_is_withdrawn_leaves_nothing_to_clean() {
    let mut book = Book::default();
    book.tell(&queued(7));
    let reserved = book.launch_one();
    let retry =
        Retry { failures: 1, not_before: at(15_000), reason: Reason::with(Code::NoCapacity, "none left") };
    let waiting = reserved.next_try(reserved.placement.clone(), retry, at(20)).unwrap();
    assert_eq!(waiting.state, RunnerState::Reserved { attempt: 2 });
    assert_eq!(waiting.next(at(21)), Next::At(at(15_000)));
    assert_eq!(waiting.next(at(15_000)), Next::Now(Step::RunTask));
    assert!(waiting.withdrawn(Code::NoCapacity.into(), at(30)).unwrap().is_to_finish());
    let ended = waiting.end(EndingKind::Surplus, None, at(30));
    assert_eq!(ended.next(at(15_001)), Next::Now(Step::RunTask), "that try may have been asked for");
}

#[test]
fn a_runner_that_was_lost_under_its_job_stays_the_reason_when_github_says_how_the_job_ended() {
    let lost = [
        (StopCause::SpotInterrupted, "spot_interrupted"),
        (StopCause::Agent(AgentExit::ListenerCrashed), "agent_crashed"),
    ];
    for (cause, code) in lost {
        let mut book = Book::with_runner();
        for event in [in_progress(7), task(2, TaskChange::Stopped(cause)), completed(7), completed(7)] {
            book.tell(&event);
        }
        let runner = book.runners.values().next().unwrap();
        let RunnerState::Ending(ending) = &runner.state else { panic!("{runner:?}") };
        assert_eq!(ending.note.as_ref().map(|note| note.code().as_str()), Some(code));
    }
}

#[test]
fn a_completed_runner_without_a_known_job_holds_the_oldest_jobs_demand() {
    let mut book = Book::with_runner();
    book.tell(&stopped(AgentExit::Completed));
    let plan = book.plan(at(300));
    assert_eq!(plan.launches, []);
    assert_eq!(plan.waits[0].reason.code(), Code::MaybeTaken);
    assert_eq!(plan.questions.len(), 1);
    let later = book.plan(at(300) + SignedDuration::from_mins(3));
    assert_eq!(later.launches.len(), 1, "after two minutes the job is served");
}

#[test]
fn an_agent_that_ended_before_it_had_a_job_leaves_its_job_to_another() {
    for exit in [AgentExit::NoBootItem, AgentExit::NotConnected, AgentExit::ListenerCrashed, AgentExit::NoJob]
    {
        let mut book = Book::with_runner();
        book.tell(&stopped(exit));
        assert_eq!(book.plan(at(300)).launches.len(), 1, "{exit:?}");
        book.clean(at(400));
        assert_eq!(book.gone.len(), 1, "{exit:?}: {}", book.summary());
    }
}

#[test]
fn an_old_queued_event_is_no_demand_before_github_confirms_it() {
    let mut book = Book::default();
    let Event::Job(mut event) = queued(7) else { panic!() };
    event.received_at = at(0) + SignedDuration::from_mins(11);
    book.tell(&Event::Job(event));
    let plan = book.plan(at(0) + SignedDuration::from_mins(11));
    assert_eq!((plan.launches.len(), plan.questions.len()), (0, 1));
}

#[test]
fn a_job_that_nobody_knew_takes_another_jobs_runner_and_the_plan_is_made_again() {
    let mut book = Book::with_runner();
    let told = book.tell(&in_progress(8));
    assert!(told.replan, "job 7 has no runner any more: {told:?}");
    assert_eq!(book.plan(at(120)).launches.len(), 1);
    assert!(!Book::default().tell(&in_progress(8)).replan, "it takes nothing from anybody");
}

#[test]
fn a_job_of_nobodys_leaves_no_record() {
    let foreign = TakenBy::Other(Some(Arc::from("GitHub Actions 7")));
    let mut event = JobEvent {
        action: JobAction::InProgress { runner: foreign, started_at: None },
        facts: job_facts(7, "acme/app", &["ubuntu-latest"]),
        private: Some(true),
        created_at: None,
        received_at: at(0),
    };
    let mut book = Book::default();
    assert_eq!(book.tell(&Event::Job(event.clone())).changes, []);
    event.action = JobAction::Queued;
    let refused = book.tell(&Event::Job(event));
    assert_eq!(refused.outcome.reason().code(), Code::LabelsNotOurs);
    assert_eq!(book.summary(), "7 refused: labels_not_ours");
}

proptest! {
    /// Facts in any order, each once or several times, lead to the same end, and nothing is left.
    #[test]
    fn any_order_and_number_of_the_same_facts_gives_the_same_end(
        order in prop::collection::vec(0_usize..5, 0..20),
        last in Just([0_usize, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let facts = [
            queued(7),
            in_progress(7),
            completed(7),
            task(1, TaskChange::Running),
            stopped(AgentExit::Completed),
        ];
        let events: Vec<Event> = order.iter().chain(&last).map(|i| facts[*i].clone()).collect();
        prop_assert_eq!(tell_all(Book::with_runner(), &events), "7 completed: success; runner gone: completed");
    }

    /// A runner reaches `gone`, however it ends and whenever its webhooks come.
    #[test]
    fn every_runner_reaches_gone(
        exit in prop::sample::select(AgentExit::ALL.to_vec()),
        retired in any::<bool>(),
        webhooks in prop::collection::vec(prop::sample::select(vec![0_usize, 1]), 0..4),
        stops_first in any::<bool>(),
    ) {
        let mut book = Book::with_runner();
        if retired {
            let runner = book.runners.values().next().unwrap().end(EndingKind::Surplus, None, at(90));
            book.write(&Change::Runner(runner));
        }
        let facts = [in_progress(7), completed(7)];
        if stops_first {
            book.tell(&stopped(exit));
        }
        for i in webhooks {
            book.tell(&facts[i]);
        }
        book.tell(&stopped(exit));
        book.clean(at(1_000) + SignedDuration::from_mins(5));
        prop_assert_eq!(book.runners.len(), 0, "{}", book.summary());
    }
}
