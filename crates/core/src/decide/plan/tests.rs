//! Tests of plans, which are written as sentences.

mod holds;
mod long_queue;
mod one_pool;
mod probes;
mod resting;
mod set_back;
mod tries;

use std::slice::from_ref;
use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::id::{ClassName, Epoch, RunnerId, TaskId};
use crate::records::hold::{Failure, Held, Hold};
use crate::records::job::{Assignment, JobStage};
use crate::records::runner::RunnerStage;
use crate::records::timeline::Timeline;
use crate::rules::labels::Labels;
use crate::rules::limits::longest_work;
use crate::rules::pace::{Bucket, Rate};
use crate::rules::placement::Placement;
use crate::rules::pool::Pool;
use crate::rules::settings::Settings;
use crate::testing::{catalogue, job_facts, settings};
use crate::wire::job::{JobFacts, TakenBy};
use doubts::MAX_DOUBTS;

pub(in crate::decide) fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

pub(in crate::decide) fn job_in(repository: &str, class: &str, id: u64, created: i64) -> Job {
    let facts = job_facts(id, repository, &["self-hosted", &format!("class:{class}")]);
    let scope = settings().registration.scope(&facts.repository);
    let pool = Pool { scope, labels: facts.labels.clone() }.id();
    Job {
        version: Version::FIRST,
        created_at: at(created),
        recorded_late_at: None,
        asked_at: None,
        failing: None,
        held: None,
        timeline: Timeline::begin(JobStage::Queued, at(created)),
        state: JobState::Queued {
            assignment: Assignment { class: ClassName::parse(class).unwrap(), pool },
            wait: Code::ToPlan.into(),
        },
        facts,
    }
}

pub(in crate::decide) fn job(id: u64, created: i64) -> Job {
    job_in("acme/app", "small", id, created)
}

/// Creates a runner for a job and moves it up to `stage`.
pub(in crate::decide) fn runner(job: &Job, number: u64, stage: RunnerStage, since: i64) -> Runner {
    let (settings, catalogue, nothing) = (settings(), catalogue(), Open::default());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let mut launcher = Launcher::new(&nothing, rules, Means::default(), at(since));
    let launch = launcher.launch(job, &Code::ToPlan.into(), &mut Plan::default()).unwrap();
    let name = format!("ecsr-test-{}-01arz3ndektsv4rrffq69g{number:04}", launch.order.pool());
    let reserved = launch.order.reserve(RunnerName::parse(&name).unwrap(), Epoch::new(1), at(since));
    let task =
        crate::records::runner::Task { id: TaskId::parse(&format!("task{number}")).unwrap(), heard: 0 };
    let registration = RunnerId::new(number);
    let custody = crate::records::runner::Custody::Issued(registration);
    let state = match stage {
        RunnerStage::Reserved => return reserved,
        RunnerStage::Starting => RunnerState::Starting { task, custody },
        RunnerStage::Booted => RunnerState::Booted { task, custody },
        RunnerStage::Busy => RunnerState::Busy { task, registration, job: Some(job.id()) },
        RunnerStage::Warm | RunnerStage::Ending | RunnerStage::Gone => panic!("not set up here"),
    };
    reserved.with_state(state, at(since))
}

fn tell_with(settings: &Settings, jobs: &[Job], runners: &[Runner], now: i64) -> String {
    let catalogue = catalogue();
    let open = Open::of(jobs.to_vec(), runners.to_vec());
    let plan = plan(&open, Rules { settings, catalogue: &catalogue }, Means::default(), at(now));
    let short =
        |name: &RunnerName| name.as_str()[name.as_str().len() - 4..].trim_start_matches('0').to_owned();
    let mut told = Vec::new();
    told.extend(plan.launches.iter().map(|l| format!("launch for {} ({})", l.job, l.reason)));
    told.extend(plan.retirements.iter().map(|r| format!("retire {} ({})", short(&r.runner), r.reason)));
    told.extend(plan.marks.iter().map(|m| match m.surplus_since {
        Some(_) => format!("{} is surplus", short(&m.runner)),
        None => format!("{} is needed again", short(&m.runner)),
    }));
    told.extend(plan.waits.iter().map(|w| format!("{} waits: {}", w.job, w.reason.code().as_str())));
    told.extend(plan.questions.iter().map(|q| match q {
        Question::Job { job, .. } => format!("ask about {job}"),
        Question::Run(job) => format!("ask about the run of {job}"),
        Question::Runner(name) => format!("ask about runner {}", short(name)),
    }));
    told.join("; ")
}

