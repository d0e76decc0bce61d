//! §4.1: tokens for a signed assertion.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use serde_json::{Value, json};

use crate::client::{Answer, Body, keys, send};
use crate::harness::Harness;
use crate::runner::Registered;

/// The text by which the runner distinguishes a wrong clock from a deleted registration.
const CLOCK: &str = "Current server time is";

#[track_caller]
fn refusal(answer: &Answer) -> String {
    let body = answer.json(400);
    assert_eq!(keys(&body), ["error", "error_description"], "{body}");
    assert_eq!(body["error"], "invalid_client", "{body}");
    let description = body["error_description"].as_str().unwrap();
    assert!(!description.is_empty());
    description.to_owned()
}

fn with(claims: &Value, key: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[key] = value;
    claims
}

#[test]
fn a_signed_assertion_gets_a_bearer_token() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let answer = registered.request_token(&registered.claims(), &registered.key).json(200);
    assert_eq!(keys(&answer), ["access_token", "expires_in", "token_type"]);
    assert_eq!(answer["token_type"], "Bearer");
    assert!(answer["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "{answer}");
    assert!(answer["access_token"].as_str().is_some_and(|token| !token.is_empty()));
}

/// The run service's connection has its own token.
#[test]
fn a_second_token_leaves_the_first_one_valid() {
    let harness = Harness::new();
    harness.job();
    let listening = Registered::new(&harness, "one").listen();
    let offer = listening.offer();
    let second = listening.registered.token();
    listening.acknowledge(offer["runner_request_id"].as_str().unwrap()).is_success();
    let url = crate::client::resolve(offer["run_service_url"].as_str().unwrap(), "acquirejob");
    let body =
        json!({"jobMessageId": offer["runner_request_id"], "runnerOS": "Linux", "billingOwnerId": "U_1"});
    send("POST", &url, Some(&second), Body::Json(&body)).json(200);
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let other = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let description = refusal(&registered.request_token(&registered.claims(), &other));
    assert!(!description.contains(CLOCK), "{description}");
}

#[test]
fn claims_that_are_not_the_runners_own_are_refused() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let claims = registered.claims();
    let stranger = "5f0c5bd1-6e0f-4c5e-9f0c-000000000000";
    for (key, value) in [
        ("aud", json!("http://127.0.0.1/other")),
        ("aud", Value::Null),
        ("iss", json!(stranger)),
        ("sub", json!(stranger)),
        ("iss", Value::Null),
    ] {
        let changed = with(&claims, key, value.clone());
        let description = refusal(&registered.request_token(&changed, &registered.key));
        assert!(!description.contains(CLOCK), "{key} {value}: {description}");
    }
}

/// The runner retries after the former and gives up after the latter.
#[test]
fn a_wrong_clock_is_told_from_a_registration_that_is_gone() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let claims = registered.claims();
    let now = claims["nbf"].as_i64().unwrap();
    let old = with(&with(&claims, "nbf", json!(now - 7_200)), "exp", json!(now - 6_900));
    let early = with(&with(&claims, "nbf", json!(now + 6_900)), "exp", json!(now + 7_200));
    for claims in [old, early] {
        let description = refusal(&registered.request_token(&claims, &registered.key));
        assert!(description.contains(CLOCK), "{claims}: {description}");
    }
}

#[test]
fn a_request_without_an_assertion_is_refused() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    let url = registered.credential("AuthorizationUrl");
    let form = [("grant_type", "client_credentials"), ("client_assertion", "nothing")];
    for fields in [&form[..], &form[..1], &[]] {
        let refused = send("POST", url, None, Body::Form(fields)).json(400);
        assert_eq!(keys(&refused), ["error", "error_description"], "{refused}");
    }
}

#[test]
fn a_deleted_registration_gets_no_token() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    registered.token();
    harness.delete_runner(registered.id);
    let description = refusal(&registered.request_token(&registered.claims(), &registered.key));
    assert!(!description.contains(CLOCK), "{description}");
}

#[test]
fn a_registration_that_github_lost_gets_no_token() {
    let harness = Harness::new();
    let registered = Registered::new(&harness, "one");
    harness.sim(&format!("registrations/{}/forget", registered.id), &json!(null));
    let description = refusal(&registered.request_token(&registered.claims(), &registered.key));
    assert!(!description.contains(CLOCK), "{description}");
}
