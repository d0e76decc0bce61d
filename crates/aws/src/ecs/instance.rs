//! Container instances of ECS Managed Instances: which EC2 instance one is, and that it takes no more tasks.

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{ContainerInstanceStatus, Failure};
use ecsrunner_core::id::{HostId, InstanceId};
use ecsrunner_engine::ports::compute::ComputeError;
use tracing::{info, warn};

use super::answer::failed;

const DESCRIBE: &str = "DescribeContainerInstances";
const UPDATE: &str = "UpdateContainerInstancesState";

/// The id comes from the instance identity document, which AWS has signed when the instance registered.
pub(super) async fn host_of(
    client: &Client,
    cluster: &str,
    instance: &InstanceId,
) -> Result<Option<HostId>, ComputeError> {
    let described = client
        .describe_container_instances()
        .cluster(cluster)
        .container_instances(instance.as_str())
        .send()
        .await
        .map_err(|error| failed(DESCRIBE, &error))?;
    let Some(found) = described.container_instances().first() else { return Ok(None) };
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
        Ok(answer) => {
            // MISSING or INACTIVE: it is gone.
            if let Some(reason) = answer.failures().first().and_then(Failure::reason) {
                info!(%instance, reason, "the instance takes no more tasks already");
            }
            Ok(())
        }
        // Only an ACTIVE instance can be drained. AWS may be about to end this one.
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_invalid_parameter_exception()) =>
        {
            warn!(%instance, error = %failed(UPDATE, &error), "the instance cannot be drained any more");
            Ok(())
        }
        Err(error) => Err(failed(UPDATE, &error)),
    }
}
