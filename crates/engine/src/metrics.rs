//! Metrics in one table. Tests compare the dashboard, the alarms and the
//! documents with it.
//!
//! How metrics are published (CloudWatch's embedded format, a page) does not
//! belong here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ecsrunner_core::decide::budgets::{has_any, holding, spent};
use ecsrunner_core::id::{ClassName, Version};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::{EndedJob, Job, JobEnding, JobStage, JobState};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{EndedRunner, EndingKind, RunnerStage};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::records::warm::{EndedWarm, WarmEnd};
use ecsrunner_core::rules::Rules;
use ecsrunner_core::wire::job::Conclusion;
use jiff::{SignedDuration, Timestamp};

use crate::intake::Receipt;

/// A job that has been queued for longer is stuck.
const STUCK: SignedDuration = SignedDuration::from_mins(10);

/// A metric's unit, by CloudWatch's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// A number of events. Values are summed.
    Count,
    /// A time. Each value is kept.
    Milliseconds,
    /// US dollars. Values are summed. CloudWatch has no unit for them.
    Usd,
    /// A current number. The latest value replaces the previous one.
    Level,
}

impl Unit {
    /// Returns CloudWatch's name of the unit.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count | Self::Level => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Usd => "None",
        }
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $unit:ident = $help:literal;)*) => {
        /// A metric. Its name is also its name in CloudWatch and must not change.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Metric {
            $(#[doc = $help] $name,)*
        }

        impl Metric {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            #[must_use]
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }

            /// Describes the metric for people.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }
    };
}

metrics! {
    WebhooksAccepted: Count = "webhooks that contained something new";
    WebhooksIgnored: Count = "webhooks that contained nothing relevant here";
    InvalidSignatures: Count = "webhooks whose signature fits no secret: from a stranger, or after a secret was changed on one side only";
    UnreadableWebhooks: Count = "webhooks that are signed but cannot be read, or are too large";
    JobsSucceeded: Count = "jobs that ended with success";
    JobsFailed: Count = "jobs that GitHub shows as failed, including each job that its runner refused or ended";
    JobsCancelled: Count = "jobs that GitHub shows as cancelled; a job that its runner ended is failed";
    JobsEndedOtherwise: Count = "jobs that ended with another conclusion";
    JobsRefused: Count = "jobs that were refused, each with its reason in its record";
    JobsOpen: Level = "jobs that are queued or in progress";
    JobsStuck: Level = "jobs that have been queued for over ten minutes";
    QueueWait: Milliseconds = "from queued to in progress, by GitHub's times";
    TimeToRecord: Milliseconds = "from the job's creation at GitHub to its record";
    TimeToLaunch: Milliseconds = "from a runner's reservation to its task's acceptance";
    TimeToBoot: Milliseconds = "from a task's acceptance to its container's start";
    TimeToBusy: Milliseconds = "from a container's start to its job's start";
    RunnersOpen: Level = "runners that are not gone";
    RunnersCompleted: Count = "runners whose job ended, with any result";
    RunnersSurplus: Count = "runners that no job needed";
    RunnersIdleTimeout: Count = "runners to which no job came";
    RunnersBootFailed: Count = "runners that did not start";
    RunnersAgentCrashed: Count = "runners that ended in a way that no other ending covers";
    RunnersSpotInterrupted: Count = "runners whose Spot capacity AWS took back";
    RunnersRegistrationLost: Count = "runners that GitHub no longer knew";
    RunnersJobTimeout: Count = "runners whose job ran longer than its limit";
    RunnersStoppedByOperator: Count = "runners that an operator stopped";
    RunnersRefused: Count = "runners that GitHub gave a job which policy refuses: most likely another repository's, or a fork's";
    WarmTasks: Level = "warm tasks that wait for a job or are on their way; only sent while there are any";
    WarmUsed: Count = "runners that took over a warm task";
    WarmFailed: Count = "warm tasks that failed before a job needed them";
    WarmCost: Usd = "the cost of warm tasks until a runner took them over or they ended, at list prices";
    Cost: Usd = "the cost of tasks of runners that are gone, at list prices";
    RetriesNoCapacity: Count = "tries for which AWS had no capacity";
    RetriesThrottled: Count = "calls that AWS or GitHub asked to make later";
    RetriesOther: Count = "effects that failed for another reason and are retried";
    LaunchesHeld: Level = "pools, classes, placements, scopes and accounts in which launches are held back";
    BreakersOpen: Level = "holds that a person may have to look at: runners fail again and again, or GitHub refuses registrations or does not answer";
    Repairs: Count = "records that the sweep repaired against their tasks";
    OrphansStopped: Count = "tasks that the sweep stopped since no record needed them";
    RegistrationsDeleted: Count = "registrations that the sweep deleted since no record names them";
    DeliveriesReinjected: Count = "webhook deliveries that the sweep found unrecorded and recorded";
    JobsDiscovered: Count = "queued jobs that the sweep found by asking GitHub";
    SweepFailures: Count = "calls of the sweep that failed; the next sweep makes them again";
    RunnerVersionDaysLeft: Level = "days until GitHub refuses the oldest runner of the images that are built here: 30 after the release of a newer one; nothing before that";
    SweepBehind: Level = "seconds since the earliest webhook delivery that the sweep still has to read";
    TracesDropped: Count = "jobs whose trace was not exported: the endpoint refused it, or did not take it within two seconds";
    BudgetsSpent: Level = "budgets whose whole limit is spent, by the day and by the month; only sent while there are budgets";
    RecordsUnreadable: Level = "open records that cannot be read and are set aside";
}

