//! Where the wait of a job went, and percentiles of many waits.

use std::collections::BTreeMap;

use ecsrunner_core::records::times::HeldBy;
use ecsrunner_core::records::wait::{Part, Wait};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::runner::RunnerView;

/// The wait of a runner's job, split into parts that add up with `unknown_seconds`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WaitView {
    /// From GitHub's `queued` to the job's start.
    pub total_seconds: f64,
    /// The parts that are known, in their order.
    pub parts: BTreeMap<Part, f64>,
    /// The time that belongs to no known part.
    pub unknown_seconds: f64,
    /// Whether the runner took over a warm task.
    pub warm: bool,
    /// What held the job back before a runner was reserved for it.
    pub held_by: Option<HeldBy>,
}

impl WaitView {
    #[must_use]
    pub fn of(wait: &Wait) -> Self {
        Self {
            total_seconds: seconds(wait.total),
            parts: wait.parts().map(|(part, length)| (part, seconds(length))).collect(),
            unknown_seconds: seconds(wait.unknown()),
            warm: wait.warm,
            held_by: wait.held_by,
        }
    }

    /// Returns a part; `None` if it is not known.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<SignedDuration> {
        self.parts.get(&part).map(|seconds| span(*seconds))
    }

    #[must_use]
    pub fn total(&self) -> SignedDuration {
        span(self.total_seconds)
    }

    #[must_use]
    pub fn unknown(&self) -> SignedDuration {
        span(self.unknown_seconds)
    }
}

/// Whole milliseconds, which is what records keep.
fn seconds(length: SignedDuration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a wait fit a double")]
    let millis = length.as_millis() as f64;
    millis / 1000.0
}

/// Returns a duration; zero for a number that is none.
#[must_use]
pub fn span(seconds: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Percentiles by the nearest rank, so that each is a value that occurred.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many values there are.
    pub jobs: usize,
    pub p50_seconds: f64,
    pub p90_seconds: f64,
    pub p99_seconds: f64,
}

impl Percentiles {
    /// Returns `None` without values.
    #[must_use]
    pub fn of(mut seconds: Vec<f64>) -> Option<Self> {
        seconds.sort_unstable_by(f64::total_cmp);
        let at =
            |percent: usize| seconds.get((seconds.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { jobs: seconds.len(), p50_seconds: at(50)?, p90_seconds: at(90)?, p99_seconds: at(99)? })
    }
}

/// The waits of the jobs of one class and repository, apart by whether their runner took over a warm task.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WaitGroup {
    pub class: String,
    pub repository: String,
    pub warm: bool,
    pub total: Percentiles,
    /// The parts that are known for at least one job.
    pub parts: BTreeMap<Part, Percentiles>,
    /// The time that belongs to no known part.
    pub unknown: Percentiles,
    /// How many jobs were held back, by what.
    pub held_by: BTreeMap<HeldBy, usize>,
}

impl WaitGroup {
    /// Groups the waits of these runners by class, repository and warmth. `repository_of` returns the repository of a job
    /// by its id, where that is known: a runner of an organization may have been launched for another one.
    #[must_use]
    pub fn all<'a>(runners: &'a [RunnerView], repository_of: impl Fn(u64) -> Option<&'a str>) -> Vec<Self> {
        let mut groups: BTreeMap<(&str, &str, bool), Vec<&WaitView>> = BTreeMap::new();
        for runner in runners {
            let Some(wait) = &runner.wait else { continue };
            let of_job = runner.job.and_then(&repository_of);
            let repository = of_job.or(runner.repository.as_deref()).unwrap_or_default();
            groups.entry((&runner.class, repository, wait.warm)).or_default().push(wait);
        }
        groups.into_iter().filter_map(|(key, waits)| Self::of(key, &waits)).collect()
    }

    fn of((class, repository, warm): (&str, &str, bool), waits: &[&WaitView]) -> Option<Self> {
        let part = |part: Part| waits.iter().filter_map(|wait| wait.parts.get(&part).copied()).collect();
        let parts = Part::ALL.into_iter().filter_map(|it| Some((it, Percentiles::of(part(it))?)));
        let mut held_by = BTreeMap::new();
        for by in waits.iter().filter_map(|wait| wait.held_by) {
            *held_by.entry(by).or_default() += 1;
        }
        Some(Self {
            class: class.to_owned(),
            repository: repository.to_owned(),
            warm,
            total: Percentiles::of(waits.iter().map(|wait| wait.total_seconds).collect())?,
            parts: parts.collect(),
            unknown: Percentiles::of(waits.iter().map(|wait| wait.unknown_seconds).collect())?,
            held_by,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let of = |count: u32| Percentiles::of((1..=count).rev().map(f64::from).collect());
        let hundred = of(100).unwrap();
        assert_eq!((hundred.p50_seconds, hundred.p90_seconds, hundred.p99_seconds), (50.0, 90.0, 99.0));
        let three = of(3).unwrap();
        assert_eq!((three.jobs, three.p50_seconds, three.p99_seconds), (3, 2.0, 3.0));
        assert_eq!(of(0), None);
    }
}
