//! Tests of jobs for which there are warm tasks and an image to try.

use super::*;
use crate::records::image::Built;
use crate::rules::image::ImageRules;
use crate::testing::{built_image, image};

fn built(tag: &str, sound_at: Option<Timestamp>) -> Built {
    built_image(tag, at(0), sound_at)
}

fn rules_of_images() -> ImageRules {
    ImageRules { built: [Arch::X64].into(), ..ImageRules::default() }
}

/// A day with job 7 and a warm task from the image in use.
fn with_warm() -> Day {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.open.add_image(image(built("old", Some(at(0))), None));
    let images = rules_of_images();
    let means = Means { images: Some(&images), ..Means::default() };
    let rules = Rules { settings: &day.settings, catalogue: &day.catalogue };
    let order = plan(&day.open, rules, means, at(0)).warm_launches.remove(0);
    let name = WarmName::parse("ecsr-test-warm-01arz3ndektsv4rrffq69g0001").unwrap();
    day.open.add_warm(order.reserve(name, Epoch::new(1), at(0)));
    day.boot(1, 15);
    day.queue(7, "small", 20);
    day
}

/// The warm tasks that jobs take over; `None` for a job with a task of its own.
fn taken(day: &Day) -> Vec<Option<WarmName>> {
    let images = rules_of_images();
    let means = Means { images: Some(&images), ..Means::default() };
    let rules = Rules { settings: &day.settings, catalogue: &day.catalogue };
    let plan = plan(&day.open, rules, means, at(21));
    assert_eq!(plan.warm_retirements, [], "none is ended");
    plan.launches.into_iter().map(|launch| launch.warm).collect()
}

#[test]
fn a_job_whose_runner_is_to_try_an_image_takes_no_warm_task() {
    let mut day = with_warm();
    let warm = Some(day.warm(1).name().clone());
    assert_eq!(taken(&day), std::slice::from_ref(&warm));
    day.open.add_image(image(built("old", Some(at(0))), Some(built("new", None))));
    assert_eq!(taken(&day), [None]);
    day.queue(8, "small", 20);
    assert_eq!(taken(&day), [None, warm], "one runner tries it");
}

#[test]
fn a_task_of_an_image_that_its_tag_no_longer_names_is_taken_by_no_job() {
    let mut day = with_warm();
    day.open.add_image(image(built("other", Some(at(0))), None));
    let images = rules_of_images();
    let means = Means { images: Some(&images), ..Means::default() };
    let rules = Rules { settings: &day.settings, catalogue: &day.catalogue };
    assert_eq!(plan(&day.open, rules, means, at(21)).launches.remove(0).warm, None);
}

#[test]
fn no_job_waits_beside_a_warm_task_because_an_image_cannot_be_tried_now() {
    let mut day = with_warm();
    let warm = Some(day.warm(1).name().clone());
    day.open.add_image(image(built("old", Some(at(0))), Some(built("new", None))));
    day.settings.limits.max_runners = 1;
    assert_eq!(taken(&day), std::slice::from_ref(&warm), "there is no slot");
    day.settings.limits.max_runners = 20;
    let held = Held::placement(Placement::fargate(Market::OnDemand, None), Arch::X64);
    let failure = Failure::of(Fault::NoCapacity, "Capacity is unavailable", at(19), at(19));
    day.open.add_hold(Hold::after(None, held, &failure));
    assert_eq!(taken(&day), [warm], "there is no capacity");
}
