//! Builds of the deployment's own image, its tags, and GitHub's newest runner. A build takes minutes, and tasks start from
//! what a tag names when they begin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecsrunner_core::id::TaskId;
use ecsrunner_core::records::image::{Built, Newest, Ordered};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::{NEXT, OFFICIAL, RunnerVersion};
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::images::{BuildState, ImageError, Images};
use jiff::Timestamp;

use super::outside::Shared;

/// How long a build takes.
const BUILD: Duration = Duration::from_secs(180);
/// How long a repeated order is recognized (AWS's limit for `idempotencyToken`).
const REMEMBERED: Duration = Duration::from_secs(300);

/// What builds images and keeps them.
#[derive(Debug, Default)]
pub struct Yard {
    builds: Vec<StartedBuild>,
    /// The image that each tag names.
    tags: BTreeMap<String, String>,
    /// The newest release of GitHub's runner; `None` if GitHub does not answer.
    pub newest: Option<Newest>,
    /// The words with which builds fail.
    pub failure: Option<String>,
    /// The words with which no build is started, as where the account's quota is 0.
    pub refusal: Option<String>,
    /// Images, by their own tag, whose containers do not start.
    pub broken: BTreeSet<String>,
    /// GitHub refuses runners older than this.
    pub oldest: Option<RunnerVersion>,
    /// How many tasks were started from each image.
    pub started: BTreeMap<String, u32>,
    /// The client tokens of these tasks: a repeated call starts none.
    tokens: BTreeSet<String>,
    /// The tasks whose runner GitHub refuses.
    pub(super) too_old: BTreeSet<TaskId>,
}

#[derive(Debug)]
struct StartedBuild {
    arch: Arch,
    number: u32,
    tag: String,
    runner: Option<RunnerVersion>,
    at: Timestamp,
    failure: Option<String>,
}

/// How a task fares with its image.
pub(super) enum Fate {
    Starts,
    /// The image cannot be pulled.
    NoImage(String),
    /// GitHub refuses its runner.
    TooOld,
}

impl Yard {
    /// Returns how many builds were started.
    #[must_use]
    pub fn builds(&self) -> usize {
        self.builds.len()
    }

    /// Returns the tag of the image that `current` names.
    #[must_use]
    pub fn current(&self, arch: Arch) -> Option<&str> {
        self.tags.get(&format!("current-{}", arch.label())).map(String::as_str)
    }

    /// Starts a task from an image by its name, as in a task definition. Returns `None` if the token has started one.
    pub(super) fn start(&mut self, image: Option<&str>, arch: Arch, token: &str) -> Option<Fate> {
        self.tokens.insert(token.to_owned()).then(|| self.fate(image, arch))
    }

    fn fate(&mut self, image: Option<&str>, arch: Arch) -> Fate {
        let tag = match image {
            None => self.tags.get(&format!("current-{}", arch.label())).cloned(),
            Some(NEXT) => self.tags.get(&format!("next-{}", arch.label())).cloned(),
            Some(OFFICIAL) => Some(OFFICIAL.to_owned()),
            Some(other) => Some(other.to_owned()),
        };
        let Some(tag) = tag else {
            return Fate::NoImage("CannotPullContainerError: manifest unknown".to_owned());
        };
        *self.started.entry(tag.clone()).or_default() += 1;
        if self.broken.contains(&tag) {
            return Fate::NoImage("CannotPullContainerError: manifest unknown".to_owned());
        }
        let runner = self.builds.iter().find(|build| build.tag == tag).and_then(|build| build.runner);
        match (runner, self.oldest) {
            (Some(runner), Some(oldest)) if runner < oldest => Fate::TooOld,
            _ => Fate::Starts,
        }
    }
}

/// The port to the yard.
#[derive(Clone, Debug)]
pub struct MemoryImages(pub(super) Shared);

impl Images for MemoryImages {
    async fn start_build(&self, arch: Arch, ordered: &Ordered) -> Result<String, ImageError> {
        let now = self.0.clock().now();
        let yard = &mut self.0.lock().yard;
        if let Some(message) = yard.refusal.clone() {
            return Err(ImageError::Refused { message });
        }
        let is_repeated = |build: &&StartedBuild| {
            (build.arch, build.number) == (arch, ordered.number)
                && now.duration_since(build.at).unsigned_abs() < REMEMBERED
        };
        if yard.builds.iter().find(is_repeated).is_none() {
            let runner = ordered.of.runner.or(yard.newest.map(|newest| newest.version));
            let failure = yard.failure.clone();
            let tag = ordered.tag.clone();
            yard.builds.push(StartedBuild { arch, number: ordered.number, tag, runner, at: now, failure });
        }
        Ok(format!("ecsrunner-sim-image-{}:{}", arch.label(), ordered.number))
    }

    async fn build(&self, arch: Arch, id: &str) -> Result<BuildState, ImageError> {
        let now = self.0.clock().now();
        let yard = &mut self.0.lock().yard;
        let number = id.rsplit(':').next().and_then(|number| number.parse::<u32>().ok());
        let build = yard.builds.iter().find(|build| build.arch == arch && Some(build.number) == number);
        let Some(build) = build else {
            return Err(ImageError::Refused { message: format!("there is no build `{id}`") });
        };
        if now.duration_since(build.at).unsigned_abs() < BUILD {
            return Ok(BuildState::Underway);
        }
        if let Some(words) = build.failure.clone() {
            return Ok(BuildState::Failed { words, log: Some(format!("https://logs.example/{id}")) });
        }
        yard.tags.insert(format!("next-{}", arch.label()), build.tag.clone());
        Ok(BuildState::Pushed { digest: format!("sha256:{:064}", build.number), runner: build.runner })
    }

    async fn promote(&self, arch: Arch, built: &Built) -> Result<(), ImageError> {
        self.0.lock().yard.tags.insert(format!("current-{}", arch.label()), built.tag.clone());
        Ok(())
    }

    async fn newest_runner(&self) -> Result<Option<Newest>, ImageError> {
        let newest = self.0.lock().yard.newest;
        newest.map(Some).ok_or_else(|| ImageError::Unanswered {
            operation: "the request for the newest runner",
            source: "GitHub answers with 502".into(),
        })
    }
}
