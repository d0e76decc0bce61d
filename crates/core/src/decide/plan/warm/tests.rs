//! Tests of the level of warm tasks, which are written as sentences.

use std::collections::BTreeMap;

use super::super::{Means, plan};
use super::*;
use crate::decide::learn::learn;
use crate::decide::record::record;
use crate::id::{RunnerName, TaskId, TaskName};
use crate::records::change::{Change, Records};
use crate::records::hold::{Failure, Hold};
use crate::records::job::{Assignment, Job, JobStage, JobState};
use crate::records::runner::{Custody, RunnerState};
use crate::rules::class::{Catalogue, ClassEntry};
use crate::rules::labels::Labels;
use crate::rules::pool::{Pool, Scope};
use crate::rules::settings::Settings;
use crate::testing::{job_facts, settings};
use crate::wire::event::{Event, StopCause, TaskChange, TaskEvent};
use crate::wire::exit::AgentExit;

const HOUR: i64 = 3600;

fn at(secs: i64) -> Timestamp {
    // A Monday, 08:00 UTC.
    Timestamp::from_second(1_764_576_000 + secs).unwrap()
}

fn catalogue(warm: &str) -> Catalogue {
    let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(&format!(
        r#"{{"small": {{"cpu": 512, "memory": 1024, "default": true, "warm": {warm}}},
             "large": {{"cpu": 4096, "memory": 8192}}}}"#
    ))
    .unwrap();
    let (catalogue, mistakes) = Catalogue::read(&entries);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    catalogue
}

/// What is open, and the rules by which it is planned.
struct Day {
    open: Open,
    settings: Settings,
    catalogue: Catalogue,
    named: u64,
}

impl Day {
    fn new(warm: &str) -> Self {
        let mut settings = settings();
        settings.limits.max_warm = 10;
        Self { open: Open::default(), settings, catalogue: catalogue(warm), named: 0 }
    }

    /// Plans, writes what is planned, and says what that is.
    fn plan(&mut self, now: i64) -> String {
        let rules = Rules { settings: &self.settings, catalogue: &self.catalogue };
        for change in learn(&self.open, at(now)) {
            self.open.apply(&change);
        }
        let plan = plan(&self.open, rules, Means::default(), at(now));
        let mut told = Vec::new();
        for launch in &plan.launches {
            self.named += 1;
            let ulid = format!("01arz3ndektsv4rrffq69g{:04}", self.named);
            let name = format!("ecsr-test-{}-{ulid}", launch.order.pool());
            let name = RunnerName::parse(&name).unwrap();
            match &launch.warm {
                None => {
                    told.push(format!("launch for {}", launch.job));
                    self.open.add_runner(launch.order.reserve(name, Epoch::new(1), at(now)));
                }
                Some(warm) => {
                    told.push(format!("{} takes over {}", launch.job, short(warm)));
                    let warm = &self.open.warm[warm];
                    let (runner, used) = launch.order.take_over(name, warm, Epoch::new(1), at(now)).unwrap();
                    self.open.add_runner(runner);
                    self.open.add_warm(used);
                }
            }
        }
        for order in &plan.warm_launches {
            self.named += 1;
            let name = format!("ecsr-test-warm-01arz3ndektsv4rrffq69g{:04}", self.named);
            let name = WarmName::parse(&name).unwrap();
            told.push(format!("warm up {} for {}", short(&name), order.class()));
            self.open.add_warm(order.reserve(name, Epoch::new(1), at(now)));
        }
        for retired in &plan.warm_retirements {
            told.push(format!("end {} ({})", short(&retired.name), retired.kind));
            let warm = &self.open.warm[&retired.name];
            let ended = warm.end(retired.kind, retired.words.clone(), at(now)).unwrap();
            self.open.add_warm(ended);
        }
        told.extend(plan.waits.iter().map(|wait| format!("{} waits: {}", wait.job, wait.reason.code())));
        told.join("; ")
    }

