//! The result of a simulation, as it is printed with `--json`.

use std::collections::BTreeMap;

use ecsrunner_core::reason::Code;
use ecsrunner_core::records::times::HeldBy;
use ecsrunner_core::records::wait::Part as WaitPart;
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use ecsrunner_world::load::{JobKind, Sample, Tally, WaitFigures};
use jiff::Timestamp;
use serde::Serialize;

const CPU_UNITS: f64 = 1024.0;
const MILLIS: f64 = 1000.0;
const HOUR_MILLIS: f64 = 3_600_000.0;
/// The most points of the course over time.
const MAX_POINTS: usize = 480;

/// Whether jobs wait for this reason although runners could be launched otherwise.
fn is_limit(code: Code) -> bool {
    HeldBy::of(code).is_some() || code == Code::Retrying
}

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) from: Timestamp,
    /// When the last job and the last runner had ended.
    pub(super) until: Timestamp,
    pub(super) jobs: Jobs,
    pub(super) time_to_start_secs: Option<Percentiles>,
    /// Where that time went.
    pub(super) wait: Waits,
    pub(super) classes: Vec<Part>,
    pub(super) repositories: Vec<Part>,
    pub(super) cost: Cost,
    pub(super) runners: Runners,
    pub(super) peaks: Peaks,
    /// What limited first.
    pub(super) limited_first: Option<Limited>,
    /// What jobs waited for, the longest first.
    pub(super) waiting: Vec<Waiting>,
    pub(super) over_time: Vec<Point>,
}

#[derive(Serialize)]
pub(super) struct Jobs {
    pub(super) queued: u64,
    pub(super) started: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) refused: u64,
    pub(super) refusals: Vec<Refusal>,
    pub(super) still_queued: u64,
}

#[derive(Serialize)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) jobs: u64,
}

/// Seconds from queued to started.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// The parts of the time from queued to started. A part has the jobs for which it is known.
#[derive(Serialize)]
pub(super) struct Waits {
    pub(super) parts: BTreeMap<WaitPart, OfJobs>,
    /// The time that belongs to no known part.
    pub(super) unknown: Option<OfJobs>,
    /// How many jobs were held back, by what.
    pub(super) held_by: BTreeMap<HeldBy, u64>,
}

/// Seconds of so many jobs.
#[derive(Clone, Copy, Serialize)]
pub(super) struct OfJobs {
    pub(super) jobs: u64,
    pub(super) secs: Percentiles,
}

impl OfJobs {
    fn of(waits_ms: &[u32]) -> Option<Self> {
        Some(Self { jobs: count(waits_ms.len()), secs: percentiles(waits_ms.to_vec())? })
    }
}

impl Waits {
    fn of(waits: &WaitFigures) -> Self {
        let parts = waits.parts_ms.iter();
        Self {
            parts: parts.filter_map(|(part, lengths)| Some((*part, OfJobs::of(lengths)?))).collect(),
            unknown: OfJobs::of(&waits.unknown_ms),
            held_by: waits.held_by.clone(),
        }
    }
}

/// The jobs of a class or of a repository.
#[derive(Serialize)]
pub(super) struct Part {
    pub(super) name: String,
    /// Jobs that were queued.
    pub(super) jobs: u64,
    pub(super) time_to_start_secs: Option<Percentiles>,
    pub(super) cost_usd: f64,
}

#[derive(Serialize)]
pub(super) struct Cost {
    pub(super) total_usd: f64,
    pub(super) per_job_usd: Option<f64>,
    /// The part of it for tasks while they executed no job.
    pub(super) idle_usd: f64,
    /// The part of that for warm tasks, until a runner took them over or they ended.
    pub(super) warm_usd: f64,
    pub(super) prices_as_of: &'static str,
}

#[derive(Serialize)]
pub(super) struct Runners {
    pub(super) launches: u64,
    pub(super) launches_without_job: u64,
    /// Runners that ended before AWS started a task for them.
    pub(super) not_launched: u64,
    /// Runners that took over a warm task.
    pub(super) warm: u64,
    pub(super) task_hours: f64,
    pub(super) idle_task_hours: f64,
}

