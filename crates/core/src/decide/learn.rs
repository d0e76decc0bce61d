//! Derives holds from the course of open runners: where they fail, launches are held back until one succeeds there.
//!
//! Each fault is held against the narrowest place that explains it. A fault that a pool's own hold explains says nothing
//! about its class or its placement, so one sick repository never holds back others.

mod warm;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::clock::last_done;
use crate::reason::{Code, Reason};
use crate::records::change::Change;
use crate::records::hold::{Failure, Held, Hold};
use crate::records::job::{Job, JobStage, JobState};
use crate::records::open::Open;
use crate::records::runner::{Custody, Runner, RunnerStage, RunnerState, Served};
use crate::wire::fault::{Fault, Suspect};

/// A hold is dropped if it has not been probed for this long after a probe was allowed.
const FORGET: SignedDuration = SignedDuration::from_hours(24);
/// A job that has run for this long was not refused: its hook comes before its first step.
pub(super) const JUDGED: SignedDuration = SignedDuration::from_mins(5);
/// A failure is learnt within this time or not at all.
const LESSON: SignedDuration = SignedDuration::from_mins(5);

/// Returns the changes of holds that follow from the open runners and are not
/// recorded yet. Once they are recorded, the same runners lead to no more changes. A runner's failure is learnt once: its
/// record stays open while it is cleaned up, and a success after it may be history by then. Whether that was written may
/// be left to the next round.
#[must_use]
pub fn learn(open: &Open, now: Timestamp) -> Vec<Change> {
    let moved: Vec<Hold> = open.holds.values().filter_map(|hold| hold.moved_back(now)).collect();
    if !moved.is_empty() {
        return learn_with(moved, open, now);
    }
    let mut changes = learn_from_runners(open, now);
    changes.extend(warm::learn(open, now));
    changes
}

/// Whether a hold has not been probed for long although it might.
fn is_forgotten(hold: &Hold, now: Timestamp) -> bool {
    now.duration_since(hold.not_before) > FORGET
}

/// Learns after the clock was set back: first that these holds have moved.
fn learn_with(moved: Vec<Hold>, open: &Open, now: Timestamp) -> Vec<Change> {
    let mut open = open.clone();
    moved.iter().for_each(|hold| open.add_hold(hold.clone()));
    let mut changes = learn(&open, now);
    let is_of = |held: &Held, change: &Change| match change {
        Change::Hold(hold) => hold.held == *held,
        Change::Released(released) => released == held,
        _ => false,
    };
    // Each hold is written once.
    let unchanged = moved.into_iter().filter(|hold| !changes.iter().any(|change| is_of(&hold.held, change)));
    let unchanged: Vec<_> = unchanged.map(Change::Hold).collect();
    changes.extend(unchanged);
    changes
}

fn learn_from_runners(open: &Open, now: Timestamp) -> Vec<Change> {
    // A success only lifts a hold, so without holds and faults there is nothing to learn.
    if open.holds.is_empty() && !open.runners.values().any(has_failed) {
        return Vec::new();
    }
    let mut lessons: Vec<Lesson<'_>> =
        open.runners.values().flat_map(|runner| lessons_of(open, runner, now)).collect();
    // Before the clock was set back, a success may have come before a failure that a hold shows.
    lessons.retain(|lesson| {
        matches!(lesson.outcome, Outcome::Failed { .. }) || last_done(Some(lesson.at), now).is_some()
    });
    lessons.iter_mut().for_each(|lesson| lesson.at = lesson.at.min(now));
    // A success at the same instant comes first, so that the fault prevails.
    lessons.sort_by_key(|lesson| (lesson.at, matches!(lesson.outcome, Outcome::Failed { .. })));
    let mut learnt = Learnt { open, changed: BTreeMap::new() };
    for hold in open.holds.values().filter(|hold| is_forgotten(hold, now)) {
        // Those of warm tasks are written with what these show.
        if !matches!(hold.held, Held::Warm(_)) {
            learnt.changed.insert(hold.held.clone(), None);
        }
    }
    let mut taken = Vec::new();
    for lesson in &lessons {
        learnt.take(lesson);
        if let Outcome::Failed { .. } = lesson.outcome {
            taken.push(Change::Runner(learnt_from(lesson.runner)));
        }
    }
    let changed = learnt.changed.into_iter().filter(|(held, hold)| open.holds.get(held) != hold.as_ref());
    let holds = changed.map(|(held, hold)| hold.map_or(Change::Released(held), Change::Hold));
    holds.chain(taken).collect()
}

