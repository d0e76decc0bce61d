//! Reads the function's log from CloudWatch Logs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::aws::{Aws, LOGS};
use crate::deployment::FUNCTION;

/// The limit of FilterLogEvents. ministack has no second page.
const MAX_EVENTS: usize = 10_000;

/// The lines of each invocation. In ministack each invocation has its own log stream.
pub(crate) struct Logs(BTreeMap<String, Vec<String>>);

impl Logs {
    pub(crate) async fn read(aws: &Aws) -> Self {
        let input = json!({"logGroupName": format!("/aws/lambda/{FUNCTION}"), "limit": MAX_EVENTS});
        let found = aws.call(LOGS, "FilterLogEvents", input).await;
        let events = found["events"].as_array().unwrap();
        assert!(events.len() < MAX_EVENTS, "the log has more lines than can be read");
        let mut invocations: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events {
            let stream = event["logStreamName"].as_str().unwrap().to_owned();
            invocations.entry(stream).or_default().push(event["message"].as_str().unwrap().to_owned());
        }
        Self(invocations)
    }

    /// Writes the lines to a file, grouped by invocation.
    pub(crate) fn save(&self, file: &Path) {
        let lines: Vec<&str> = self.lines().collect();
        std::fs::write(file, lines.join("\n")).unwrap();
    }

    /// Returns the lines of the only invocation that logged `message` about `runner`.
    pub(crate) fn invocation_that_said(&self, message: &str, runner: &str) -> Vec<Value> {
        let facts = |lines: &Vec<String>| -> Vec<Value> {
            lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        let said = |facts: &Vec<Value>| {
            facts.iter().any(|fact| fact["message"] == message && fact["runner"] == runner)
        };
        let mut invocations: Vec<_> = self.0.values().map(facts).filter(said).collect();
        assert_eq!(
            invocations.len(),
            1,
            "invocations that logged `{message}` about {runner}: {invocations:?}"
        );
        invocations.remove(0)
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.values().flatten().map(String::as_str)
    }

    /// Returns the lines that are JSON.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Value> {
        self.lines().filter_map(|line| serde_json::from_str(line).ok())
    }

    /// Returns the lines with that message.
    pub(crate) fn said(&self, message: &str) -> Vec<Value> {
        self.facts().filter(|fact| fact["message"] == message).collect()
    }

    /// Sums a metric over the lines in the embedded metric format.
    pub(crate) fn sum(&self, metric: &str) -> f64 {
        self.facts().filter(|fact| fact.get("_aws").is_some()).filter_map(|fact| fact[metric].as_f64()).sum()
    }
}