    fn start(&mut self, number: u64, now: i64) {
        let task = TaskId::parse(&format!("task{number}")).unwrap();
        let started = self.warm(number).task_started(task, at(now)).unwrap();
        self.open.add_warm(started);
    }

    fn boot(&mut self, number: u64, now: i64) {
        self.start(number, now);
        self.tell(number, TaskChange::Running, 1, now);
    }

    fn stop(&mut self, number: u64, cause: StopCause, now: i64) {
        self.tell(number, TaskChange::Stopped(cause), 2, now);
    }

    /// Records an event of its task.
    fn tell(&mut self, number: u64, change: TaskChange, version: u64, now: i64) {
        let name = TaskName::Warm(self.warm(number).name().clone());
        let task = TaskId::parse(&format!("task{number}")).unwrap();
        let event = Event::Task(TaskEvent { name, task, version, change, at: at(now) });
        let records = Records { warm: Some(self.warm(number).clone()), ..Records::default() };
        let rules = Rules { settings: &self.settings, catalogue: &self.catalogue };
        for change in record(&event, &records, rules).changes {
            self.open.apply(&change);
        }
    }

    /// Removes an ended task, as the next effect does.
    fn forget(&mut self, number: u64, now: i64) {
        let gone = self.warm(number).gone(at(now)).unwrap();
        self.open.apply(&Change::WarmGone(Box::new(gone)));
    }

    fn warm(&self, number: u64) -> &WarmTask {
        self.open.warm.values().find(|warm| short(warm.name()) == number.to_string()).unwrap()
    }

    fn queue(&mut self, id: u64, class: &str, now: i64) {
        let facts = job_facts(id, "acme/app", &["self-hosted", &format!("class:{class}")]);
        let scope = self.settings.registration.scope(&facts.repository);
        let pool = Pool { scope, labels: facts.labels.clone() }.id();
        self.open.add_job(Job {
            version: Version::FIRST,
            created_at: at(now),
            asked_at: None,
            failing: None,
            timeline: Timeline::begin(JobStage::Queued, at(now)),
            state: JobState::Queued {
                assignment: Assignment { class: ClassName::parse(class).unwrap(), pool },
                wait: Code::ToPlan.into(),
            },
            facts,
        });
    }
}

fn short(name: &WarmName) -> String {
    name.as_str()[name.as_str().len() - 4..].trim_start_matches('0').to_owned()
}

