//! What one launch needs, each by a question of its own: a class, a scope, a pool, an image, a placement, a rate.

use jiff::{SignedDuration, Timestamp};

use super::Launcher;
use crate::decide::images::{self, Choice};
use crate::decide::plan::choose::{Choices, Wanted};
use crate::decide::plan::refusal::{Cause, HeldBack, HeldBy, Refusal};
use crate::decide::plan::{Plan, Probe, resting};
use crate::decide::rerun;
use crate::id::{Account, PoolId};
use crate::reason::{Code, Reason};
use crate::records::hold::{Held, Hold};
use crate::records::job::{Assignment, Job};
use crate::rules::class::Class;
use crate::rules::pace::{Bucket, Rate};
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::wire::fault::{Fault, Suspect};

/// The shortest wait of launches for their rate, so that they are planned in batches.
const PACE_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// How long to wait, each time, for the result of a try.
const TRIED: SignedDuration = SignedDuration::from_secs(10);

impl<'a> Launcher<'a> {
    pub(super) fn class(&self, assignment: &Assignment) -> Result<&'a Class, Refusal> {
        self.rules.catalogue.get(&assignment.class).ok_or_else(|| {
            let names = self.rules.catalogue.names();
            let detail = format!("`{}` is no longer in the catalogue, which has {names}", assignment.class);
            Refusal { reason: Reason::with(Code::ClassUnknown, detail), cause: Cause::NoClass }
        })
    }

    /// No task is launched to try a scope: a registration alone shows whether GitHub accepts it.
    pub(super) fn admits_scope(
        &self,
        scope: &Scope,
        account: &Account,
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        let of_scope = self.open.holds.get(&Held::Scope(scope.clone()));
        let of_account = self.open.holds.get(&Held::Account(account.clone()));
        let Some(hold) = of_scope.or(of_account) else { return Ok(()) };
        if self.now < hold.not_before {
            plan.wake_at(hold.not_before);
        } else {
            let failures = of_scope.map_or(0, |hold| hold.failures);
            plan.probe(Probe { scope: scope.clone(), account: account.clone(), failures });
        }
        let by = match of_scope {
            Some(_) => HeldBy::Scope(scope.clone()),
            None => HeldBy::Account(account.clone()),
        };
        Err(Refusal::held(resting::reason(hold), by, hold))
    }

    /// While a pool is held, one of its runners is launched at a time. Returns the hold that it is to try.
    pub(super) fn admits_pool(&self, pool: &PoolId, plan: &mut Plan) -> Result<Option<&'a Hold>, Refusal> {
        let hold = self.open.holds.get(&Held::Pool(pool.clone())).filter(|hold| hold.is_effective());
        let Some(hold) = hold else { return Ok(None) };
        if self.is_held(hold, self.waiting_pools.get(pool), plan) {
            let code = match hold.fault {
                Fault::JobRefused => return Err(Reason::from(Code::PoolRefused).into()),
                fault if fault.suspect() == Suspect::Use => Code::PoolUnused,
                _ => Code::PoolHeld,
            };
            let by = HeldBy::Pool(pool.clone());
            return Err(Refusal::held(Reason::with(code, &hold.words), by, hold));
        }
        Ok(Some(hold))
    }

    /// Returns the image to start from: one runner at a time tries a new one.
    pub(super) fn image(&self, class: &Class) -> Result<Option<String>, Reason> {
        let may_try = !self.trials.contains(&class.size.arch());
        match images::choose(class, self.means.images, self.open, may_try) {
            Choice::Image(image) => Ok(image),
            Choice::Wait(reason) => Err(reason),
        }
    }

    /// While a class is held, one of its runners is launched at a time.
    pub(super) fn admits_class(&self, class: &Class, plan: &mut Plan) -> Result<Option<&'a Hold>, Refusal> {
        let hold = self.open.holds.get(&Held::Class(class.name.clone())).filter(|hold| hold.is_effective());
        let Some(hold) = hold else { return Ok(None) };
        if self.is_held(hold, self.waiting_classes.get(&class.name), plan) {
            let by = HeldBy::Class(class.name.clone());
            return Err(Refusal::held(Reason::with(Code::ClassHeld, &hold.words), by, hold));
        }
        Ok(Some(hold))
    }

    /// Whether no runner is launched now under a hold whose last runner without a job was launched then. A runner
    /// that was launched since launches are held is the try, also if one of before fails meanwhile.
    fn is_held(&self, hold: &Hold, launched: Option<&Timestamp>, plan: &mut Plan) -> bool {
        let is_tried = launched.is_some_and(|launched| *launched > hold.since);
        // Not every success alters the plan by itself.
        let again_at = if is_tried { self.now + TRIED } else { hold.not_before };
        let is_held = is_tried || self.now < hold.not_before;
        if is_held {
            plan.wake_at(again_at);
        }
        is_held
    }

    /// Returns the placement, and whether it is tried because it is held.
    pub(super) fn placement(
        &self,
        class: &Class,
        job: &Job,
        of_pool: Option<&Hold>,
        plan: &mut Plan,
    ) -> Result<(Placement, bool), Refusal> {
        let choices = self.choices();
        // A further try of a held pool begins with another subnet.
        let turn = of_pool.map_or(0, |hold| u64::from(hold.failures));
        let capacity = rerun::capacity(self.open, &job.facts, class.capacity);
        let wanted = Wanted::of(class, capacity);
        let chosen = choices.choose(wanted, job.id().get().wrapping_add(turn), self.now);
        chosen.map_err(|none| {
            plan.wake_at(none.not_before.unwrap_or(self.now + TRIED));
            let by = match none.reason.code() {
                Code::NoCapacity if class.is_managed() => HeldBy::Instances(class.name.clone()),
                Code::NoCapacity => HeldBy::Capacity(class.size.arch()),
                _ => HeldBy::ClassInPlacements(class.name.clone()),
            };
            let cause = match none.since {
                Some(since) => Cause::Held(HeldBack { by, since }),
                None => Cause::Passing,
            };
            Refusal { reason: none.reason, cause }
        })
    }

    pub(in crate::decide::plan) fn choices(&self) -> Choices<'_> {
        Choices { subnets: self.means.subnets, holds: &self.open.holds, underway: &self.underway }
    }

    pub(in crate::decide::plan) fn admits_pace(
        &self,
        buckets: &[Bucket],
        plan: &mut Plan,
    ) -> Result<(), Refusal> {
        for bucket in buckets {
            let (rate, owed) = (self.rate(bucket), self.owed.get(bucket).copied().unwrap_or(0));
            let level = self.open.level(bucket, &self.rules.settings.paces, self.now);
            if owed >= rate.within(level, self.now, self.means.ahead) {
                let next_at = rate.next_at(Some(rate.take(level, owed, self.now)), self.now);
                plan.wake_at((next_at - self.means.ahead).max(self.now + PACE_PAUSE));
                let reason = Reason::with(Code::Pace, pace_words(bucket, rate));
                return Err(Refusal { reason, cause: Cause::Pace(bucket.clone()) });
            }
        }
        Ok(())
    }

    fn rate(&self, bucket: &Bucket) -> Rate {
        self.rules.settings.paces.rate(bucket)
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