/// What the course of one runner shows.
struct Lesson<'a> {
    runner: &'a Runner,
    at: Timestamp,
    outcome: Outcome<'a>,
}

enum Outcome<'a> {
    /// Its container runs.
    Booted,
    /// It got a job. `serves` if that is one of a class of ours, or ended without a refusal.
    Used {
        serves: bool,
    },
    Failed {
        fault: Fault,
        words: &'a str,
    },
}

/// The holds as they are after the lessons so far.
struct Learnt<'a> {
    open: &'a Open,
    changed: BTreeMap<Held, Option<Hold>>,
}

impl Learnt<'_> {
    fn hold(&self, held: &Held) -> Option<&Hold> {
        match self.changed.get(held) {
            Some(hold) => hold.as_ref(),
            None => self.open.holds.get(held),
        }
    }

    fn take(&mut self, lesson: &Lesson<'_>) {
        let runner = lesson.runner;
        let pool = Held::Pool(runner.facts.pool.clone());
        let class = Held::Class(runner.facts.class.clone());
        let class_in = Held::class_in(runner.facts.class.clone(), runner.placement.clone());
        let placement = Held::placement(runner.placement.clone(), runner.facts.size.arch());
        match lesson.outcome {
            Outcome::Booted => {
                // A task that was accepted before the refusal says nothing about it.
                let is_later = |hold: &Hold| runner.timeline.began() > hold.latest;
                if self.hold(&placement).is_some_and(is_later) {
                    self.release(&placement, lesson, |_| true);
                }
                self.release(&class_in, lesson, Fault::is_before_boot);
                self.release(&class, lesson, Fault::is_before_boot);
            }
            // A runner that is refused gets its job first.
            Outcome::Used { serves } => {
                // A warm task started before, so its runner shows nothing about starting.
                let shows = |fault: Fault| !(runner.facts.warm.is_some() && fault.is_before_boot());
                for held in [&pool, &class_in, &class] {
                    self.release(held, lesson, |fault| {
                        (serves || fault != Fault::JobRefused) && shows(fault)
                    });
                }
            }
            Outcome::Failed { fault, words } => match fault.suspect() {
                Suspect::Capacity => self.fail(placement, lesson, fault, words),
                Suspect::Start => {
                    self.fail(class_in, lesson, fault, words);
                    self.fail(class, lesson, fault, words);
                }
                Suspect::Runner => {
                    let is_known = self.hold(&pool).is_some();
                    self.fail(pool, lesson, fault, words);
                    if !is_known {
                        self.fail(class_in, lesson, fault, words);
                        self.fail(class, lesson, fault, words);
                    }
                }
                Suspect::Use => self.fail(pool, lesson, fault, words),
                Suspect::GitHub | Suspect::Nothing => {}
            },
        }
    }

    fn release(&mut self, held: &Held, lesson: &Lesson<'_>, ends: impl Fn(Fault) -> bool) {
        if self.hold(held).is_some_and(|hold| lesson.at > hold.latest && ends(hold.fault)) {
            self.changed.insert(held.clone(), None);
        }
    }

    fn fail(&mut self, held: Held, lesson: &Lesson<'_>, fault: Fault, words: &str) {
        let before = self.hold(&held);
        if before.is_some_and(|hold| lesson.at <= hold.latest) {
            return;
        }
        // GitHub chooses a job for each runner separately, also for runners that were launched together.
        let began_at = if fault == Fault::JobRefused { lesson.at } else { lesson.runner.timeline.began() };
        let failure = Failure {
            pool: Some(&lesson.runner.facts.pool),
            placement: Some(&lesson.runner.placement),
            ..Failure::of(fault, words, began_at, lesson.at)
        };
        let hold = Hold::after(before, held.clone(), &failure);
        self.changed.insert(held, Some(hold));
    }
}

/// Returns the next record of a runner from whose failure nothing more is to be learnt.
fn learnt_from(runner: &Runner) -> Runner {
    Runner { version: runner.version.next(), ..runner.clone().for_fault(None) }
}

/// Whether a runner ended for a fault. Most have not ended, or have ended as they should.
fn has_failed(runner: &Runner) -> bool {
    matches!(&runner.state, RunnerState::Ending(ending) if ending.fault.is_some())
}