#[test]
fn a_class_keeps_as_many_as_it_asks_for_and_no_more() {
    let mut day = Day::new(r#"{"count": 2}"#);
    assert_eq!(day.plan(0), "warm up 1 for small; warm up 2 for small");
    assert_eq!(day.plan(1), "");
    day.boot(1, 20);
    assert_eq!(day.plan(21), "");
    day.catalogue = catalogue(r#"{"count": 1}"#);
    assert_eq!(day.plan(22), "end 2 (surplus)", "the least is lost with the one that has not booted");
    day.settings.paused = true;
    assert_eq!(day.plan(23), "end 1 (surplus)");
}

#[test]
fn nothing_is_kept_warm_outside_the_schedule_or_without_being_asked_for() {
    let mut day = Day::new(r#"{"count": 1, "schedule": ["Mon-Fri 08:00-09:00 UTC"]}"#);
    assert_eq!(day.plan(-1), "");
    assert_eq!(day.plan(0), "warm up 1 for small");
    day.boot(1, 20);
    assert_eq!(day.plan(HOUR - 1), "");
    assert_eq!(day.plan(HOUR), "end 1 (surplus)");
    let mut day = Day::new(r#"{"count": 1}"#);
    day.settings.limits.max_warm = 0;
    assert_eq!(day.plan(0), "");
}

#[test]
fn the_plan_changes_by_time_when_the_schedule_does() {
    let day = Day::new(r#"{"count": 1, "schedule": ["Mon-Fri 08:00-09:00 UTC"]}"#);
    let rules = Rules { settings: &day.settings, catalogue: &day.catalogue };
    assert_eq!(plan(&day.open, rules, Means::default(), at(-60)).next_at, Some(at(0)));
    assert_eq!(plan(&day.open, rules, Means::default(), at(5)).next_at, Some(at(HOUR)));
}

#[test]
fn a_job_takes_the_best_one_over_and_that_is_replaced() {
    let mut day = Day::new(r#"{"count": 2}"#);
    day.plan(0);
    day.start(1, 1);
    day.boot(2, 15);
    day.queue(7, "small", 20);
    assert_eq!(day.plan(20), "7 takes over 2; warm up 4 for small");
    let runner = day.open.runners.values().next().unwrap();
    assert!(
        matches!(&runner.state, RunnerState::Booted { task, custody: Custody::Unissued } if task.id.as_str() == "task2")
    );
    assert_eq!(runner.facts.warm.as_ref(), Some(day.warm(2).name()));
    day.queue(8, "small", 21);
    assert_eq!(day.plan(21), "8 takes over 1; warm up 6 for small; 7 waits: runner_starting");
    let runner = day.open.runners.values().last().unwrap();
    assert!(matches!(&runner.state, RunnerState::Starting { task, .. } if task.id.as_str() == "task1"));
    day.queue(9, "small", 22);
    assert_eq!(
        day.plan(22),
        "launch for 9; 7 waits: runner_starting; 8 waits: runner_starting",
        "those that are only reserved have no task to give"
    );
}

#[test]
fn jobs_of_another_class_launch_as_ever() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    day.queue(7, "large", 20);
    assert_eq!(day.plan(20), "launch for 7");
}

#[test]
fn a_task_is_renewed_before_it_ages_and_ends_when_it_does() {
    let mut day = Day::new(r#"{"count": 1, "max_age_hours": 2}"#);
    day.plan(0);
    day.boot(1, 15);
    assert_eq!(day.plan(2 * HOUR - 301), "");
    assert_eq!(day.plan(2 * HOUR - 299), "warm up 2 for small");
    day.boot(2, 2 * HOUR - 280);
    assert_eq!(day.plan(2 * HOUR - 1), "");
    assert_eq!(day.plan(2 * HOUR), "end 1 (aged)");
    day.queue(7, "small", 2 * HOUR);
    assert_eq!(day.plan(2 * HOUR + 1), "7 takes over 2; warm up 4 for small");
}

#[test]
fn a_changed_class_has_its_tasks_replaced() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    day.settings.limits.max_job_minutes += 1;
    assert_eq!(day.plan(20), "warm up 2 for small; end 1 (outdated)");
    day.boot(2, 30);
    day.queue(7, "small", 40);
    day.settings.limits.idle_limit_secs += 60;
    assert_eq!(
        day.plan(40),
        "launch for 7; warm up 4 for small; end 2 (outdated)",
        "a job never gets an old one"
    );
}

#[test]
fn warm_tasks_take_slots_and_give_them_up_for_jobs() {
    let mut day = Day::new(r#"{"count": 3}"#);
    day.settings.limits.max_runners = 2;
    assert_eq!(day.plan(0), "warm up 1 for small; warm up 2 for small");
    day.boot(1, 15);
    day.boot(2, 16);
    day.queue(7, "large", 20);
    assert_eq!(day.plan(20), "end 2 (yielded); 7 waits: limit_deployment", "the youngest goes");
    assert_eq!(
        day.plan(21),
        "7 waits: limit_deployment",
        "one for each job, and nothing is warmed up meanwhile"
    );
    day.stop(2, StopCause::Agent(AgentExit::Interrupted), 30);
    assert_eq!(day.plan(30), "launch for 7");
    assert_eq!(day.plan(31), "7 waits: runner_starting", "the slot is the job's");
}

#[test]
fn max_warm_bounds_all_classes_together() {
    let mut day = Day::new(r#"{"count": 3}"#);
    day.settings.limits.max_warm = 2;
    assert_eq!(day.plan(0), "warm up 1 for small; warm up 2 for small");
    day.boot(1, 15);
    day.settings.limits.max_warm = 1;
    assert_eq!(day.plan(20), "end 2 (surplus)");
}

#[test]
fn while_warm_tasks_fail_they_are_tried_one_at_a_time_and_later_each_time() {
    let mut day = Day::new(r#"{"count": 2}"#);
    day.plan(0);
    day.start(1, 1);
    day.start(2, 1);
    let cause = || StopCause::FailedToStart("CannotPullContainerError: no such image".into());
    day.stop(1, cause(), 10);
    day.stop(2, cause(), 11);
    assert_eq!(day.plan(12), "");
    assert!(matches!(day.open.holds.keys().next(), Some(Held::Warm(class)) if class.as_str() == "small"));
    day.queue(7, "small", 13);
    assert_eq!(day.plan(13), "launch for 7", "jobs do not wait for that");
    day.forget(1, 14);
    day.forget(2, 14);
    assert_eq!(day.plan(60), "7 waits: runner_starting");
    let told = day.plan(80);
    assert!(told.starts_with("warm up 4 for small") && !told.contains("warm up 5"), "{told}");
    day.boot(4, 100);
    let told = day.plan(101);
    assert!(told.starts_with("warm up 5 for small"), "{told}");
    assert!(!day.open.holds.keys().any(|held| matches!(held, Held::Warm(_))));
}

#[test]
fn a_task_that_ends_by_itself_or_is_stopped_is_no_fault() {
    for (cause, kind) in [
        (StopCause::Agent(AgentExit::NotNeeded), WarmEnd::Aged),
        (StopCause::SpotInterrupted, WarmEnd::Stopped),
        (StopCause::StoppedByUser, WarmEnd::Stopped),
        (StopCause::Agent(AgentExit::NoBootItem), WarmEnd::Failed),
        (StopCause::Missing, WarmEnd::Failed),
    ] {
        let mut day = Day::new(r#"{"count": 1}"#);
        day.plan(0);
        day.boot(1, 15);
        day.stop(1, cause, 20);
        let WarmState::Ending(ending) = &day.warm(1).state else { panic!("{:?}", day.warm(1)) };
        assert_eq!((ending.kind, ending.fault.is_some()), (kind, kind == WarmEnd::Failed));
        let told = day.plan(21);
        assert_eq!(told.contains("warm up"), kind != WarmEnd::Failed, "{kind}: {told}");
    }
}

#[test]
fn a_scope_that_is_held_takes_none_over() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    day.queue(7, "small", 20);
    let scope: Scope =
        day.settings.registration.scope(&day.open.jobs.values().next().unwrap().facts.repository);
    let failure = Failure::of(Fault::RegistrationRefused, "Not Found", at(19), at(19));
    day.open.add_hold(Hold::after(None, Held::Scope(scope), &failure));
    assert_eq!(day.plan(20), "7 waits: scope_held");
    assert_eq!(day.warm(1).stage(), WarmStage::Warm);
}

#[test]
fn a_class_whose_containers_do_not_start_still_gives_the_tasks_that_have() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    day.queue(7, "small", 20);
    let hold = |fault| {
        let failure = |pool: &'static str, subnet: &str| {
            let placement = Placement {
                market: Market::OnDemand,
                subnet: Some(crate::id::SubnetId::parse(subnet).unwrap()),
            };
            (crate::id::PoolId::parse(pool).unwrap(), placement)
        };
        let held = Held::Class(ClassName::parse("small").unwrap());
        let failures = [
            failure("abcdefg234", "subnet-aaaa1111"),
            failure("abcdefg235", "subnet-bbbb2222"),
            failure("abcdefg236", "subnet-aaaa1111"),
        ];
        failures.iter().enumerate().fold(None, |before: Option<Hold>, (i, (pool, placement))| {
            let time = at(16 + i64::try_from(i).unwrap());
            let failure = Failure {
                pool: Some(pool),
                placement: Some(placement),
                ..Failure::of(fault, "words", time, time)
            };
            Some(Hold::after(before.as_ref(), held.clone(), &failure))
        })
    };
    day.open.add_hold(hold(Fault::NotConnected).unwrap());
    assert_eq!(day.plan(20), "7 waits: class_held", "it would not connect either");
    day.open.add_hold(hold(Fault::ImagePull).unwrap());
    assert_eq!(day.plan(20), "7 takes over 1");
}

#[test]
fn a_job_whose_runner_is_to_try_an_image_takes_no_warm_task() {
    use crate::rules::image::ImageRules;
    use crate::testing::{built_image, image};
    let built = |tag: &str, sound_at| built_image(tag, at(0), sound_at);
    let (old, other) = (built("old", Some(at(0))), built("other", Some(at(0))));
    let images = ImageRules { built: [Arch::X64].into(), ..ImageRules::default() };
    let means = Means { images: Some(&images), ..Means::default() };
    let mut day = Day::new(r#"{"count": 1}"#);
    day.open.add_image(image(old.clone(), None));
    let rules = Rules { settings: &day.settings, catalogue: &day.catalogue };
    let order = plan(&day.open, rules, means, at(0)).warm_launches.remove(0);
    day.open.add_warm(order.reserve(
        WarmName::parse("ecsr-test-warm-01arz3ndektsv4rrffq69g0001").unwrap(),
        Epoch::new(1),
        at(0),
    ));
    day.boot(1, 15);
    day.queue(7, "small", 20);
    let warm_of = |day: &Day| {
        let rules = Rules { settings: &day.settings, catalogue: &day.catalogue };
        plan(&day.open, rules, means, at(21)).launches.remove(0).warm
    };
    assert_eq!(warm_of(&day).as_ref(), Some(day.warm(1).name()));
    day.open.add_image(image(old, Some(built("new", None))));
    assert_eq!(warm_of(&day), None);
    day.open.add_image(image(other, None));
    assert_eq!(warm_of(&day), None, "its tag names another image by now");
}

#[test]
fn the_events_of_a_task_are_those_of_the_runner_that_took_it_over() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.start(1, 1);
    day.queue(7, "small", 5);
    day.plan(5);
    let warm = day.warm(1).clone();
    let runner = day.open.runners.values().next().unwrap().name().clone();
    let event = Event::Task(TaskEvent {
        name: warm.name().clone().into(),
        task: TaskId::parse("task1").unwrap(),
        version: 3,
        change: TaskChange::Running,
        at: at(9),
    });
    let records = Records { warm: Some(warm.clone()), ..Records::default() };
    let Some(Event::Task(passed)) = crate::decide::record::passed_on(&event, &records) else { panic!() };
    assert_eq!(passed.name, TaskName::Runner(runner));
    let rules = Rules { settings: &day.settings, catalogue: &day.catalogue };
    assert!(record(&event, &records, rules).changes.is_empty(), "the warm task's own record stays");
    let gone = warm.gone(at(99)).unwrap();
    assert_eq!((gone.kind, gone.cost_usd.is_some()), (WarmEnd::Used, true));
    let labels: Labels = Labels::new(["self-hosted", "class:small"]);
    assert_eq!(day.open.runners.values().next().unwrap().facts.labels, labels);
}

#[test]
fn a_job_that_its_repositorys_limit_holds_back_ends_no_warm_task() {
    let mut day = Day::new(r#"{"count": 1}"#);
    (day.settings.limits.max_runners, day.settings.limits.max_runners_per_repository) = (2, Some(1));
    day.plan(0);
    day.boot(1, 15);
    day.queue(7, "large", 20);
    assert_eq!(day.plan(20), "launch for 7");
    day.queue(8, "large", 21);
    for at in [21, 90, 200] {
        let told = day.plan(at);
        assert!(told.contains("8 waits: limit_repository") && !told.contains("end 1"), "{told}");
    }
}

#[test]
fn a_job_that_waits_for_spot_ends_no_on_demand_task_and_holds_back_none() {
    let mut day = Day::new(r#"{"count": 1}"#);
    let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(
        r#"{"small": {"cpu": 512, "memory": 1024, "warm": {"count": 2}},
            "cheap": {"cpu": 512, "memory": 1024, "capacity": "spot"}}"#,
    )
    .unwrap();
    day.plan(0);
    day.boot(1, 15);
    day.catalogue = Catalogue::read(&entries).0;
    let spot = Placement { market: Market::Spot, subnet: None };
    let failure = Failure::of(Fault::NoCapacity, "Capacity is unavailable", at(19), at(19));
    day.open.add_hold(Hold::after(None, Held::placement(spot, Arch::X64), &failure));
    day.queue(7, "cheap", 20);
    assert_eq!(day.plan(20), "warm up 2 for small; 7 waits: no_capacity");
}

#[test]
fn a_class_that_is_full_holds_back_its_own_warm_tasks_alone() {
    let mut day = Day::new(r#"{"count": 1}"#);
    let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(
        r#"{"small": {"cpu": 512, "memory": 1024, "warm": {"count": 1}},
            "single": {"cpu": 512, "memory": 1024, "max_runners": 1}}"#,
    )
    .unwrap();
    day.catalogue = Catalogue::read(&entries).0;
    day.queue(7, "single", 0);
    day.queue(8, "single", 1);
    assert_eq!(day.plan(2), "launch for 7; warm up 2 for small; 8 waits: limit_class");
}

#[test]
fn tasks_that_fail_after_their_container_has_started_are_tried_one_at_a_time_too() {
    let mut day = Day::new(r#"{"count": 2}"#);
    day.plan(0);
    for number in [1, 2] {
        day.boot(number, 15);
        day.stop(number, StopCause::Agent(AgentExit::BootFailed), 20);
    }
    assert_eq!(day.plan(21), "");
    day.forget(1, 22);
    day.forget(2, 22);
    assert_eq!(day.plan(90), "warm up 3 for small");
    day.boot(3, 110);
    assert_eq!(day.plan(111), "", "that its container runs shows nothing yet");
    day.stop(3, StopCause::Agent(AgentExit::BootFailed), 115);
    assert_eq!(day.plan(200), "", "the pause has grown");
    day.forget(3, 201);
    assert_eq!(day.plan(400), "warm up 4 for small");
    day.boot(4, 420);
    assert_eq!(day.plan(420 + 400), "warm up 5 for small", "it has stayed");
}

#[test]
fn a_runner_of_a_warm_task_ends_no_hold_about_starting() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    let class = ClassName::parse("small").unwrap();
    let held = Held::class_in(class, Placement { market: Market::OnDemand, subnet: None });
    let failure = Failure::of(Fault::ImagePull, "no such image", at(16), at(16));
    day.open.add_hold(Hold::after(None, held.clone(), &failure));
    day.queue(7, "small", 20);
    assert!(day.plan(20).starts_with("7 takes over 1"));
    let runner = day.open.runners.values().next().unwrap().clone();
    let (issued, _) = runner.handed_over(crate::id::RunnerId::new(5), at(21)).unwrap();
    let busy = issued.registration_busy(crate::id::RunnerId::new(5), at(30)).unwrap();
    day.open.add_runner(busy);
    day.plan(600);
    assert!(day.open.holds.contains_key(&held), "{:?}", day.open.holds.keys());
}

#[test]
fn a_task_in_a_placement_where_runners_do_not_connect_is_not_used() {
    let mut day = Day::new(r#"{"count": 1}"#);
    day.plan(0);
    day.boot(1, 15);
    let class = ClassName::parse("small").unwrap();
    let held = Held::class_in(class, Placement { market: Market::OnDemand, subnet: None });
    let twice = [16, 18].into_iter().fold(None, |before: Option<Hold>, time| {
        let failure = Failure::of(Fault::NotConnected, "words", at(time), at(time));
        Some(Hold::after(before.as_ref(), held.clone(), &failure))
    });
    day.open.add_hold(twice.unwrap());
    day.queue(7, "small", 20);
    assert_eq!(day.plan(20), "7 waits: class_held");
}
