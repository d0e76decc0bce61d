//! Checks what one launch needs: a class and a scope that are not held, a placement
//! with capacity, a slot of each rate and a slot of each limit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::iter::Peekable;

use jiff::{SignedDuration, Timestamp};

use super::pool::Deficit;
use super::slots::Slots;
use super::{Draw, Launch, Means, Order, Plan, wait_for};
use crate::decide::plan::choose::Choices;
use crate::id::ClassName;
use crate::reason::{Code, Reason};
use crate::records::hold::Held;
use crate::records::job::{Assignment, Job, JobState};
use crate::records::open::Open;
use crate::records::runner::{Runner, RunnerState};
use crate::rules::Rules;
use crate::rules::class::Class;
use crate::rules::class::size::Arch;
use crate::rules::pace::{Bucket, Level, Rate};
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;

/// The shortest wait of launches for their rate, so that they are planned in batches.
const PACE_PAUSE: SignedDuration = SignedDuration::from_secs(1);

pub(super) struct Launcher<'a> {
    open: &'a Open,
    rules: Rules<'a>,
    means: Means<'a>,
    now: Timestamp,
    slots: Slots<'a>,
    /// Held placements and classes that a runner is already probing.
    probed: HashSet<(Placement, Arch)>,
    probed_classes: HashSet<ClassName>,
    taken: BTreeMap<Bucket, u32>,
}

impl<'a> Launcher<'a> {
    pub(super) fn new(open: &'a Open, rules: Rules<'a>, means: Means<'a>, now: Timestamp) -> Self {
        let on_their_way =
            open.runners.values().filter(|runner| matches!(runner.state, RunnerState::Reserved { .. }));
        let supply = open.runners.values().filter(|runner| runner.is_supply());
        // Without holds there is nothing to probe.
        let is_probed = |_: &&Runner| !open.holds.is_empty();
        let (on_their_way, supply) = (on_their_way.filter(is_probed), supply.filter(is_probed));
        Self {
            open,
            rules,
            means,
            now,
            slots: Slots::count(open, rules),
            probed: on_their_way.map(|runner| (runner.placement.clone(), runner.facts.size.arch())).collect(),
            probed_classes: supply.map(|runner: &Runner| runner.facts.class.clone()).collect(),
            taken: BTreeMap::new(),
        }
    }

    /// Launches for the oldest job first, regardless of its pool. Each pool's deficits are in this order.
    pub(super) fn launch_oldest_first(&mut self, deficits: Vec<Vec<Deficit<'a>>>, plan: &mut Plan) {
        let key = |deficit: &Deficit<'_>| Reverse((deficit.job.created_at, deficit.job.id()));
        let mut pools: Vec<_> = deficits.into_iter().map(|of_pool| of_pool.into_iter().peekable()).collect();
        let mut oldest: BinaryHeap<_> =
            (0..).zip(&mut pools).filter_map(|(number, pool)| Some((key(pool.peek()?), number))).collect();
        while let Some((_, number)) = oldest.pop() {
            let pool: &mut Peekable<_> = &mut pools[number];
            let Some(deficit) = pool.next() else { continue };
            match self.launch(deficit.job, &deficit.reason, plan) {
                // The job's reason to wait is written with the reservation.
                Ok(launch) => plan.launches.push(launch),
                Err(reason) => {
                    wait_for(plan, deficit.job, &reason);
                    if self.refuses_all_of_pool(&reason) {
                        pool.for_each(|deficit| wait_for(plan, deficit.job, &reason));
                    }
                }
            }
            if let Some(next) = pool.peek() {
                oldest.push((key(next), number));
            }
        }
    }

    pub(super) fn launch(
        &mut self,
        job: &'a Job,
        reason: &Reason,
        plan: &mut Plan,
    ) -> Result<Launch, Reason> {
        let JobState::Queued { assignment, .. } = &job.state else {
            return Err(Code::ToPlan.into());
        };
        let settings = self.rules.settings;
        if settings.paused {
            return Err(Code::Paused.into());
        }
        let class = self.class(assignment)?;
        let scope = settings.registration.scope(&job.facts.repository);
        self.admits_scope(&scope, plan)?;
        self.admits_class(class, plan)?;
        let placement = self.placement(class, job, plan)?;
        let buckets = [Bucket::Fargate(placement.market), Bucket::GitHub((self.means.account)(&scope))];
        self.admits_pace(&buckets, plan)?;
        self.slots.take(class, &job.facts.repository, &settings.limits)?;
        for bucket in buckets {
            *self.taken.entry(bucket).or_default() += 1;
        }
        self.probed.insert((placement.clone(), class.size.arch()));
        self.probed_classes.insert(class.name.clone());
        Ok(Launch {
            job: job.id(),
            job_version: job.version,
            order: self.order(job, class, assignment, placement, scope),
            reason: reason.clone(),
        })
    }

