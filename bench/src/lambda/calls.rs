//! The functions' calls of AWS and GitHub by name, and how long the answers took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The service that a fake stands in for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Service {
    DynamoDb,
    Ecs,
    Ssm,
    SecretsManager,
    Sqs,
    StepFunctions,
    GitHub,
    /// Any other AWS service. Calls of it are refused.
    Other,
}

impl Service {
    pub(crate) const ALL: [Self; 8] = [
        Self::DynamoDb,
        Self::Ecs,
        Self::Ssm,
        Self::SecretsManager,
        Self::Sqs,
        Self::StepFunctions,
        Self::GitHub,
        Self::Other,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB",
            Self::Ecs => "ECS",
            Self::Ssm => "SSM",
            Self::SecretsManager => "Secrets Manager",
            Self::Sqs => "SQS",
            Self::StepFunctions => "Step Functions",
            Self::GitHub => "GitHub",
            Self::Other => "another service of AWS",
        }
    }

    /// The variable that sets the endpoint for every AWS SDK; GitHub has none.
    pub(crate) const fn endpoint_variable(self) -> Option<&'static str> {
        match self {
            Self::DynamoDb => Some("AWS_ENDPOINT_URL_DYNAMODB"),
            Self::Ecs => Some("AWS_ENDPOINT_URL_ECS"),
            Self::Ssm => Some("AWS_ENDPOINT_URL_SSM"),
            Self::SecretsManager => Some("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
            Self::Sqs => Some("AWS_ENDPOINT_URL_SQS"),
            Self::StepFunctions => Some("AWS_ENDPOINT_URL_SFN"),
            Self::Other => Some("AWS_ENDPOINT_URL"),
            Self::GitHub => None,
        }
    }
}

/// The units that DynamoDB bills on demand.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Units {
    pub(crate) read: f64,
    pub(crate) write: f64,
}

/// One call and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) status: u16,
    /// When the whole request had arrived.
    pub(crate) began: Instant,
    /// When the answer was ready.
    pub(crate) ended: Instant,
    pub(crate) units: Units,
}

/// The calls since they were last taken.
#[derive(Clone, Default, Debug)]
pub(crate) struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    pub(crate) fn add(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns the time with at least one call at the fakes, up to a given moment.
pub(crate) fn fakes_own(calls: &[Call], until: Instant) -> Duration {
    let mut spans: Vec<_> = calls
        .iter()
        .filter(|call| call.began < until)
        .map(|call| (call.began, call.ended.min(until)))
        .collect();
    spans.sort();
    let mut total = Duration::ZERO;
    let mut counted_to = None;
    for (began, ended) in spans {
        let from = counted_to.map_or(began, |to: Instant| began.max(to));
        total += ended.saturating_duration_since(from);
        counted_to = Some(counted_to.map_or(ended, |to: Instant| to.max(ended)));
    }
    total
}

/// Calls by service and operation.
pub(crate) type Named = BTreeMap<(Service, String), Count>;

#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Count {
    pub(crate) calls: usize,
    /// How many of them were answered with a status of 400 or more.
    pub(crate) refused: usize,
    pub(crate) units: Units,
}

pub(crate) fn by_name(calls: &[Call]) -> Named {
    let mut named = Named::new();
    for call in calls {
        let count = named.entry((call.service, call.operation.clone())).or_default();
        count.calls += 1;
        count.refused += usize::from(call.status >= 400);
        count.units.read += call.units.read;
        count.units.write += call.units.write;
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(began: Instant, from_ms: u64, to_ms: u64) -> Call {
        Call {
            service: Service::Ecs,
            operation: "RunTask".to_owned(),
            status: 200,
            began: began + Duration::from_millis(from_ms),
            ended: began + Duration::from_millis(to_ms),
            units: Units::default(),
        }
    }

    #[test]
    fn time_that_two_calls_share_is_counted_once() {
        let now = Instant::now();
        let calls = [call(now, 20, 30), call(now, 0, 10), call(now, 5, 12), call(now, 40, 90)];
        assert_eq!(fakes_own(&calls, now + Duration::from_millis(50)), Duration::from_millis(12 + 10 + 10));
    }
}
