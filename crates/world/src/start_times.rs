//! How long the parts of a runner's start take.

use std::time::Duration;

use crate::random::Random;

/// A random duration, uniform between a minimum and a maximum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    /// The minimum.
    pub least: Duration,
    /// The maximum less the minimum, exclusive.
    pub more: Duration,
}

impl Spread {
    #[must_use]
    pub const fn millis(least: u64, more: u64) -> Self {
        Self { least: Duration::from_millis(least), more: Duration::from_millis(more) }
    }

    pub(crate) fn draw(self, random: &mut Random) -> Duration {
        let more = usize::try_from(self.more.as_millis()).unwrap_or(usize::MAX);
        // A spread of nothing draws nothing, so that it does not change what a seed gives.
        let drawn = if more == 0 { 0 } else { random.below(more) };
        self.least + Duration::from_millis(u64::try_from(drawn).unwrap_or(u64::MAX))
    }
}

/// How long the parts of a runner's start take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartTimes {
    /// The network interface and the machine.
    pub provisioning: Spread,
    /// The pull of the image.
    pub pull: Duration,
    /// From the boot item until the listener is connected to GitHub.
    pub listener: Spread,
    /// How long GitHub takes to find a runner for a job.
    pub assignment: Spread,
}

impl Default for StartTimes {
    fn default() -> Self {
        Self {
            provisioning: Spread::millis(8000, 0),
            pull: Duration::from_secs(15),
            listener: Spread::millis(1000, 2000),
            assignment: Spread::millis(50, 1500),
        }
    }
}

impl StartTimes {
    /// Returns the times of one vCPU on Fargate with an image of that compressed size. docs/start.md has their sources.
    #[must_use]
    pub fn on_fargate(image_mb: u32) -> Self {
        /// Compressed bytes that are pulled and unpacked in a second, in MB.
        const PULL_MB: f64 = 60.0;
        /// Exec to listening, with nothing cached, without the network.
        const LISTENER_MS: u64 = 450;
        /// Token, session, first message.
        const ROUND_TRIPS: u64 = 3;
        const ROUND_TRIP_MS: u64 = 150;
        Self {
            provisioning: Spread::millis(10_000, 5000),
            pull: Duration::from_secs_f64(f64::from(image_mb) / PULL_MB),
            listener: Spread::millis(LISTENER_MS + ROUND_TRIPS * ROUND_TRIP_MS, 0),
            ..Self::default()
        }
    }
}
