//! What holds launches back, and the deployment's own image.

use std::collections::HashMap;

use ecsrunner_core::id::{Account, JobId};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::hold::{Held, Hold};
use ecsrunner_core::records::image::{Build, Built, FailedBuild, Image, Ordered};
use ecsrunner_core::records::job::Job;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::class::size::Arch;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The answer of `GET /api/v1/deployment`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeploymentView {
    /// Those that hold launches back first, the oldest first.
    pub holds: Vec<HoldView>,
    /// For each architecture for which the control plane builds an image. Empty if it builds none.
    pub images: Vec<ImageView>,
}

/// A hold: where launches wait until one succeeds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HoldView {
    pub kind: HeldKind,
    /// What is held, such as the class, the pool's id or the repository.
    pub name: String,
    /// The kind of the last failure.
    pub fault: String,
    /// The message of the last failure.
    pub text: String,
    /// Failures in a row.
    pub failures: u32,
    /// Whether launches are held back; if not, the hold is only suspected.
    pub effective: bool,
    /// Whether a person may have to act.
    pub alarming: bool,
    pub since: Timestamp,
    /// When the last failure was.
    pub latest: Timestamp,
    /// When the next try may be made.
    pub not_before: Timestamp,
    /// The queued jobs that wait for it, the oldest first.
    pub jobs: Vec<u64>,
}

/// What a hold holds back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldKind {
    /// Registrations in a repository or an organization.
    Scope,
    /// Registrations of one installation or token.
    Account,
    Class,
    /// A class in one placement.
    ClassInPlacement,
    /// A subnet and capacity provider, for one architecture.
    Placement,
    Pool,
    /// Warm tasks of a class; jobs do not wait for it.
    Warm,
}

/// The deployment's own image of one architecture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImageView {
    pub arch: Arch,
    /// What runners start from; `None` before the first build has booted.
    pub current: Option<BuiltView>,
    /// A build that has not booted yet.
    pub next: Option<BuiltView>,
    /// What is being built.
    pub build: Option<BuildView>,
    /// The last build, if it failed and no other was begun.
    pub failed: Option<FailedBuildView>,
    /// GitHub's newest runner, as far as it is known.
    pub newest_runner: Option<String>,
}

/// An image that was built.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BuiltView {
    pub tag: String,
    pub digest: String,
    /// The version of GitHub's runner in it, if the build said so.
    pub runner: Option<String>,
    /// Since when runners can start from it.
    pub since: Timestamp,
    /// When a runner that started from it last listened for jobs.
    pub sound_at: Option<Timestamp>,
    /// Whether runners can be expected to start from it.
    pub sound: bool,
    /// The message of the last runner that could not start from it.
    pub text: Option<String>,
    /// When a newer runner was released, as far as it is known.
    pub outdated_since: Option<Timestamp>,
}

/// A build.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BuildView {
    pub reason: String,
    pub tag: String,
    /// When it was ordered.
    pub at: Timestamp,
    /// CodeBuild's id, once it was started.
    pub id: Option<String>,
}

/// A build that failed, or whose image did not start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedBuildView {
    pub text: String,
    /// Where its log is.
    pub log: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    pub at: Timestamp,
    /// When the next one may begin.
    pub not_before: Timestamp,
}

impl DeploymentView {
    /// `reasons` are those for which queued jobs wait, from a plan.
    #[must_use]
    pub fn of(open: &Open, reasons: &HashMap<JobId, Reason>, catalogue: &Catalogue) -> Self {
        let mut holds: Vec<HoldView> =
            open.holds.values().map(|hold| HoldView::of(hold, open, reasons, catalogue)).collect();
        holds.sort_by_key(|hold| (!hold.effective, hold.since));
        Self { holds, images: open.images.values().map(ImageView::of).collect() }
    }
}

impl HoldView {
    fn of(hold: &Hold, open: &Open, reasons: &HashMap<JobId, Reason>, catalogue: &Catalogue) -> Self {
        let (kind, name) = named(&hold.held);
        let waits = |job: &&Job| {
            let reason = reasons.get(&job.id());
            reason.is_some_and(|reason| holds(&hold.held, job, reason.code(), catalogue))
        };
        let mut jobs: Vec<&Job> = open.jobs.values().filter(waits).collect();
        jobs.sort_by_key(|job| (job.created_at, job.id()));
        Self {
            kind,
            name,
            fault: hold.fault.as_str().to_owned(),
            text: hold.words.to_string(),
            failures: hold.failures,
            effective: hold.is_effective(),
            alarming: hold.is_alarming(),
            since: hold.since,
            latest: hold.latest,
            not_before: hold.not_before,
            jobs: jobs.into_iter().map(|job| job.id().get()).collect(),
        }
    }
}

