//! Token buckets. Callers pass the time.

use jiff::{SignedDuration, Timestamp};

use super::options::Rate;

/// A bucket's state, stored as the time at which it will be full again.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Bucket {
    full_at: Option<Timestamp>,
}

impl Bucket {
    /// Takes `count` tokens, or none if there are fewer. Returns whether it took them.
    pub(super) fn take(&mut self, rate: Rate, count: u32, now: Timestamp) -> bool {
        let interval =
            SignedDuration::from_secs(1) / i32::try_from(rate.per_second.max(1)).unwrap_or(i32::MAX);
        let of = |tokens: u32| interval * i32::try_from(tokens).unwrap_or(i32::MAX);
        let after = self.full_at.map_or(now, |at| at.max(now)) + of(count);
        let fits = after <= now + of(rate.burst);
        if fits {
            self.full_at = Some(after);
        }
        fits
    }
}
