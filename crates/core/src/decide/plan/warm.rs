//! Warm tasks as a level: how many each class should have now, which of them a job can use, and which are to end.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::launcher::Launcher;
use super::refusal::{Cause, Refusal};
use super::{Means, Plan};
use crate::decide::budgets;
use crate::decide::images::{self, Choice};
use crate::decide::plan::choose::Wanted;
use crate::id::{ClassName, Epoch, Version, WarmName};
use crate::reason::Code;
use crate::records::hold::{Held, Hold};
use crate::records::open::Open;
use crate::records::timeline::Timeline;
use crate::records::warm::{WarmEnd, WarmFacts, WarmStage, WarmState, WarmTask};
use crate::rules::Rules;
use crate::rules::class::size::Arch;
use crate::rules::class::{Capacity, Class};
use crate::rules::cost::Market;
use crate::rules::limits::WaitLimits;
use crate::rules::pace::Bucket;
use crate::rules::placement::Placement;
use crate::wire::fault::Fault;

/// How long before its greatest age a task is replaced, so that its successor has booted by then.
const RENEWAL: SignedDuration = SignedDuration::from_mins(5);
/// How long to wait, each time, until what a launch waits for may have changed.
const LATER: SignedDuration = SignedDuration::from_secs(30);
const NEVER_STARTED: &str = "its task was accepted, and its container never ran";

/// A warm task to launch, before it has a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WarmOrder {
    class: Class,
    max_job_minutes: u32,
    wait_limits: WaitLimits,
    hook_limit_secs: u32,
    max_age: SignedDuration,
    image: Option<String>,
    digest: Option<String>,
    placement: Placement,
}

impl WarmOrder {
    #[must_use]
    pub fn class(&self) -> &ClassName {
        &self.class.name
    }

    /// Returns the record of the reserved task.
    #[must_use]
    pub fn reserve(&self, name: WarmName, epoch: Epoch, at: Timestamp) -> WarmTask {
        WarmTask {
            facts: WarmFacts {
                name,
                class: self.class.name.clone(),
                size: self.class.size,
                max_job_minutes: self.max_job_minutes,
                wait_limits: self.wait_limits,
                hook_limit_secs: self.hook_limit_secs,
                max_age: self.max_age,
                image: self.image.clone(),
                digest: self.digest.clone(),
                exec: self.class.exec,
                services: self.class.services_digest.clone(),
            },
            version: Version::FIRST,
            epoch,
            timeline: Timeline::begin(WarmStage::Reserved, at),
            placement: self.placement.clone(),
            retry: None,
            state: WarmState::Reserved,
        }
    }
}

/// A warm task to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WarmRetirement {
    pub name: WarmName,
    pub kind: WarmEnd,
    pub words: Option<String>,
    pub fault: Option<Fault>,
}

/// The warm tasks that jobs can use.
#[derive(Default, Debug)]
pub(super) struct WarmSupply<'a> {
    /// Those with a task, of each class: the best last.
    free: HashMap<&'a ClassName, Vec<&'a WarmTask>>,
    /// Those that this plan gives to jobs.
    pub(super) taken: HashSet<&'a WarmName>,
}

impl<'a> WarmSupply<'a> {
    pub(super) fn of(open: &'a Open, rules: Rules<'_>, means: Means<'_>, now: Timestamp) -> Self {
        let mut supply = Self::default();
        for warm in open.warm.values() {
            let is_usable = matches!(warm.state, WarmState::Starting(_) | WarmState::Warm(_))
                && now < ages_at(warm)
                && is_current(warm, rules, means, open);
            if is_usable {
                supply.free.entry(&warm.facts.class).or_default().push(warm);
            }
        }
        // One that has booted serves at once; of those, the oldest has the least time left.
        for of_class in supply.free.values_mut() {
            let is_booted = |warm: &WarmTask| warm.stage() == WarmStage::Warm;
            of_class.sort_by_key(|warm| (is_booted(warm), Reverse(warm.timeline.began())));
        }
        supply
    }

