//! Checks what one launch needs: nothing that it depends on is held, a placement with capacity, a slot of each rate and
//! a slot of each limit.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::slots::Slots;
use super::{Launch, Means, Order, Plan};
use crate::decide::plan::choose::{Choices, Underway, Wanted};
use crate::decide::rerun;
use crate::id::{Account, ClassName, PoolId};
use crate::reason::{Code, Reason};
use crate::records::hold::{Held, Hold};
use crate::records::job::{Assignment, Job, JobState};
use crate::records::open::Open;
use crate::rules::Rules;
use crate::rules::class::{Capacity, Class};
use crate::rules::pace::{Bucket, Rate};
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::wire::fault::Suspect;

/// The shortest wait of launches for their rate, so that they are planned in batches.
const PACE_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// A job that is failed ends in its first second; its runner ends after this time in any case.
const MAX_MINUTES_TO_FAIL: u32 = 10;

pub(super) struct Launcher<'a> {
    open: &'a Open,
    rules: Rules<'a>,
    means: Means<'a>,
    now: Timestamp,
    slots: Slots<'a>,
    underway: Underway,
    /// Pools and classes of which a runner has no job yet: it may be a probe.
    waiting_pools: HashSet<PoolId>,
    waiting_classes: HashSet<ClassName>,
    /// Slots of each rate that runners will take before those that are launched now.
    owed: HashMap<Bucket, u32>,
    /// What held back the last job of a pool. What a launch needs only becomes less within one plan.
    refused: HashMap<PoolId, Reason>,
}

