//! Tests that the parser handles GitHub's own samples of webhooks.
//!
//! `cargo xtask test` installs them and passes their directory.

#![expect(clippy::disallowed_methods, reason = "the samples are files, and a variable names their directory")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use ecsrunner_core::wire::webhook::{Webhook, read};
use jiff::Timestamp;
use serde_json::Value;

const DIRECTORY: &str = "ECSRUNNER_WEBHOOK_SAMPLES";

/// The event's name and the body of each sample.
fn samples(directory: &str) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(PathBuf::from(directory).join("index.json")).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let examples = |event: &Value| event["examples"].as_array().unwrap().clone();
    events
        .iter()
        .flat_map(|event| examples(event).into_iter().map(|body| (event["name"].clone(), body)))
        .map(|(name, body)| (name.as_str().unwrap().to_owned(), serde_json::to_vec(&body).unwrap()))
        .collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "says how much was checked")]
fn every_sample_of_github_is_read_or_refused_and_none_panics() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return ecsrunner_skip::left_to("samples");
    };
    let samples = samples(&directory);
    let jobs = samples.iter().filter(|(event, _)| event == "workflow_job").count();
    assert!(samples.len() >= 329 && jobs >= 8, "{} samples, {jobs} of them jobs", samples.len());
    for (event, body) in &samples {
        let own = read(event, body, Timestamp::UNIX_EPOCH).unwrap();
        match event.as_str() {
            "workflow_job" => assert!(matches!(own, Webhook::Job(_)), "{own:?}"),
            "ping" => assert_eq!(own, Webhook::Ping),
            _ => assert_eq!(own, Webhook::Other(event.as_str().into())),
        }
        // Under this name, another event's body is refused or read as a job.
        let _judged = read("workflow_job", body, Timestamp::UNIX_EPOCH);
    }
    eprintln!("{} samples, {jobs} of them jobs", samples.len());
}
