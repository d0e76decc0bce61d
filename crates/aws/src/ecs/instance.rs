//! Container instances of ECS Managed Instances: which EC2 instance one is, and that it takes no more tasks.

use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::ProvideErrorMetadata;
use aws_sdk_ecs::operation::update_container_instances_state::UpdateContainerInstancesStateError;
use aws_sdk_ecs::types::ContainerInstanceStatus;
use ecsrunner_core::id::{HostId, InstanceId};
use ecsrunner_engine::ports::compute::ComputeError;
use tracing::{info, warn};

use super::answer::failed;

const DESCRIBE: &str = "DescribeContainerInstances";
const UPDATE: &str = "UpdateContainerInstancesState";

/// The id comes from the instance identity document, which AWS has signed when the instance registered. A job that is root may
/// register an instance too, so the capacity provider that AWS has recorded must be the expected one. `None` if it is
/// not, or if the instance is unknown.
pub(super) async fn host_of(
    client: &Client,
    cluster: &str,
    instance: &InstanceId,
    provider: &str,
) -> Result<Option<HostId>, ComputeError> {
    let described = client
        .describe_container_instances()
        .cluster(cluster)
        .container_instances(instance.as_str())
        .send()
        .await
        .map_err(|error| failed(DESCRIBE, &error))?;
    let Some(found) = described.container_instances().first() else { return Ok(None) };
    let of = found.capacity_provider_name();
    if of != Some(provider) {
        let of = of.unwrap_or_default();
        warn!(%instance, capacity_provider = of, expected = provider, "the instance is of another capacity provider");
        return Ok(None);
    }
    let id = found.ec2_instance_id().unwrap_or_default();
    HostId::parse(id).map(Some).map_err(|error| ComputeError::Refused { message: error.to_string() })
}

pub(super) async fn drain(client: &Client, cluster: &str, instance: &InstanceId) -> Result<(), ComputeError> {
    let answer = client
        .update_container_instances_state()
        .cluster(cluster)
        .container_instances(instance.as_str())
        .status(ContainerInstanceStatus::Draining)
        .send()
        .await;
    match answer {
        Ok(answer) => match answer.failures().first().map(|failure| failure.reason().unwrap_or_default()) {
            None => Ok(()),
            Some(reason) if is_gone(reason) => {
                info!(%instance, reason, "the instance takes no more tasks already");
                Ok(())
            }
            Some(reason) => Err(ComputeError::Refused { message: format!("{UPDATE}: {reason}") }),
        },
        // Only an ACTIVE instance can be drained. AWS may be about to end this one.
        Err(error) if error.as_service_error().is_some_and(is_over) => {
            warn!(%instance, error = %failed(UPDATE, &error), "the instance cannot be drained any more");
            Ok(())
        }
        Err(error) => Err(failed(UPDATE, &error)),
    }
}

fn is_over(error: &UpdateContainerInstancesStateError) -> bool {
    error.is_invalid_parameter_exception() || error.message().is_some_and(is_gone)
}

/// Whether AWS says of an instance that it has ended.
fn is_gone(words: &str) -> bool {
    words.contains("INACTIVE") || words.contains("MISSING")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_instance_that_has_ended_needs_no_draining() {
        assert!(is_gone("MISSING") && is_gone("INACTIVE"));
        assert!(is_gone("The referenced container instance is INACTIVE."));
        assert!(!is_gone("ACTIVE") && !is_gone("User is not authorized"));
    }
}
