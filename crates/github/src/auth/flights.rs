//! A cache of answers that deduplicates requests: callers share a request in
//! progress, so that a burst sends one request to GitHub.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::reply::Fault;

/// Holds one answer for each key, in progress or cached.
pub(crate) struct Flights<K, V> {
    flights: Mutex<HashMap<K, Flight<V>>>,
}

type Flight<V> = Shared<BoxFuture<'static, Result<V, Fault>>>;

impl<K, V> Flights<K, V>
where
    K: Eq + Hash,
    V: Clone,
{
    pub(crate) fn new() -> Self {
        Self { flights: Mutex::new(HashMap::new()) }
    }

    /// Returns the cached answer, the one in progress, or the answer of a new request.
    ///
    /// Before that, it drops failures and cached answers of all keys that are not
    /// `fresh`, so that expired tokens do not stay in memory.
    pub(crate) async fn get(
        &self,
        key: K,
        fresh: impl Fn(&V) -> bool,
        start: impl FnOnce() -> BoxFuture<'static, Result<V, Fault>>,
    ) -> Result<V, Fault> {
        let flight = {
            let mut flights = self.lock();
            flights.retain(|_, flight| keeps(flight, &fresh));
            flights.entry(key).or_insert_with(|| start().shared()).clone()
        };
        flight.await
    }

    /// Drops each cached answer that is `unwanted`.
    pub(crate) fn forget(&self, unwanted: impl Fn(&V) -> bool) {
        self.lock().retain(|_, flight| keeps(flight, |value| !unwanted(value)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        // No code under the lock can leave the map half changed.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in progress is always kept.
fn keeps<V: Clone>(flight: &Flight<V>, wanted: impl Fn(&V) -> bool) -> bool {
    flight.peek().is_none_or(|outcome| outcome.as_ref().is_ok_and(wanted))
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}
