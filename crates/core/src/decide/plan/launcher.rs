//! Checks what one launch needs: nothing that it depends on is held, a placement with capacity, a slot of each rate and
//! a slot of each limit.

mod needs;
mod probes;
mod to_fail;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::iter::Peekable;

use jiff::Timestamp;

use super::pool::Deficit;
use super::refusal::{Blocked, Cause, Refusal};
use super::slots::Slots;
use super::warm::{Starved, Want, WarmSupply};
use super::{Launch, Means, Order, Plan};
use crate::decide::budgets;
use crate::decide::images;
use crate::decide::learn::JUDGED;
use crate::decide::plan::choose::Underway;
use crate::decide::rerun;
use crate::id::{Account, ClassName, PoolId};
use crate::reason::{Code, Reason};
use crate::records::hold::{Held, Hold};
use crate::records::job::{Assignment, Job, JobState};
use crate::records::open::Open;
use crate::records::runner::{Runner, RunnerStage};
use crate::records::warm::{WarmStage, WarmState, WarmTask};
use crate::rules::Rules;
use crate::rules::class::size::Arch;
use crate::rules::class::{Capacity, Class};
use crate::rules::image::NEXT;
use crate::rules::pace::Bucket;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::wire::fault::Fault;

/// A job that is to get a runner, and what was found out about it.
struct Asked<'a> {
    job: &'a Job,
    class: &'a Class,
    assignment: &'a Assignment,
    scope: Scope,
    account: Account,
    /// The hold of its pool that its runner tries.
    of_pool: Option<&'a Hold>,
}

pub(super) struct Launcher<'a> {
    open: &'a Open,
    rules: Rules<'a>,
    means: Means<'a>,
    now: Timestamp,
    slots: Slots<'a>,
    underway: Underway,
    /// The last launch of each pool and class whose runner has no job yet: it may be a probe.
    waiting_pools: HashMap<PoolId, Timestamp>,
    waiting_classes: HashMap<ClassName, Timestamp>,
    /// The architectures for which a runner is launched that tries a new image.
    trials: BTreeSet<Arch>,
    /// Slots of each rate that runners will take before those that are launched now.
    owed: HashMap<Bucket, u32>,
    /// The jobs that got no runner because something is held.
    blocked: Vec<Blocked<'a>>,
    warm: WarmSupply<'a>,
    /// The jobs that got no runner because warm tasks may take their room.
    starved: Vec<Starved>,
}