#[derive(Serialize)]
pub(super) struct Peaks {
    pub(super) queued: u32,
    pub(super) runners: u32,
    pub(super) jobs_in_progress: u32,
    pub(super) vcpus: f64,
}

#[derive(Serialize)]
pub(super) struct Limited {
    pub(super) code: &'static str,
    pub(super) text: String,
    pub(super) at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct Waiting {
    pub(super) code: &'static str,
    /// What the first job waited for.
    pub(super) text: String,
    /// Whether it is a limit, a pace or a hold, and not a part of every start.
    pub(super) is_limit: bool,
    /// Its share of the waiting time of all jobs, from 0 to 1.
    pub(super) share: f64,
    pub(super) hours: f64,
    /// How often a job began to wait for it.
    pub(super) waits: u64,
    pub(super) first_at: Timestamp,
}

/// The most of each since the point before.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Point {
    pub(super) at: Timestamp,
    pub(super) queued: u32,
    pub(super) runners: u32,
    pub(super) jobs_in_progress: u32,
}

impl Report {
    pub(super) fn new(
        tally: &Tally,
        kinds: &[JobKind],
        seed: u64,
        from: Timestamp,
        until: Timestamp,
    ) -> Self {
        let started: u64 = tally.kinds.iter().map(|kind| count(kind.waits_ms.len())).sum();
        let waits = tally.kinds.iter().flat_map(|kind| kind.waits_ms.iter().copied()).collect();
        let runners = &tally.runners;
        let peak = |of: fn(&Sample) -> u32| tally.samples.iter().map(of).max().unwrap_or(0);
        Self {
            seed,
            from,
            until,
            jobs: jobs(tally, started),
            time_to_start_secs: percentiles(waits),
            wait: Waits::of(&tally.waits),
            classes: parts(
                tally,
                |kind| tally.kinds[kind].class.as_ref().map(ToString::to_string),
                |class, _| class,
            ),
            repositories: parts(
                tally,
                |kind| Some(kinds[kind].repository.to_string()),
                |_, repository| repository,
            ),
            cost: Cost {
                total_usd: runners.cost_usd,
                per_job_usd: (started > 0).then(|| runners.cost_usd / real(started)),
                idle_usd: runners.idle_cost_usd,
                warm_usd: runners.warm_cost_usd,
                prices_as_of: PRICES_AS_OF,
            },
            runners: Runners {
                launches: runners.launches,
                launches_without_job: runners.without_job,
                not_launched: runners.not_launched,
                warm: runners.warm,
                task_hours: real(runners.task_ms) / HOUR_MILLIS,
                idle_task_hours: real(runners.idle_ms) / HOUR_MILLIS,
            },
            peaks: Peaks {
                queued: peak(|sample| sample.queued),
                runners: peak(|sample| sample.runners),
                jobs_in_progress: peak(|sample| sample.busy),
                vcpus: f64::from(peak(|sample| sample.cpu)) / CPU_UNITS,
            },
            limited_first: limited_first(tally),
            waiting: waiting(tally),
            over_time: over_time(&tally.samples),
        }
    }
}

fn jobs(tally: &Tally, started: u64) -> Jobs {
    let mut refusals: Vec<Refusal> =
        tally.refused.iter().map(|(code, jobs)| Refusal { code: code.as_str(), jobs: *jobs }).collect();
    refusals.sort_by_key(|refusal| (std::cmp::Reverse(refusal.jobs), refusal.code));
    Jobs {
        queued: tally.kinds.iter().map(|kind| kind.queued).sum(),
        started,
        succeeded: tally.succeeded,
        failed: tally.failed,
        refused: refusals.iter().map(|refusal| refusal.jobs).sum(),
        refusals,
        still_queued: tally.still_queued,
    }
}

