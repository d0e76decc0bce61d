//! §6.2: the job message, key by key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::{guid, keys};
use crate::encoding::{context, entry, token};
use crate::harness::Harness;
use crate::runner::{Listening, RunningJob};

const KEYS: [&str; 20] = [
    "contextData",
    "defaults",
    "environmentVariables",
    "fileTable",
    "jobContainer",
    "jobDisplayName",
    "jobId",
    "jobName",
    "jobOutputs",
    "jobServiceContainers",
    "lockedUntil",
    "mask",
    "messageType",
    "plan",
    "requestId",
    "resources",
    "steps",
    "timeline",
    "variables",
    "workspace",
];

/// Starts the first job of a workflow.
pub(crate) fn message_of(harness: &Harness, text: &str) -> RunningJob {
    harness.submit(text);
    Listening::new(harness, "one").start_job()
}

fn simple(harness: &Harness) -> RunningJob {
    message_of(harness, "{on: push, jobs: {build: {name: Build it, runs-on: x, steps: [{run: echo hi}]}}}")
}

#[test]
fn the_message_has_exactly_the_keys_of_the_specification() {
    let harness = Harness::new();
    let message = simple(&harness).message;
    assert_eq!(keys(&message), KEYS);
    assert_eq!(message["messageType"], "RunnerJobRequest");
    assert_eq!(message["jobDisplayName"], "Build it");
    assert_eq!(message["jobName"], "__default");
    assert!(message["requestId"].is_u64(), "{}", message["requestId"]);
    let locked = message["lockedUntil"].as_str().unwrap();
    assert!(locked.parse::<Timestamp>().is_ok() || locked == "0001-01-01T00:00:00", "{locked}");
    assert_eq!(message["jobContainer"], Value::Null);
    assert_eq!(message["jobServiceContainers"], Value::Null);
    assert_eq!(message["jobOutputs"], Value::Null);
    assert!(message["workspace"].is_object());
}

#[test]
fn the_plan_and_the_timeline_have_every_key() {
    let harness = Harness::new();
    let message = simple(&harness).message;
    let plan = &message["plan"];
    assert_eq!(
        keys(plan),
        ["artifactLocation", "artifactUri", "planId", "planType", "scopeIdentifier", "version"]
    );
    assert_eq!(plan["scopeIdentifier"], "00000000-0000-0000-0000-000000000000");
    assert_eq!(plan["planType"], "actions");
    assert!(plan["version"].is_u64());
    assert!(plan["artifactUri"].is_string() && plan["artifactLocation"].is_string(), "{plan}");
    let timeline = &message["timeline"];
    assert_eq!(keys(timeline), ["changeId", "id", "location"]);
    assert!(timeline["changeId"].is_u64());
    guid(&timeline["id"]);
    assert_ne!(guid(&plan["planId"]), guid(&message["jobId"]));
}

#[test]
fn the_one_endpoint_leads_back_to_the_run_service() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    let message = listening.acquire(&offer).json(200);
    assert_eq!(keys(&message["resources"]), ["endpoints"]);
    let endpoints = message["resources"]["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 1);
    let endpoint = &endpoints[0];
    assert_eq!(keys(endpoint), ["authorization", "data", "isReady", "isShared", "name", "url"]);
    assert_eq!(endpoint["name"], "SystemVssConnection");
    assert_eq!((&endpoint["isShared"], &endpoint["isReady"]), (&json!(false), &json!(true)));
    assert_eq!(endpoint["url"], offer["run_service_url"]);
    assert!(endpoint["url"].as_str().unwrap().ends_with('/'), "{endpoint}");
    assert_eq!(keys(&endpoint["authorization"]), ["parameters", "scheme"]);
    assert_eq!(endpoint["authorization"]["scheme"], "OAuth");
    assert_eq!(keys(&endpoint["authorization"]["parameters"]), ["AccessToken"]);
    let data = endpoint["data"].as_object().unwrap();
    assert!(data.values().all(Value::is_string), "{data:?}");
    assert!(data["FeedStreamUrl"].as_str().unwrap().starts_with("ws://127.0.0.1:"), "{data:?}");
    // The fake has no service for identity tokens, which the worker would wait for.
    assert!(!data.contains_key("GenerateIdTokenUrl"), "{data:?}");
}

#[test]
fn the_jobs_token_has_the_form_of_a_json_web_token() {
    let harness = Harness::new();
    let job = simple(&harness);
    let parts: Vec<&str> = job.token.split('.').collect();
    assert_eq!(parts.len(), 3, "{}", job.token);
    let object = |part: &str| -> Value {
        let object: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert!(object.as_object().unwrap().values().all(|claim| !claim.is_null()), "{object}");
        object
    };
    let (header, claims) = (object(parts[0]), object(parts[1]));
    assert_eq!(header["typ"], "JWT");
    assert!(header["alg"].is_string());
    assert!(claims["exp"].as_i64().is_some_and(|end| end > Timestamp::now().as_second()), "{claims}");
    assert_eq!(claims["orch_id"], job.variable("system.orchestrationId"));
    assert!(!URL_SAFE_NO_PAD.decode(parts[2]).unwrap().is_empty());
}

