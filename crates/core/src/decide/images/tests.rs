mod builds;

use super::*;
use crate::id::{
    ClassName, Epoch, JobId, PoolId, Repository, RunnerId, RunnerName, SubnetId, TaskId, Version,
};
use crate::records::runner::{
    Custody, Ending, EndingKind, RegistrationLeft, RunnerFacts, RunnerStage, RunnerState, Served, Task,
    TaskLeft,
};
use crate::records::timeline::Timeline;
use crate::rules::class::size::Size;
use crate::rules::class::{Catalogue, ClassEntry};
use crate::rules::cost::Market;
use crate::rules::labels::Labels;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::wire::fault::Fault;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn version(text: &str) -> RunnerVersion {
    RunnerVersion::parse(text).unwrap()
}

fn class(more: &str) -> Class {
    let entry = format!(r#"{{"small": {{"cpu": 1024, "memory": 2048{more}}}}}"#);
    let entries: std::collections::BTreeMap<String, ClassEntry> = serde_json::from_str(&entry).unwrap();
    let (catalogue, errors) = Catalogue::read(&entries);
    assert!(errors.is_empty(), "{errors:?}");
    catalogue.get(&ClassName::parse("small").unwrap()).unwrap().clone()
}

fn rules() -> ImageRules {
    ImageRules {
        built: [Arch::X64].into(),
        official: [Arch::X64].into(),
        given: [].into(),
        sources: "abc".to_owned(),
        tag: "1".to_owned(),
        pinned: None,
        is_plain: true,
    }
}

/// A deployment whose time passes.
struct Level {
    open: Open,
    rules: ImageRules,
}

impl Level {
    fn new() -> Self {
        Self { open: Open::default(), rules: rules() }
    }

    fn learn(&mut self, answers: &[ImageAnswer], now: i64) {
        for image in learn(&self.open, &self.rules, answers, at(now)) {
            self.open.add_image(image);
        }
        assert_eq!(learn(&self.open, &self.rules, &[], at(now)), [], "it settles at once");
    }

    fn image(&self) -> &Image {
        &self.open.images[&Arch::X64]
    }

    /// What is to be done, in words.
    fn tasks(&self, now: i64) -> Vec<String> {
        let tasks = tasks(&self.open, &self.rules, at(now));
        tasks
            .iter()
            .map(|(_, task)| match task {
                ImageTask::Start(ordered) => format!("start {} ({})", ordered.tag, ordered.reason),
                ImageTask::Look { number, id } => format!("look {number} {id}"),
                ImageTask::Promote(built) => format!("promote {}", built.tag),
                ImageTask::AskNewest => "ask".to_owned(),
            })
            .collect()
    }

    fn choose(&self) -> String {
        self.choose_for(&class(""))
    }

    fn choose_for(&self, class: &Class) -> String {
        match choose(class, Some(&self.rules), &self.open, true) {
            Choice::Image(image) => image.unwrap_or_else(|| "default".to_owned()),
            Choice::Wait(reason) => reason.text(),
        }
    }

    fn newest(&mut self, text: &str, released: i64, now: i64) {
        let newest = Some(Newest { version: version(text), released_at: at(released) });
        self.learn(&[ImageAnswer::Newest { arch: Arch::X64, newest }], now);
    }

    /// Builds what is ordered, from its start to its push.
    fn build(&mut self, now: i64) {
        let number = self.image().builds;
        self.learn(&[ImageAnswer::Started { arch: Arch::X64, number, id: format!("b{number}") }], now);
        assert_eq!(self.tasks(now).iter().filter(|task| task.starts_with("look")).count(), 1);
        let digest = format!("sha256:{number}");
        self.learn(&[ImageAnswer::Pushed { arch: Arch::X64, number, digest, runner: None }], now);
    }

    fn fail_build(&mut self, now: i64) {
        let (number, words) = (self.image().builds, "no space left".to_owned());
        self.learn(&[ImageAnswer::Failed { arch: Arch::X64, number, words, log: None }], now);
    }

    /// A runner that was launched from an image then, and executes a job or has failed.
    fn runner(&mut self, number: u32, image: Option<&str>, subnet: &str, began: i64, fault: Option<Fault>) {
        self.open.add_runner(runner(number, image, subnet, began, fault));
    }

    fn promote(&mut self, now: i64) {
        let tag = self.image().next.as_ref().unwrap().tag.clone();
        assert!(self.tasks(now).contains(&format!("promote {tag}")));
        self.learn(&[ImageAnswer::Promoted { arch: Arch::X64, tag }], now);
        self.open.runners = Default::default();
    }

    /// With an image of this runner that has booted.
    fn with_current(runner: &str) -> Self {
        let mut level = Self::new();
        level.newest(runner, -DAY, 0);
        level.build(1);
        level.runner(1, Some(NEXT), "subnet-aaaa1111", 2, None);
        level.learn(&[], 10);
        level.promote(11);
        level
    }
}

fn runner(number: u32, image: Option<&str>, subnet: &str, began: i64, fault: Option<Fault>) -> Runner {
    let name = format!("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g{number:04}");
    let repository = Repository::parse("acme/app").unwrap();
    let id = TaskId::parse("task").unwrap();
    let (registration, custody) = (RunnerId::new(1), Custody::Taken(RunnerId::new(1)));
    let mut timeline = Timeline::begin(RunnerStage::Starting, at(began));
    timeline.push(RunnerStage::Booted, at(began + 1));
    let (stage, state) = match fault {
        None => {
            let task = Task { id, heard: 1 };
            (RunnerStage::Busy, RunnerState::Busy { task, registration, job: None })
        }
        Some(fault) => {
            let ending = Ending {
                kind: EndingKind::BootFailed,
                note: Some(Reason::with(Code::BootFailed, "in its words")),
                fault: Some(fault),
                served: Served::Nothing,
                task: TaskLeft::Stopped { task: Some(id), at: at(began + 2) },
                custody,
                registration: RegistrationLeft::Unproved,
            };
            (RunnerStage::Ending, RunnerState::Ending(ending))
        }
    };
    timeline.push(stage, at(began + 2));
    Runner {
        facts: RunnerFacts {
            name: RunnerName::parse(&name).unwrap(),
            class: ClassName::parse("small").unwrap(),
            size: Size::new(1024, 2048, None, Arch::X64).unwrap(),
            pool: PoolId::parse("abcdefg234").unwrap(),
            scope: Scope::Repository(repository.clone()),
            labels: Labels::new(["self-hosted"]),
            repository,
            launched_for: JobId::new(1),
            max_job_minutes: 60,
            wait_limits: None,
            image: image.map(str::to_owned),
            exec: false,
            fails: false,
            warm: None,
        },
        version: Version::FIRST,
        epoch: Epoch::new(1),
        timeline,
        surplus_since: None,
        placement: Placement::fargate(Market::OnDemand, Some(SubnetId::parse(subnet).unwrap())),
        instance: None,
        probe: false,
        retry: None,
        asked_at: None,
        times: Box::default(),
        state,
    }
}

#[test]
fn githubs_own_image_serves_until_the_first_build_has_served_a_job() {
    let mut level = Level::new();
    assert_eq!(level.choose(), "official");
    level.learn(&[], 0);
    assert_eq!(level.tasks(0), ["ask"], "the version is asked for first");
    level.newest("2.337.0", -DAY, 1);
    assert_eq!(level.tasks(1), ["start 1-abc-2.337.0-1 (missing)"]);
    assert_eq!(level.choose(), "official");
    level.build(5 * MINUTE);
    assert_eq!(level.choose(), NEXT, "one runner tries it");
    assert_eq!(level.tasks(5 * MINUTE), [""; 0], "it is not named before");
    let starting = Runner {
        state: RunnerState::Starting {
            task: Task { id: TaskId::parse("task").unwrap(), heard: 0 },
            custody: Custody::Unissued,
        },
        ..runner(1, Some(NEXT), "subnet-aaaa1111", 6 * MINUTE, None)
    };
    level.open.add_runner(starting);
    assert_eq!(level.choose(), "official", "others do not wait for it");
    level.runner(1, Some(NEXT), "subnet-aaaa1111", 6 * MINUTE, None);
    level.learn(&[], 7 * MINUTE);
    assert_eq!(level.choose(), "official");
    level.promote(7 * MINUTE);
    assert_eq!(level.choose(), "default");
    assert_eq!(level.tasks(8 * MINUTE), [""; 0]);
}

#[test]
fn an_image_with_something_of_the_operators_own_is_waited_for_with_a_reason() {
    let mut level = Level::new();
    level.rules.is_plain = false;
    let first = "the runners' image cannot be used: the first build has not started a runner yet";
    assert_eq!(level.choose(), first);
    level.newest("2.337.0", -DAY, 0);
    assert_eq!(level.choose(), format!("{first}; a build is in progress"));
    level.fail_build(1);
    assert_eq!(level.choose(), format!("{first}; the last build failed: no space left"));
    assert_eq!(level.choose_for(&class(r#", "image_fallback": true"#)), "official");
    let docker = Class { docker: true, ..class(r#", "image_fallback": true"#) };
    let docker = level.choose_for(&docker);
    assert!(docker.starts_with(first), "GitHub's image has no Docker engine: {docker}");
    assert_eq!(level.choose_for(&class(r#", "image": "android""#)), "android", "it has an image of its own");
}

#[test]
fn an_image_from_which_runners_do_not_start_gives_way_to_githubs_own_and_is_built_again() {
    let mut level = Level::with_current("2.337.0");
    level.runner(2, None, "subnet-aaaa1111", 100, Some(Fault::ImagePull));
    level.runner(3, None, "subnet-aaaa1111", 110, Some(Fault::ImagePull));
    level.runner(4, None, "subnet-aaaa1111", 120, Some(Fault::ImagePull));
    level.learn(&[], 130);
    assert_eq!(level.choose(), "default", "it may be the subnet");
    let tries = |image: Option<&str>| Runner {
        state: RunnerState::Reserved { attempt: 1 },
        ..runner(9, image, "subnet-bbbb2222", 131, None)
    };
    level.open.add_runner(tries(None));
    assert_eq!(level.choose(), "official", "one runner shows it");
    level.open.runners.remove(tries(None).name());
    level.runner(5, None, "subnet-bbbb2222", 140, Some(Fault::ImagePull));
    level.learn(&[], 150);
    assert_eq!(level.choose(), "official");
    assert_eq!(level.tasks(150), ["start 1-abc-2.337.0-2 (failing)"]);
    level.open.runners = Default::default();
    level.build(200);
    level.runner(6, Some(NEXT), "subnet-bbbb2222", 210, None);
    level.learn(&[], 220);
    level.promote(221);
    assert_eq!(level.choose(), "default");
}

#[test]
fn one_runner_that_starts_shows_that_the_image_is_sound() {
    let mut level = Level::with_current("2.337.0");
    for (number, subnet) in [(2, "subnet-aaaa1111"), (3, "subnet-bbbb2222")] {
        level.runner(number, None, subnet, 100, Some(Fault::ImagePull));
    }
    level.runner(4, None, "subnet-aaaa1111", 110, None);
    level.runner(5, None, "subnet-aaaa1111", 120, Some(Fault::ImagePull));
    level.learn(&[], 130);
    assert_eq!(
        (level.choose().as_str(), level.image().current.as_ref().unwrap().failed.len()),
        ("default", 1)
    );
    level.learn(&[], 131);
    assert_eq!(level.image().current.as_ref().unwrap().failed.len(), 1, "a runner is learnt from once");
    // Faults that are not the image's say nothing about it.
    for number in 6..10 {
        level.runner(number, None, "subnet-bbbb2222", 140, Some(Fault::NotConnected));
    }
    level.learn(&[], 150);
    assert_eq!(level.choose(), "default");
}

#[test]
fn a_new_build_from_which_no_runner_starts_is_dropped_and_the_current_one_stays() {
    let mut level = Level::with_current("2.337.0");
    level.rules.sources = "def".to_owned();
    level.learn(&[], 100);
    level.build(110);
    for (number, subnet) in [(2, "subnet-aaaa1111"), (3, "subnet-bbbb2222"), (4, "subnet-aaaa1111")] {
        let began = 120 + i64::from(number);
        level.runner(number, Some(NEXT), subnet, began, Some(Fault::ContainerStart));
        level.learn(&[], began + 5);
    }
    assert_eq!((level.choose().as_str(), &level.image().next), ("default", &None));
    let Build::Idle(Idle { failed: Some(failed) }) = &level.image().build else {
        panic!("{:?}", level.image())
    };
    assert_eq!(failed.words, "no runner started from `1-def-2.337.0-2`: in its words");
    assert_eq!(failed.not_before, at(129) + PAUSES[0]);
}

#[test]
fn a_refused_session_means_the_runners_age_only_after_githubs_limit() {
    let mut level = Level::with_current("2.337.0");
    // Nothing is built meanwhile.
    level.rules.pinned = Some(version("2.337.0"));
    let refused = |level: &Level| level.image().current.as_ref().unwrap().refused;
    level.runner(2, None, "subnet-aaaa1111", 100, Some(Fault::SessionRefused));
    level.learn(&[], 110);
    assert!(!refused(&level), "no newer runner is known");
    level.newest("2.338.0", 2 * HOUR, 3 * HOUR);
    let limit = 2 * HOUR + 30 * DAY;
    level.runner(3, None, "subnet-aaaa1111", limit - HOUR, Some(Fault::SessionRefused));
    level.learn(&[], limit - HOUR + 10);
    assert!(!refused(&level), "GitHub has other reasons");
    assert_eq!(level.choose(), "default");
    assert!(level.image().current.as_ref().unwrap().failed.is_empty(), "nothing is learnt from it");
    level.runner(4, None, "subnet-aaaa1111", limit + HOUR, Some(Fault::SessionRefused));
    level.learn(&[], limit + HOUR + 10);
    assert!(refused(&level));
    assert_eq!(level.choose(), "official");
}

#[test]
fn a_runners_version_is_that_of_its_image_while_the_image_is_there() {
    let mut level = Level::with_current("2.337.0");
    let told = |level: &Level, image: Option<&str>, began: i64| {
        level.image().runner_in(image, at(began)).map(|version| version.to_string())
    };
    assert_eq!(told(&level, None, 100).as_deref(), Some("2.337.0"));
    assert_eq!(told(&level, Some(NEXT), 2).as_deref(), Some("2.337.0"), "it became the current one");
    assert_eq!(told(&level, None, 0), None, "it is older than the image");
    assert_eq!(told(&level, Some(OFFICIAL), 100), None);
    level.newest("2.338.0", -2 * DAY, 200);
    level.build(300);
    assert_eq!(told(&level, Some(NEXT), 310).as_deref(), Some("2.338.0"));
    assert_eq!(told(&level, None, 310).as_deref(), Some("2.337.0"));
}

#[test]
fn where_nothing_is_built_the_given_image_is_used_or_githubs_own() {
    let mut level = Level::new();
    level.rules.built.clear();
    assert_eq!(level.choose(), "official");
    level.rules.given = [Arch::X64].into();
    assert_eq!(level.choose(), "default");
    assert_eq!(learn(&level.open, &level.rules, &[], at(0)), []);
    assert_eq!(choose(&class(""), None, &level.open, true), Choice::Image(None), "on one machine");
}

#[test]
fn in_a_single_placement_an_image_that_fails_for_ten_minutes_gives_way_too() {
    let mut level = Level::with_current("2.337.0");
    for number in 2..12 {
        level.runner(number, None, "subnet-aaaa1111", 100, Some(Fault::ImagePull));
    }
    level.learn(&[], 130);
    assert_eq!(level.choose(), "default", "a burst fails for one cause");
    level.runner(12, None, "subnet-aaaa1111", 10 * MINUTE + 100, Some(Fault::ImagePull));
    level.learn(&[], 10 * MINUTE + 110);
    assert_eq!(level.choose(), "official");
}

#[test]
fn a_record_of_a_newer_release_is_left_as_it_is() {
    let mut level = Level::new();
    level.open.unreadable_images = 1;
    assert_eq!(learn(&level.open, &level.rules, &[], at(0)), []);
    assert_eq!(level.choose(), "default");
}

#[test]
fn a_class_may_name_the_default_image() {
    let level = Level::with_current("2.337.0");
    assert_eq!(
        choose(&class(r#", "image": "default""#), Some(&level.rules), &level.open, true),
        Choice::Image(None)
    );
}