/// The values measured since the last [`Metrics::take`].
#[derive(Default, Debug)]
pub struct Metrics(Mutex<BTreeMap<Metric, Vec<f64>>>);

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Metric, Vec<f64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a value. Counts of zero are left out, because CloudWatch bills each
    /// metric that is sent at least once in a month.
    pub fn add(&self, metric: Metric, value: f64) {
        if metric.unit() == Unit::Count && value == 0.0 {
            return;
        }
        let mut measured = self.lock();
        let values = measured.entry(metric).or_default();
        match (metric.unit(), values.first_mut()) {
            (Unit::Count | Unit::Usd, Some(sum)) => *sum += value,
            (Unit::Level, Some(latest)) => *latest = value,
            (_, None) | (Unit::Milliseconds, _) => values.push(value),
        }
    }

    pub fn count(&self, metric: Metric) {
        self.add(metric, 1.0);
    }

    /// Takes the measured values, in the table's order.
    #[must_use]
    pub fn take(&self) -> Vec<(Metric, Vec<f64>)> {
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    pub(crate) fn received(&self, receipt: &Receipt) {
        use ecsrunner_core::decide::record::Outcome;
        match receipt {
            // The refused job itself is counted when it is written.
            Receipt::Understood(Outcome::Accepted(_) | Outcome::Refused(_)) => {
                self.count(Metric::WebhooksAccepted);
            }
            Receipt::Understood(Outcome::Ignored(_)) => self.count(Metric::WebhooksIgnored),
            Receipt::Unsigned(_) => self.count(Metric::InvalidSignatures),
            Receipt::TooLarge(_) | Receipt::Unreadable(_) => self.count(Metric::UnreadableWebhooks),
        }
    }

    /// Measures committed changes.
    pub(crate) fn committed(&self, changes: &[Change], now: Timestamp) {
        for change in changes {
            match change {
                Change::Job(job) if job.version == Version::FIRST => {
                    self.recorded_job(job, now);
                }
                Change::JobEnded(job) => self.ended_job(job),
                Change::RunnerGone(runner) => self.gone_runner(runner),
                Change::WarmGone(warm) => self.gone_warm(warm),
                Change::Job(_)
                | Change::JobAmended(_)
                | Change::JobReopened(_)
                | Change::Runner(_)
                | Change::RunnerAmended(_)
                | Change::Warm(_)
                | Change::Hold(_)
                | Change::Released(_)
                | Change::Rerun(_)
                | Change::RerunOver(_)
                | Change::Image(_)
                | Change::Overspent(_)
                | Change::BudgetOpen(_)
                | Change::Claimed(_) => {}
            }
        }
    }

    fn recorded_job(&self, job: &Job, now: Timestamp) {
        if matches!(job.state, JobState::Refused { .. }) {
            self.count(Metric::JobsRefused);
        }
        if job.timeline.at(JobStage::Queued).is_some() {
            self.span(Metric::TimeToRecord, Some(job.created_at), Some(now));
        }
    }

    fn ended_job(&self, job: &EndedJob) {
        let stage = |stage| job.timeline.at(stage);
        self.span(Metric::QueueWait, stage(JobStage::Queued), stage(JobStage::InProgress));
        let conclusion = match &job.ending {
            JobEnding::Refused { after: None, .. } => {
                // One that was refused while it was open has been counted then.
                let first = job.timeline.iter().next().map(|(stage, _)| stage);
                if job.version == Version::FIRST || first != Some(JobStage::Refused) {
                    self.count(Metric::JobsRefused);
                }
                return;
            }
            JobEnding::Completed { conclusion, .. }
            | JobEnding::Refused { after: Some((conclusion, _)), .. } => conclusion,
        };
        self.count(match conclusion {
            Conclusion::Success => Metric::JobsSucceeded,
            Conclusion::Failure => Metric::JobsFailed,
            Conclusion::Cancelled => Metric::JobsCancelled,
            Conclusion::Skipped | Conclusion::Other(_) => Metric::JobsEndedOtherwise,
        });
    }

    fn gone_runner(&self, runner: &EndedRunner) {
        let stage = |stage| Timeline::at(&runner.timeline, stage);
        let (starting, booted) = (stage(RunnerStage::Starting), stage(RunnerStage::Booted));
        // A warm task was launched and booted before.
        if runner.facts.warm.is_none() {
            self.span(Metric::TimeToLaunch, stage(RunnerStage::Reserved), starting);
            self.span(Metric::TimeToBoot, starting, booted);
        }
        self.span(Metric::TimeToBusy, booted, stage(RunnerStage::Busy));
        self.count(match runner.kind {
            EndingKind::Completed => Metric::RunnersCompleted,
            EndingKind::Surplus => Metric::RunnersSurplus,
            EndingKind::IdleTimeout => Metric::RunnersIdleTimeout,
            EndingKind::BootFailed => Metric::RunnersBootFailed,
            EndingKind::AgentCrashed => Metric::RunnersAgentCrashed,
            EndingKind::SpotInterrupted => Metric::RunnersSpotInterrupted,
            EndingKind::RegistrationLost => Metric::RunnersRegistrationLost,
            EndingKind::JobTimeout => Metric::RunnersJobTimeout,
            EndingKind::StoppedByOperator => Metric::RunnersStoppedByOperator,
            // It had no task.
            EndingKind::Withdrawn => return,
        });
        // A runner that fails a job refuses it on purpose.
        let is_refused = runner.note.as_ref().is_some_and(|note| note.code() == Code::JobRefused);
        if is_refused && !runner.facts.fails {
            self.count(Metric::RunnersRefused);
        }
        if let Some(usd) = runner.cost_usd {
            self.add(Metric::Cost, usd);
        }
    }

    fn gone_warm(&self, warm: &EndedWarm) {
        match warm.kind {
            WarmEnd::Used => self.count(Metric::WarmUsed),
            WarmEnd::Failed => self.count(Metric::WarmFailed),
            WarmEnd::Surplus | WarmEnd::Aged | WarmEnd::Outdated | WarmEnd::Yielded | WarmEnd::Stopped => {}
        }
        if let Some(usd) = warm.cost_usd {
            self.add(Metric::WarmCost, usd);
        }
    }

    /// Measures what is open now.
    pub(crate) fn open(&self, open: &Open, rules: Rules<'_>, now: Timestamp) {
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        // Launches that a person has stopped, or a budget, are not stuck.
        let is_stopped = |job: &Job, class: &ClassName| {
            rules.settings.paused || holding(open, rules, class, Some(&job.facts.repository), now).is_some()
        };
        let waits = |job: &&Job| match &job.state {
            JobState::Queued { assignment, .. } => !is_stopped(job, &assignment.class),
            _ => false,
        };
        let stuck =
            open.jobs.values().filter(waits).filter(|job| now.duration_since(job.timeline.latest()) > STUCK);
        let served = open.jobs.values().filter(|job| !matches!(job.state, JobState::Refused { .. }));
        self.add(Metric::JobsOpen, count(served.count()));
        self.add(Metric::JobsStuck, count(stuck.count()));
        self.add(Metric::RunnersOpen, count(open.runners.len()));
        let warm = open.warm.values().filter(|warm| warm.is_supply()).count();
        if warm > 0 {
            self.add(Metric::WarmTasks, count(warm));
        }
        self.add(Metric::LaunchesHeld, count(open.holds.len()));
        let breakers = open.holds.values().filter(|hold| hold.is_alarming());
        self.add(Metric::BreakersOpen, count(breakers.count()));
        self.add(Metric::RecordsUnreadable, count(open.unreadable));
        if has_any(rules) {
            self.add(Metric::BudgetsSpent, count(spent(open, rules, now).count()));
        }
    }

    fn span(&self, metric: Metric, from: Option<Timestamp>, to: Option<Timestamp>) {
        if let (Some(from), Some(to)) = (from, to) {
            let millis = to.duration_since(from).as_millis().max(0);
            self.add(metric, f64::from(u32::try_from(millis).unwrap_or(u32::MAX)));
        }
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::id::{JobId, PoolId, Repository, RunnerName};
    use ecsrunner_core::reason::Reason;
    use ecsrunner_core::records::runner::{RunnerFacts, Served};
    use ecsrunner_core::rules::class::size::{Arch, Size};
    use ecsrunner_core::rules::cost::Market;
    use ecsrunner_core::rules::labels::Labels;
    use ecsrunner_core::rules::placement::Placement;
    use ecsrunner_core::rules::pool::Scope;

    use super::*;

    #[test]
    fn counts_add_up_levels_stand_and_times_are_kept_each() {
        let metrics = Metrics::default();
        for value in [1.0, 2.0] {
            metrics.add(Metric::JobsSucceeded, value);
            metrics.add(Metric::JobsOpen, value);
            metrics.add(Metric::QueueWait, value);
        }
        let taken = metrics.take();
        assert_eq!(
            taken,
            [
                (Metric::JobsSucceeded, vec![3.0]),
                (Metric::JobsOpen, vec![2.0]),
                (Metric::QueueWait, vec![1.0, 2.0]),
            ]
        );
        assert_eq!(metrics.take(), []);
    }

    #[test]
    fn a_count_of_nothing_is_not_sent_and_a_level_of_nothing_is() {
        let metrics = Metrics::default();
        metrics.add(Metric::Repairs, 0.0);
        metrics.add(Metric::JobsOpen, 0.0);
        assert_eq!(metrics.take(), [(Metric::JobsOpen, vec![0.0])]);
    }

    #[test]
    fn a_runner_that_refused_its_job_is_counted_unless_it_was_to_fail_one() {
        let count = |runner: EndedRunner| {
            let metrics = Metrics::default();
            metrics.committed(&[Change::RunnerGone(Box::new(runner))], Timestamp::UNIX_EPOCH);
            metrics.take().into_iter().any(|(metric, _)| metric == Metric::RunnersRefused)
        };
        let (served, refused) = (gone(None), gone(Some(Code::JobRefused.into())));
        let facts = RunnerFacts { fails: true, ..refused.facts.clone() };
        assert_eq!([count(served), count(refused.clone())], [false, true]);
        assert!(!count(EndedRunner { facts, ..refused }));
    }

    fn gone(note: Option<Reason>) -> EndedRunner {
        let repository = Repository::parse("acme/app").unwrap();
        let facts = RunnerFacts {
            name: RunnerName::parse("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap(),
            class: ClassName::parse("small").unwrap(),
            size: Size::new(512, 1024, None, Arch::X64).unwrap(),
            pool: PoolId::parse("abcdefg234").unwrap(),
            scope: Scope::Repository(repository.clone()),
            labels: Labels::new(["self-hosted"]),
            repository,
            launched_for: JobId::new(1),
            max_job_minutes: 60,
            wait_limits: None,
            image: None,
            exec: false,
            fails: false,
            warm: None,
        };
        EndedRunner {
            times: ecsrunner_core::records::times::Times::default(),
            facts,
            version: Version::FIRST,
            timeline: Timeline::begin(RunnerStage::Reserved, Timestamp::UNIX_EPOCH),
            kind: EndingKind::Completed,
            note,
            served: Served::Job(JobId::new(2)),
            placement: Placement::fargate(Market::OnDemand, None),
            task: None,
            stopped_at: None,
            cost_usd: None,
        }
    }

    #[test]
    fn every_metric_is_documented_and_no_other() {
        let documented: Vec<String> = include_str!("../../../docs/metrics.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(str::to_owned)
            .collect();
        let row = |metric: &Metric| {
            let kind = match metric.unit() {
                Unit::Count => "count",
                Unit::Level => "level",
                Unit::Milliseconds => "time",
                Unit::Usd => "dollars",
            };
            format!("| `{}` | {kind} | {} |", metric.as_str(), metric.help())
        };
        assert_eq!(documented, Metric::ALL.iter().map(row).collect::<Vec<_>>());
    }
}
