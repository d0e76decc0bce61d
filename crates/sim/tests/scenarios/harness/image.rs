//! The deployment's own image and its builds.

use ecsrunner_core::records::image::{Build, Newest};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::RunnerVersion;

use super::jobs::job;
use super::{Jobs, World, hours, minutes};

impl World {
    /// GitHub releases a runner, now.
    pub(crate) fn release_runner(&self, version: &str) {
        let released_at = self.now();
        let version = RunnerVersion::parse(version).unwrap();
        self.outside().yard.newest = Some(Newest { version, released_at });
    }

    pub(crate) fn refuse_runners_older_than(&self, version: &str) {
        self.outside().yard.oldest = Some(RunnerVersion::parse(version).unwrap());
    }

    pub(crate) fn break_image(&self, tag: &str) {
        self.outside().yard.broken.insert(tag.to_owned());
    }

    pub(crate) fn fail_builds(&self, words: &str) {
        self.outside().yard.failure = Some(words.to_owned());
    }

    pub(crate) fn heal_builds(&self) {
        self.outside().yard.failure = None;
    }

    pub(crate) fn refuse_builds(&self, words: &str) {
        self.outside().yard.refusal = Some(words.to_owned());
    }

    pub(crate) fn builds(&self) -> usize {
        self.outside().yard.builds()
    }

    /// Returns the tag of the image that runners start from.
    pub(crate) fn current_image(&self) -> Option<String> {
        self.outside().yard.current(Arch::X64).map(str::to_owned)
    }

    /// Returns how many tasks were started from each image.
    pub(crate) fn started_from(&self) -> String {
        let started = self.outside().yard.started.clone();
        let started: Vec<_> = started.into_iter().map(|(tag, count)| format!("{tag}: {count}")).collect();
        started.join(", ")
    }

    /// Returns the words of the last build that failed.
    pub(crate) fn image_words(&self) -> String {
        let outside = self.outside();
        match outside.tables.open.images.get(&Arch::X64).map(|image| &image.build) {
            Some(Build::Idle(idle)) => {
                idle.failed.as_ref().map(|failed| failed.words.clone()).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// Has the image built, tried by a job, and named.
    pub(crate) async fn serve_from_own_image(&mut self, version: &str) {
        self.release_runner(version);
        self.pass(minutes(10)).await;
        Jobs::queue(self, 1, |_| job(60));
        self.settle(hours(1)).await;
        self.pass(minutes(2)).await;
        assert!(self.current_image().is_some_and(|tag| tag.contains(version)), "{:?}", self.current_image());
    }
}
