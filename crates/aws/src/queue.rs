//! Kicks through SQS: a message whose delay ends when the next round is due.

use std::time::Duration;

use aws_sdk_sqs::Client;
use ecsrunner_engine::ports::queue::{Queue, QueueError};

use crate::connection::Connection;
use crate::fault::Fault;

/// A kick's message. Its content is not used: the dispatcher reads what is open.
pub const KICK: &str = r#"{"kick":1}"#;

/// SQS delays a message for at most 15 minutes.
const MAX_DELAY_SECS: u64 = 900;

/// The queue of a deployment's kicks.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    #[must_use]
    pub fn new(connection: &Connection, url: &str) -> Self {
        Self { client: connection.sqs().clone(), url: url.to_owned() }
    }
}

impl Queue for SqsQueue {
    async fn post_kick(&self, after: Duration) -> Result<(), QueueError> {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(KICK)
            .delay_seconds(delay_secs(after))
            .send()
            .await
            .map_err(|error| QueueError(Box::new(Fault::of(&error))))?;
        Ok(())
    }
}

/// Rounds up to whole seconds: a kick that came too early would find nothing to do.
fn delay_secs(after: Duration) -> i32 {
    let secs = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    i32::try_from(secs.min(MAX_DELAY_SECS)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kick_comes_no_earlier_than_asked_for_and_within_what_sqs_allows() {
        assert_eq!(delay_secs(Duration::ZERO), 0);
        assert_eq!(delay_secs(Duration::from_millis(1)), 1);
        assert_eq!(delay_secs(Duration::from_secs(60)), 60);
        assert_eq!(delay_secs(Duration::from_hours(1)), 900);
    }
}
