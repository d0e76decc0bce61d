//! One pool's demand and supply.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{DOUBT, Mark, Plan, Question, Retirement};
use crate::clock::has_passed;
use crate::id::JobId;
use crate::reason::{Code, Reason};
use crate::records::job::{Job, JobStage};
use crate::records::runner::{Custody, Ending, EndingKind, Runner, RunnerStage, RunnerState, Served};

/// How long the news of a runner's end may take.
const NEWS: SignedDuration = SignedDuration::from_secs(15);

/// A job that no supply covers.
pub(super) struct Deficit<'a> {
    pub(super) job: &'a Job,
    pub(super) reason: Reason,
}

#[derive(Default)]
pub(super) struct PoolLevel<'a> {
    pub(super) jobs: Vec<&'a Job>,
    supply: Vec<&'a Runner>,
    /// Runners that completed a job which GitHub has not named yet.
    unnamed: Vec<&'a Runner>,
}

impl<'a> PoolLevel<'a> {
    pub(super) fn add_runner(&mut self, runner: &'a Runner, now: Timestamp) {
        if runner.is_supply() {
            self.supply.push(runner);
        } else if let RunnerState::Ending(Ending { served: Served::Unnamed, .. }) = &runner.state
            && runner.stopped_at().is_some_and(|at| !has_passed(DOUBT, at, now))
        {
            self.unnamed.push(runner);
        }
    }

