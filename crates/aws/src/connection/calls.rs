//! How often each of AWS's operations was called.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Service;

/// Calls by operation, those that the SDK repeated among them.
#[derive(Default, Debug)]
pub struct Calls(Mutex<BTreeMap<(Service, String), u64>>);

impl Calls {
    /// Counts one request, sent or tried to be sent. `operation` is as in the
    /// API's reference, such as `RunTask`.
    pub fn record(&self, service: Service, operation: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((service, operation.to_owned())).or_default() += 1;
    }

    /// The counts so far, by names such as `ecs:RunTask`. They are IAM's
    /// actions, but for `dynamodb:TransactWriteItems`, which IAM has no action
    /// for: it asks for those of the writes and checks in it.
    #[must_use]
    pub fn named(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|((service, operation), count)| (format!("{}:{operation}", service.prefix()), *count))
            .collect()
    }
}