/// The hold for which a job waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobHold {
    /// The kind of the last failure, such as `throttled`.
    pub fault: String,
    /// When the next try may be made, of this job or of another one.
    pub not_before: Timestamp,
}

impl JobHold {
    /// Returns the hold for which a job waits that has this reason to wait. Of several places the first counts that may be
    /// tried again; of a scope and its account the last.
    pub(crate) fn of(job: &Job, code: Code, open: &Open, catalogue: &Catalogue) -> Option<Self> {
        let is_place = |hold: &&Hold| matches!(hold.held, Held::ClassIn { .. } | Held::Placement { .. });
        let holding =
            open.holds.values().filter(|hold| hold.is_effective() && holds(&hold.held, job, code, catalogue));
        let (places, others): (Vec<&Hold>, Vec<&Hold>) = holding.partition(is_place);
        let place = places.into_iter().min_by_key(|hold| hold.not_before);
        let hold = others.into_iter().chain(place).max_by_key(|hold| hold.not_before)?;
        Some(Self { fault: hold.fault.as_str().to_owned(), not_before: hold.not_before })
    }
}

fn named(held: &Held) -> (HeldKind, String) {
    match held {
        Held::Scope(scope) => (HeldKind::Scope, scope.to_string()),
        Held::Account(account) => (HeldKind::Account, account.to_string()),
        Held::Class(class) => (HeldKind::Class, class.to_string()),
        Held::ClassIn { class, placement } => (HeldKind::ClassInPlacement, format!("{class} on {placement}")),
        Held::Placement { placement, arch } => {
            (HeldKind::Placement, format!("{placement}, {}", arch.label()))
        }
        Held::Pool(pool) => (HeldKind::Pool, pool.to_string()),
        Held::Warm(class) => (HeldKind::Warm, class.to_string()),
    }
}

/// Whether a job that waits for this reason waits for this hold. The plan stops at the first hold that it meets, so a
/// job waits for one kind of hold at a time.
fn holds(held: &Held, job: &Job, code: Code, catalogue: &Catalogue) -> bool {
    let Some(assignment) = job.assignment() else { return false };
    let repository = &job.facts.repository;
    let of_github = matches!(code, Code::ScopeHeld | Code::GithubUnavailable);
    match held {
        Held::Scope(scope) => of_github && scope.covers(repository),
        Held::Account(account) => {
            of_github && (*account == repository.account() || *account == Account::token())
        }
        Held::Class(class) | Held::ClassIn { class, .. } => {
            code == Code::ClassHeld && *class == assignment.class
        }
        Held::Placement { arch, .. } => {
            let class = catalogue.iter().find(|class| class.name == assignment.class);
            code == Code::NoCapacity && class.is_some_and(|class| class.size.arch() == *arch)
        }
        Held::Pool(pool) => {
            matches!(code, Code::PoolHeld | Code::PoolUnused | Code::PoolRefused) && *pool == assignment.pool
        }
        Held::Warm(_) => false,
    }
}

impl ImageView {
    fn of(image: &Image) -> Self {
        let (build, failed) = match &image.build {
            Build::Idle(idle) => (None, idle.failed.as_ref()),
            Build::Ordered(ordered) => (Some(BuildView::of(ordered, None)), None),
            Build::Underway { ordered, id } => (Some(BuildView::of(ordered, Some(id))), None),
        };
        Self {
            arch: image.arch,
            current: image.current.as_ref().map(BuiltView::of),
            next: image.next.as_ref().map(BuiltView::of),
            build,
            failed: failed.map(FailedBuildView::of),
            newest_runner: image.newest.map(|newest| newest.version.to_string()),
        }
    }
}

impl BuiltView {
    fn of(built: &Built) -> Self {
        Self {
            tag: built.tag.clone(),
            digest: built.digest.clone(),
            runner: built.runner.map(|version| version.to_string()),
            since: built.since,
            sound_at: built.sound_at,
            sound: built.is_sound(),
            text: built.words().map(str::to_owned),
            outdated_since: built.outdated_since,
        }
    }
}

impl BuildView {
    fn of(ordered: &Ordered, id: Option<&String>) -> Self {
        Self {
            reason: ordered.reason.as_str().to_owned(),
            tag: ordered.tag.clone(),
            at: ordered.at,
            id: id.cloned(),
        }
    }
}

impl FailedBuildView {
    fn of(failed: &FailedBuild) -> Self {
        Self {
            text: failed.words.clone(),
            log: failed.log.clone(),
            failures: failed.failures,
            at: failed.at,
            not_before: failed.not_before,
        }
    }
}

#[cfg(test)]
mod tests;