    /// Assigns the supply to the oldest jobs, and returns the jobs that are left.
    pub(super) fn compare(
        &mut self,
        plan: &mut Plan,
        grace: SignedDuration,
        waits_for_github: &impl Fn(&Runner) -> Option<Reason>,
        now: Timestamp,
    ) -> Vec<Deficit<'a>> {
        self.jobs.sort_unstable_by_key(|job| (job.created_at, job.id()));
        let doubtful = self.doubtful(plan, now);
        self.mark_surplus(plan, doubtful.len(), grace, now);
        let reserved = self.reserve_for_unnamed(plan, now);
        let mut jobs = self.jobs.iter().copied().filter(|job| !reserved.contains(&job.id()));
        let idle = self.idle(&doubtful);
        let sound = self.supply.len() - doubtful.len();
        let stuck = self.stuck(waits_for_github);
        for (i, job) in jobs.by_ref().take(sound).enumerate() {
            let stuck = (i + stuck.len()).checked_sub(sound).and_then(|i| stuck.get(i));
            let reason = match stuck {
                Some(reason) => reason.clone(),
                None if i < idle => Code::RunnerIdle.into(),
                None => Code::RunnerStarting.into(),
            };
            plan.wait(job, reason);
        }
        let (demand, supply) = (self.jobs.len(), self.supply.len());
        let mut deficits = Vec::new();
        if doubtful.is_empty() {
            let mut jobs = jobs.peekable();
            if jobs.peek().is_some() {
                let reason = Reason::with(Code::Demand, format_args!("{demand}, supply {supply}"));
                deficits.extend(jobs.map(|job| Deficit { job, reason: reason.clone() }));
            }
            return deficits;
        }
        let mut is_replacing = self.is_replacing(&doubtful);
        for job in jobs {
            match self.launched_for(job.id()) {
                // One replacement for each job, and one at a time for the pool: if GitHub or the pool is the cause, a
                // second replacement would not take the job either.
                launched @ (0 | 1) if launched == 0 || !is_replacing => {
                    is_replacing |= launched == 1;
                    let doubtful = doubtful.len();
                    let detail = format_args!("demand {demand}, supply {supply}, {doubtful} of it doubtful");
                    deficits.push(Deficit { job, reason: Reason::with(Code::SupplyDoubtful, detail) });
                }
                _ => plan.wait(job, Code::RunnerIdle.into()),
            }
        }
        deficits
    }

    /// Returns how many runners that wait for a job were launched for this one.
    fn launched_for(&self, job: JobId) -> usize {
        self.supply.iter().filter(|runner| runner.facts.launched_for == job).count()
    }

    /// Whether a runner is on its way that replaces a doubtful one.
    fn is_replacing(&self, doubtful: &[&Runner]) -> bool {
        let is_doubtful = |runner: &Runner| doubtful.iter().any(|other| other.name() == runner.name());
        let replaces =
            |runner: &&&Runner| !is_doubtful(runner) && self.launched_for(runner.facts.launched_for) > 1;
        !doubtful.is_empty() && self.supply.iter().any(|runner| replaces(&runner))
    }

    /// For each runner that completed an unknown job, holds one queued job back until
    /// GitHub has been asked about it: the job for which the runner was launched,
    /// which is the most likely one, or else the oldest.
    fn reserve_for_unnamed(&self, plan: &mut Plan, now: Timestamp) -> HashSet<JobId> {
        let mut reserved = HashSet::new();
        for runner in &self.unnamed {
            let free = |job: &&&Job| !reserved.contains(&job.id());
            let likely = self.jobs.iter().find(|job| job.id() == runner.facts.launched_for);
            let Some(job) = likely.filter(free).or_else(|| self.jobs.iter().find(free)) else { break };
            let on_behalf_of = Some(runner.name().clone());
            let stopped_at = runner.stopped_at().unwrap_or(now);
            let asked_at = job.asked_at.filter(|asked| *asked >= stopped_at);
            plan.ask(Question::Job { job: job.id(), on_behalf_of }, asked_at, now);
            plan.wake_at(stopped_at + DOUBT);
            plan.wait(job, Code::MaybeTaken.into());
            reserved.insert(job.id());
        }
        reserved
    }

    /// Returns why runners have no task yet, or no registration. They cover the youngest jobs.
    fn stuck(&self, waits_for_github: &impl Fn(&Runner) -> Option<Reason>) -> Vec<Reason> {
        let why = |runner: &Runner| {
            let retry = runner.retry.as_ref().filter(|_| runner.awaits_task());
            retry.map(|retry| retry.reason.clone()).or_else(|| waits_for_github(runner))
        };
        self.supply.iter().filter_map(|runner| why(runner)).collect()
    }

    fn idle(&self, doubtful: &[&Runner]) -> usize {
        let is_idle =
            |runner: &&&Runner| runner.stage() == RunnerStage::Booted && !runner.awaits_configuration();
        self.supply.iter().filter(is_idle).count().saturating_sub(doubtful.len())
    }

    /// Returns the runners that have been idle for too long while a job was queued.
    fn doubtful(&self, plan: &mut Plan, now: Timestamp) -> Vec<&'a Runner> {
        // Most pools have no idle runner, and may have many jobs.
        if !self.supply.iter().any(|runner| matches!(runner.state, RunnerState::Booted { .. })) {
            return Vec::new();
        }
        let Some(oldest) = self.jobs.iter().filter_map(|job| job.timeline.at(JobStage::Queued)).min() else {
            return Vec::new();
        };
        let mut doubtful = Vec::new();
        for &runner in &self.supply {
            let RunnerState::Booted { custody: Custody::Issued(_) | Custody::Taken(_), .. } = runner.state
            else {
                continue;
            };
            let Some(booted) = runner.timeline.at(RunnerStage::Booted) else { continue };
            // Until its connect limit, and a moment for the news of its end, it may not listen yet.
            let connects = runner.facts.wait_limits.map_or(DOUBT, |limits| {
                DOUBT.max(SignedDuration::from_secs(i64::from(limits.connect_secs)) + NEWS)
            });
            let doubted = (booted + connects).max(oldest + DOUBT);
            if now < doubted {
                plan.wake_at(doubted);
            } else {
                plan.ask(Question::Runner(runner.name().clone()), runner.asked_at, now);
                doubtful.push(runner);
            }
        }
        doubtful
    }

    fn mark_surplus(&mut self, plan: &mut Plan, doubtful: usize, grace: SignedDuration, now: Timestamp) {
        let (demand, supply) = (self.jobs.len(), self.supply.len());
        // The youngest unbooted runners go first: the least is lost with them.
        self.supply.sort_unstable_by_key(|runner| {
            (runner.stage() == RunnerStage::Booted, std::cmp::Reverse(runner.timeline.began()), runner.name())
        });
        // A doubtful runner counts neither as supply nor as surplus.
        let surplus = supply.saturating_sub(demand + doubtful);
        for (i, runner) in self.supply.iter().enumerate() {
            let name = || runner.name().clone();
            match (i < surplus, runner.surplus_since) {
                (true, None) => {
                    plan.marks.push(Mark { runner: name(), surplus_since: Some(now) });
                    plan.wake_at(now + grace);
                }
                (true, Some(since)) if now >= since + grace => plan.retirements.push(Retirement {
                    runner: name(),
                    kind: EndingKind::Surplus,
                    reason: Reason::with(Code::Surplus, format_args!("{supply}, demand {demand}")),
                    fault: None,
                }),
                (true, Some(since)) => plan.wake_at(since + grace),
                (false, Some(_)) => plan.marks.push(Mark { runner: name(), surplus_since: None }),
                (false, None) => {}
            }
        }
    }
}
