//! Decides from which image a runner starts, and when the deployment's own image is built again.
//!
//! Nothing waits for a build: GitHub's own image serves until a build has booted once, and wherever the built image
//! fails or is refused as too old, if nothing of the operator's own is in it.

mod judge;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{has_passed, set_back};
use crate::reason::{Code, Reason};
use crate::records::image::{
    Build, BuildReason, Built, FailedBuild, Idle, Image, Newest, Ordered, Recipe, Tried,
};
use crate::records::open::Open;
use crate::records::runner::Runner;
use crate::rules::class::Class;
use crate::rules::class::size::Arch;
use crate::rules::image::{DEFAULT, ImageRules, NEXT, OFFICIAL, RunnerVersion};

/// How long a newer runner has been released before the image is built for it alone.
const SETTLED: SignedDuration = SignedDuration::from_hours(24);
/// How often the tasks of a build are tried, at most. Rounds are made for other reasons; the sweep makes one a minute.
const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(20);
/// How often the newest release is asked for.
const ASK_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// After this time a build that does not end counts as failed. CodeBuild's own limit is below.
const BUILD_LIMIT: SignedDuration = SignedDuration::from_hours(2);
/// The pauses after failed builds of one recipe.
const PAUSES: [SignedDuration; 4] = [
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(20),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(6),
];
/// GitHub refuses jobs to a runner this long after the release of a newer one (docs.github.com, "Self-hosted runners
/// reference").
const GITHUBS_LIMIT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What was found outside since the last round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageAnswer {
    /// A build was started.
    Started { arch: Arch, number: u32, id: String },
    /// A build could not be started, failed, or vanished.
    Failed { arch: Arch, number: u32, words: String, log: Option<String> },
    /// A build pushed its image.
    Pushed { arch: Arch, number: u32, digest: String, runner: Option<RunnerVersion> },
    /// `current` names this image now.
    Promoted { arch: Arch, tag: String },
    /// A task was tried, and nothing has changed. `words` if it failed.
    Nothing { arch: Arch, words: Option<String> },
    /// GitHub was asked for its newest runner; `None` if it did not say.
    Newest { arch: Arch, newest: Option<Newest> },
}

/// What is to be done outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageTask {
    /// Start a build. Repeated calls for one number start one build.
    Start(Ordered),
    /// See how a build is going.
    Look { number: u32, id: String },
    /// Let `current` name this image.
    Promote(Built),
    /// Ask GitHub for its newest runner.
    AskNewest,
}

/// From which image a runner of a class starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// By name; `None` is the deployment's own.
    Image(Option<String>),
    /// None can be had now.
    Wait(Reason),
}

/// Chooses the image for a runner that is launched now. `may_try` if it may be the one that tries a new build.
#[must_use]
pub fn choose(class: &Class, rules: Option<&ImageRules>, open: &Open, may_try: bool) -> Choice {
    let arch = class.size.arch();
    let named = |name: &str| Choice::Image(Some(name.to_owned()));
    if let Some(image) = class.image.as_deref().filter(|image| *image != DEFAULT) {
        return named(image);
    }
    // One machine has no images, and an earlier version of the deployment's parameters says nothing about them.
    let Some(rules) = rules else { return Choice::Image(None) };
    // GitHub's own image lacks what a Docker engine needs.
    let official = rules.official.contains(&arch) && !class.docker;
    if !rules.built.contains(&arch) {
        let is_given = rules.given.contains(&arch) || !official;
        return if is_given { Choice::Image(None) } else { named(OFFICIAL) };
    }
    // A record of a newer release: what it names most likely runs.
    if open.unreadable_images > 0 {
        return Choice::Image(None);
    }
    let image = open.images.get(&arch);
    let is_tried = |image: Option<&str>| !may_try || is_tried(image, arch, open);
    // A build that ends moves the tag to its own image, so nothing is tried meanwhile.
    let next = image.filter(|image| matches!(image.build, Build::Idle(_))).and_then(|it| it.next.as_ref());
    let next = next.filter(|next| !next.has_started());
    if next.is_some_and(|next| !next.is_failing() && !is_tried(Some(NEXT))) {
        return named(NEXT);
    }
    let may_be_replaced = official && (rules.is_plain || class.image_fallback);
    let current = image.and_then(|image| image.current.as_ref());
    if let Some(current) = current.filter(|current| current.is_sound()) {
        // One runner shows whether the image is at fault, or where the others were.
        let is_left_to_it = current.is_suspected() && may_be_replaced && is_tried(None);
        return if is_left_to_it { named(OFFICIAL) } else { Choice::Image(None) };
    }
    if may_be_replaced {
        return named(OFFICIAL);
    }
    Choice::Wait(Reason::with(Code::ImageUnavailable, unavailable(image, current)))
}

