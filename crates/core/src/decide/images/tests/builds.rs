//! When an image is built, and what happens to a build that fails.

use super::*;

#[test]
fn a_failed_build_is_tried_again_after_pauses_that_grow_and_at_once_if_something_changes() {
    let mut level = Level::new();
    level.newest("2.337.0", -DAY, 0);
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..5 {
        level.fail_build(now);
        let failed = now;
        while level.image().builds == u32::try_from(pauses.len()).unwrap() + 1 {
            now += MINUTE;
            level.learn(&[], now);
        }
        pauses.push((now - failed) / MINUTE);
    }
    assert_eq!(pauses, [5, 20, 60, 360, 360]);
    level.fail_build(now);
    level.rules.sources = "def".to_owned();
    level.learn(&[], now + 1);
    assert_eq!(level.tasks(now + 1)[0], "start 1-def-2.337.0-7 (missing)");
    // One that never ends is given up.
    level.learn(&[], now + 3 * HOUR);
    assert!(
        matches!(&level.image().build, Build::Idle(Idle { failed: Some(failed) }) if failed.words.contains("two hours"))
    );
}

#[test]
fn a_newer_runner_is_built_after_a_day_and_a_refused_one_is_replaced_at_once() {
    let mut level = Level::with_current("2.337.0");
    level.newest("2.338.0", 2 * HOUR, 3 * HOUR);
    assert_eq!(level.tasks(3 * HOUR), [""; 0], "it may be withdrawn on its first day");
    let left = days_left(level.image().current.as_ref().unwrap(), at(2 * HOUR + 29 * DAY));
    assert_eq!(left, Some(1.0));
    level.runner(2, None, "subnet-aaaa1111", 4 * HOUR, Some(Fault::ImageTooOld));
    level.learn(&[], 4 * HOUR + 5);
    assert_eq!(level.choose(), "official");
    assert_eq!(level.tasks(4 * HOUR + 5)[0], "start 1-abc-2.338.0-2 (refused)");

    let mut level = Level::with_current("2.337.0");
    level.newest("2.338.0", 2 * HOUR, 3 * HOUR);
    level.learn(&[], 2 * HOUR + DAY);
    assert_eq!(level.tasks(2 * HOUR + DAY), ["start 1-abc-2.338.0-2 (outdated)", "ask"]);
    // No answer is no reason to build.
    let mut level = Level::with_current("2.337.0");
    level.learn(&[ImageAnswer::Newest { arch: Arch::X64, newest: None }], 40 * DAY);
    assert_eq!(level.tasks(40 * DAY), [""; 0]);
}

#[test]
fn a_chosen_version_is_built_also_if_it_is_older_and_then_kept() {
    let mut level = Level::with_current("2.338.0");
    level.rules.pinned = Some(version("2.337.0"));
    level.learn(&[], 100);
    assert_eq!(level.tasks(100), ["start 1-abc-2.337.0-2 (version_chosen)"]);
    level.build(110);
    level.runner(2, Some(NEXT), "subnet-aaaa1111", 120, None);
    level.learn(&[], 130);
    level.promote(131);
    assert_eq!(level.tasks(40 * DAY), ["ask"], "it ages too");
    level.newest("2.339.0", 20 * DAY, 40 * DAY);
    assert_eq!(level.tasks(40 * DAY), [""; 0]);
    assert_eq!(days_left(level.image().current.as_ref().unwrap(), at(40 * DAY)), Some(10.0));
}

#[test]
fn answers_about_builds_before_change_nothing() {
    let mut level = Level::with_current("2.337.0");
    level.rules.sources = "def".to_owned();
    level.learn(&[], 100);
    let before = level.image().clone();
    level.fail_build(101);
    assert_ne!(level.image(), &before);
    let idle = level.image().clone();
    level.learn(&[ImageAnswer::Started { arch: Arch::X64, number: 2, id: "late".to_owned() }], 102);
    level.learn(
        &[ImageAnswer::Pushed { arch: Arch::X64, number: 1, digest: "d".to_owned(), runner: None }],
        103,
    );
    level.learn(&[ImageAnswer::Promoted { arch: Arch::X64, tag: "other".to_owned() }], 104);
    assert_eq!(level.image(), &idle);
}

#[test]
fn builds_that_start_no_runner_are_made_after_pauses_that_grow() {
    let mut level = Level::with_current("2.337.0");
    level.rules.sources = "def".to_owned();
    let (mut now, mut number, mut pauses) = (100, 2, Vec::new());
    for _ in 0..3 {
        level.learn(&[], now);
        level.build(now + 1);
        for subnet in ["subnet-aaaa1111", "subnet-bbbb2222", "subnet-aaaa1111"] {
            level.runner(number, Some(NEXT), subnet, now + 2, Some(Fault::ContainerStart));
            number += 1;
        }
        level.learn(&[], now + 10);
        let Build::Idle(Idle { failed: Some(failed) }) = &level.image().build else {
            panic!("{:?}", level.image())
        };
        pauses.push(failed.not_before.duration_since(failed.at));
        now = failed.not_before.as_second() - at(0).as_second();
        level.open.runners = Default::default();
    }
    assert_eq!(pauses, PAUSES[..3]);
}

#[test]
fn nothing_is_tried_while_a_build_may_move_its_tag() {
    let mut level = Level::with_current("2.337.0");
    level.rules.sources = "def".to_owned();
    level.learn(&[], 100);
    level.build(110);
    assert_eq!(level.choose(), NEXT);
    level.rules.sources = "ghi".to_owned();
    level.learn(&[], 120);
    assert_eq!(level.choose(), "default");
}

#[test]
fn a_task_that_fails_is_kept_with_its_words_until_one_succeeds() {
    let mut level = Level::new();
    level.newest("2.337.0", -DAY, 0);
    let words = Some("codebuild:StartBuild: AccessDenied".to_owned());
    level.learn(&[ImageAnswer::Nothing { arch: Arch::X64, words: words.clone() }], 1);
    assert_eq!(level.image().tried.as_ref().unwrap().words, words);
    assert_eq!((level.tasks(2), level.tasks(60).len()), (vec![], 1), "it is not tried again at once");
    level.build(61);
    assert_eq!(level.image().tried, None);
}

#[test]
fn without_an_answer_from_github_the_first_build_takes_the_newest_by_name() {
    let mut level = Level::new();
    level.learn(&[ImageAnswer::Newest { arch: Arch::X64, newest: None }], 0);
    assert_eq!(level.tasks(1), ["start 1-abc-latest-1 (missing)"]);
}

#[test]
fn after_the_clock_was_set_back_a_failed_builds_pause_begins_again_and_github_is_asked_at_once() {
    let mut level = Level::new();
    level.newest("2.337.0", -DAY, 0);
    level.fail_build(0);
    assert_eq!(level.tasks(MINUTE), [""; 0]);
    let now = -2 * HOUR;
    level.learn(&[], now);
    assert_eq!(level.tasks(now), ["ask"]);
    level.newest("2.337.0", -DAY, now);
    level.learn(&[], now + 4 * MINUTE);
    assert_eq!(level.image().builds, 1, "five minutes, as after each first failure");
    level.learn(&[], now + 5 * MINUTE);
    assert_eq!(level.image().builds, 2);
    // A task without a result is tried again.
    level.learn(&[ImageAnswer::Nothing { arch: Arch::X64, words: None }], now + 5 * MINUTE);
    assert_eq!(level.tasks(now + 5 * MINUTE), [""; 0]);
    assert_eq!(level.tasks(now - HOUR), ["start 1-abc-2.337.0-2 (missing)", "ask"]);
}
