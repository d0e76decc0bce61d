//! Parses an invocation's payload: a webhook's event, a task's or a build's state change, a
//! batch of kicks, a batch of exit records, the request to sweep, or a question. Anything else is
//! refused.

use ecsrunner_aws::task_event::{DETAIL_TYPE as TASK_CHANGE, SOURCE as ECS_SOURCE};
use ecsrunner_core::wire::webhook::envelope::{Envelope, EnvelopeError, SOURCE as WEBHOOK_SOURCE};
use ecsrunner_github::relay::Question;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exit_records::{Batch, BatchError, Encoded};

const CODE_BUILD_SOURCE: &str = "aws.codebuild";
const BUILD_CHANGE: &str = "CodeBuild Build State Change";

/// An invocation's payload before its kind is known.
#[derive(Debug, Deserialize)]
pub(crate) struct Payload {
    source: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    detail: Option<Box<RawValue>>,
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    sweep: Option<serde::de::IgnoredAny>,
    awslogs: Option<Encoded>,
    ask: Option<Question>,
}

/// A message of a queue.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    #[serde(rename = "messageId")]
    pub(crate) message_id: String,
    #[serde(rename = "eventSource")]
    event_source: Option<String>,
    #[serde(default)]
    body: String,
}

/// The kind of an invocation.
#[derive(Debug)]
pub(crate) enum Input {
    /// A webhook whose signature has not been checked yet.
    Webhook(Envelope),
    /// A task's state change: the event's detail, as JSON.
    Task(Box<RawValue>),
    /// A batch of queue messages.
    Kicks {
        /// The number of kicks.
        kicks: usize,
        /// The ids of messages that are not kicks. They go to the dead-letter queue.
        refused: Vec<String>,
    },
    /// Log events with exit records.
    Logs(Batch),
    /// The scheduled sweep, every minute.
    Sweep,
    /// An operator's question to GitHub.
    Question(Question),
}

/// Why an invocation is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(
        "the event has source `{source_name}` and detail type `{detail_type}`: `{WEBHOOK_SOURCE}`, or `{ECS_SOURCE}` with `{TASK_CHANGE}`, or `{CODE_BUILD_SOURCE}` with `{BUILD_CHANGE}`, is expected"
    )]
    Event { source_name: String, detail_type: String },
    #[error("the event of source `{0}` has no detail")]
    NoDetail(String),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(
        "the payload is neither an event of EventBridge, nor records of SQS, nor log events of CloudWatch Logs, nor {{\"sweep\": {{}}}}"
    )]
    Unknown,
    #[error("the payload is no question: {{\"ask\": {{…}}}} is expected")]
    NoQuestion,
}

impl Payload {
    /// Determines the kind of the payload.
    ///
    /// # Errors
    ///
    /// The payload is of no known kind.
    pub(crate) fn read(self) -> Result<Input, InputError> {
        if let Some(records) = self.records {
            let (kicks, refused): (Vec<_>, Vec<_>) = records.into_iter().partition(Record::is_kick);
            let refused = refused.into_iter().map(|record| record.message_id).collect();
            return Ok(Input::Kicks { kicks: kicks.len(), refused });
        }
        if let Some(encoded) = self.awslogs {
            return Ok(Input::Logs(encoded.decode()?));
        }
        if self.sweep.is_some() {
            return Ok(Input::Sweep);
        }
        if let Some(question) = self.ask {
            return Ok(Input::Question(question));
        }
        let Some(source) = self.source else { return Err(InputError::Unknown) };
        let detail_type = self.detail_type.unwrap_or_default();
        let detail = self.detail.ok_or_else(|| InputError::NoDetail(source.clone()))?;
        match (source.as_str(), detail_type.as_str()) {
            (WEBHOOK_SOURCE, _) => Ok(Input::Webhook(Envelope::read(detail.get())?)),
            (ECS_SOURCE, TASK_CHANGE) => Ok(Input::Task(detail)),
            // The next round looks how the build is going.
            (CODE_BUILD_SOURCE, BUILD_CHANGE) => Ok(Input::Kicks { kicks: 1, refused: Vec::new() }),
            _ => Err(InputError::Event { source_name: source, detail_type }),
        }
    }
}

impl Record {
    fn is_kick(&self) -> bool {
        #[derive(Deserialize)]
        struct Kick {
            #[expect(dead_code, reason = "its presence is what makes a message a kick")]
            kick: u32,
        }
        self.event_source.as_deref() == Some("aws:sqs") && serde_json::from_str::<Kick>(&self.body).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> String {
        match serde_json::from_str::<Payload>(json).unwrap().read() {
            Ok(Input::Webhook(envelope)) => format!("webhook {}", envelope.event),
            Ok(Input::Task(detail)) => format!("task {}", detail.get()),
            Ok(Input::Kicks { kicks, refused }) => format!("{kicks} kicks, refused {refused:?}"),
            Ok(Input::Sweep) => "sweep".to_owned(),
            Ok(Input::Logs(batch)) => format!("{batch:?}"),
            Ok(Input::Question(question)) => format!("{question:?}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn each_invocation_is_known_by_its_shape() {
        assert_eq!(told(r#"{"sweep": {}}"#), "sweep");
        assert_eq!(
            told(
                r#"{"Records": [{"messageId": "a", "eventSource": "aws:sqs", "body": "{\"kick\":1}"},
                                {"messageId": "b", "eventSource": "aws:sqs", "body": "hello"}]}"#
            ),
            r#"1 kicks, refused ["b"]"#
        );
        assert_eq!(
            told(r#"{"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": {"a": 1}}"#),
            r#"task {"a": 1}"#
        );
        assert_eq!(
            told(
                r#"{"source": "aws.codebuild", "detail-type": "CodeBuild Build State Change", "detail": {}}"#
            ),
            "1 kicks, refused []"
        );
        let webhook = r#"{"source": "ecsrunner.webhook", "detail-type": "ping",
            "detail": {"v": 1, "action": "other", "event": "cGluZw==", "delivery": "", "signature": "",
                       "content_type": "", "body": ""}}"#;
        assert_eq!(told(webhook), "webhook ping");
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        assert_eq!(
            told("{}"),
            "error: the payload is neither an event of EventBridge, nor records of SQS, nor log events of CloudWatch Logs, nor {\"sweep\": {}}"
        );
        assert!(told(r#"{"source": "aws.ec2", "detail-type": "x", "detail": {}}"#).starts_with(
            "error: the event has source `aws.ec2` and detail type `x`: `ecsrunner.webhook`, or"
        ));
        assert_eq!(
            told(r#"{"source": "ecsrunner.webhook", "detail-type": "ping"}"#),
            "error: the event of source `ecsrunner.webhook` has no detail"
        );
        assert_eq!(told(r#"{"awslogs": {"data": "%"}}"#), "error: the data of CloudWatch Logs is not base64");
        assert!(told(r#"{"source": "ecsrunner.webhook", "detail": {"v": 2}}"#).contains("version 2"));
    }
}