/// Whether a runner that starts from this image now shows whether it works: it is new, or suspected.
pub(super) fn tries(image: Option<&str>, arch: Arch, open: &Open) -> bool {
    match image {
        None => {
            let current = open.images.get(&arch).and_then(|image| image.current.as_ref());
            current.is_some_and(Built::is_suspected)
        }
        Some(name) => name == NEXT,
    }
}

/// Whether a runner is on its way from this image. One at a time is enough to try it.
fn is_tried(image: Option<&str>, arch: Arch, open: &Open) -> bool {
    let tries = |runner: &Runner| {
        runner.facts.image.as_deref() == image && runner.facts.size.arch() == arch && runner.is_supply()
    };
    open.runners.values().any(tries)
}

/// Says why there is no image.
fn unavailable(image: Option<&Image>, current: Option<&Built>) -> String {
    let state = match current {
        None => "the first build has not started a runner yet".to_owned(),
        Some(current) if current.refused => {
            format!("GitHub refuses the runner of `{}` as too old", current.tag)
        }
        Some(current) => {
            let words = current.words().unwrap_or("its container does not start");
            format!("runners do not start from `{}`: {words}", current.tag)
        }
    };
    match image.map(|image| &image.build) {
        Some(Build::Ordered(_) | Build::Underway { .. }) => format!("{state}; a build is in progress"),
        Some(Build::Idle(Idle { failed: Some(failed) })) => {
            format!("{state}; the last build failed: {}", failed.words)
        }
        _ => state,
    }
}

/// Returns the images whose records change: what runners, builds and GitHub have shown, and the builds that are wanted.
#[must_use]
pub fn learn(open: &Open, rules: &ImageRules, answers: &[ImageAnswer], now: Timestamp) -> Vec<Image> {
    // A record that this release cannot read must not be replaced.
    if open.unreadable_images > 0 {
        return Vec::new();
    }
    let next = |arch: &Arch| {
        let before = open.images.get(arch);
        let mut image = before.cloned().unwrap_or_else(|| Image::new(*arch));
        for answer in answers {
            record_answer(&mut image, answer, now);
        }
        judge::judge(&mut image, open);
        move_back(&mut image, now);
        give_up(&mut image, now);
        order(&mut image, rules, now);
        (before != Some(&image)).then_some(image)
    };
    rules.built.iter().filter_map(next).collect()
}

