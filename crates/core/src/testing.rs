//! Fixtures of this crate's own tests.

use std::sync::Arc;

use crate::id::{JobId, Repository, RunId};
use crate::rules::class::Catalogue;
use crate::rules::labels::Labels;
use crate::rules::settings::{Settings, SettingsEntry};
use crate::wire::job::JobFacts;

pub(crate) fn settings() -> Settings {
    let entry: SettingsEntry = serde_json::from_str(
        r#"{"version": 1, "deployment": "test", "repositories": ["acme/*"],
            "limits": {"max_runners": 20, "surplus_grace_secs": 30}}"#,
    )
    .unwrap();
    Settings::read(&entry).unwrap()
}

pub(crate) fn catalogue() -> Catalogue {
    let entries = serde_json::from_str(
        r#"{"small": {"cpu": 512, "memory": 1024, "default": true},
            "large": {"cpu": 4096, "memory": 8192, "arch": "arm64", "max_runners": 2, "repositories": ["acme/app"]},
            "broken": {"cpu": 500, "memory": 1024}}"#,
    )
    .unwrap();
    Catalogue::read(&entries).0
}

pub(crate) fn job_facts(id: u64, repository: &str, labels: &[&str]) -> Arc<JobFacts> {
    Arc::new(JobFacts {
        id: JobId::new(id),
        run: RunId::new(1),
        attempt: 1,
        repository: Repository::parse(repository).unwrap(),
        name: Arc::from("build"),
        workflow: Some(Arc::from("CI")),
        labels: Labels::new(labels),
    })
}