    /// Returns the best one of a class that runs on capacity of this kind and suits.
    pub(super) fn find(
        &self,
        class: &ClassName,
        capacity: Capacity,
        suits: impl Fn(&WarmTask) -> bool,
    ) -> Option<&'a WarmTask> {
        let is_fit = |warm: &&&WarmTask| may_run_on(warm.placement.market, capacity) && suits(warm);
        self.free.get(class)?.iter().rev().find(is_fit).copied()
    }

    pub(super) fn take(&mut self, warm: &'a WarmTask) {
        self.taken.insert(warm.name());
        if let Some(of_class) = self.free.get_mut(&warm.facts.class) {
            of_class.retain(|other| other.name() != warm.name());
        }
    }
}

fn may_run_on(market: Market, capacity: Capacity) -> bool {
    match capacity {
        Capacity::OnDemand => market == Market::OnDemand,
        Capacity::Spot => market == Market::Spot,
        Capacity::SpotThenOnDemand => true,
    }
}

fn ages_at(warm: &WarmTask) -> Timestamp {
    warm.timeline.began() + warm.facts.max_age
}

/// Whether a task that was launched now would be like it.
fn is_current(warm: &WarmTask, rules: Rules<'_>, means: Means<'_>, open: &Open) -> bool {
    let facts = &warm.facts;
    let Some(class) = rules.catalogue.get(&facts.class) else { return false };
    let limits = &rules.settings.limits;
    let is_image = match images::choose(class, means.images, open, false) {
        Choice::Image(image) => {
            image == facts.image
                && (facts.digest.is_none()
                    || image.is_some()
                    || digest(open, facts.size.arch()) == facts.digest)
        }
        // There is none at present for others; it has its own already.
        Choice::Wait(_) => true,
    };
    // A warm task is on Fargate and has no Docker engine.
    is_image
        && !class.is_managed()
        && !class.docker
        && class.size == facts.size
        && class.exec == facts.exec
        && class.services_digest == facts.services
        && class.max_job_minutes.unwrap_or(limits.max_job_minutes) == facts.max_job_minutes
        && limits.waiting() == facts.wait_limits
        && limits.hook_limit_secs() == facts.hook_limit_secs
        && may_run_on(warm.placement.market, class.capacity)
}

/// The digest of the deployment's own image, to which its tag points now.
fn digest(open: &Open, arch: Arch) -> Option<String> {
    Some(open.images.get(&arch)?.current.as_ref()?.digest.clone())
}

/// Whether anything is to be planned about warm tasks.
pub(super) fn concerns(open: &Open, rules: Rules<'_>) -> bool {
    !open.warm.is_empty() || rules.catalogue.iter().any(|class| class.warm.is_some())
}

/// Ends the warm tasks that are no longer wanted, and launches those that are missing. Jobs come first: a task for which
/// a job has no room ends.
pub(super) fn level(launcher: &mut Launcher<'_>, plan: &mut Plan) {
    let (open, rules, means, now) = (launcher.open(), launcher.rules(), launcher.means(), launcher.now());
    let mut kept: HashMap<&ClassName, Vec<&WarmTask>> = HashMap::new();
    let mut all = 0;
    let supply = |warm: &&WarmTask| warm.is_supply() && !launcher.has_taken(warm);
    for warm in open.warm.values().filter(supply) {
        match end_of(warm, rules, means, open, now, plan) {
            Some(retirement) => plan.warm_retirements.push(retirement),
            None => {
                all += 1;
                kept.entry(&warm.facts.class).or_default().push(warm);
            }
        }
    }
    let limits = &rules.settings.limits;
    // Those that end and have not stopped yet are there as well, and perhaps those with a record that cannot be read.
    let ending = open.warm.values().filter(|warm| warm.takes_slot() && !warm.is_supply()).count();
    let ending = ending + plan.warm_retirements.len() + open.unreadable_warm;
    let mut room = (limits.max_warm as usize).saturating_sub(all + ending);
    let mut left = limits.max_warm as usize;
    let mut missing = Vec::new();
    for class in rules.catalogue.iter() {
        let wanted = wanted(class, open, rules, now, plan).min(left);
        left -= wanted;
        let mut of_class = kept.remove(&class.name).unwrap_or_default();
        let renewed = |warm: &&WarmTask| now < ages_at(warm) - RENEWAL;
        // The least is lost with the youngest that have not booted.
        of_class.sort_by_key(|warm| (warm.stage() != WarmStage::Warm, warm.timeline.began()));
        let lasting = of_class.iter().copied().filter(renewed).count();
        // Those that are being renewed stay until then.
        let most = if wanted == 0 { 0 } else { wanted + of_class.len() - lasting };
        for warm in of_class.iter().skip(most) {
            plan.warm_retirements.push(retirement(warm, WarmEnd::Surplus));
        }
        missing.push((class, wanted.saturating_sub(lasting), of_class));
    }
    // Classes that are no longer in the catalogue are outdated, so nothing is kept of them.
    launcher.yield_warm(plan);
    for (class, missing, of_class) in missing {
        if launcher.starved().iter().any(|starved| starved.comes_before(class)) {
            continue;
        }
        for number in 0..missing.min(room) {
            match launcher.warm(class, &of_class, number, plan) {
                Some(order) => plan.warm_launches.push(order),
                None => break,
            }
            room -= 1;
        }
    }
}