/// Records the answer to an order for this architecture; answers about others change nothing.
fn record_answer(image: &mut Image, answer: &ImageAnswer, now: Timestamp) {
    match answer {
        ImageAnswer::Started { arch, number, id } if *arch == image.arch => {
            if let Build::Ordered(ordered) = &image.build
                && ordered.number == *number
            {
                image.build = Build::Underway { ordered: ordered.clone(), id: id.clone() };
                image.tried = None;
            }
        }
        ImageAnswer::Failed { arch, number, words, log } if *arch == image.arch => {
            if let Some(ordered) = building(&image.build).filter(|ordered| ordered.number == *number) {
                let failed = failed(&ordered.of, ordered.failures_before(), words, log.clone(), now);
                image.build = Build::Idle(Idle { failed: Some(failed) });
                image.tried = None;
            }
        }
        ImageAnswer::Pushed { arch, number, digest, runner } if *arch == image.arch => {
            if let Some(ordered) = building(&image.build).filter(|ordered| ordered.number == *number) {
                image.next = Some(Built {
                    of: ordered.of.clone(),
                    tag: ordered.tag.clone(),
                    digest: digest.clone(),
                    runner: runner.or(ordered.of.runner),
                    since: now,
                    sound_at: None,
                    failed: Vec::new(),
                    refused: false,
                    failures_before: ordered.failures_before(),
                    outdated_since: None,
                });
                image.build = Build::Idle(Idle::default());
                image.tried = None;
            }
        }
        ImageAnswer::Promoted { arch, tag }
            if *arch == image.arch && image.next.as_ref().is_some_and(|next| next.tag == *tag) =>
        {
            image.current = image.next.take();
            image.tried = None;
        }
        ImageAnswer::Nothing { arch, words } if *arch == image.arch => {
            image.tried = Some(Tried { at: now, words: words.as_deref().map(short) });
        }
        ImageAnswer::Newest { arch, newest } if *arch == image.arch => {
            image.asked_at = Some(now);
            let Some(newest) = newest else { return };
            image.newest = Some(*newest);
            for built in [&mut image.current, &mut image.next].into_iter().flatten() {
                if built.outdated_since.is_none()
                    && built.runner.is_some_and(|runner| runner < newest.version)
                {
                    built.outdated_since = Some(newest.released_at);
                }
            }
        }
        _ => {}
    }
}

fn building(build: &Build) -> Option<&Ordered> {
    match build {
        Build::Idle(_) => None,
        Build::Ordered(ordered) | Build::Underway { ordered, .. } => Some(ordered),
    }
}

/// Cuts the words of AWS or of a build to a stored length.
fn short(words: &str) -> String {
    words.chars().take(300).collect()
}

fn failed(of: &Recipe, before: u32, words: &str, log: Option<String>, now: Timestamp) -> FailedBuild {
    let failures = before.saturating_add(1);
    let pause = PAUSES[usize::try_from(failures - 1).unwrap_or(usize::MAX).min(PAUSES.len() - 1)];
    FailedBuild { of: of.clone(), failures, words: short(words), log, at: now, not_before: now + pause }
}

/// Begins the pause after a failed build again, if the clock was set back since it failed.
fn move_back(image: &mut Image, now: Timestamp) {
    if let Build::Idle(Idle { failed: Some(failed) }) = &mut image.build
        && let Some(by) = set_back(failed.at, now)
    {
        (failed.at, failed.not_before) = (failed.at - by, failed.not_before - by);
    }
}

/// Gives up a build that does not end, and a new image from which no runner starts.
fn give_up(image: &mut Image, now: Timestamp) {
    if let Some(ordered) = building(&image.build).filter(|it| now.duration_since(it.at) > BUILD_LIMIT) {
        let words = image.tried.as_ref().and_then(|tried| tried.words.as_deref());
        let words = words.unwrap_or("it did not end within two hours");
        let failed = failed(&ordered.of, ordered.failures_before(), words, None, now);
        image.build = Build::Idle(Idle { failed: Some(failed) });
    }
    if let Some(next) = image.next.take_if(|next| !next.has_started() && !next.is_sound()) {
        let words = next.words().unwrap_or("its container did not start");
        let words = format!("no runner started from `{}`: {words}", next.tag);
        let failed = failed(&next.of, next.failures_before, &words, None, now);
        if matches!(image.build, Build::Idle(_)) {
            image.build = Build::Idle(Idle { failed: Some(failed) });
        }
    }
}

