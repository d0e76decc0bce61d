//! Kicks that come back as invocations.

use std::time::Duration;

use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::queue::{Queue, QueueError};

use super::agenda::Happening;
use super::driver::{Arrival, Input};
use super::outside::{Shared, millis};

/// How long a message takes beyond its delay, in milliseconds: at least, and how much more.
const TRANSIT_MS: (usize, usize) = (50, 200);

#[derive(Clone, Debug)]
pub struct KickQueue(pub(super) Shared);

impl Queue for KickQueue {
    async fn post_kick(&self, after: Duration) -> Result<(), QueueError> {
        let now = self.0.clock().now();
        {
            let outside = &mut *self.0.lock();
            let (least, more) = TRANSIT_MS;
            let transit = millis(least + outside.random.below(more));
            let arrival = Arrival::first(Input::Kick);
            // SQS counts delays in whole seconds.
            let delay = Duration::from_secs(after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
            outside.agenda.add(now + delay + transit, Happening::Arrives(arrival));
        }
        self.0.touch();
        Ok(())
    }
}
