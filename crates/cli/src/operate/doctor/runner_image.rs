//! The deployment's own image: what runners start from, and how its builds are going.

use ecsrunner_core::decide::images::days_left;
use ecsrunner_core::records::image::{Build, Image};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::ImageRules;
use jiff::Timestamp;

use super::Check;

const NAME: &str = "runner image";
/// Days before GitHub refuses a runner at which a person should look.
pub(super) const FEW_DAYS: f64 = 7.0;

pub(super) fn check(arch: Arch, image: Option<&Image>, rules: &ImageRules, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![current(arch, image, rules, now)];
    checks.extend(image.and_then(build));
    checks.extend(image.and_then(task));
    checks
}

fn current(arch: Arch, image: Option<&Image>, rules: &ImageRules, now: Timestamp) -> Check {
    let arch = arch.label();
    let instead = if rules.is_plain {
        "runners start from GitHub's own image meanwhile"
    } else {
        "classes without `image_fallback` wait for it"
    };
    let Some(current) = image.and_then(|image| image.current.as_ref()) else {
        return Check::warning(
            NAME,
            format_args!("{arch}: no build has started a runner yet; {instead}"),
            "wait for the first build and the first job after it, or see the check below",
        );
    };
    let tag = &current.tag;
    if current.refused {
        return Check::failed(
            NAME,
            format_args!("{arch}: GitHub refuses the runner of {tag} as too old; {instead}"),
            "wait for the build of a newer one; with `runner_version`, choose a newer version",
        );
    }
    if current.is_failing() {
        let words = current.words().unwrap_or("its container does not start");
        return Check::failed(
            NAME,
            format_args!("{arch}: runners do not start from {tag}: {words}; {instead}"),
            "correct the cause; it is built again by itself",
        );
    }
    let runner = current.runner.map_or_else(|| "a runner".to_owned(), |runner| format!("runner {runner}"));
    match days_left(current, now) {
        Some(days) if days < FEW_DAYS => Check::warning(
            NAME,
            format_args!("{arch}: GitHub refuses {runner} of {tag} in {days:.0} days"),
            "see why no newer one was built, or choose a newer `runner_version`",
        ),
        _ => Check::ok(NAME, format_args!("{arch}: {tag} with {runner}")),
    }
}

/// Says why a task for the image fails, which is tried again each minute.
fn task(image: &Image) -> Option<Check> {
    let words = image.tried.as_ref()?.words.as_ref()?;
    Some(Check::warning(
        "image build",
        format_args!("{}: {words}", image.arch.label()),
        "correct the cause: it is tried again each minute",
    ))
}

/// Says why the last build failed, if it did.
fn build(image: &Image) -> Option<Check> {
    let Build::Idle(idle) = &image.build else { return None };
    let failed = idle.failed.as_ref()?;
    let log = failed.log.as_deref().map_or_else(String::new, |log| format!("; its log: {log}"));
    let words = failed.words.as_str();
    let remedy = if words.contains("more than 0 builds") {
        "ask AWS for a higher quota of concurrent CodeBuild builds, or set `runner_image_build.builder` to `docker`"
    } else {
        "correct the cause: it is tried again by itself"
    };
    Some(Check::warning(
        "image build",
        format_args!("{}: {words}{log}; next try at {}", image.arch.label(), failed.not_before),
        remedy,
    ))
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::records::image::{Built, FailedBuild, Idle, Recipe};
    use ecsrunner_core::rules::image::RunnerVersion;
    use jiff::SignedDuration;

    use super::super::State;
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_764_000_000).unwrap()
    }

    fn recipe() -> Recipe {
        Recipe { sources: "abc".to_owned(), tag: "1".to_owned(), runner: None }
    }

    fn with(current: Option<Built>) -> Vec<(State, String)> {
        let rules = ImageRules { is_plain: true, ..ImageRules::default() };
        let image = Image { current, ..Image::new(Arch::X64) };
        check(Arch::X64, Some(&image), &rules, now())
            .into_iter()
            .map(|check| (check.state, check.found))
            .collect()
    }

    fn built() -> Built {
        Built {
            of: recipe(),
            tag: "1-abc-2.337.0-3".to_owned(),
            digest: "sha256:00".to_owned(),
            runner: Some(RunnerVersion::parse("2.337.0").unwrap()),
            since: now(),
            sound_at: Some(now()),
            failed: Vec::new(),
            refused: false,
            failures_before: 0,
            outdated_since: None,
        }
    }

    #[test]
    fn an_image_is_judged_by_what_runners_and_github_say() {
        let (state, found) = with(None).remove(0);
        assert_eq!(state, State::Warning);
        assert!(found.ends_with("runners start from GitHub's own image meanwhile"), "{found}");
        assert_eq!(with(Some(built())), [(State::Ok, "x64: 1-abc-2.337.0-3 with runner 2.337.0".to_owned())]);
        let old = now() - SignedDuration::from_hours(24 * 25);
        let (state, found) = with(Some(Built { outdated_since: Some(old), ..built() })).remove(0);
        assert_eq!(state, State::Warning);
        assert!(found.contains("in 5 days"), "{found}");
        assert_eq!(with(Some(Built { refused: true, ..built() })).remove(0).0, State::Failed);
    }

    #[test]
    fn a_failed_build_is_told_in_its_own_words_with_what_to_ask_for() {
        let failed = FailedBuild {
            of: recipe(),
            failures: 1,
            words: "Cannot have more than 0 builds in queue for the account".to_owned(),
            log: Some("https://logs".to_owned()),
            at: now(),
            not_before: now(),
        };
        let image = Image { build: Build::Idle(Idle { failed: Some(failed) }), ..Image::new(Arch::X64) };
        let check = build(&image).unwrap();
        assert!(check.found.contains("more than 0 builds") && check.found.contains("https://logs"));
        assert!(check.remedy.unwrap().contains("quota"));
    }
}