fn lessons_of<'a>(open: &Open, runner: &'a Runner, now: Timestamp) -> Vec<Lesson<'a>> {
    let mut lessons = Vec::new();
    let booted = runner.timeline.at(RunnerStage::Booted);
    // The container of a warm task ran before, and one on the instance of another runner shows nothing.
    if let Some(at) = booted.filter(|_| runner.facts.warm.is_none() && !runner.lacks_instance()) {
        lessons.push(Lesson { runner, at, outcome: Outcome::Booted });
    }
    // A runner that fails a job shows that its class starts, and nothing about the pool of that job.
    let fails = runner.facts.fails;
    if let Some(at) = runner.timeline.at(RunnerStage::Busy).or_else(|| was_used(runner)).filter(|_| !fails) {
        lessons.push(Lesson { runner, at, outcome: Outcome::Used { serves: serves(open, runner, now) } });
    }
    let RunnerState::Ending(ending) = &runner.state else { return lessons };
    // A used instance is known before the task has stopped, and the next launch does not wait for that.
    let failed_at = match ending.fault {
        Some(Fault::InstanceUsed) => runner.timeline.at(RunnerStage::Ending),
        _ => runner.stopped_at(),
    };
    // It was learnt when it was new, and a success since may be history by now.
    if failed_at.is_some_and(|at| now.duration_since(at) > LESSON) {
        return lessons;
    }
    let (Some(at), Some(fault)) = (failed_at, ending.fault) else { return lessons };
    // Without a task, the placement's hold was written with the answer to RunTask.
    let is_known = fault == Fault::NoCapacity && runner.task().is_none();
    // A container that ran without a configuration waited for GitHub, unless its instance was another runner's.
    let waited = ending.custody == Custody::Unissued && booted.is_some() && fault != Fault::InstanceUsed;
    let counts =
        fault.suspect() != Suspect::Use || booted.is_none_or(|booted| was_wanted(open, runner, booted));
    let is_of_pool = matches!(fault.suspect(), Suspect::Use | Suspect::Runner);
    let served_nobody = ending.served == Served::Nothing || fault == Fault::JobRefused;
    if served_nobody && !is_known && !waited && counts && !(fails && is_of_pool) {
        let words = ending.note.as_ref().and_then(Reason::detail).unwrap_or_else(|| fault.text());
        lessons.push(Lesson { runner, at, outcome: Outcome::Failed { fault, words } });
    }
    lessons
}

/// When a runner got its job, if the job began and ended unnoticed.
fn was_used(runner: &Runner) -> Option<Timestamp> {
    match &runner.state {
        RunnerState::Ending(ending) if ending.served != Served::Nothing => {
            runner.timeline.at(RunnerStage::Ending)
        }
        _ => None,
    }
}

/// Whether the job of a runner is known to be one that it serves: it has a class, or it passed the hook and then ended or
/// ran for some time.
fn serves(open: &Open, runner: &Runner, now: Timestamp) -> bool {
    let has_class = |job| open.jobs.get(&job).is_some_and(|job| job.assignment().is_some());
    let runs_on = |busy: Timestamp| now.duration_since(busy) > JUDGED;
    // Before its task has stopped, its agent has not said whether the hook refused the job.
    let is_over = runner.stopped_at().is_some() && has_passed_the_hook(runner);
    !has_failed(runner)
        && (is_over
            || runner.names_job().is_some_and(has_class)
            || runner.timeline.at(RunnerStage::Busy).is_some_and(runs_on))
}

/// Whether the job of a runner that ended began. One that GitHub took back before the hook was asked may be any job.
fn has_passed_the_hook(runner: &Runner) -> bool {
    match &runner.state {
        RunnerState::Ending(ending) => {
            let code = ending.note.as_ref().map(Reason::code);
            !matches!(code, Some(Code::JobNotStarted | Code::HookSilent | Code::JobWithdrawn))
        }
        _ => false,
    }
}

/// Whether a job of its pool was queued all the time that the runner waited for one.
fn was_wanted(open: &Open, runner: &Runner, booted: Timestamp) -> bool {
    let waits = |job: &Job| match &job.state {
        JobState::Queued { assignment, .. } => {
            assignment.pool == runner.facts.pool
                && job.timeline.at(JobStage::Queued).is_some_and(|queued| queued <= booted)
        }
        _ => false,
    };
    open.jobs.values().any(waits)
}

#[cfg(test)]
mod tests;
