//! Slots of a rate: an effect takes one and waits for its time. After AWS has throttled a launch, all others rest.

use std::time::Duration;

use ecsrunner_core::id::TaskId;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::pace::{Bucket, Level, Rate};
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::advance::StepError;
use super::chain;
use crate::ports::Clock;
use crate::ports::compute::{Compute, ComputeError, TaskOrder};
use crate::ports::store::{LevelSet, Levels, StoreError};
use crate::{Engine, World};

const TRIES: u32 = 8;
/// How long launches rest after AWS throttles one without giving a time.
const THROTTLED: Duration = Duration::from_secs(2);
/// How long a step waits for its slots, of all rates together: longer than launches are planned ahead.
const SLOT_WAIT: SignedDuration = SignedDuration::from_secs(6);
/// How soon a launch is tried again that waited in vain for the answer to the one that is tried alone.
const ANSWERED: SignedDuration = SignedDuration::from_secs(1);

impl<W: World> Engine<W> {
    /// Asks AWS for a task. If AWS throttles it, all launches on its market rest.
    pub(crate) async fn run(&self, order: &TaskOrder<'_>) -> Result<TaskId, ComputeError> {
        let (market, asked_at) = (order.placement.market, self.ports.clock.now());
        let answer = self.ports.compute.run_task(order).await;
        match answer {
            Err(ComputeError::Throttled { message, after }) => {
                let now = self.ports.clock.now();
                let until = self.cache.throttled(market, after.unwrap_or(THROTTLED), asked_at, now);
                if let Err(error) = self.rest(&Bucket::Fargate(market), until).await {
                    warn!(error = %chain(&error), "other processes do not know that AWS throttles launches");
                }
                let after = Duration::try_from(until.duration_since(now)).ok();
                Err(ComputeError::Throttled { message, after })
            }
            Err(ComputeError::Unanswered { .. }) => answer,
            _ => {
                self.cache.not_throttled(market, asked_at);
                answer
            }
        }
    }

    /// Until when a step that begins now waits for its slots.
    pub(crate) fn slots_by(&self) -> Timestamp {
        self.ports.clock.now() + SLOT_WAIT
    }

    /// Takes a bucket's next slot and waits until its time, if that is not after `by`.
    ///
    /// # Errors
    ///
    /// [`StepError::NotYet`] if it is; then no slot is taken.
    pub(crate) async fn await_slot(&self, bucket: &Bucket, by: Timestamp) -> Result<(), StepError> {
        loop {
            self.await_turn(bucket, by).await?;
            let usable_at = self
                .move_level(bucket, |rate, before, now| {
                    let at = rate.next_at(before, now);
                    // A slot of now costs no wait, however late it is.
                    if at > by.max(now) {
                        return Err(StepError::NotYet(at));
                    }
                    Ok((rate.take(before, 1, now), at))
                })
                .await?;
            self.sleep_until(usable_at).await;
            // AWS may have throttled another launch meanwhile. Then the slot is worth nothing.
            if self.admits(bucket) {
                return Ok(());
            }
        }
    }

    /// Waits while launches rest because AWS has throttled one, if they do not rest until after `by`.
    async fn await_turn(&self, bucket: &Bucket, by: Timestamp) -> Result<(), StepError> {
        let Bucket::Fargate(market) = bucket else { return Ok(()) };
        loop {
            let now = self.ports.clock.now();
            match self.cache.launch_rests_until(*market, now) {
                None => return Ok(()),
                Some(until) if until > by.max(now) => {
                    return Err(StepError::NotYet(until.max(now + ANSWERED)));
                }
                Some(until) => self.sleep_until(until).await,
            }
        }
    }

    /// Until when launches on this market rest, if that is too long for a step to wait for.
    pub(crate) fn rests_long(&self, market: Market) -> Option<Timestamp> {
        let until = self.cache.launch_rests_until(market, self.ports.clock.now())?;
        (until > self.slots_by()).then_some(until)
    }

    /// Whether a launch may use its slot of this bucket now.
    pub(crate) fn admits(&self, bucket: &Bucket) -> bool {
        let Bucket::Fargate(market) = bucket else { return true };
        let (now, paces) = (self.ports.clock.now(), &self.rules().settings.paces);
        let rate = paces.rate(bucket);
        let is_low = rate.available(self.cache.believed_level(bucket, paces, now), now) < rate.burst / 2;
        self.cache.admit_launch(*market, is_low, now)
    }

    async fn sleep_until(&self, until: Timestamp) {
        if let Ok(wait) = Duration::try_from(until.duration_since(self.ports.clock.now())) {
            self.ports.clock.sleep(wait).await;
        }
    }

    /// Empties a bucket until that time, without a burst afterwards.
    pub(crate) async fn rest(&self, bucket: &Bucket, until: Timestamp) -> Result<(), StepError> {
        self.move_level(bucket, |rate, before, now| Ok((rate.empty_until(before, until), now)))
            .await
            .map(|_| ())
    }

    /// Sets a bucket's level from its current one; tries again if another process changed it. Returns the time that `next`
    /// gives with the level that is set.
    pub(crate) async fn move_level(
        &self,
        bucket: &Bucket,
        next: impl Fn(Rate, Option<Level>, Timestamp) -> Result<(Level, Timestamp), StepError> + Send,
    ) -> Result<Timestamp, StepError> {
        let rules = self.rules();
        let paces = &rules.settings.paces;
        let _one_at_a_time = self.cache.levels.lock().await;
        for _ in 0..TRIES {
            let before = self.cache.level(bucket);
            let now = self.ports.clock.now();
            let believed = self.cache.believed_level(bucket, paces, now);
            let (after, at) = next(paces.rate(bucket), believed, now)?;
            if before == Some(after) {
                return Ok(at);
            }
            match self.ports.store.set_level(bucket, before, after).await? {
                LevelSet::Done => {
                    self.cache.set_level(bucket, Some(after));
                    return Ok(at);
                }
                LevelSet::Found(level) => self.cache.set_level(bucket, level),
            }
        }
        Err(StoreError::Conflict.into())
    }
}