    /// Whether every later job of the same pool is refused for this reason too: without holds, a pool's jobs need the
    /// same slots, and slots are only taken while a plan is made. Reasons that another one could precede are not among
    /// them.
    fn refuses_all_of_pool(&self, reason: &Reason) -> bool {
        self.open.holds.is_empty()
            && matches!(reason.code(), Code::Paused | Code::Pace | Code::LimitDeployment)
    }

    /// Returns what the launches so far take from each bucket.
    pub(super) fn draws(self) -> Vec<Draw> {
        let draw = |(bucket, slots): (Bucket, u32)| {
            let before = self.open.levels.get(&bucket).copied();
            let after = self.rate(&bucket).take(before, slots, self.now);
            Draw { bucket, before, after }
        };
        self.taken.clone().into_iter().map(draw).collect()
    }

    fn class(&self, assignment: &Assignment) -> Result<&'a Class, Reason> {
        self.rules.catalogue.get(&assignment.class).ok_or_else(|| {
            let names = self.rules.catalogue.names();
            let detail = format!("`{}` is no longer in the catalogue, which has {names}", assignment.class);
            Reason::with(Code::ClassUnknown, detail)
        })
    }

    fn admits_scope(&self, scope: &Scope, plan: &mut Plan) -> Result<(), Reason> {
        let Some(hold) = self.open.holds.get(&Held::Scope(scope.clone())) else { return Ok(()) };
        if self.now < hold.not_before {
            plan.wake_at(hold.not_before);
        } else if !plan.probes.contains(scope) {
            plan.probes.push(scope.clone());
        }
        Err(Reason::with(Code::ScopeHeld, &hold.words))
    }

    /// After a fault the next launch is delayed; while the circuit breaker is open,
    /// one runner of the class is launched at a time.
    fn admits_class(&self, class: &Class, plan: &mut Plan) -> Result<(), Reason> {
        let Some(hold) = self.open.holds.get(&Held::Class(class.name.clone())) else { return Ok(()) };
        if self.now < hold.not_before {
            plan.wake_at(hold.not_before);
            return Err(Reason::with(Code::ClassHeld, &hold.words));
        }
        if hold.is_open_breaker() && self.probed_classes.contains(&class.name) {
            return Err(Reason::with(Code::ClassHeld, &hold.words));
        }
        Ok(())
    }

    fn placement(&self, class: &Class, job: &Job, plan: &mut Plan) -> Result<Placement, Reason> {
        let choices = Choices { subnets: self.means.subnets, holds: &self.open.holds, probed: &self.probed };
        choices.choose(class.capacity, class.size.arch(), job.id().get(), self.now).map_err(|none| {
            if let Some(at) = none.not_before {
                plan.wake_at(at);
            }
            none.reason
        })
    }

    fn admits_pace(&self, buckets: &[Bucket], plan: &mut Plan) -> Result<(), Reason> {
        for bucket in buckets {
            let (rate, taken) = (self.rate(bucket), self.taken.get(bucket).copied().unwrap_or(0));
            let level: Option<Level> = self.open.levels.get(bucket).copied();
            if taken >= rate.available(level, self.now) {
                let next_at = rate.next_at(Some(rate.take(level, taken, self.now)), self.now);
                plan.wake_at(next_at.max(self.now + PACE_PAUSE));
                return Err(Reason::with(Code::Pace, pace_words(bucket, rate)));
            }
        }
        Ok(())
    }

    fn rate(&self, bucket: &Bucket) -> Rate {
        self.rules.settings.paces.rate(bucket)
    }

    fn order(
        &self,
        job: &Job,
        class: &Class,
        assignment: &Assignment,
        placement: Placement,
        scope: Scope,
    ) -> Order {
        Order {
            class: class.name.clone(),
            size: class.size,
            placement,
            pool: assignment.pool.clone(),
            scope,
            labels: job.facts.labels.clone(),
            repository: job.facts.repository.clone(),
            launched_for: job.id(),
            max_job_minutes: class.max_job_minutes.unwrap_or(self.rules.settings.limits.max_job_minutes),
            image: class.image.clone(),
            exec: class.exec,
        }
    }
}

fn pace_words(bucket: &Bucket, rate: Rate) -> String {
    match bucket {
        Bucket::GitHub(account) => {
            format!("{} registrations a minute for `{account}`", rate.per_minute)
        }
        Bucket::Fargate(market) => {
            format!("{} tasks a minute on {}", rate.per_minute, market.capacity_provider())
        }
    }
}
