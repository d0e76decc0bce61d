//! Has the deployment's own image built, tried and named. `ecsrunner_core::decide::images` decides when; only a round
//! writes the records, from what effects have found out since the last one.

use ecsrunner_core::decide::images::{ImageAnswer, ImageTask, days_left, learn, tasks};
use ecsrunner_core::id::Epoch;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::image::{Build, Built, Image};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::class::size::Arch;
use futures::future::{self, Either};
use jiff::Timestamp;
use tracing::{info, warn};

use super::cache::EffectKey;
use super::{Effected, LeaseHolder, News, STEP_LIMIT, chain};
use crate::metrics::Metric;
use crate::ports::Clock;
use crate::ports::images::{BuildState, ImageError, Images};
use crate::ports::store::StoreError;
use crate::{Engine, World};

impl<W: World> Engine<W> {
    /// Writes what was learnt about images, and the builds that are wanted.
    pub(crate) async fn learn_images(
        &self,
        epoch: Epoch,
        open: &mut Open,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ruleset = self.rules();
        let Some(rules) = &ruleset.images else { return Ok(()) };
        let answers = self.cache.image_answers();
        let images = learn(open, rules, &answers, now);
        for image in &images {
            tell(open.images.get(&image.arch), image);
        }
        let changes: Vec<Change> = images.into_iter().map(|image| Change::Image(Box::new(image))).collect();
        self.commit_batches(epoch, &changes, open).await?;
        // If they could not be written, the next round takes them into account again.
        self.cache.forget_image_answers(answers.len());
        let soonest = open.images.values().filter_map(|image| image.current.as_ref());
        let soonest = soonest.filter_map(|built| days_left(built, now)).min_by(f64::total_cmp);
        if let Some(days) = soonest {
            self.metrics.add(Metric::RunnerVersionDaysLeft, days);
        }
        Ok(())
    }

    /// Starts what is to be done outside for images.
    pub(crate) fn begin_images<'a>(&'a self, holder: &mut LeaseHolder<'a>, open: &Open, now: Timestamp) {
        let ruleset = self.rules();
        let Some(rules) = &ruleset.images else { return };
        for (arch, task) in tasks(open, rules, now) {
            let key = EffectKey::Image(arch, kind(&task));
            if holder.may_begin(&key, None, now) {
                holder.effects.push(Box::pin(self.perform_image_task(key, arch, task)));
            }
        }
    }

    async fn perform_image_task(&self, key: EffectKey, arch: Arch, task: ImageTask) -> Effected {
        let tried = Box::pin(self.try_image_task(arch, &task));
        let limit = Box::pin(self.ports.clock.sleep(STEP_LIMIT));
        let answer = match future::select(tried, limit).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(error), _)) => {
                warn!(arch = arch.label(), task = kind(&task), error = %chain(&error), "a task for the image failed");
                ImageAnswer::Nothing { arch, words: Some(chain(&error)) }
            }
            Either::Right(((), _)) => {
                warn!(arch = arch.label(), task = kind(&task), "a task for the image got no answer in time");
                ImageAnswer::Nothing { arch, words: Some(format!("no answer to `{}` in time", kind(&task))) }
            }
        };
        self.cache.add_image_answer(answer);
        Effected::with(key, News::Round)
    }

    async fn try_image_task(&self, arch: Arch, task: &ImageTask) -> Result<ImageAnswer, ImageError> {
        let images = &self.ports.images;
        Ok(match task {
            ImageTask::Start(ordered) => match images.start_build(arch, ordered).await {
                Ok(id) => ImageAnswer::Started { arch, number: ordered.number, id },
                Err(ImageError::Refused { message }) => ImageAnswer::Failed {
                    arch,
                    number: ordered.number,
                    words: format!("it could not be started: {message}"),
                    log: None,
                },
                Err(error) => return Err(error),
            },
            ImageTask::Look { number, id } => match images.build(arch, id).await? {
                BuildState::Underway => ImageAnswer::Nothing { arch, words: None },
                BuildState::Pushed { digest, runner } => {
                    ImageAnswer::Pushed { arch, number: *number, digest, runner }
                }
                BuildState::Failed { words, log } => {
                    ImageAnswer::Failed { arch, number: *number, words, log }
                }
            },
            ImageTask::Promote(built) => {
                images.promote(arch, built).await?;
                ImageAnswer::Promoted { arch, tag: built.tag.clone() }
            }
            ImageTask::AskNewest => {
                let newest = match images.newest_runner().await {
                    Ok(newest) => newest,
                    Err(error) => {
                        warn!(error = %chain(&error), "GitHub did not tell its newest runner");
                        None
                    }
                };
                ImageAnswer::Newest { arch, newest }
            }
        })
    }
}

fn kind(task: &ImageTask) -> &'static str {
    match task {
        ImageTask::Start(_) => "start",
        ImageTask::Look { .. } => "look",
        ImageTask::Promote(_) => "promote",
        ImageTask::AskNewest => "ask",
    }
}

/// Logs how an image has changed.
fn tell(before: Option<&Image>, image: &Image) {
    let arch = image.arch.label();
    let build_before = before.map(|before| &before.build);
    match &image.build {
        build if Some(build) == build_before => {}
        Build::Idle(idle) => {
            if let Some(failed) = &idle.failed {
                let (words, log) = (&failed.words, failed.log.as_deref());
                warn!(arch, words, log, not_before = %failed.not_before, "the build of the image failed");
            }
        }
        Build::Ordered(ordered) => {
            info!(arch, tag = ordered.tag, reason = %ordered.reason, "building the image");
        }
        Build::Underway { ordered, id } => info!(arch, tag = ordered.tag, build = id, "started the build"),
    }
    let current_before = before.and_then(|before| before.current.as_ref());
    match &image.current {
        Some(current) if current_before.is_none_or(|before| before.tag != current.tag) => {
            let runner = current.runner.map(|runner| runner.to_string());
            info!(arch, tag = current.tag, digest = current.digest, runner, "runners start from a new image");
        }
        Some(current) if current_before.is_some_and(Built::is_sound) && !current.is_sound() => {
            let (tag, refused, words) = (&current.tag, current.refused, current.words());
            warn!(arch, tag, refused, words, "runners do not start from the image");
        }
        _ => {}
    }
}
