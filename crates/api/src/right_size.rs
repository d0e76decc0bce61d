//! Which class would fit the jobs of each class and repository, by what they used. Pure sums over views.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ecsrunner_core::decide::right_size::{
    LEAST_RUNS, Needs, Run, can_replace, longer_seconds, p95, percentile, run_usd,
};
use ecsrunner_core::id::Repository;
use ecsrunner_core::reason::Code;
use ecsrunner_core::rules::class::size::Size;
use ecsrunner_core::rules::class::{Catalogue, Class, Compute};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::wire::job::Conclusion;
use serde::{Deserialize, Serialize};

use crate::job::JobView;
use crate::runner::RunnerView;

/// What a class's jobs used, of all repositories together or of one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RightSizeRow {
    pub class: String,
    /// `None` for all repositories together.
    pub repository: Option<String>,
    /// Runs that were measured.
    pub runs: u64,
    /// Runs that ran out of memory. Not all of them were measured.
    pub out_of_memory: u64,
    /// CPUs that were busy on average: 1.0 is one vCPU.
    pub cpus: Option<Spread>,
    /// Memory without the file cache that the kernel would drop first.
    pub memory_bytes: Option<Spread>,
    pub disk_bytes: Option<Spread>,
    /// In how much of the time runs were at the limit of their CPUs, in per cent.
    pub throttled_percent: Option<Spread>,
    /// What the measured runs cost with the class's present size, in US dollars at list prices.
    pub cost_usd: f64,
    /// The classes that would fit, the cheapest first. The present one is among them if it fits.
    pub fits: Vec<Fit>,
    pub advice: Advice,
}

/// Two percentiles of a value, each one that was measured, in the unit of the field that has them.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
}

/// A class that would fit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fit {
    pub class: String,
    /// What the measured runs would have cost at most.
    pub cost_usd: f64,
    /// What would have been saved at least. Below zero if it costs more.
    pub saved_usd: f64,
    /// How much longer a run may take, in seconds: the 95th percentile.
    pub longer_seconds: f64,
}

/// What follows from the runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Advice {
    /// Nothing can be said yet.
    TooFewRuns { runs: u64, needed: u64 },
    /// The class is right, or no other one that fits costs less.
    Keep,
    /// Another class fits and costs less.
    Save { class: String },
    /// The present class leaves too little room, and this one is the cheapest that fits.
    Enlarge { class: String },
    /// The present class leaves too little room, and so does every other.
    NoClassFits,
    /// The catalogue no longer has the class.
    ClassUnknown,
    /// The class has services, and only the runner's own container was measured.
    ServicesNotMeasured,
    /// The class is on managed instances, for which no price is known.
    PriceUnknown,
}

/// A run with what it was: its repository decides which classes may take it.
struct Measured<'a> {
    repository: &'a str,
    run: Option<Run>,
    ran_out_of_memory: bool,
    /// The memory that its runner had, in MiB.
    memory: Option<u32>,
}

/// Whether the kernel killed a process of this failed job because there was no memory left. Its agent lived on, so nothing else
/// says why the job failed. A job that succeeds can do without the process.
#[must_use]
pub fn was_killed_for_memory(job: &JobView, runner: &RunnerView) -> bool {
    let has_failed = job.conclusion == Some(Conclusion::Failure) && runner.job == Some(job.id);
    has_failed && runner.peaks.is_some_and(|peaks| peaks.ran_out_of_memory())
}

/// Returns a row for each class and one for each of its repositories. Runners without a job are left out, and so is what
/// was not measured.
///
/// `max_job_minutes` are the deployment's.
#[must_use]
pub fn right_size(
    runners: &[RunnerView],
    jobs: &[JobView],
    catalogue: &Catalogue,
    max_job_minutes: u32,
) -> Vec<RightSizeRow> {
    let jobs: HashMap<u64, &JobView> = jobs.iter().map(|job| (job.id, job)).collect();
    let mut by_class: BTreeMap<&str, Vec<Measured<'_>>> = BTreeMap::new();
    for runner in runners {
        let Some(id) = runner.job else { continue };
        let job = jobs.get(&id);
        // An organization's runner may execute a job of a repository other than the one it was started for.
        let repository = job.map(|job| job.repository.as_str()).or(runner.repository.as_deref());
        let ran_out_of_memory = job.is_some_and(|job| was_killed_for_memory(job, runner))
            || runner.reason.as_ref().is_some_and(|reason| reason.code.known() == Some(Code::OutOfMemory));
        let present =
            catalogue.iter().find(|known| known.name.as_str() == runner.class).map(|class| class.size);
        let run = run_of(runner, present.map(Size::cpu));
        if run.is_some() || ran_out_of_memory {
            let repository = repository.unwrap_or_default();
            let memory = runner.memory.or(present.map(Size::memory));
            by_class.entry(&runner.class).or_default().push(Measured {
                repository,
                run,
                ran_out_of_memory,
                memory,
            });
        }
    }
    let rules = (catalogue, max_job_minutes);
    let mut rows = Vec::new();
    for (class, all) in by_class {
        rows.push(row(class, None, &all.iter().collect::<Vec<_>>(), rules));
        let repositories: BTreeSet<&str> = all.iter().map(|measured| measured.repository).collect();
        for repository in repositories {
            let own: Vec<_> = all.iter().filter(|measured| measured.repository == repository).collect();
            rows.push(row(class, Some(repository), &own, rules));
        }
    }
    rows
}

