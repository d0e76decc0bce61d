//! GitHub's own samples of webhooks, signed.

use ecsrunner_core::records::runner::EndingKind;
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::github::REPOSITORY;
use crate::refusals;
use crate::webhook::Webhook;

/// The sample gets this deployment's repository and labels, and the current time.
/// It is signed with the previous secret, as during a rotation.
pub(crate) async fn githubs_own_sample_of_a_job_of_ours_starts_a_task(chain: &Chain) {
    let bodies = bodies(chain, "workflow_job");
    let queued = bodies.iter().filter_map(|body| ours(body)).find(|body| body["action"] == "queued");
    let mut sample = queued.expect("a sample of a queued job");
    Webhook::signed(&chain.older_secret, "workflow_job", sample.to_string().into_bytes())
        .post(&chain.setting.webhook_url)
        .await;
    let task = chain.task().await;
    let runner = task.environment["ECSRUNNER_RUNNER"].clone();
    let open = chain.open().await;
    assert_eq!(
        open.jobs.values().map(|job| job.id().get()).collect::<Vec<_>>(),
        [sample["workflow_job"]["id"].as_u64().unwrap()]
    );
    // GitHub cancels the job before a runner takes it.
    sample["action"] = "completed".into();
    sample["workflow_job"]["status"] = "completed".into();
    sample["workflow_job"]["conclusion"] = "cancelled".into();
    Webhook::signed(&chain.webhook_secret, "workflow_job", sample.to_string().into_bytes())
        .post(&chain.setting.webhook_url)
        .await;
    chain.at_rest().await;
    assert_eq!(chain.gone_runner(&runner).await.kind, EndingKind::Surplus);
}

fn ours(body: &[u8]) -> Option<Value> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let (owner, name) = REPOSITORY.split_once('/')?;
    body["repository"]["full_name"] = REPOSITORY.into();
    body["repository"]["name"] = name.into();
    body["repository"]["owner"]["login"] = owner.into();
    body["repository"]["private"] = true.into();
    body["workflow_job"]["labels"] = json!(["self-hosted", "class:small"]);
    body["workflow_job"]["created_at"] = jiff::Timestamp::now().to_string().into();
    Some(body)
}

/// The samples name other people's repositories.
pub(crate) async fn those_of_others_repositories_leave_nothing_open(chain: &Chain) {
    let mut samples = Vec::new();
    for event in ["workflow_job", "ping"] {
        for body in bodies(chain, event) {
            samples.push(Webhook::signed(&chain.webhook_secret, event, body));
        }
    }
    for sample in &samples {
        sample.post(&chain.setting.webhook_url).await;
    }
    for sample in &samples {
        let receipt = refusals::received(chain, sample).await;
        let outcome = receipt["outcome"].as_str().unwrap_or_default();
        let expected: &[&str] = if sample.event == "ping" { &["accepted"] } else { &["refused", "ignored"] };
        assert!(expected.contains(&outcome), "{}: {receipt}", sample.event);
        assert!(receipt["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{receipt}");
    }
    let open = chain.open().await;
    assert!(open.jobs.is_empty(), "{:?}", open.jobs);
}

fn bodies(chain: &Chain, event: &str) -> Vec<Vec<u8>> {
    let index = std::fs::read(&chain.setting.samples).unwrap();
    let all: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let examples = all.iter().filter(|entry| entry["name"] == event).flat_map(|entry| {
        entry["examples"].as_array().unwrap().iter().map(|example| example.to_string().into_bytes())
    });
    let found: Vec<Vec<u8>> = examples.collect();
    assert!(!found.is_empty(), "no samples of {event}");
    found
}
