//! The results of a scenario: printed figures, and checks of invariants.

#![expect(clippy::print_stdout, reason = "people read the figures with --nocapture")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_core::records::hold::Held;
use ecsrunner_core::records::job::{JobEnding, JobState};
use ecsrunner_core::records::runner::EndedRunner;
use ecsrunner_core::records::wait::Wait;
use ecsrunner_core::rules::pace::{Paces, Rate};
use ecsrunner_core::rules::policy::Subject;
use ecsrunner_core::wire::environment;
use ecsrunner_world::Outside;
use ecsrunner_world::faults::Method;
use ecsrunner_world::github::HubJob;
use jiff::{SignedDuration, Timestamp};

use super::World;
use super::jobs::{FOREIGN, repository};

/// How long recording a job may take after its webhook came, even in slow rounds.
const RECORDED_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// Prints a scenario's figures in one line: `K5  others_done=0/40 launches=37`.
pub(crate) fn print(scenario: &str, figures: &[(&str, &dyn Display)]) {
    let figures: Vec<String> = figures.iter().map(|(name, figure)| format!("{name}={figure}")).collect();
    println!("{scenario}  {}", figures.join(" "));
}

impl World {
    /// Returns how many runners were reserved.
    pub(crate) fn launches(&self) -> u64 {
        self.outside().ledger.launches
    }

    /// Returns how many tasks AWS has started.
    pub(crate) fn tasks(&self) -> usize {
        self.outside().ecs.tasks().count()
    }

    /// Returns how many tasks AWS has started in the subnet.
    pub(crate) fn tasks_in(&self, subnet: &str) -> usize {
        self.outside().ledger.tasks_in.get(subnet).copied().unwrap_or_default()
    }

    /// Returns when AWS accepted the first task, counted from the start of the scenario.
    pub(crate) fn first_task_after(&self) -> Option<Duration> {
        let first = self.outside().ecs.tasks().map(|task| task.created_at).min()?;
        let ago = Duration::try_from(self.now().duration_since(first)).unwrap();
        Some(self.elapsed() - ago)
    }

    /// Returns the waits of the jobs of runners that are gone, in the order of the runners.
    pub(crate) fn waits_of_runners(&self) -> Vec<Wait> {
        self.outside().tables.gone.values().filter_map(EndedRunner::wait).collect()
    }

    pub(crate) fn tasks_alive(&self) -> usize {
        self.outside().ecs.tasks().filter(|task| task.stopped_at.is_none()).count()
    }

    /// Returns what all tasks together have cost so far, in hours: `47.8`.
    pub(crate) fn task_hours(&self) -> String {
        format!("{:.1}", self.hours_of_tasks())
    }

    pub(crate) fn hours_of_tasks(&self) -> f64 {
        let now = self.now();
        let secs: f64 = self
            .outside()
            .ecs
            .tasks()
            .map(|task| task.stopped_at.unwrap_or(now).duration_since(task.created_at).as_secs_f64())
            .sum();
        secs / 3600.0
    }

    /// Returns how many runners are on record and not gone.
    pub(crate) fn open_runners(&self) -> usize {
        self.outside().tables.open.runners.len()
    }

    pub(crate) fn open_jobs(&self) -> usize {
        self.outside().tables.open.jobs.len()
    }

    /// Returns how many registrations GitHub has made.
    pub(crate) fn registrations(&self) -> usize {
        self.outside().hub.configured.len()
    }

    /// Returns how often GitHub's limit of registrations was hit.
    pub(crate) fn throttled_registrations(&self) -> u32 {
        self.outside().hub.throttled
    }

    /// Returns how often a job was requested while GitHub throttled such requests.
    pub(crate) fn throttled_job_reads(&self) -> u64 {
        self.outside().hub.throttled_job_reads
    }

    /// Returns the number of writes of open jobs.
    pub(crate) fn job_writes(&self) -> u64 {
        self.outside().ledger.job_writes
    }

    /// Returns whether policy refused the job when its webhook came.
    pub(crate) fn is_refused(&self, job: JobId) -> bool {
        is_refused(&self.outside(), job)
    }

    /// Returns whether the hook of a runner that boots now would refuse the job, or `None` without such a runner.
    pub(crate) fn hook_refuses(&self, job: &Subject<'_>) -> Option<bool> {
        self.outside().tables.boot.values().next().map(|boot| boot.item.policy.judge(job).is_err())
    }

    pub(crate) fn calls(&self, method: Method) -> u64 {
        self.outside().ledger.calls.get(&method).copied().unwrap_or_default()
    }

    /// Returns how many calls of GitHub's API listed runs, their jobs, or repositories.
    pub(crate) fn list_calls(&self) -> u64 {
        self.outside().hub.list_calls
    }

    pub(crate) fn github_calls(&self) -> u64 {
        let outside = self.outside();
        let of_github = outside.ledger.calls.iter().filter(|(method, _)| method.is_githubs());
        of_github.map(|(_, calls)| calls).sum()
    }

    /// Returns the holds and their failures in a row: `class:small*37`.
    pub(crate) fn holds(&self) -> String {
        let outside = self.outside();
        list(outside.tables.open.holds.values().map(|hold| (held_name(&hold.held), hold.failures)).collect())
    }