impl<'a> Launcher<'a> {
    pub(super) fn new(open: &'a Open, rules: Rules<'a>, means: Means<'a>, now: Timestamp) -> Self {
        let is_unregistered = |scope: &Scope| {
            let held = [Held::Scope(scope.clone()), Held::Account((means.account)(scope))];
            held.into_iter().any(|held| open.holds.contains_key(&held))
        };
        let mut owed: HashMap<Bucket, u32> = HashMap::new();
        for runner in open.runners.values().filter(|runner| runner.awaits_configuration()) {
            let account = (means.account)(&runner.facts.scope);
            let mut owes = |bucket: Bucket| {
                if !(means.has_slot)(runner.name(), &bucket) {
                    *owed.entry(bucket).or_default() += 1;
                }
            };
            if runner.awaits_task() {
                owes(Bucket::Fargate(runner.placement.market));
            }
            // Where GitHub registers no runner, a runner takes no slot either.
            if !is_unregistered(&runner.facts.scope) {
                owes(Bucket::GitHub(account));
            }
        }
        for warm in open.warm.values().filter(|warm| warm.state == WarmState::Reserved) {
            *owed.entry(Bucket::Fargate(warm.placement.market)).or_default() += 1;
        }
        let (mut waiting_pools, mut waiting_classes) = (HashMap::new(), HashMap::new());
        // Without holds there is nothing to try. Where jobs are refused, a try that has a job may still be refused.
        let is_refused_pool = |pool: &PoolId| {
            open.holds.get(&Held::Pool(pool.clone())).is_some_and(|hold| hold.fault == Fault::JobRefused)
        };
        let is_try = |runner: &Runner| {
            let is_new = |busy| now.duration_since(busy) <= JUDGED;
            runner.probe
                && is_refused_pool(&runner.facts.pool)
                && runner.takes_slot()
                && runner.timeline.at(RunnerStage::Busy).is_some_and(is_new)
        };
        let waits = |runner: &&Runner| runner.is_supply() || is_try(runner);
        let supply = open.runners.values().filter(|_| !open.holds.is_empty()).filter(waits);
        for runner in supply {
            let began = runner.timeline.began();
            let latest = |at: &mut Timestamp| *at = began.max(*at);
            latest(waiting_pools.entry(runner.facts.pool.clone()).or_insert(began));
            // A runner that GitHub does not register shows nothing about its class.
            if !(runner.awaits_task() && is_unregistered(&runner.facts.scope)) {
                latest(waiting_classes.entry(runner.facts.class.clone()).or_insert(began));
            }
        }
        Self {
            open,
            rules,
            means,
            now,
            slots: Slots::count(open, rules),
            underway: if open.holds.is_empty() { Underway::default() } else { Underway::of(open) },
            waiting_pools,
            waiting_classes,
            trials: BTreeSet::new(),
            owed,
            blocked: Vec::new(),
            warm: WarmSupply::of(open, rules, means, now),
            starved: Vec::new(),
        }
    }

    /// Tries scopes in which a runner is reserved that cannot be given back, so that it does not wait for ever.
    pub(super) fn probe_for_reserved(&self, plan: &mut Plan) {
        for runner in self.open.runners.values().filter(|runner| runner.awaits_task()) {
            let account = (self.means.account)(&runner.facts.scope);
            // Whatever the answer is, the runner's own step waits for it.
            let _held = self.admits_scope(&runner.facts.scope, &account, plan);
        }
    }

    /// Launches for the oldest job first, regardless of its pool. Each pool's deficits are in this order.
    pub(super) fn launch_oldest_first(&mut self, deficits: Vec<Vec<Deficit<'a>>>, plan: &mut Plan) {
        let key = |deficit: &Deficit<'_>| Reverse((deficit.job.created_at, deficit.job.id()));
        let mut pools: Vec<_> = deficits.into_iter().map(|of_pool| of_pool.into_iter().peekable()).collect();
        let heads = (0..).zip(&mut pools).filter_map(|(number, pool)| Some((pool.peek()?.job, number)));
        let heads = self.with_probes_in_turn(heads.collect());
        let mut oldest: BinaryHeap<_> =
            heads.into_iter().map(|(age, number)| (Reverse(age), number)).collect();
        while let Some((_, number)) = oldest.pop() {
            let pool: &mut Peekable<_> = &mut pools[number];
            let Some(deficit) = pool.next() else { continue };
            match self.launch(deficit.job, &deficit.reason, plan) {
                Ok(launch) => plan.launches.push(launch),
                Err(refusal) => {
                    // What a launch needs only becomes less while a plan is made.
                    let is_like = |next: &Deficit<'a>| self.is_like(next.job, deficit.job, &refusal);
                    let alike: Vec<_> = std::iter::from_fn(|| pool.next_if(is_like)).collect();
                    for waiting in std::iter::once(deficit).chain(alike) {
                        self.refuse(waiting.job, &refusal, plan);
                    }
                }
            }
            if let Some(next) = pool.peek() {
                oldest.push((key(next), number));
            }
        }
    }

