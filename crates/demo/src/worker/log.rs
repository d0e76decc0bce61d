//! The job's log and the states of its steps, for the results service. Errors here
//! do not fail the job.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::protocol::Conclusion;
use crate::runner_client::{Feed, JobClient};

use super::annotations::Annotation;
use super::masks::Masks;

const RECEIVER: &str = "twirp/results.services.receiver.Receiver";
const STEPS: &str = "twirp/github.actions.results.api.v1.WorkflowStepUpdateService/WorkflowStepsUpdate";
/// Changes of steps are sent at most this often.
const UPDATE_INTERVAL: Duration = Duration::from_millis(500);

/// The delay of lines for the live feed.
const FEED_INTERVAL: Duration = Duration::from_millis(250);

/// A step that is in progress, executed or skipped.
#[derive(Clone, Debug)]
pub(super) struct StepRecord {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) started_at: Timestamp,
    pub(super) completed: Option<(Timestamp, Conclusion)>,
    pub(super) annotations: Vec<Annotation>,
}

/// The current log.
pub(super) struct Log {
    client: JobClient,
    /// The base URL of the results service, if there is one.
    results: Option<String>,
    whole: String,
    step: String,
    lines: (u64, u64),
    updated: Option<Instant>,
    is_changed: bool,
    changes: u64,
    feed: Option<Feed>,
    /// Lines of the current step that the feed does not have yet with their numbers, and when the first of them was written.
    unsent: Vec<(u64, String)>,
    unsent_since: Option<Instant>,
    masks: Masks,
}

impl Log {
    pub(super) fn new(client: JobClient, results: Option<String>) -> Self {
        Self {
            feed: client.feed(),
            unsent: Vec::new(),
            unsent_since: None,
            masks: Masks::default(),
            client,
            results,
            whole: "\u{feff}".to_owned(),
            step: "\u{feff}".to_owned(),
            lines: (0, 0),
            updated: None,
            is_changed: false,
            changes: 0,
        }
    }

    /// Shows `***` in place of a value from here on.
    pub(super) fn mask(&mut self, value: &str) {
        self.masks.add(value);
    }

    /// Returns a text without the masked values.
    pub(super) fn masked(&self, text: &str) -> String {
        self.masks.apply(text)
    }

    pub(super) fn write(&mut self, line: &str) {
        let line = &self.masks.apply(line);
        if self.feed.is_some() && !line.is_empty() {
            self.unsent.push((self.lines.1 + 1, line.to_owned()));
            self.unsent_since.get_or_insert_with(Instant::now);
        }
        let line = format!("{:.7} {line}\n", Timestamp::now());
        self.whole.push_str(&line);
        self.step.push_str(&line);
        let lines = u64::try_from(line.matches('\n').count()).unwrap_or_default();
        self.lines.0 += lines;
        self.lines.1 += lines;
    }

    /// Sends lines of the current step over the live feed.
    pub(super) fn send_lines(&mut self, id: &str) {
        let lines = std::mem::take(&mut self.unsent);
        self.unsent_since = None;
        if let Some(feed) = &mut self.feed {
            feed.send(id, &lines);
        }
    }

    /// Whether lines have waited long enough for the live feed.
    pub(super) fn has_due_lines(&self) -> bool {
        self.unsent_since.is_some_and(|since| since.elapsed() >= FEED_INTERVAL)
    }

    /// Returns the number of lines of the current step.
    pub(super) const fn step_lines(&self) -> u64 {
        self.lines.1
    }

    /// Uploads the log of a step.
    pub(super) fn end_step(&mut self, id: &str) {
        self.send_lines(id);
        let text = std::mem::replace(&mut self.step, "\u{feff}".to_owned());
        let lines = std::mem::take(&mut self.lines.1);
        if lines > 0 {
            self.upload("StepLogs", &text, lines, Some(id));
        }
    }

    pub(super) fn end_job(&mut self) {
        let text = std::mem::take(&mut self.whole);
        self.upload("JobLogs", &text, self.lines.0, None);
    }

