//! What runners cost, and how long jobs waited for them. Pure sums over views.

use std::collections::{BTreeMap, HashMap};

use ecsrunner_core::records::job::JobStage;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::JobView;
use crate::runner::RunnerView;

/// What list prices do not include.
pub const LEFT_OUT: &str = "the control plane, data transfer, logs, image storage, taxes, discounts\n\
                            Spot costs are estimates: Spot prices change";

/// The row of warm tasks, which are of no repository and no workflow.
const WARM: &str = "(warm tasks)";

/// How costs are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CostKey {
    Repository,
    Class,
    Workflow,
    /// The UTC day on which the runner was reserved.
    Day,
}

/// The costs of the runners with one key.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct CostRow {
    pub key: String,
    pub runners: u64,
    pub jobs: u64,
    pub runner_seconds: f64,
    pub cost_usd: f64,
    /// Runners whose cost is unknown: the task never ran, or the record is of another release.
    pub unpriced: u64,
    /// The part of the cost that kept tasks warm before a runner took them over, or until they ended without one.
    pub warm_usd: f64,
    /// That part by why the warm task ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub warm_usd_by_reason: BTreeMap<String, f64>,
    /// What the minutes of the jobs that can be compared would cost on runners that GitHub hosts.
    #[serde(default)]
    pub hosted_usd: f64,
    /// Jobs that can be compared.
    #[serde(default)]
    pub compared_jobs: u64,
    /// Jobs that cannot be compared.
    #[serde(default)]
    pub uncompared_jobs: u64,
    /// Those of them whose beginning is not known.
    #[serde(default)]
    pub untimed_jobs: u64,
    /// Those of them for which GitHub hosts no machine with as many CPUs and as much memory. The cost of the rest is unknown.
    #[serde(default)]
    pub unhosted_jobs: u64,
    /// A fee of GitHub's for the minutes of the jobs that can be compared, if there is one.
    #[serde(default)]
    pub fee_usd: f64,
    /// What was saved: `hosted_usd` without the fee and without the cost of all but the jobs that cannot be compared. `None`
    /// if no job can be compared.
    #[serde(default)]
    pub saved_usd: Option<f64>,
}

/// How long the jobs of a class waited for a runner, from the first time they were queued until they began.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WaitRow {
    /// The class; empty for all classes together.
    pub key: String,
    /// Jobs that began.
    pub jobs: u64,
    pub median_seconds: f64,
    pub p95_seconds: f64,
    pub longest_seconds: f64,
}

/// The answer of `GET /api/v1/costs`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CostsView {
    /// What ended earlier is left out.
    pub since: Timestamp,
    /// When the records were read.
    pub read_at: Timestamp,
    /// Whether there were too many records, so that `since` is later than was asked for.
    pub cut: bool,
    pub total: CostRow,
    /// The most expensive rows come first.
    pub by_repository: Vec<CostRow>,
    pub by_class: Vec<CostRow>,
    pub by_workflow: Vec<CostRow>,
    /// The earliest day comes first. A day without runners has no row.
    pub by_day: Vec<CostRow>,
    /// All classes together, then each class.
    pub waits: Vec<WaitRow>,
    pub prices_as_of: String,
    pub hosted_prices_as_of: String,
    pub left_out: String,
}

/// Returns the rows, most expensive first (by day: in order), and their total. `fee` is what GitHub takes for a minute on a
/// runner that it does not host, in US dollars.
#[must_use]
pub fn add_up(runners: &[RunnerView], jobs: &[JobView], by: CostKey, fee: f64) -> (Vec<CostRow>, CostRow) {
    let jobs: HashMap<u64, &JobView> = jobs.iter().map(|job| (job.id, job)).collect();
    let mut rows: BTreeMap<String, CostRow> = BTreeMap::new();
    let mut total = CostRow { key: "total".to_owned(), ..CostRow::default() };
    for runner in runners {
        let key = key_of(runner, &jobs, by);
        let row = rows.entry(key.clone()).or_insert_with(|| CostRow { key, ..CostRow::default() });
        for row in [row, &mut total] {
            row.add(runner, fee);
        }
    }
    let mut rows: Vec<CostRow> = rows.into_values().collect();
    for row in rows.iter_mut().chain([&mut total]).filter(|row| row.compared_jobs == 0) {
        row.saved_usd = None;
    }
    if by != CostKey::Day {
        rows.sort_by(|a, b| b.cost_usd.total_cmp(&a.cost_usd));
    }
    (rows, total)
}

