//! The queue of kicks, which arrive as invocations.

use std::time::Duration;

use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::queue::{Queue, QueueError};

use super::agenda::Happening;
use super::driver::{Arrival, Input};
use super::outside::{Shared, millis};

/// How long a message takes in addition to its delay, in milliseconds: the minimum, and the most in addition.
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
            // SQS takes delays in whole seconds.
            let delay = Duration::from_secs(after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
            outside.agenda.add(now + delay + transit, Happening::Arrives(arrival));
        }
        self.0.touch();
        Ok(())
    }
}
