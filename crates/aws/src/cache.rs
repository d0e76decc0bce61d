//! Caches a value that is read again once it is too old.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ecsrunner_core::clock::has_passed;
use ecsrunner_engine::chain;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

/// The last value and when it was read, by the wall clock: other clocks may stand
/// still while a Lambda is frozen.
#[derive(Debug)]
pub(crate) struct Cache<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    kept: Option<Kept<T>>,
    failed_at: Option<Timestamp>,
}

/// After a failed read, how long the old value is used without another attempt:
/// each attempt can take as long as a request.
const AFTER_A_FAILURE: SignedDuration = SignedDuration::from_secs(10);

/// How long a value is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    /// Before it is read again.
    pub(crate) usual: SignedDuration,
    /// If it cannot be read again.
    pub(crate) unreadable: SignedDuration,
}

/// A value that was read.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) value: Arc<T>,
    read_at: Timestamp,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), read_at: self.read_at }
    }
}

impl<T> Kept<T> {
    /// Whether it was read less than `age` ago. False if the clock was set back since.
    fn is_younger(&self, age: SignedDuration, now: Timestamp) -> bool {
        !has_passed(age, self.read_at, now)
    }
}

impl<T> Cache<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { kept: None, failed_at: None }))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Option<Kept<T>> {
        self.lock().kept.clone()
    }

    /// Has the next read ask again.
    #[cfg(feature = "operate")]
    pub(crate) fn forget(&self) {
        self.lock().kept = None;
    }

    /// Returns the value if it is young enough, and else what `read` reads. If that fails, returns the old value while
    /// its age allows that. `what` names it in the log, such as `parameters`.
    ///
    /// # Errors
    ///
    /// That of `read`, if there is no value that is young enough.
    pub(crate) async fn get_or_read<E: Error>(
        &self,
        what: &'static str,
        ages: Ages,
        now: Timestamp,
        is_same: fn(&T, &T) -> bool,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let kept = self.get();
        let usable = |age| kept.as_ref().filter(|kept| kept.is_younger(age, now)).map(|kept| &kept.value);
        if let Some(value) = usable(ages.usual) {
            return Ok(Arc::clone(value));
        }
        let old = usable(ages.unreadable);
        if let Some(value) = old
            && self.has_just_failed(now)
        {
            return Ok(Arc::clone(value));
        }
        match (read.await, old) {
            (Ok(value), _) => Ok(self.keep(value, now, is_same)),
            (Err(error), Some(old)) => {
                self.failed(now);
                warn!(what, error = %chain(&error), "the value read before is used");
                Ok(Arc::clone(old))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Stores the value that was read and returns it. An equal old value is kept
    /// instead, so that values derived from it stay valid.
    fn keep(&self, value: T, now: Timestamp, is_same: fn(&T, &T) -> bool) -> Arc<T> {
        let mut state = self.lock();
        let before = state.kept.take().map(|kept| kept.value).filter(|before| is_same(before, &value));
        let value = before.unwrap_or_else(|| Arc::new(value));
        *state = State { kept: Some(Kept { value: Arc::clone(&value), read_at: now }), failed_at: None };
        value
    }

    /// Records that reading it again has failed.
    fn failed(&self, now: Timestamp) {
        self.lock().failed_at = Some(now);
    }

    /// Whether reading it again failed within [`AFTER_A_FAILURE`].
    fn has_just_failed(&self, now: Timestamp) -> bool {
        self.lock().failed_at.is_some_and(|failed| !has_passed(AFTER_A_FAILURE, failed, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: fn(&&str, &&str) -> bool = |one, other| one == other;

    #[test]
    fn a_value_that_is_the_same_still_is_the_one_before() {
        let now = Timestamp::UNIX_EPOCH;
        let cache = Cache::new();
        let first = cache.keep("value", now, SAME);
        assert!(Arc::ptr_eq(&first, &cache.keep("value", now, SAME)));
        assert!(!Arc::ptr_eq(&first, &cache.keep("other", now, SAME)));
    }

    #[tokio::test]
    async fn an_old_value_serves_while_it_cannot_be_read_again_and_not_for_ever() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let ages = Ages { usual: SignedDuration::from_secs(25), unreadable: SignedDuration::from_mins(5) };
        let cache = Cache::new();
        let get = async |secs: i64, read: Result<&'static str, &'static str>| {
            let read = async { read.map_err(std::io::Error::other) };
            let got = cache.get_or_read("test", ages, at(secs), SAME, read).await;
            got.map(|value| *value).map_err(|error| error.to_string())
        };
        let gone = Err("unreachable");
        assert_eq!(get(0, gone).await, Err("unreachable".to_owned()));
        assert_eq!(get(0, Ok("first")).await, Ok("first"));
        assert_eq!(get(24, Ok("second")).await, Ok("first"), "it is not read again while it is young");
        assert_eq!(get(25, gone).await, Ok("first"));
        assert_eq!(
            get(34, Ok("second")).await,
            Ok("first"),
            "a failure is followed by ten seconds without a read"
        );
        assert_eq!(get(35, Ok("second")).await, Ok("second"));
        assert_eq!(get(334, gone).await, Ok("second"));
        assert_eq!(get(335, gone).await, Err("unreachable".to_owned()));
    }

    #[test]
    fn a_failure_is_remembered_for_ten_seconds_or_until_a_value_is_read() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let cache = Cache::new();
        assert!(!cache.has_just_failed(at(0)));
        cache.failed(at(0));
        assert_eq!([0, 9, 10].map(|secs| cache.has_just_failed(at(secs))), [true, true, false]);
        cache.keep("value", at(1), SAME);
        assert!(!cache.has_just_failed(at(2)));
    }

    #[test]
    fn a_value_grows_old_and_a_clock_that_was_set_back_makes_it_old_at_once() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let cache = Cache::new();
        assert!(cache.get().is_none());
        cache.keep("value", at(100), SAME);
        let kept = cache.get().unwrap();
        assert!(kept.is_younger(SignedDuration::from_secs(25), at(124)));
        assert!(!kept.is_younger(SignedDuration::from_secs(25), at(125)));
        assert!(!kept.is_younger(SignedDuration::from_secs(25), at(98)));
    }
}