/// How many tasks of a class should be warm now.
fn wanted(class: &Class, open: &Open, rules: Rules<'_>, now: Timestamp, plan: &mut Plan) -> usize {
    let Some(warm) = &class.warm else { return 0 };
    if rules.settings.paused {
        return 0;
    }
    if let Some(over) = budgets::holding(open, rules, &class.name, None, now) {
        plan.wake_at(over.until());
        return 0;
    }
    if let Some(at) = warm.schedule.next_change(now) {
        plan.wake_at(at);
    }
    if warm.schedule.is_active(now) { warm.count as usize } else { 0 }
}

/// Whether a task is to end for what it is itself.
fn end_of(
    warm: &WarmTask,
    rules: Rules<'_>,
    means: Means<'_>,
    open: &Open,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<WarmRetirement> {
    if !is_current(warm, rules, means, open) {
        return Some(retirement(warm, WarmEnd::Outdated));
    }
    if let (WarmState::Starting(_), Some(since)) = (&warm.state, warm.timeline.at(WarmStage::Starting)) {
        let until = since + warm.facts.wait_limits.longest_start(false);
        if now >= until {
            let (words, fault) = (Some(NEVER_STARTED.to_owned()), Some(Fault::NeverStarted));
            return Some(WarmRetirement { words, fault, ..retirement(warm, WarmEnd::Failed) });
        }
        plan.wake_at(until);
    }
    let ages_at = ages_at(warm);
    if now >= ages_at {
        return Some(retirement(warm, WarmEnd::Aged));
    }
    plan.wake_at(if now < ages_at - RENEWAL { ages_at - RENEWAL } else { ages_at });
    None
}

fn retirement(warm: &WarmTask, kind: WarmEnd) -> WarmRetirement {
    WarmRetirement { name: warm.name().clone(), kind, words: None, fault: None }
}

impl<'a> Launcher<'a> {
    /// Orders one more warm task of a class; `None` if something is in its way.
    fn warm(
        &mut self,
        class: &'a Class,
        others: &[&WarmTask],
        number: usize,
        plan: &mut Plan,
    ) -> Option<WarmOrder> {
        let (open, now) = (self.open(), self.now());
        let of_class = open.holds.get(&Held::Class(class.name.clone())).filter(|hold| hold.is_effective());
        let of_warm = open.holds.get(&Held::Warm(class.name.clone()));
        if let Some(hold) = of_class.or(of_warm).filter(|hold| now < hold.not_before) {
            plan.wake_at(hold.not_before);
            return None;
        }
        // A job's runner tries a class that is held. While warm tasks fail, one at a time shows whether they still do.
        let tries = |hold: &Hold| {
            let is_try =
                |warm: &&WarmTask| warm.stage() != WarmStage::Warm || warm.timeline.began() > hold.latest;
            number > 0 || others.iter().any(is_try)
        };
        if of_class.is_some() || of_warm.is_some_and(tries) {
            plan.wake_at(now + LATER);
            return None;
        }
        let Choice::Image(image) = images::choose(class, self.means().images, open, false) else {
            plan.wake_at(now + LATER);
            return None;
        };
        let wanted = Wanted::of(class, class.capacity);
        let spread = (others.len() + number) as u64;
        let placement = match self.choices().choose(wanted, spread, now) {
            Ok((placement, false)) => placement,
            // Jobs try placements that are held.
            Ok((_, true)) => return self.wait_for_placement(now + LATER, plan),
            Err(none) => return self.wait_for_placement(none.not_before.unwrap_or(now + LATER), plan),
        };
        let bucket = Bucket::Fargate(placement.market);
        self.admits_pace(std::slice::from_ref(&bucket), plan).ok()?;
        let limits = &self.rules().settings.limits;
        if !self.slots().take_warm(class, limits) {
            return None;
        }
        self.owe(bucket);
        self.underway().add_cpu(placement.quota(), class.size);
        let warm = class.warm.as_ref()?;
        let digest = image.is_none().then(|| digest(open, class.size.arch())).flatten();
        Some(WarmOrder {
            class: class.clone(),
            max_job_minutes: class.max_job_minutes.unwrap_or(limits.max_job_minutes),
            wait_limits: limits.waiting(),
            hook_limit_secs: limits.hook_limit_secs(),
            max_age: warm.max_age,
            image,
            digest,
            placement,
        })
    }

    fn wait_for_placement(&self, at: Timestamp, plan: &mut Plan) -> Option<WarmOrder> {
        plan.wake_at(at.max(self.now() + LATER));
        None
    }

    /// Ends warm tasks in whose place waiting jobs can have runners: one for each job, less those that end already.
    fn yield_warm(&mut self, plan: &mut Plan) {
        let open = self.open();
        let retired: HashSet<WarmName> = plan.warm_retirements.iter().map(|it| it.name.clone()).collect();
        let is_ending =
            |warm: &&WarmTask| warm.takes_slot() && (!warm.is_supply() || retired.contains(warm.name()));
        let mut ending: Vec<&WarmTask> = open.warm.values().filter(is_ending).collect();
        // One that is only reserved would be started before it could be stopped.
        let is_free = |warm: &&WarmTask| {
            warm.is_supply()
                && warm.task().is_some()
                && !self.has_taken(warm)
                && !retired.contains(warm.name())
        };
        let mut candidates: Vec<&WarmTask> = open.warm.values().filter(is_free).collect();
        candidates.sort_by_key(|warm| {
            (warm.stage() == WarmStage::Warm, Reverse((warm.timeline.began(), warm.name())))
        });
        for starved in self.starved().iter().filter(|starved| !matches!(starved.want, Want::Pace(_))) {
            let makes_room = |warm: &&WarmTask| match starved.want {
                Want::Slot => true,
                Want::SlotOfClass => warm.facts.class == starved.class,
                Want::Capacity => {
                    warm.facts.size.arch() == starved.arch
                        && may_run_on(warm.placement.market, starved.capacity)
                }
                Want::Pace(_) => false,
            };
            if let Some(place) = ending.iter().position(makes_room) {
                ending.remove(place);
            } else if let Some(place) = candidates.iter().position(makes_room) {
                let warm = candidates.remove(place);
                plan.warm_retirements.push(retirement(warm, WarmEnd::Yielded));
            }
        }
    }
}

/// What a job waits for that warm tasks use too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    /// A slot of the deployment.
    Slot,
    SlotOfClass,
    Capacity,
    /// A slot of AWS's rate on this market. GitHub's rate is none that warm tasks use.
    Pace(Market),
}

