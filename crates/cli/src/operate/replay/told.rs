//! The result of a replay: one JSON document, or lines for people.

use std::iter::once;

use ecsrunner_api::reason::ReasonView;
use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::id::JobId;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::wire::event::{JobAction, JobEvent, TaskChange, TaskEvent};
use ecsrunner_engine::chain;
use jiff::Timestamp;
use serde::Serialize;

use super::decision::Decision;
use super::events::Fault;
use crate::output::clean;

/// The whole result, as in `docs/interface.md`.
#[derive(Default, Debug, Serialize)]
pub(super) struct Replayed {
    events: Vec<Entry>,
    set_aside: Vec<SetAside>,
    summary: Summary,
}

/// An event and the decisions that it led to.
#[derive(Debug, Serialize)]
struct Entry {
    at: Timestamp,
    event: String,
    job: Option<JobId>,
    runner: Option<String>,
    /// `null`, like the reason, if the decisions follow from time alone.
    outcome: Option<&'static str>,
    reason: Option<ReasonView>,
    decisions: Vec<Decision>,
    #[serde(skip)]
    what: String,
}

/// A document that was not replayed.
#[derive(Debug, Serialize)]
pub(super) struct SetAside {
    /// The number of the document in the recording, from 1.
    pub(super) number: usize,
    pub(super) fault: String,
}

#[derive(Default, Debug, Serialize)]
struct Summary {
    events: usize,
    launches: usize,
    retirements: usize,
    jobs_refused: usize,
    set_aside: usize,
}

/// The subject of an event.
#[derive(Debug)]
pub(super) struct Heading {
    event: String,
    what: String,
    job: Option<JobId>,
    runner: Option<String>,
}

impl Heading {
    pub(super) fn of_job(event: &JobEvent) -> Self {
        let (stage, conclusion, runner) = match &event.action {
            JobAction::Waiting => (JobStage::Waiting, None, None),
            JobAction::Queued => (JobStage::Queued, None, None),
            JobAction::InProgress { runner, .. } => (JobStage::InProgress, None, runner.name()),
            JobAction::Completed { runner, conclusion, .. } => {
                (JobStage::Completed, Some(conclusion.as_str()), runner.name())
            }
        };
        let (id, stage) = (event.facts.id, stage.as_str());
        let with = conclusion.map(|conclusion| format!(" with {conclusion}")).unwrap_or_default();
        let on = runner.map(|runner| format!(" on {runner}")).unwrap_or_default();
        Self {
            event: format!("workflow_job.{stage}"),
            what: format!("job {id} {stage}{with}{on}"),
            job: Some(id),
            runner: runner.map(str::to_owned),
        }
    }

    pub(super) fn of_task(event: &TaskEvent) -> Self {
        let status = match event.change {
            TaskChange::Running => "RUNNING",
            TaskChange::Stopped(_) => "STOPPED",
        };
        Self {
            event: format!("task.{status}"),
            what: format!("task {} {status}, runner {}", event.task, event.name),
            job: None,
            runner: Some(event.name.to_string()),
        }
    }

    pub(super) fn of_other(event: String) -> Self {
        Self { what: event.replacen('.', " ", 1), event, job: None, runner: None }
    }
}

impl Replayed {
    pub(super) fn happened(
        &mut self,
        at: Timestamp,
        heading: Heading,
        outcome: &Outcome,
        decisions: Vec<Decision>,
    ) {
        self.summary.events += 1;
        self.summary.jobs_refused += usize::from(matches!(outcome, Outcome::Refused(_)));
        self.count(&decisions);
        let Heading { event, what, job, runner } = heading;
        let reason = Some(ReasonView::of(outcome.reason()));
        let outcome = Some(outcome.as_str());
        self.events.push(Entry { at, event, job, runner, outcome, reason, decisions, what });
    }

    /// Adds decisions that were made between two events because time passed.
    pub(super) fn time_passed(&mut self, at: Timestamp, decisions: Vec<Decision>) {
        self.count(&decisions);
        self.events.push(Entry {
            at,
            event: "time".to_owned(),
            job: None,
            runner: None,
            outcome: None,
            reason: None,
            decisions,
            what: "time passes".to_owned(),
        });
    }

    fn count(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            match decision {
                Decision::Launch { .. } => self.summary.launches += 1,
                Decision::Retire { .. } => self.summary.retirements += 1,
                Decision::Wait { .. } | Decision::Ask { .. } => {}
            }
        }
    }

    pub(super) fn put_aside(&mut self, number: usize, fault: &Fault) {
        self.summary.set_aside += 1;
        self.set_aside.push(SetAside { number, fault: chain(fault) });
    }

    pub(super) fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// Returns whether the recording had no event.
    pub(super) fn is_empty(&self) -> bool {
        self.summary.events == 0
    }

    pub(super) fn text(&self) -> String {
        let lines = self.events.iter().flat_map(Entry::lines);
        let lines = lines.chain(once(self.summary.line()));
        lines.fold(String::new(), |text, line| text + &clean(&line) + "\n")
    }
}

impl Entry {
    fn lines(&self) -> Vec<String> {
        let told = match (self.outcome, &self.reason) {
            (Some(outcome), Some(reason)) => format!(": {outcome}, {}", reason.text),
            _ => String::new(),
        };
        let first = format!("{:.3}  {}{told}", self.at, self.what);
        once(first).chain(self.decisions.iter().map(|decision| format!("    {}", decision.text()))).collect()
    }
}

impl Summary {
    fn line(&self) -> String {
        let Self { events, launches, retirements, jobs_refused, set_aside } = self;
        format!(
            "events: {events}, launches: {launches}, retirements: {retirements}, \
             jobs refused: {jobs_refused}, set aside: {set_aside}"
        )
    }
}