fn tell(jobs: &[Job], runners: &[Runner], now: i64) -> String {
    tell_with(&settings(), jobs, runners, now)
}

#[test]
fn one_queued_job_is_one_launch() {
    assert_eq!(tell(&[job(7, 0)], &[], 1), "launch for 7 (demand 1, supply 0)");
}

#[test]
fn a_runner_on_its_way_covers_a_job() {
    let seven = job(7, 0);
    let starting = runner(&seven, 1, RunnerStage::Starting, 1);
    assert_eq!(tell(&[seven], &[starting], 2), "7 waits: runner_starting");
}

#[test]
fn a_job_that_a_runner_names_is_taken_whatever_its_record_says() {
    let seven = job(7, 0);
    let busy = runner(&seven, 1, RunnerStage::Busy, 1);
    assert_eq!(tell(&[seven], &[busy], 2), "");
}

#[test]
fn the_oldest_jobs_get_the_last_slots() {
    let jobs: Vec<Job> = (1..=5).map(|i| job(i, 10 - i64::try_from(i).unwrap())).collect();
    let mut settings = settings();
    settings.limits.max_runners = 2;
    assert_eq!(
        tell_with(&settings, &jobs, &[], 20),
        "launch for 5 (demand 5, supply 0); launch for 4 (demand 5, supply 0); \
         1 waits: limit_deployment; 2 waits: limit_deployment; 3 waits: limit_deployment"
    );
}

#[test]
fn a_classs_limit_holds_back_its_own_jobs_only() {
    let jobs = [
        job_in("acme/app", "large", 1, 0),
        job_in("acme/app", "large", 2, 1),
        job_in("acme/app", "large", 3, 2),
        job_in("acme/app", "small", 4, 3),
    ];
    assert_eq!(
        tell(&jobs, &[], 5),
        "launch for 1 (demand 3, supply 0); launch for 2 (demand 3, supply 0); \
         launch for 4 (demand 1, supply 0); 3 waits: limit_class"
    );
}

#[test]
fn surplus_is_retired_after_the_grace_the_youngest_unbooted_first() {
    let (seven, eight) = (job(7, 0), job(8, 0));
    let booted = runner(&seven, 1, RunnerStage::Booted, 1);
    let mut young = runner(&eight, 2, RunnerStage::Starting, 2);
    let jobs = [seven];
    assert_eq!(tell(&jobs, &[booted.clone(), young.clone()], 3), "2 is surplus; 7 waits: runner_idle");
    young.surplus_since = Some(at(3));
    assert_eq!(tell(&jobs, &[booted.clone(), young.clone()], 20), "7 waits: runner_idle");
    assert_eq!(
        tell(&jobs, &[booted.clone(), young.clone()], 33),
        "retire 2 (supply 2, demand 1); 7 waits: runner_idle"
    );
    let both = [jobs[0].clone(), eight];
    assert_eq!(
        tell(&both, &[booted, young], 33),
        "2 is needed again; 7 waits: runner_idle; 8 waits: runner_starting"
    );
}

#[test]
fn a_surplus_runner_that_still_waits_for_its_task_is_retired_too() {
    let mut reserved = runner(&job(7, 0), 1, RunnerStage::Reserved, 1);
    reserved.surplus_since = Some(at(2));
    assert_eq!(tell(&[], &[reserved], 100), "retire 1 (supply 1, demand 0)");
}

#[test]
fn a_busy_runner_is_never_surplus() {
    let busy = runner(&job(7, 0), 1, RunnerStage::Busy, 1);
    assert_eq!(tell(&[], &[busy], 1000), "");
}

#[test]
fn a_runner_that_takes_no_job_is_doubted_and_replaced_once() {
    let seven = job(7, 0);
    let booted = runner(&seven, 1, RunnerStage::Booted, 5);
    assert_eq!(tell(from_ref(&seven), from_ref(&booted), 139), "7 waits: runner_idle");
    assert_eq!(
        tell(from_ref(&seven), from_ref(&booted), 140),
        "launch for 7 (a booted runner takes no job: demand 1, supply 1, 1 of it doubtful); \
         ask about runner 1"
    );
    let second = runner(&seven, 2, RunnerStage::Booted, 141);
    assert_eq!(
        tell(&[seven], &[booted, second], 1000),
        "7 waits: runner_idle; ask about 7; ask about runner 1; ask about runner 2"
    );
}