#[test]
fn variables_are_texts_and_every_secret_one_is_masked() {
    let harness = Harness::new();
    let job = simple(&harness);
    let variables = job.message["variables"].as_object().unwrap();
    let mut secrets = Vec::new();
    for (name, variable) in variables {
        assert!(variable["value"].is_string(), "{name}: {variable}");
        assert!(keys(variable).iter().all(|key| ["value", "isSecret"].contains(key)), "{name}: {variable}");
        assert!(variable.get("isSecret").is_none_or(Value::is_boolean), "{name}: {variable}");
        if variable["isSecret"] == true {
            secrets.push(variable["value"].clone());
        }
    }
    assert_eq!(variables["system.github.token"]["isSecret"], true);
    assert_eq!(job.variable("system.github.job"), "build");
    assert_eq!(job.variable("system.runnerGroupName"), "Default");
    assert_eq!(job.variable("system.orchestrationId"), format!("{}.build.__default", job.plan));
    for name in ["system.github.results_endpoint", "system.github.launch_endpoint"] {
        let url = job.variable(name);
        assert!(url.starts_with(&format!("{}/", harness.url)) && url.ends_with('/'), "{name}: {url}");
    }
    let masks = job.message["mask"].as_array().unwrap();
    for mask in masks {
        assert_eq!(keys(mask), ["type", "value"]);
        assert_eq!(mask["type"], "regex");
    }
    for secret in secrets {
        assert!(masks.iter().any(|mask| mask["value"] == secret), "{secret} is not masked");
    }
}

#[test]
fn the_environment_the_defaults_and_the_outputs_are_templates() {
    let harness = Harness::new();
    let text = "
on: push
env: {TOP: top, BOTH: workflow}
defaults: {run: {shell: bash}}
jobs:
  build:
    runs-on: x
    env: {BOTH: job, SHA: 'of ${{ github.sha }}'}
    defaults: {run: {working-directory: sub}}
    outputs: {version: '${{ steps.v.outputs.version }}', fixed: yes it is}
    steps: [{id: v, run: echo}]
";
    let message = message_of(&harness, text).message;
    // One mapping for each level. Later ones override earlier ones.
    assert_eq!(message["environmentVariables"].as_array().unwrap().len(), 2);
    let mut environment = serde_json::Map::new();
    for mapping in message["environmentVariables"].as_array().unwrap() {
        for pair in token(mapping).as_array().unwrap() {
            environment.insert(pair[0].as_str().unwrap().to_owned(), pair[1].clone());
        }
    }
    let expected =
        json!({"TOP": "top", "BOTH": "job", "SHA": {"expression": "format('of {0}', github.sha)"}});
    assert_eq!(Value::from(environment), expected);
    let mut defaults = serde_json::Map::new();
    for mapping in message["defaults"].as_array().unwrap() {
        let mapping = token(mapping);
        for pair in entry(&mapping, "run").unwrap().as_array().unwrap() {
            defaults.insert(pair[0].as_str().unwrap().to_owned(), pair[1].clone());
        }
    }
    assert_eq!(Value::from(defaults), json!({"shell": "bash", "working-directory": "sub"}));
    let outputs = token(&message["jobOutputs"]);
    assert_eq!(
        outputs,
        json!([["version", {"expression": "steps.v.outputs.version"}], ["fixed", "yes it is"]])
    );
}

#[test]
fn places_in_templates_name_a_file_of_the_table() {
    let harness = Harness::new();
    let message = simple(&harness).message;
    let files = message["fileTable"].as_array().unwrap();
    assert_eq!(files, &[json!(".github/workflows/ci.yml")]);
    fn walk(value: &Value, files: u64) {
        if let Some(file) = value.get("type").and(value.get("file")) {
            assert!((1..=files).contains(&file.as_u64().unwrap()), "{value}");
        }
        match value {
            Value::Object(object) => object.values().for_each(|value| walk(value, files)),
            Value::Array(items) => items.iter().for_each(|value| walk(value, files)),
            _ => {}
        }
    }
    walk(&message["steps"], 1);
    walk(&message["environmentVariables"], 1);
}

#[test]
fn a_job_without_environment_defaults_and_needs_has_empty_ones() {
    let harness = Harness::new();
    let message = simple(&harness).message;
    assert_eq!(message["defaults"], json!([]));
    let environment = message["environmentVariables"].as_array().unwrap();
    assert!(environment.iter().all(|mapping| token(mapping) == json!([])), "{environment:?}");
    assert_eq!(context(&message["contextData"]["needs"]), json!({}));
}
