//! The report of a job's end, with its outputs and steps.

use serde_json::{Map, Value, json};

use crate::protocol::Conclusion;

use super::job::JobRun;
use super::order::{Output, StepOrder, Work};
use super::{Control, Outcome};

/// Attempts to report the job's end.
const REPORTS: u32 = 25;

impl JobRun {
    /// Reports the job's end with its outputs, with retries.
    pub(super) fn report(&mut self, job_outputs: Value) -> Outcome {
        let outcome = match (self.interruption, self.failed) {
            // At GitHub, a shutdown is a failure, although the listener's line says `Canceled`.
            (Some(Control::Shutdown), _) => Outcome::Failed,
            (Some(Control::Cancel), _) => Outcome::Canceled,
            (None, true) => Outcome::Failed,
            (None, false) => Outcome::Succeeded,
        };
        let conclusion = match outcome {
            Outcome::Succeeded => Conclusion::Success,
            Outcome::Failed => Conclusion::Failure,
            Outcome::Canceled => Conclusion::Cancelled,
        };
        let steps: Vec<Value> =
            self.records.iter().enumerate().map(|(index, step)| step.result(index + 1)).collect();
        let report = json!({
            "conclusion": conclusion.posted(),
            "outputs": job_outputs,
            "stepResults": steps,
            "annotations": [],
            "telemetry": [],
        });
        for attempt in 1..=REPORTS {
            match self.order.client.complete(report.clone()) {
                Ok(()) => return outcome,
                Err(error) if matches!(error.status(), Some(401 | 404)) => return Outcome::Failed,
                Err(_) if attempt < REPORTS => std::thread::sleep(self.times.call_retry()),
                Err(_) => {}
            }
        }
        Outcome::Failed
    }

    /// Returns the job's outputs in the form of the report. As the official runner, it leaves out empty ones, and with a
    /// warning those that have a secret in them. (actions/runner, `src/Runner.Worker/JobExtension.cs`)
    pub(super) fn job_outputs(&mut self) -> Value {
        let mut outputs = Map::new();
        for (name, output) in self.order.outputs.clone() {
            let value = match output {
                Output::Text(text) => text,
                Output::OfStep { step, name } => self.output(&step, &name),
            };
            if self.log.masked(&value) != value {
                self.warn(&format!("Skip output '{name}' since it may contain secret."));
            } else if !value.is_empty() {
                outputs.insert(name, json!({"value": value, "isSecret": false}));
            }
        }
        Value::Object(outputs)
    }

    fn output(&self, step: &str, name: &str) -> String {
        let mut known = self.outputs.iter().rev();
        let found =
            known.find(|(of, known, _)| of.eq_ignore_ascii_case(step) && known.eq_ignore_ascii_case(name));
        found.map(|(_, _, value)| value.clone()).unwrap_or_default()
    }
}

impl StepOrder {
    /// Returns the name that GitHub shows.
    pub(super) fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("Run {}", self.bare_title()))
    }

    /// Returns the name, or a text for the step's work.
    pub(super) fn bare_title(&self) -> String {
        self.name.clone().unwrap_or_else(|| match &self.work {
            Work::Script => {
                let script = self.input("script").unwrap_or_default();
                script.trim().lines().next().unwrap_or_default().to_owned()
            }
            Work::LocalAction { folder } => format!("./{folder}"),
            Work::RepositoryAction { name, version, .. } => format!("{name}@{version}"),
            Work::Other(kind) => kind.clone(),
        })
    }
}
