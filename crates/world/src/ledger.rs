//! Counts of calls and launches, and violations of invariants.

use std::collections::{BTreeMap, BTreeSet};

use ecsrunner_core::decide::plan::DOUBT;
use ecsrunner_core::id::{JobId, RunnerId, RunnerName, Version};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::{Job, JobStage, JobState};
use ecsrunner_core::records::runner::{Runner, RunnerStage};
use jiff::Timestamp;

use super::faults::Method;
use super::store::Tables;

#[derive(Debug, Default)]
pub struct Ledger {
    /// Calls of the engine by method.
    pub calls: BTreeMap<Method, u64>,
    /// The number of reserved runners.
    pub launches: u64,
    /// Launches beyond the jobs that were queued in their pool at that time. Runners
    /// in doubt do not count as supply. A fact that is recorded while a slow
    /// dispatcher plans can cause one.
    pub beyond_demand: Vec<String>,
    /// Violations of invariants.
    pub violations: Vec<String>,
    /// Failed invocations by error.
    pub failures: BTreeMap<String, u64>,
    /// When each job was first recorded.
    pub known_at: BTreeMap<JobId, Timestamp>,
    /// Writes of open jobs.
    pub job_writes: u64,
    /// Writes of queued jobs, by the code of the reason of their wait.
    pub wait_writes: BTreeMap<&'static str, u64>,
    /// Tasks that AWS has accepted, by subnet.
    pub tasks_in: BTreeMap<String, usize>,
    /// How often the agent of a task that was launched for a job asked for its boot item and found none.
    pub boots_before_item: u64,
    /// Ended runners by kind of ending and note.
    pub endings: BTreeMap<(&'static str, String), u64>,
    /// Which runner got a configuration for its task on an EC2 instance.
    pub hosts: BTreeMap<String, RunnerName>,
    taken: BTreeSet<RunnerId>,
}

impl Ledger {
    /// Returns the number of all calls of the engine.
    #[must_use]
    pub fn all_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    pub(super) fn committed(&mut self, changes: &[Change], tables: &Tables, now: Timestamp) {
        for change in changes {
            self.count(change);
            if let Change::Job(job) = change {
                self.known_at.entry(job.id()).or_insert(now);
            }
            if let Change::Runner(runner) = change
                && runner.version == Version::FIRST
            {
                self.launched(runner, tables, now);
            }
        }
    }

    fn count(&mut self, change: &Change) {
        match change {
            Change::Job(job) => {
                self.job_writes += 1;
                if let JobState::Queued { wait, .. } = &job.state {
                    *self.wait_writes.entry(wait.code().as_str()).or_default() += 1;
                }
            }
            Change::RunnerGone(gone) => {
                let note = gone.note.as_ref().map(Reason::text).unwrap_or_default();
                *self.endings.entry((gone.kind.as_str(), note)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// A configuration is usable once.
    pub(super) fn took_configuration(&mut self, registration: RunnerId) {
        if !self.taken.insert(registration) {
            self.violations.push(format!("the configuration of registration {registration} was taken twice"));
        }
    }

    /// A runner gets a configuration only on an EC2 instance on which no other one got any.
    pub(super) fn gave_configuration(&mut self, runner: &RunnerName, host: Option<String>, is_managed: bool) {
        let Some(host) = host else {
            if is_managed {
                self.violations.push(format!("{runner} got a configuration before its task had an instance"));
            }
            return;
        };
        if let Some(other) = self.hosts.insert(host.clone(), runner.clone()).filter(|other| other != runner) {
            self.violations.push(format!("{runner} got a configuration on {host}, and {other} before it"));
        }
    }

    fn launched(&mut self, launched: &Runner, tables: &Tables, now: Timestamp) {
        self.launches += 1;
        let pool = &launched.facts.pool;
        let taken: BTreeSet<JobId> = tables.open.runners.values().filter_map(Runner::names_job).collect();
        let queued = |job: &&Job| match &job.state {
            JobState::Queued { assignment, .. } => assignment.pool == *pool && !taken.contains(&job.id()),
            _ => false,
        };
        let demand: Vec<&Job> = tables.open.jobs.values().filter(queued).collect();
        let long_ago = |at: Option<Timestamp>| at.is_some_and(|at| now >= at + DOUBT);
        let is_late = demand.iter().any(|job| long_ago(job.timeline.at(JobStage::Queued)));
        let in_doubt = |runner: &Runner| is_late && long_ago(runner.timeline.at(RunnerStage::Booted));
        let of_pool = tables.open.runners.values().filter(|runner| runner.facts.pool == *pool);
        // A runner that fails a job serves none.
        let of_pool = of_pool.filter(|runner| !runner.facts.fails);
        let supply = of_pool.filter(|runner| runner.is_supply() && !in_doubt(runner)).count();
        if supply > demand.len() {
            let (name, demand) = (launched.name(), demand.len());
            self.beyond_demand.push(format!("{name}: supply {supply}, demand {demand}"));
        }
    }
}