impl Want {
    pub(super) fn of(refusal: &Refusal) -> Option<Self> {
        match (refusal.reason.code(), &refusal.cause) {
            (Code::LimitDeployment, _) => Some(Self::Slot),
            (Code::LimitClass, _) => Some(Self::SlotOfClass),
            (Code::NoCapacity, _) => Some(Self::Capacity),
            (_, Cause::Pace(Bucket::Fargate(market))) => Some(Self::Pace(*market)),
            _ => None,
        }
    }
}

/// A job that got no runner, although it might if there were no warm tasks.
#[derive(Clone, Debug)]
pub(super) struct Starved {
    pub(super) want: Want,
    pub(super) class: ClassName,
    pub(super) arch: Arch,
    pub(super) capacity: Capacity,
}

impl Starved {
    /// Whether a warm task of that class would take what the job waits for.
    fn comes_before(&self, class: &Class) -> bool {
        match self.want {
            Want::Slot => true,
            Want::Pace(market) => may_run_on(market, class.capacity),
            Want::SlotOfClass => self.class == class.name,
            Want::Capacity => {
                let markets = [Market::OnDemand, Market::Spot].into_iter();
                let mut both = markets.filter(|market| may_run_on(*market, class.capacity));
                self.arch == class.size.arch() && both.any(|market| may_run_on(market, self.capacity))
            }
        }
    }
}

#[cfg(test)]
mod tests;
