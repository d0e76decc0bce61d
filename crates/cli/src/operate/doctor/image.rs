//! Images that the deployment does not build: whether runners can start from them, and for how long GitHub gives jobs to
//! their runners.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ecsrunner_aws::ecs::definition::Variant;
use ecsrunner_aws::operate::{ImageInfo, OperateError};
use ecsrunner_core::decide::images::days_until_refused;
use ecsrunner_core::records::image::Newest;
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::{DEFAULT, NEXT, OFFICIAL, RunnerVersion};
use ecsrunner_engine::ports::store::{History, Page};
use jiff::{SignedDuration, Timestamp};

use super::runner_image::FEW_DAYS;
use super::{Check, State};
use crate::deployment::AwsDeployment;
use crate::exit::Failure;
use crate::output::span;

const NAME: &str = "image";
/// How many of the last runners are read for the version that they reported.
const RECENT: u32 = 100;
/// An image that was pushed this long ago has most likely been followed by a release, since there is about one a month.
const SURELY_OLD: SignedDuration = SignedDuration::from_hours(25 * 24);
const COMPARE: &str = "compare its runner with the newest release of actions/runner: GitHub refuses a runner 30 days after the \
                       release of a newer one";
const REBUILD: &str = "rebuild it with the newest actions/runner: GitHub refuses a runner 30 days after the release of a newer one, \
                       and nothing else builds this image";

/// An image, and the task definitions with it.
struct Used {
    definition: String,
    image: ImageInfo,
    variants: Vec<Variant>,
}

/// A runner's version that its agent reported.
struct Seen {
    variant: Variant,
    began: Timestamp,
    version: RunnerVersion,
}

/// Checks each image once: several task definitions can share one.
pub(super) async fn look(aws: &AwsDeployment) -> Vec<Check> {
    let rules = aws.facts().image_rules();
    // The control plane looks after the image that it has built, and GitHub after its own.
    let is_own = |variant: &Variant| {
        let is_built = |arch: &Arch| variant.arch == (*arch).into();
        match variant.image.as_str() {
            OFFICIAL | NEXT => true,
            DEFAULT => rules.as_ref().is_some_and(|rules| rules.built.iter().any(is_built)),
            _ => false,
        }
    };
    let (mut used, mut checks) = (BTreeMap::<String, Used>::new(), Vec::new());
    let definitions = aws.facts().task_definitions.iter().filter(|(variant, _)| !is_own(variant));
    for (variant, definition) in definitions {
        match aws.operator().image(definition).await {
            Ok(image) => match used.entry(image.image.clone()) {
                Entry::Occupied(mut known) => known.get_mut().variants.push(variant.clone()),
                Entry::Vacant(new) => {
                    let (definition, variants) = (definition.clone(), vec![variant.clone()]);
                    new.insert(Used { definition, image, variants });
                }
            },
            Err(error @ OperateError::Missing(_)) => {
                checks.push(Check::failed(NAME, error, "run `terraform apply` to create it"));
            }
            Err(error) => checks.push(Check::unknown(NAME, &Failure::of_aws(error))),
        }
    }
    if used.is_empty() {
        return checks;
    }
    let known = async || -> Result<(Option<Newest>, Vec<Seen>), Failure> {
        let newest =
            aws.open().await?.images.values().filter_map(|image| image.newest).max_by_key(|it| it.version);
        Ok((newest, seen(aws).await?))
    };
    match known().await {
        Ok((newest, seen)) => {
            let now = Timestamp::now();
            checks.extend(used.values().map(|used| check(used, &seen, newest.as_ref(), now)));
        }
        Err(failure) => {
            checks.push(Check::unknown(NAME, &failure));
            checks.extend(used.values().filter_map(inactive));
        }
    }
    checks
}

/// Returns a failed check if no task can be started with the task definition.
fn inactive(used: &Used) -> Option<Check> {
    let Used { definition, image, .. } = used;
    (image.status != "ACTIVE").then(|| {
        Check::failed(
            NAME,
            format_args!("task definition {definition} is {}", image.status),
            "run `terraform apply` to create a new revision",
        )
    })
}

/// Returns the versions of the last runners, the latest first.
async fn seen(aws: &AwsDeployment) -> Result<Vec<Seen>, Failure> {
    let page = Page { limit: RECENT, ..Page::default() };
    let ended = aws.store().runners(&page).await.map_err(Failure::of_aws)?.items;
    let of_runner = |task: EndedTask| {
        let EndedTask::Runner(runner) = task else { return None };
        let (facts, version) = (&runner.facts, runner.times.agent.as_ref()?.runner_version?);
        let variant = Variant::new(facts.image.as_deref(), facts.size.arch(), facts.exec);
        Some(Seen { variant, began: runner.timeline.began(), version })
    };
    Ok(ended.into_iter().filter_map(of_runner).collect())
}

fn check(used: &Used, seen: &[Seen], newest: Option<&Newest>, now: Timestamp) -> Check {
    if let Some(inactive) = inactive(used) {
        return inactive;
    }
    let Used { image, variants, .. } = used;
    // A runner from before the push had another image.
    let is_of_image = |seen: &&Seen| {
        variants.contains(&seen.variant) && image.pushed_at.is_none_or(|pushed| pushed <= seen.began)
    };
    let version = seen.iter().find(is_of_image).map(|seen| seen.version);
    age(&image.image, image.pushed_at, version, newest, now)
}

