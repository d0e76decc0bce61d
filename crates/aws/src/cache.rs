//! A value that is read again when it has grown old.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// The last value read, and when. By the wall clock: a frozen Lambda's other
/// clocks may stand still.
#[derive(Debug)]
pub(crate) struct Cache<T>(Mutex<Option<Kept<T>>>);

/// A value that was read.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) value: Arc<T>,
    pub(crate) read_at: Timestamp,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), read_at: self.read_at }
    }
}

impl<T> Kept<T> {
    /// Whether it was read less than `age` ago; not after a clock was set back.
    pub(crate) fn is_younger(&self, age: SignedDuration, now: Timestamp) -> bool {
        let old = now.duration_since(self.read_at);
        !old.is_negative() && old < age
    }
}

impl<T> Cache<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn get(&self) -> Option<Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep(&self, value: T, now: Timestamp) -> Arc<T> {
        let value = Arc::new(value);
        let kept = Kept { value: Arc::clone(&value), read_at: now };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_grows_old_and_a_clock_that_was_set_back_makes_it_old_at_once() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let cache = Cache::new();
        assert!(cache.get().is_none());
        cache.keep("value", at(100));
        let kept = cache.get().unwrap();
        assert!(kept.is_younger(SignedDuration::from_secs(25), at(124)));
        assert!(!kept.is_younger(SignedDuration::from_secs(25), at(125)));
        assert!(!kept.is_younger(SignedDuration::from_secs(25), at(99)));
    }
}
