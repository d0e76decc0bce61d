//! AWS's services, and the time limits of their calls.

use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use super::http::CONNECT_LIMIT;

/// An AWS service that the control plane or an operator calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Service {
    CodeBuild,
    DynamoDb,
    /// CloudWatch Logs, used only by operators' commands.
    Logs,
    /// EC2, for its networks, used only by operators' commands.
    Ec2,
    /// Elastic Container Registry.
    Ecr,
    Ecs,
    /// Lambda, used only by operators' commands.
    Lambda,
    /// Called only by tasks, with links that are signed here.
    S3,
    SecretsManager,
    /// Service Quotas, used only by operators' commands.
    ServiceQuotas,
    Sqs,
    /// Systems Manager, for its Parameter Store.
    Ssm,
}

/// The time limits of a call.
struct Limits {
    attempt: Duration,
    /// All attempts, with the waits between them.
    whole: Duration,
    attempts: u32,
}

impl Service {
    /// The prefix of IAM's actions.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::CodeBuild => "codebuild",
            Self::DynamoDb => "dynamodb",
            Self::Logs => "logs",
            Self::Ec2 => "ec2",
            Self::Ecr => "ecr",
            Self::Ecs => "ecs",
            Self::Lambda => "lambda",
            Self::S3 => "s3",
            Self::SecretsManager => "secretsmanager",
            Self::ServiceQuotas => "servicequotas",
            Self::Sqs => "sqs",
            Self::Ssm => "ssm",
        }
    }

    /// Each `whole` is below the dispatcher's limit for a step, so that the
    /// dispatcher gets the call's error and not a timeout.
    const fn limits(self) -> Limits {
        let secs = Duration::from_secs;
        match self {
            Self::CodeBuild
            | Self::DynamoDb
            | Self::Ec2
            | Self::Ecr
            | Self::Logs
            | Self::S3
            | Self::SecretsManager
            | Self::ServiceQuotas
            | Self::Sqs => Limits { attempt: secs(3), whole: secs(10), attempts: 3 },
            Self::Ecs => Limits { attempt: secs(8), whole: secs(17), attempts: 3 },
            // A function that starts may take seconds, and then asks GitHub. Questions can be asked again.
            Self::Lambda => Limits { attempt: secs(30), whole: secs(40), attempts: 2 },
            // Everything depends on it, and its standard rate is 40 a second for all callers.
            Self::Ssm => Limits { attempt: secs(3), whole: secs(15), attempts: 5 },
        }
    }

    pub(super) fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.limits().attempts)
            .with_initial_backoff(Duration::from_millis(100))
            .with_max_backoff(Duration::from_secs(2))
    }

    /// Returns the time limits. The SDK counts the renewal of a key as a part of the attempt, so that takes longer by it.
    pub(super) fn timeouts(self, renewal_limit: Duration) -> TimeoutConfig {
        let Limits { attempt, whole, .. } = self.limits();
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_attempt_timeout(attempt + renewal_limit)
            .operation_timeout(whole + renewal_limit)
            .build()
    }
}
