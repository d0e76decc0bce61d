//! Events that cannot be handled.
//!
//! ministack's rules invoke a function once, whatever it answers. AWS's rules
//! invoke it asynchronously, with retries, so these tests do the same.

use serde_json::{Value, json};

use crate::chain::Chain;
use crate::deployment::FUNCTION;
use crate::refusals::received;
use crate::webhook::{Webhook, random_hex};

pub(crate) async fn what_is_no_event_of_ours_is_tried_three_times_and_kept_with_its_reason(chain: &Chain) {
    // A wrong signature in a well-formed event, sent the same way, is no error and is not retried.
    let forged = Webhook::signed("not the secret", "workflow_job", b"{}".to_vec());
    chain.aws.invoke_later(FUNCTION, &forged.published()).await;
    received(chain, &forged).await;

    let poisoned = [
        (json!({"source": "ecsrunner.webhook", "detail-type": "ping", "detail": {"v": 2}}), "version 2"),
        (json!({"source": "aws.ec2", "detail-type": "Something Else", "detail": {}}), "`aws.ec2`"),
        (json!({"source": "ecsrunner.webhook", "detail-type": "ping"}), "no detail"),
        (json!({"nonsense": true}), "neither an event of EventBridge"),
        (json!(["not even", "an object"]), ""),
    ];
    let marks: Vec<String> = poisoned.iter().map(|_| random_hex(8)).collect();
    for ((event, _), mark) in poisoned.iter().zip(&marks) {
        chain.aws.invoke_later(FUNCTION, &marked(event, mark)).await;
    }
    let letters = chain.aws.take_when(&chain.queues.events_dead, poisoned.len()).await;
    for ((event, reason), mark) in poisoned.iter().zip(&marks) {
        let letter = letters.iter().find(|letter| letter.contains(mark.as_str()));
        let letter: Value = serde_json::from_str(letter.unwrap()).unwrap();
        let told = letter["responsePayload"]["errorMessage"].as_str().unwrap_or_default();
        assert!(!told.is_empty() && told.contains(reason), "{event} is kept with its reason: {letter}");
        assert_eq!(letter["requestContext"]["condition"], "RetriesExhausted");
    }
    assert_eq!(letters.len(), poisoned.len(), "nothing else is a dead letter: {letters:?}");
    // If the forged event were an error, its retries would be over by now.
    received(chain, &forged).await;
}

/// Marks an event, so that it differs from every other.
fn marked(event: &Value, mark: &str) -> Value {
    let mut event = event.clone();
    match &mut event {
        Value::Object(fields) => drop(fields.insert("id".to_owned(), json!(mark))),
        Value::Array(items) => items.push(json!(mark)),
        _ => {}
    }
    event
}