/// Orders a build if one is wanted and none is in progress.
fn order(image: &mut Image, rules: &ImageRules, now: Timestamp) {
    let Build::Idle(Idle { failed }) = &image.build else { return };
    // The first build is made of the newest runner by name, if GitHub tells it.
    if rules.pinned.is_none() && image.asked_at.is_none() {
        return;
    }
    let Some(reason) = wanted(image, rules, now) else { return };
    let of = Recipe {
        sources: rules.sources.clone(),
        tag: rules.tag.clone(),
        runner: rules.pinned.or(image.newest.map(|newest| newest.version)),
    };
    // Another runner may build where this one did not.
    let before = failed.clone().filter(|failed| failed.of == of);
    if before.as_ref().is_some_and(|before| now < before.not_before) {
        return;
    }
    let number = image.builds.saturating_add(1);
    let runner = of.runner.map_or_else(|| "latest".to_owned(), |runner| runner.to_string());
    let tag = format!("{}-{}-{runner}-{number}", of.tag, of.sources);
    image.builds = number;
    image.build = Build::Ordered(Ordered { number, of, tag, reason, at: now, before });
}

/// Returns why another image is wanted than the newest one that there is.
fn wanted(image: &Image, rules: &ImageRules, now: Timestamp) -> Option<BuildReason> {
    let Some(newest) = image.next.as_ref().or(image.current.as_ref()) else {
        return Some(BuildReason::Missing);
    };
    if newest.of.sources != rules.sources || newest.of.tag != rules.tag {
        return Some(BuildReason::SourcesChanged);
    }
    if let Some(pinned) = rules.pinned {
        return (newest.runner != Some(pinned)).then_some(BuildReason::VersionChosen);
    }
    let is_newer = |release: &Newest| newest.runner.is_some_and(|runner| runner < release.version);
    let newer = image.newest.filter(is_newer);
    if image.next.is_none() && newest.refused && newer.is_some() {
        return Some(BuildReason::Refused);
    }
    if newer.is_some_and(|release| now.duration_since(release.released_at) >= SETTLED) {
        return Some(BuildReason::Outdated);
    }
    (image.next.is_none() && newest.is_failing()).then_some(BuildReason::Failing)
}

/// Returns what is to be done outside for each image.
#[must_use]
pub fn tasks(open: &Open, rules: &ImageRules, now: Timestamp) -> Vec<(Arch, ImageTask)> {
    let images = open.images.values().filter(|image| rules.built.contains(&image.arch));
    images.flat_map(|image| of_image(image, now).map(|task| (image.arch, task))).collect()
}

fn of_image(image: &Image, now: Timestamp) -> impl Iterator<Item = ImageTask> {
    let is_tried = image.tried.as_ref().is_some_and(|tried| !has_passed(TRY_AGAIN, tried.at, now));
    let build = match &image.build {
        _ if is_tried => None,
        Build::Idle(_) => None,
        Build::Ordered(ordered) => Some(ImageTask::Start(ordered.clone())),
        Build::Underway { ordered, id } => Some(ImageTask::Look { number: ordered.number, id: id.clone() }),
    };
    let promotion = image.next.clone().filter(|next| next.has_started() && !is_tried).map(ImageTask::Promote);
    let is_due = image.asked_at.is_none_or(|asked| has_passed(ASK_AGAIN, asked, now));
    // Also for a version that the operator has chosen, which ages too.
    let ask = is_due.then_some(ImageTask::AskNewest);
    [promotion, build, ask].into_iter().flatten()
}

/// Returns in how many days GitHub refuses jobs to runners of this image; `None` if no newer runner is known.
#[must_use]
pub fn days_left(built: &Built, now: Timestamp) -> Option<f64> {
    built.outdated_since.map(|outdated| days_until_refused(outdated, now))
}

/// Returns in how many days GitHub refuses jobs to a runner, given when a newer one was released; below 0 once it does.
#[must_use]
pub fn days_until_refused(newer_released_at: Timestamp, now: Timestamp) -> f64 {
    let left = GITHUBS_LIMIT - now.duration_since(newer_released_at);
    left.as_secs_f64() / (24.0 * 3600.0)
}

#[cfg(test)]
mod tests;
