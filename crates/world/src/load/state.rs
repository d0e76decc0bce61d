//! Everything outside ecsrunner under one lock.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ecsrunner_core::decide::plan::{Means, reasons_to_wait};
use ecsrunner_engine::Ruleset;
use jiff::SignedDuration;

use super::fleet::Fleet;
use super::happening::{Happening, Input};
use super::hub::Hub;
use super::tables::RecentTables;
use super::tally::Tally;
use super::time::{Agenda, Millis, Sleep, millis, timestamp};
use super::{Arrival, Surroundings};
use crate::faults::Method;
use crate::random::Random;

/// How long an event takes to reach the function, in milliseconds: the minimum, and the most in addition.
const TRANSIT_MS: (usize, usize) = (150, 250);
/// How often the reasons to wait are asked for, in milliseconds.
const EXPLAIN_EACH: Millis = 5_000;

pub(super) struct State {
    pub(super) agenda: Agenda,
    pub(super) tables: RecentTables,
    pub(super) fleet: Fleet,
    pub(super) hub: Hub,
    pub(super) tally: Tally,
    pub(super) random: Random,
    pub(super) rules: Arc<Ruleset>,
    pub(super) surroundings: Surroundings,
    pub(super) arrivals: Box<dyn Iterator<Item = Arrival> + Send>,
    /// The next job to be queued.
    pub(super) next: Option<Arrival>,
    /// Inputs whose invocation has not begun.
    pub(super) waiting: std::collections::VecDeque<Input>,
    /// When the reasons to wait were last asked for.
    pub(super) explained_at: Millis,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

/// The world outside the engine, and its time.
#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    now: AtomicI64,
    state: Mutex<State>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    pub(super) fn new(now: Millis, state: State) -> Self {
        Self(Arc::new(Inner { now: AtomicI64::new(now), state: Mutex::new(state) }))
    }

    pub(super) fn now(&self) -> Millis {
        self.0.now.load(Ordering::Relaxed)
    }

    pub(super) fn set_now(&self, now: Millis) {
        self.0.now.store(now, Ordering::Relaxed);
    }

    /// Locks the world. The lock must not be held across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::until(self, self.now() + millis(duration))
    }

    /// Waits as long as a call takes.
    pub(super) fn call(&self, method: Method) -> Sleep {
        let takes = self.lock().latency(method);
        Sleep::until(self, self.now() + takes)
    }
}

impl State {
    fn latency(&mut self, method: Method) -> Millis {
        let (least, more) = method.latency_ms();
        let mut takes = least + self.random.below(more);
        if method == Method::Open {
            let open = self.tables.open();
            let each = self.surroundings.open_record_micros as usize;
            takes += (open.jobs.len() + open.runners.len()) * each / 1000;
        }
        Millis::try_from(takes).unwrap_or(Millis::MAX / 4)
    }

    /// Notes why jobs wait, by a plan like the engine's. The engine writes no reasons.
    pub(super) fn explain(&mut self, now: Millis) {
        if now < self.explained_at + EXPLAIN_EACH || !self.tally.has_waiting() {
            return;
        }
        self.explained_at = now;
        let means = Means { ahead: SignedDuration::from_secs(1), ..Means::default() };
        let reasons = reasons_to_wait(self.tables.open(), self.rules.rules(), means, timestamp(now));
        for (job, reason) in reasons {
            self.tally.explained(job, &reason, now);
        }
    }

    /// Sends an event to the function.
    pub(super) fn send(&mut self, input: Input, now: Millis) {
        let (least, more) = TRANSIT_MS;
        let transit = Millis::try_from(least + self.random.below(more)).unwrap_or_default();
        self.agenda.add(now + transit, Happening::Invoke(input));
    }
}
