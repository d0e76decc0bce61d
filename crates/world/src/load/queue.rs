//! The queue of kicks, which arrive as invocations.

use std::time::Duration;

use ecsrunner_engine::ports::queue::{Queue, QueueError};

use super::happening::{Happening, Input};
use super::state::Shared;
use super::time::Millis;
use crate::faults::Method;

/// How long a message takes in addition to its delay, in milliseconds: the minimum, and the most in addition.
const TRANSIT_MS: (usize, usize) = (50, 200);

#[derive(Clone, Debug)]
pub struct LoadQueue(pub(super) Shared);

impl Queue for LoadQueue {
    async fn post_kick(&self, after: Duration) -> Result<(), QueueError> {
        self.0.call(Method::PostKick).await;
        let now = self.0.now();
        let state = &mut *self.0.lock();
        let (least, more) = TRANSIT_MS;
        let transit = Millis::try_from(least + state.random.below(more)).unwrap_or_default();
        // SQS takes delays in whole seconds.
        let delay = Millis::try_from(after.as_millis().div_ceil(1000)).unwrap_or_default() * 1000;
        state.agenda.add(now + delay + transit, Happening::Invoke(Input::Kick));
        Ok(())
    }
}