impl<'a> Launcher<'a> {
    pub(super) fn new(open: &'a Open, rules: Rules<'a>, means: Means<'a>, now: Timestamp) -> Self {
        let mut owed: HashMap<Bucket, u32> = HashMap::new();
        for runner in open.runners.values().filter(|runner| !(means.has_slot)(runner.name())) {
            if runner.awaits_task() {
                *owed.entry(Bucket::Fargate(runner.placement.market)).or_default() += 1;
            }
            if runner.awaits_configuration() {
                *owed.entry(Bucket::GitHub((means.account)(&runner.facts.scope))).or_default() += 1;
            }
        }
        let waiting = || open.runners.values().filter(|runner| runner.is_supply());
        Self {
            open,
            rules,
            means,
            now,
            slots: Slots::count(open),
            underway: Underway::of(open),
            waiting_pools: waiting().map(|runner| runner.facts.pool.clone()).collect(),
            waiting_classes: waiting().map(|runner| runner.facts.class.clone()).collect(),
            owed,
            refused: HashMap::new(),
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
        if let Some(reason) = self.refused.get(&assignment.pool) {
            return Err(reason.clone());
        }
        self.try_launch(job, assignment, reason, plan).inspect_err(|reason| {
            // Jobs of one pool may belong to different repositories.
            if reason.code() != Code::LimitRepository {
                self.refused.insert(assignment.pool.clone(), reason.clone());
            }
        })
    }

    fn try_launch(
        &mut self,
        job: &'a Job,
        assignment: &Assignment,
        reason: &Reason,
        plan: &mut Plan,
    ) -> Result<Launch, Reason> {
        let settings = self.rules.settings;
        if settings.paused {
            return Err(Code::Paused.into());
        }
        let class = self.class(assignment)?;
        let scope = settings.registration.scope(&job.facts.repository);
        let account = (self.means.account)(&scope);
        self.admits_scope(&scope, &account, plan)?;
        let of_pool = self.admits_pool(&assignment.pool, plan)?;
        let of_class = self.admits_class(class, plan)?;
        let (placement, of_placement) = self.placement(class, job, of_pool, plan)?;
        let buckets = [Bucket::Fargate(placement.market), Bucket::GitHub(account)];
        self.admits_pace(&buckets, plan)?;
        self.slots.take(class, &job.facts.repository, &settings.limits)?;
        for bucket in buckets {
            *self.owed.entry(bucket).or_default() += 1;
        }
        self.underway.add(&placement, class);
        self.waiting_pools.insert(assignment.pool.clone());
        self.waiting_classes.insert(class.name.clone());
        let mut order = self.order(job, class, assignment, placement, scope);
        order.probe = of_pool.is_some() || of_class.is_some() || of_placement;
        Ok(Launch { job: job.id(), job_version: job.version, order, reason: reason.clone() })
    }

    pub(super) fn rules(&self) -> Rules<'a> {
        self.rules
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether a runner can be launched that fails the job: one can be registered in its scope, and a class is valid.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn can_fail(&self, job: &Job, reason: &Reason, plan: &mut Plan) -> Result<(), Reason> {
        let scope = self.rules.settings.registration.scope(&job.facts.repository);
        let account = (self.means.account)(&scope);
        self.admits_scope(&scope, &account, plan)?;
        if self.classes_to_fail().is_empty() { Err(reason.clone()) } else { Ok(()) }
    }

    /// Launches a runner that fails a job: of the smallest class whose runners start, in any placement with room.
    pub(super) fn launch_to_fail(
        &mut self,
        job: &'a Job,
        pool: &PoolId,
        reason: &Reason,
        plan: &mut Plan,
    ) -> Result<Launch, Reason> {
        let settings = self.rules.settings;
        let scope = settings.registration.scope(&job.facts.repository);
        let account = (self.means.account)(&scope);
        let mut refused = None;
        for class in self.classes_to_fail() {
            let placement = match self.placement_to_fail(class, job, plan) {
                Ok(placement) => placement,
                Err(reason) => {
                    refused.get_or_insert(reason);
                    continue;
                }
            };
            let buckets = [Bucket::Fargate(placement.market), Bucket::GitHub(account.clone())];
            self.admits_pace(&buckets, plan)?;
            if let Err(reason) = self.slots.take(class, &job.facts.repository, &settings.limits) {
                refused.get_or_insert(reason);
                continue;
            }
            for bucket in buckets {
                *self.owed.entry(bucket).or_default() += 1;
            }
            self.underway.add(&placement, class);
            let assignment = Assignment { class: class.name.clone(), pool: pool.clone() };
            let order = self.order(job, class, &assignment, placement, scope);
            let max_job_minutes = order.max_job_minutes.min(MAX_MINUTES_TO_FAIL);
            let order = Order { fails: true, max_job_minutes, ..order };
            return Ok(Launch { job: job.id(), job_version: job.version, order, reason: reason.clone() });
        }
        Err(refused.unwrap_or_else(|| reason.clone()))
    }

    /// Returns the classes whose runners are not known to fail, the smallest first.
    fn classes_to_fail(&self) -> Vec<&'a Class> {
        let is_held = |class: &&Class| {
            let hold = self.open.holds.get(&Held::Class(class.name.clone()));
            hold.is_some_and(Hold::is_effective)
        };
        let catalogue = self.rules.catalogue;
        let mut classes: Vec<&Class> = catalogue.iter().filter(|class| !is_held(class)).collect();
        classes.sort_unstable_by_key(|class| (class.size.cpu(), class.size.memory(), &class.name));
        classes
    }

    fn placement_to_fail(&self, class: &Class, job: &Job, plan: &mut Plan) -> Result<Placement, Reason> {
        let choices =
            Choices { subnets: self.means.subnets, holds: &self.open.holds, underway: &self.underway };
        let mut refused = None;
        // On-Demand first: the runner is not to be lost.
        for capacity in [Capacity::OnDemand, Capacity::Spot] {
            let wanted = Wanted { class: &class.name, capacity, size: class.size };
            match choices.choose(wanted, job.id().get(), self.now) {
                // A runner that tries a held placement serves a job.
                Ok((placement, false)) => return Ok(placement),
                Ok((_, true)) => {}
                Err(none) => {
                    if let Some(at) = none.not_before {
                        plan.wake_at(at);
                    }
                    refused.get_or_insert(none.reason);
                }
            }
        }
        Err(refused.unwrap_or_else(|| Code::NoCapacity.into()))
    }

