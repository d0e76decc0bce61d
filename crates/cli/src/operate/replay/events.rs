//! Reads the JSON documents of a recording as events. Applying the events does
//! not belong here.

use ecsrunner_aws::task_event::{self, EventError};
use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::id::Deployment;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::wire::event::{JobEvent, TaskEvent};
use ecsrunner_core::wire::webhook::envelope::{self, Envelope, EnvelopeError};
use ecsrunner_engine::intake::{Delivery, event_of};
use jiff::Timestamp;
use serde_json::{Deserializer, Value};

/// The start of the next document after one that cannot be read.
const NEXT_DOCUMENT: &str = "\n{";

/// Why a document is set aside.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the document that starts in line {line} is not JSON: {words}")]
    Json { line: usize, words: String },
    #[error("neither an EventBridge event nor a `workflow_job` payload")]
    Unknown,
    #[error(
        "the event has source `{origin}` and detail type `{detail_type}`: expected source `{}`, or `{}` with `{}`",
        envelope::SOURCE,
        task_event::SOURCE,
        task_event::DETAIL_TYPE
    )]
    OtherEvent { origin: String, detail_type: String },
    #[error("the event with source `{0}` has no detail")]
    NoDetail(String),
    #[error("the document has no time of arrival")]
    NoTime,
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Task(#[from] EventError),
    #[error("{0}")]
    Unreadable(Reason),
}

impl Fault {
    fn json(error: &serde_json::Error, text: &str, begin: usize) -> Self {
        let line = text.get(..begin).unwrap_or_default().matches('\n').count() + 1;
        // The parser counts lines from where it started.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default().to_owned();
        Self::Json { line, words }
    }
}

/// Returns the documents of a recording. The elements of an array are documents of their own.
pub(crate) fn documents(text: &str) -> Vec<Result<Value, Fault>> {
    let mut documents = Vec::new();
    let mut begin = 0;
    while let Some(rest) = text.get(begin..) {
        let mut stream = Deserializer::from_str(rest).into_iter::<Value>();
        let error = loop {
            match stream.next() {
                Some(Ok(Value::Array(several))) => documents.extend(several.into_iter().map(Ok)),
                Some(Ok(document)) => documents.push(Ok(document)),
                Some(Err(error)) => break error,
                None => return documents,
            }
        };
        let at = begin + stream.byte_offset();
        documents.push(Err(Fault::json(&error, text, at)));
        let unread = text.get(at..).unwrap_or_default();
        // Inside an invalid array, the start of a document cannot be recognized.
        match unread.find(NEXT_DOCUMENT).filter(|_| !unread.starts_with('[')) {
            Some(line_end) => begin = at + line_end + 1,
            None => break,
        }
    }
    documents
}

/// A document of the recording, with its time of arrival.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Timestamp,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Webhook(Envelope),
    /// The detail of a task state change.
    Task(Value),
}

/// The event in a document.
#[derive(Debug)]
pub(crate) enum Heard {
    Job(JobEvent),
    Task(TaskEvent),
    /// An event that changes no record.
    Other {
        event: String,
        outcome: Outcome,
    },
}

impl Arrival {
    /// Recognizes the kind of a document by its form.
    ///
    /// # Errors
    ///
    /// The document cannot be replayed.
    pub(crate) fn read(document: &Value) -> Result<Self, Fault> {
        if document.get("workflow_job").is_some() {
            return Self::of_payload(document);
        }
        let origin = text(document, "source").ok_or(Fault::Unknown)?;
        let detail_type = text(document, "detail-type").unwrap_or_default();
        let detail = document.get("detail").ok_or_else(|| Fault::NoDetail(origin.to_owned()))?;
        let (told, form) = match (origin, detail_type) {
            (envelope::SOURCE, _) => {
                let envelope = Envelope::read(&detail.to_string())?;
                (time_of_body(&envelope.body), Form::Webhook(envelope))
            }
            (task_event::SOURCE, task_event::DETAIL_TYPE) => {
                (time_of_task(detail), Form::Task(detail.clone()))
            }
            _ => {
                let (origin, detail_type) = (origin.to_owned(), detail_type.to_owned());
                return Err(Fault::OtherEvent { origin, detail_type });
            }
        };
        let at = time(document, "time").or(told).ok_or(Fault::NoTime)?;
        Ok(Self { at, form })
    }

    /// Reads a bare payload of GitHub's, which comes without headers.
    fn of_payload(payload: &Value) -> Result<Self, Fault> {
        let envelope = Envelope {
            event: "workflow_job".to_owned(),
            delivery: String::new(),
            signature: None,
            content_type: None,
            body: payload.to_string().into_bytes(),
        };
        Ok(Self { at: time_of_job(payload).ok_or(Fault::NoTime)?, form: Form::Webhook(envelope) })
    }