fn key_of(runner: &RunnerView, jobs: &HashMap<u64, &JobView>, by: CostKey) -> String {
    // An organization's runner may execute a job of a repository other than the one it was started for.
    let executed = runner.job.and_then(|job| jobs.get(&job)).copied();
    match by {
        CostKey::Repository => {
            let repository = executed.map(|job| job.repository.clone());
            repository.or_else(|| runner.repository.clone()).unwrap_or_else(|| WARM.to_owned())
        }
        CostKey::Class => runner.class.clone(),
        CostKey::Day => runner.began().map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default(),
        CostKey::Workflow => {
            let launched_for = || runner.launched_for.and_then(|job| jobs.get(&job)).copied();
            match (executed.or_else(launched_for), &runner.repository) {
                (Some(job), _) => workflow(job),
                (None, Some(repository)) => format!("{repository}: unknown"),
                (None, None) => WARM.to_owned(),
            }
        }
    }
}

fn workflow(job: &JobView) -> String {
    format!("{}: {}", job.repository, job.workflow.as_deref().unwrap_or("unknown"))
}

impl CostRow {
    fn add(&mut self, runner: &RunnerView, fee: f64) {
        self.runner_seconds += runner.task_seconds.unwrap_or(0.0);
        if runner.launched_for.is_none() {
            return self.add_warm(runner);
        }
        self.runners += 1;
        self.jobs += u64::from(runner.job.is_some());
        match runner.cost_usd {
            Some(cost) => self.cost_usd += cost,
            None => self.unpriced += 1,
        }
        self.compare(runner, fee);
    }

    /// Compares a runner with one that GitHub hosts. One that served no job costs only here.
    fn compare(&mut self, runner: &RunnerView, fee: f64) {
        let saved = match (runner.job, runner.hosted_usd, runner.cost_usd) {
            (Some(_), None, _) | (Some(_), _, None) => {
                self.uncompared_jobs += 1;
                let is_untimed = runner.job_minutes.is_none();
                self.untimed_jobs += u64::from(is_untimed);
                self.unhosted_jobs += u64::from(!is_untimed && runner.hosted_usd.is_none());
                return;
            }
            (None, _, cost) => -cost.unwrap_or(0.0),
            (Some(_), Some(hosted), Some(cost)) => {
                #[expect(clippy::cast_precision_loss, reason = "a job has few minutes")]
                let fee = runner.job_minutes.unwrap_or(0) as f64 * fee;
                self.compared_jobs += 1;
                self.hosted_usd += hosted;
                self.fee_usd += fee;
                hosted - fee - cost
            }
        };
        self.add_saved(saved);
    }

    fn add_saved(&mut self, usd: f64) {
        self.saved_usd = Some(self.saved_usd.unwrap_or(0.0) + usd);
    }

    /// A warm task is no runner: its cost is that of having one at once.
    fn add_warm(&mut self, warm: &RunnerView) {
        let Some(cost) = warm.cost_usd else { return };
        let reason = warm.reason.as_ref().map_or("warm_waiting", |reason| reason.code.as_str());
        self.cost_usd += cost;
        self.warm_usd += cost;
        self.add_saved(-cost);
        *self.warm_usd_by_reason.entry(reason.to_owned()).or_default() += cost;
    }
}

/// Returns how long jobs waited: all classes together, then each class by name. Jobs that did not begin are left out.
#[must_use]
pub fn waits(jobs: &[JobView]) -> Vec<WaitRow> {
    let mut by_class: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for job in jobs {
        let began = job.first_reached(JobStage::InProgress);
        if let (Some(queued), Some(began)) = (job.first_reached(JobStage::Queued), began) {
            let wait = began.duration_since(queued).as_secs_f64().max(0.0);
            by_class.entry(job.class.as_deref().unwrap_or_default()).or_default().push(wait);
        }
    }
    let all: Vec<f64> = by_class.values().flatten().copied().collect();
    let known = by_class.into_iter().filter(|(class, _)| !class.is_empty());
    let rows = [("", all)].into_iter().chain(known);
    rows.filter_map(|(class, waits)| WaitRow::of(class, waits)).collect()
}

impl WaitRow {
    fn of(class: &str, mut waits: Vec<f64>) -> Option<Self> {
        waits.sort_by(f64::total_cmp);
        let longest = *waits.last()?;
        // The nearest rank: a wait that a job had.
        let percentile = |percent: usize| waits[(waits.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self {
            key: class.to_owned(),
            jobs: waits.len() as u64,
            median_seconds: percentile(50),
            p95_seconds: percentile(95),
            longest_seconds: longest,
        })
    }
}

#[cfg(test)]
mod tests;
