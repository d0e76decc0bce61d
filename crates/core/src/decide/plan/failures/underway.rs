//! Runners that fail jobs: which jobs they are for, and which runners are no longer needed.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::pool_of;
use crate::decide::plan::unservable::Unservable;
use crate::decide::plan::{Means, Plan, Retirement};
use crate::id::{JobId, PoolId};
use crate::reason::{Code, Reason};
use crate::records::job::{Failing, Job};
use crate::records::open::Open;
use crate::records::runner::{EndingKind, Runner, RunnerStage};
use crate::rules::Rules;
use crate::rules::settings::Settings;

/// Returns the queued jobs that a runner is about to fail: they are no demand. Retires such runners that no job is left
/// for. A job is missed if its runner failed another job, which had none.
pub(in crate::decide::plan) fn underway(
    open: &Open,
    rules: Rules<'_>,
    means: Means<'_>,
    taken: &HashSet<JobId>,
    now: Timestamp,
    plan: &mut Plan,
) -> HashSet<JobId> {
    let mut supply: HashMap<&PoolId, Vec<&Runner>> = HashMap::new();
    for runner in open.runners.values().filter(|runner| runner.facts.fails && runner.is_supply()) {
        supply.entry(&runner.facts.pool).or_default().push(runner);
    }
    let mut underway = HashSet::new();
    let unservable = (!supply.is_empty()).then(|| Unservable::of(open, rules, means.subnets));
    let is_left = |job: &Job| job.is_queued() && !taken.contains(&job.id());
    for (pool, runners) in supply {
        let (mut covered, mut spare) = (HashSet::new(), Vec::new());
        // Each runner is for its own job. One without its configuration can still be given back.
        for runner in runners {
            let own = open.jobs.get(&runner.facts.launched_for).filter(|job| is_left(job));
            let is_needed = |job: &&Job| {
                let is_too_late = job.had_failing_runner() || !runner.awaits_configuration();
                is_too_late || unservable.as_ref().is_some_and(|unservable| unservable.contains(job, now))
            };
            match own.filter(is_needed) {
                Some(job) if covered.insert(job.id()) => {}
                _ => spare.push(runner),
            }
        }
        // GitHub may give a runner another job of its pool: the runner of that job is then for this one.
        let mut strays: Vec<&Job> = Vec::new();
        if !spare.is_empty() {
            let is_stray = |job: &&Job| {
                is_left(job)
                    && job.had_failing_runner()
                    && !covered.contains(&job.id())
                    && pool_of(job, rules.settings) == *pool
            };
            strays.extend(open.jobs.values().filter(is_stray));
            strays.sort_unstable_by_key(|job| (job.created_at, job.id()));
        }
        let count = covered.len() + spare.len();
        let needed = covered.len() + strays.len();
        underway.extend(strays.iter().take(spare.len()).map(|job| job.id()));
        underway.extend(covered);
        // The youngest unbooted runners go first.
        spare.sort_unstable_by_key(|runner| {
            (runner.stage() == RunnerStage::Booted, Reverse(runner.timeline.began()), runner.name())
        });
        for runner in spare.iter().take(count.saturating_sub(needed)) {
            plan.retire(Retirement {
                runner: runner.name().clone(),
                kind: EndingKind::Surplus,
                reason: Reason::with(Code::Surplus, format_args!("{count}, demand {needed}")),
                fault: None,
            });
        }
    }
    miss(open, rules.settings, &(taken | &underway), plan);
    underway
}

fn miss(open: &Open, settings: &Settings, covered: &HashSet<JobId>, plan: &mut Plan) {
    let mut strayed: Vec<(&PoolId, Timestamp)> = Vec::new();
    for runner in open.runners.values().filter(|runner| runner.facts.fails) {
        if runner.names_job().is_some_and(|job| job != runner.facts.launched_for) {
            strayed.push((&runner.facts.pool, runner.timeline.latest()));
        }
    }
    for job in open.jobs.values() {
        let Some(Failing::Launched { at, .. }) = &job.failing else { continue };
        if strayed.is_empty() || !job.is_queued() || covered.contains(&job.id()) {
            continue;
        }
        let pool = pool_of(job, settings);
        if let Some(i) = strayed.iter().position(|(other, since)| **other == pool && since >= at) {
            strayed.swap_remove(i);
            plan.missed.push(job.id());
        }
    }
}
