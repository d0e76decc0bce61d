//! The jobs of all sources, in the order of time.

use std::collections::HashMap;
use std::time::Duration;

use ecsrunner_core::id::Repository;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_world::load::{Arrival, JobKind};
use ecsrunner_world::random::Random;
use jiff::{SignedDuration, Timestamp};

use super::source::{Pattern, Source};

const DAY_SECS: f64 = 86_400.0;

/// The kinds of jobs so far, each once.
#[derive(Default)]
struct Kinds {
    kinds: Vec<JobKind>,
    indices: HashMap<(Repository, Labels), usize>,
}

impl Kinds {
    fn index(&mut self, repository: &Repository, labels: &Labels) -> usize {
        *self.indices.entry((repository.clone(), labels.clone())).or_insert_with(|| {
            let (repository, labels) = (repository.clone(), labels.clone());
            self.kinds.push(JobKind { name: "job".to_owned(), repository, labels });
            self.kinds.len() - 1
        })
    }
}

/// Returns the jobs of all sources with their kinds. Each source has its own random choices, so that a further source
/// does not change those of the others.
pub(super) fn arrivals(
    sources: &[Source],
    seed: u64,
    from: Timestamp,
    days: u32,
) -> (Vec<JobKind>, Vec<Arrival>) {
    let mut kinds = Kinds::default();
    let mut arrivals = Vec::new();
    for (number, source) in (1..).zip(sources) {
        let mut random = Random::seeded(seed.wrapping_add(u64::wrapping_mul(number, 0x9e37_79b9_7f4a_7c15)));
        if let Pattern::Recorded(recorded) = &source.pattern {
            for job in recorded {
                let lasts = job.lasted.unwrap_or_else(|| source.lasts.draw(&mut random));
                let kind = kinds.index(&job.repository, &job.labels);
                arrivals.push(Arrival { at: job.at, kind, lasts });
            }
            continue;
        }
        let of_source: Vec<usize> =
            source.repositories.iter().map(|repository| kinds.index(repository, &source.labels)).collect();
        for day in 0..days {
            for secs in source.pattern.draw(&mut random) {
                let secs = f64::from(day) * DAY_SECS + secs;
                let after = SignedDuration::try_from(Duration::from_secs_f64(secs)).unwrap_or_default();
                let kind = of_source[random.below(of_source.len())];
                arrivals.push(Arrival { at: from + after, kind, lasts: source.lasts.draw(&mut random) });
            }
        }
    }
    // The sort is stable, so jobs at the same time keep the order of their sources.
    arrivals.sort_by_key(|arrival| arrival.at);
    (kinds.kinds, arrivals)
}

impl Pattern {
    /// Draws a day's times of jobs, in seconds since midnight.
    fn draw(&self, random: &mut Random) -> Vec<f64> {
        match self {
            Self::PerDay { jobs, shape } => (0..*jobs).map(|_| shape.draw(random)).collect(),
            Self::PerMinute { jobs, from_secs, until_secs } => {
                let mut times = Vec::new();
                let mut at = *from_secs;
                loop {
                    // The gaps of independent jobs have an exponential distribution.
                    at += -(1.0 - random.unit()).ln() * 60.0 / jobs;
                    if at >= *until_secs {
                        return times;
                    }
                    times.push(at);
                }
            }
            Self::Burst { jobs, at_secs, within_secs } => at_secs
                .iter()
                .flat_map(|at| (0..*jobs).map(|_| at + random.unit() * within_secs).collect::<Vec<_>>())
                .collect(),
            Self::Recorded(_) => Vec::new(),
        }
    }
}