    fn upload(&self, what: &str, text: &str, lines: u64, step: Option<&str>) {
        let Some(results) = &self.results else { return };
        let mut ids = json!({
            "workflow_run_backend_id": self.client.plan, "workflow_job_run_backend_id": self.client.job,
        });
        if let Some(step) = step {
            ids["step_backend_id"] = step.into();
        }
        let announced = self.client.post(&format!("{results}{RECEIVER}/Get{what}SignedBlobURL"), &ids);
        let Ok(Value::String(url)) = announced.map(|mut answer| answer["logs_url"].take()) else { return };
        if self.client.upload(&url, text).is_ok() {
            ids["uploaded_at"] = json!(Timestamp::now());
            ids["line_count"] = lines.into();
            // The text is stored even if this call fails.
            let _ = self.client.post(&format!("{results}{RECEIVER}/Create{what}Metadata"), &ids);
        }
    }

    /// Uploads the summary of a step.
    pub(super) fn summarize(&self, step: &str, text: &str) {
        let Some(results) = &self.results else { return };
        let text = &self.masks.apply(text);
        let mut ids = json!({
            "workflow_run_backend_id": self.client.plan, "workflow_job_run_backend_id": self.client.job,
            "step_backend_id": step,
        });
        let announced = self.client.post(&format!("{results}{RECEIVER}/GetStepSummarySignedBlobURL"), &ids);
        let Ok(Value::String(url)) = announced.map(|mut answer| answer["summary_url"].take()) else { return };
        if self.client.upload(&url, text).is_ok() {
            ids["uploaded_at"] = json!(Timestamp::now());
            ids["size"] = text.len().into();
            // The text is stored even if this call fails.
            let _ = self.client.post(&format!("{results}{RECEIVER}/CreateStepSummaryMetadata"), &ids);
        }
    }

    /// Whether an update waits that may be sent now.
    pub(super) fn has_due_update(&self) -> bool {
        self.is_changed && self.updated.is_none_or(|at| at.elapsed() >= UPDATE_INTERVAL)
    }

    /// Returns how long to wait before steps or lines may be sent, or `None` if none wait.
    pub(super) fn next_update(&self) -> Option<Duration> {
        let waited = self.updated.map_or(UPDATE_INTERVAL, |at| at.elapsed());
        let update = self.is_changed.then(|| UPDATE_INTERVAL.saturating_sub(waited));
        let lines = self.unsent_since.map(|since| FEED_INTERVAL.saturating_sub(since.elapsed()));
        update.into_iter().chain(lines).min()
    }

    /// Sends the steps' states. If they were sent less than [`UPDATE_INTERVAL`] ago, they are
    /// sent later.
    pub(super) fn update(&mut self, steps: &[StepRecord]) {
        let Some(results) = &self.results else { return };
        self.is_changed = true;
        if self.updated.is_some_and(|at| at.elapsed() < UPDATE_INTERVAL) {
            return;
        }
        self.is_changed = false;
        self.updated = Some(Instant::now());
        self.changes += 1;
        let steps: Vec<Value> =
            steps.iter().enumerate().map(|(index, step)| step.update(index + 1)).collect();
        let body = json!({
            "workflow_run_backend_id": self.client.plan,
            "workflow_job_run_backend_id": self.client.job,
            "change_order": self.changes,
            "steps": steps,
        });
        let _ = self.client.post(&format!("{results}{STEPS}"), &body);
    }
}

impl StepRecord {
    fn update(&self, number: usize) -> Value {
        json!({
            "external_id": self.id,
            "number": number,
            "name": self.name,
            "status": if self.completed.is_some() { 6 } else { 3 },
            "started_at": self.started_at,
            "completed_at": self.completed.map(|(at, _)| at),
            "conclusion": match self.completed.map(|(_, conclusion)| conclusion) {
                None => 0,
                Some(Conclusion::Success) => 2,
                Some(Conclusion::Failure) => 3,
                Some(Conclusion::Cancelled) => 4,
                Some(Conclusion::Skipped) => 7,
            },
        })
    }

    /// Returns the step's result for the job's report.
    pub(super) fn result(&self, number: usize) -> Value {
        json!({
            "external_id": self.id,
            "number": number,
            "name": self.name,
            "status": "completed",
            "conclusion": self.completed.map(|(_, conclusion)| conclusion.posted()),
            "started_at": self.started_at,
            "completed_at": self.completed.map(|(at, _)| at),
            "annotations": self.annotations.iter().map(Annotation::posted).collect::<Vec<_>>(),
        })
    }
}
