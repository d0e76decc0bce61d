//! AWS's services, and how long their calls may take.

use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use super::http::CONNECT_LIMIT;

/// A service of AWS's that the control plane calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Service {
    DynamoDb,
    /// CloudWatch Logs, which only an operator reads.
    Logs,
    /// Elastic Container Registry, which only an operator asks.
    Ecr,
    Ecs,
    SecretsManager,
    /// Service Quotas, which only an operator asks.
    ServiceQuotas,
    Sqs,
    /// Systems Manager, for its Parameter Store.
    Ssm,
}

/// How long a call may take.
struct Limits {
    attempt: Duration,
    /// All its attempts, and the waits between them.
    whole: Duration,
    attempts: u32,
}

impl Service {
    /// What precedes the operation in IAM's actions.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Logs => "logs",
            Self::Ecr => "ecr",
            Self::Ecs => "ecs",
            Self::SecretsManager => "secretsmanager",
            Self::ServiceQuotas => "servicequotas",
            Self::Sqs => "sqs",
            Self::Ssm => "ssm",
        }
    }

    /// The whole of each stays below the dispatcher's limit for a step, so that
    /// an answer is heard as one, and not as silence.
    const fn limits(self) -> Limits {
        let secs = Duration::from_secs;
        match self {
            Self::DynamoDb
            | Self::Ecr
            | Self::Logs
            | Self::SecretsManager
            | Self::ServiceQuotas
            | Self::Sqs => Limits { attempt: secs(3), whole: secs(10), attempts: 3 },
            Self::Ecs => Limits { attempt: secs(8), whole: secs(17), attempts: 3 },
            // Nothing goes on without it, and its standard rate is 40 a second for all who read.
            Self::Ssm => Limits { attempt: secs(3), whole: secs(15), attempts: 5 },
        }
    }

    pub(super) fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.limits().attempts)
            .with_initial_backoff(Duration::from_millis(100))
            .with_max_backoff(Duration::from_secs(2))
    }

    pub(super) fn timeouts(self) -> TimeoutConfig {
        let Limits { attempt, whole, .. } = self.limits();
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_attempt_timeout(attempt)
            .operation_timeout(whole)
            .build()
    }
}
