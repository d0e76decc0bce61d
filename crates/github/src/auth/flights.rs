//! Answers worth keeping: whoever asks while one is under way shares it, so
//! that a burst asks GitHub once.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::reply::Fault;

/// One answer, under way or kept, for each key.
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

    /// The kept answer, the one under way, or that of a new flight.
    ///
    /// Kept answers that are not `fresh`, and failures, are dropped first,
    /// those of other keys too: an ended token does not linger.
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

    /// Drops each kept answer that is `unwanted`.
    pub(crate) fn forget(&self, unwanted: impl Fn(&V) -> bool) {
        self.lock().retain(|_, flight| keeps(flight, |value| !unwanted(value)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        // Nothing is done under the lock that could leave the map half changed.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flight under way is always kept.
fn keeps<V: Clone>(flight: &Flight<V>, wanted: impl Fn(&V) -> bool) -> bool {
    flight.peek().is_none_or(|outcome| outcome.as_ref().is_ok_and(wanted))
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}
