//! The number of waiting messages.

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use super::{OperateError, Operator, failed};
use crate::fault::Fault;

const ACTION: &str = "sqs:GetQueueAttributes";

/// How full a queue is. SQS's numbers are approximate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueInfo {
    /// Messages that have not been received.
    pub waiting: u64,
    /// Its dead-letter queue's URL, if it has one.
    pub dead_letters: Option<String>,
}

impl Operator<'_> {
    /// Describes a queue.
    ///
    /// # Errors
    ///
    /// Those of AWS.
    pub async fn queue(&self, url: &str) -> Result<QueueInfo, OperateError> {
        let answer = self
            .connection
            .sqs()
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| failed(ACTION, url, Fault::of(&error)))?;
        let attributes = answer.attributes.unwrap_or_default();
        let waiting = attributes.get(&QueueAttributeName::ApproximateNumberOfMessages);
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
        Ok(QueueInfo {
            waiting: waiting.and_then(|count| count.parse().ok()).unwrap_or(0),
            dead_letters: policy.and_then(|policy| dead_letters(url, policy)),
        })
    }
}

/// The URL of the queue that a redrive policy names, in the same account and Region as `url`.
fn dead_letters(url: &str, policy: &str) -> Option<String> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let name = policy.get("deadLetterTargetArn")?.as_str()?.rsplit(':').next()?;
    Some(format!("{}/{name}", url.rsplit_once('/')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_beside_the_queue() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:ecsrunner-ci-dead-letters","maxReceiveCount":3}"#;
        assert_eq!(
            dead_letters("https://sqs.eu-west-1.amazonaws.com/123456789012/ecsrunner-ci-kicks", policy)
                .as_deref(),
            Some("https://sqs.eu-west-1.amazonaws.com/123456789012/ecsrunner-ci-dead-letters")
        );
        assert_eq!(dead_letters("https://sqs/1/kicks", "{}"), None);
    }
}