    fn class(&self, assignment: &Assignment) -> Result<&'a Class, Reason> {
        self.rules.catalogue.get(&assignment.class).ok_or_else(|| {
            let names = self.rules.catalogue.names();
            let detail = format!("`{}` is no longer in the catalogue, which has {names}", assignment.class);
            Reason::with(Code::ClassUnknown, detail)
        })
    }

    /// No task is launched to try a scope: a registration alone shows whether GitHub accepts it.
    fn admits_scope(&self, scope: &Scope, account: &Account, plan: &mut Plan) -> Result<(), Reason> {
        let of_scope = self.open.holds.get(&Held::Scope(scope.clone()));
        let of_account = self.open.holds.get(&Held::Account(account.clone()));
        let Some(hold) = of_scope.or(of_account) else { return Ok(()) };
        if self.now < hold.not_before {
            plan.wake_at(hold.not_before);
        } else {
            plan.probe(scope, account);
        }
        let code = if hold.fault.rests_registrations() { Code::GithubUnavailable } else { Code::ScopeHeld };
        Err(Reason::with(code, &hold.words))
    }

    /// While a pool is held, one of its runners is launched at a time. Returns the hold that it is to try.
    fn admits_pool(&self, pool: &PoolId, plan: &mut Plan) -> Result<Option<&'a Hold>, Reason> {
        let Some(hold) = self.open.holds.get(&Held::Pool(pool.clone())) else { return Ok(None) };
        let is_tried = self.waiting_pools.contains(pool);
        if is_tried || self.now < hold.not_before {
            if !is_tried {
                plan.wake_at(hold.not_before);
            }
            let code = match hold.fault.suspect() {
                Suspect::Use => Code::PoolUnused,
                _ => Code::PoolHeld,
            };
            return Err(Reason::with(code, &hold.words));
        }
        Ok(Some(hold))
    }

    /// While a class is held, one of its runners is launched at a time.
    fn admits_class(&self, class: &Class, plan: &mut Plan) -> Result<Option<&'a Hold>, Reason> {
        let hold = self.open.holds.get(&Held::Class(class.name.clone())).filter(|hold| hold.is_effective());
        let Some(hold) = hold else { return Ok(None) };
        let is_tried = self.waiting_classes.contains(&class.name);
        if is_tried || self.now < hold.not_before {
            if !is_tried {
                plan.wake_at(hold.not_before);
            }
            return Err(Reason::with(Code::ClassHeld, &hold.words));
        }
        Ok(Some(hold))
    }

    /// Returns the placement, and whether it is tried because it is held.
    fn placement(
        &self,
        class: &Class,
        job: &Job,
        of_pool: Option<&Hold>,
        plan: &mut Plan,
    ) -> Result<(Placement, bool), Reason> {
        let choices =
            Choices { subnets: self.means.subnets, holds: &self.open.holds, underway: &self.underway };
        // A further try of a held pool begins with another subnet.
        let turn = of_pool.map_or(0, |hold| u64::from(hold.failures));
        let capacity = rerun::capacity(self.open, &job.facts, class.capacity);
        let wanted = Wanted { class: &class.name, capacity, size: class.size };
        let chosen = choices.choose(wanted, job.id().get().wrapping_add(turn), self.now);
        chosen.map_err(|none| {
            if let Some(at) = none.not_before {
                plan.wake_at(at);
            }
            none.reason
        })
    }

    fn admits_pace(&self, buckets: &[Bucket], plan: &mut Plan) -> Result<(), Reason> {
        for bucket in buckets {
            let (rate, owed) = (self.rate(bucket), self.owed.get(bucket).copied().unwrap_or(0));
            let level = self.open.levels.get(bucket).copied();
            if owed >= rate.within(level, self.now, self.means.ahead) {
                let next_at = rate.next_at(Some(rate.take(level, owed, self.now)), self.now);
                plan.wake_at((next_at - self.means.ahead).max(self.now + PACE_PAUSE));
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
        let limits = &self.rules.settings.limits;
        Order {
            class: class.name.clone(),
            size: class.size,
            placement,
            pool: assignment.pool.clone(),
            scope,
            labels: job.facts.labels.clone(),
            repository: job.facts.repository.clone(),
            launched_for: job.id(),
            max_job_minutes: class.max_job_minutes.unwrap_or(limits.max_job_minutes),
            wait_limits: limits.waiting(),
            image: class.image.clone(),
            exec: class.exec,
            probe: false,
            fails: false,
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
        Bucket::Failure(repository, _) => {
            format!("{} failed jobs an hour for `{repository}`", Bucket::FAILURES_AN_HOUR)
        }
    }
}
