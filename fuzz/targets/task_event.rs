//! Whatever a task's state change says, it is read or refused, and only a runner of this deployment is named.
#![no_main]

use ecsrunner_aws::task_event::read;
use ecsrunner_core::decide::record::record;
use ecsrunner_core::id::Deployment;
use ecsrunner_core::records::change::Records;
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::settings::{Settings, SettingsEntry};
use ecsrunner_core::wire::event::Event;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|detail: &str| {
    let deployment = Deployment::parse("ci").expect("a deployment");
    let now = Timestamp::from_second(1_796_000_000).expect("a time");
    let Ok(Some(event)) = read(detail, &deployment, "ci", now) else { return };
    assert!(event.name.belongs_to(&deployment), "{}", event.name);
    let entry: SettingsEntry =
        serde_json::from_str(r#"{"version": 1, "deployment": "ci", "repositories": ["acme/*"]}"#)
            .expect("settings");
    let settings = Settings::read(&entry).expect("settings that hold");
    let (catalogue, _) = Catalogue::read(&Default::default());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    // Nothing is known of the runner: nothing is written.
    assert!(record(&Event::Task(event), &Records::default(), rules).changes.is_empty());
});
