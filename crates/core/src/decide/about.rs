//! What a runner is told about itself and about jobs that are run again, so that its job's log and summary can say it.
//! Nothing is decided by it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::Repository;
use crate::records::open::Open;
use crate::records::rerun::{Rerun, RerunRecord, RerunState};
use crate::records::runner::Runner;
use crate::rules::cost::{LEAST, PRICES_AS_OF, hourly_usd};
use crate::rules::hosted::{HOSTED_PRICES_AS_OF, hosted_machine};
use crate::rules::settings::Settings;
use crate::wire::boot::{About, Again, HostedPrice, Price};

/// How many reruns of its repository a runner is told, the latest ones.
pub const MAX_RERUNS: usize = 8;

/// Returns what a runner is told about itself; `None` if jobs get no note.
#[must_use]
pub fn about(runner: &Runner, settings: &Settings) -> Option<About> {
    let (facts, market) = (&runner.facts, runner.placement.market);
    let hosted = hosted_machine(facts.size).map(|machine| HostedPrice {
        machine: machine.name.to_owned(),
        nano_usd_per_minute: nano(machine.minute_usd()),
        as_of: HOSTED_PRICES_AS_OF.to_owned(),
    });
    settings.job_summary.then(|| About {
        v: About::VERSION,
        deployment: settings.deployment.clone(),
        class: facts.class.clone(),
        cpu: facts.size.cpu(),
        memory: facts.size.memory(),
        capacity_provider: runner.placement.provider(),
        requested_at: runner.timeline.began(),
        launched_at: runner.launched_at(),
        warm: facts.warm.is_some(),
        price: runner.placement.managed.is_none().then(|| Price {
            nano_usd_per_hour: nano(hourly_usd(facts.size, market)),
            least_secs: LEAST.as_secs().unsigned_abs(),
            as_of: PRICES_AS_OF.to_owned(),
        }),
        hosted,
    })
}

/// Returns billionths of a US dollar, in which every list price is a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a price is small and not negative"
)]
fn nano(usd: f64) -> u64 {
    (usd * 1e9).round() as u64
}

/// Returns the jobs that are run again, by repository, the latest first. Only a runner that is registered in one repository
/// is told any, those of that repository: a job can read what its runner was told.
#[must_use]
pub fn reruns(open: &Open) -> BTreeMap<Repository, Vec<Again>> {
    let mut reruns: Vec<&Rerun> = open
        .reruns
        .values()
        .filter_map(|record| match record {
            RerunRecord::Rerun(rerun) => Some(rerun),
            RerunRecord::Loss(_) | RerunRecord::Outcome(_) => None,
        })
        .collect();
    reruns.sort_by_key(|rerun| Reverse(rerun.since));
    let mut told: BTreeMap<Repository, Vec<Again>> = BTreeMap::new();
    for rerun in reruns {
        let attempt = match rerun.state {
            RerunState::Made => rerun.latest,
            // Its jobs may be queued before the answer to the call is recorded.
            RerunState::Called => rerun.latest.saturating_add(1),
            RerunState::Wanted | RerunState::Spent | RerunState::Over => continue,
        };
        let of_repository = told.entry(rerun.id.repository.clone()).or_default();
        if of_repository.len() < MAX_RERUNS {
            let (job, cause) = (rerun.id.name.to_string(), rerun.cause.to_string());
            of_repository.push(Again { run: rerun.id.run, attempt, job, cause });
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::id::{JobId, RunId};
    use crate::reason::Code;
    use crate::records::rerun::{RerunId, RerunKey};
    use crate::rules::class::size::{Arch, Size};
    use crate::rules::cost::{Market, fargate_usd};

    fn rerun(run: u64, state: RerunState) -> Rerun {
        let at = |secs: u64| Timestamp::from_second(1_764_000_000 + i64::try_from(secs).unwrap()).unwrap();
        let id = RerunId {
            repository: Repository::parse("acme/app").unwrap(),
            run: RunId::new(run),
            name: Arc::from("build"),
        };
        Rerun {
            id,
            job: JobId::new(run),
            class: None,
            latest: 2,
            made: if state == RerunState::Made { 2 } else { 0 },
            times: 1,
            cause: Code::SpotInterrupted.into(),
            state,
            checks: 0,
            refusals: 0,
            not_before: at(run),
            since: at(run),
        }
    }

    fn told(reruns: impl IntoIterator<Item = Rerun>) -> Vec<(u64, u32)> {
        let records =
            reruns.into_iter().map(|rerun| (RerunKey::Rerun(rerun.id.clone()), RerunRecord::Rerun(rerun)));
        let open = Open { reruns: records.collect(), ..Open::default() };
        let told = super::reruns(&open).into_values().flatten();
        told.map(|again| (again.run.get(), again.attempt)).collect()
    }

    #[test]
    fn attempts_that_were_made_or_asked_for_are_told_and_no_others() {
        use RerunState::{Called, Made, Over, Spent, Wanted};
        let states = [Wanted, Called, Made, Spent, Over];
        let reruns = states.into_iter().zip(1..).map(|(state, run)| rerun(run, state));
        assert_eq!(told(reruns), [(3, 2), (2, 3)]);
    }

    #[test]
    fn a_runner_is_told_a_few_reruns_of_its_repository_the_latest_ones() {
        let told = told((1..=30).map(|run| rerun(run, RerunState::Made)));
        assert_eq!(told.len(), MAX_RERUNS);
        assert_eq!(told[0], (30, 2));
    }

    #[test]
    fn every_list_price_is_a_whole_number_of_billionths() {
        for (cpu, memory) in [(256, 512), (1024, 2048), (4096, 8192), (32_768, 61_440)] {
            for (arch, market) in [(Arch::X64, Market::OnDemand), (Arch::Arm64, Market::Spot)] {
                let size = Size::new(cpu, memory, Some(100), arch).unwrap();
                let (from, hour) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(3600).unwrap());
                #[expect(clippy::cast_precision_loss, reason = "a price is small")]
                let told = nano(hourly_usd(size, market)) as f64 / 1e9;
                assert!((told - fargate_usd(size, market, from, hour)).abs() < 1e-9, "{cpu} {market:?}");
            }
        }
    }
}
