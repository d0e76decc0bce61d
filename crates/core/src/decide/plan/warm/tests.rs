//! Tests of the level of warm tasks, which are written as sentences.

mod capacity;
mod holds;
mod images;

use std::collections::BTreeMap;

use super::super::{Means, plan};
use super::*;
use crate::decide::learn::learn;
use crate::decide::record::record;
use crate::id::{Account, RunnerName, TaskId, TaskName};
use crate::records::change::{Change, Records};
use crate::records::hold::{Failure, Hold};
use crate::records::job::{Assignment, Job, JobStage, JobState};
use crate::records::runner::{Custody, RunnerState};
use crate::rules::class::{Catalogue, ClassEntry};
use crate::rules::labels::Labels;
use crate::rules::pace::Level;
use crate::rules::pool::{Pool, Scope};
use crate::rules::settings::Settings;
use crate::testing::{job_facts, settings};
use crate::wire::event::{Event, StopCause, TaskChange, TaskEvent, TaskTimes};
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
        let event = Event::Task(TaskEvent {
            name,
            task,
            version,
            change,
            times: TaskTimes::default(),
            instance: None,
            at: at(now),
        });
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
            held: None,
            recorded_late_at: None,
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
fn a_job_never_gets_a_task_that_is_too_old() {
    let mut day = Day::new(r#"{"count": 1, "max_age_hours": 2}"#);
    day.plan(0);
    day.boot(1, 15);
    day.queue(7, "small", 2 * HOUR);
    assert_eq!(day.plan(2 * HOUR), "launch for 7; warm up 3 for small; end 1 (aged)");
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
fn a_class_whose_services_change_has_its_tasks_replaced() {
    let with = |value: &str| {
        let db = format!(r#"{{"image": "postgres:17", "port": 5432, "env": {{"A": "{value}"}}}}"#);
        format!(r#"{{"count": 1}}, "services": {{"db": {db}}}"#)
    };
    let mut day = Day::new(&with("1"));
    day.plan(0);
    day.boot(1, 15);
    assert_eq!(day.plan(20), "");
    day.catalogue = catalogue(&with("2"));
    assert_eq!(day.plan(25), "warm up 2 for small; end 1 (outdated)");
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
fn a_lowered_max_warm_ends_tasks_of_whichever_class() {
    let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(
        r#"{"small": {"cpu": 512, "memory": 1024, "warm": {"count": 2}},
            "large": {"cpu": 4096, "memory": 8192, "warm": {"count": 2}}}"#,
    )
    .unwrap();
    let mut day = Day::new(r#"{"count": 1}"#);
    day.catalogue = Catalogue::read(&entries).0;
    let all = "warm up 1 for large; warm up 2 for large; warm up 3 for small; warm up 4 for small";
    assert_eq!(day.plan(0), all);
    (1..=4).for_each(|number| day.boot(number, 15));
    day.settings.limits.max_warm = 3;
    assert_eq!(day.plan(20), "end 4 (surplus)");
}

#[test]
fn tasks_whose_records_cannot_be_read_count_in_max_warm() {
    let mut day = Day::new(r#"{"count": 3}"#);
    day.settings.limits.max_warm = 3;
    (day.open.unreadable, day.open.unreadable_runners, day.open.unreadable_warm) = (2, 2, 2);
    assert_eq!(day.plan(0), "warm up 1 for small");
    assert_eq!(day.plan(1), "");
}

#[test]
fn a_job_that_waits_for_githubs_rate_holds_back_no_warm_task_and_one_that_waits_for_awss_does() {
    for (bucket, told) in [
        (Bucket::GitHub(Account::parse("acme").unwrap()), "warm up 1 for small; 7 waits: pace"),
        (Bucket::Fargate(Market::OnDemand), "7 waits: pace"),
    ] {
        let mut day = Day::new(r#"{"count": 1}"#);
        day.settings.paces.github.burst = 1;
        day.settings.paces.fargate.burst = 1;
        day.open.levels.insert(bucket, Level(at(60)));
        day.queue(7, "large", 0);
        assert_eq!(day.plan(0), told);
    }
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
        times: TaskTimes::default(),
        instance: None,
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
    let spot = Placement::fargate(Market::Spot, None);
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
