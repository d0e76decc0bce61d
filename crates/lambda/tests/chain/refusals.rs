//! Refused webhooks. Each has a reason and is received only once.

use serde_json::{Value, json};

use crate::aws::DYNAMODB;
use crate::chain::Chain;
use crate::deployment::{FUNCTION, make_webhook_secret};
use crate::eventually;
use crate::webhook::Webhook;

/// GitHub pings a new App before its secret can be stored. Any other webhook at that time could be a job's, so it is an
/// error. Both are refused.
pub(crate) async fn a_ping_before_setup_is_dropped_without_an_error(chain: &Chain) {
    let job = Webhook::signed(&chain.webhook_secret, "workflow_job", b"{}".to_vec());
    let refusal = chain.aws.invoke(FUNCTION, &job.published()).await.unwrap_err();
    let words = refusal["errorMessage"].as_str().unwrap();
    let error = "secret `ecsrunner/chain/webhook` has no value, or does not exist: ";
    assert!(words.starts_with(error), "{words}");

    let ping = Webhook::signed(&chain.webhook_secret, "ping", b"{}".to_vec());
    ping.post(&chain.setting.webhook_url).await;
    eventually("a dropped ping", async || {
        let dropped = chain.logs().await.said("dropped a ping, since no secret of the webhook is stored yet");
        dropped.iter().any(|line| line["delivery"] == ping.delivery.as_str()).then_some(())
    })
    .await;
    assert_eq!(chain.logs().await.said("refused invocation").len(), 1, "that of the job");

    make_webhook_secret(&chain.aws, [&chain.older_secret, &chain.webhook_secret]).await;
    let ping = Webhook::signed(&chain.webhook_secret, "ping", b"{}".to_vec());
    ping.post(&chain.setting.webhook_url).await;
    assert_eq!(received(chain, &ping).await["reason"], "ping");
    assert_eq!(chain.logs().await.sum("InvalidSignatures"), 0.0);
}

pub(crate) async fn a_wrong_signature_is_counted_and_dropped(chain: &Chain) {
    let queued = json!({"action": "queued", "workflow_job": {"id": 1}}).to_string();
    let forged = Webhook::signed("not the secret", "workflow_job", queued.into_bytes());
    forged.post(&chain.setting.webhook_url).await;
    let refusal = received(chain, &forged).await;
    assert_eq!(refusal["reason"], "signature_invalid");
    chain.measures("InvalidSignatures", 1.0).await;
}

/// The template refuses what is too large or has a signature of another length, before the event bus.
pub(crate) async fn what_cannot_be_githubs_costs_no_event(chain: &Chain) {
    let large = Webhook::signed(&chain.webhook_secret, "workflow_job", vec![b' '; 128 * 1024 + 2]);
    let mut shortened = Webhook::signed(&chain.webhook_secret, "workflow_job", b"{}".to_vec());
    shortened.signature.pop();
    for refused in [&large, &shortened] {
        let (status, text) = refused.send(&chain.setting.webhook_url).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("refused") && !text.contains("entries"), "{text}");
    }
    // A later webhook has arrived, and nothing was heard of the others.
    let ping = Webhook::signed(&chain.webhook_secret, "ping", b"{}".to_vec());
    ping.post(&chain.setting.webhook_url).await;
    received(chain, &ping).await;
    let logs = chain.logs().await;
    let told = logs.said("received webhook").into_iter().chain(logs.said("refused webhook"));
    for line in told {
        assert!(
            line["delivery"] != large.delivery.as_str() && line["delivery"] != shortened.delivery.as_str(),
            "{line}"
        );
    }
}

pub(crate) async fn a_signed_body_that_cannot_be_read_is_kept_for_a_person(chain: &Chain) {
    let body = b"{\"action\": \"queued\", \"workflow_job\": 7}".to_vec();
    let broken = Webhook::signed(&chain.webhook_secret, "workflow_job", body);
    broken.post(&chain.setting.webhook_url).await;
    let refusal = received(chain, &broken).await;
    assert_eq!(refusal["reason"], "body_unreadable");
    let input = json!({
        "TableName": "ecsrunner-chain-state",
        "KeyConditionExpression": "pk = :kind",
        "ExpressionAttributeValues": {":kind": {"S": "unreadable#webhook"}},
    });
    let kept = chain.aws.call(DYNAMODB, "Query", input).await;
    let kept = kept["Items"].as_array().unwrap();
    let of_it = |item: &&Value| item["sk"]["S"].as_str().unwrap().ends_with(&broken.delivery);
    assert!(kept.iter().any(|item| of_it(&item)), "the body is kept: {kept:?}");
}

/// Returns the only line that the function logged about a webhook.
pub(crate) async fn received(chain: &Chain, webhook: &Webhook) -> Value {
    let told = eventually("a webhook's receipt", async || {
        let logs = chain.logs().await;
        let mut told = logs.said("received webhook");
        told.extend(logs.said("refused webhook"));
        told.retain(|line| line["delivery"] == webhook.delivery.as_str());
        (!told.is_empty()).then_some(told)
    })
    .await;
    let [once] = told.as_slice() else { panic!("received more than once: {told:?}") };
    once.clone()
}