    /// Returns the event as the deployment reads it.
    ///
    /// # Errors
    ///
    /// The document cannot be read.
    pub(crate) fn heard(&self, deployment: &Deployment, received_at: Timestamp) -> Result<Heard, Fault> {
        match &self.form {
            Form::Webhook(envelope) => {
                let delivery = Delivery::from(envelope);
                let webhook = delivery.read(received_at).map_err(Fault::Unreadable)?;
                Ok(match event_of(webhook) {
                    Ok(event) => Heard::Job(event),
                    Err(outcome) => Heard::Other { event: envelope.event.clone(), outcome },
                })
            }
            Form::Task(detail) => {
                // The deployment's cluster is unknown offline. `startedBy` identifies its tasks.
                let cluster = text(detail, "clusterArn").unwrap_or_default();
                let event = task_event::read(&detail.to_string(), deployment, cluster, received_at)?;
                Ok(event.map_or_else(|| nothing(detail), Heard::Task))
            }
        }
    }
}

/// An intermediate state of a task, or a task that is not the deployment's.
fn nothing(detail: &Value) -> Heard {
    let word = |key| text(detail, key).unwrap_or("unknown");
    let event = format!("task.{}", word("lastStatus"));
    let reason = Reason::with(Code::OtherEvent, format_args!("{event} of {}", word("startedBy")));
    Heard::Other { event, outcome: Outcome::Ignored(reason) }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn time(value: &Value, key: &str) -> Option<Timestamp> {
    text(value, key)?.parse().ok()
}

fn time_of_body(body: &[u8]) -> Option<Timestamp> {
    time_of_job(&serde_json::from_slice(body).ok()?)
}

/// Returns the time of the payload's event, by GitHub's clock.
fn time_of_job(payload: &Value) -> Option<Timestamp> {
    let job = payload.get("workflow_job")?;
    let key = match text(payload, "action") {
        Some("in_progress") => "started_at",
        Some("completed") => "completed_at",
        _ => "created_at",
    };
    [key, "started_at", "created_at"].into_iter().find_map(|key| time(job, key))
}

fn time_of_task(detail: &Value) -> Option<Timestamp> {
    ["updatedAt", "stoppedAt", "startedAt", "createdAt"].into_iter().find_map(|key| time(detail, key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(text: &str) -> String {
        let told = documents(text).into_iter().map(|document| match document {
            Ok(document) => document.to_string(),
            Err(fault) => format!("({fault})"),
        });
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn documents_stand_on_a_line_each_or_on_several_or_in_an_array() {
        assert_eq!(told("{\"a\":1}\n{\"a\":2}\n"), r#"{"a":1} {"a":2}"#);
        assert_eq!(told("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n{\n  \"a\": 2\n}"), r#"{"a":{"b":1}} {"a":2}"#);
        assert_eq!(told("[\n  {\"a\": 1},\n  {\"a\": 2}\n]\n"), r#"{"a":1} {"a":2}"#);
        assert_eq!(told(" \n"), "");
    }

    #[test]
    fn behind_what_is_not_json_the_next_line_that_begins_a_document_goes_on() {
        let cut = "{\"a\":1}\n{\"a\":\n  {\"b\":\n{\"a\":2}\n{\"a\":3}\n";
        let told = told(cut);
        assert!(told.starts_with(r#"{"a":1} (the document that starts in line 2 is not JSON: "#), "{told}");
        assert!(told.ends_with(r#") {"a":2} {"a":3}"#), "{told}");
    }

    #[test]
    fn what_is_none_of_the_three_forms_is_told_with_what_would_be_right() {
        let fault = |document: Value| Arrival::read(&document).unwrap_err().to_string();
        assert_eq!(fault(json!(7)), "neither an EventBridge event nor a `workflow_job` payload");
        assert_eq!(
            fault(json!({"source": "aws.ec2", "detail-type": "x", "detail": {}})),
            "the event has source `aws.ec2` and detail type `x`: expected source `ecsrunner.webhook`, or `aws.ecs` with `ECS Task State Change`"
        );
        assert_eq!(
            fault(json!({"source": "ecsrunner.webhook"})),
            "the event with source `ecsrunner.webhook` has no detail"
        );
        assert_eq!(
            fault(json!({"action": "queued", "workflow_job": {"id": 7}})),
            "the document has no time of arrival"
        );
    }

    #[test]
    fn a_payload_came_when_what_it_tells_of_was() {
        let payload = |action: &str| {
            json!({"action": action, "workflow_job": {
                "created_at": "2026-09-30T10:00:00Z", "started_at": "2026-09-30T10:00:05Z",
                "completed_at": "2026-09-30T10:01:00Z"}})
        };
        let at = |action| Arrival::read(&payload(action)).unwrap().at.to_string();
        assert_eq!(at("queued"), "2026-09-30T10:00:00Z");
        assert_eq!(at("in_progress"), "2026-09-30T10:00:05Z");
        assert_eq!(at("completed"), "2026-09-30T10:01:00Z");
    }
}
