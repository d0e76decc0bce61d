//! Tells a waiting operator that AWS throttles and the call is retried.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tracing::warn;

use super::Service;

/// Parts of AWS's error codes for throttling.
const WORDS: [&str; 5] =
    ["Throttl", "TooManyRequests", "RequestLimitExceeded", "ProvisionedThroughputExceeded", "SlowDown"];

/// An interceptor that logs when a service throttles.
pub(super) fn notes(service: Service) -> SharedInterceptor {
    SharedInterceptor::new(Notes(service))
}

#[derive(Debug)]
struct Notes(Service);

impl Intercept for Notes {
    fn name(&self) -> &'static str {
        "Notes"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(response) = context.response() else { return Ok(()) };
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.body().bytes().unwrap_or_default();
        if status.as_u16() == 429 || is_throttled(&String::from_utf8_lossy(body)) {
            warn!(service = self.0.prefix(), "AWS throttles: the call is retried");
        }
        Ok(())
    }
}

fn is_throttled(body: &str) -> bool {
    WORDS.iter().any(|word| body.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_told_from_other_refusals() {
        assert!(is_throttled(r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#));
        assert!(is_throttled(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}"#
        ));
        assert!(!is_throttled(r#"{"__type":"AccessDeniedException"}"#));
    }
}