/// Adds up kinds with the same name, and costs whose class and repository have that name.
fn parts(
    tally: &Tally,
    name_of: impl Fn(usize) -> Option<String>,
    key_of: impl for<'a> Fn(&'a str, &'a str) -> &'a str,
) -> Vec<Part> {
    let mut sums: BTreeMap<String, (u64, Vec<u32>, f64)> = BTreeMap::new();
    for (number, kind) in tally.kinds.iter().enumerate() {
        if let Some(name) = name_of(number) {
            let (jobs, waits, _) = sums.entry(name).or_default();
            *jobs += kind.queued;
            waits.extend(&kind.waits_ms);
        }
    }
    for ((class, repository), cost) in &tally.costs {
        let key = key_of(class.as_str(), repository.as_str());
        sums.entry(key.to_owned()).or_default().2 += cost;
    }
    sums.into_iter()
        .map(|(name, (jobs, waits, cost_usd))| Part {
            name,
            jobs,
            time_to_start_secs: percentiles(waits),
            cost_usd,
        })
        .collect()
}

/// Returns percentiles by the nearest rank; `None` without values.
fn percentiles(mut waits_ms: Vec<u32>) -> Option<Percentiles> {
    waits_ms.sort_unstable();
    let max = f64::from(*waits_ms.last()?) / MILLIS;
    let at = |percent: usize| {
        let rank = (waits_ms.len() * percent).div_ceil(100).max(1);
        f64::from(waits_ms[rank - 1]) / MILLIS
    };
    Some(Percentiles { p50: at(50), p90: at(90), p99: at(99), max })
}

fn limited_first(tally: &Tally) -> Option<Limited> {
    let limits = tally.reasons.iter().filter(|(code, _)| is_limit(**code));
    let (code, figures) = limits.min_by_key(|(code, figures)| (figures.first_at_ms, code.as_str()))?;
    Some(Limited { code: code.as_str(), text: figures.first.text(), at: timestamp(figures.first_at_ms) })
}

fn waiting(tally: &Tally) -> Vec<Waiting> {
    let total: u64 = tally.reasons.values().map(|figures| figures.waited_ms).sum();
    let mut reasons: Vec<_> = tally.reasons.iter().collect();
    reasons.sort_by_key(|(code, figures)| (std::cmp::Reverse(figures.waited_ms), code.as_str()));
    reasons
        .into_iter()
        .map(|(code, figures)| Waiting {
            code: code.as_str(),
            text: figures.first.text(),
            is_limit: is_limit(*code),
            share: if total == 0 { 0.0 } else { real(figures.waited_ms) / real(total) },
            hours: real(figures.waited_ms) / HOUR_MILLIS,
            waits: figures.waits,
            first_at: timestamp(figures.first_at_ms),
        })
        .collect()
}

fn over_time(samples: &[Sample]) -> Vec<Point> {
    let of_point = samples.len().div_ceil(MAX_POINTS).max(1);
    let most = |samples: &[Sample], of: fn(&Sample) -> u32| samples.iter().map(of).max().unwrap_or(0);
    samples
        .chunks(of_point)
        .map(|chunk| Point {
            at: timestamp(chunk[0].at_ms),
            queued: most(chunk, |sample| sample.queued),
            runners: most(chunk, |sample| sample.runners),
            jobs_in_progress: most(chunk, |sample| sample.busy),
        })
        .collect()
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a result needs few digits")]
fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let of = |waits: std::ops::RangeInclusive<u32>| percentiles(waits.map(|secs| secs * 1000).collect());
        let hundred = of(1..=100).unwrap();
        assert_eq!((hundred.p50, hundred.p90, hundred.p99, hundred.max), (50.0, 90.0, 99.0, 100.0));
        let one = of(7..=7).unwrap();
        assert_eq!((one.p50, one.max), (7.0, 7.0));
        assert!(percentiles(Vec::new()).is_none());
    }

    #[test]
    fn a_point_has_the_most_of_its_minutes() {
        let samples: Vec<Sample> = (0..960)
            .map(|minute| Sample { at_ms: i64::from(minute) * 60_000, queued: minute, ..Sample::default() })
            .collect();
        let points = over_time(&samples);
        assert_eq!(points.len(), 480);
        assert_eq!((points[1].queued, points[1].at.as_second()), (3, 120));
    }
}
