//! Virtual time: tokio's paused clock with a fixed start. It jumps to the next
//! timer when nothing else is left to do.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ecsrunner_engine::ports::{Clock, Randomness};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::random::Random;

/// 2026-01-01T00:00:00Z, the start of every simulation.
const BEGINNING_SECS: i64 = 1_767_225_600;

/// The time of a simulation.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    start: Instant,
    /// How far it is ahead of the right time; negative if it is behind.
    ahead: SignedDuration,
}

impl VirtualClock {
    /// Starts a clock, on a runtime whose time is paused.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), ahead: SignedDuration::ZERO }
    }

    /// Returns a clock that is ahead of this one by that much, or behind if it is negative.
    #[must_use]
    pub fn ahead_by(self, ahead: SignedDuration) -> Self {
        Self { ahead, ..self }
    }

    /// Returns the time since the start of the simulation.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub async fn sleep_until(&self, at: Timestamp) {
        let wait = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(BEGINNING_SECS).unwrap_or(Timestamp::UNIX_EPOCH) + self.elapsed() + self.ahead
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

/// Reproducible bits of a seed.
#[derive(Debug)]
pub struct SeededRandomness(Mutex<Random>);

impl SeededRandomness {
    /// Makes the bits of a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(Random::seeded(seed)))
    }
}

impl Randomness for SeededRandomness {
    fn bits(&self) -> u128 {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())
    }
}
