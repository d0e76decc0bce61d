//! Tests that the webhook path handles any input.

use ecsrunner_core::decide::plan::{Means, plan};
use ecsrunner_core::decide::record::record;
use ecsrunner_core::records::change::Records;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::settings::{Settings, SettingsEntry};
use ecsrunner_core::wire::event::Event;
use ecsrunner_core::wire::webhook::{Webhook, read, verify};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "queued",
            "in_progress",
            "completed",
            "waiting",
            "self-hosted",
            "class:small",
            "acme/app",
            "/",
            "../..",
            "9999-12-31T23:59:59Z",
            "-009999-01-01T00:00:00Z",
            "2026-11-23T10:00:00Z",
            "2026-13-45T99:99:99Z",
            "ecsr-x-abcdefghij-01arz3ndektsv4rrffq69g5fav",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A `workflow_job` payload with some of its fields removed or replaced by any value.
fn hostile_job() -> impl Strategy<Value = Value> {
    const FIELDS: [&str; 14] = [
        "id",
        "run_id",
        "run_attempt",
        "name",
        "workflow_name",
        "labels",
        "status",
        "conclusion",
        "created_at",
        "started_at",
        "completed_at",
        "runner_name",
        "runner_id",
        "steps",
    ];
    let actions = prop::sample::select(vec!["queued", "waiting", "in_progress", "completed", "other"]);
    let changes =
        prop::collection::vec((prop::sample::select(FIELDS.to_vec()), prop::option::of(any_json())), 0..4);
    (actions, changes, prop::option::of(any_json())).prop_map(|(action, changes, repository)| {
        let mut payload = json!({
            "action": action,
            "workflow_job": {"id": 5_000_000_001_u64, "run_id": 7, "run_attempt": 1, "name": "build",
                "labels": ["self-hosted", "class:small"], "created_at": "2026-11-23T10:00:00Z"},
            "repository": {"full_name": "acme/app", "private": true},
        });
        for (field, value) in changes {
            match value {
                Some(value) => payload["workflow_job"][field] = value,
                None => drop(payload["workflow_job"].as_object_mut().map(|job| job.remove(field))),
            }
        }
        if let Some(value) = repository {
            payload["repository"]["full_name"] = value;
        }
        payload
    })
}

fn settings() -> Settings {
    let entry: SettingsEntry =
        serde_json::from_str(r#"{"version": 1, "deployment": "x", "repositories": ["*"]}"#)
            .expect("settings");
    Settings::read(&entry).expect("sound settings")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_or_refused(
        event in "(workflow_job|ping|.{0,20})",
        body in prop::collection::vec(any::<u8>(), 0..400),
        signature in prop::option::of(".{0,80}"),
    ) {
        let _judged = verify(&["secret"], &body, signature.as_deref());
        let _read = read(&event, &body, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn any_job_is_recorded_or_refused(payload in hostile_job(), now in -1_i64..4_000_000_000) {
        let body = payload.to_string();
        let received_at = Timestamp::from_second(now).expect("a time");
        if let Ok(Webhook::Job(event)) = read("workflow_job", body.as_bytes(), received_at) {
            let classes = serde_json::from_str(r#"{"small": {"cpu": 256, "memory": 512, "default": true}}"#);
            let (catalogue, _) = ecsrunner_core::rules::class::Catalogue::read(&classes.expect("classes"));
            let settings = settings();
            let rules = Rules { settings: &settings, catalogue: &catalogue };
            let recorded = record(&Event::Job(event), &Records::default(), rules);
            prop_assert!(!recorded.outcome.reason().text().is_empty());
            let mut open = Open::default();
            recorded.changes.iter().for_each(|change| open.apply(change));
            prop_assert!(plan(&open, rules, Means::default(), received_at).launches.len() <= 1);
        }
    }
}
