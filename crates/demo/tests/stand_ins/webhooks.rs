use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Harness, Listener, SECRET, next};

#[test]
fn each_state_of_a_job_is_told_by_a_signed_webhook_with_githubs_own_headers() {
    let (harness, received) = Harness::with_hook();
    let job = harness.job(&["self-hosted"], &json!({"exit": 1}));
    Listener::start(&harness.register("one", &["self-hosted"]), &[]).code();
    let told: Vec<_> = (0..3).map(|_| next(&received)).collect();
    let actions: BTreeSet<String> = told.iter().map(|one| one.action()).collect();
    assert_eq!(actions, ["completed", "in_progress", "queued"].map(String::from).into());
    for one in &told {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(&one.body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(one.headers["X-Hub-Signature-256"], format!("sha256={hex}"));
        assert_eq!(one.headers["X-GitHub-Event"], "workflow_job");
        assert_eq!(one.headers["X-GitHub-Delivery"].len(), 36);
        assert_eq!(one.json()["workflow_job"]["id"], job);
    }
    let completed = told.iter().find(|one| one.action() == "completed").unwrap().json();
    assert_eq!(completed["workflow_job"]["conclusion"], "failure");
    assert_eq!(completed["workflow_job"]["runner_name"], "one");

    harness.sim("webhooks/ping", &json!({"repository": "acme/app"}));
    assert_eq!(next(&received).headers["X-GitHub-Event"], "ping");
}

#[test]
fn webhooks_are_held_shuffled_and_repeated_with_their_guid() {
    let (harness, received) = Harness::with_hook();
    harness.sim("faults", &json!({"webhooks": {"hold": true, "duplicates": 1}}));
    for _ in 0..10 {
        harness.job(&["x"], &json!({"exit": 0}));
    }
    assert_eq!(harness.wait("webhooks_idle=true")["webhooks"]["held"], 20);
    assert_eq!(harness.sim("webhooks/release", &json!({"shuffle": true})), json!({"released": 20}));
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut order = Vec::new();
    for _ in 0..20 {
        let one = next(&received);
        let job = one.json()["workflow_job"]["id"].as_u64().unwrap();
        order.push(job);
        seen.entry(one.headers["X-GitHub-Delivery"].clone()).or_default().push(job);
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.values().all(|jobs| jobs.len() == 2 && jobs[0] == jobs[1]), "{seen:?}");
    assert!(!order.is_sorted(), "{order:?}");
}

#[test]
fn a_lost_webhook_is_recorded_and_a_forgotten_one_is_not() {
    let (harness, _received) = Harness::with_hook();
    harness.sim("faults", &json!({"webhooks": {"drop": 1.0}}));
    harness.job(&["x"], &json!({"exit": 0}));
    harness.sim("faults", &json!({"webhooks": {"forget": 1.0}}));
    harness.job(&["x"], &json!({"exit": 0}));
    let deliveries = harness.call("GET", "/_sim/deliveries", &Value::Null).1;
    assert_eq!(deliveries["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(deliveries["deliveries"][0]["status_code"], 502);
}