/// `cpu` are the units of the runner's class, which count if the runner's own are not known.
fn run_of(runner: &RunnerView, cpu: Option<u32>) -> Option<Run> {
    let peaks = runner.peaks?;
    // A run that has not ended is not billed yet.
    let is_whole = runner.is_gone() && peaks.cpus().is_some() && peaks.memory_bytes.is_some();
    let market = Market::of_capacity_provider(&runner.capacity_provider)?;
    // A class that is gone gets no advice, so the size of its runs does not matter.
    let cpu = runner.cpu.or(cpu).unwrap_or_default();
    is_whole.then_some(Run { peaks, cpu, task_seconds: runner.task_seconds?, market })
}

fn row(
    class: &str,
    repository: Option<&str>,
    measured: &[&Measured<'_>],
    (catalogue, max_job_minutes): (&Catalogue, u32),
) -> RightSizeRow {
    let runs: Vec<Run> = measured.iter().filter_map(|measured| measured.run).collect();
    let out_of_memory: Vec<_> = measured.iter().filter(|measured| measured.ran_out_of_memory).collect();
    let spread = |value: fn(&Run) -> Option<f64>| Spread::of(runs.iter().filter_map(value).collect());
    let mut row = RightSizeRow {
        class: class.to_owned(),
        repository: repository.map(str::to_owned),
        runs: runs.len() as u64,
        out_of_memory: out_of_memory.len() as u64,
        cpus: spread(|run| run.peaks.cpus()),
        memory_bytes: spread(|run| run.peaks.memory_bytes.map(real)),
        disk_bytes: spread(|run| run.peaks.disk_bytes.map(real)),
        throttled_percent: spread(|run| run.peaks.throttled_percent.map(real)),
        cost_usd: 0.0,
        fits: Vec::new(),
        advice: Advice::ClassUnknown,
    };
    let Some(present) = catalogue.iter().find(|known| known.name.as_str() == class) else { return row };
    if present.compute == Compute::ManagedInstances {
        row.advice = Advice::PriceUnknown;
        return row;
    }
    row.cost_usd = runs.iter().map(|run| run_usd(run, present)).sum();
    if !present.services.is_empty() {
        row.advice = Advice::ServicesNotMeasured;
        return row;
    }
    let too_little = out_of_memory.iter().filter_map(|measured| measured.memory).max();
    let Some(needs) = Needs::of(&runs, too_little) else {
        row.advice = too_few(runs.len());
        return row;
    };
    let repositories: BTreeSet<Repository> =
        measured.iter().filter_map(|measured| Repository::parse(measured.repository).ok()).collect();
    let mut fits: Vec<Fit> = catalogue
        .iter()
        .filter(|other| {
            other.name == present.name || can_replace(present, other, max_job_minutes, repositories.iter())
        })
        .filter(|other| needs.fit(other.size))
        .map(|other| fit(other, &runs, row.cost_usd))
        .collect();
    fits.sort_by(|a, b| a.cost_usd.total_cmp(&b.cost_usd));
    row.advice = if runs.len() < LEAST_RUNS { too_few(runs.len()) } else { advice(&fits, present) };
    row.fits = fits;
    row
}

fn too_few(runs: usize) -> Advice {
    Advice::TooFewRuns { runs: runs as u64, needed: LEAST_RUNS as u64 }
}

fn fit(other: &Class, runs: &[Run], present_usd: f64) -> Fit {
    let cost_usd: f64 = runs.iter().map(|run| run_usd(run, other)).sum();
    let mut longer: Vec<f64> = runs.iter().map(|run| longer_seconds(run, other.size)).collect();
    Fit {
        class: other.name.to_string(),
        cost_usd,
        saved_usd: present_usd - cost_usd,
        longer_seconds: p95(&mut longer, f64::total_cmp).unwrap_or(0.0),
    }
}

/// `fits` has the cheapest class first.
fn advice(fits: &[Fit], present: &Class) -> Advice {
    let has_room = fits.iter().any(|fit| fit.class == present.name.as_str());
    match fits.first() {
        None => Advice::NoClassFits,
        Some(best) if !has_room => Advice::Enlarge { class: best.class.clone() },
        Some(best) if best.class != present.name.as_str() && best.saved_usd > 0.0 => {
            Advice::Save { class: best.class.clone() }
        }
        Some(_) => Advice::Keep,
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        let p50 = percentile(&mut values, 50, f64::total_cmp)?;
        Some(Self { p50, p95: p95(&mut values, f64::total_cmp)? })
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown in MiB or per cent")]
fn real(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