#[test]
fn a_job_whose_runner_has_ended_in_silence_is_asked_about() {
    let seven = job(7, 0);
    let busy = runner(&seven, 1, RunnerStage::Busy, 1);
    let taken = Job {
        state: JobState::InProgress { assignment: None, runner: TakenBy::Ours(busy.name().clone()) },
        ..seven
    };
    assert_eq!(tell(from_ref(&taken), from_ref(&busy), 1000), "", "its runner is at work");
    assert_eq!(tell(from_ref(&taken), &[], 5), "");
    assert_eq!(tell(from_ref(&taken), &[], 10), "ask about 7");
}

#[test]
fn an_answer_from_before_its_runner_ended_settles_nothing() {
    let mut jobs = [job(7, 0)];
    let gone = runner(&jobs[0], 1, RunnerStage::Busy, 0);
    jobs[0].state = JobState::InProgress { assignment: None, runner: TakenBy::Ours(gone.name().clone()) };
    jobs[0].asked_at = Some(at(5));
    assert_eq!(tell(&jobs, &[], 9), "");
    assert_eq!(tell(&jobs, &[], 10), "ask about 7");
    jobs[0].asked_at = Some(at(10));
    assert_eq!(tell(&jobs, &[], 129), "");
    assert_eq!(tell(&jobs, &[], 130), "ask about 7");
}

#[test]
fn jobs_that_wait_for_long_are_asked_about_twenty_a_minute_and_ever_more_seldom() {
    let settings = Settings { paused: true, ..settings() };
    let mut jobs: Vec<Job> = (1..=50).map(|id| job(id, 0)).collect();
    let mut asked_of = vec![0; 51];
    let mut most = 0;
    for minute in 0..24 * 60 {
        let told = tell_with(&settings, &jobs, &[], minute * 60);
        let asked: Vec<usize> = told
            .split("; ")
            .filter_map(|told| told.strip_prefix("ask about "))
            .map(|id| id.parse().unwrap())
            .collect();
        most = most.max(asked.len());
        for id in asked {
            asked_of[id] += 1;
            jobs[id - 1].asked_at = Some(at(minute * 60));
        }
    }
    assert_eq!(most, MAX_DOUBTS);
    let (least, most) = (asked_of[1..].iter().min().unwrap(), asked_of.iter().max().unwrap());
    assert!(*least >= 24 && *most <= 40, "each is asked about {least} to {most} times a day");
}

#[test]
fn a_job_that_ended_in_silence_is_asked_about_before_those_that_merely_wait() {
    let mut jobs: Vec<Job> = (1..=50).map(|id| job(id, 0)).collect();
    let gone = runner(&jobs[49], 1, RunnerStage::Busy, 1).name().clone();
    jobs[49].state = JobState::InProgress { assignment: None, runner: TakenBy::Ours(gone) };
    let told = tell_with(&Settings { paused: true, ..settings() }, &jobs, &[], 1000);
    assert!(told.contains("; ask about 50; ask about 1;"), "{told}");
}

#[test]
fn a_task_that_outlives_every_limit_is_stopped() {
    let busy = [runner(&job(7, 0), 1, RunnerStage::Busy, 0)];
    let life = longest_work(360).as_secs();
    assert_eq!(tell(&[], &busy, life - 1), "");
    assert_eq!(tell(&[], &busy, life), "retire 1 (the job ran longer than its limit)");
}

#[test]
fn a_task_whose_container_never_runs_is_given_up_so_that_its_job_gets_another_runner() {
    let seven = job(7, 0);
    let starting = [runner(&seven, 1, RunnerStage::Starting, 0)];
    assert_eq!(tell(from_ref(&seven), &starting, 899), "7 waits: runner_starting; ask about 7");
    assert!(tell(from_ref(&seven), &starting, 900).starts_with("retire 1 (the runner did not start"));
}