    /// Returns the longest series of failures of any hold.
    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.outside().tables.open.holds.values().map(|hold| hold.failures).max().unwrap_or(0)
    }

    /// Returns counts of open runners by state. `!` marks those that still need their configuration.
    pub(crate) fn stages(&self) -> String {
        let outside = self.outside();
        count(outside.tables.open.runners.values().map(|runner| {
            let mark = if runner.awaits_configuration() { "!" } else { "" };
            format!("{}{mark}", runner.stage().as_str())
        }))
    }

    /// Returns counts of ended runners by kind of ending.
    pub(crate) fn endings(&self) -> String {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for ((kind, _), count) in &self.outside().ledger.endings {
            *kinds.entry((*kind).to_owned()).or_default() += count;
        }
        list(kinds)
    }

    /// Returns how many runners got a job that their hook refused.
    pub(crate) fn refused_runners(&self) -> u64 {
        let outside = self.outside();
        let is_refused = |words: &str| words.starts_with("policy refused the job");
        let refused = outside.ledger.endings.iter().filter(|((_, words), _)| is_refused(words));
        refused.map(|(_, count)| count).sum()
    }

    /// Returns counts of writes of queued jobs by the reason of their wait.
    pub(crate) fn wait_writes(&self) -> String {
        let outside = self.outside();
        list(outside.ledger.wait_writes.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect())
    }

    /// Returns how often the agent of a task that was launched for a job found no boot item.
    pub(crate) fn boots_before_item(&self) -> u64 {
        self.outside().ledger.boots_before_item
    }

    /// Returns counts of failed invocations of the function by error.
    pub(crate) fn failures(&self) -> String {
        let outside = self.outside();
        list(outside.ledger.failures.iter().map(|(why, count)| (why.replace(' ', "_"), *count)).collect())
    }

    /// Fails if a job was lost or executed twice, or a runner has two tasks.
    pub(crate) fn assert_nothing_lost_or_doubled(&self) {
        self.assert_nothing_doubled();
        let (outside, now) = (self.outside(), self.now());
        let lost: Vec<&HubJob> =
            outside.hub.jobs.values().filter(|job| is_lost(&outside, job, now)).collect();
        assert!(lost.is_empty(), "queued at GitHub and not on record: {lost:#?}");
    }

    /// Fails if a job was executed twice, a job's task was stopped, or a runner has two tasks.
    pub(crate) fn assert_nothing_doubled(&self) {
        let outside = self.outside();
        assert!(outside.ledger.violations.is_empty(), "{:#?}", outside.ledger.violations);
        let twice: Vec<&HubJob> = outside.hub.jobs.values().filter(|job| job.begun > 1).collect();
        assert!(twice.is_empty(), "executed twice: {twice:#?}");
        let mut alive = BTreeSet::new();
        for task in outside.ecs.tasks().filter(|task| task.stopped_at.is_none()) {
            let runner = task.environment.get(environment::RUNNER).cloned();
            assert!(alive.insert(runner.clone()), "runner {runner:?} has two tasks");
        }
    }
}

/// Fails unless 90 % of what GitHub's pace allows were registered so far. The pace is nine tenths of GitHub's limit.
pub(crate) fn assert_at_githubs_pace(world: &World) {
    let Rate { burst, per_minute } = Paces::default().github;
    let allowed = f64::from(burst) + f64::from(per_minute) * world.elapsed().as_secs_f64() / 60.0;
    let registered = world.registrations();
    assert!(registered as f64 >= 0.9 * allowed, "{registered} registrations, the pace allows {allowed}");
}

/// Whether GitHub has a queued job for ecsrunner that is not on record.
fn is_lost(outside: &Outside, job: &HubJob, now: Timestamp) -> bool {
    let is_waiting = job.status() == "queued" && job.order.repository != repository(FOREIGN);
    let is_old = now.duration_since(job.created_at) > RECORDED_WITHIN;
    is_waiting && is_old && !is_refused(outside, job.id) && !outside.tables.open.jobs.contains_key(&job.id)
}

fn is_refused(outside: &Outside, job: JobId) -> bool {
    let open = outside.tables.open.jobs.get(&job);
    let ended = outside.tables.ended.get(&job);
    open.is_some_and(|open| matches!(open.state, JobState::Refused { .. }))
        || ended.is_some_and(|ended| matches!(ended.ending, JobEnding::Refused { .. }))
}

fn held_name(held: &Held) -> String {
    match held {
        Held::Scope(scope) => format!("scope:{scope:?}"),
        Held::Class(class) => format!("class:{class}"),
        Held::Placement { placement, .. } => {
            let subnet = placement.subnet.as_ref().map_or("any", |subnet| subnet.as_str());
            format!("placement:{}:{subnet}", placement.market.capacity_provider())
        }
        Held::Account(account) => format!("account:{account}"),
        Held::Pool(pool) => format!("pool:{pool}"),
        Held::Warm(class) => format!("warm:{class}"),
        Held::ClassIn { class, placement } => {
            let subnet = placement.subnet.as_ref().map_or("any", |subnet| subnet.as_str());
            format!("class:{class}:{}:{subnet}", placement.market.capacity_provider())
        }
    }
}

fn count(names: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    list(counts)
}

/// Formats counts as `busy*3,ending*1`, or `-` if there are none.
fn list<C: Display>(counts: BTreeMap<String, C>) -> String {
    let shown: Vec<String> = counts.iter().map(|(name, count)| format!("{name}*{count}")).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(",") }
}