/// Judges an image by the version of its runner. If that is not known, the push tells only that the runner is older than
/// each release after it.
fn age(
    image: &str,
    pushed_at: Option<Timestamp>,
    version: Option<RunnerVersion>,
    newest: Option<&Newest>,
    now: Timestamp,
) -> Check {
    let is_older = |newest: &&Newest| match version {
        Some(version) => version < newest.version,
        None => pushed_at.is_some_and(|pushed| pushed < newest.released_at),
    };
    let runner = version.map_or_else(|| "its runner".to_owned(), |version| format!("its runner {version}"));
    if let Some(newer) = newest.filter(is_older) {
        let days = days_until_refused(newer.released_at, now);
        let is_next = version.is_some_and(|version| version.may_precede(newer.version));
        let released = span(now.duration_since(newer.released_at));
        let found = match days {
            ..=0.0 => {
                format!("{image}: GitHub refuses {runner}: {} was released {released} ago", newer.version)
            }
            _ => format!(
                "{image}: GitHub refuses {runner} in {days:.0} days{}: {} was released {released} ago",
                if is_next { "" } else { " or earlier" },
                newer.version
            ),
        };
        return if is_next && days >= FEW_DAYS {
            Check::ok(NAME, found)
        } else {
            Check::warning(NAME, found, REBUILD)
        };
    }
    if let (Some(version), Some(_)) = (version, newest) {
        return Check::ok(NAME, format_args!("{image} has runner {version}, the newest that is known here"));
    }
    let old = pushed_at.map(|pushed| now.duration_since(pushed));
    if let Some(old) = old.filter(|old| *old >= SURELY_OLD) {
        return Check::warning(
            NAME,
            format_args!("{image} was pushed {} ago, with {runner}", span(old)),
            REBUILD,
        );
    }
    let unknown = match version {
        Some(version) => format!("{image} has runner {version}, and the newest one is not known here"),
        None => format!("{image}: no runner from it has reported its version yet"),
    };
    Check { name: NAME, state: State::Unknown, found: unknown, remedy: Some(COMPARE.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + day * DAY).unwrap()
    }

    fn version(text: &str) -> RunnerVersion {
        RunnerVersion::parse(text).unwrap()
    }

    /// Judges an image on day 100. 2.338.0 is the newest runner.
    fn judged(pushed: Option<i64>, runner: Option<&str>, released: Option<i64>) -> (State, String) {
        let newest = released.map(|day| Newest { version: version("2.338.0"), released_at: at(day) });
        let check = age("runner:1", pushed.map(at), runner.map(version), newest.as_ref(), at(100));
        (check.state, check.found)
    }

    #[test]
    fn an_image_is_as_old_as_the_release_after_its_runners() {
        for (pushed, runner, released, state, found) in [
            // It was pushed yesterday, and its runner is refused already.
            (
                Some(99),
                Some("2.337.0"),
                Some(69),
                State::Warning,
                "GitHub refuses its runner 2.337.0: 2.338.0 was",
            ),
            (
                Some(99),
                Some("2.337.0"),
                Some(74),
                State::Warning,
                "its runner 2.337.0 in 4 days: 2.338.0 was",
            ),
            (Some(99), Some("2.337.0"), Some(90), State::Ok, "its runner 2.337.0 in 20 days: 2.338.0 was"),
            // When 2.337.0 was released is not known.
            (Some(99), Some("2.336.0"), Some(90), State::Warning, "its runner 2.336.0 in 20 days or earlier"),
            (Some(1), Some("2.338.0"), Some(1), State::Ok, "has runner 2.338.0, the newest"),
            // Nothing but the push is known.
            (Some(80), None, Some(90), State::Warning, "its runner in 20 days or earlier"),
            (Some(99), None, Some(90), State::Unknown, "no runner from it has reported its version"),
            (None, None, Some(90), State::Unknown, "no runner from it has reported its version"),
            (Some(70), None, None, State::Warning, "was pushed 30d 00h ago, with its runner"),
            (Some(99), Some("2.338.0"), None, State::Unknown, "the newest one is not known here"),
        ] {
            let judged = judged(pushed, runner, released);
            assert!(judged.0 == state && judged.1.contains(found), "{state:?} {found}: {judged:?}");
        }
    }

    #[test]
    fn a_runner_from_before_the_push_says_nothing_about_the_image() {
        let variant = Variant::new(Some("android"), Arch::X64, false);
        let image =
            ImageInfo { status: "ACTIVE".to_owned(), image: "runner:1".to_owned(), pushed_at: Some(at(99)) };
        let used = Used { definition: "d:1".to_owned(), image, variants: vec![variant.clone()] };
        let newest = Newest { version: version("2.338.0"), released_at: at(90) };
        let state = |began| {
            let seen = [Seen { variant: variant.clone(), began, version: version("2.338.0") }];
            check(&used, &seen, Some(&newest), at(100)).state
        };
        assert_eq!([state(at(98)), state(at(99))], [State::Unknown, State::Ok]);
    }
}
