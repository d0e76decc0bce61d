//! Fixtures of this crate's own tests.

use std::sync::Arc;

use jiff::Timestamp;

use crate::id::{ClassName, JobId, PoolId, Repository, RunId, Version};
use crate::reason::Code;
use crate::records::image::{Built, Image, Recipe};
use crate::records::job::{Assignment, Job, JobStage, JobState};
use crate::records::timeline::Timeline;
use crate::rules::class::Catalogue;
use crate::rules::class::size::Arch;
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

/// A job of a pool of class `small` that has been queued since then.
pub(crate) fn queued_job(pool: &str, since: Timestamp) -> Job {
    let assignment =
        Assignment { class: ClassName::parse("small").unwrap(), pool: PoolId::parse(pool).unwrap() };
    Job {
        facts: job_facts(1, "acme/app", &["self-hosted"]),
        version: Version::FIRST,
        created_at: since,
        timeline: Timeline::begin(JobStage::Queued, since),
        recorded_late_at: None,
        asked_at: None,
        failing: None,
        held: None,
        state: JobState::Queued { assignment, wait: Code::ToPlan.into() },
    }
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

/// An image with this tag that was built then. `sound_at` is when a runner had started from it.
pub(crate) fn built_image(tag: &str, since: Timestamp, sound_at: Option<Timestamp>) -> Built {
    Built {
        of: Recipe { sources: "abc".to_owned(), tag: "1".to_owned(), runner: None },
        tag: tag.to_owned(),
        digest: format!("sha256:{tag}"),
        runner: None,
        since,
        sound_at,
        failed: Vec::new(),
        refused: false,
        failures_before: 0,
        outdated_since: None,
    }
}

/// The record of the one image that is built.
pub(crate) fn image(current: Built, next: Option<Built>) -> Image {
    Image { current: Some(current), next, builds: 1, ..Image::new(Arch::X64) }
}
