//! The stored form of an architecture's image.

use ecsrunner_core::id::{ParseIdError, RunnerName};
use ecsrunner_core::records::image::{
    Build, BuildReason, Built, FailedBuild, FailedStart, Idle, Image, Newest, Ordered, Recipe, Tried,
};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::RunnerVersion;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnreadableError;
use super::placement::StoredPlacement;
use crate::store::item::{Item, OPEN, key};

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredImage {
    arch: Arch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<StoredBuilt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<StoredBuilt>,
    build: StoredBuild,
    builds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<StoredNewest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tried: Option<StoredTried>,
}

#[derive(Serialize, Deserialize)]
struct StoredTried {
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredBuilt {
    of: StoredRecipe,
    tag: String,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner: Option<String>,
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sound_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<StoredFailedStart>,
    refused: bool,
    failures_before: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outdated_since: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct StoredFailedStart {
    runner: RunnerName,
    placement: StoredPlacement,
    words: String,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredRecipe {
    sources: String,
    tag: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredNewest {
    version: String,
    released_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredBuild {
    Idle {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<StoredFailure>,
    },
    Ordered(StoredOrder),
    Underway {
        order: StoredOrder,
        id: String,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredFailure {
    of: StoredRecipe,
    failures: u32,
    words: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    at: Timestamp,
    not_before: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredOrder {
    number: u32,
    of: StoredRecipe,
    tag: String,
    reason: BuildReason,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<StoredFailure>,
}

fn version(text: Option<String>) -> Result<Option<RunnerVersion>, ParseIdError> {
    text.as_deref().map(RunnerVersion::parse).transpose()
}

impl StoredRecipe {
    fn of(recipe: &Recipe) -> Self {
        Self {
            sources: recipe.sources.clone(),
            tag: recipe.tag.clone(),
            runner: recipe.runner.map(|runner| runner.to_string()),
        }
    }

    fn read(self) -> Result<Recipe, ParseIdError> {
        Ok(Recipe { sources: self.sources, tag: self.tag, runner: version(self.runner)? })
    }
}

impl StoredFailedStart {
    fn of(failed: &FailedStart) -> Self {
        Self {
            runner: failed.runner.clone(),
            placement: StoredPlacement::of(&failed.placement),
            words: failed.words.clone(),
            at: failed.at,
        }
    }

    fn read(self) -> Result<FailedStart, UnreadableError> {
        Ok(FailedStart {
            runner: self.runner,
            placement: self.placement.read()?,
            words: self.words,
            at: self.at,
        })
    }
}

impl StoredBuilt {
    fn of(built: &Built) -> Self {
        Self {
            of: StoredRecipe::of(&built.of),
            tag: built.tag.clone(),
            digest: built.digest.clone(),
            runner: built.runner.map(|runner| runner.to_string()),
            since: built.since,
            sound_at: built.sound_at,
            failed: built.failed.iter().map(StoredFailedStart::of).collect(),
            refused: built.refused,
            failures_before: built.failures_before,
            outdated_since: built.outdated_since,
        }
    }

    fn read(self) -> Result<Built, UnreadableError> {
        Ok(Built {
            of: self.of.read()?,
            tag: self.tag,
            digest: self.digest,
            runner: version(self.runner)?,
            since: self.since,
            sound_at: self.sound_at,
            failed: self.failed.into_iter().map(StoredFailedStart::read).collect::<Result<_, _>>()?,
            refused: self.refused,
            failures_before: self.failures_before,
            outdated_since: self.outdated_since,
        })
    }
}

impl StoredFailure {
    fn of(failed: &FailedBuild) -> Self {
        Self {
            of: StoredRecipe::of(&failed.of),
            failures: failed.failures,
            words: failed.words.clone(),
            log: failed.log.clone(),
            at: failed.at,
            not_before: failed.not_before,
        }
    }

    fn read(self) -> Result<FailedBuild, ParseIdError> {
        Ok(FailedBuild {
            of: self.of.read()?,
            failures: self.failures,
            words: self.words,
            log: self.log,
            at: self.at,
            not_before: self.not_before,
        })
    }
}

impl StoredOrder {
    fn of(ordered: &Ordered) -> Self {
        Self {
            number: ordered.number,
            of: StoredRecipe::of(&ordered.of),
            tag: ordered.tag.clone(),
            reason: ordered.reason,
            at: ordered.at,
            before: ordered.before.as_ref().map(StoredFailure::of),
        }
    }

    fn read(self) -> Result<Ordered, ParseIdError> {
        Ok(Ordered {
            number: self.number,
            of: self.of.read()?,
            tag: self.tag,
            reason: self.reason,
            at: self.at,
            before: self.before.map(StoredFailure::read).transpose()?,
        })
    }
}

impl StoredImage {
    pub(in crate::store) fn of(image: &Image) -> Self {
        Self {
            arch: image.arch,
            current: image.current.as_ref().map(StoredBuilt::of),
            next: image.next.as_ref().map(StoredBuilt::of),
            build: match &image.build {
                Build::Idle(idle) => {
                    StoredBuild::Idle { failed: idle.failed.as_ref().map(StoredFailure::of) }
                }
                Build::Ordered(ordered) => StoredBuild::Ordered(StoredOrder::of(ordered)),
                Build::Underway { ordered, id } => {
                    StoredBuild::Underway { order: StoredOrder::of(ordered), id: id.clone() }
                }
            },
            builds: image.builds,
            newest: image.newest.map(|newest| StoredNewest {
                version: newest.version.to_string(),
                released_at: newest.released_at,
            }),
            asked_at: image.asked_at,
            tried: image.tried.as_ref().map(|tried| StoredTried { at: tried.at, words: tried.words.clone() }),
        }
    }

    pub(in crate::store) fn read(self) -> Result<Image, UnreadableError> {
        let newest = |stored: StoredNewest| {
            Ok::<_, ParseIdError>(Newest {
                version: RunnerVersion::parse(&stored.version)?,
                released_at: stored.released_at,
            })
        };
        Ok(Image {
            arch: self.arch,
            current: self.current.map(StoredBuilt::read).transpose()?,
            next: self.next.map(StoredBuilt::read).transpose()?,
            build: match self.build {
                StoredBuild::Idle { failed } => {
                    Build::Idle(Idle { failed: failed.map(StoredFailure::read).transpose()? })
                }
                StoredBuild::Ordered(order) => Build::Ordered(order.read()?),
                StoredBuild::Underway { order, id } => Build::Underway { ordered: order.read()?, id },
            },
            builds: self.builds,
            newest: self.newest.map(newest).transpose()?,
            asked_at: self.asked_at,
            tried: self.tried.map(|tried| Tried { at: tried.at, words: tried.words }),
        })
    }
}

/// The key of an image's item.
pub(in crate::store) fn image_key(arch: Arch) -> Item {
    key(OPEN, sort_key(arch))
}

fn sort_key(arch: Arch) -> String {
    format!("image#{}", arch.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_as_it_was() {
        let at = |secs: i64| Timestamp::from_second(1_764_000_000 + secs).unwrap();
        let of = Recipe {
            sources: "abc".to_owned(),
            tag: "1".to_owned(),
            runner: RunnerVersion::parse("2.337.0").ok(),
        };
        let failed = FailedBuild {
            of: of.clone(),
            failures: 2,
            words: "no space left".to_owned(),
            log: Some("https://logs".to_owned()),
            at: at(1),
            not_before: at(2),
        };
        let start = FailedStart {
            runner: RunnerName::parse("ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap(),
            placement: StoredPlacement::default().read().unwrap(),
            words: "manifest unknown".to_owned(),
            at: at(3),
        };
        let built = Built {
            of: of.clone(),
            tag: "1-abc-2.337.0-1".to_owned(),
            digest: "sha256:00".to_owned(),
            runner: of.runner,
            since: at(4),
            sound_at: Some(at(5)),
            failed: vec![start],
            refused: true,
            failures_before: 2,
            outdated_since: Some(at(6)),
        };
        let reason = BuildReason::Outdated;
        let tag = built.tag.clone();
        let ordered = Ordered { number: 3, of, tag, reason, at: at(7), before: Some(failed.clone()) };
        let newest = Newest { version: RunnerVersion::parse("2.338.0").unwrap(), released_at: at(8) };
        let full = Image {
            current: Some(built.clone()),
            next: Some(Built { failed: Vec::new(), sound_at: None, runner: None, ..built }),
            builds: 3,
            newest: Some(newest),
            asked_at: Some(at(9)),
            tried: Some(Tried { at: at(10), words: Some("AccessDenied".to_owned()) }),
            ..Image::new(Arch::Arm64)
        };
        for build in [
            Build::Idle(Idle::default()),
            Build::Idle(Idle { failed: Some(failed) }),
            Build::Ordered(ordered.clone()),
            Build::Underway { ordered, id: "build:1".to_owned() },
        ] {
            let image = Image { build, ..full.clone() };
            let text = serde_json::to_string(&StoredImage::of(&image)).unwrap();
            assert_eq!(serde_json::from_str::<StoredImage>(&text).unwrap().read().unwrap(), image);
        }
        let empty = serde_json::to_string(&StoredImage::of(&Image::new(Arch::X64))).unwrap();
        assert_eq!(empty, r#"{"arch":"x64","build":{"idle":{}},"builds":0}"#);
    }

    #[test]
    fn the_spelling_of_an_images_key_never_changes() {
        assert_eq!(sort_key(Arch::X64), "image#x64");
        assert_eq!(sort_key(Arch::Arm64), "image#arm64");
    }
}
