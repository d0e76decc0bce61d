//! Tests that a runner that tries an image is not forgotten before a round has learnt from it.

use super::*;
use crate::decide::images::learn;
use crate::records::image::{Built, FailedStart, Image};
use crate::rules::class::size::Arch;
use crate::rules::image::{ImageRules, NEXT};
use crate::testing::{built_image, image};

fn rules() -> ImageRules {
    ImageRules {
        built: [Arch::X64].into(),
        sources: "abc".to_owned(),
        tag: "1".to_owned(),
        ..ImageRules::default()
    }
}

fn built(tag: &str, sound_at: Option<Timestamp>) -> Built {
    built_image(tag, at(0), sound_at)
}

/// Has job 7 executed to its end, with no round meanwhile. Returns its runner as it was launched, and what of it is open.
fn lived(image: &Image) -> (Runner, Open) {
    let mut book = Book::default();
    book.tell(&queued(7));
    let mut open = book.open();
    open.add_image(image.clone());
    let (settings, catalogue, images) = (settings(), catalogue(), rules());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let means = Means { images: Some(&images), ..Means::default() };
    let launch = plan(&open, rules, means, at(15)).launches.remove(0);
    let reserved = launch.order.reserve(RunnerName::parse(RUNNER).unwrap(), Epoch::new(1), at(15));
    let started = reserved.task_started(TaskId::parse("task1").unwrap(), at(20)).unwrap();
    let (handed_over, _) = started.handed_over(RunnerId::new(900), at(30)).unwrap();
    book.runners.insert(handed_over.name().clone(), handed_over);
    book.tell(&task(1, TaskChange::Running));
    book.tell(&in_progress(7));
    book.tell(&completed(7));
    assert!(book.tell(&stopped(AgentExit::Completed)).replan);
    let mut open = book.open();
    open.add_image(image.clone());
    (reserved, open)
}

#[test]
fn a_new_image_is_named_after_a_job_of_any_length() {
    let (runner, open) = lived(&image(built("old", Some(at(0))), Some(built("new", None))));
    assert_eq!(runner.facts.image.as_deref(), Some(NEXT));
    let learnt = learn(&open, &rules(), &[], at(1000));
    assert!(learnt[0].next.as_ref().is_some_and(Built::has_started), "{learnt:?}");
}

#[test]
fn a_suspected_image_is_sound_after_a_job_of_any_length() {
    let (runner, _) = lived(&image(built("old", Some(at(0))), None));
    let failed = FailedStart {
        runner: RunnerName::parse("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5faw").unwrap(),
        placement: runner.placement.clone(),
        words: "it did not start".to_owned(),
        at: at(5),
    };
    let suspected = Built { failed: vec![failed; 3], ..built("old", Some(at(0))) };
    let (runner, open) = lived(&image(suspected, None));
    assert_eq!(runner.facts.image, None);
    let learnt = learn(&open, &rules(), &[], at(1000));
    assert!(learnt[0].current.as_ref().is_some_and(|current| current.failed.is_empty()), "{learnt:?}");
}

#[test]
fn the_runner_of_an_image_that_works_is_history_at_once() {
    let (_, open) = lived(&image(built("old", Some(at(0))), None));
    assert!(open.runners.is_empty());
}