    /// Whether a job of the same pool needs nothing else than the one that was refused: then it is refused too. Jobs of
    /// one pool may be of different classes, if the catalogue has changed; of different repositories; and one that is run
    /// again may need other capacity.
    fn is_like(&self, job: &Job, refused: &Job, refusal: &Refusal) -> bool {
        let needs_on_demand =
            |job: &Job| rerun::capacity(self.open, &job.facts, Capacity::Spot) == Capacity::OnDemand;
        job.assignment() == refused.assignment()
            && (self.open.reruns.is_empty() || needs_on_demand(job) == needs_on_demand(refused))
            && (!matches!(refusal.reason.code(), Code::LimitRepository | Code::BudgetSpent)
                || job.facts.repository == refused.facts.repository)
    }

    fn refuse(&mut self, job: &'a Job, refusal: &Refusal, plan: &mut Plan) {
        if let Some(want) = Want::of(refusal)
            && let Some(class) =
                job.assignment().and_then(|assignment| self.rules.catalogue.get(&assignment.class))
        {
            let capacity = rerun::capacity(self.open, &job.facts, class.capacity);
            // A warm task is on Fargate, whose capacity is no class's of instances.
            if want != Want::Capacity || !class.is_managed() {
                let (class, arch) = (class.name.clone(), class.size.arch());
                self.starved.push(Starved { want, class, arch, capacity });
            }
        }
        match &refusal.cause {
            Cause::NoClass => plan.judge_again(job, self.rules, self.now),
            Cause::Held(back) => {
                self.blocked.push(Blocked { job, reason: refusal.reason.clone(), back: back.clone() });
            }
            Cause::Passing | Cause::Pace(_) => {}
        }
        plan.wait(job, refusal.reason.clone());
    }

