//! Counts the calls of each AWS operation.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Service;

/// Calls by operation, including the SDK's retries.
#[derive(Default, Debug)]
pub struct Calls(Mutex<BTreeMap<(Service, String), u64>>);

impl Calls {
    /// Counts one request, also one that could not be sent. `operation` is the name
    /// in the API's reference, such as `RunTask`.
    pub fn record(&self, service: Service, operation: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((service, operation.to_owned())).or_default() += 1;
    }

    /// The counts so far, by names such as `ecs:RunTask`. The names are IAM's
    /// actions, except `dynamodb:TransactWriteItems`, which is no IAM action: IAM
    /// requires the actions of the writes and checks in it.
    #[must_use]
    pub fn named(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|((service, operation), count)| (format!("{}:{operation}", service.prefix()), *count))
            .collect()
    }
}
