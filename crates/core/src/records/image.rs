//! The deployment's own image of one architecture: what runs, what has been built, and what is being built.
//!
//! It is a level like others: [`crate::decide::images`] compares it with what is wanted. Only the holder of the lease
//! writes it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::id::RunnerName;
use crate::rules::class::size::Arch;
use crate::rules::image::{DEFAULT, NEXT, RunnerVersion};
use crate::rules::placement::Placement;

/// Runners that fail to start, after which it is no coincidence.
const SEVERAL_STARTS: usize = 3;
/// How many of them are remembered, if all are in one placement.
const MAX_FAILED_STARTS: usize = 6;
/// Runners that fail in one placement for this long fail for the image: a deployment may have a single placement.
const FAILS_FOR: SignedDuration = SignedDuration::from_mins(10);

/// The image of one architecture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    pub arch: Arch,
    /// What the tag `current-<arch>` names; `None` before the first build has booted.
    pub current: Option<Built>,
    /// A build that has not booted yet, which `next-<arch>` names.
    pub next: Option<Built>,
    pub build: Build,
    /// How many builds were ordered. It makes each tag unique.
    pub builds: u32,
    /// GitHub's newest runner, as far as it is known.
    pub newest: Option<Newest>,
    /// When it was last asked for.
    pub asked_at: Option<Timestamp>,
    /// The last task for it that had no result.
    pub tried: Option<Tried>,
}

/// A task for an image that had no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    pub at: Timestamp,
    /// Why it failed; `None` if there is no result yet.
    pub words: Option<String>,
}

/// An image that was built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Built {
    pub of: Recipe,
    /// A tag that never moves.
    pub tag: String,
    pub digest: String,
    /// The runner in it; `None` if the build did not say.
    pub runner: Option<RunnerVersion>,
    /// Since when runners can start from it.
    pub since: Timestamp,
    /// When a runner that started from it last listened for jobs.
    pub sound_at: Option<Timestamp>,
    /// Runners that could not start from it since; a bounded sample.
    pub failed: Vec<FailedStart>,
    /// GitHub refused its runner as too old.
    pub refused: bool,
    /// Builds of its recipe that failed before it in a row.
    pub failures_before: u32,
    /// When a newer runner was released, as far as it is known.
    pub outdated_since: Option<Timestamp>,
}

/// A runner that could not start from an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedStart {
    pub runner: RunnerName,
    pub placement: Placement,
    pub words: String,
    pub at: Timestamp,
}

/// What an image is built from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipe {
    pub sources: String,
    /// The operator's own part of the tag.
    pub tag: String,
    /// The runner's version; `None` for the newest.
    pub runner: Option<RunnerVersion>,
}

/// A release of GitHub's runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Newest {
    pub version: RunnerVersion,
    pub released_at: Timestamp,
}

/// What is being built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Build {
    Idle(Idle),
    /// A build is to be started, or may have been.
    Ordered(Ordered),
    Underway {
        ordered: Ordered,
        /// CodeBuild's id.
        id: String,
    },
}

/// Nothing is being built.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Idle {
    /// The last build, if it failed.
    pub failed: Option<FailedBuild>,
}

/// A build that failed, or whose image did not start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedBuild {
    pub of: Recipe,
    /// Failures of this recipe in a row.
    pub failures: u32,
    pub words: String,
    /// Where its log is.
    pub log: Option<String>,
    pub at: Timestamp,
    /// When the next one may begin.
    pub not_before: Timestamp,
}

/// A build, as it is ordered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ordered {
    pub number: u32,
    pub of: Recipe,
    /// The tag that it is to get.
    pub tag: String,
    pub reason: BuildReason,
    pub at: Timestamp,
    /// The failure of the same recipe before.
    pub before: Option<FailedBuild>,
}

/// Why an image is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildReason {
    /// There is none.
    Missing,
    /// What it is made of has changed.
    SourcesChanged,
    /// The operator wants another version of the runner.
    VersionChosen,
    /// A newer runner was released more than a day ago.
    Outdated,
    /// GitHub refuses its runner as too old.
    Refused,
    /// Runners do not start from it.
    Failing,
}

impl BuildReason {
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::SourcesChanged,
        Self::VersionChosen,
        Self::Outdated,
        Self::Refused,
        Self::Failing,
    ];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::SourcesChanged => "sources_changed",
            Self::VersionChosen => "version_chosen",
            Self::Outdated => "outdated",
            Self::Refused => "refused",
            Self::Failing => "failing",
        }
    }
}

crate::wire_form::by_wire_form!(BuildReason, "reason of a build");

impl Ordered {
    /// Builds of the same recipe that failed before it in a row.
    #[must_use]
    pub fn failures_before(&self) -> u32 {
        self.before.as_ref().map_or(0, |before| before.failures)
    }
}

impl Image {
    /// Returns the record before anything is built.
    #[must_use]
    pub fn new(arch: Arch) -> Self {
        Self {
            arch,
            current: None,
            next: None,
            build: Build::Idle(Idle::default()),
            builds: 0,
            newest: None,
            asked_at: None,
            tried: None,
        }
    }

    /// Returns the version of GitHub's runner in the image from which a runner started; `None` if it is not known, or if
    /// that image is no longer one of these.
    #[must_use]
    pub fn runner_in(&self, image: Option<&str>, began: Timestamp) -> Option<RunnerVersion> {
        let (current, next) = (self.current.as_ref(), self.next.as_ref());
        let built = match image {
            None | Some(DEFAULT) => current,
            // It may have become the current one since.
            Some(NEXT) => next.filter(|next| began >= next.since).or(current),
            Some(_) => None,
        };
        built.filter(|built| began >= built.since)?.runner
    }
}

impl Built {
    /// Whether runners can be expected to start from it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.refused && !self.is_failing()
    }

    /// Whether runners fail to start from it, wherever they are or for long: a single placement or host may be at fault
    /// otherwise.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let times = || self.failed.iter().map(|failed| failed.at);
        let fails_for = times().max().zip(times().min()).map(|(last, first)| last.duration_since(first));
        let is_lasting = fails_for.is_some_and(|time| time >= FAILS_FOR);
        self.is_suspected() && (self.failed_in() >= 2 || is_lasting)
    }

    /// Whether runners fail to start from it, and it may be their placement's fault.
    #[must_use]
    pub fn is_suspected(&self) -> bool {
        self.failed.len() >= SEVERAL_STARTS
    }

    /// Whether a runner has started from it.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.sound_at.is_some()
    }

    /// The message of the last runner that could not start from it.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.failed.last().map(|failed| failed.words.as_str())
    }

    /// Notes a runner that could not start from it.
    pub fn add_failure(&mut self, failed: FailedStart) {
        let is_new = self.failed.iter().all(|known| known.runner != failed.runner);
        let is_elsewhere = self.failed.iter().all(|known| known.placement != failed.placement);
        if !is_new {
            return;
        }
        // The first one shows since when they fail, and the last one until when.
        if !is_elsewhere && self.failed.len() >= MAX_FAILED_STARTS {
            self.failed.pop();
        }
        self.failed.push(failed);
    }

    fn failed_in(&self) -> usize {
        self.failed.iter().map(|failed| &failed.placement).collect::<BTreeSet<_>>().len()
    }
}