    /// Returns the jobs that got no runner because something is held.
    pub(super) fn blocked(&mut self) -> Vec<Blocked<'a>> {
        std::mem::take(&mut self.blocked)
    }

    pub(super) fn launch(
        &mut self,
        job: &'a Job,
        reason: &Reason,
        plan: &mut Plan,
    ) -> Result<Launch, Refusal> {
        let JobState::Queued { assignment, .. } = &job.state else {
            return Err(Reason::from(Code::ToPlan).into());
        };
        let settings = self.rules.settings;
        if settings.paused {
            return Err(Reason::from(Code::Paused).into());
        }
        let class = self.class(assignment)?;
        self.admits_budget(class, job, plan)?;
        let scope = settings.registration.scope(&job.facts.repository);
        let account = (self.means.account)(&scope);
        self.admits_scope(&scope, &account, plan)?;
        let of_pool = self.admits_pool(&assignment.pool, plan)?;
        let asked = Asked { job, class, assignment, scope, account, of_pool };
        let warm = self.find_warm(&asked);
        let (order, warm) = match warm {
            // A runner that is to try an image starts from it. The job does not wait for that.
            Some(warm) if self.image(class).is_ok_and(|image| image != warm.facts.image) => {
                match self.launch_task(&asked, plan) {
                    Ok(order) => (order, None),
                    Err(_) => (self.take_over(warm, &asked, plan)?, Some(warm)),
                }
            }
            Some(warm) => (self.take_over(warm, &asked, plan)?, Some(warm)),
            None => (self.launch_task(&asked, plan)?, None),
        };
        let warm = warm.map(|warm| warm.name().clone());
        Ok(Launch { job: job.id(), job_version: job.version, order, warm, reason: reason.clone() })
    }

    /// Whether no budget holds back launches for the job.
    fn admits_budget(&self, class: &Class, job: &Job, plan: &mut Plan) -> Result<(), Refusal> {
        let repository = Some(&job.facts.repository);
        match budgets::holding(self.open, self.rules, &class.name, repository, self.now) {
            Some(over) => {
                plan.wake_at(over.until());
                Err(budgets::reason(over).into())
            }
            None => Ok(()),
        }
    }

    /// Orders a runner with a task of its own.
    fn launch_task(&mut self, asked: &Asked<'a>, plan: &mut Plan) -> Result<Order, Refusal> {
        let &Asked { job, class, assignment, of_pool, .. } = asked;
        let settings = self.rules.settings;
        let of_class = self.admits_class(class, plan)?;
        let image = self.image(class)?;
        let (placement, of_placement) = self.placement(class, job, of_pool, plan)?;
        let buckets = [Bucket::Fargate(placement.market), Bucket::GitHub(asked.account.clone())];
        self.admits_pace(&buckets, plan)?;
        self.slots.take(class, &job.facts.repository, &settings.limits)?;
        buckets.into_iter().for_each(|bucket| self.owe(bucket));
        self.underway.add(&placement, class);
        self.waiting_pools.insert(assignment.pool.clone(), self.now);
        self.waiting_classes.insert(class.name.clone(), self.now);
        // The first that starts from an image to be tried is its trial, if there is one.
        if image.as_deref().is_none_or(|image| image == NEXT) {
            self.trials.insert(class.size.arch());
        }
        let mut order = self.order(job, class, assignment, placement, asked.scope.clone());
        let tries_image = images::tries(image.as_deref(), class.size.arch(), self.open);
        order.image = image;
        order.probe = of_pool.is_some() || of_class.is_some() || of_placement || tries_image;
        Ok(order)
    }

    /// Returns a warm task for the job. Where runners of the class fail after their container has started, it would too.
    /// Where containers do not start, only one that has started is taken.
    fn find_warm(&self, asked: &Asked<'a>) -> Option<&'a WarmTask> {
        let hold = |held: &Held| self.open.holds.get(held).filter(|hold| hold.is_effective());
        let of_class = hold(&Held::Class(asked.class.name.clone()));
        let suits = |warm: &WarmTask| {
            let there = hold(&Held::class_in(asked.class.name.clone(), warm.placement.clone()));
            let mut holds = of_class.into_iter().chain(there);
            holds.all(|hold| hold.fault.is_before_boot() && warm.stage() == WarmStage::Warm)
        };
        let capacity = rerun::capacity(self.open, &asked.job.facts, asked.class.capacity);
        self.warm.find(&asked.class.name, capacity, suits)
    }

    /// Orders a runner that takes over a warm task. It needs no room, and waits for GitHub's rate alone.
    fn take_over(
        &mut self,
        warm: &'a WarmTask,
        asked: &Asked<'a>,
        plan: &mut Plan,
    ) -> Result<Order, Refusal> {
        let bucket = Bucket::GitHub(asked.account.clone());
        self.admits_pace(std::slice::from_ref(&bucket), plan)?;
        self.slots.take_over(&asked.job.facts.repository, &self.rules.settings.limits)?;
        self.owe(bucket);
        self.warm.take(warm);
        self.waiting_pools.insert(asked.assignment.pool.clone(), self.now);
        let facts = &warm.facts;
        Ok(Order {
            size: facts.size,
            max_job_minutes: facts.max_job_minutes,
            wait_limits: facts.wait_limits,
            image: facts.image.clone(),
            exec: facts.exec,
            probe: asked.of_pool.is_some(),
            ..self.order(
                asked.job,
                asked.class,
                asked.assignment,
                warm.placement.clone(),
                asked.scope.clone(),
            )
        })
    }

    pub(super) fn has_taken(&self, warm: &WarmTask) -> bool {
        self.warm.taken.contains(warm.name())
    }

    pub(super) fn starved(&self) -> &[Starved] {
        &self.starved
    }

    pub(super) fn open(&self) -> &'a Open {
        self.open
    }

    pub(super) fn means(&self) -> Means<'a> {
        self.means
    }

    pub(super) fn slots(&mut self) -> &mut Slots<'a> {
        &mut self.slots
    }

    pub(super) fn underway(&mut self) -> &mut Underway {
        &mut self.underway
    }

    /// Counts a slot of a rate that a launch of this plan will take.
    pub(super) fn owe(&mut self, bucket: Bucket) {
        *self.owed.entry(bucket).or_default() += 1;
    }

    pub(super) fn rules(&self) -> Rules<'a> {
        self.rules
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
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
