//! Mistakes in a catalogue.

use crate::id::{ClassName, ParseIdError};
use crate::rules::budget::BudgetError;
use crate::rules::class::gpu::GpuError;
use crate::rules::class::size::SizeError;
use crate::rules::limits::Limits;
use crate::rules::service::ServiceError;
use crate::rules::warm::WarmError;

/// A mistake in the catalogue.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClassError {
    #[error(transparent)]
    Name(ParseIdError),
    /// A size that Fargate does not offer.
    #[error("class `{class}`: {source}")]
    Size { class: String, source: SizeError },
    #[error("class `{class}`: {source}")]
    Repository {
        class: String,
        /// What is wrong with the pattern.
        source: ParseIdError,
    },
    /// A list that no repository is in.
    #[error(
        "class `{class}`: repositories is empty, at least one is needed: leave it out for all that are allowed"
    )]
    NoRepository { class: String },
    /// A label that GitHub or the class grammar does not allow.
    #[error("class `{class}`: label `{label}` is not valid: {expected}")]
    Label {
        class: String,
        label: String,
        /// What is expected instead.
        expected: &'static str,
    },
    /// The labels are too long in total.
    #[error("class `{class}`: its labels take {len} characters together, at most {max} are possible")]
    Labels { class: String, len: usize, max: usize },
    #[error("class `{class}`: {key} is 0, at least 1 is needed")]
    Zero { class: String, key: &'static str },
    /// A limit beyond GitHub's.
    #[error("class `{class}`: max_job_minutes is {value}, at most {max} is possible: GitHub ends a job then", max = Limits::MAX_JOB_MINUTES)]
    JobMinutes { class: String, value: u32 },
    #[error("class `{class}`: {source}")]
    Warm { class: String, source: WarmError },
    #[error("class `{class}`: budget {source}")]
    Budget { class: String, source: BudgetError },
    #[error("class `{class}`: {source}")]
    Gpu { class: String, source: GpuError },
    #[error("class `{class}`: {source}")]
    Service { class: String, source: ServiceError },
    /// Fargate gives no privileges to a task.
    #[error(
        "class `{class}`: docker is true, and its tasks run on Fargate, which gives no task the privileges that a Docker engine needs: set compute to `managed-instances`"
    )]
    DockerOnFargate { class: String },
    /// A key that excludes Docker.
    #[error("class `{class}`: it has docker and {key}: one of them alone is expected, since {expected}")]
    WithDocker {
        class: String,
        key: &'static str,
        /// Why not both.
        expected: &'static str,
    },
    /// A key that ECS Managed Instances exclude.
    #[error(
        "class `{class}`: it has compute `managed-instances` and {key}: one of them alone is expected, since {expected}"
    )]
    OnManagedInstances {
        class: String,
        key: &'static str,
        /// Why not both.
        expected: &'static str,
    },
    /// Terraform has written the class and not its task definition.
    #[error(
        "class `{class}`: it declares services, and the deployment has no task definition with them for the image `{image}`"
    )]
    Undefined { class: String, image: String },
    /// Terraform has written the class and not what starts its instances.
    #[error(
        "class `{class}`: its tasks run on managed instances, and the deployment has no {what} for it: apply Terraform again"
    )]
    Unprovided {
        class: String,
        /// Such as a capacity provider.
        what: String,
    },
    /// The network is one of public subnets.
    #[error(
        "class `{class}`: its tasks run on managed instances and get no public address, which the tasks of this deployment \
         need (assign_public_ip): set network.vpc_id and network.subnet_ids to private subnets with a NAT"
    )]
    PublicAddress { class: String },
    /// More warm tasks than the deployment may have. A deployment keeps as many as it may.
    #[error(
        "warm.count of all classes together is {count} ({classes}), but limits.max_warm is {max_warm}: set limits.max_warm to at least {count}, or lower warm.count"
    )]
    TooManyWarm {
        /// How many each class keeps.
        classes: String,
        count: u64,
        max_warm: u32,
    },
    /// A label is mapped to a class that is not there.
    #[error(
        "label `{label}` is mapped to the class `{class}`, which does not exist: the catalogue has {known}"
    )]
    MappedNowhere { label: String, class: String, known: String },
    /// A label cannot be mapped.
    #[error("label `{label}` cannot be mapped to a class: {expected}")]
    Mapped { label: String, expected: &'static str },
    #[error("classes `{first}` and `{second}` are both the default, at most one can be")]
    TwoDefaults { first: ClassName, second: ClassName },
}