#[test]
fn a_task_on_an_instance_that_is_yet_to_start_has_ten_minutes_at_least() {
    let mut settings = settings();
    settings.limits.boot_limit_secs = 60;
    let seven = job(7, 0);
    let mut starting = runner(&seven, 1, RunnerStage::Starting, 0);
    starting.facts.wait_limits = Some(settings.limits.waiting());
    let told = |starting: &Runner, now| tell_with(&settings, from_ref(&seven), from_ref(starting), now);
    assert!(told(&starting, 180).starts_with("retire 1"), "on Fargate");
    starting.placement.managed = Some(ClassName::parse("small").unwrap());
    assert!(!told(&starting, 599).contains("retire"));
    assert!(told(&starting, 600).starts_with("retire 1"));
}

#[test]
fn a_paused_deployment_launches_nothing_and_says_so() {
    let mut settings = settings();
    settings.paused = true;
    assert_eq!(tell_with(&settings, &[job(7, 0)], &[], 1), "7 waits: paused");
}

#[test]
fn launches_come_at_the_pace_that_github_allows_and_the_rest_waits_for_it() {
    let jobs: Vec<Job> = (1..=20).map(|i| job(i, i64::try_from(i).unwrap())).collect();
    let (mut settings, catalogue) = (settings(), catalogue());
    settings.paces.github = Rate { burst: 3, per_minute: 60 };
    let mut open = Open::of(jobs, []);
    let launched = |open: &Open, now| {
        let rules = Rules { settings: &settings, catalogue: &catalogue };
        let plan = plan(open, rules, Means::default(), at(now));
        (plan.launches.len(), plan)
    };
    let (launches, first) = launched(&open, 100);
    assert_eq!(launches, 3);
    assert_eq!(first.waits.len(), 17);
    assert_eq!(first.waits[0].reason.text(), "launches are limited to 60 registrations a minute for `acme`");
    assert_eq!(first.next_at, Some(at(101)));
    let bucket = Bucket::GitHub(Account::parse("acme").unwrap());
    let level = settings.paces.github.take(None, 3, at(100));
    open.levels.insert(bucket, level);
    assert_eq!(launched(&open, 100).0, 0);
    assert_eq!(launched(&open, 101).0, 1);
    assert_eq!(launched(&open, 160).0, 3, "no more than the burst adds up");
    let waiting: Vec<Runner> = (1..=2)
        .map(|number| runner(&open.jobs[&JobId::new(1)], number, RunnerStage::Reserved, 160))
        .collect();
    waiting.into_iter().for_each(|runner| open.add_runner(runner));
    assert_eq!(launched(&open, 160).0, 1, "runners that are not registered yet come first");
}

#[test]
fn launches_and_endings_never_exceed_demand() {
    // Two pools. Runners of one could also serve the other's jobs, but each is planned separately.
    let jobs: Vec<Job> = (1..=9).map(|i| job(i, i64::try_from(i).unwrap())).collect();
    let mut runners = Vec::new();
    for (number, job) in jobs.iter().enumerate().take(4) {
        runners.push(runner(job, u64::try_from(number).unwrap(), RunnerStage::Starting, 10));
    }
    let (settings, catalogue) = (settings(), catalogue());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let open = Open::of(jobs, runners);
    let plan = plan(&open, rules, Means::default(), at(11));
    assert_eq!(plan.launches.len(), 5);
    assert!(plan.next_at.is_some());
    let labels = Labels::new(["self-hosted", "class:small"]);
    assert!(plan.launches.iter().all(|launch| launch.order.labels == labels));
}

/// Scenario Q.
#[test]
fn a_runner_keeps_the_limits_with_which_it_was_started() {
    let mut settings = settings();
    let job = job(1, 0);
    let booted = runner(&job, 1, RunnerStage::Booted, 0);
    let RunnerState::Booted { task, .. } = booted.state.clone() else { panic!("{booted:?}") };
    // It waited for 3 h of its idle limit of 4 h, and has worked for 4 h of its 6 h.
    let busy = RunnerState::Busy { task, registration: RunnerId::new(1), job: Some(job.id()) };
    let at_work = booted.with_state(busy, at(3 * 3600));
    let mut tell = |idle_limit_secs| {
        settings.limits.idle_limit_secs = idle_limit_secs;
        tell_with(&settings, &[], from_ref(&at_work), 7 * 3600)
    };
    assert_eq!(tell(4 * 3600), "");
    assert_eq!(tell(900), "");
}
