//! Whatever a webhook carries, it is read or refused, and what it says of a job launches one runner at most.
#![no_main]

use ecsrunner_core::decide::plan::{Means, plan};
use ecsrunner_core::decide::record::record;
use ecsrunner_core::records::change::Records;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::settings::{Settings, SettingsEntry};
use ecsrunner_core::wire::event::Event;
use ecsrunner_core::wire::webhook::envelope::Envelope;
use ecsrunner_core::wire::webhook::{Webhook, read, verify};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let now = Timestamp::from_second(1_796_000_000).expect("a time");
    // Only GitHub knows the secret.
    let signature = std::str::from_utf8(body).ok();
    assert!(verify(&["secret"], body, signature).is_err());
    if let Some(detail) = signature {
        let _event_of_eventbridge = Envelope::read(detail);
    }
    let Ok(Webhook::Job(event)) = read("workflow_job", body, now) else { return };
    let (settings, catalogue) = (settings(), catalogue());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let event = Event::Job(event);
    let mut open = Open::default();
    let recorded = record(&event, &Records::default(), rules);
    assert!(!recorded.outcome.reason().text().is_empty());
    recorded.changes.iter().for_each(|change| open.apply(change));
    let planned = plan(&open, rules, Means::default(), now);
    assert!(planned.launches.len() <= 1);
    for launch in &planned.launches {
        // Only what policy admits is launched for.
        assert!(launch.job == event.keys().job.expect("a job's event"));
        let repository = &event.job_facts().expect("a job's event").repository;
        assert!(repository.owner().eq_ignore_ascii_case("acme"), "{repository}");
    }
});

fn settings() -> Settings {
    let entry: SettingsEntry =
        serde_json::from_str(r#"{"version": 1, "deployment": "fuzz", "repositories": ["acme/*"]}"#)
            .expect("settings");
    Settings::read(&entry).expect("settings that hold")
}

fn catalogue() -> Catalogue {
    let classes = serde_json::from_str(r#"{"small": {"cpu": 256, "memory": 512, "default": true}}"#);
    Catalogue::read(&classes.expect("classes")).0
}
